"""up: what `down` put aside goes back where it was, and the end that begins negotiations begins.

Order (recipes.md 5, groundtruth 2.2, 2.3): the peer's entry in `[Phase 1]` at both ends; the passive end back on its
list; 6 s, because it counts again only from its re-initialisation; then the active end's list and `c NAME`. An end that
answered the last phase 1 ignores a new one until 120 s after that began, so then it begins itself if it is ours, and
else we wait for it.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from itertools import chain

from ipsecfleet.errors import RefusedError
from ipsecfleet.model.condition import Buildable, Condition, Listed, PeerKnown, Role
from ipsecfleet.model.net import same_address
from ipsecfleet.model.plan import Action, Plan, Step, Target, Undo, Wave
from ipsecfleet.model.sa import Exchange
from ipsecfleet.model.snapshot import Listing, Unknown
from ipsecfleet.model.tunnel import End, State, Tunnel
from ipsecfleet.plan import refuse
from ipsecfleet.plan.down import conf_path
from ipsecfleet.plan.view import View, is_active

REINIT_S = 6.0
"""The daemon rebuilds its lists 5 s after the last change; one more to be sure."""

LOCKOUT_S = 120.0
"""How long a finished phase 1 keeps its responder from answering a new one (Exchange-max-time)."""

ORIGIN = {Listing.HELD_ACTIVE: Listing.ACTIVE, Listing.HELD_PASSIVE: Listing.PASSIVE}


@dataclass(frozen=True, slots=True)
class UpOptions:
    """What the operator asked for."""

    forced: frozenset[str] = frozenset()


def plan_up(view: View, chosen: Sequence[Tunnel], options: UpOptions) -> Plan:
    """What brings `chosen` up; pure and deterministic. A tunnel that is up at every end of ours is in `already`."""
    work = [t for t in chosen if not is_up(view, t)]
    jobs = [_Bringup(view, t) for t in work]
    back = [s for job in jobs for s in job.back()]
    begin = [job for job in jobs if job.begin()]
    waves = _waves(view, back, begin)
    refusals = chain(
        chain.from_iterable(job.refusals() for job in jobs),
        refuse.other_end(work),
        refuse.carp_backup(view, work),
        _wakes(view, work, [*back, *chain.from_iterable(job.begin() for job in begin)]),
    )
    return Plan(
        verb="up",
        waves=waves,
        targets=tuple(chain.from_iterable(job.targets() for job in jobs)),
        already=tuple(t.name for t in chosen if t not in work),
        refusals=refuse.without(refusals, options.forced),
        notes=tuple(chain.from_iterable(job.notes() for job in jobs)),
    )


def is_up(view: View, tunnel: Tunnel) -> bool:
    """Whether every end of ours that is no CARP backup is up and configured to stay so."""
    ends = [e for e in tunnel.ends if not view.backup(e.gateway)]
    held = any(e.listing.held for e in tunnel.ends)
    return bool(ends) and not held and all(e.state in {State.UP, State.REKEYING} for e in ends)


class _Bringup:
    """What one tunnel needs to come up."""

    def __init__(self, view: View, tunnel: Tunnel) -> None:
        self.view = view
        self.tunnel = tunnel
        self.ends = [e for e in tunnel.ends if e.state is not State.UNKNOWN]
        self.masters = [e for e in self.ends if not view.backup(e.gateway)]

    def targets(self) -> tuple[Target, ...]:
        return tuple(
            Target(self.tunnel.name, e.gateway, e.connection, e.peer, e.selectors, e.spis, active=is_active(e))
            for e in self.masters
        )

    def back(self) -> Iterable[Step]:
        """What must be in place before anybody begins: files, peers, passive ends."""
        for end in self.ends:
            if self._needs_file(end):
                if not self._begins(end):
                    yield self._load(end)
                continue
            address = self._taken_peer(end)
            if address is not None:
                yield self._peer_back(end, address)
            if end.listing is Listing.HELD_PASSIVE or (end.listing.held and self.view.backup(end.gateway)):
                yield self._release(end)

    def begin(self) -> tuple[Step, ...]:
        """The steps at the end that begins: its list, then `c`; none where only a foreign peer can begin."""
        active = [e for e in self.masters if self._begins(e) and not e.live]
        loaded = [self._load(e) for e in active if self._needs_file(e)]
        if loaded:
            return tuple(loaded)
        listed = [self._release(e) for e in active if e.listing is Listing.HELD_ACTIVE]
        starter = self._old_responder() or next(iter(active), None)
        return tuple(listed) + (() if starter is None else tuple(self._connect(starter)))

    def _begins(self, end: End) -> bool:
        """Whether this end may begin: its list says so, or its file, or in no list it is the only end that could."""
        if self._needs_file(end):
            return "Connections" in {where for where, _ in self._file_names(end)}
        unlisted = end.listing is Listing.NONE and not any(e.listing.active for e in self.masters if e is not end)
        return end.listing.active or (unlisted and end.connection is not None)

    def wait_s(self) -> float:
        """How long the other side, which is not ours, will not answer a new phase 1; 0 where that is no matter."""
        active = next((e for e in self.masters if self._begins(e)), None)
        if active is None or active.phase1_sas or self._old_responder() is not None:
            return 0.0
        return max((_left(x) for x in self._phase1_exchanges(active) if x.finished and x.ours), default=0.0)

    def _old_responder(self) -> End | None:
        """The end of ours that answered the last phase 1 and would ignore a new one, where one would be needed."""
        active = [e for e in self.masters if self._begins(e)]
        if not active or all(e.phase1_sas for e in active):
            return None
        others = (e for e in self.masters if e not in active and not self._needs_file(e))
        return next((e for e in others if any(not x.ours and x.finished for x in self._phase1_exchanges(e))), None)

    def _phase1_exchanges(self, end: End) -> tuple[Exchange, ...]:
        seen = self.view.seen(end.gateway)
        if seen is None or isinstance(seen.exchanges, Unknown):
            return ()
        phase1 = (x for x in seen.exchanges if x.phase == 1)
        return tuple(x for x in phase1 if x.name == end.phase1 or same_address(x.peer, end.peer))

    def _taken_peer(self, end: End) -> str | None:
        seen = self.view.seen(end.gateway)
        held = seen.held_peers if seen is not None else {}
        return next((a for a in held if same_address(a, end.peer)), None)

    def _peer_back(self, end: End, address: str) -> Step:
        seen = self.view.seen(end.gateway)
        name = (seen.held_peers.get(address) if seen is not None else None) or end.phase1
        return Step(
            gateway=end.gateway,
            tunnel=self.tunnel.name,
            action=Action.RELEASE,
            needs=(),
            proof=(PeerKnown(address, known=True),),
            undo=Undo(Action.PEER_OFF, "its entry away again"),
            phase1=name,
            peer=address,
        )

    def _release(self, end: End) -> Step:
        name = str(end.connection)
        return Step(
            gateway=end.gateway,
            tunnel=self.tunnel.name,
            action=Action.RELEASE,
            needs=(Listed(name, end.listing),),
            proof=(Listed(name, ORIGIN[end.listing]),),
            undo=Undo(Action.HOLD, "off that list again"),
            connection=name,
            listing=ORIGIN[end.listing],
        )

    def _connect(self, end: End) -> Iterable[Step]:
        """`c NAME`; a name on the keep-up list is taken off it first, or `c` would wait for its next check."""
        quick = Step(
            gateway=end.gateway,
            tunnel=self.tunnel.name,
            action=Action.QUICK,
            needs=self._master(end),
            proof=(),
            undo=Undo(Action.CONNECT, "on the keep-up list again"),
            connection=end.connection,
            peer=end.peer,
        )
        connect = replace(
            quick,
            action=Action.CONNECT,
            needs=(*self._master(end), Buildable(str(end.connection))),
            undo=Undo(Action.QUICK, "down again"),
        )
        negotiating = any(x.ours and not x.finished for x in end.exchanges)
        return (quick, connect) if end.kept_up and not negotiating else (connect,)

    def _master(self, end: End) -> tuple[Condition, ...]:
        carp = self.view.gateway(end.gateway).carp
        return (Role(carp.interface),) if carp is not None else ()

    def _needs_file(self, end: End) -> bool:
        """Whether the daemon lacks what it would build this end from, and we know the file that has it."""
        lacking = end.connection is None or bool(end.missing)
        return lacking and conf_path(self.view, self.tunnel, end) is not None

    def _file_names(self, end: End) -> tuple[tuple[str, str], ...]:
        seen = self.view.seen(end.gateway)
        names = () if seen is None else seen.conf.get(str(conf_path(self.view, self.tunnel, end)), ())
        return () if isinstance(names, Unknown) else names

    def _load(self, end: End) -> Step:
        return Step(
            gateway=end.gateway,
            tunnel=self.tunnel.name,
            action=Action.LOAD,
            needs=(),
            proof=(),
            undo=Undo(Action.UNLOAD, "the same file, unloaded"),
            connection=next((n for _, n in self._file_names(end)), end.connection),
            peer=end.peer,
            file=conf_path(self.view, self.tunnel, end),
        )

    def refusals(self) -> Iterable[RefusedError]:
        for end in self.masters:
            yield from self._file_refusal(end)
            lacking = end.missing[0] if end.missing else "the connection"
            if (end.connection is None or end.missing) and not self._needs_file(end):
                yield RefusedError(
                    f"{self.tunnel.name}: {end.gateway} lacks {lacking} to build it from",
                    kind="not-configured",
                    obj=self.tunnel.name,
                    hint="load its conf file with ipsecctl -f, or name it in the inventory",
                )

    def _file_refusal(self, end: End) -> Iterable[RefusedError]:
        """Refused: a file that cannot be read, or that makes other connections than this tunnel's."""
        if not self._needs_file(end):
            return
        path, seen = str(conf_path(self.view, self.tunnel, end)), self.view.seen(end.gateway)
        names = seen.conf.get(path, Unknown("not read")) if seen is not None else Unknown("not read")
        if isinstance(names, Unknown) or not names:
            why = names.why if isinstance(names, Unknown) else "it makes no connection"
            text = f"{self.tunnel.name}: {path} on {end.gateway} cannot be loaded: {why}"
            yield RefusedError(text, kind="file", obj=self.tunnel.name, hint="correct the file on the gateway")

    def notes(self) -> Iterable[str]:
        name = self.tunnel.name
        wait, responder = self.wait_s(), self._old_responder()
        if wait:
            yield f"{name}: the peer ignores a new phase 1 for {wait:.0f} s more; waited for"
        if responder is not None:
            yield f"{name}: begun from {responder.gateway}, which answered the last phase 1 and would ignore a new one"
        if not self.begin() and self.masters and not any(self._needs_file(e) for e in self.masters):
            yield f"{name}: only the peer begins; it tries again within 60 s, or 120 after a failed attempt"
        if any(x.ours and not x.finished for e in self.masters for x in e.exchanges):
            yield f"{name}: negotiating already; a new attempt is possible only when that has ended"


def _left(exchange: Exchange) -> float:
    return LOCKOUT_S if exchange.ends_in_s is None else float(exchange.ends_in_s)


def _waves(view: View, back: list[Step], begin: list[_Bringup]) -> tuple[Wave, ...]:
    """One wave that puts everything back, then the beginnings, no more at a time than a gateway may bear."""
    waves = [Wave(tuple(back), why="back in place")] if back else []
    pause = REINIT_S if back else 0.0
    for batch in _batches(view, begin):
        wait = max((job.wait_s() for job in batch), default=0.0)
        why = "the peer's lock-out of 120 s" if wait > pause else "the daemon's re-initialisation"
        waves.append(Wave(tuple(chain.from_iterable(j.begin() for j in batch)), max(pause, wait), why))
        pause = max((view.gateway(s.gateway).min_gap for j in batch for s in j.begin()), default=0.0)
    return tuple(waves)


def _batches(view: View, jobs: list[_Bringup]) -> Iterable[list[_Bringup]]:
    """Jobs in order, as many side by side as every gateway they touch allows."""
    left = list(jobs)
    while left:
        load: dict[str, int] = {}
        batch = []
        for job in left:
            touched = sorted(job.tunnel.gateways)
            if all(load.get(g, 0) < view.gateway(g).per_gateway_parallel for g in touched):
                batch.append(job)
                load |= {g: load.get(g, 0) + 1 for g in touched}
        left = [job for job in left if job not in batch]
        yield batch


def _wakes(view: View, chosen: Sequence[Tunnel], steps: Iterable[Step]) -> Iterable[RefusedError]:
    relisting = {s.gateway for s in steps if s.action in {Action.RELEASE, Action.LOAD} and s.peer is None}
    for gateway in sorted(relisting):
        names = frozenset(str(e.connection) for t in chosen for e in t.ends if e.gateway == gateway)
        yield from refuse.wakes_others(view, gateway, names)
