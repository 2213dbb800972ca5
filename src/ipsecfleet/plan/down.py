"""down: a tunnel is taken down at every end of ours, kept down, and its neighbours stay as they are.

Order (recipes.md 5): hold and `t quick` at the end that begins the negotiations, then at the other; then phase 1, and
the peer with it, where nobody else needs them, because a phase 2 DELETE needs phase 1. A list takes effect at the
re-initialisation 5 s later only, so the proof comes after `settle_s`. What returns under a neighbour's name does so
within 60 s, so where that can happen the look is repeated after 70.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from itertools import chain

from ipsecfleet.errors import RefusedError
from ipsecfleet.model.condition import Condition, CookiesGone, Gone, Listed, PeerKnown, Role, SoleHolder
from ipsecfleet.model.net import same_address
from ipsecfleet.model.plan import Action, Plan, Step, Target, Undo, Wave
from ipsecfleet.model.sa import Sa
from ipsecfleet.model.snapshot import Listing, Unknown
from ipsecfleet.model.tunnel import End, State, Tunnel
from ipsecfleet.plan import refuse
from ipsecfleet.plan.view import View, is_active

LOOK_AGAIN_S = 70.0
"""A peer tries again within its check interval, 60 s; ten more for the negotiation."""

HELD_FORM = {Listing.ACTIVE: Listing.HELD_ACTIVE, Listing.PASSIVE: Listing.HELD_PASSIVE}


class Strength(StrEnum):
    """How much `down` does: the classic lines; also off its list; or what `ipsecctl -d` removes."""

    ONCE = "once"
    HOLD = "hold"
    REMOVE = "remove"


@dataclass(frozen=True, slots=True)
class DownOptions:
    """What the operator asked for; `settle_s` is seconds of the gateway's clock, None for the default."""

    strength: Strength = Strength.HOLD
    settle_s: float = 8.0
    settle_given: bool = False
    wait: bool = True
    forced: frozenset[str] = frozenset()


def plan_down(view: View, chosen: Sequence[Tunnel], options: DownOptions) -> Plan:
    """What takes `chosen` down; pure and deterministic.

    A tunnel that is down already, and held where that was asked for, is in `already` and costs nothing.
    """
    work = [t for t in chosen if not is_already(view, t, options.strength)]
    job = _Job(view, work, options)
    steps = list(chain.from_iterable(job.steps_of(t, e) for t in work for e in job.reachable(t)))
    late = list(job.phase1_steps())
    waves = _waves(work, steps, late)
    touched = frozenset(s.gateway for s in (*steps, *late))
    disguise = job.may_return_disguised()
    return Plan(
        verb="down",
        waves=waves,
        targets=tuple(_target(t, e) for t in work for e in job.reachable(t)),
        already=tuple(t.name for t in chosen if t not in work),
        refusals=refuse.without(job.refusals(touched), options.forced),
        notes=tuple(job.notes(touched)),
        settle_s=options.settle_s if waves else 0.0,
        caveats=("not proven against the peer's next attempt",) if disguise and options.settle_given else (),
        look_again_s=LOOK_AGAIN_S if waves and disguise and not options.settle_given else 0.0,
    )


def is_already(view: View, tunnel: Tunnel, strength: Strength) -> bool:
    """Whether nothing is left to do: no live SA, no flow but a deny, nothing negotiating, and held if asked for."""
    ends = [e for e in tunnel.ends if not (view.backup(e.gateway) and strength is Strength.ONCE)]
    return all(_is_down(e) and (strength is Strength.ONCE or not _may_start(e)) for e in ends)


def _is_down(end: End) -> bool:
    negotiating = any(x.ours and not x.finished for x in end.exchanges)
    flows = any(f.type != "deny" for f in end.flows)
    return end.state is not State.UNKNOWN and not (end.live or flows or negotiating or end.kept_up)


def _may_start(end: End) -> bool:
    return end.listing in HELD_FORM


class _Job:
    """One planning of `down`: the view, what was chosen, and what follows from both."""

    def __init__(self, view: View, chosen: Sequence[Tunnel], options: DownOptions) -> None:
        self.view = view
        self.chosen = chosen
        self.options = options
        self.pairs = [(t, e) for t in chosen for e in self.reachable(t)]
        self.names = {(e.gateway, e.connection) for _, e in self.pairs}
        self.chosen_ends = {_identity(e) for _, e in self.pairs}

    def reachable(self, tunnel: Tunnel) -> list[End]:
        return [e for e in tunnel.ends if e.state is not State.UNKNOWN and e.connection is not None]

    def _others(self, gateway: str) -> list[tuple[Tunnel, End]]:
        """The ends on a gateway that are not of this run."""
        return [(t, e) for t, e in self.view.ends_on(gateway) if _identity(e) not in self.chosen_ends]

    def steps_of(self, tunnel: Tunnel, end: End) -> Iterable[Step]:
        """Hold and `t quick` (or the unloading of the file) at one end; a CARP backup is only held."""
        backup = self.view.backup(end.gateway)
        if self.options.strength is Strength.REMOVE:
            yield self._unload(tunnel, end)
            return
        if self.options.strength is Strength.HOLD and end.listing in HELD_FORM:
            yield self._hold(tunnel, end)
        if not backup:
            yield from (self._quick(tunnel, end, name) for name in self._names_to_quick(end))

    def _names_to_quick(self, end: End) -> list[str]:
        """The names its SAs bear, as the report spells them; its own also without an SA, to end the daemon's trying."""
        names = list(dict.fromkeys(sa.name for sa in end.live if sa.name is not None))
        own = [n for n in names if n.lower() == str(end.connection).lower()]
        if not own and (end.kept_up or end.exchanges or end.listing in HELD_FORM):
            names.append(str(end.connection))
        return [n for n in names if not self._shared(end, n) or "shared-name" in self.options.forced]

    def _hold(self, tunnel: Tunnel, end: End) -> Step:
        name = str(end.connection)
        return Step(
            gateway=end.gateway,
            tunnel=tunnel.name,
            action=Action.HOLD,
            needs=(Listed(name, end.listing),),
            proof=(Listed(name, HELD_FORM[end.listing]),),
            undo=Undo(Action.RELEASE, "back on the list it stood in"),
            connection=name,
            listing=end.listing,
        )

    def _quick(self, tunnel: Tunnel, end: End, name: str) -> Step:
        forced = "shared-name" in self.options.forced
        sole = () if forced or end.peer is None else (SoleHolder(name, end.peer),)
        back = Undo(Action.CONNECT, "negotiated anew") if is_active(end) else Undo(None, "the other end begins")
        return Step(
            gateway=end.gateway,
            tunnel=tunnel.name,
            action=Action.QUICK,
            needs=(*self._master(end), *sole),
            proof=(Gone(frozenset(s for sa in end.live if sa.name == name for s in sa.spis)),),
            undo=back,
            connection=name,
            peer=end.peer,
        )

    def _unload(self, tunnel: Tunnel, end: End) -> Step:
        return Step(
            gateway=end.gateway,
            tunnel=tunnel.name,
            action=Action.UNLOAD,
            needs=self._master(end),
            proof=(Gone(end.spis), Listed(str(end.connection), Listing.NONE)),
            undo=Undo(Action.LOAD, "the same file, loaded again"),
            connection=end.connection,
            peer=end.peer,
            file=conf_path(self.view, tunnel, end),
        )

    def _master(self, end: End) -> tuple[Condition, ...]:
        carp = self.view.gateway(end.gateway).carp
        return (Role(carp.interface),) if carp is not None and not self.view.backup(end.gateway) else ()

    def phase1_steps(self) -> Iterable[Step]:
        """`t main`, and the peer's entry with it, for every phase 1 that nobody outside the selection needs."""
        done: set[tuple[str, str]] = set()
        for tunnel, end in self.pairs:
            key = (end.gateway, str(end.peer))
            if end.peer is None or key in done or self.needed_by_others(end):
                continue
            done.add(key)
            if self.options.strength is Strength.HOLD and self._peer_can_go(end):
                yield self._peer_off(tunnel, end)
            if not self.view.backup(end.gateway):
                yield from self._mains(tunnel, end)

    def needed_by_others(self, end: End) -> tuple[str, ...]:
        """Tunnels, not of this run, that use the phase 1 of this end: by peer, or by its name."""
        others = self._others(end.gateway)
        same = ((t, e) for t, e in others if same_address(e.peer, end.peer) or (e.phase1 and e.phase1 == end.phase1))
        return tuple(t.name for t, e in same if e.live or e.listing in HELD_FORM or e.kept_up)

    def _mains(self, tunnel: Tunnel, end: End) -> Iterable[Step]:
        ready = [sa for sa in end.phase1_sas if not sa.replaced and sa.name is not None]
        for name in dict.fromkeys(str(sa.name) for sa in ready):
            if self._holders_of_phase1(end, name):
                continue
            cookies = frozenset(str(sa.icookie) for sa in ready if sa.name == name)
            yield Step(
                gateway=end.gateway,
                tunnel=tunnel.name,
                action=Action.MAIN,
                needs=self._master(end),
                proof=(CookiesGone(cookies),),
                undo=Undo(None, "phase 1 comes with the next negotiation"),
                phase1=name,
                peer=end.peer,
            )

    def _holders_of_phase1(self, end: End, name: str) -> tuple[Sa, ...]:
        """Phase 1 SAs of that name with another peer: `t main` would reach them too."""
        sas = (sa for sa in self.view.sas(end.gateway) if sa.phase == 1 and sa.ready and not sa.replaced)
        return tuple(sa for sa in sas if sa.name == name and not same_address(sa.dst, end.peer))

    def _peer_can_go(self, end: End) -> bool:
        """Whether the peer has an entry of its own in `[Phase 1]`, and no loaded default peer would match it then."""
        seen = self.view.seen(end.gateway)
        if seen is None or isinstance(seen.peer_names, Unknown) or end.listing is Listing.NONE:
            return False
        names = {a.lower(): n for a, n in seen.peer_names.items()}
        return any(same_address(a, end.peer) for a in names) and names.get("default", "").lower() != "peer-default"

    def _peer_off(self, tunnel: Tunnel, end: End) -> Step:
        peer = str(end.peer)
        seen = self.view.seen(end.gateway)
        names = {} if seen is None or isinstance(seen.peer_names, Unknown) else seen.peer_names
        address, name = next((a, n) for a, n in names.items() if same_address(a, peer))
        return Step(
            gateway=end.gateway,
            tunnel=tunnel.name,
            action=Action.PEER_OFF,
            needs=(PeerKnown(peer, known=True),),
            proof=(PeerKnown(peer, known=False),),
            undo=Undo(Action.RELEASE, "its entry back in [Phase 1]"),
            phase1=name,
            peer=address,
        )

    def _shared(self, end: End, name: str) -> tuple[str, ...]:
        """Who else, outside the selection, has a live SA of that name on this gateway."""
        holders = self._others(end.gateway)
        bearing = ((t, e) for t, e in holders if any((sa.name or "").lower() == name.lower() for sa in e.live))
        return tuple(f"{t.name} with {e.peer}" for t, e in bearing)

    def _same_name_other_peer(self, end: End) -> tuple[str, ...]:
        """Peers that share this end's own name within the selection's end itself (several cookies under one name)."""
        peers = {sa.dst for sa in end.live if not same_address(sa.dst, end.peer)} - {None}
        return tuple(sorted(str(p) for p in peers)) if end.peer is not None else ()

    def may_return_disguised(self) -> bool:
        return self.options.strength is not Strength.ONCE and any(self._disguises(e) for _, e in self.pairs)

    def _disguises(self, end: End) -> tuple[str, ...]:
        """Names of neighbours with the same local network, under which an active peer would come back."""
        if end.selectors is None or not self._peer_begins(end) or self._goes_whole(end):
            return ()
        others = self._others(end.gateway)
        there = (e for _, e in others if e.selectors and e.selectors.local == end.selectors.local)
        return tuple(str(e.connection) for e in there if e.listing in HELD_FORM)

    def _peer_begins(self, end: End) -> bool:
        """Whether the peer may begin by itself: it is not ours, and this end waits for it or has answered it."""
        if self.view.ours(end.peer):
            return False
        answered = any(sa.role is not None and sa.role.value == "responder" for sa in end.phase1_sas)
        return end.listing is Listing.PASSIVE or answered

    def _goes_whole(self, end: End) -> bool:
        """Whether the peer's own entry goes, so that it cannot come back at all."""
        hold = self.options.strength is Strength.HOLD
        return hold and not self.needed_by_others(end) and self._peer_can_go(end)

    def refusals(self, touched: frozenset[str]) -> Iterable[RefusedError]:
        yield from refuse.other_end(self.chosen)
        yield from self._shared_names()
        yield from refuse.carp_backup(self.view, self.chosen)
        yield from refuse.own_session(self.view, self.chosen, self.view.snapshot.gateways)
        yield from refuse.tunnels_down(self.view, self.chosen)
        yield from refuse.gateways_touched(self.view, touched, self.chosen)
        if self.options.strength is not Strength.ONCE:
            for gateway in sorted(self._relisted()):
                yield from refuse.wakes_others(self.view, gateway, self._names_on(gateway))
        if self.options.strength is Strength.REMOVE:
            yield from self._unremovable()

    def _shared_names(self) -> Iterable[RefusedError]:
        for tunnel, end in self.pairs:
            for name in dict.fromkeys(sa.name for sa in end.live if sa.name is not None):
                holders = (*self._shared(end, name), *self._same_name_other_peer(end))
                if holders:
                    text = f"{tunnel.name}: {name} on {end.gateway} is also the name of {', '.join(holders)}"
                    yield refuse.refusal("shared-name", tunnel.name, text, "hold all tunnels of that peer")

    def _unremovable(self) -> Iterable[RefusedError]:
        for tunnel, end in self.pairs:
            why = self._file_fault(tunnel, end)
            if why:
                yield RefusedError(
                    f"{tunnel.name}: {why}", kind="file", obj=tunnel.name, hint="use --hold, the default, instead"
                )

    def _file_fault(self, tunnel: Tunnel, end: End) -> str:
        """Why the conf file of this end cannot be unloaded, or nothing."""
        path = conf_path(self.view, tunnel, end)
        seen = self.view.seen(end.gateway)
        if path is None or seen is None:
            return f"the inventory names no conf file for its end on {end.gateway}"
        names = seen.conf.get(path, Unknown("not read"))
        if isinstance(names, Unknown):
            return f"{path} on {end.gateway} could not be read: {names.why}"
        if str(end.connection) not in {n for _, n in names}:
            return f"{path} on {end.gateway} does not make {end.connection}"
        foreign = [n for _, n in names if (end.gateway, n) not in self.names]
        return f"{path} on {end.gateway} also makes {foreign[0]}, which was not selected" if foreign else ""

    def _relisted(self) -> frozenset[str]:
        return frozenset(e.gateway for _, e in self.pairs if e.listing in HELD_FORM)

    def _names_on(self, gateway: str) -> frozenset[str]:
        return frozenset(str(name) for where, name in self.names if where == gateway)

    def notes(self, touched: frozenset[str]) -> Iterable[str]:
        """What the operator must know before saying yes, most important first."""
        yield from self._clear_notes()
        for tunnel, end in self.pairs:
            others = self.needed_by_others(end)
            if others and end.phase1_sas:
                yield f"{end.gateway}: phase 1 with {end.peer} stays, {_some(others)} needs it too"
            disguises = self._disguises(end)
            if disguises:
                yield f"{end.gateway}: {end.peer} may come back as {_some(disguises)}; looked at again after 70 s"
            if end.listing is Listing.NONE and self.options.strength is Strength.HOLD:
                yield f"{tunnel.name} on {end.gateway} stands in no list, so there is nothing to hold: t quick only"
        if self.options.strength is not Strength.ONCE:
            for gateway in sorted(self._relisted() & touched):
                yield from self._reinit_notes(gateway)
        yield from self._strength_notes()

    def _clear_notes(self) -> Iterable[str]:
        pairs = {frozenset((str(s.local), str(s.remote))) for _, e in self.pairs if (s := e.selectors) and e.flows}
        for pair in sorted(sorted(p) for p in pairs):
            yield f"traffic between {' and '.join(pair)} may leave in clear"

    def _reinit_notes(self, gateway: str) -> Iterable[str]:
        names = self._names_on(gateway)
        for what, found in (
            ("wakes", refuse.wakes(self.view, gateway, names)),
            ("keeps trying", refuse.tries(self.view, gateway, names)),
            ("forgets to keep up", refuse.forgets(self.view, gateway, names)),
        ):
            if found:
                yield f"{gateway}: the re-initialisation 5 s later {what} {_some(found)}"

    def _strength_notes(self) -> Iterable[str]:
        if not self.pairs:
            return
        if self.options.strength is Strength.ONCE:
            yield "--once: an active peer undoes this within 60 s, any re-initialisation within 5"
        if self.options.strength is Strength.REMOVE:
            yield "the include line in /etc/ipsec.conf brings it back at the next boot"


def conf_path(view: View, tunnel: Tunnel, end: End) -> str | None:
    """Where this end's conf file lies on its gateway, as the inventory says; None if it says nothing."""
    spec = next((s for s in view.fleet.tunnels if s.name == tunnel.name), None)
    gateway = view.fleet.gateway(end.gateway)
    if spec is None or gateway is None:
        return None
    mine = next((e for e in (spec.a, spec.b) if gateway in view.fleet.members(e)), None)
    return f"{gateway.conf_dir}/{mine.file or f'{tunnel.name}.conf'}" if mine is not None else None


def _identity(end: End) -> tuple[object, ...]:
    """What tells an end from every other: two may bear one name."""
    return (end.gateway, end.connection, end.selectors, end.peer)


def _target(tunnel: Tunnel, end: End) -> Target:
    return Target(
        tunnel=tunnel.name,
        gateway=end.gateway,
        connection=end.connection,
        peer=end.peer,
        selectors=end.selectors,
        spis=end.spis,
        cookies=frozenset(str(sa.icookie) for sa in end.phase1_sas),
        active=is_active(end),
    )


def _waves(chosen: Sequence[Tunnel], steps: list[Step], late: list[Step]) -> tuple[Wave, ...]:
    """First the ends that begin negotiations, then the others, then phase 1."""
    first = {(t.name, _leader(t)) for t in chosen}
    lead = tuple(s for s in steps if (s.tunnel, s.gateway) in first)
    rest = tuple(s for s in steps if (s.tunnel, s.gateway) not in first)
    waves = (Wave(lead, why="the end that begins"), Wave(rest, why="the other end"), Wave(tuple(late), why="phase 1"))
    return tuple(w for w in waves if w.steps)


def _leader(tunnel: Tunnel) -> str | None:
    """The gateway whose end begins the negotiations; the first where none or both do."""
    active = [e for e in tunnel.ends if is_active(e) and e.state is not State.BACKUP]
    return next((e.gateway for e in (*active, *tunnel.ends)), None)


def _some(names: Sequence[str], most: int = 3) -> str:
    more = f" and {len(names) - most} more" if len(names) > most else ""
    return ", ".join(names[:most]) + more
