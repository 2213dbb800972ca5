"""Ends joined to tunnels: by their peers, and by SPI or networks; one state from two ends."""

from dataclasses import replace

import pytest
from fleets import HERE, N1, THERE, carp, customers, pair
from simworld import SimFleet

from ipsecfleet.errors import UnreachableError
from ipsecfleet.model.sa import Sa
from ipsecfleet.model.snapshot import GatewaySnapshot, Snapshot, Unknown
from ipsecfleet.model.tunnel import Tunnel
from ipsecfleet.plan.tunnels import tunnels

DEAD = UnreachableError("no answer: branch", phase="tcp", obj="branch")


def seen_with(sim: SimFleet, **changes: dict[str, object]) -> Tunnel:
    """The one tunnel, with parts of gateways replaced."""
    found = sim.view().snapshot
    gateways = {n: replace(s, **changes.get(n, {})) for n, s in found.gateways.items()}  # type: ignore[arg-type]
    (tunnel,) = tunnels(sim.fleet, Snapshot(gateways, {}))
    return tunnel


def sas(sim: SimFleet, gateway: str) -> tuple[Sa, ...]:
    seen: GatewaySnapshot = sim.view().snapshot.gateways[gateway]
    assert not isinstance(seen.sas, Unknown)
    return seen.sas


def test_equal_ends_give_their_word() -> None:
    sim = pair()
    assert seen_with(sim).state == "up"
    assert [e.gateway for e in seen_with(sim).ends] == ["hub", "branch"]


def test_an_spi_that_the_other_end_does_not_know_is_a_black_hole() -> None:
    sim = pair()
    strange = tuple(
        replace(s, protocols=tuple(replace(p, spi_in=1, spi_out=2) for p in s.protocols)) for s in sas(sim, "branch")
    )
    kernel = {"branch": {"sas": strange, "kernel": ()}}
    tunnel = seen_with(sim, **kernel)
    assert (tunnel.state, tunnel.note.split()[0]) == ("black-hole", "hub")


def test_a_replaced_sa_still_receives() -> None:
    sim = pair()
    twins = tuple(replace(s, flags=s.flags | 0x8) if s.phase == 2 else s for s in sas(sim, "branch"))
    assert seen_with(sim, branch={"sas": twins}).state == "down"


def test_a_flow_at_one_end_alone_is_a_black_hole() -> None:
    tunnel = seen_with(pair(), branch={"flows": ()})
    assert (tunnel.state, tunnel.note) == ("black-hole", "hub has the flow, branch has none")


def test_the_worst_of_two_ends() -> None:
    sim = pair()
    assert seen_with(sim, branch={"flows": Unknown("failed")}).state == "unknown"
    sim.fifo("hub", f"t quick {N1}")
    sim.settle(1)
    assert sim.state("oslo") == "down"
    held = "from-192.168.1.0/24-to-172.16.1.0/24"
    sim.fifo(
        "branch", f"C add [ipsecfleet]:Held-Passive-Connections={held}", f"C rmv [Phase 2]:Passive-Connections={held}"
    )
    assert sim.state("oslo") == "down"
    sim.fifo("hub", f"C add [ipsecfleet]:Held-Connections={N1}", f"C rmv [Phase 2]:Connections={N1}")
    assert sim.state("oslo") == "held"


def test_an_unreachable_end_is_unknown() -> None:
    sim = pair()
    sim.dead["branch"] = DEAD
    tunnel = sim.tunnel_now("oslo")
    assert [(e.gateway, e.state.value) for e in tunnel.ends] == [("hub", "up"), ("branch", "unknown")]
    assert (tunnel.state, tunnel.note) == ("unknown", "no answer: branch")


def test_a_carp_backup_does_not_count() -> None:
    sim = carp()
    tunnel = sim.tunnel_now("customer-1")
    assert [(e.gateway, e.state.value) for e in tunnel.ends] == [("fra1", "up"), ("fra2", "backup")]
    assert tunnel.state == "up"
    sim.role("fra1", "BACKUP")
    assert sim.state("customer-1") == "backup"


def test_a_backup_that_lacks_the_connection_does_not_count_either() -> None:
    sim = carp()
    sim.restart_daemon("fra2")
    tunnel = sim.tunnel_now("customer-1")
    assert (tunnel.state, tunnel.ends[1].state, tunnel.ends[1].connection) == ("up", "backup", None)


def test_a_daemon_that_knows_nothing_of_a_tunnel() -> None:
    sim = customers(1)
    sim.fifo("hub", f"t quick {N1}")
    sim.settle(1)
    sim.restart_daemon("hub")
    end = sim.end("customer-1", "hub")
    assert (end.connection, end.state, end.note) == (None, "down", "the daemon knows no such connection")


@pytest.mark.parametrize(
    ("gone", "note"),
    [
        ("flows", "the kernel has an SA that the daemon does not know"),
        ("kernel", "the kernel has a flow that the daemon does not know"),
    ],
)
def test_a_kernel_that_carries_what_its_daemon_has_forgotten_is_stale(gone: str, note: str) -> None:
    sim = customers(1)
    sim.restart_daemon("hub")
    assert sim.state("customer-1") == "stale"
    tunnel = seen_with(sim, hub={gone: ()})
    assert (tunnel.state, tunnel.note) == ("stale", note)


@pytest.mark.parametrize("names_gone", [False, True])
def test_what_no_inventory_names_is_joined_by_spi_or_networks(names_gone: bool) -> None:
    sim = pair()
    sim.specs.clear()
    if names_gone:
        sim.fifo("hub", f"t quick {N1}")
        sim.settle(1)
    tunnel = sim.tunnel_now(N1)
    assert ([e.gateway for e in tunnel.ends], tunnel.known) == (["hub", "branch"], False)


def test_a_gateway_that_shows_anothers_spis_is_not_its_other_end() -> None:
    """`liar` says that its tunnel has the SPIs of the hub's, mirrored; its peer is not the hub, nor the hub's peer it."""
    sim = customers(1)
    sim.specs.clear()
    sim.gateway("liar", "10.1.7.7")
    sim.peer("10.2.7.1")
    sim.rule("peer 10.2.7.1", "passive", "192.168.7.0/24", "172.16.7.0/24", "10.1.7.7")
    sim.rule("liar", "active", "172.16.7.0/24", "192.168.7.0/24", "10.2.7.1")
    sim.settle()
    honest = sim.prober().look(sim.gateways)
    mirrored = [replace(p, spi_in=p.spi_out, spi_out=p.spi_in) for s in sas(sim, "hub") for p in s.protocols]
    lies = tuple(replace(s, protocols=tuple(mirrored)) for s in sas(sim, "liar"))
    looks = {**honest.gateways, "liar": replace(honest.gateways["liar"], sas=lies)}
    assert [len(t.ends) for t in tunnels(sim.fleet, Snapshot(looks))] == [1, 1]


def test_the_same_networks_at_strangers_are_two_tunnels() -> None:
    """Two hubs with the same networks, each with a peer of its own."""
    sim = SimFleet()
    for n, (hub, peer) in enumerate((("10.1.2.2", "10.2.1.1"), ("10.1.3.2", "10.2.2.1"))):
        sim.gateway(f"hub-{n}", hub)
        sim.peer(peer)
        sim.rule(f"peer {peer}", "passive", THERE, HERE, hub)
        sim.rule(f"hub-{n}", "active", HERE, THERE, peer)
    sim.settle()
    assert [(t.name, t.state.value, len(t.ends)) for t in sim.view().tunnels] == [(N1, "up", 1)] * 2


def test_an_end_with_another_peer_is_not_the_inventorys() -> None:
    sim = customers(1)
    sim.specs.clear()
    sim.tunnel("customer-1", ("hub", HERE), ("10.2.99.1", THERE))
    known, loose = sim.view().tunnels
    assert (known.name, known.state, known.ends[0].connection) == ("customer-1", "down", None)
    assert (loose.name, loose.state, loose.known) == (N1, "up", False)
