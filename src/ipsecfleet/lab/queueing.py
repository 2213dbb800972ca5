"""A queue model of a fleet that computes keys, under a virtual clock. It is not the daemon: it knows nothing but time.

Each machine has one thread, first come, first served. A negotiation takes four computations of equal cost, two at each
side: one here for the first message, two there for the answer, one here for the end; messages take no time. Nobody waits
for an answer longer than 27 s (the daemon's retransmissions, groundtruth 1.4); then the attempt is dead, what the other
side still computes for it is wasted, and the next one begins 120 s after it began. What is established is renewed after
85.0 to 94.9 % of its lifetime by the side that began it, for ever.
"""

import heapq
import random
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial
from itertools import count

GIVES_UP_S = 27.0
RETRY_S = 120.0
SHARES = (0.850, 0.949)
WINDOW_S = 10.0

Edge = tuple[str, str]


@dataclass(frozen=True, slots=True)
class Course:
    """How a start went: what began within ten seconds at the fullest machine, in each cycle, from the start on.

    `waited_s` are the longest and the mean time that a computation waited for its thread during the start, `back_s` is
    when the last tunnel was up, `timed_out` counts attempts that nobody answered in time during the start.
    """

    peaks: tuple[int, ...]
    waited_most_s: float
    waited_mean_s: float
    back_s: float
    timed_out: int


@dataclass(slots=True)
class _Attempt:
    """One negotiation: of which tunnel, in which cycle, since when; `dead` once it was given up."""

    tunnel: int
    cycle: int
    began: float
    dead: bool = False


@dataclass(slots=True)
class Model:
    """Tunnels between machines; `cost_s` is one computation, `lifetime_s` that of an SA."""

    edges: Sequence[Edge]
    cost_s: float
    lifetime_s: float
    seed: int = 1
    now: float = 0.0
    _agenda: list[tuple[float, int, Callable[[], None]]] = field(default_factory=list)
    _number: Iterator[int] = field(default_factory=count)
    _free: defaultdict[str, float] = field(default_factory=lambda: defaultdict(float))
    _chance: random.Random = field(init=False)
    _begun: defaultdict[int, list[tuple[float, int]]] = field(default_factory=lambda: defaultdict(list))
    _waits: list[float] = field(default_factory=list)
    _up: dict[int, float] = field(default_factory=dict)
    _timed_out: int = 0

    def course(self, starts: Sequence[float], cycles: int = 3) -> Course:
        """Begin each tunnel at its moment, and let `cycles` pass, the start being the first."""
        self._chance = random.Random(self.seed)  # noqa: S311  nothing secret depends on it
        for tunnel, at in enumerate(starts):
            self._at(at, partial(self._begin, tunnel, 0))
        end = max(starts, default=0.0) + cycles * self.lifetime_s
        while self._agenda and self._agenda[0][0] <= end:
            self.now, _, do = heapq.heappop(self._agenda)
            do()
        back = max(self._up.values(), default=0.0) if len(self._up) == len(starts) else float("inf")
        waits = self._waits or [0.0]
        peaks = tuple(self._fullest(cycle) for cycle in range(cycles))
        return Course(peaks, max(waits), sum(waits) / len(waits), back, self._timed_out)

    def _at(self, when: float, do: Callable[[], None]) -> None:
        heapq.heappush(self._agenda, (when, next(self._number), do))

    def _begin(self, tunnel: int, cycle: int) -> None:
        attempt = _Attempt(tunnel, cycle, self.now)
        self._begun[cycle].append((self.now, tunnel))
        here, there = self.edges[tunnel]
        self._at(self.now + GIVES_UP_S, lambda: self._give_up(attempt))
        self._compute(here, attempt, 1, lambda: self._answer(attempt, here, there))

    def _answer(self, attempt: _Attempt, here: str, there: str) -> None:
        """The other side computes, whether or not anybody still waits for it: it does not know."""
        self._compute(there, attempt, 2, lambda: self._answered(attempt, here))

    def _answered(self, attempt: _Attempt, here: str) -> None:
        if not attempt.dead:
            attempt.dead = True  # nothing is given up any more
            self._compute(here, attempt, 1, lambda: self._established(attempt))

    def _established(self, attempt: _Attempt) -> None:
        self._up.setdefault(attempt.tunnel, self.now)
        share = self._chance.uniform(*SHARES)
        self._at(self.now + self.lifetime_s * share, lambda: self._begin(attempt.tunnel, attempt.cycle + 1))

    def _give_up(self, attempt: _Attempt) -> None:
        if not attempt.dead:
            attempt.dead = True
            self._timed_out += attempt.cycle == 0
            self._at(attempt.began + RETRY_S, lambda: self._begin(attempt.tunnel, attempt.cycle))

    def _compute(self, machine: str, attempt: _Attempt, operations: int, then: Callable[[], None]) -> None:
        begin = max(self.now, self._free[machine])
        if attempt.cycle == 0:
            self._waits.append(begin - self.now)
        self._free[machine] = begin + operations * self.cost_s
        self._at(self._free[machine], then)

    def _fullest(self, cycle: int) -> int:
        """The most that began within a window at one machine."""
        moments: defaultdict[str, list[float]] = defaultdict(list)
        for at, tunnel in sorted(self._begun[cycle]):
            for machine in self.edges[tunnel]:
                moments[machine].append(at)
        return max(map(_most_within, moments.values()), default=0)


def fleet(gateways: int, tunnels: int, seed: int) -> list[Edge]:
    """Tunnels of so many gateways, some with several times as many as others, each with a peer of its own.

    They come gateway by gateway, as in a script's list.
    """
    chance = random.Random(seed)  # noqa: S311  the same
    homes = sorted(int(gateways * chance.random() ** 2) for _ in range(tunnels))
    return [(f"gw{home}", f"peer{n}") for n, home in enumerate(homes)]


def _most_within(moments: Sequence[float]) -> int:
    most, first = 0, 0
    for last, at in enumerate(moments):
        while at - moments[first] >= WINDOW_S:
            first += 1
        most = max(most, last + 1 - first)
    return most
