"""What runs come to on simulated daemons: last lines, waits, repetitions, exit codes; and the same from a saved file."""

from dataclasses import replace
from datetime import datetime
from itertools import pairwise

import pytest
from fleets import BACK, HELD, HERE, HUB, N1, PEER, THERE, carp, customers, name, pair
from simworld import SimFleet

from ipsecfleet.errors import Exit, UnreachableError
from ipsecfleet.inventory.words import Selection
from ipsecfleet.isakmpd.saved import decode
from ipsecfleet.model.document import Document
from ipsecfleet.plan.down import DownOptions, Strength
from ipsecfleet.plan.up import UpOptions
from ipsecfleet.run.reading import Reading, lines, show

NOTHING: frozenset[str] = frozenset()


def moment(document: Document) -> str:
    (row,) = [g for g in document.gateways or () if g.gateway in {"hub", "fra1"}]
    assert row.at is not None
    return f"{datetime.fromtimestamp(row.at).astimezone():%H:%M:%S}"


def dark(sim: SimFleet, gateway: str) -> None:
    sim.dead[gateway] = UnreachableError(f"no answer: {gateway}", phase="tcp", obj=gateway)


def test_the_last_line_of_a_down() -> None:
    sim = customers(1, "passive")
    document = sim.down(tunnels=["customer-1"])
    assert document.results[0].text == (
        f"customer-1: down on hub since {moment(document)}, flows gone; "
        f'held until "up", a reload or a boot; {PEER} keeps trying'
    )


@pytest.mark.parametrize(
    ("strength", "kept"),
    [
        (Strength.ONCE, "not held: an active peer or any re-initialisation brings it back"),
        (Strength.HOLD, 'held until "up", a reload or a boot'),
        (Strength.REMOVE, "removed until the next ipsecctl -f or boot"),
    ],
)
def test_what_each_strength_says_of_itself(strength: Strength, kept: str) -> None:
    document = customers(1).down(options=DownOptions(strength), tunnels=["customer-1"])
    assert document.results[0].text.endswith(f"flows gone; {kept}")


def test_what_stands_in_no_list_is_not_said_to_be_held() -> None:
    sim = customers(1)
    sim.fifo("hub", f"C rmv [Phase 2]:Connections={N1}")
    sim.settle()
    document = sim.down(tunnels=["customer-1"])
    assert document.results[0].text.endswith("flows gone; in no list, so nothing was held")


def test_a_member_that_is_not_held_is_named() -> None:
    sim = carp()
    dark(sim, "fra2")
    document = sim.down(tunnels=["customer-1"])
    assert (document.exit_code, document.result) == (Exit.UNREACHABLE, "unreachable")
    assert document.results[0].ok
    assert document.results[0].text.endswith("; not held on fra2")
    once = carp()
    dark(once, "fra2")
    assert once.down(options=DownOptions(Strength.ONCE, 1.0), tunnels=["customer-1"]).exit_code is Exit.OK


def test_a_daemon_that_does_not_run_is_no_success() -> None:
    sim = customers(1)
    sim.daemon("hub").kill()
    for document in (sim.down(tunnels=["customer-1"]), sim.up(tunnels=["customer-1"])):
        assert (document.exit_code, document.result) == (Exit.UNREACHABLE, "unreachable")
    assert sim.down(peers=[PEER], all_gateways=True).exit_code is Exit.UNREACHABLE


def test_what_only_the_kernel_still_carries_is_not_down_already() -> None:
    """The daemon was killed and started: it knows nothing of the tunnel, and traffic still flows."""
    sim = customers(1)
    sim.restart_daemon("hub")
    document = sim.down(tunnels=["customer-1"])
    assert (document.exit_code, document.result) == (Exit.FAILED, "unproven")
    assert document.results[0].text == (
        "customer-1: a require flow is still there on hub; "
        "the daemon knows nothing of it: bring it up, then take it down"
    )


def test_a_selection_that_matches_nothing() -> None:
    document = customers(1).down(peers=["10.2.99.1"], all_gateways=True)
    assert (document.exit_code, document.result) == (Exit.NOTHING, "nothing")


def test_a_dry_run_ends_as_the_run_would() -> None:
    sim = customers(1)
    assert sim.down(run={"dry_run": True}, tunnels=["customer-1"]).exit_code is Exit.OK
    sim.ssh["hub"] = ""
    assert sim.down(run={"dry_run": True}, tunnels=["customer-1"]).exit_code is Exit.REFUSED
    assert sim.sent == {}


def test_a_refusal_comes_before_an_unreachable_gateway() -> None:
    sim = customers(1)
    sim.gateway("other", "10.1.3.2")
    dark(sim, "other")
    sim.ssh["hub"] = ""
    assert sim.down(peers=[PEER], all_gateways=True).exit_code is Exit.REFUSED


def test_what_comes_back_before_the_re_initialisation_is_torn_down_once_more() -> None:
    """Both ends active: the peer, told by DELETE, is back before the passive list is built anew."""
    sim = customers(2, "passive", peer=PEER)
    sim.world.at(sim.world.now + 1.5, lambda: sim.fifo(f"peer {PEER}", f"t quick {BACK}", f"c {BACK}"))
    document = sim.down(tunnels=["customer-1"])
    assert document.exit_code is Exit.OK, document.results
    assert sim.sent["hub"].count(f"t quick {N1}") == 2
    sim.settle(130)
    assert sim.state("customer-1") == "held"


def test_an_exchange_that_completes_late_is_torn_down_again() -> None:
    sim = customers(2)
    sim.fifo("hub", f"t quick {N1}", f"t main peer-{PEER}")
    sim.settle(125)
    sim.world.cut(PEER)
    sim.fifo("hub", f"c {N1}")
    sim.settle(2)
    sim.world.at(sim.world.now + 20, lambda: sim.world.restore(PEER))
    document = sim.down(tunnels=["customer-1"])
    assert document.exit_code is Exit.OK, document.results
    assert sim.sent["hub"].count(f"t quick {N1}") == 2
    assert sim.sent["hub"][-1] == f"t main peer-{PEER}"
    sim.settle(200)
    assert sim.state("customer-1") == "held"


def test_an_exchange_that_completes_late_cannot_let_the_peer_back_in_disguise() -> None:
    """Its phase 1 would: an active peer needs no entry in [Phase 1] where one is up."""
    sim = customers(3, "passive", local=1)
    sim.fifo("hub", f"t quick {N1}", f"t main peer-{PEER}")
    sim.settle(0.2)
    sim.world.cut(PEER)
    sim.settle(125)
    sim.fifo("hub", f"c {N1}")
    sim.settle(2)
    sim.world.at(sim.world.now + 15, lambda: sim.world.restore(PEER))
    document = sim.down(tunnels=["customer-1"])
    assert document.exit_code is Exit.OK, document.results
    sim.settle(200)
    assert not [flow for flow in sim.flows("hub") if PEER in flow]
    assert sim.state("customer-2") == "up"


def test_both_ends_are_back_although_a_neighbour_has_the_same_local_network() -> None:
    """Begun from the old responder, the other end must be on its list again before that."""
    sim = pair()
    sim.peer("10.2.7.1")
    sim.rule("peer 10.2.7.1", "passive", "192.168.7.0/24", HERE, HUB)
    sim.rule("hub", "active", HERE, "192.168.7.0/24", "10.2.7.1")
    sim.settle()
    sim.down(tunnels=["oslo"])
    document = sim.up(tunnels=["oslo"])
    assert document.exit_code is Exit.OK, document.results
    assert sim.end("oslo", "hub").live[0].name == N1
    assert sim.sent["branch"][-1] == f"c {BACK}"


@pytest.mark.parametrize("mode", ["active", "passive"])
@pytest.mark.parametrize("rest", [0, 30, 125, 4000])
def test_up_after_down_however_long_it_was(mode: str, rest: int) -> None:
    sim = customers(2, mode)
    neighbour = [line for line in sim.spis("hub") if "10.2.2.1" in line]
    sim.down(tunnels=["customer-1"])
    sim.settle(rest)
    document = sim.up(up_s=200.0, tunnels=["customer-1"])
    assert document.exit_code is Exit.OK, document.results
    assert document.results[0].text == f"customer-1: up on hub since {moment(document)}"
    assert sim.state("customer-1") == "up"
    if rest < 1000:
        assert [line for line in sim.spis("hub") if "10.2.2.1" in line] == neighbour


def test_up_soon_after_down_waits_for_a_foreign_responder() -> None:
    sim = customers(1)
    sim.down(tunnels=["customer-1"])
    began = sim.world.now
    document = sim.up(tunnels=["customer-1"])
    assert document.exit_code is Exit.OK, document.results
    assert 90 < sim.world.now - began < 125


def test_up_waits_for_a_peer_that_does_not_come_and_says_so() -> None:
    sim = customers(1, "passive")
    sim.down(tunnels=["customer-1"])
    sim.settle(125)
    sim.world.cut(PEER)
    sim.up(up_s=5.0, tunnels=["customer-1"])
    began = sim.world.now
    document = sim.up(up_s=30.0, tunnels=["customer-1"])
    assert (document.exit_code, document.result) == (Exit.FAILED, "unproven")
    assert document.results[0].text == "customer-1: no SA on hub; the peer must begin, it tries every 60 s"
    assert 30 < sim.world.now - began < 35


def test_up_of_what_is_duplicate_or_stale_is_not_nothing() -> None:
    sim = customers(1)
    sim.parts["hub", "flows"] = ("ok", b"FLOWS:\nNo flows\n")
    assert sim.state("customer-1") == "stale"
    document = sim.up(up_s=5.0, tunnels=["customer-1"])
    assert (document.exit_code, document.result) == (Exit.FAILED, "unproven")
    assert document.results[0].text == "customer-1: no flow on hub yet"


@pytest.mark.parametrize("restarted", [["hub"], ["hub", "branch"]])
def test_up_after_daemons_were_restarted(restarted: list[str]) -> None:
    sim = pair()
    sim.settle(200)
    for gateway in restarted:
        sim.restart_daemon(gateway)
    sim.settle(3)
    assert sim.state("oslo") == ("stale" if len(restarted) == 2 else "black-hole")
    document = sim.up(up_s=200.0, tunnels=["oslo"])
    assert document.exit_code is Exit.OK, document.results
    assert sim.state("oslo") == "up"


def test_up_is_not_said_where_the_end_that_begins_has_an_sa_that_the_other_has_lost() -> None:
    """`c` does nothing on a live SA; only a restart of the tunnel helps."""
    sim = pair()
    sim.restart_daemon("branch")
    document = sim.up(up_s=20.0, tunnels=["oslo"])
    assert (document.exit_code, document.result) == (Exit.FAILED, "unproven")
    assert document.results[0].text == ("oslo: branch does not have the same SA yet; take it down, then bring it up")


def test_up_after_remove_at_both_ends() -> None:
    sim = pair()
    document = sim.down(options=DownOptions(Strength.REMOVE), tunnels=["oslo"])
    assert document.exit_code is Exit.OK, document.results
    sim.settle(130)
    document = sim.up(tunnels=["oslo"])
    assert document.exit_code is Exit.OK, document.results
    assert (sim.sent["hub"][-1], sim.sent["branch"][-1]) == ("ipsecctl -f /etc/IPsec/oslo.conf",) * 2


def test_a_reboots_worth_of_tunnels_comes_up_one_after_the_other() -> None:
    sim = customers(4, min_gap=6.0)
    sim.settle(200)
    sim.restart_daemon("hub")
    began: list[float] = []
    sim.world.on_event(
        lambda e: (
            began.append(float(str(e["at"])))
            if (e["gateway"], e["event"], e.get("phase"), e.get("ours")) == ("hub", "exchange-start", 1, True)
            else None
        )
    )
    document = sim.up(up_s=200.0, tunnels=["*"])
    assert document.exit_code is Exit.OK, document.results
    assert len(began) == 4
    assert all(b - a > 5.5 for a, b in pairwise(began))


def test_carp_down_and_up() -> None:
    sim = carp()
    document = sim.down(tunnels=["customer-1"])
    assert document.exit_code is Exit.OK, document.results
    assert not [line for line in sim.sent["fra2"] if line.startswith(("t ", "c "))]
    assert f"{HELD}{N1}" in sim.sent["fra2"]
    sim.settle(130)
    document = sim.up(tunnels=["customer-1"])
    assert document.exit_code is Exit.OK, document.results
    assert not [line for line in sim.sent["fra2"] if line.startswith(("t ", "c "))]
    assert sim.end("customer-1", "fra2").listing == "active"


def test_names_of_200_bytes() -> None:
    sim = customers(1)
    long = "n" * 200
    rule = [line for line in sim.daemon("hub")._process.config.dump() if line[0] == N1]
    assert rule
    lines_of_rule = [f"C set [{long}]:{tag}={value} force" for tag, value in rule[0][1]]
    sim.fifo("hub", *lines_of_rule, f"C rmv [Phase 2]:Connections={N1}", f"t quick {N1}")
    sim.fifo("hub", f"C add [Phase 2]:Connections={long}")
    sim.settle()
    sim.specs.clear()
    document = sim.down(peers=[PEER], all_gateways=True)
    assert document.exit_code is Exit.OK, document.results
    assert f"t quick {long}" in sim.sent["hub"]


def test_a_saved_snapshot_gives_the_same_plan() -> None:
    for sim in (pair(), carp(), customers(3, "passive", local=1)):
        if sim.specs[0].name != "oslo":
            sim.fifo("hub" if "hub" in sim.world.gateways else "fra1", f"t quick {N1}")
            sim.settle(1)
        tunnel = sim.specs[0].name
        snapshot = decode(sim.save(), "f")
        for verb in (sim.down, sim.up):
            live = verb(run={"dry_run": True}, tunnels=[tunnel])
            again = verb(run={"snapshot": snapshot}, tunnels=[tunnel])
            assert again.plan is not None
            assert [w.steps for w in again.plan.waves] == [w.steps for w in live.plan.waves]
            assert (again.plan.targets, again.plan.already) == (live.plan.targets, live.plan.already)
            assert (again.exit_code, again.result) == (live.exit_code, live.result)
    assert sim.sent == {}


def reading(sim: SimFleet, **words: object) -> Reading:
    return Reading(sim.fleet, Selection.of(**words), sim.prober())


@pytest.mark.parametrize("what", ["tunnels", "sas", "flows", "gateways"])
def test_what_is_told_of_each_gateway_is_its_share_of_the_document(what: str) -> None:
    told: list[Document] = []
    one, same = pair(), pair()
    dark(one, "branch")
    dark(same, "branch")
    document = show(reading(one), what)
    show(replace(reading(same), tell=told.append), what)
    assert [row for part in told for row in part.gateways or ()] == list(document.gateways or ())
    assert [row for part in told for row in part.sas or ()] == list(document.sas or ())
    assert [row for part in told for row in part.flows or ()] == list(document.flows or ())


def test_what_depends_on_other_gateways_is_not_told_before_all_have_answered() -> None:
    told: list[Document] = []
    show(replace(reading(pair(), tunnels=["oslo"]), tell=told.append), "sas")
    assert told == []
    show(replace(reading(pair(), tunnels=["oslo"]), tell=told.append), "tunnels")
    assert [row.gateway for part in told for row in part.gateways or ()] == ["hub", "branch"]


def test_lines_live_and_from_a_saved_snapshot() -> None:
    sim = customers(3, peer=PEER)
    live = lines(reading(sim, tunnels=["customer-1,customer-2"]), NOTHING)
    assert [(row.gateway, row.line) for row in live.lines or ()] == [("hub", f"t quick {name(n)}") for n in (1, 2)]
    every = lines(reading(sim, peers=[PEER]), NOTHING)
    assert [row.line for row in every.lines or ()][-1] == f"t main peer-{PEER}"
    saved = Reading(sim.fleet, Selection.of(peers=[PEER]), sim.prober(), decode(sim.save(), "f"))
    assert lines(saved, NOTHING).lines == every.lines
    assert sim.sent == {}


def test_lines_refuse_a_gateway_without_a_fifo() -> None:
    sim = customers(1)
    sim.parts["hub", "host"] = ("ok", b"time 1795000000\nfifo irregular\n")
    document = lines(reading(sim, tunnels=["customer-1"]), NOTHING)
    assert (document.exit_code, document.result, document.lines) == (Exit.REFUSED, "refused", ())


def test_show_says_who_matched_nothing_and_who_gave_no_answer() -> None:
    sim = pair()
    assert show(reading(sim), "tunnels").exit_code is Exit.OK
    assert show(reading(sim, peers=["10.2.99.1"]), "sas").exit_code is Exit.NOTHING
    dark(sim, "branch")
    assert show(reading(sim, peers=["10.2.99.1"]), "sas").exit_code is Exit.UNREACHABLE
    flows = show(reading(sim, tunnels=["oslo"]), "flows").flows or ()
    assert {(f.gateway, str(f.flow.selectors.remote)) for f in flows} == {("hub", THERE)}


def test_forced_other_end_acts_on_what_can_be_read() -> None:
    sim = pair()
    dark(sim, "branch")
    forced = DownOptions(forced=frozenset({"other-end"}), settle_s=8.0)
    document = sim.down(options=forced, tunnels=["oslo"])
    assert (document.exit_code, document.result) == (Exit.UNREACHABLE, "unreachable")
    assert document.results[0].text.endswith("not held on branch")
    sim.settle(130)
    up = sim.up(options=UpOptions(forced=frozenset({"other-end"})), up_s=20.0, tunnels=["oslo"])
    assert up.exit_code in {Exit.UNREACHABLE, Exit.FAILED}
