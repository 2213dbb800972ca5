"""What a plan rests on at one gateway, as words: its connections' lists, peers and phase 1s, names that lie, the role.

Read again before a gateway's first step. No SPI and no timer is part of it, so a natural rekey leaves a plan good; a
connection that shares nothing with the run's own is none of its business.
"""

from collections.abc import Iterable
from dataclasses import replace

from ipsecfleet.model.net import same_address
from ipsecfleet.model.plan import Basis, Facts, Plan
from ipsecfleet.model.snapshot import Connection, GatewaySnapshot, Listing, Unknown
from ipsecfleet.plan.view import View


def rested(plan: Plan, view: View) -> Plan:
    """The plan with what it rests on at each gateway that it changes."""
    names: dict[str, set[str]] = {step.gateway: set() for step in plan.steps}
    parts = [(s.gateway, s.connection) for s in plan.steps] + [(t.gateway, t.connection) for t in plan.targets]
    for gateway, connection in parts:
        if gateway in names and connection is not None:
            names[gateway].add(connection)
    seen = ((view.seen(gateway), own) for gateway, own in names.items())
    return replace(plan, basis=tuple(basis_of(look, own) for look, own in seen if look is not None))


def basis_of(seen: GatewaySnapshot, names: Iterable[str]) -> Basis:
    """The basis of a run about the connections `names` of this gateway."""
    own = tuple(sorted(names))
    connections = _related(seen, own)
    return Basis(
        gateway=seen.gateway,
        names=own,
        lists=_words(f"{c.name} in {c.listing.value}" for c in connections),
        peers=_peers(seen, connections),
        held_peers=_held_peers(seen, connections),
        lying=_lying(seen, connections),
        roles=None if isinstance(seen.carp, Unknown) else _words(f"{i} {r}" for i, r in seen.carp.items()),
    )


def changed(then: Basis, seen: GatewaySnapshot) -> str | None:
    """What is not as the plan took it to be, or None. A part that the plan did not know cannot have changed."""
    now = basis_of(seen, then.names)
    for part in ("lists", "peers", "held_peers", "lying", "roles"):
        was, has = getattr(then, part), getattr(now, part)
        if was is not None and has != was:
            return _difference(then.gateway, was, has)
    return None


def _difference(gateway: str, was: tuple[str, ...], has: Facts) -> str:
    if has is None:
        return f"{gateway} could not be read again in full"
    new = [f"now {word}" for word in has if word not in was]
    old = [f"no more {word}" for word in was if word not in has]
    return f"{gateway} has changed since the plan was made: {', '.join([*new, *old])}"


def _related(seen: GatewaySnapshot, own: Iterable[str]) -> list[Connection]:
    """The listed connections of the run, and those that share a peer or a phase 1 with one of them."""
    if isinstance(seen.connections, Unknown):
        return []
    mine = [c for c in seen.connections if c.name in own]
    phase1s = {c.phase1 for c in mine} - {None}
    near = (c for c in seen.connections if c.phase1 in phase1s or any(same_address(c.peer, m.peer) for m in mine))
    return [c for c in dict.fromkeys((*mine, *near)) if c.listing is not Listing.NONE]


def _peers(seen: GatewaySnapshot, connections: Iterable[Connection]) -> Facts:
    """Each connection's peer and phase 1, and what the daemon's `[Phase 1]` makes of those peers."""
    if isinstance(seen.peer_names, Unknown):
        return None
    configured = {f"{c.name} with {c.peer or '?'} by {c.phase1 or '?'}" for c in connections}
    addresses = [c.peer for c in connections]
    entries = {f"{a} as {n}" for a, n in seen.peer_names.items() if any(same_address(a, p) for p in addresses)}
    return _words(configured | entries)


def _held_peers(seen: GatewaySnapshot, connections: Iterable[Connection]) -> Facts:
    held = ((address, c) for address in seen.held_peers for c in connections if same_address(address, c.peer))
    return _words({f"{address} held off" for address, _ in held})


def _lying(seen: GatewaySnapshot, connections: Iterable[Connection]) -> Facts:
    """Live SAs that bear the name of one of these connections and have another peer than it."""
    if isinstance(seen.sas, Unknown) or isinstance(seen.peer_names, Unknown):
        return None
    peers = {c.name.lower(): c.peer for c in connections if c.peer is not None}
    live = ((sa, peers.get((sa.name or "").lower())) for sa in seen.sas if sa.live and sa.phase == 2)
    return _words({f"an SA of {sa.dst} as {sa.name}" for sa, peer in live if peer and not same_address(sa.dst, peer)})


def _words(words: Iterable[str]) -> tuple[str, ...]:
    return tuple(sorted(words))
