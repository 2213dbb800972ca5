"""Which gateways a command visits, and what it finds there: the first half of every verb.

The other end of a selected tunnel belongs to the run. Where the inventory names it, it is visited at once; where only
the daemons tell, it is visited as soon as the first look has told.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace

from ipsecfleet.errors import Exit, GatewayError, OperatorError
from ipsecfleet.inventory.select import other_ends, pick, resolve_gateways
from ipsecfleet.inventory.words import Selection
from ipsecfleet.isakmpd.verbs import Unlock, Verb
from ipsecfleet.model.document import GatewayRow
from ipsecfleet.model.fleet import Fleet, Gateway
from ipsecfleet.model.snapshot import GatewaySnapshot, Snapshot, Unknown
from ipsecfleet.model.tunnel import Tunnel
from ipsecfleet.plan.view import View
from ipsecfleet.run.probe import STARE, Prober

Choice = Callable[[View], tuple[Tunnel, ...]]
"""The tunnels of a view that a command is about."""


@dataclass(frozen=True, slots=True)
class Scope:
    """What was asked for, what was seen, and how the tunnels that are meant are found in it."""

    view: View
    gateways: tuple[Gateway, ...]
    chosen: tuple[Tunnel, ...]
    choose: Choice

    @classmethod
    def of(cls, view: View, gateways: Iterable[Gateway], choose: Choice) -> "Scope":
        return cls(view, tuple(gateways), choose(view), choose)


@dataclass(frozen=True, slots=True)
class Reach:
    """How far a command goes: to all gateways where none is named, to the other ends of what is selected."""

    default_all: bool
    both_ends: bool


READING = Reach(default_all=True, both_ends=False)
CHANGING = Reach(default_all=False, both_ends=True)
DIAGNOSING = Reach(default_all=True, both_ends=True)


def survey(prober: Prober, fleet: Fleet, selection: Selection, verbs: Sequence[Verb], reach: Reach) -> Scope:
    """Visit what the selection means, and what is in reach of it."""
    gateways = list(resolve_gateways(fleet, selection, default_all=reach.default_all))
    both = reach.both_ends
    fleet = _with(fleet, gateways)
    if both:
        gateways += other_ends(fleet, selection, gateways)
    snapshot = prober.look(gateways, verbs)
    view = View.of(fleet, snapshot)
    chosen = pick(view.tunnels, fleet, selection)
    missing = _far_ends(view, chosen, selection) if both else []
    if missing:
        gateways += missing
        view = View.of(fleet, snapshot.updated(prober.look(missing, verbs)))
    return Scope.of(view, gateways, lambda v: pick(v.tunnels, fleet, selection))


def of_saved(fleet: Fleet, selection: Selection, snapshot: Snapshot, *, tunnels: bool = True) -> Scope:
    """The same from a snapshot that is there already, without any gateway; without `tunnels`, of gateways alone."""
    names = (*snapshot.gateways, *snapshot.failed)
    gateways = tuple(fleet.gateway(n) or Gateway(n, n) for n in names)
    fleet = _with(fleet, gateways)
    view = View.of(fleet, snapshot) if tunnels else View(fleet, snapshot, ())
    return Scope.of(view, gateways, lambda v: pick(v.tunnels, v.fleet, selection))


def revisit(prober: Prober, fleet: Fleet, gateways: Sequence[Gateway], choose: Choice) -> Scope:
    """The same of gateways that are known already, as for what is left of a run; a lock that it left there goes."""
    view = View.of(_with(fleet, gateways), prober.look(gateways, (*STARE, Unlock())))
    return Scope.of(view, gateways, choose)


def look_at_files(prober: Prober, scope: Scope, conf: dict[str, list[str]]) -> Scope:
    """The same scope with what ipsecctl makes of the named conf files of each gateway."""
    if not conf:
        return scope
    gateways = [scope.view.gateway(name) for name in conf]
    fresh = prober.look(gateways, STARE, {n: tuple(dict.fromkeys(paths)) for n, paths in conf.items()})
    return Scope.of(View.of(scope.view.fleet, scope.view.snapshot.updated(fresh)), scope.gateways, scope.choose)


def unreachable_codes(scope: Scope, selection: Selection, *, every_member: bool = False) -> list[Exit]:
    """UNREACHABLE once for every gateway that matters and gave no whole answer (docs/ipsecfleet.1)."""
    snapshot = scope.view.snapshot
    silent = (*snapshot.failed, *(name for name, seen in snapshot.gateways.items() if seen.unknown))
    gateways = map(scope.view.gateway, silent)
    return [Exit.UNREACHABLE for g in gateways if _matters(g, scope, selection, every_member=every_member)]


def troubles(scope: Scope) -> tuple[GatewayError, ...]:
    """Why gateways gave no answer, or none that is whole; `obj` is the gateway."""
    snapshot = scope.view.snapshot
    unread = (_unreadable(name, seen) for name, seen in snapshot.gateways.items() if seen.unknown)
    return (*unread, *snapshot.failed.values())


def _unreadable(gateway: str, seen: GatewaySnapshot) -> GatewayError:
    part, unknown = seen.unknown[0]
    text = f"the {part} of {gateway} could not be read: {unknown.why}"
    return GatewayError(text, kind="unreadable", obj=gateway, hint=unknown.hint)


def matches_nothing(selection: Selection) -> OperatorError:
    """What is said when no tunnel meets the selection."""
    asked = ", ".join([*selection.peers, *selection.tunnels, *selection.state]) or "the selection"
    hint = "see what there is: ipsecfleet show tunnels"
    return OperatorError(f"nothing matches {asked}", kind="nothing", obj=asked, hint=hint)


def gateway_rows(scope: Scope) -> tuple[GatewayRow, ...]:
    """One row per gateway, those that answered first."""
    return tuple(gateway_row(scope.view.gateway(name), seen) for name, seen in scope.view.snapshot.looks.items())


def gateway_row(gateway: Gateway, seen: GatewaySnapshot | GatewayError) -> GatewayRow:
    """What one visit came to."""
    return _failed(gateway, seen) if isinstance(seen, GatewayError) else _answered(gateway, seen)


def _failed(gateway: Gateway, error: GatewayError) -> GatewayRow:
    state = "unreachable" if error.exit_code is Exit.UNREACHABLE else "failed"
    return GatewayRow(gateway.name, state, error.phase, error.message, error.hint, level=gateway.privilege)


def _answered(gateway: Gateway, seen: GatewaySnapshot) -> GatewayRow:
    unknown = seen.unknown
    roles = {} if isinstance(seen.carp, Unknown) else seen.carp
    return GatewayRow(
        gateway=gateway.name,
        state="failed" if unknown else "ok",
        phase="command" if unknown else None,
        error=f"{unknown[0][0]}: {unknown[0][1].why}" if unknown else None,
        hint=unknown[0][1].hint or None if unknown else None,
        release=seen.release,
        carp=roles.get(gateway.carp.interface) if gateway.carp is not None else None,
        level=gateway.privilege,
        at=seen.at,
    )


def _matters(gateway: Gateway, scope: Scope, selection: Selection, *, every_member: bool) -> bool:
    carries = any(e.gateway == gateway.name for t in scope.chosen if t.known for e in t.ends)
    if selection.tunnels and not carries:
        return False
    if every_member or gateway.carp is None:
        return True
    return not scope.view.covered(gateway.name)


def _far_ends(view: View, chosen: Iterable[Tunnel], selection: Selection) -> list[Gateway]:
    """Gateways of ours that are the peer of a chosen end, and were not visited."""
    here = {*view.snapshot.gateways, *view.snapshot.failed}
    every = Selection(exclude=selection.exclude, all_gateways=True)
    peers = {g.name for t in chosen for e in t.ends for g in view.at(e.peer)} - here
    return [g for g in resolve_gateways(view.fleet, every, default_all=True) if g.name in peers]


def _with(fleet: Fleet, gateways: Iterable[Gateway]) -> Fleet:
    """The fleet and the gateways that were named without being in the inventory."""
    added = tuple(g for g in gateways if fleet.gateway(g.name) is None)
    return replace(fleet, gateways=(*fleet.gateways, *added)) if added else fleet
