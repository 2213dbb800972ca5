"""A run that goes wrong half-way: what is sent no more, what is said, and with which exit code it ends."""

import pytest
from fleets import BACK, HELD, N1, PEER, carp, customers, name, pair, star
from simworld import RunLock, SimFleet

from ipsecfleet.errors import Exit, GatewayError, UnreachableError
from ipsecfleet.model.document import Document
from ipsecfleet.plan.down import DownOptions, Strength
from ipsecfleet.run.acting import Locking
from ipsecfleet.run.event import Event, Kind


def states(document: Document) -> list[tuple[str, str, str]]:
    return [(s.gateway, s.action, s.state) for s in document.steps or ()]


def when_acting(sim: SimFleet, gateway: str, *lines: str) -> None:
    """Somebody else writes these lines just before the run looks at a gateway a second time."""
    visits = {gateway: 0}

    def before(visited: str, _changing: bool) -> None:
        visits[visited] = visits.get(visited, 0) + 1
        if visited == gateway and visits[gateway] == 2:
            sim.fifo(gateway, *lines)
            sim.settle(0.1)

    sim.before_visit = before


def test_a_gateway_that_fails_while_it_acts_stops_its_tunnel_everywhere() -> None:
    sim = pair()
    sim.fails_to_act["hub"] = GatewayError("no end: the command on hub ran over 30 s", obj="hub")
    document = sim.down(tunnels=["oslo"])
    assert (document.exit_code, document.result) == (Exit.FAILED, "failed")
    assert states(document)[:2] == [("hub", "hold", "failed"), ("hub", "quick", "failed")]
    assert {state for _, _, state in states(document)[2:]} == {"skipped"}
    assert sim.sent == {}
    assert document.results[0].text == "oslo: hold on hub failed: no end: the command on hub ran over 30 s"
    assert [e.message for e in document.errors] == ["no end: the command on hub ran over 30 s"]


def test_a_gateway_that_fails_later_leaves_the_first_end_down_and_says_so() -> None:
    sim = pair()
    sim.fails_to_act["branch"] = UnreachableError("no answer: branch", phase="tcp", obj="branch")
    document = sim.down(tunnels=["oslo"])
    assert document.exit_code is Exit.FAILED
    assert states(document)[:3] == [("hub", "hold", "proven"), ("hub", "quick", "proven"), ("branch", "hold", "failed")]
    assert not [line for line in sim.sent["hub"] if line.startswith(("t main", "C rm "))]
    assert document.results[0].ok is False


@pytest.mark.parametrize("status", ["missing", "no-reader", "busy", "irregular"])
def test_a_write_that_was_not_taken(status: str) -> None:
    sim = pair()
    sim.parts["hub", "write"] = (status, b"the reason")
    document = sim.down(tunnels=["oslo"])
    assert (document.exit_code, document.result) == (Exit.FAILED, "failed")
    assert states(document)[0] == ("hub", "hold", "failed")
    error = document.errors[-1]
    assert error.message == f"hub did not take hold for oslo: {status}: the reason"
    assert error.hint
    assert sim.sent == {}
    assert sim.state("oslo") == "up"


def test_a_lock_that_is_let_go_in_time_is_waited_for() -> None:
    sim = pair()
    sim.run_locks["hub"] = RunLock("20261123-203144-cd34", "bob@desk", sim.world.now - 5, sim.world.now + 20)
    assert sim.down(tunnels=["oslo"]).exit_code is Exit.OK


def test_a_lock_is_taken_over_by_name() -> None:
    sim = pair()
    sim.run_locks["hub"] = RunLock("20261123-203144-cd34", "bob@desk", sim.world.now - 5, sim.world.now + 500)
    assert sim.down(run={"locking": Locking(take=True)}, tunnels=["oslo"]).exit_code is Exit.OK
    assert sim.run_locks == {}


def test_a_gateway_that_another_run_has_locked_is_refused() -> None:
    sim = pair()
    sim.run_locks["hub"] = RunLock("20261123-203144-cd34", "bob@desk", sim.world.now - 5, sim.world.now + 60)
    document = sim.down(tunnels=["oslo"])
    assert (document.exit_code, document.result) == (Exit.REFUSED, "refused")
    assert states(document)[0] == ("hub", "hold", "refused")
    error = document.errors[-1]
    assert error.message == "hub is being changed by 20261123-203144-cd34 of bob@desk since 36 s"
    assert error.hint.endswith("--force lock takes it over, if that run is dead")
    assert sim.sent == {}


@pytest.mark.parametrize("status", ["failed", "busy"])
def test_a_lock_that_cannot_be_had_is_a_failure(status: str) -> None:
    sim = pair()
    sim.parts["hub", "lock"] = (status, b"the reason")
    document = sim.down(tunnels=["oslo"])
    assert (document.exit_code, document.errors[-1].message) == (
        Exit.FAILED,
        f"hub gave no run lock: {status}: the reason",
    )
    assert document.errors[-1].hint
    assert sim.sent == {}


def test_no_lock_is_left_where_steps_were_made() -> None:
    sim = pair()
    assert sim.down(tunnels=["oslo"]).exit_code is Exit.OK
    assert set(sim.sent) == {"hub", "branch"}
    assert sim.run_locks == {}


def test_other_tunnels_go_on() -> None:
    sim = star(3)
    sim.fails_to_act["branch-2"] = GatewayError("too much output: branch-2", obj="branch-2")
    document = sim.down(tunnels=["*"])
    assert document.exit_code is Exit.FAILED
    assert [(r.tunnel, r.ok) for r in document.results] == [("tunnel-1", True), ("tunnel-2", False), ("tunnel-3", True)]


def test_after_max_failures_nothing_new_begins() -> None:
    sim = star(5)
    for n in (1, 2, 3):
        sim.fails_to_act[f"branch-{n}"] = GatewayError(f"no end: branch-{n}", obj=f"branch-{n}")
    document = sim.down(tunnels=["*"])
    skipped = [s for s in document.steps or () if s.state == "skipped"]
    assert {s.action for s in skipped if s.gateway == "branch-4"} == {"hold", "quick", "main", "peer-off"}
    assert "more gateways failed than max_failures allows" in {s.proof for s in skipped}
    assert "t main peer-10.1.9.4" not in sim.sent["hub"]
    assert document.exit_code is Exit.FAILED


def test_two_failures_stop_nothing_else() -> None:
    sim = star(4)
    for n in (1, 2):
        sim.fails_to_act[f"branch-{n}"] = GatewayError(f"no end: branch-{n}", obj=f"branch-{n}")
    sim.down(tunnels=["*"])
    assert "t main peer-10.1.9.4" in sim.sent["hub"]


def test_a_plan_gone_stale_on_the_only_gateway_is_a_refusal() -> None:
    """No step ran anywhere: exit 4."""
    sim = customers(1)
    when_acting(sim, "hub", f"C rmv [Phase 2]:Connections={N1}")
    document = sim.down(tunnels=["customer-1"])
    assert (document.exit_code, document.result) == (Exit.REFUSED, "refused")
    assert states(document)[0] == ("hub", "hold", "refused")
    assert {e.kind for e in document.errors} == {"stale-plan"}
    assert document.results[0].text.startswith(f"customer-1: hold on hub refused: {N1} on hub is listed as none")
    assert sim.sent == {}


def test_a_plan_gone_stale_later_refuses_that_gateway_only() -> None:
    sim = pair()
    when_acting(sim, "branch", f"C rmv [Phase 2]:Passive-Connections={BACK}")
    document = sim.down(tunnels=["oslo"])
    assert document.exit_code is Exit.FAILED
    assert ("branch", "hold", "refused") in states(document)
    assert sim.sent["hub"][0] == f"{HELD}{N1}"
    assert "branch" not in sim.sent


def test_a_neighbour_that_took_the_name_in_the_meantime_is_not_torn_down() -> None:
    sim = customers(2, "passive", local=1)
    sim.fifo("hub", f"t quick {name(2, 1)}", f"C rmv [Phase 2]:Passive-Connections={name(2, 1)}")
    visits: list[str] = []

    def before(visited: str, _changing: bool) -> None:
        visits.append(visited)
        if len(visits) == 2:
            sim.settle(75)

    sim.before_visit = before
    document = sim.down(tunnels=["customer-1"])
    assert document.exit_code is Exit.REFUSED
    assert f"{N1} on hub is now also the name of an SA with 10.2.2.1" in document.errors[0].message
    assert sim.sent == {}


def test_a_changed_carp_role_refuses_that_gateway_only() -> None:
    sim = carp()
    visits: list[str] = []

    def before(visited: str, _changing: bool) -> None:
        visits.append(visited)
        if visits.count("fra1") == 2:
            sim.role("fra1", "BACKUP")

    sim.before_visit = before
    document = sim.down(options=DownOptions(Strength.ONCE, 1.0), tunnels=["customer-1"])
    assert document.exit_code is Exit.REFUSED
    assert document.errors[0].message == "carp0 on fra1 is backup, not master"
    assert sim.sent == {}


def test_a_hold_that_somebody_undid_is_not_proven() -> None:
    """A colleague's reload right after the write: down for now, and back on its list."""
    sim = customers(1)
    changing: list[str] = []

    def before(visited: str, changes: bool) -> None:
        if changing.count(visited) == 2 and not changes:
            sim.fifo("hub", f"C add [Phase 2]:Passive-Connections={N1}")
        changing.extend([visited] if changes else [])

    sim.before_visit = before
    document = sim.down(tunnels=["customer-1"])
    assert (document.exit_code, document.result) == (Exit.FAILED, "unproven")
    assert states(document)[0] == ("hub", "hold", "unproven")
    assert document.results[0].text == (
        f"customer-1: hold on hub unproven: {N1} on hub is listed as passive, not as held-active"
    )


def test_a_phase_1_that_is_still_there_is_not_proven() -> None:
    sim = customers(1)
    changing: list[str] = []

    def before(visited: str, changes: bool) -> None:
        changing.extend([visited] if changes else [])
        if len(changing) == 2 and not changes:
            end = next(a for a in before_sas if b"Phase 1" in a)
            sim.parts["hub", "report"] = ("ok", end + b"\n\n")

    before_sas = sim.daemon("hub").report().split(b"\n\n")
    sim.before_visit = before
    document = sim.down(options=DownOptions(Strength.ONCE, 1.0), tunnels=["customer-1"])
    assert (document.exit_code, document.result) == (Exit.FAILED, "unproven")
    assert "main on hub unproven: phase 1" in document.results[0].text


def test_a_mistake_of_ours_is_not_swallowed() -> None:
    sim = customers(1)
    sim.fails_to_act["hub"] = ZeroDivisionError("a bug")
    told: list[Event] = []
    document = sim.down(run={"tell": told.append}, tunnels=["customer-1"])
    assert (document.exit_code, document.result) == (Exit.BUG, "bug")
    assert document.errors[-1].message == "a mistake in ipsecfleet itself: ZeroDivisionError"
    (kept,) = [e.text for e in told if e.kind is Kind.BUG]
    assert "ZeroDivisionError: a bug" in kept


def test_what_was_declined_sends_nothing() -> None:
    sim = customers(1)
    document = sim.down(run={"ask": lambda _plan: False}, tunnels=["customer-1"])
    assert (document.exit_code, document.result) == (Exit.REFUSED, "refused")
    assert sim.sent == {}


def test_a_gateway_that_is_dark_at_the_last_look_is_not_proven() -> None:
    sim = customers(1)
    changing: list[str] = []

    def before(visited: str, changes: bool) -> None:
        changing.extend([visited] if changes else [])
        if len(changing) == 2 and not changes:
            sim.dead["hub"] = UnreachableError("no answer: hub", phase="tcp", obj="hub")

    sim.before_visit = before
    document = sim.down(tunnels=["customer-1"])
    assert (document.exit_code, document.result) == (Exit.FAILED, "unproven")
    assert document.results[0].text == "customer-1: hub could not be read after the change: no answer: hub"


def test_what_happens_is_told_in_order() -> None:
    sim = customers(1)
    told: list[Event] = []
    sim.down(run={"tell": told.append}, tunnels=["customer-1"])
    assert [(e.gateway, e.text) for e in told if e.kind is Kind.STEP] == [
        ("hub", f"hold {N1}: proven"),
        ("hub", f"quick {N1}: proven"),
        ("hub", f"peer-off peer-{PEER}: proven"),
        ("hub", f"main peer-{PEER}: proven"),
    ]
    sim.up(run={"tell": told.append}, tunnels=["customer-1"])
    waited = [e.text for e in told if e.kind is Kind.PAUSE]
    assert waited[-1].startswith("waiting ")
    assert "lock-out" in waited[-1]
