"""restart: a tunnel is torn down and negotiated anew by one write, an outage of milliseconds.

`t quick` and `c` at the end that begins the negotiations (recipes.md 2). Where that is a foreign peer, `t quick` alone:
its check brings the tunnel back within 60 s. A tunnel that is down anyway is brought up. `--phase both` adds `t main`
with one tunnel of every phase 1, and only when the last phase 1 that we began is older than 120 s: its responder
would not answer a new one before (recipes.md 3), and waiting costs nothing while the tunnel is still up.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from itertools import chain

from ipsecfleet.errors import RefusedError
from ipsecfleet.model.condition import Phase1Older, SoleHolder
from ipsecfleet.model.plan import Action, Plan, Step, Undo
from ipsecfleet.model.sa import Sa
from ipsecfleet.model.tunnel import End, Tunnel
from ipsecfleet.plan import refuse, steps
from ipsecfleet.plan.neighbours import Neighbours, strangers_under_phase1
from ipsecfleet.plan.renewal import Spis, Strand, left_out, strands_of
from ipsecfleet.plan.stagger import ATTEMPT_S, Job, Pace, gap_s, lasts_s, machines_of, negotiations
from ipsecfleet.plan.up import LOCKOUT_S, REINIT, bring_up
from ipsecfleet.plan.view import View

PEER_CHECK_S = 75.0
"""An active peer finds its tunnel gone at its next check, within 60 s; fifteen more for the negotiation."""

SETTLE_S = 2.0
"""Before the last look."""


@dataclass(frozen=True, slots=True)
class RestartOptions:
    """What the operator asked for; with `both` phase 1 goes too, `wait_s` is how long a bring-up is looked at."""

    both: bool = False
    wait_s: float = 135.0
    pace: Pace = field(default_factory=Pace)
    forced: frozenset[str] = frozenset()


def plan_restart(view: View, chosen: Sequence[Tunnel], options: RestartOptions, before: Spis | None = None) -> Plan:
    """What restarts `chosen`; pure and deterministic. What has new SAs since `before` is done already."""
    strands = strands_of(view, chosen, options.forced)
    work = [s for s in strands if not s.held and not (before is not None and s.is_new(before))]
    live = [s for s in work if s.live]
    lost = list(dict.fromkeys(s.tunnel for s in work if not s.live))
    restarting, bringing = _Restart(view, live, options), bring_up(view, lost, options.forced)
    jobs = (*bringing.jobs, *map(restarting.job, live))
    pace = replace(options.pace, at_once=_at_once(view, options))
    begun, times = negotiations(jobs, pace, view, bringing.after_s, REINIT)
    return Plan(
        verb="restart",
        waves=bringing.waves,
        negotiations=begun,
        at_once=pace.at_once,
        targets=(*bringing.targets, *chain.from_iterable(s.targets for s in live)),
        already=tuple(dict.fromkeys(s.tunnel.name for s in strands if s not in work and not s.held)),
        refusals=refuse.without((*restarting.refusals(), *bringing.refusals), options.forced),
        notes=tuple(dict.fromkeys([*left_out(strands), *restarting.notes(), *bringing.notes, *times.notes])),
        settle_s=SETTLE_S if live else 0.0,
    )


def _at_once(view: View, options: RestartOptions) -> int | None:
    """No more tunnels are down at one moment than may be (max_tunnels_down)."""
    if "tunnels-down" in options.forced:
        return options.pace.at_once
    carried = sum(any(e.live for e in t.ends) for t in view.tunnels)
    allowed = view.fleet.limits.max_tunnels_down.of(carried, at_least=1)
    return min(allowed, options.pace.at_once or allowed)


class _Restart:
    """One planning of `restart`; `strands` are those that are live."""

    def __init__(self, view: View, strands: Sequence[Strand], options: RestartOptions) -> None:
        self.view = view
        self.strands = strands
        self.options = options
        self.neighbours = Neighbours(view, (e for s in strands for e in s.ends))
        self._renewed: set[tuple[str, str]] = set()

    def at(self, strand: Strand) -> End:
        """The end where the lines are written."""
        waiting = (e for e in strand.masters if e.live)
        return strand.beginner() or next(waiting, strand.masters[0])

    def job(self, strand: Strand) -> Job:
        end, begins = self.at(strand), strand.beginner() is not None
        role = self.view.as_master(end.gateway, self.options.forced)
        quick = [self._quick(strand, end, name) for name in self._names(end)]
        mains = self._mains(strand, end)
        connect = steps.connect(strand.tunnel.name, end, role)[-1:] if begins else ()
        wait_s = max((self._too_young(sa) for sa in end.phase1_sas), default=0.0) if mains else 0.0
        machines = machines_of(strand.tunnel, end)
        return Job(
            tunnel=strand.tunnel.name,
            steps=(*quick, *mains, *connect),
            targets=strand.targets,
            machines=machines,
            lasts_s=lasts_s(self.view, end),
            gap_s=gap_s(self.view, machines),
            wait_s=wait_s,
            limit_s=ATTEMPT_S if begins else PEER_CHECK_S,
            why="the peer's lock-out of 120 s",
        )

    def _names(self, end: End) -> list[str]:
        """Under which names its SAs go; its own also without an SA, or `c` would wait for the next check."""
        return list(dict.fromkeys([*(str(sa.name) for sa in end.live), *([] if end.live else [str(end.connection)])]))

    def _quick(self, strand: Strand, end: End, name: str) -> Step:
        sole = () if "shared-name" in self.options.forced or end.peer is None else (SoleHolder(name, end.peer),)
        role = self.view.as_master(end.gateway, self.options.forced)
        return steps.quick(strand.tunnel.name, end, name, (*role, *sole), Undo(Action.CONNECT, "negotiated anew"))

    def _mains(self, strand: Strand, end: End) -> tuple[Step, ...]:
        """`t main`, with one tunnel of each phase 1: once is enough."""
        names = dict.fromkeys(str(sa.name) for sa in end.phase1_sas if sa.ready and not sa.replaced and sa.name)
        mine = [n for n in names if self.options.both and not strangers_under_phase1(self.view, end, n)]
        first = [n for n in mine if (end.gateway, n) not in self._renewed]
        self._renewed |= {(end.gateway, n) for n in first}
        role = self.view.as_master(end.gateway, self.options.forced)
        return tuple(steps.main(strand.tunnel.name, end, n, (*role, Phase1Older(n, LOCKOUT_S))) for n in first)

    def _too_young(self, sa: Sa) -> float:
        """How long the peer would still ignore a new phase 1; nothing where it began the last one itself."""
        return max(0.0, LOCKOUT_S + 2.0 - (sa.age_s or 0)) if sa.begun_by_us else 0.0

    def refusals(self) -> Iterable[RefusedError]:
        tunnels = list(dict.fromkeys(s.tunnel for s in self.strands))
        ends = [(s.tunnel, self.at(s)) for s in self.strands]
        yield from refuse.other_end(self.view, tunnels)
        yield from self.neighbours.sharing_a_name(ends)
        yield from refuse.carp_backup(self.view, tunnels)
        yield from refuse.own_session(self.view, tunnels, self.view.snapshot.gateways)
        yield from self._unbuildable(ends)
        yield from self._of_unknown_age(ends)

    def _unbuildable(self, ends: Iterable[tuple[Tunnel, End]]) -> Iterable[RefusedError]:
        """`t quick` would work, and `c` would fail: an outage (recipes.md 2)."""
        for tunnel, end in ends:
            if end.missing is None or end.missing:
                lacks = f"lacks {end.missing[0]}" if end.missing else "did not say what it has"
                text = f"{tunnel.name}: {end.gateway} {lacks} to build {end.connection} from, so it would not come back"
                yield RefusedError(text, kind="not-configured", obj=tunnel.name, hint="load its conf file: ipsecctl -f")

    def _of_unknown_age(self, ends: Iterable[tuple[Tunnel, End]]) -> Iterable[RefusedError]:
        for tunnel, end in ends if self.options.both else ():
            if any(sa.begun_by_us and sa.age_s is None for sa in end.phase1_sas):
                text = f"{tunnel.name}: {end.gateway} does not tell how old phase 1 with {end.peer} is"
                hint = "its peer may ignore a new one for 120 s; restart without --phase both"
                yield RefusedError(text, kind="phase1-age", obj=tunnel.name, hint=hint)

    def notes(self) -> Iterable[str]:
        for strand in self.strands:
            end, name = self.at(strand), strand.tunnel.name
            if strand.beginner() is None:
                yield f"{name}: only {end.peer} begins; it is down until its next check, up to 60 s"
            young = max((self._too_young(sa) for sa in end.phase1_sas), default=0.0) if self.options.both else 0.0
            if young:
                yield f"{name}: phase 1 is too young, its peer would ignore a new one; begun in {young:.0f} s"
            others = self.neighbours.needing_phase1_of(end) if self.options.both and end.phase1_sas else ()
            if others:
                yield f"{end.gateway}: phase 1 with {end.peer} is renewed for {refuse.some(others)} too"
