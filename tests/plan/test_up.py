"""What an `up` would do: the order of its waves, what it waits for, what it refuses."""

import pytest
from fleets import BACK, HERE, HUB, N1, PEER, THERE, carp, customers, name, pair
from simworld import SimFleet

from ipsecfleet.errors import Exit
from ipsecfleet.model.plan import Plan
from ipsecfleet.plan.up import UpOptions, plan_up

LOAD = "ipsecctl -f /etc/IPsec/{}.conf"


def plan(sim: SimFleet, *tunnels: str) -> Plan:
    view = sim.view()
    return plan_up(view, [t for t in view.tunnels if t.name in tunnels], UpOptions())


def waves(made: Plan) -> list[tuple[int, list[str]]]:
    return [(round(w.pause_s), [f"{s.gateway} {s.action.value}" for s in w.steps]) for w in made.stages]


def dry(sim: SimFleet, *tunnels: str) -> Plan:
    """The plan with what the conf files make."""
    document = sim.up(tunnels=tunnels, run={"dry_run": True})
    assert document.plan is not None
    return document.plan


def test_up_of_what_is_up_is_nothing() -> None:
    made = plan(pair(), "oslo")
    assert (made.stages, made.already) == ((), ("oslo",))


def test_the_passive_end_first_and_after_its_re_initialisation_the_active_one() -> None:
    sim = pair()
    sim.down(tunnels=["oslo"])
    sim.settle(130)
    assert waves(plan(sim, "oslo")) == [
        (0, ["hub release", "branch release", "branch release"]),
        (6, ["hub release", "hub connect"]),
    ]
    lines = [str(s.connection or s.peer) for w in plan(sim, "oslo").stages for s in w.steps]
    assert lines == ["10.1.9.2", HUB, BACK, N1, N1]


def test_the_old_responder_begins_where_the_other_would_be_ignored() -> None:
    sim = pair()
    sim.down(tunnels=["oslo"])
    made = plan(sim, "oslo")
    assert waves(made) == [
        (0, ["hub release", "hub release", "branch release", "branch release"]),
        (6, ["branch connect"]),
    ]
    assert "oslo: begun from branch, which answered the last phase 1 and would ignore a new one" in made.notes


def test_a_foreign_responders_lock_out_is_waited_for() -> None:
    sim = customers(1)
    sim.down(tunnels=["customer-1"])
    made = plan(sim, "customer-1")
    first, second = made.stages
    assert [s.action.value for s in (*first.steps, *second.steps)] == ["release", "release", "connect"]
    assert 90 < second.pause_s < 120
    assert second.why == "the peer's lock-out of 120 s"
    assert "the peer may ignore a new phase 1 for" in made.notes[0]
    sim.settle(120)
    assert waves(plan(sim, "customer-1"))[1][0] == 0


def test_with_phase_1_in_place_nothing_is_waited_for() -> None:
    sim = customers(2, peer=PEER)
    sim.down(tunnels=["customer-1"])
    assert waves(plan(sim, "customer-1")) == [(0, ["hub release", "hub connect"])]


def test_a_foreign_active_peer_is_waited_for() -> None:
    sim = customers(1, "passive")
    sim.down(tunnels=["customer-1"])
    sim.settle(200)
    made = plan(sim, "customer-1")
    assert waves(made) == [(0, ["hub release", "hub release"])]
    assert "customer-1: only the peer begins; it tries again within 60 s, or 120 after a failed attempt" in made.notes


def test_an_active_peer_that_we_would_ignore_is_not_waited_for() -> None:
    """The hub answered the last phase 1: its own `c` is heard at once, the peer's attempts are not."""
    sim = customers(1, "passive")
    sim.down(tunnels=["customer-1"])
    assert waves(plan(sim, "customer-1"))[1] == (6, ["hub connect"])


def test_c_add_only_when_absent_from_the_list() -> None:
    sim = customers(1)
    sim.fifo("hub", f"t quick {N1}")
    sim.settle(1)
    assert waves(plan(sim, "customer-1")) == [(0, ["hub connect"])]
    sim.fifo("hub", f"C add [ipsecfleet]:Held-Connections={N1}")
    assert waves(plan(sim, "customer-1")) == [(0, ["hub connect"])]


def test_a_running_negotiation_is_told_and_not_waited_for() -> None:
    sim = customers(1)
    sim.world.cut(PEER)
    sim.fifo("hub", f"t quick {N1}", f"t main peer-{PEER}", f"c {N1}")
    sim.settle(1)
    made = plan(sim, "customer-1")
    assert waves(made) == [(0, ["hub connect"])]
    assert "customer-1: negotiating already; a new attempt is possible in 118 s" in made.notes


def test_what_is_kept_up_is_taken_off_that_list_or_c_would_wait_for_its_next_check() -> None:
    sim = customers(1)
    sim.fifo(f"peer {PEER}", f"t quick {BACK}")
    sim.settle(1)
    assert sim.end("customer-1", "hub").kept_up
    assert waves(plan(sim, "customer-1")) == [(0, ["hub quick", "hub connect"])]


def test_no_quick_where_a_neighbours_sa_bears_the_name() -> None:
    """The daemon tries customer-1 and thinks it up: customer-2's SA has its name."""
    sim = customers(2, "passive", local=1)
    two = name(2, 1)
    sim.fifo(
        "hub", f"C rmv [Phase 2]:Passive-Connections={two}", f"t quick {two}", f"t quick {N1}", "t main peer-10.2.1.1"
    )
    sim.world.cut(PEER)
    sim.settle(80)
    sim.fifo("hub", f"c {N1}")
    sim.settle(1)
    assert sim.end("customer-2", "hub").live[0].name == N1
    assert sim.end("customer-1", "hub").kept_up
    assert waves(plan(sim, "customer-1")) == [(0, ["hub connect"])]


def test_both_networks_of_a_tunnel_are_begun() -> None:
    sim = customers(1)
    sim.rule(f"peer {PEER}", "passive", "192.168.7.0/24", HERE, HUB)
    sim.rule("hub", "active", HERE, "192.168.7.0/24", PEER, file="customer-1")
    sim.specs.clear()
    sim.tunnel("customer-1", ("hub", HERE), (PEER, f"{THERE},192.168.7.0/24"))
    sim.settle()
    sim.fifo("hub", f"t quick {N1}", f"t quick from-{HERE}-to-192.168.7.0/24")
    sim.settle(1)
    assert [s.connection for s in plan(sim, "customer-1").steps] == [N1, f"from-{HERE}-to-192.168.7.0/24"]


@pytest.mark.parametrize(("parallel", "count"), [(1, 5), (2, 3), (9, 1)])
def test_no_more_at_once_than_a_gateway_may_bear(parallel: int, count: int) -> None:
    sim = customers(5, per_gateway_parallel=parallel, min_gap=7.0)
    sim.fifo("hub", *(f"t quick {name(n)}" for n in range(1, 6)))
    sim.settle(1)
    made = plan(sim, *(f"customer-{n}" for n in range(1, 6)))
    assert len(made.stages) == count
    assert all(len(w.steps) <= parallel for w in made.stages)
    assert [w.pause_s for w in made.stages] == [0.0] + [8.0] * (count - 1)


def test_a_foreign_peer_bears_one_at_once() -> None:
    """Five tunnels of one customer begin one after the other, whatever the gateway bears."""
    sim = customers(5, per_gateway_parallel=9, peer=PEER)
    sim.fifo("hub", *(f"t quick {name(n)}" for n in range(1, 6)))
    sim.settle(1)
    made = plan(sim, *(f"customer-{n}" for n in range(1, 6)))
    assert [len(w.steps) for w in made.stages] == [1] * 5


def test_three_in_a_ring_take_a_slot_more_and_it_is_said() -> None:
    sim = SimFleet()
    ends = {n: f"10.1.{n}.2" for n in (1, 2, 3)}
    for n, address in ends.items():
        sim.gateway(f"gw{n}", address)
    for n, m in ((1, 2), (2, 3), (3, 1)):
        here, there = f"172.16.{n}{m}.0/24", f"192.168.{n}{m}.0/24"
        sim.rule(f"gw{m}", "passive", there, here, ends[n])
        sim.rule(f"gw{n}", "active", here, there, ends[m])
        sim.tunnel(f"ring-{n}", (f"gw{n}", here), (f"gw{m}", there))
    sim.settle()
    assert sim.down(tunnels=["*"]).exit_code is Exit.OK
    sim.settle(130)
    made = plan(sim, "ring-1", "ring-2", "ring-3")
    assert "3 beginnings one after the other, where 2 are needed at least" in made.notes


def test_waits_of_several_tunnels_are_not_added_up() -> None:
    sim = customers(3)
    sim.down(tunnels=["*"])
    made = plan(sim, "customer-1", "customer-2", "customer-3")
    assert sum(w.pause_s for w in made.stages) < 125


def test_after_a_restart_the_files_are_loaded_passive_ends_first() -> None:
    sim = pair()
    sim.restart_daemon("hub")
    sim.restart_daemon("branch")
    made = dry(sim, "oslo")
    assert waves(made) == [(0, ["branch load"]), (6, ["hub load"])]
    assert [s.file for s in made.steps] == ["/etc/IPsec/oslo.conf"] * 2


def test_what_files_bring_begins_one_after_the_other() -> None:
    sim = customers(3, min_gap=2.0)
    sim.settle(130)
    sim.restart_daemon("hub")
    made = dry(sim, "customer-1", "customer-2", "customer-3")
    assert waves(made) == [(0, ["hub load"]), (8, ["hub load"]), (8, ["hub load"])]


def test_what_no_file_is_known_for_is_refused() -> None:
    sim = customers(1)
    sim.specs.clear()
    sim.fifo("hub", f"t quick {N1}", f"C rms [{N1}]")
    sim.settle(1)
    (refusal,) = plan(sim, N1).refusals
    assert refusal.kind == "not-configured"
    assert f"hub lacks [{N1}]:Phase to build it from, and the inventory names no conf file" in refusal.message


@pytest.mark.parametrize(
    ("text", "why"),
    [
        (None, "could not be read: failed:"),
        ("# nothing\n", f"does not make a connection from {HERE} to {THERE}"),
        (f"ike active esp from {HERE} to 192.168.9.0/24 peer {PEER} psk x\n", "does not make a connection"),
        (
            f"ike active esp from {HERE} to {{ {THERE}, 192.168.9.0/24 }} peer {PEER} psk x\n",
            f"also makes from-{HERE}-to-192.168.9.0/24, which was not selected",
        ),
    ],
)
def test_a_file_that_is_not_this_tunnels_is_refused(text: str | None, why: str) -> None:
    sim = customers(1)
    sim.restart_daemon("hub")
    path = "/etc/IPsec/customer-1.conf"
    sim.files["hub"] = {path: text} if text is not None else {}
    (refusal,) = dry(sim, "customer-1").refusals
    assert (refusal.kind, refusal.force) == ("not-configured", "")
    assert why in refusal.message


def test_what_the_daemon_did_not_tell_is_not_taken_as_there() -> None:
    sim = customers(1)
    sim.fifo("hub", f"t quick {N1}")
    sim.settle(1)
    sim.parts["hub", "exchanges"] = ("failed", b"isakmpd did not answer SIGUSR1")
    (refusal,) = plan(sim, "customer-1").refusals
    assert refusal.message == f"customer-1: hub did not say what it would build {N1} from"


def test_a_passive_end_of_a_default_peer_needs_no_address() -> None:
    sim = SimFleet()
    sim.gateway("hub", HUB)
    sim.peer(PEER)
    sim.rule("hub", "passive", HERE, THERE, "", file="customer-1")
    sim.rule(f"peer {PEER}", "active", THERE, HERE, HUB)
    sim.tunnel("customer-1", ("hub", HERE), (PEER, THERE))
    sim.settle(20)
    sim.down(tunnels=["customer-1"])
    made = plan(sim, "customer-1")
    assert made.refusals == ()
    assert waves(made) == [(0, ["hub release"])]


def test_carp_members_get_their_lists_back_and_the_master_begins() -> None:
    sim = carp()
    sim.down(tunnels=["customer-1"])
    sim.settle(130)
    assert waves(plan(sim, "customer-1")) == [
        (0, ["fra1 release", "fra2 release", "fra2 release"]),
        (6, ["fra1 release", "fra1 connect"]),
    ]


def test_a_carp_members_file_is_loaded_on_every_member() -> None:
    sim = carp()
    sim.settle(130)
    sim.restart_daemon("fra1")
    sim.restart_daemon("fra2")
    assert waves(dry(sim, "customer-1")) == [(0, ["fra2 load"]), (6, ["fra1 load"])]


def test_what_a_re_initialisation_wakes_is_told_and_counted() -> None:
    sim = customers(4)
    sim.down(tunnels=["customer-1"])
    sim.fifo("hub", f"t quick {name(2)}")
    sim.settle(1)
    assert f"hub: the re-initialisation 5 s later wakes {name(2)}" in plan(sim, "customer-1").notes
    sim.fifo("hub", f"t quick {name(3)}")
    sim.settle(1)
    assert [r.force for r in plan(sim, "customer-1").refusals] == ["wakes-others"]


def test_a_file_that_is_loaded_wakes_others_too() -> None:
    sim = customers(3)
    sim.settle(130)
    sim.fifo("hub", f"C rms [{N1}]", f"C rmv [Phase 2]:Connections={N1}", f"t quick {N1}")
    sim.settle(7)
    sim.fifo("hub", f"t quick {name(2)}", f"t quick {name(3)}")
    sim.settle(1)
    assert [r.force for r in dry(sim, "customer-1").refusals] == ["wakes-others"]
