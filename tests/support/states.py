"""What a run leaves on simulated gateways, to be compared: without SPIs, cookies and times, which differ by nature."""

from simworld import SimFleet

from ipsecfleet.model.snapshot import GatewaySnapshot

State = dict[str, dict[str, object]]


def end_state(sim: SimFleet) -> State:
    """Lists, holds, peers, SAs and flows of every gateway."""
    return {name: _of(seen) for name, seen in sim.view().snapshot.gateways.items()}


def _of(seen: GatewaySnapshot) -> dict[str, object]:
    connections, sas, flows = seen.connections, seen.sas, seen.flows
    assert isinstance(connections, tuple)
    assert isinstance(sas, tuple)
    assert isinstance(flows, tuple)
    return {
        "lists": sorted((c.name, c.listing.value) for c in connections),
        "held peers": dict(seen.held_peers),
        "peers": seen.peer_names,
        "live": sorted((sa.phase, sa.name or "", str(sa.dst)) for sa in sas if sa.ready and not sa.replaced),
        "flows": sorted((f.direction, str(f.selectors), str(f.type)) for f in flows),
    }
