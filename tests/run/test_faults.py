"""Faults in the middle of a run, at every visit of it: what is proven is so, and `resume` brings it to its end.

Each fault is played before every visit that the undisturbed run makes. What is true is asked of the simulated kernels.
"""

from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest
from fleets import HERE, N1, THERE, carp, customers, pair
from simworld import SimFleet
from states import end_state

from ipsecfleet.errors import Exit
from ipsecfleet.inventory.words import Selection
from ipsecfleet.model.document import Document
from ipsecfleet.plan.down import DownOptions
from ipsecfleet.run import changes
from ipsecfleet.run.journal import Archive

NONE = Selection()
VERBS = ("down", "up")
RUN = "20261123-203144-ab12"


def made(verb: str, make: Callable[[], SimFleet] = pair) -> SimFleet:
    """A fleet whose tunnels are up, or for `up` held, and quiet since long."""
    sim = make()
    sim.settle(130)
    if verb == "up":
        assert sim.down(tunnels=["*"]).exit_code is Exit.OK
        sim.settle(130)
    sim.visits = 0
    sim.sent.clear()
    return sim


def start(sim: SimFleet, verb: str, home: Path) -> Document:
    run = {"archive": Archive(home), "run_id": RUN}
    if verb == "down":
        return sim.down(options=DownOptions(), run=run, tunnels=["*"])
    return sim.up(run=run, up_s=200.0, tunnels=["*"])


def finished(sim: SimFleet, verb: str, home: Path) -> Document:
    """The run resumed; begun again where it had not come to a plan."""
    archive = Archive(home)
    if not archive.runs():
        return start(sim, verb, home)
    return changes.resume(sim.run(NONE, archive=archive), *changes.find(archive, RUN), archive.snapshot(RUN))


def whole(verb: str, home: Path, make: Callable[[], SimFleet] = pair) -> tuple[int, object]:
    """How many visits the undisturbed run makes, and what it leaves."""
    sim = made(verb, make)
    document = start(sim, verb, home)
    assert document.exit_code is Exit.OK, document.results
    visits = sim.visits
    sim.settle(130)
    return visits, end_state(sim)


def at_visit(sim: SimFleet, number: int, happening: Callable[[SimFleet], object], gateway: str = "hub") -> None:
    """Let something happen right before that visit, or the next one that is the gateway's."""
    seen, due = 0, True

    def before(name: str, _changing: bool) -> None:
        nonlocal seen, due
        seen += 1
        if due and seen >= number and name == gateway:
            due = False
            happening(sim)

    sim.before_visit = before


def carried(sim: SimFleet, gateway: str = "hub") -> bool:
    """Whether the kernel has the flow of the tunnel."""
    return any(f"from {HERE} to {THERE}" in line and "deny" not in line for line in sim.flows(gateway))


def is_true(sim: SimFleet, verb: str, document: Document) -> None:
    """What was called proven is so at the end of the run, and a moment later."""
    if document.exit_code is Exit.OK:
        assert carried(sim) == (verb == "up"), document.results
        sim.settle(7)
        assert carried(sim) == (verb == "up"), document.results
    else:
        assert all(r.ok or r.text for r in document.results)
        assert document.errors or any(not r.ok for r in document.results)


@pytest.mark.parametrize("cut", ["before", "in", "after"])
@pytest.mark.parametrize("verb", VERBS)
def test_the_line_is_cut_at_every_visit(verb: str, cut: str, tmp_path: Path, tally: Counter[str]) -> None:
    visits, wanted = whole(verb, tmp_path / "whole")
    assert visits > 8
    for number in range(1, visits + 1):
        sim, home = made(verb), tmp_path / str(number)
        sim.cut[number] = cut
        document = start(sim, verb, home)
        is_true(sim, verb, document)
        again = finished(sim, verb, home)
        assert again.exit_code is Exit.OK, (number, document.results, again.results, again.errors)
        sim.settle(130)
        assert end_state(sim) == wanted, number
        tally[f"line cut {cut} a visit of {verb}"] += 1


def restart(sim: SimFleet) -> None:
    sim.restart_daemon("hub")
    sim.load_all("hub")


def remedied(sim: SimFleet, verb: str, home: Path) -> Document:
    """The run resumed, or what its last line says is done, where a machine forgot what its kernel or its peer has."""
    again = finished(sim, verb, home)
    if again.exit_code is Exit.OK:
        return again
    text = again.results[0].text
    remedy = "bring it up, then take it down" if verb == "down" else "take it down, then bring it up"
    assert text.endswith(remedy), text
    first, second = (sim.up, sim.down) if verb == "down" else (sim.down, sim.up)
    assert first(tunnels=["*"]).exit_code is Exit.OK
    return second(tunnels=["*"])


HAPPENINGS: dict[str, Callable[[SimFleet], object]] = {
    "the daemon is killed and started": restart,
    "the gateway reboots": lambda sim: sim.reboot("hub"),
    "somebody loads the file again": lambda sim: sim.load_all("hub"),
    "the clock jumps ahead": lambda sim: sim.clocks.update(hub=86400.0),
    "the clock jumps back": lambda sim: sim.clocks.update(hub=-86400.0),
}


@pytest.mark.parametrize("name", HAPPENINGS)
@pytest.mark.parametrize("verb", VERBS)
def test_something_happens_before_every_visit(verb: str, name: str, tmp_path: Path, tally: Counter[str]) -> None:
    visits, wanted = whole(verb, tmp_path / "whole")
    for number in range(1, visits + 1):
        sim, home = made(verb), tmp_path / str(number)
        at_visit(sim, number, HAPPENINGS[name])
        document = start(sim, verb, home)
        is_true(sim, verb, document)
        if "clock" in name:
            assert document.exit_code is Exit.OK, (number, document.results)
        sim.settle(130)
        again = remedied(sim, verb, home)
        assert again.exit_code is Exit.OK, (number, document.results, again.results, again.errors)
        sim.settle(130)
        assert end_state(sim) == wanted, number
        tally[f"{name}, in {verb}"] += 1


@pytest.mark.parametrize("verb", VERBS)
def test_the_other_gateway_reboots_before_every_visit(verb: str, tmp_path: Path, tally: Counter[str]) -> None:
    visits, wanted = whole(verb, tmp_path / "whole")
    for number in range(1, visits + 1):
        sim, home = made(verb), tmp_path / str(number)
        at_visit(sim, number, lambda sim: sim.reboot("branch"), "branch")
        is_true(sim, verb, start(sim, verb, home))
        sim.settle(130)
        assert remedied(sim, verb, home).exit_code is Exit.OK, number
        sim.settle(130)
        assert end_state(sim) == wanted, number
        tally[f"the other gateway reboots, in {verb}"] += 1


def swapped(sim: SimFleet) -> None:
    """fra2 becomes master; sasyncd(8) has given it the kernel's SAs, and its daemon is active now."""
    sim.role("fra1", "BACKUP")
    sim.role("fra2", "MASTER")


@pytest.mark.parametrize("verb", VERBS)
def test_carp_roles_change_before_every_visit(verb: str, tmp_path: Path, tally: Counter[str]) -> None:
    """No `t` and no `c` to a member that a look just showed to be no master."""
    visits, _ = whole(verb, tmp_path / "whole", carp)
    for number in range(1, visits + 1):
        sim, home = made(verb, carp), tmp_path / str(number)
        at_visit(sim, number, swapped, "fra1")
        document = start(sim, verb, home)
        assert document.exit_code is not Exit.BUG, document.errors
        if number <= 3:
            assert not [line for line in sim.sent.get("fra1", ()) if line.startswith(("t ", "c "))], number
        tally[f"CARP roles change in {verb}"] += 1


def test_a_negotiation_that_could_not_be_cancelled_completes_late(tmp_path: Path) -> None:
    """The peer was silent while we began, and answers after the teardown: torn down again, then proven."""
    sim = customers(1)
    sim.fifo("hub", f"t quick {N1}", "t main peer-10.2.1.1")
    sim.settle(1)
    sim.world.cut("10.2.1.1")
    sim.fifo("hub", f"c {N1}")
    sim.settle(3)
    sim.world.at(sim.world.now + 10, lambda: sim.world.restore("10.2.1.1"))
    document = sim.down(run={"archive": Archive(tmp_path), "run_id": RUN}, tunnels=["customer-1"])
    is_true(sim, "down", document)
    sim.settle(130)
    assert not carried(sim)


@pytest.mark.parametrize("verb", VERBS)
def test_a_run_that_slept_past_its_lock_changes_nothing_more(verb: str, tmp_path: Path) -> None:
    """Stopped before its steps, for longer than its lock lasts; another run did its work in the meantime."""
    sim = made(verb)

    def asleep(sim: SimFleet) -> None:
        sim.settle(601)
        sim.run_locks.clear()

    changing = 0

    def before(name: str, changes_something: bool) -> None:
        nonlocal changing
        changing += changes_something and name == "hub"
        if name == "hub" and changes_something and changing == 1:
            asleep(sim)

    sim.before_visit = before
    document = start(sim, verb, tmp_path)
    assert document.exit_code is Exit.FAILED
    assert "hub" not in sim.sent
    assert any("lost: the run lock is not ours" in e.message for e in document.errors), document.errors
    sim.before_visit = lambda _name, _changing: None
    assert finished(sim, verb, tmp_path).exit_code is Exit.OK
