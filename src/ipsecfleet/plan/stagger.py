"""When each negotiation of a run begins, in seconds, so that no machine computes more keys at once than it bears.

The slots of `schedule` follow one another: each is as long as its longest negotiation, and the gap after it. What must
wait, as for a lock-out, comes after what need not. A negotiation is moved to later where one of its machines would be
computing for a natural rekey then, which the snapshot foretells for every SA that this fleet renews; what follows on
the same machines moves with it.

`spread_s` stretches the slots evenly, so that the cycles that follow stay as far apart. Shorter than the slots take is
too short for any schedule, or for this one where tunnels form odd rings.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from ipsecfleet.errors import OperatorError
from ipsecfleet.model.plan import Negotiation, Step, Target
from ipsecfleet.model.tunnel import End, State, Tunnel
from ipsecfleet.plan import costs
from ipsecfleet.plan.schedule import Edge, schedule
from ipsecfleet.plan.view import View

KEEP_CLEAR_S = 3.0
"""How far from a natural rekey nothing is begun."""

LEAST_S = 1.0
"""What a negotiation takes at least, for the schedule: a few round trips and a look."""

ATTEMPT_S = 40.0
"""When the daemon has given an attempt up for certain: after 27 s, more where it is busy (groundtruth 1.4)."""

ROOM = "room between key computations"


@dataclass(frozen=True, slots=True)
class Pace:
    """What may be asked of a schedule: how long it takes, how many run in the whole fleet, and how many at one machine."""

    spread_s: float | None = None
    at_once: int | None = None
    at_each: int | None = None


@dataclass(frozen=True, slots=True)
class Job:
    """A negotiation without its moment: it takes about `lasts_s`, and waits `wait_s` for the reason `why`."""

    tunnel: str
    steps: tuple[Step, ...]
    targets: tuple[Target, ...]
    machines: Edge
    lasts_s: float = LEAST_S
    least_s: float = 0.0
    gap_s: float = 0.0
    wait_s: float = 0.0
    limit_s: float = ATTEMPT_S
    after: str | None = None
    why: str = ROOM


@dataclass(frozen=True, slots=True)
class Stagger:
    """The moment at which each job begins, in their order; `slots` are used where `bound` are needed at least."""

    begins_s: tuple[float, ...]
    slots: int
    bound: int

    @property
    def notes(self) -> Iterable[str]:
        """Where the slots are more than there must be."""
        if self.slots > self.bound:
            yield f"{self.slots} beginnings one after the other, where {self.bound} are needed at least"


@dataclass(frozen=True, slots=True)
class Natural:
    """A rekey that comes by itself, so many seconds from now."""

    tunnel: str
    machines: Edge
    in_s: float


def stagger(jobs: Sequence[Job], pace: Pace, view: View) -> Stagger:
    """A moment for every job. Pure and deterministic; OperatorError where `spread_s` is too short."""
    table = _Table(lambda m: view.bears(m, pace.at_each), pace.at_once, tuple(naturals(view)))
    ready = [i for i, job in enumerate(jobs) if not job.wait_s]
    waiting = [i for i, job in enumerate(jobs) if job.wait_s]
    slots: list[list[int]] = []
    bound = 0
    for group in (ready, sorted(waiting, key=lambda i: jobs[i].wait_s)):
        made = schedule([jobs[i].machines for i in group], table.capacity, pace.at_once)
        slots += [[group[number] for number in slot] for slot in made.slots]
        bound += made.bound
    lengths = [max(jobs[i].lasts_s + jobs[i].gap_s for i in slot) for slot in slots]
    stretch = _stretch(pace.spread_s, sum(lengths), jobs, slots)
    begins, base = [0.0] * len(jobs), 0.0
    for slot, length in zip(slots, lengths, strict=True):
        for i in slot:
            begins[i] = table.place(jobs[i], max(base, jobs[i].wait_s))
        base += length * stretch
    return Stagger(tuple(begins), len(slots), bound)


def negotiations(
    jobs: Sequence[Job], pace: Pace, view: View, after_s: float = 0.0, why: str = ROOM
) -> tuple[tuple[Negotiation, ...], Stagger]:
    """The jobs with their moments, in that order; none begins before `after_s`, for the reason `why`."""
    times = stagger(jobs, pace, view)
    found = [
        Negotiation(
            tunnel=job.tunnel,
            steps=job.steps,
            targets=job.targets,
            machines=job.machines,
            begin_s=after_s + begin_s,
            gap_s=job.gap_s,
            least_s=job.least_s,
            limit_s=job.limit_s,
            after=job.after,
            why=why if begin_s == 0 else job.why if begin_s == job.wait_s else ROOM,
        )
        for job, begin_s in zip(jobs, times.begins_s, strict=True)
    ]
    return tuple(sorted(found, key=lambda n: n.begin_s)), times


def gap_s(view: View, machines: Edge) -> float:
    """The longest gap that a machine of ours asks for."""
    return max((g.min_gap for g in map(view.fleet.gateway, machines) if g is not None), default=0.0)


def lasts_s(view: View, end: End) -> float:
    """About how long a negotiation of this end's connection takes."""
    return max(LEAST_S, costs.lasts_s(view.connection(end).group))


def naturals(view: View) -> Iterable[Natural]:
    """The coming rekey of every tunnel that this fleet renews, from the soft timeouts of the snapshot."""
    for tunnel in view.tunnels:
        for end in tunnel.ends:
            renewed = (sa for sa in end.live if sa.stayalive and sa.soft_s is not None)
            yield from (Natural(tunnel.name, machines_of(tunnel, end), float(sa.soft_s or 0)) for sa in renewed)


def machines_of(tunnel: Tunnel, end: End) -> Edge:
    """The two that compute for an end's negotiations: its gateway, and the other end's, or the peer's address."""
    mirror = end.selectors.mirrored() if end.selectors is not None else None
    others = [e for e in tunnel.ends if e.gateway != end.gateway]
    there = [e.gateway for e in others if e.selectors == mirror and e.state is not State.BACKUP]
    return end.gateway, (there[0] if there else end.peer or tunnel.name)


def _stretch(spread_s: float | None, least_s: float, jobs: Sequence[Job], slots: Sequence[Sequence[int]]) -> float:
    """By how much the slots are longer than they must be."""
    if spread_s is None or not slots:
        return 1.0
    last = max(jobs[i].gap_s for i in slots[-1])
    if spread_s < least_s - last:
        text = f"--spread {spread_s:.0f}s is too short: {len(slots)} slots take {least_s - last:.0f} s at least"
        raise OperatorError(text, kind="spread", obj="--spread", hint="give it more time, or fewer tunnels")
    return max(1.0, spread_s / least_s)


@dataclass(slots=True)
class _Table:
    """When each machine has room: a lane for every negotiation that it bears at once, free from some moment on."""

    capacity: Callable[[str], int]
    at_once: int | None
    naturals: tuple[Natural, ...]
    _lanes: dict[str, list[float]] = field(default_factory=dict)
    _placed: dict[str, float] = field(default_factory=dict)
    _fleet: list[float] = field(init=False)
    _due: Mapping[str, list[Natural]] = field(init=False)

    def __post_init__(self) -> None:
        self._fleet = [0.0] * (self.at_once or 0)
        due: dict[str, list[Natural]] = {}
        for natural in self.naturals:
            for machine in natural.machines:
                due.setdefault(machine, []).append(natural)
        self._due = {machine: sorted(found, key=lambda n: n.in_s) for machine, found in due.items()}

    def place(self, job: Job, earliest: float) -> float:
        """The first moment at which both machines, and the fleet, have room and nothing else to compute."""
        lanes = [self._lanes.setdefault(m, [0.0] * self.capacity(m)) for m in job.machines]
        lanes += [self._fleet] if self.at_once else []
        begin = max(earliest, *(min(lane) for lane in lanes))
        begin = self._clear(job, begin)
        for lane, gap_s in zip(lanes, (job.gap_s, job.gap_s, 0.0), strict=False):
            lane.remove(min(lane))
            lane.append(begin + job.lasts_s + gap_s)
        self._placed[job.tunnel] = begin
        return begin

    def _clear(self, job: Job, begin: float) -> float:
        """Moved past every natural rekey of its machines that comes while it would last."""
        due = sorted((n for m in job.machines for n in self._due.get(m, ())), key=lambda n: n.in_s)
        for natural in due:
            gone = natural.tunnel == job.tunnel or self._placed.get(natural.tunnel, natural.in_s) < natural.in_s
            if not gone and begin - KEEP_CLEAR_S < natural.in_s < begin + job.lasts_s + KEEP_CLEAR_S:
                begin = natural.in_s + KEEP_CLEAR_S
        return begin
