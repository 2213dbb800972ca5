"""up: what `down` put aside goes back where it was, and the end that begins negotiations begins.

Order (recipes.md 5, groundtruth 2.2, 2.3): the peer's entry in `[Phase 1]` at both ends; the passive end back on its
list; 6 s, because it counts again only from its re-initialisation; then the active end's list and `c NAME`. An end that
answered the last phase 1 ignores a new one until 120 s after that began, so then it begins itself if it is ours, and
else we wait for it.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from itertools import chain

from ipsecfleet.errors import RefusedError
from ipsecfleet.model.condition import named
from ipsecfleet.model.net import same_address
from ipsecfleet.model.plan import Action, Plan, Step, Target, Wave
from ipsecfleet.model.sa import Exchange
from ipsecfleet.model.snapshot import Listing, Unknown
from ipsecfleet.model.tunnel import End, State, Tunnel
from ipsecfleet.plan import closing, files, refuse, steps
from ipsecfleet.plan.schedule import Edge
from ipsecfleet.plan.stagger import Job, Pace, gap_s, lasts_s, machines_of, negotiations
from ipsecfleet.plan.view import View, strands, target_of

REINIT_S = 6.0
"""The daemon rebuilds its lists 5 s after the last change; one more to be sure."""

REINIT = "the daemon's re-initialisation"

LOCKOUT_S = 120.0
"""How long a finished phase 1 keeps its responder from answering a new one (Exchange-max-time)."""


@dataclass(frozen=True, slots=True)
class UpOptions:
    """What the operator asked for; `wait_s` is how long a bring-up is looked at, in seconds of the gateway's clock.

    With `let_out` the deny flows of a tunnel that stays down go.
    """

    wait_s: float = 135.0
    let_out: bool = False
    pace: Pace = field(default_factory=Pace)
    forced: frozenset[str] = frozenset()


def plan_up(view: View, chosen: Sequence[Tunnel], options: UpOptions) -> Plan:
    """What brings `chosen` up; pure and deterministic. A tunnel that is up at every end of ours is in `already`."""
    work = [t for t in chosen if not is_up(t)]
    bringing = bring_up(view, work, options.forced)
    begun, times = negotiations(bringing.jobs, options.pace, view, bringing.after_s, REINIT)
    return Plan(
        verb="up",
        waves=bringing.waves,
        negotiations=begun,
        at_once=options.pace.at_once,
        targets=bringing.targets,
        already=tuple(t.name for t in chosen if t not in work),
        refusals=refuse.without(bringing.refusals, options.forced),
        notes=tuple(dict.fromkeys([*bringing.notes, *closing.notes(work, opened=options.let_out), *times.notes])),
        otherwise=closing.let_out(work) if options.let_out else (),
    )


@dataclass(frozen=True, slots=True)
class BringingUp:
    """What brings tunnels up: `waves` put everything back, and `after_s` later the jobs may begin."""

    waves: tuple[Wave, ...]
    jobs: tuple[Job, ...]
    after_s: float
    targets: tuple[Target, ...]
    refusals: tuple[RefusedError, ...]
    notes: tuple[str, ...]


def bring_up(view: View, work: Sequence[Tunnel], forced: frozenset[str]) -> BringingUp:
    """What brings up every tunnel of `work`."""
    run = [e for t in work for e in t.ends]
    ups = [_Bringup(view, t, ends, run, forced) for t in work for ends in strands(t)]
    back = tuple(dict.fromkeys(s for up in ups for s in up.back()))
    after_s = REINIT_S if any(map(steps.relists, back)) else 0.0
    jobs = tuple(_jobs(ups, after_s))
    relisting = {s.gateway for s in (*back, *(s for j in jobs for s in j.steps)) if steps.relists(s)}
    names = {g: frozenset(str(e.connection) for e in run if e.gateway == g) for g in sorted(relisting)}
    refusals = chain(
        chain.from_iterable(up.refusals() for up in ups),
        refuse.other_end(view, work),
        refuse.carp_backup(view, work),
        chain.from_iterable(refuse.wakes_others(view, g, n) for g, n in names.items()),
    )
    notes = chain(
        chain.from_iterable(up.notes() for up in ups),
        chain.from_iterable(refuse.reinit_notes(view, g, n) for g, n in names.items()),
    )
    return BringingUp(
        waves=(Wave(back, why="back in place"),) if back else (),
        jobs=jobs,
        after_s=after_s,
        targets=tuple(chain.from_iterable(up.targets() for up in ups)),
        refusals=tuple(refusals),
        notes=tuple(notes),
    )


def is_up(tunnel: Tunnel) -> bool:
    """Whether it is up at every end that counts, and nothing of it is held."""
    return tunnel.state in {State.UP, State.REKEYING} and not any(e.listing.held for e in tunnel.ends)


class _Bringup:
    """What one pair of networks of a tunnel needs to come up; `run` are all ends that the run is about."""

    def __init__(
        self, view: View, tunnel: Tunnel, ends: Sequence[End], run: Sequence[End], forced: frozenset[str]
    ) -> None:
        self.view = view
        self.tunnel = tunnel
        self.run = run
        self.forced = forced
        self.ends = [e for e in ends if e.state is not State.UNKNOWN]
        self.masters = [e for e in self.ends if not view.stands_by(e.gateway, forced)]
        self.active = [e for e in self.masters if self._begins(e) and not e.live]
        self.old_responder = self._old_responder()
        alone = len(self.active) == 1 and self.old_responder is None
        self.beginner = self.active[0] if alone else None

    def targets(self) -> tuple[Target, ...]:
        return tuple(target_of(self.tunnel, end) for end in self.masters)

    def back(self) -> Iterable[Step]:
        """What must be in place before anybody begins: files, peers, the lists of all but the one end that begins.

        Also of an end that is active beside one that begins in its stead: it answers from its list alone.
        """
        for end in self.ends:
            early = end is not self.beginner
            if end.lacking:
                yield from self._load(end) if early else ()
                continue
            yield from self._peer_back(end)
            if early and end.listing.held:
                yield steps.release(self.tunnel.name, end)

    def begin(self) -> tuple[Step, ...]:
        """The steps at the end that begins: its list, then `c`; none where only a foreign peer can begin."""
        if self.beginner is None:
            able = (e for e in (self.old_responder, *self.active) if e is not None and not e.lacking)
            return next((self._connect(e) for e in able), ())
        if self.beginner.lacking:
            return tuple(self._load(self.beginner))
        listed = [steps.release(self.tunnel.name, self.beginner)] if self.beginner.listing.held else []
        return (*listed, *self._connect(self.beginner))

    def machines(self) -> Edge:
        """The two that compute keys for it."""
        return machines_of(self.tunnel, self.masters[0])

    def _begins(self, end: End) -> bool:
        """Whether this end may begin: its list says so, or its file, or in no list it is the only end that could."""
        if end.lacking:
            return "Connections" in {where for where, name in self._made(end) if files.is_named(end, name)}
        unlisted = end.listing is Listing.NONE and not any(e.listing.active for e in self.masters if e is not end)
        return end.listing.active or unlisted

    def wait_s(self) -> float:
        """How long the other side may not answer a new phase 1 that we would begin; 0 where that is no matter.

        A responder of ours says so itself. A foreign one does not: a lingering negotiation of ours under a phase 1 that
        is gone tells that this began no later.
        """
        if self.beginner is None or self.beginner.phase1_sas or self._negotiating():
            return 0.0
        others = [e for e in self.masters if e is not self.beginner]
        theirs = (x for e in others for x in self._lingering(e) if x.phase == 1 and not x.ours)
        ours = (x for x in self._lingering(self.beginner) if x.ours)
        return max(map(_left, theirs if others else ours), default=0.0)

    def _old_responder(self) -> End | None:
        """The end of ours that answered the last phase 1 and would ignore a new one, where one would be needed."""
        if any(e.phase1_sas for e in self.active):
            return None
        others = (e for e in self.masters if e not in self.active and not (e.live or e.phase1_sas or e.missing))
        answered = (e for e in others if any(x.phase == 1 and not x.ours for x in self._lingering(e)))
        return next((e for e in answered if not e.lacking), None)

    def _negotiating(self) -> list[float]:
        """How long each negotiation of ours that is under way may still last: until then `c` is ignored."""
        return [_left(x) for e in self.masters for x in e.exchanges if x.ours and not x.finished]

    def _lingering(self, end: End) -> Iterable[Exchange]:
        """Negotiations with this end's peer that are over and still on the daemon's table."""
        seen = self.view.seen(end.gateway)
        exchanges = () if seen is None or isinstance(seen.exchanges, Unknown) else seen.exchanges
        with_peer = (x for x in exchanges if (end.phase1 and x.name == end.phase1) or same_address(x.peer, end.peer))
        return (x for x in with_peer if x.finished)

    def _peer_back(self, end: End) -> Iterable[Step]:
        seen = self.view.seen(end.gateway)
        held = seen.held_peers.items() if seen is not None else ()
        taken = ((a, name) for a, name in held if same_address(a, end.peer))
        return (steps.peer_back(self.tunnel.name, end.gateway, a, name or end.phase1) for a, name in taken)

    def _connect(self, end: End) -> tuple[Step, ...]:
        """`c`, with no `t quick` before it where a neighbour's SA bears the name."""
        begin = steps.connect(self.tunnel.name, end, self.view.as_master(end.gateway, self.forced))
        return begin[-1:] if named(self.view.sas(end.gateway), end.connection) else begin

    def _made(self, end: End) -> tuple[tuple[str, str], ...]:
        return files.made(self.view, self.tunnel, end)

    def _load(self, end: End) -> Iterable[Step]:
        path = files.conf_path(self.view, self.tunnel, end)
        if path is not None:
            yield steps.load(self.tunnel.name, end.gateway, path, self._made(end))

    def refusals(self) -> Iterable[RefusedError]:
        """Refused: what the daemon could not build, and no file of ours has."""
        name = self.tunnel.name
        for end in self.ends:
            fault = files.fault(self.view, self.tunnel, end, self.run) if end.lacking else ""
            if fault:
                text = f"{name}: {end.gateway} lacks {end.lacking[0]} to build it from, and {fault}"
                hint = "load its conf file with ipsecctl -f, or correct it"
                yield RefusedError(text, kind="not-configured", obj=name, hint=hint)
            elif end.connection is not None and end.missing is None:
                text = f"{name}: {end.gateway} did not say what it would build {end.connection} from"
                yield RefusedError(text, kind="not-configured", obj=name, hint="run it again")

    def notes(self) -> Iterable[str]:
        """What the operator must know before saying yes."""
        name = self.tunnel.name
        wait, responder = self.wait_s(), self.old_responder
        if wait:
            yield f"{name}: the peer may ignore a new phase 1 for {wait:.0f} s more; waited for"
        if responder is not None:
            yield f"{name}: begun from {responder.gateway}, which answered the last phase 1 and would ignore a new one"
        if self.masters and not self.begin() and not any(e.live for e in self.masters):
            yield f"{name}: only the peer begins; it tries again within 60 s, or 120 after a failed attempt"
        if self._negotiating():
            yield f"{name}: negotiating already; a new attempt is possible in {max(self._negotiating()):.0f} s"


def _left(exchange: Exchange) -> float:
    return LOCKOUT_S if exchange.ends_in_s is None else float(exchange.ends_in_s)


def _jobs(ups: Iterable[_Bringup], after_s: float) -> Iterable[Job]:
    """The beginnings; what begins by the same steps, as by one file, is one."""
    together: dict[tuple[Step, ...], list[_Bringup]] = {}
    for up in ups:
        begin = up.begin()
        if begin:
            together.setdefault(begin, []).append(up)
    for begin, same in together.items():
        first = same[0]
        loads = any(s.action is Action.LOAD for s in begin)
        yield Job(
            tunnel=first.tunnel.name,
            steps=begin,
            targets=tuple(t for up in same for t in up.targets()),
            machines=first.machines(),
            lasts_s=REINIT_S if loads else lasts_s(first.view, first.masters[0]),
            gap_s=gap_s(first.view, first.machines()),
            wait_s=max(0.0, max(up.wait_s() for up in same) - after_s),
            why="the peer's lock-out of 120 s",
        )
