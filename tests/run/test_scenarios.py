"""The traps of groundtruth.md and recipes.md, played on simulated daemons through the whole program."""

import pytest
from fleets import HERE, N1, customers, pair
from simworld import SimFleet

from ipsecfleet.errors import Exit, UnreachableError
from ipsecfleet.model.document import Document
from ipsecfleet.model.fleet import Limit, Limits
from ipsecfleet.plan.down import DownOptions, Strength

N2 = f"from-{HERE}-to-192.168.2.0/24"


def hub_with_one_local_network(peer_of_second: str = "10.2.7.1") -> SimFleet:
    """Transcript r12: a hub with two passive tunnels behind one local network, their peers active."""
    sim = SimFleet()
    sim.gateway("hub", "10.2.5.1")
    for n, peer in ((1, "10.2.6.1"), (2, peer_of_second)):
        if f"peer {peer}" not in sim.world.gateways:
            sim.peer(peer)
        sim.rule("hub", "passive", HERE, f"192.168.{n}.0/24", peer)
        sim.rule(f"peer {peer}", "active", f"192.168.{n}.0/24", HERE, "10.2.5.1")
        sim.tunnel(f"customer-{n}", ("hub", HERE), (peer, f"192.168.{n}.0/24"))
    sim.settle()
    return sim


def test_a_peer_whose_tunnels_all_go_does_not_return_under_the_neighbours_name() -> None:
    sim = hub_with_one_local_network()
    neighbour = [line for line in sim.spis("hub") if "10.2.7.1" in line]
    document = sim.down(tunnels=["customer-1"])
    assert document.exit_code is Exit.OK, document.results
    assert "C rm [Phase 1]:10.2.6.1" in sim.sent["hub"]
    assert "10.2.6.1 keeps trying" in document.results[0].text
    sim.settle(200)
    assert sim.state("customer-1") == "held"
    assert [line for line in sim.spis("hub") if "10.2.7.1" in line] == neighbour


def test_one_of_two_tunnels_of_a_peer_is_seen_when_it_returns_under_the_neighbours_name() -> None:
    sim = hub_with_one_local_network(peer_of_second="10.2.6.1")
    began = sim.world.now
    document = sim.down(tunnels=["customer-1"])
    assert sim.world.now - began > 55
    assert document.exit_code is Exit.FAILED, document.results
    assert f"under the neighbour's name {N2}" in document.results[0].text
    assert "hold all tunnels of that peer, or --force shared-name" in document.results[0].text
    assert f"t quick {N2}" not in sim.sent["hub"]


def test_settle_shortens_the_wait_and_says_what_it_does_not_prove() -> None:
    sim = hub_with_one_local_network(peer_of_second="10.2.6.1")
    began = sim.world.now
    document = sim.down(options=DownOptions(settle_s=8.0, settle_given=True), tunnels=["customer-1"])
    assert sim.world.now - began < 20
    assert document.exit_code is Exit.OK
    assert "not proven against the peer's next attempt" in document.results[0].text


def test_a_lying_name_is_told_by_networks() -> None:
    sim = hub_with_one_local_network()
    sim.daemon("hub").fifo(f"C rmv [Phase 2]:Passive-Connections={N1}\nt quick {N1}\n".encode())
    sim.settle(75)
    assert sim.state("customer-2") == "up"
    end = sim.tunnel_now("customer-1").ends[0]
    assert end.live
    assert end.live[0].name == N2
    document = sim.down(tunnels=["customer-2"])
    assert document.exit_code is Exit.REFUSED
    assert [r.force for r in document.plan.refusals] == ["shared-name"]
    assert "hub" not in sim.sent


def test_a_held_passive_end_refuses_its_active_peer() -> None:
    """Transcript r11."""
    sim = SimFleet()
    sim.gateway("hub", "10.2.1.1")
    sim.peer("10.2.2.1")
    sim.rule("peer 10.2.2.1", "active", "192.168.1.0/24", HERE, "10.2.1.1")
    sim.rule("hub", "passive", HERE, "192.168.1.0/24", "10.2.2.1")
    sim.tunnel("customer-1", ("hub", HERE), ("10.2.2.1", "192.168.1.0/24"))
    sim.settle()
    document = sim.down(tunnels=["customer-1"])
    assert document.exit_code is Exit.OK, document.results
    assert f"C rmv [Phase 2]:Passive-Connections={N1}" in sim.sent["hub"]
    sim.settle(300)
    assert sim.state("customer-1") == "held"
    document = sim.up(tunnels=["customer-1"], up_s=200.0)
    assert document.exit_code is Exit.OK, document.results
    assert not [line for line in sim.sent["hub"] if line.startswith("c ")]


def refusals(document: Document) -> list[str]:
    return [r.force for r in document.plan.refusals]


def test_the_limit_of_tunnels_that_may_go_down() -> None:
    sim = customers(5, limits=Limits(Limit(20, percent=True), Limit(100, percent=True)))
    document = sim.down(tunnels=["customer-1,customer-2"])
    assert (document.exit_code, refusals(document)) == (Exit.REFUSED, ["tunnels-down"])
    assert sim.sent == {}
    assert (
        sim.down(options=DownOptions(forced=frozenset({"tunnels-down"})), tunnels=["customer-1,customer-2"]).exit_code
        is Exit.OK
    )


def test_what_somebody_put_down_by_a_bare_t_would_be_woken() -> None:
    sim = customers(4)
    for n in (2, 3):
        sim.daemon("hub").fifo(f"t quick from-172.16.{n}.0/24-to-192.168.{n}.0/24\n".encode())
    sim.settle(1)
    document = sim.down(tunnels=["customer-1"])
    assert (document.exit_code, refusals(document)) == (Exit.REFUSED, ["wakes-others"])
    assert sim.sent == {}
    once = sim.down(options=DownOptions(Strength.ONCE, settle_s=1.0), tunnels=["customer-1"])
    assert once.exit_code is Exit.OK


def test_our_own_session_is_not_cut() -> None:
    sim = customers(2)
    sim.ssh["hub"] = "192.168.1.7 40000 172.16.1.1 22"
    document = sim.down(tunnels=["customer-1"])
    assert (document.exit_code, refusals(document)) == (Exit.REFUSED, ["own-session"])
    assert sim.down(tunnels=["customer-2"]).exit_code is Exit.OK


def test_an_unknown_session_refuses() -> None:
    sim = customers(1)
    sim.ssh["hub"] = ""
    assert refusals(sim.down(tunnels=["customer-1"])) == ["own-session"]


def test_a_flow_from_any_is_not_our_session_by_itself() -> None:
    sim = SimFleet()
    sim.gateway("hub", "10.1.2.2")
    sim.peer("10.2.1.1")
    sim.rule("peer 10.2.1.1", "passive", "192.168.1.0/24", "0.0.0.0/0", "10.1.2.2")
    sim.rule("hub", "active", "0.0.0.0/0", "192.168.1.0/24", "10.2.1.1")
    sim.tunnel("customer-1", ("hub", "0.0.0.0/0"), ("10.2.1.1", "192.168.1.0/24"))
    sim.settle()
    assert sim.state("customer-1") == "up"
    document = sim.down(tunnels=["customer-1"])
    assert document.exit_code is Exit.OK, document.errors


def test_an_unreachable_other_end_refuses_and_can_be_forced() -> None:
    sim = pair()
    sim.dead["branch"] = UnreachableError("connection to branch refused", phase="tcp", obj="branch")
    document = sim.down(tunnels=["oslo"])
    assert (document.exit_code, refusals(document)) == (Exit.REFUSED, ["other-end"])
    forced = sim.down(options=DownOptions(forced=frozenset({"other-end"})), tunnels=["oslo"])
    assert forced.exit_code is Exit.UNREACHABLE


def test_up_of_an_end_whose_other_end_was_held() -> None:
    sim = pair()
    name = "from-192.168.1.0/24-to-172.16.1.0/24"
    sim.daemon("branch").fifo(
        f"C add [ipsecfleet]:Held-Passive-Connections={name}\nC rmv [Phase 2]:Passive-Connections={name}\nt quick {name}\n".encode()
    )
    sim.settle(130)
    document = sim.up(tunnels=["oslo"], gateways=["hub"])
    assert document.exit_code is Exit.OK, document.results
    assert sim.state("oslo") == "up"


def test_a_daemon_only_tunnel_between_two_of_ours_has_two_ends() -> None:
    sim = pair()
    sim.specs.clear()
    tunnel = sim.tunnel_now(N1)
    assert {e.gateway for e in tunnel.ends} == {"hub", "branch"}
    assert tunnel.state.value == "up"
    document = sim.down(peers=["10.1.9.2"], gateways=["hub"])
    assert document.exit_code is Exit.OK, document.results
    assert not sim.flows("branch")


def test_half_dead_after_a_bare_t_is_a_black_hole() -> None:
    """Transcript c11: `t quick` skips the REPLACED twin, and the other end keeps a live SA with flows."""
    sim = pair("active", "active")
    name = "from-192.168.1.0/24-to-172.16.1.0/24"
    sim.daemon("branch").fifo(f"t main peer-10.1.2.2\nt quick {name}\n".encode())
    sim.settle(1)
    assert sim.state("oslo") == "black-hole"
    document = sim.down(tunnels=["oslo"])
    assert document.exit_code is Exit.OK, document.results
    assert not sim.flows("hub")
    assert not sim.flows("branch")


@pytest.mark.parametrize("list_name", ["Connections", "Passive-Connections"])
def test_neighbours_of_the_same_peer_keep_their_phase_1(list_name: str) -> None:
    sim = SimFleet()
    sim.gateway("hub", "10.1.2.2")
    sim.peer("10.2.1.1")
    modes = ("active", "passive") if list_name == "Connections" else ("passive", "active")
    for n in (1, 2):
        sim.rule("peer 10.2.1.1", modes[1], f"192.168.{n}.0/24", f"172.16.{n}.0/24", "10.1.2.2")
        sim.rule("hub", modes[0], f"172.16.{n}.0/24", f"192.168.{n}.0/24", "10.2.1.1")
        sim.tunnel(f"customer-{n}", ("hub", f"172.16.{n}.0/24"), ("10.2.1.1", f"192.168.{n}.0/24"))
    sim.settle()
    document = sim.down(tunnels=["customer-1"])
    assert document.exit_code is Exit.OK, document.results
    assert not [line for line in sim.sent["hub"] if line.startswith(("t main", "C rm "))]
    assert any("phase 1 with 10.2.1.1 stays" in note for note in document.plan.notes)
    assert sim.state("customer-2") == "up"


def test_a_hold_that_was_interrupted_before_its_peer_went_is_finished() -> None:
    sim = hub_with_one_local_network()
    held = f"C add [ipsecfleet]:Held-Passive-Connections={N1}\nC rmv [Phase 2]:Passive-Connections={N1}\nt quick {N1}\n"
    sim.daemon("hub").fifo(held.encode())
    sim.settle(10)
    document = sim.down(tunnels=["customer-1"])
    assert document.exit_code is Exit.OK, document.results
    assert sim.sent["hub"][-2:] == ["C rm [Phase 1]:10.2.6.1", "t main peer-10.2.6.1"]
    again = sim.down(tunnels=["customer-1"])
    assert (again.exit_code, again.result) == (Exit.OK, "nothing")
