"""down --fail-closed and up --open on simulated daemons: no moment in clear that could be avoided, and said where it is."""

import pytest
from fleets import N1, PEER, carp, customers, pair
from simworld import SimFleet

from ipsecfleet.errors import Exit
from ipsecfleet.model.document import Document
from ipsecfleet.plan.down import DownOptions, Strength
from ipsecfleet.plan.up import UpOptions
from ipsecfleet.run.event import Event, Kind

DENIED = [
    "flow esp in from 192.168.1.0/24 to 172.16.1.0/24 type deny",
    "flow esp out from 172.16.1.0/24 to 192.168.1.0/24 type deny",
]
BETWEEN = "from 172.16.1.0/24 to 192.168.1.0/24"


def down(sim: SimFleet, *tunnels: str, strength: Strength = Strength.HOLD) -> Document:
    return sim.down(options=DownOptions(strength, fail_closed=True), tunnels=list(tunnels or ["customer-1"]))


def denied(sim: SimFleet, gateway: str = "hub") -> list[str]:
    return [line for line in sim.flows(gateway) if "deny" in line]


@pytest.mark.parametrize("strength", [Strength.ONCE, Strength.HOLD])
def test_the_deny_flow_is_the_proof(strength: Strength) -> None:
    sim = customers(2)
    document = down(sim, strength=strength)
    assert document.exit_code is Exit.OK, document.results
    assert denied(sim) == DENIED
    assert sim.sent["hub"].index(f"t quick {N1}") < sim.sent["hub"].index(f"deny {BETWEEN}")
    assert "its traffic is dropped until it is up, or a boot" in document.results[0].text
    assert document.plan is not None
    assert "traffic between 172.16.1.0/24 and 192.168.1.0/24 is dropped from then on" in document.plan.notes


def test_loaded_before_t_quick_it_would_go_with_the_daemons_flow() -> None:
    sim = customers(1)
    sim.files["hub"]["-"] = f"flow esp {BETWEEN} type deny\n"
    sim.ipsecctl("hub", "-f", "-")
    assert denied(sim) == DENIED
    sim.fifo("hub", f"t quick {N1}")
    sim.settle(1.0)
    assert denied(sim) == []


def test_both_ends_and_every_member_of_a_group_are_closed() -> None:
    both = pair()
    assert down(both, "oslo").exit_code is Exit.OK
    assert len(denied(both)) == len(denied(both, "branch")) == 2
    group = carp()
    assert down(group).exit_code is Exit.OK
    assert len(denied(group, "fra1")) == len(denied(group, "fra2")) == 2


def test_what_is_down_already_is_closed_once() -> None:
    sim = customers(1)
    assert sim.down(tunnels=["customer-1"]).exit_code is Exit.OK
    assert denied(sim) == []
    assert down(sim).exit_code is Exit.OK
    assert denied(sim) == DENIED
    sim.sent.clear()
    assert down(sim).results[0].text == "customer-1: down already"
    assert sim.sent == {}


def test_a_deny_flow_that_somebody_took_away_is_loaded_again() -> None:
    sim = customers(1)
    at = sim.world.now
    sim.world.at(at + 3, sim.daemon("hub").kernel.flush)
    assert down(sim).exit_code is Exit.OK
    assert denied(sim) == DENIED
    assert sim.sent["hub"].count(f"deny {BETWEEN}") == 2


def test_without_the_deny_flow_nothing_is_proven() -> None:
    sim = customers(1)
    sim.parts["hub", "deny"] = ("failed", b"exit 1: ipsecctl: PF_KEY failed")
    document = down(sim)
    assert document.exit_code is Exit.FAILED
    assert "deny on hub failed: failed: exit 1: ipsecctl: PF_KEY failed" in document.results[0].text


def test_an_active_peer_brings_it_back_after_once_and_the_daemons_flow_takes_the_place() -> None:
    sim = customers(1, "passive")
    down(sim, strength=Strength.ONCE)
    sim.settle(200.0)
    assert denied(sim) == []
    assert sim.state("customer-1") == "up"


def test_up_replaces_it() -> None:
    sim = customers(1)
    down(sim)
    document = sim.up(tunnels=["customer-1"])
    assert document.exit_code is Exit.OK
    assert document.plan is not None
    said = "traffic between 172.16.1.0/24 and 192.168.1.0/24 stays dropped until it is up; --open ends that"
    assert f"customer-1 on hub: {said}" in document.plan.notes
    assert denied(sim) == []


@pytest.mark.parametrize("let_out", [False, True])
def test_where_it_stays_down_only_open_lets_traffic_out(let_out: bool) -> None:
    sim = customers(1)
    down(sim)
    sim.world.cut(PEER)
    document = sim.up(options=UpOptions(let_out=let_out), up_s=20.0, tunnels=["customer-1"])
    assert document.exit_code is Exit.FAILED
    said = "nothing is dropped any more on hub, and traffic may leave in clear" in document.results[0].text
    assert (denied(sim), said) == ([] if let_out else DENIED, let_out)


def test_open_leaves_the_flow_of_a_tunnel_that_came_up() -> None:
    sim = customers(1)
    down(sim)
    assert sim.up(options=UpOptions(let_out=True), tunnels=["customer-1"]).exit_code is Exit.OK
    assert f"open {BETWEEN}" not in sim.sent["hub"]
    assert sim.state("customer-1") == "up"


def test_open_takes_no_flow_of_the_daemons() -> None:
    """The tunnel comes up between the verdict and the step."""
    sim = customers(1)
    down(sim)
    sim.world.cut(PEER)

    def late(event: Event) -> None:
        if event.kind is Kind.VERDICT:
            sim.world.restore(PEER)
            sim.settle(200.0)

    document = sim.up(options=UpOptions(let_out=True), up_s=20.0, run={"tell": late}, tunnels=["customer-1"])
    assert document.exit_code is Exit.FAILED
    assert f"open on hub refused: a require flow is there {BETWEEN} on hub" in document.results[0].text
    assert f"open {BETWEEN}" not in sim.sent["hub"]
    assert sim.state("customer-1") == "up"


def test_it_is_refused_where_it_would_hurt_another() -> None:
    sim = customers(1)
    sim.peer("10.2.9.1")
    sim.rule("hub", "passive", "172.16.1.0/24", "192.168.1.0/24", "10.2.9.1")
    sim.tunnel("twin", ("hub", "172.16.1.0/24"), ("10.2.9.1", "192.168.1.0/24"))
    document = down(sim, "twin")
    assert document.exit_code is Exit.REFUSED
    text = "twin cannot fail closed: customer-1 has the same networks on hub"
    assert text in [e.message for e in document.errors]
    assert sim.sent == {}


def test_it_is_refused_where_it_would_shut_out_ike() -> None:
    sim = SimFleet()
    sim.gateway("hub", "10.1.2.2")
    sim.peer(PEER)
    sim.rule(f"peer {PEER}", "passive", PEER, "10.1.2.2", "10.1.2.2")
    sim.rule("hub", "active", "10.1.2.2", PEER, PEER)
    sim.tunnel("hosts", ("hub", "10.1.2.2/32"), (PEER, f"{PEER}/32"))
    sim.settle()
    document = down(sim, "hosts")
    assert document.exit_code is Exit.REFUSED
    assert "hosts cannot fail closed: its networks have the IKE addresses" in document.errors[0].message


def test_it_is_refused_where_it_would_cut_our_own_session() -> None:
    sim = customers(1)
    assert sim.down(tunnels=["customer-1"]).exit_code is Exit.OK
    sim.ssh["hub"] = "192.168.1.7 40000 172.16.1.9 22"
    document = down(sim)
    assert [e.kind for e in document.errors] == ["own-session"]
