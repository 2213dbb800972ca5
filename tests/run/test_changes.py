"""down and up on simulated daemons: what was sent, what it came to, and that the neighbours stayed as they were."""

import pytest
from fleets import N1, PEER, customers, pair
from simworld import SimFleet

from ipsecfleet.errors import Exit
from ipsecfleet.plan.down import DownOptions, Strength


def test_a_tunnel_goes_down_is_held_and_its_neighbour_stays() -> None:
    sim = customers(2)
    before = [line for line in sim.spis("hub") if "10.2.2.1" in line]
    assert sim.state("customer-1") == "up"
    document = sim.down(peers=["10.2.1.1"], all_gateways=True)
    assert document.exit_code is Exit.OK, document
    assert sim.sent["hub"] == [
        f"C add [ipsecfleet]:Held-Connections={N1}",
        f"C rmv [Phase 2]:Connections={N1}",
        f"t quick {N1}",
        "C set [ipsecfleet]:peer-of-10.2.1.1=peer-10.2.1.1 force",
        "C add [ipsecfleet]:Held-Peers=10.2.1.1",
        "C rm [Phase 1]:10.2.1.1",
        "t main peer-10.2.1.1",
    ]
    assert sim.state("customer-1") == "held"
    assert sim.state("customer-2") == "up"
    assert [line for line in sim.spis("hub") if "10.2.2.1" in line] == before
    assert document.results[0].text.startswith("customer-1: down on hub since ")


def test_it_stays_down_for_ten_minutes_and_up_brings_it_back() -> None:
    sim = customers(2)
    sim.down(peers=["10.2.1.1"], all_gateways=True)
    sim.settle(600)
    assert sim.state("customer-1") == "held"
    document = sim.up(tunnels=["customer-1"])
    assert document.exit_code is Exit.OK, document
    assert sim.state("customer-1") == "up"
    assert "C add [Phase 2]:Connections=" + N1 in sim.sent["hub"]
    assert sim.sent["hub"][-1] == f"c {N1}"


def test_once_sends_exactly_the_classic_lines() -> None:
    sim = customers(2)
    document = sim.down(options=DownOptions(Strength.ONCE, settle_s=1.0), tunnels=["customer-1"])
    assert document.exit_code is Exit.OK, document
    assert sim.sent["hub"] == [f"t quick {N1}", "t main peer-10.2.1.1"]


def test_remove_unloads_the_file_and_up_loads_it() -> None:
    sim = customers(2)
    document = sim.down(options=DownOptions(Strength.REMOVE), tunnels=["customer-1"])
    assert document.exit_code is Exit.OK, document
    assert sim.sent["hub"] == ["ipsecctl -d -f /etc/IPsec/customer-1.conf", "t main peer-10.2.1.1"]
    sim.settle(130)
    document = sim.up(tunnels=["customer-1"])
    assert document.exit_code is Exit.OK, document
    assert sim.state("customer-1") == "up"


def test_nothing_to_do_is_said_and_is_no_failure() -> None:
    sim = customers(2)
    sim.down(tunnels=["customer-1"])
    sent = list(sim.sent["hub"])
    document = sim.down(tunnels=["customer-1"])
    assert (document.exit_code, document.result) == (Exit.OK, "nothing")
    assert sim.sent["hub"] == sent


@pytest.mark.parametrize("modes", [("active", "passive"), ("passive", "active"), ("active", "active")])
def test_both_ends_go_and_come_back(modes: tuple[str, str]) -> None:
    sim = pair(*modes)
    document = sim.down(tunnels=["oslo"])
    assert document.exit_code is Exit.OK, document
    assert sim.state("oslo") == "held"
    assert not sim.flows("hub")
    assert not sim.flows("branch")
    sim.settle(300)
    assert sim.state("oslo") == "held"
    document = sim.up(tunnels=["oslo"])
    assert document.exit_code is Exit.OK, document
    assert sim.state("oslo") in {"up", "rekeying"}


def test_up_soon_after_down_begins_at_the_old_responder() -> None:
    sim = pair()
    sim.down(tunnels=["oslo"])
    began = sim.world.now
    document = sim.up(tunnels=["oslo"])
    assert document.exit_code is Exit.OK, document
    assert sim.world.now - began < 30
    assert sim.sent["branch"][-1].startswith("c ")


def test_duplicates_of_two_active_ends_go_whole() -> None:
    sim = pair("active", "active")
    document = sim.down(tunnels=["oslo"])
    assert document.exit_code is Exit.OK, document
    assert not [sa for e in sim.tunnel_now("oslo").ends for sa in e.live]


def test_a_tunnel_kept_up_by_c_alone_has_nothing_to_hold() -> None:
    sim = customers(2)
    sim.daemon("hub").fifo(f"C rmv [Phase 2]:Connections={N1}\n".encode())
    sim.settle()
    sim.daemon("hub").fifo(f"c {N1}\n".encode())
    sim.settle()
    document = sim.down(tunnels=["customer-1"])
    assert document.exit_code is Exit.OK, document
    assert sim.sent["hub"] == [f"t quick {N1}", "t main peer-10.2.1.1"]
    assert any("stands in no list" in note for note in document.plan.notes)


def with_a_silent_peer() -> SimFleet:
    """customer-1 negotiates, and nobody answers."""
    sim = customers(2)
    sim.fifo("hub", f"t quick {N1}", f"t main peer-{PEER}")
    sim.settle(0.1)
    sim.world.cut(PEER)
    sim.settle(125)
    sim.fifo("hub", f"c {N1}")
    sim.settle(2)
    return sim


def test_a_silent_peer_is_waited_for_until_its_exchange_is_dead() -> None:
    sim = with_a_silent_peer()
    assert sim.state("customer-1") == "half-up"
    began = sim.world.now
    document = sim.down(tunnels=["customer-1"])
    assert document.exit_code is Exit.OK, document
    assert 90 < sim.world.now - began < 140
    assert sim.state("customer-1") == "held"


def test_no_wait_says_until_when_it_is_not_proven() -> None:
    sim = with_a_silent_peer()
    document = sim.down(options=DownOptions(wait=False), tunnels=["customer-1"])
    assert (document.exit_code, document.result) == (Exit.FAILED, "unproven")
    assert "may still complete for" in document.results[0].text
