"""What a `down` would do, and what it would do to others: plans made of snapshots of simulated daemons."""

import facts
import pytest
from fleets import HERE, HUB, N1, PEER, THERE, carp, customers, name, pair, star
from simworld import PSK, ROOMY, SimFleet

from ipsecfleet.errors import UnreachableError
from ipsecfleet.model.fleet import Fleet, Gateway, Limit, Limits
from ipsecfleet.model.plan import Action, Plan
from ipsecfleet.model.snapshot import Connection, Listing, Snapshot, SshPair
from ipsecfleet.plan.down import DownOptions, Strength, plan_down
from ipsecfleet.plan.view import View

ONCE, HOLD, REMOVE = (DownOptions(s) for s in Strength)


def plan(sim: SimFleet, *tunnels: str, options: DownOptions = HOLD) -> Plan:
    view = sim.view()
    chosen = [t for t in view.tunnels if t.name in tunnels]
    assert len(chosen) == len(tunnels)
    return plan_down(view, chosen, options)


def waves(made: Plan) -> list[list[str]]:
    return [[f"{s.gateway} {s.action.value}" for s in wave.steps] for wave in made.waves]


def refused(made: Plan) -> list[str]:
    return [r.force or r.kind for r in made.refusals]


def forced(*names: str, strength: Strength = Strength.HOLD) -> DownOptions:
    return DownOptions(strength, forced=frozenset(names))


def test_the_end_that_begins_goes_first() -> None:
    hub, branch = ["hub hold", "hub quick"], ["branch hold", "branch quick"]
    late = ["hub peer-off", "hub main", "branch peer-off", "branch main"]
    assert waves(plan(pair(), "oslo")) == [hub, branch, late]
    assert waves(plan(pair("passive", "active"), "oslo")) == [branch, hub, late]
    assert waves(plan(pair("active", "active"), "oslo")) == [hub, branch, late]


def test_the_three_strengths() -> None:
    sim = customers(1)
    assert waves(plan(sim, "customer-1", options=ONCE)) == [["hub quick"], ["hub main"]]
    assert waves(plan(sim, "customer-1")) == [["hub hold", "hub quick"], ["hub peer-off", "hub main"]]
    assert refused(plan(sim, "customer-1", options=REMOVE)) == ["file"]


def test_a_plan_is_deterministic_and_holds_no_key() -> None:
    view = pair().view()
    first, second = (plan_down(view, view.tunnels, HOLD) for _ in range(2))
    assert first == second
    assert PSK not in repr(first)


@pytest.mark.parametrize("second", ["active", "passive"])
def test_phase_1_stays_where_another_tunnel_of_the_peer_needs_it(second: str) -> None:
    made = plan(customers(2, second, peer=PEER), "customer-1")
    assert waves(made) == [["hub hold", "hub quick"]]
    assert f"hub: phase 1 with {PEER} stays, customer-2 needs it too" in made.notes


def test_phase_1_goes_when_all_tunnels_of_the_peer_go_or_are_held() -> None:
    sim = customers(2, peer=PEER)
    assert waves(plan(sim, "customer-1", "customer-2"))[1] == ["hub peer-off", "hub main"]
    sim.down(tunnels=["customer-1"])
    assert waves(plan(sim, "customer-2"))[1] == ["hub peer-off", "hub main"]


def road_warriors(mode: str = "passive") -> SimFleet:
    """A rule without a peer beside one with a peer: `[Phase 1]:Default` is a default peer that is loaded."""
    sim = customers(1, mode)
    sim.rule("hub", "passive", "172.16.9.0/24", "192.168.9.0/24", "")
    sim.settle()
    return sim


def test_a_peer_keeps_its_entry_where_a_default_peer_would_answer_it() -> None:
    made = plan(road_warriors(), "customer-1")
    assert waves(made) == [["hub hold", "hub quick"], ["hub main"]]
    assert f"hub: {PEER} is still answered: a default peer is loaded, which would match it" in made.notes


def test_a_shared_phase_1_name_is_never_torn_down() -> None:
    """Two road warriors behind one `peer-default`."""
    sim = SimFleet()
    sim.gateway("hub", HUB)
    for n in (1, 2):
        sim.peer(f"10.2.{n}.1")
        sim.rule("hub", "passive", f"172.16.{n}.0/24", f"192.168.{n}.0/24", "", file=f"customer-{n}")
        sim.rule(f"peer 10.2.{n}.1", "active", f"192.168.{n}.0/24", f"172.16.{n}.0/24", HUB)
        sim.tunnel(f"customer-{n}", ("hub", f"172.16.{n}.0/24"), (f"10.2.{n}.1", f"192.168.{n}.0/24"))
    sim.settle(20)
    assert sim.state("customer-1") == "up"
    made = plan(sim, "customer-1")
    assert waves(made) == [["hub hold", "hub quick"]]
    assert any("customer-2 needs it too" in note for note in made.notes)


def test_three_tunnels_behind_one_network() -> None:
    made = plan(customers(3, "passive", local=1), "customer-2")
    assert waves(made)[1] == ["hub peer-off", "hub main"]
    assert made.look_again_s == 0
    one_peer = plan(customers(3, "passive", local=1, peer=PEER), "customer-2")
    assert one_peer.look_again_s == 70
    assert f"hub: {PEER} may come back as {name(1)}, {name(3, 1)}; looked at again after 70 s" in one_peer.notes
    short = plan(customers(3, "passive", local=1, peer=PEER), "customer-2", options=DownOptions(settle_given=True))
    assert (short.look_again_s, short.caveats) == (0, ("not proven against the peer's next attempt",))


def test_a_passive_peer_does_not_come_back_in_disguise() -> None:
    assert plan(customers(3, "active", local=1, peer=PEER), "customer-2").look_again_s == 0


def test_an_end_of_ours_in_the_run_does_not_come_back_in_disguise_but_one_left_out_does() -> None:
    sim = pair("passive", "active")
    sim.rule("hub", "passive", HERE, "192.168.2.0/24", "10.2.7.1")
    sim.fifo("hub", "C add [Phase 2]:Connections=from-172.16.3.0/24-to-192.168.3.0/24")
    sim.rule("hub", "passive", "172.16.4.0/24", "192.168.4.0/24", "10.1.9.2")
    sim.settle()
    assert plan(sim, "oslo").look_again_s == 0
    document = sim.down(run={"dry_run": True}, tunnels=["oslo"], exclude=["branch"])
    assert document.plan is not None
    assert document.plan.look_again_s == 70


def test_carp_members_are_held_and_the_master_alone_torn_down() -> None:
    made = plan(carp(), "customer-1")
    assert waves(made) == [["fra1 hold", "fra1 quick"], ["fra2 hold"], ["fra1 peer-off", "fra1 main", "fra2 peer-off"]]
    roles = {s.gateway for s in made.steps if any(type(n).__name__ == "Role" for n in s.needs)}
    assert roles == {"fra1"}
    assert waves(plan(carp(), "customer-1", options=ONCE)) == [["fra1 quick"], ["fra1 main"]]


@pytest.mark.parametrize("role", ["INIT", ""])
def test_an_unknown_carp_role_refuses(role: str) -> None:
    sim = carp()
    sim.role("fra2", role)
    assert refused(plan(sim, "customer-1")) == ["carp-backup"]
    assert refused(plan(sim, "customer-1", options=forced("carp-backup"))) == []


def test_only_backups_refuse_and_can_be_forced() -> None:
    sim = carp()
    sim.role("fra1", "BACKUP")
    assert refused(plan(sim, "customer-1")) == ["carp-backup"]
    assert refused(plan(sim, "customer-1", options=ONCE)) == ["carp-backup"]
    made = plan(sim, "customer-1", options=forced("carp-backup", strength=Strength.ONCE))
    assert waves(made) == [["fra1 quick"], ["fra2 quick"], ["fra1 main"]]
    both = plan(carp(), "customer-1", options=forced("carp-backup", strength=Strength.ONCE))
    assert {s.gateway for s in both.steps} == {"fra1"}


def test_a_dead_backup_refuses_nothing_and_a_dead_master_does() -> None:
    sim = carp()
    sim.dead["fra2"] = UnreachableError("no answer: fra2", phase="tcp", obj="fra2")
    assert refused(plan(sim, "customer-1")) == []
    assert refused(plan(sim, "customer-1", options=ONCE)) == []
    sim.dead = {"fra1": UnreachableError("no answer: fra1", phase="tcp", obj="fra1")}
    assert refused(plan(sim, "customer-1")) == ["other-end"]


def test_what_is_kept_up_by_c_alone_has_nothing_to_hold() -> None:
    sim = customers(1)
    sim.fifo("hub", f"C rmv [Phase 2]:Connections={N1}")
    sim.settle()
    sim.fifo("hub", f"c {N1}")
    sim.settle()
    made = plan(sim, "customer-1")
    assert waves(made) == [["hub quick"], ["hub main"]]
    assert "customer-1 on hub stands in no list, so there is nothing to hold: t quick only" in made.notes


def test_the_daemons_trying_is_ended_without_any_sa() -> None:
    sim = customers(1)
    sim.world.cut(PEER)
    sim.fifo("hub", f"t quick {N1}", f"t main peer-{PEER}", f"c {N1}")
    sim.settle(1)
    assert waves(plan(sim, "customer-1", options=ONCE)) == [["hub quick"]]


def test_what_a_re_initialisation_does_to_others_is_told() -> None:
    sim = customers(5, per_gateway_parallel=1)
    sim.fifo("hub", f"t quick {name(2)}", f"C rmv [Phase 2]:Connections={name(4)}")
    sim.world.cut("10.2.3.1")
    sim.fifo("hub", f"t quick {name(3)}", "t main peer-10.2.3.1")
    sim.settle(6)
    sim.fifo("hub", f"t quick {name(2)}", f"c {name(4)}")
    sim.settle(1)
    notes = "\n".join(plan(sim, "customer-1").notes)
    start = "hub: the re-initialisation 5 s later"
    assert f"{start} wakes {name(2)}\n" in f"{notes}\n"
    assert f"hub: not up, and tried by the daemon anyway: {name(3)}\n" in f"{notes}\n"
    assert f"{start} forgets to keep up {name(4)}\n" in f"{notes}\n"
    assert refused(plan(sim, "customer-1")) == []
    assert start not in "\n".join(plan(sim, "customer-1", options=ONCE).notes)


def test_more_wakes_than_a_gateway_may_bear_are_refused() -> None:
    sim = customers(4, per_gateway_parallel=2)
    sim.fifo("hub", *(f"t quick {name(n)}" for n in (2, 3, 4)))
    sim.settle(1)
    assert refused(plan(sim, "customer-1")) == ["wakes-others"]
    assert refused(plan(sim, "customer-1", "customer-4")) == []
    assert refused(plan(sim, "customer-1", options=forced("wakes-others"))) == []


def limited(tunnels: str = "100%", gateways: str = "100%") -> Limits:
    return Limits(*(Limit(int(text.rstrip("%")), percent="%" in text) for text in (tunnels, gateways)))


def test_at_least_one_peers_tunnels_may_go() -> None:
    sim = customers(3, peer=PEER, limits=limited("10%"))
    assert refused(plan(sim, "customer-1", "customer-2", "customer-3")) == []
    strangers = customers(3, limits=limited("10%"))
    assert refused(plan(strangers, "customer-1")) == []
    assert refused(plan(strangers, "customer-1", "customer-2")) == ["tunnels-down"]
    assert refused(plan(customers(3, limits=limited("2")), "customer-1", "customer-2")) == []


def test_a_hub_is_not_the_one_peer_of_all_its_branches() -> None:
    sim = star(3, limited("10%"))
    assert refused(plan(sim, "tunnel-1")) == []
    assert refused(plan(sim, "tunnel-1", "tunnel-2")) == ["tunnels-down"]


def test_a_tunnel_with_a_dead_carp_member_counts_as_up() -> None:
    sim = carp()
    sim.limits = limited("1")
    sim.peer("10.2.2.1")
    sim.rule("peer 10.2.2.1", "passive", "192.168.2.0/24", "172.16.2.0/24", "203.0.113.1")
    sim.rule("fra1", "active", "172.16.2.0/24", "192.168.2.0/24", "10.2.2.1")
    sim.tunnel("customer-2", ("fra", "172.16.2.0/24"), ("10.2.2.1", "192.168.2.0/24"))
    sim.settle()
    sim.dead["fra2"] = UnreachableError("no answer: fra2", phase="tcp", obj="fra2")
    assert refused(plan(sim, "customer-1", "customer-2")) == ["tunnels-down"]


def test_gateways_touched() -> None:
    sim = star(5, limited(gateways="25%"))
    assert refused(plan(sim, "tunnel-1")) == []
    assert refused(plan(sim, "tunnel-1", "tunnel-2")) == ["gateways-touched"]
    assert refused(plan(sim, "tunnel-1", "tunnel-2", options=forced("gateways-touched"))) == []


@pytest.mark.parametrize("gateway", ["hub", "branch"])
def test_the_session_to_any_gateway_of_the_run_counts(gateway: str) -> None:
    sim = pair()
    sim.ssh[gateway] = "172.16.1.9 40000 192.168.1.1 22"
    assert refused(plan(sim, "oslo")) == ["own-session"]
    sim.ssh[gateway] = "172.16.2.9 40000 192.168.1.1 22"
    assert refused(plan(sim, "oslo")) == []


def test_what_carries_nothing_carries_no_session() -> None:
    sim = pair()
    sim.fifo("hub", f"t quick {N1}")
    sim.settle(1)
    sim.ssh["hub"] = ""
    assert refused(plan(sim, "oslo")) == []


def test_an_unread_other_end_refuses_also_where_only_the_daemons_know_the_tunnel() -> None:
    sim = pair()
    sim.specs.clear()
    sim.dead["branch"] = UnreachableError("no answer: branch", phase="tcp", obj="branch")
    document = sim.down(peers=["10.1.9.2"], gateways=["hub"])
    assert [r.force for r in document.plan.refusals] == ["other-end"]
    assert sim.sent == {}


def test_all_refusals_are_listed_at_once() -> None:
    sim = customers(4, limits=limited("1"))
    sim.ssh["hub"] = ""
    sim.fifo("hub", f"t quick {name(3)}", f"t quick {name(4)}")
    sim.settle(1)
    assert refused(plan(sim, "customer-1", "customer-2")) == ["own-session", "tunnels-down", "wakes-others"]
    assert refused(plan(sim, "customer-1", "customer-2", options=forced("own-session", "tunnels-down"))) == [
        "wakes-others"
    ]


def test_a_name_that_several_peers_bear_is_refused() -> None:
    listed = (Connection(N1, Listing.PASSIVE),)
    sas = (facts.sa(), facts.sa(spi=0x20, peer=facts.OTHER))
    seen = facts.seen(
        connections=listed,
        sas=sas,
        flows=facts.flows() + facts.flows(peer=facts.OTHER),
        kernel=facts.kernel() + facts.kernel(0x20, peer=facts.OTHER),
        ssh=SshPair("192.0.2.7", "198.51.100.11"),
    )
    view = View.of(Fleet(gateways=(Gateway("hub", "192.0.2.1"),), limits=ROOMY), Snapshot({"hub": seen}))
    (refusal,) = plan_down(view, view.tunnels, HOLD).refusals
    assert refusal.force == "shared-name"
    assert refusal.message.endswith(f"is also the name of an SA with {PEER}, an SA with {facts.OTHER}")


def test_every_step_says_what_must_hold_before_and_what_proves_it() -> None:
    for step in plan(pair(), "oslo").steps:
        assert step.proof
        assert step.needs or step.action is Action.MAIN
        assert step.undo.why


def test_a_file_is_unloaded_once_for_all_it_makes() -> None:
    sim = customers(1)
    sim.rule("peer 10.2.1.1", "passive", "192.168.7.0/24", HERE, HUB)
    sim.rule("hub", "active", HERE, "192.168.7.0/24", PEER, file="customer-1")
    sim.settle()
    shared = sim.down(options=REMOVE, run={"dry_run": True}, tunnels=["customer-1"])
    assert "also makes from-172.16.1.0/24-to-192.168.7.0/24, which was not selected" in shared.plan.refusals[0].message
    sim.specs.clear()
    sim.tunnel("customer-1", ("hub", HERE), (PEER, f"{THERE},192.168.7.0/24"))
    document = sim.down(options=REMOVE, tunnels=["customer-1"])
    assert document.exit_code == 0, document.results
    assert sim.sent["hub"] == ["ipsecctl -d -f /etc/IPsec/customer-1.conf", f"t main peer-{PEER}"]


def test_nothing_is_down_already_while_something_without_a_name_is_negotiated() -> None:
    sim = customers(2)
    sim.down(tunnels=["customer-1"])
    assert plan(sim, "customer-1").already == ("customer-1",)
    sim.world.cut("10.2.2.1")
    sim.fifo("hub", f"t quick {name(2)}", "t main peer-10.2.2.1", f"c {name(2)}")
    sim.settle(1)
    assert plan(sim, "customer-1").already == ("customer-1",)
    sim.parts["hub", "exchanges"] = ("failed", b"isakmpd did not answer SIGUSR1")
    assert plan(sim, "customer-1").already == ()
