"""Refusals: what one run may not do unless its name is forced, found while planning (DESIGN 5, Refusals).

Each check gives the refusals it finds; a planner lists them all. A forced one is dropped by `without`.
"""

from collections import Counter
from collections.abc import Iterable, Sequence

from ipsecfleet.errors import RefusedError
from ipsecfleet.model.sa import KeptUp
from ipsecfleet.model.snapshot import Connection, Listing, Unknown
from ipsecfleet.model.tunnel import End, State, Tunnel
from ipsecfleet.plan.view import View


def refusal(force: str, obj: str, message: str, hint: str = "") -> RefusedError:
    """A refusal that `--force FORCE` lifts for one run."""
    lift = f"--force {force} lifts this for one run"
    return RefusedError(message, force=force, kind=force, obj=obj, hint=f"{hint}; {lift}" if hint else lift)


def without(refusals: Iterable[RefusedError], forced: frozenset[str]) -> tuple[RefusedError, ...]:
    """The refusals that the operator did not lift by name."""
    return tuple(r for r in refusals if r.force not in forced)


def tunnels_down(view: View, chosen: Sequence[Tunnel]) -> Iterable[RefusedError]:
    """More tunnels would go down than the limit allows; those of one peer are always allowed."""
    up = [t for t in view.tunnels if _is_carried(t)]
    going = [t for t in chosen if _is_carried(t)]
    peers = Counter(peer for t in going for peer in {_peer(view, e) for e in t.ends if e.peer is not None})
    limit = view.fleet.limits.max_tunnels_down
    allowed = limit.of(len(up), at_least=max(peers.values(), default=1))
    if len(going) > allowed:
        text = f"{len(going)} of {len(up)} tunnels that are up would go down, {allowed} may (max_tunnels_down {limit})"
        yield refusal("tunnels-down", "tunnels", text)


def _is_carried(tunnel: Tunnel) -> bool:
    return any(end.live for end in tunnel.ends)


def _peer(view: View, end: End) -> tuple[str | None, ...]:
    """What counts as one peer: an address; one of ours, such as a hub's, only as the peer of one gateway."""
    return (end.peer, end.gateway) if view.ours(end.peer) else (end.peer,)


def gateways_touched(view: View, touched: frozenset[str], chosen: Sequence[Tunnel]) -> Iterable[RefusedError]:
    """More gateways would be touched than the limit allows; those that one tunnel needs are always allowed."""
    limit = view.fleet.limits.max_gateways_touched
    needed = max((len(t.gateways) for t in chosen), default=1)
    allowed = limit.of(len(view.fleet.gateways), at_least=needed)
    if len(touched) > allowed:
        text = f"{len(touched)} of {len(view.fleet.gateways)} gateways would be touched, {allowed} may"
        yield refusal("gateways-touched", "gateways", f"{text} (max_gateways_touched {limit})")


def other_end(view: View, chosen: Iterable[Tunnel]) -> Iterable[RefusedError]:
    """An end of ours cannot be read, so what is done at the other end cannot be done whole.

    Not of a CARP member whose group has a master that can be read: what is not held there is told with the result.
    """
    for tunnel in chosen:
        unread = {e.gateway: e.note for e in tunnel.ends if e.state is State.UNKNOWN}
        peers = (g.name for e in tunnel.ends for g in view.at(e.peer))
        unread |= {name: why for name in peers if (why := view.unread(name)) is not None}
        for name in sorted(n for n in unread if not view.covered(n)):
            text = f"{tunnel.name}: its end on {name} cannot be read: {unread[name]}"
            yield refusal("other-end", tunnel.name, text)


def carp_backup(view: View, chosen: Iterable[Tunnel]) -> Iterable[RefusedError]:
    """Only CARP backups carry the tunnel here, or a member's role is not known."""
    for tunnel in chosen:
        backups = [e.gateway for e in tunnel.ends if view.backup(e.gateway)]
        if backups and len(backups) == len(tunnel.ends):
            yield refusal("carp-backup", tunnel.name, f"{tunnel.name}: {backups[0]} is a CARP backup")
        for end in tunnel.ends:
            yield from _unknown_role(view, tunnel, end)


def _unknown_role(view: View, tunnel: Tunnel, end: End) -> Iterable[RefusedError]:
    carp, seen = view.gateway(end.gateway).carp, view.seen(end.gateway)
    if carp is None or seen is None:
        return
    roles = seen.carp
    if isinstance(roles, Unknown) or roles.get(carp.interface) not in {"master", "backup"}:
        role = roles.why if isinstance(roles, Unknown) else roles.get(carp.interface, "absent")
        text = f"{tunnel.name}: the CARP role of {end.gateway} on {carp.interface} is not known: {role}"
        yield refusal("carp-backup", tunnel.name, text)


def own_session(
    view: View, chosen: Sequence[Tunnel], gateways: Iterable[str], *, denied: bool = False
) -> Iterable[RefusedError]:
    """A flow that would go may carry the SSH session to a gateway of this run; one that denies may cut it."""
    going = [(t, e) for t in chosen for e in t.ends if e.selectors is not None and (e.live or e.flows or denied)]
    for name in sorted(gateways):
        seen = view.seen(name)
        if seen is None or not going:
            continue
        if seen.ssh is None:
            text = f"{name} did not say which addresses our session has, so it may run through what goes down"
            yield refusal("own-session", name, text)
            continue
        for tunnel, end in going:
            if end.selectors is not None and end.selectors.covers(seen.ssh.client, seen.ssh.server):
                text = f"{tunnel.name} carries our own session to {name} ({seen.ssh.client} to {seen.ssh.server})"
                yield refusal("own-session", tunnel.name, text, "reach it another way")
                break


def wakes_others(view: View, gateway: str, chosen: frozenset[str]) -> Iterable[RefusedError]:
    """The re-initialisation that a change of the lists arms would start more tunnels than this gateway may at once."""
    woken = wakes(view, gateway, chosen)
    allowed = view.gateway(gateway).per_gateway_parallel
    if len(woken) > allowed:
        text = f"{gateway} would start {len(woken)} other tunnels in one second: {', '.join(woken)}"
        yield refusal("wakes-others", gateway, f"{text} (per_gateway_parallel {allowed})")


def wakes(view: View, gateway: str, chosen: frozenset[str]) -> tuple[str, ...]:
    """Connections, not of this run, that a re-initialisation starts and that the daemon is not trying anyway."""
    return tuple(c.name for c in _missing(view, gateway, chosen) if c.kept_up is None)


def tries(view: View, gateway: str, chosen: frozenset[str]) -> tuple[str, ...]:
    """Connections, not of this run, that are not up and that the daemon keeps trying anyway."""
    return tuple(c.name for c in _missing(view, gateway, chosen) if c.kept_up is not None)


def forgets(view: View, gateway: str, chosen: frozenset[str]) -> tuple[str, ...]:
    """Connections, not of this run, that live by `c` alone: a re-initialisation drops them from the keep-up list."""
    kept = (c for c in _connections(view, gateway) if c.listing is Listing.NONE and isinstance(c.kept_up, KeptUp))
    return tuple(c.name for c in kept if c.name not in chosen)


def _missing(view: View, gateway: str, chosen: frozenset[str]) -> tuple[Connection, ...]:
    live = {(sa.name or "").lower() for sa in view.sas(gateway) if sa.live and sa.phase == 2}
    listed = (c for c in _connections(view, gateway) if c.listing is Listing.ACTIVE)
    return tuple(c for c in listed if c.name.lower() not in live and c.name not in chosen)


def reinit_notes(view: View, gateway: str, chosen: frozenset[str]) -> Iterable[str]:
    """What the re-initialisation that a change of this gateway's lists arms does to others."""
    for what, found in (
        ("the re-initialisation 5 s later wakes", wakes(view, gateway, chosen)),
        ("not up, and tried by the daemon anyway:", tries(view, gateway, chosen)),
        ("the re-initialisation 5 s later forgets to keep up", forgets(view, gateway, chosen)),
    ):
        if found:
            yield f"{gateway}: {what} {some(found)}"


def some(names: Sequence[str], most: int = 3) -> str:
    """The first names, and how many more there are."""
    more = f" and {len(names) - most} more" if len(names) > most else ""
    return ", ".join(names[:most]) + more


def _connections(view: View, gateway: str) -> tuple[Connection, ...]:
    seen = view.seen(gateway)
    return () if seen is None or isinstance(seen.connections, Unknown) else seen.connections
