"""down and up on simulated daemons: what was sent, what it came to, and that the neighbours stayed as they were."""

import pytest
from simworld import SimFleet

from ipsecfleet.errors import Exit
from ipsecfleet.plan.down import DownOptions, Strength

N1 = "from-172.16.1.0/24-to-192.168.1.0/24"
N2 = "from-172.16.2.0/24-to-192.168.2.0/24"


def hub_with_two_customers() -> SimFleet:
    """customer-1 and customer-2 of different peers; the hub is active for both."""
    sim = SimFleet()
    sim.gateway("hub", "10.1.2.2")
    for n in (1, 2):
        sim.peer(f"10.2.{n}.1")
        sim.rule(f"peer 10.2.{n}.1", "passive", f"192.168.{n}.0/24", f"172.16.{n}.0/24", "10.1.2.2")
        sim.rule("hub", "active", f"172.16.{n}.0/24", f"192.168.{n}.0/24", f"10.2.{n}.1", file=f"customer-{n}")
        sim.tunnel(f"customer-{n}", ("hub", f"172.16.{n}.0/24"), (f"10.2.{n}.1", f"192.168.{n}.0/24"))
    sim.settle()
    return sim


def test_a_tunnel_goes_down_is_held_and_its_neighbour_stays() -> None:
    sim = hub_with_two_customers()
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
    sim = hub_with_two_customers()
    sim.down(peers=["10.2.1.1"], all_gateways=True)
    sim.settle(600)
    assert sim.state("customer-1") == "held"
    document = sim.up(tunnels=["customer-1"])
    assert document.exit_code is Exit.OK, document
    assert sim.state("customer-1") == "up"
    assert "C add [Phase 2]:Connections=" + N1 in sim.sent["hub"]
    assert sim.sent["hub"][-1] == f"c {N1}"


def test_once_sends_exactly_the_classic_lines() -> None:
    sim = hub_with_two_customers()
    document = sim.down(options=DownOptions(Strength.ONCE, settle_s=1.0), tunnels=["customer-1"])
    assert document.exit_code is Exit.OK, document
    assert sim.sent["hub"] == [f"t quick {N1}", "t main peer-10.2.1.1"]


def test_remove_unloads_the_file_and_up_loads_it() -> None:
    sim = hub_with_two_customers()
    document = sim.down(options=DownOptions(Strength.REMOVE), tunnels=["customer-1"])
    assert document.exit_code is Exit.OK, document
    assert sim.sent["hub"] == ["ipsecctl -d -f /etc/IPsec/customer-1.conf", "t main peer-10.2.1.1"]
    sim.settle(130)
    document = sim.up(tunnels=["customer-1"])
    assert document.exit_code is Exit.OK, document
    assert sim.state("customer-1") == "up"


def test_nothing_to_do_is_said_and_is_no_failure() -> None:
    sim = hub_with_two_customers()
    sim.down(tunnels=["customer-1"])
    sent = list(sim.sent["hub"])
    document = sim.down(tunnels=["customer-1"])
    assert (document.exit_code, document.result) == (Exit.OK, "nothing")
    assert sim.sent["hub"] == sent


def two_ended(mode_a: str = "active", mode_b: str = "passive") -> SimFleet:
    sim = SimFleet()
    sim.gateway("hub", "10.1.2.2")
    sim.gateway("branch", "10.1.9.2")
    sim.rule("branch", mode_b, "192.168.1.0/24", "172.16.1.0/24", "10.1.2.2")
    sim.rule("hub", mode_a, "172.16.1.0/24", "192.168.1.0/24", "10.1.9.2")
    sim.tunnel("oslo", ("hub", "172.16.1.0/24"), ("branch", "192.168.1.0/24"))
    sim.settle()
    return sim


@pytest.mark.parametrize("modes", [("active", "passive"), ("passive", "active"), ("active", "active")])
def test_both_ends_go_and_come_back(modes: tuple[str, str]) -> None:
    sim = two_ended(*modes)
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
    sim = two_ended()
    sim.down(tunnels=["oslo"])
    began = sim.world.now
    document = sim.up(tunnels=["oslo"])
    assert document.exit_code is Exit.OK, document
    assert sim.world.now - began < 30
    assert sim.sent["branch"][-1].startswith("c ")


def test_duplicates_of_two_active_ends_go_whole() -> None:
    sim = two_ended("active", "active")
    document = sim.down(tunnels=["oslo"])
    assert document.exit_code is Exit.OK, document
    assert not [sa for e in sim.tunnel_now("oslo").ends for sa in e.live]


def test_a_tunnel_kept_up_by_c_alone_has_nothing_to_hold() -> None:
    sim = hub_with_two_customers()
    sim.daemon("hub").fifo(f"C rmv [Phase 2]:Connections={N1}\n".encode())
    sim.settle()
    sim.daemon("hub").fifo(f"c {N1}\n".encode())
    sim.settle()
    document = sim.down(tunnels=["customer-1"])
    assert document.exit_code is Exit.OK, document
    assert sim.sent["hub"] == [f"t quick {N1}", "t main peer-10.2.1.1"]
    assert any("stands in no list" in note for note in document.plan.notes)


def test_a_silent_peer_is_waited_for_until_its_exchange_is_dead() -> None:
    sim = hub_with_two_customers()
    sim.daemon("hub").fifo(f"t quick {N1}\nt main peer-10.2.1.1\n".encode())
    sim.settle(0.1)
    sim.world.cut("10.2.1.1")
    sim.settle(125)
    sim.daemon("hub").fifo(f"c {N1}\n".encode())
    sim.settle(2)
    assert sim.state("customer-1") == "half-up"
    began = sim.world.now
    document = sim.down(tunnels=["customer-1"])
    assert document.exit_code is Exit.OK, document
    assert 90 < sim.world.now - began < 140
    assert sim.state("customer-1") == "held"


def test_no_wait_says_until_when_it_is_not_proven() -> None:
    sim = hub_with_two_customers()
    sim.daemon("hub").fifo(f"t quick {N1}\nt main peer-10.2.1.1\n".encode())
    sim.settle(0.1)
    sim.world.cut("10.2.1.1")
    sim.settle(125)
    sim.daemon("hub").fifo(f"c {N1}\n".encode())
    sim.settle(2)
    document = sim.down(options=DownOptions(wait=False), tunnels=["customer-1"])
    assert (document.exit_code, document.result) == (Exit.FAILED, "unproven")
    assert "may still complete for" in document.results[0].text
