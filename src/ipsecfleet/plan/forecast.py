"""When the fleet will compute keys: the natural rekeys that a snapshot foretells, and those of a plan.

The daemon renews an SA at its soft timeout, which it draws uniformly from 85.0 to 94.9 % of the lifetime (groundtruth
4). So the coming cycle is known where a gateway of ours renews, and each later one is a draw; a forecast makes these
draws from the tunnel's name, so it is one course that the fleet may well take, always the same for the same snapshot.
Where a foreign peer renews, its coming cycle is a draw as well, counted from when the SA was made.

A negotiation counts once at each of its two machines; one by overlap counts twice (recipes.md 4).
"""

from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from hashlib import sha256

from ipsecfleet.model.plan import Action, Negotiation, Plan
from ipsecfleet.model.sa import Sa
from ipsecfleet.model.tunnel import End, Tunnel
from ipsecfleet.plan.costs import weight
from ipsecfleet.plan.schedule import Edge
from ipsecfleet.plan.stagger import machines_of
from ipsecfleet.plan.view import View

SOONEST, LATEST = 0.850, 0.949
"""Between which shares of its lifetime an SA is renewed."""

SEVERAL = 2

MOMENT_S = 10.0
"""Negotiations that begin within so long of each other are together."""

OVERLAP_S = 5.0
"""How long after the first of its two negotiations an overlap has its second."""


@dataclass(frozen=True, slots=True)
class Computation:
    """Keys computed on one machine, so many seconds from now; `cost` in negotiations of the usual group."""

    in_s: float
    machine: str
    tunnel: str
    cost: float


@dataclass(frozen=True, slots=True)
class Peak:
    """The fullest window: how many negotiations begin in it, when it begins, what they cost, whose they are."""

    count: int = 0
    in_s: float = 0.0
    cost: float = 0.0
    tunnels: tuple[str, ...] = ()


def forecast(view: View, horizon_s: float, plan: Plan | None = None) -> tuple[Computation, ...]:
    """Every computation up to `horizon_s` from now, in order of time; with a plan, as it would be then."""
    begun = plan.negotiations if plan is not None else ()
    renewed = {(t.gateway, t.connection): n for n in begun for t in n.targets}
    chains = list(_chains(view))
    found = [c for chain in chains for c in _course(chain, horizon_s, renewed.get(chain.of))]
    known = {chain.of for chain in chains if chain.phase == 2}
    fresh = [n for n in begun if not known & {(t.gateway, t.connection) for t in n.targets}]
    found += [c for n in fresh for c in _of_plan(n, 1.0)]
    return tuple(sorted((c for c in found if c.in_s <= horizon_s), key=lambda c: (c.in_s, c.machine, c.tunnel)))


def peak(computations: Iterable[Computation], window_s: float) -> Peak:
    """The window of `window_s` seconds in which most begin; of several the first."""
    ordered = sorted(computations, key=lambda c: c.in_s)
    best, first = Peak(), 0
    for last, computation in enumerate(ordered):
        while computation.in_s - ordered[first].in_s >= window_s:
            first += 1
        if last + 1 - first > best.count:
            inside = ordered[first : last + 1]
            names = tuple(dict.fromkeys(c.tunnel for c in inside))
            best = Peak(len(inside), inside[0].in_s, sum(c.cost for c in inside), names)
    return best


def per_window(computations: Iterable[Computation], window_s: float, horizon_s: float) -> tuple[int, ...]:
    """How many begin in each window from now on."""
    counts = Counter(int(c.in_s // window_s) for c in computations)
    return tuple(counts[n] for n in range(int(-(-horizon_s // window_s))))


def outlook(view: View, plan: Plan) -> Iterator[str]:
    """What to know of the cycle that follows a plan of several negotiations: where it comes together again."""
    if len(plan.negotiations) < SEVERAL:
        return
    ends_s = max(n.begin_s for n in plan.negotiations)
    lifetimes = [sa.lifetime_s or 0 for t in view.tunnels for e in t.ends for sa in e.live]
    coming = [c for c in forecast(view, ends_s + max(lifetimes, default=0), plan) if c.in_s > ends_s + MOMENT_S]
    ours = {n for n in view.snapshot.gateways if any(n in m.machines for m in plan.negotiations)}
    peaks = {name: peak((c for c in coming if c.machine == name), MOMENT_S) for name in sorted(ours)}
    where = max(peaks, key=lambda name: peaks[name].count, default=None)
    if where is not None and peaks[where].count > 1:
        top = peaks[where]
        text = f"the next cycle peaks at {top.count} within {MOMENT_S:.0f} s on {where}, {top.in_s / 60:.0f} minutes on"
        yield f"{text}; a longer --spread keeps it apart"


@dataclass(frozen=True, slots=True)
class _Chain:
    """What one SA and its successors do: renewed first `in_s` from now, by one that lives `lifetime_s`.

    `of` is the gateway where it is known, and the connection there.
    """

    of: tuple[str, str | None]
    tunnel: str
    phase: int
    machines: Edge
    in_s: float
    lifetime_s: float
    cost: float


def _chains(view: View) -> Iterator[_Chain]:
    told: set[tuple[str, str | None]] = set()
    for tunnel in view.tunnels:
        renewing = {e.gateway for e in tunnel.ends if any(sa.stayalive for sa in e.live)}
        for end in tunnel.ends:
            if end.gateway in renewing or not renewing:
                phase1 = [sa for sa in end.phase1_sas if (end.gateway, sa.icookie) not in told]
                told |= {(end.gateway, sa.icookie) for sa in phase1}
                yield from _of_end(view, tunnel, end, phase1)


def _of_end(view: View, tunnel: Tunnel, end: End, phase1: Iterable[Sa]) -> Iterator[_Chain]:
    """Both phases of one end; a phase 1 is told of with the first of its tunnels."""
    group = view.connection(end).group
    for sa in (*end.live, *(sa for sa in phase1 if sa.stayalive and not sa.replaced)):
        due = _due(tunnel.name, sa)
        if due is not None and sa.lifetime_s:
            cost = weight(group) if sa.phase == 2 else 1.0
            of = (end.gateway, end.connection)
            yield _Chain(of, tunnel.name, sa.phase, machines_of(tunnel, end), due, float(sa.lifetime_s), cost)


def _due(name: str, sa: Sa) -> float | None:
    """When it is renewed: known where we do that, else as the peer may draw it; None where that is over."""
    if sa.stayalive:
        return None if sa.soft_s is None else float(sa.soft_s)
    if sa.age_s is None or sa.lifetime_s is None:
        return None
    return max(0.0, sa.lifetime_s * _share(name, 0) - sa.age_s)


def _course(chain: _Chain, horizon_s: float, renewed: Negotiation | None) -> Iterator[Computation]:
    """Its computations up to the horizon; a negotiation of a plan comes in between and is counted from then on."""
    at, cycle = chain.in_s, 0
    if renewed is not None and chain.phase == 2:
        while at < renewed.begin_s:
            yield from _both(at, chain.machines, chain.tunnel, chain.cost)
            cycle += 1
            at += chain.lifetime_s * _share(chain.tunnel, cycle)
        yield from _of_plan(renewed, chain.cost)
        cycle += 1
        at = renewed.begin_s + chain.lifetime_s * _share(chain.tunnel, cycle)
    while at <= horizon_s:
        yield from _both(at, chain.machines, chain.tunnel, chain.cost)
        cycle += 1
        at += chain.lifetime_s * _share(chain.tunnel, cycle)


def _of_plan(negotiation: Negotiation, cost: float) -> Iterator[Computation]:
    yield from _both(negotiation.begin_s, negotiation.machines, negotiation.tunnel, cost)
    if any(step.action is Action.OVERLAP for step in negotiation.steps):
        yield from _both(negotiation.begin_s + OVERLAP_S, negotiation.machines, negotiation.tunnel, cost)


def _both(at: float, machines: Edge, tunnel: str, cost: float) -> Iterator[Computation]:
    return (Computation(at, machine, tunnel, cost) for machine in machines)


def _share(name: str, cycle: int) -> float:
    """A draw as the daemon makes them, the same each time for the same tunnel and cycle."""
    drawn = int.from_bytes(sha256(f"{name} {cycle}".encode(errors="surrogatepass")).digest()[:4])
    return SOONEST + (LATEST - SOONEST) * drawn / 2**32
