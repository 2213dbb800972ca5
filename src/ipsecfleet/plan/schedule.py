"""Which negotiations may run at the same time, so that no machine computes more keys at once than it bears.

A negotiation is an edge between the two machines that compute for it, a slot its colour. A machine that bears c at once
and has d of them needs d / c slots, rounded up; the largest of these numbers is the bound, and no schedule is shorter.
Split into c machines of at most so many edges each, a fleet without odd cycles can be coloured with exactly that many
colours (König): where the ends of an edge have no free colour in common, one has a free and the other b, and the colours
a and b are exchanged along the path of such edges that begins at the other; it never leads to the one. In an odd cycle
it may; then that edge gets the first slot beyond, and the schedule is longer than its bound.
"""

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

Edge = tuple[str, str]


@dataclass(frozen=True, slots=True)
class Schedule:
    """The numbers of the edges in each slot, in their order; `bound` slots are needed at least."""

    slots: tuple[tuple[int, ...], ...]
    bound: int


def schedule(edges: Sequence[Edge], capacity: Callable[[str], int]) -> Schedule:
    """A slot for every edge; a machine has at most `capacity` edges, 1 or more, in each. Deterministic."""
    degrees = Counter(machine for edge in edges for machine in edge)
    bound = max((-(-degree // capacity(machine)) for machine, degree in degrees.items()), default=0)
    colouring = _Colouring(bound, _split(edges, bound))
    for edge in range(len(edges)):
        colouring.add(edge)
    slots: dict[int, list[int]] = {}
    for edge, slot in enumerate(colouring.slot):
        slots.setdefault(slot, []).append(edge)
    return Schedule(tuple(tuple(slots[slot]) for slot in sorted(slots)), bound)


def _split(edges: Sequence[Edge], bound: int) -> list[tuple[int, int]]:
    """The edges between parts of machines: of each machine as many as it needs for `bound` edges at each."""
    parts: dict[tuple[str, int], int] = {}
    seen: Counter[str] = Counter()

    def part(machine: str) -> int:
        seen[machine] += 1
        return parts.setdefault((machine, (seen[machine] - 1) // bound), len(parts))

    return [(part(one), part(other)) for one, other in edges]


@dataclass(slots=True)
class _Colouring:
    """Edges that have a slot already; `at` tells the edge of a part in a slot, `used` has a bit for each slot."""

    bound: int
    ends: list[tuple[int, int]]
    slot: list[int] = field(init=False)
    at: list[dict[int, int]] = field(init=False)
    used: list[int] = field(init=False)

    def __post_init__(self) -> None:
        count = 1 + max((max(pair) for pair in self.ends), default=-1)
        self.slot = [-1] * len(self.ends)
        self.at = [{} for _ in range(count)]
        self.used = [0] * count

    def add(self, edge: int) -> None:
        """Give the edge the lowest slot that both ends have free, made free by an exchange where there is none."""
        one, other = self.ends[edge]
        free = _lowest_free(self.used[one] | self.used[other])
        if free >= self.bound:
            here, there = _lowest_free(self.used[one]), _lowest_free(self.used[other])
            free = here if self._exchange(other, here, there, one) else free
        self._put(edge, free)

    def _exchange(self, start: int, first: int, second: int, avoid: int) -> bool:
        """Exchange two slots along the path from `start`, so that it has `first` free; not if that leads to `avoid`."""
        if max(first, second) >= self.bound:
            return False
        path, part, slot = [], start, first
        while (edge := self.at[part].get(slot)) is not None:
            path.append(edge)
            one, other = self.ends[edge]
            part, slot = (other if part == one else one), first + second - slot
        if part == avoid:
            return False
        slots = [first + second - self.slot[edge] for edge in path]
        for edge in path:
            self._take(edge)
        for edge, slot in zip(path, slots, strict=True):
            self._put(edge, slot)
        return True

    def _put(self, edge: int, slot: int) -> None:
        self.slot[edge] = slot
        for part in self.ends[edge]:
            self.at[part][slot] = edge
            self.used[part] |= 1 << slot

    def _take(self, edge: int) -> None:
        for part in self.ends[edge]:
            del self.at[part][self.slot[edge]]
            self.used[part] &= ~(1 << self.slot[edge])


def _lowest_free(used: int) -> int:
    return (~used & (used + 1)).bit_length() - 1
