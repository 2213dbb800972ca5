"""What the tunnels of a run share with those that are not of it: a peer, a phase 1, a name, networks.

The daemon tells SAs apart by names that it makes of networks and peers, and the kernel flows by their selectors alone:
what is done to one may be done to another.
"""

from collections.abc import Container, Iterable

from ipsecfleet.errors import RefusedError
from ipsecfleet.model.net import Selectors, same_address
from ipsecfleet.model.sa import Sa
from ipsecfleet.model.tunnel import End, Tunnel
from ipsecfleet.plan import refuse
from ipsecfleet.plan.steps import HELD_FORM
from ipsecfleet.plan.view import View


class Neighbours:
    """The ends that are not of a run, whose own are `chosen`."""

    def __init__(self, view: View, chosen: Iterable[End]) -> None:
        self._view = view
        self._chosen = {_identity(end) for end in chosen}

    def on(self, gateway: str) -> list[tuple[Tunnel, End]]:
        """Those on a gateway."""
        return [(t, e) for t, e in self._view.ends_on(gateway) if _identity(e) not in self._chosen]

    def needing_phase1_of(self, end: End) -> tuple[str, ...]:
        """Tunnels that use the phase 1 of this end: by peer, or by its name."""
        others = self.on(end.gateway)
        same = ((t, e) for t, e in others if same_address(e.peer, end.peer) or (e.phase1 and e.phase1 == end.phase1))
        return tuple(t.name for t, e in same if e.live or e.listing in HELD_FORM or e.kept_up)

    def bearing(self, end: End, name: str) -> tuple[str, ...]:
        """Who else has a live SA of that name on the gateway of this end."""
        there = self.on(end.gateway)
        holders = ((t, e) for t, e in there if any((sa.name or "").lower() == name.lower() for sa in e.live))
        return tuple(f"{t.name} with {e.peer}" for t, e in holders)

    def sharing_a_name(self, pairs: Iterable[tuple[Tunnel, End]]) -> Iterable[RefusedError]:
        """Refusals of tunnels whose live SAs bear a name that is also somebody else's: `t quick` would reach both."""
        for tunnel, end in pairs:
            for name in dict.fromkeys(sa.name for sa in end.live if sa.name is not None):
                holders = (*self.bearing(end, name), *_peers_under(end, name))
                if holders:
                    text = f"{tunnel.name}: {name} on {end.gateway} is also the name of {', '.join(holders)}"
                    yield refuse.refusal("shared-name", tunnel.name, text, "hold all tunnels of that peer")

    def behind_the_network_of(self, end: End) -> tuple[str, ...]:
        """Listed connections with the same local network, under whose names a peer of this end could come back."""
        if end.selectors is None:
            return ()
        there = (e for _, e in self.on(end.gateway) if e.selectors and e.selectors.local == end.selectors.local)
        return tuple(str(e.connection) for e in there if e.listing in HELD_FORM)

    def carrying(self, gateway: str, selectors: Container[Selectors]) -> tuple[str, ...]:
        """Tunnels that carry what one of these selectors matches on that gateway."""
        there = ((t, e) for t, e in self.on(gateway) if e.selectors in selectors)
        return tuple(t.name for t, e in there if e.live or any(f.type != "deny" for f in e.flows))


def strangers_under_phase1(view: View, end: End, name: str) -> tuple[Sa, ...]:
    """Phase 1 SAs of that name with another peer than this end's: `t main` would reach them too."""
    sas = (sa for sa in view.sas(end.gateway) if sa.phase == 1 and sa.ready and not sa.replaced)
    return tuple(sa for sa in sas if sa.name == name and not same_address(sa.dst, end.peer))


def _peers_under(end: End, name: str) -> tuple[str, ...]:
    """The peers of this end's own live SAs of that name, if they are several."""
    peers = sorted({str(sa.dst) for sa in end.live if sa.name == name})
    return tuple(f"an SA with {peer}" for peer in peers) if len(peers) > 1 else ()


def _identity(end: End) -> tuple[object, ...]:
    """What tells an end from every other: two may bear one name."""
    return (end.gateway, end.connection, end.selectors, end.peer)
