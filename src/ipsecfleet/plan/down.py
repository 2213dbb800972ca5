"""down: a tunnel is taken down at every end of ours, kept down, and its neighbours stay as they are.

Order (recipes.md 5): hold and `t quick` at the end that begins the negotiations, then at the other; then phase 1, and
the peer with it, where nobody else needs them, because a phase 2 DELETE needs phase 1. A list takes effect at the
re-initialisation 5 s later only, so the proof comes after `settle_s`. What returns under a neighbour's name does so
within 60 s, so where that can happen the look is repeated after 70.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from itertools import chain

from ipsecfleet.errors import RefusedError
from ipsecfleet.model.condition import SoleHolder
from ipsecfleet.model.net import same_address
from ipsecfleet.model.plan import Action, Plan, Step, Undo, Wave
from ipsecfleet.model.sa import Role
from ipsecfleet.model.snapshot import Listing, Unknown
from ipsecfleet.model.tunnel import End, State, Tunnel
from ipsecfleet.plan import closing, files, refuse, steps
from ipsecfleet.plan.neighbours import Neighbours, strangers_under_phase1
from ipsecfleet.plan.steps import HELD_FORM
from ipsecfleet.plan.view import View, is_active, target_of

LOOK_AGAIN_S = 70.0
"""A peer tries again within its check interval, 60 s; ten more for the negotiation."""


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
    fail_closed: bool = False
    forced: frozenset[str] = frozenset()


def plan_down(view: View, chosen: Sequence[Tunnel], options: DownOptions) -> Plan:
    """What takes `chosen` down; pure and deterministic.

    A tunnel that is down already, and held where that was asked for, is in `already` and costs nothing; one that an
    interrupted run left with its peer or its phase 1 is finished.
    """
    left = {s.tunnel for s in _Job(view, chosen, options).phase1_steps()}
    work = [t for t in chosen if t.name in left or not _is_done(view, t, options)]
    job = _Job(view, work, options)
    early = list(dict.fromkeys(chain.from_iterable(job.steps_of(t, e) for t, e in job.readable)))
    late = list(job.phase1_steps())
    waves = _waves(work, early, late)
    touched = frozenset(s.gateway for s in (*early, *late))
    disguise = job.may_return_disguised()
    return Plan(
        verb="down",
        waves=waves,
        targets=tuple(target_of(t, e) for t, e in job.readable),
        already=tuple(t.name for t in chosen if t not in work),
        refusals=refuse.without(job.refusals(touched), options.forced),
        notes=tuple(job.notes(touched)),
        settle_s=options.settle_s if waves else 0.0,
        caveats=("not proven against the peer's next attempt",) if disguise and options.settle_given else (),
        look_again_s=LOOK_AGAIN_S if waves and disguise and not options.settle_given else 0.0,
    )


def _is_done(view: View, tunnel: Tunnel, options: DownOptions) -> bool:
    closed = not options.fail_closed or closing.is_closed(view, tunnel)
    return closed and is_already(view, tunnel, options.strength)


def is_already(view: View, tunnel: Tunnel, strength: Strength) -> bool:
    """Whether nothing is left to do: no live SA, no flow but a deny, nothing negotiating, and held if asked for.

    The classic lines are not for a CARP backup, nor for a member that cannot be read while another is master.
    """
    if any(view.unnamed(e.gateway) for e in tunnel.ends):
        return False
    if strength is not Strength.ONCE:
        return all(_is_down(e) and e.listing not in HELD_FORM for e in tunnel.ends)
    ends = [e for e in tunnel.ends if not (view.backup(e.gateway) or view.covered(e.gateway))]
    return bool(ends) and all(map(_is_down, ends))


def _is_down(end: End) -> bool:
    negotiating = any(x.ours and not x.finished for x in end.exchanges)
    flows = any(f.type != "deny" for f in end.flows)
    return end.state is not State.UNKNOWN and not (end.live or flows or negotiating or end.kept_up)


class _Job:
    """One planning of `down`: the view, what was chosen, and what follows from both."""

    def __init__(self, view: View, chosen: Sequence[Tunnel], options: DownOptions) -> None:
        self.view = view
        self.chosen = chosen
        self.options = options
        self.readable = [(t, e) for t in chosen for e in t.ends if e.state is not State.UNKNOWN]
        self.pairs = [(t, e) for t, e in self.readable if e.connection is not None]
        self.names = {(e.gateway, e.connection) for _, e in self.pairs}
        self.neighbours = Neighbours(view, (e for _, e in self.readable))

    def steps_of(self, tunnel: Tunnel, end: End) -> Iterable[Step]:
        """What takes one end down, and what closes it then."""
        if end.connection is not None:
            yield from self._teardown(tunnel, end)
        if self.options.fail_closed:
            yield from closing.close(tunnel, end)

    def _teardown(self, tunnel: Tunnel, end: End) -> Iterable[Step]:
        """Hold and `t quick` (or the unloading of the file) at one end; a CARP backup is only held."""
        if self.options.strength is Strength.REMOVE:
            yield from self._unload(tunnel, end)
            return
        if self.options.strength is Strength.HOLD and end.listing in HELD_FORM:
            yield steps.hold(tunnel.name, end)
        if not self.view.stands_by(end.gateway, self.options.forced):
            yield from (self._quick(tunnel, end, name) for name in self._names_to_quick(end))

    def _names_to_quick(self, end: End) -> list[str]:
        """The names its SAs bear, as the report spells them; its own also without an SA, to end the daemon's trying."""
        names = list(dict.fromkeys(sa.name for sa in end.live if sa.name is not None))
        own = [n for n in names if n.lower() == str(end.connection).lower()]
        trying = end.kept_up or any(not x.finished for x in end.exchanges)
        if not own and (trying or end.listing in HELD_FORM):
            names.append(str(end.connection))
        return [n for n in names if not self.neighbours.bearing(end, n) or "shared-name" in self.options.forced]

    def _quick(self, tunnel: Tunnel, end: End, name: str) -> Step:
        forced = self.options.forced
        sole = () if "shared-name" in forced or end.peer is None else (SoleHolder(name, end.peer),)
        back = Undo(Action.CONNECT, "negotiated anew") if is_active(end) else Undo(None, "the other end begins")
        return steps.quick(tunnel.name, end, name, (*self.view.as_master(end.gateway, forced), *sole), back)

    def _unload(self, tunnel: Tunnel, end: End) -> Iterable[Step]:
        path = files.conf_path(self.view, tunnel, end)
        if path is None:
            return
        names = {name for _, name in files.made(self.view, tunnel, end)}
        ends = [e for _, e in self.pairs if e.gateway == end.gateway and e.connection in names]
        backup = self.view.backup(end.gateway)
        needs = () if backup else self.view.as_master(end.gateway, self.options.forced)
        yield steps.unload(tunnel.name, end.gateway, path, ends, needs)

    def phase1_steps(self) -> Iterable[Step]:
        """`t main`, and the peer's entry with it, for every phase 1 that nobody outside the selection needs."""
        peers: dict[tuple[str, str], list[tuple[Tunnel, End]]] = {}
        for tunnel, end in self.pairs:
            if end.peer is not None and not self.neighbours.needing_phase1_of(end):
                peers.setdefault((end.gateway, end.peer), []).append((tunnel, end))
        for (gateway, _), pairs in peers.items():
            yield from (self._peer_off(t, e) for t, e in [p for p in pairs if self._goes_whole(p[1])][:1])
            if not self.view.stands_by(gateway, self.options.forced):
                yield from {s.phase1: s for t, e in pairs for s in self._mains(t, e)}.values()

    def _mains(self, tunnel: Tunnel, end: End) -> Iterable[Step]:
        names = dict.fromkeys(sa.name for sa in end.phase1_sas if not sa.replaced and sa.name is not None)
        needs = self.view.as_master(end.gateway, self.options.forced)
        return (steps.main(tunnel.name, end, n, needs) for n in names if not strangers_under_phase1(self.view, end, n))

    def _peer_names(self, end: End) -> Mapping[str, str]:
        seen = self.view.seen(end.gateway)
        return {} if seen is None or isinstance(seen.peer_names, Unknown) else seen.peer_names

    def _peer_can_go(self, end: End) -> bool:
        """Whether the peer has an entry of its own in `[Phase 1]`, and no loaded default peer would match it then."""
        own = any(same_address(address, end.peer) for address in self._peer_names(end))
        return own and end.listing is not Listing.NONE and not self._default_peer(end)

    def _default_peer(self, end: End) -> bool:
        """Whether a rule without a peer is loaded, so that `[Phase 1]:Default` answers everybody."""
        names = {address.lower(): name.lower() for address, name in self._peer_names(end).items()}
        return names.get("default") == "peer-default"

    def _answered_by_default(self, end: End) -> bool:
        """Whether the peer would go whole but for the default peer."""
        whole = self.options.strength is Strength.HOLD and not self.neighbours.needing_phase1_of(end)
        return whole and end.listing is not Listing.NONE and self._default_peer(end)

    def _peer_off(self, tunnel: Tunnel, end: End) -> Step:
        names = self._peer_names(end).items()
        address, name = next((a, n) for a, n in names if same_address(a, end.peer))
        return steps.peer_off(tunnel.name, end.gateway, address, name)

    def may_return_disguised(self) -> bool:
        return self.options.strength is not Strength.ONCE and any(self._disguises(e) for _, e in self.pairs)

    def _disguises(self, end: End) -> tuple[str, ...]:
        """Names of neighbours with the same local network, under which an active peer would come back."""
        if not self._peer_begins(end) or self._goes_whole(end):
            return ()
        return self.neighbours.behind_the_network_of(end)

    def _peer_begins(self, end: End) -> bool:
        """Whether the peer may begin by itself: its end is not of this run, and ours waits for it or has answered it."""
        mirror = end.selectors.mirrored() if end.selectors is not None else None
        if any(e.selectors == mirror and e.gateway != end.gateway for _, e in self.pairs):
            return False
        answered = any(sa.role is Role.RESPONDER for sa in end.phase1_sas)
        return end.listing is Listing.PASSIVE or answered

    def _goes_whole(self, end: End) -> bool:
        """Whether the peer's own entry goes, so that it cannot come back at all."""
        hold = self.options.strength is Strength.HOLD
        return hold and not self.neighbours.needing_phase1_of(end) and self._peer_can_go(end)

    def refusals(self, touched: frozenset[str]) -> Iterable[RefusedError]:
        yield from refuse.other_end(self.view, self.chosen)
        yield from self.neighbours.sharing_a_name(self.pairs)
        yield from refuse.carp_backup(self.view, self.chosen)
        closed = self.options.fail_closed
        yield from refuse.own_session(self.view, self.chosen, self.view.snapshot.gateways, denied=closed)
        yield from closing.unclosable(self.view, self.neighbours, self.readable) if closed else ()
        yield from refuse.tunnels_down(self.view, self.chosen)
        yield from refuse.gateways_touched(self.view, touched, self.chosen)
        if self.options.strength is not Strength.ONCE:
            for gateway in sorted(self._relisted()):
                yield from refuse.wakes_others(self.view, gateway, self._names_on(gateway))
        if self.options.strength is Strength.REMOVE:
            yield from self._unremovable()

    def _unremovable(self) -> Iterable[RefusedError]:
        for tunnel, end in self.pairs:
            why = files.fault(self.view, tunnel, end, (e for _, e in self.pairs))
            if why:
                hint = "use --hold, the default, instead"
                yield RefusedError(f"{tunnel.name}: {why}", kind="file", obj=tunnel.name, hint=hint)

    def _relisted(self) -> frozenset[str]:
        return frozenset(e.gateway for _, e in self.pairs if e.listing in HELD_FORM)

    def _names_on(self, gateway: str) -> frozenset[str]:
        return frozenset(str(name) for where, name in self.names if where == gateway)

    def notes(self, touched: frozenset[str]) -> Iterable[str]:
        """What the operator must know before saying yes, most important first."""
        yield from self._clear_notes()
        for tunnel, end in self.pairs:
            others = self.neighbours.needing_phase1_of(end)
            if others and end.phase1_sas:
                yield f"{end.gateway}: phase 1 with {end.peer} stays, {refuse.some(others)} needs it too"
            disguises = self._disguises(end)
            if disguises:
                yield f"{end.gateway}: {end.peer} may come back as {refuse.some(disguises)}; looked at again after 70 s"
            if self._answered_by_default(end):
                yield f"{end.gateway}: {end.peer} is still answered: a default peer is loaded, which would match it"
            if end.listing is Listing.NONE and self.options.strength is Strength.HOLD:
                yield f"{tunnel.name} on {end.gateway} stands in no list, so there is nothing to hold: t quick only"
        if self.options.strength is not Strength.ONCE:
            for gateway in sorted(self._relisted() & touched):
                yield from refuse.reinit_notes(self.view, gateway, self._names_on(gateway))
        yield from self._strength_notes()

    def _clear_notes(self) -> Iterable[str]:
        pairs = {frozenset((str(s.local), str(s.remote))) for _, e in self.pairs if (s := e.selectors) and e.flows}
        fate = "is dropped from then on" if self.options.fail_closed else "may leave in clear"
        for pair in sorted(sorted(p) for p in pairs):
            yield f"traffic between {' and '.join(pair)} {fate}"

    def _strength_notes(self) -> Iterable[str]:
        if not self.pairs:
            return
        if self.options.strength is Strength.ONCE:
            yield "--once: an active peer undoes this within 60 s, any re-initialisation within 5"
        if self.options.strength is Strength.REMOVE:
            yield "the include line in /etc/ipsec.conf brings it back at the next boot"


def _waves(chosen: Sequence[Tunnel], early: Sequence[Step], late: Sequence[Step]) -> tuple[Wave, ...]:
    """First the ends that begin negotiations, then the others, then phase 1."""
    first = {(t.name, _leader(t)) for t in chosen}
    lead = tuple(s for s in early if (s.tunnel, s.gateway) in first)
    rest = tuple(s for s in early if (s.tunnel, s.gateway) not in first)
    waves = (Wave(lead, why="the end that begins"), Wave(rest, why="the other end"), Wave(tuple(late), why="phase 1"))
    return tuple(w for w in waves if w.steps)


def _leader(tunnel: Tunnel) -> str | None:
    """The gateway whose end begins the negotiations; the first where none or both do."""
    active = [e for e in tunnel.ends if is_active(e) and e.state is not State.BACKUP]
    return next((e.gateway for e in (*active, *tunnel.ends)), None)
