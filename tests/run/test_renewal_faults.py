"""A restart or a rekey that ends at any of its visits or events: what is left heals by itself, and `resume` finishes it.

The one write of a rekey is all that the daemon needs. So wherever ipsecfleet dies, ten minutes later every connection
lives under its own name by one SA at each side, and the daemon keeps up what it kept up before.
"""

from collections import Counter
from pathlib import Path

import pytest
from fleets import pair, star
from killing import KilledError, dying
from simworld import SimFleet
from watch import outages

from ipsecfleet.errors import Exit
from ipsecfleet.inventory.words import Selection
from ipsecfleet.model.document import Document
from ipsecfleet.run import changes
from ipsecfleet.run.journal import Archive

RUN = "20261123-203144-ab12"
VERBS = ("restart", "rekey")


def settled(count: int = 1) -> SimFleet:
    sim = pair() if count == 1 else star(count)
    sim.settle(130)
    sim.visits = 0
    return sim


def start(sim: SimFleet, verb: str, home: Path, **more: object) -> Document:
    run = {"archive": Archive(home), "run_id": RUN, **more}
    done: Document = getattr(sim, verb)(run=run, tunnels=["*"])
    return done


def resumed(sim: SimFleet, verb: str, home: Path) -> Document:
    archive = Archive(home)
    if not archive.runs():
        return start(sim, verb, home)
    kept, file = changes.find(archive, RUN)
    return changes.resume(sim.run(Selection(), archive=archive), kept, file, archive.snapshot(RUN))


def kept_up(sim: SimFleet) -> dict[str, list[str]]:
    """The daemons' true keep-up lists, aliases included."""
    found = {}
    for gateway in sim.gateways:
        daemon = sim.daemon(gateway.name)
        daemon.sigusr1()
        sim.settle(0.02)
        report = (daemon.files.report or b"").decode("latin-1")  # type: ignore[attr-defined]
        said = [line.split() for line in report.splitlines() if "connection_report: connection " in line]
        found[gateway.name] = sorted(words[words.index("connection") + 1] for words in said)
    return found


def lives_alone(sim: SimFleet) -> None:
    """Each connection under its own name, by one live SA at each side, no other SA but those that were replaced."""
    for tunnel in sim.view().tunnels:
        for end in tunnel.ends:
            assert [sa.name for sa in end.live] == [end.connection]
    for gateway in sim.gateways:
        names = [sa.name or "" for sa in sim.view().sas(gateway.name) if sa.live and sa.phase == 2]
        assert len(names) == len(set(names))
        assert not any(n.startswith("ipsecfleet") for n in names)


def heals(sim: SimFleet, verb: str, home: Path, wanted: dict[str, list[str]], *, by_itself: bool) -> None:
    """Ten minutes later where nobody comes, and as soon as the run is resumed; nothing else is kept up than before."""
    if by_itself:
        sim.settle(600)
        lives_alone(sim)
        assert kept_up(sim) == wanted
    again = resumed(sim, verb, home)
    assert again.exit_code is Exit.OK, (home.name, again.results, again.errors)
    sim.settle(10)
    lives_alone(sim)
    assert kept_up(sim) == wanted


def no_flow_was_missing(sim: SimFleet, verb: str, since: float) -> None:
    if verb == "rekey":
        assert max(outages(sim.events, since).values()) == 0


@pytest.mark.parametrize("cut", ["before", "in", "after"])
@pytest.mark.parametrize("verb", VERBS)
def test_the_line_is_cut_at_every_visit(verb: str, cut: str, tmp_path: Path, tally: Counter[str]) -> None:
    sim = settled()
    assert start(sim, verb, tmp_path / "whole").exit_code is Exit.OK
    for number in range(1, sim.visits + 1):
        sim, home = settled(), tmp_path / str(number)
        wanted, began = kept_up(sim), sim.world.now
        sim.visits = 0
        sim.cut[number] = cut
        start(sim, verb, home)
        heals(sim, verb, home, wanted, by_itself=number % 2 == 1)
        no_flow_was_missing(sim, verb, began)
        tally[f"line cut {cut} a visit of {verb}"] += 1


@pytest.mark.parametrize("verb", VERBS)
def test_the_process_ends_at_every_event(verb: str, tmp_path: Path, tally: Counter[str]) -> None:
    for at in range(1, 40):
        sim, home = settled(2), tmp_path / str(at)
        wanted, began = kept_up(sim), sim.world.now
        try:
            start(sim, verb, home, tell=dying(at))
        except KilledError:
            pass
        else:
            break
        no_flow_was_missing(sim, verb, began)
        heals(sim, verb, home, wanted, by_itself=at % 2 == 1)
        assert all(seen.aliases == () for seen in sim.view().snapshot.gateways.values())
        no_flow_was_missing(sim, verb, began)
        tally[f"ended at an event of {verb}"] += 1
    assert tally[f"ended at an event of {verb}"] > 10


def test_a_resumed_run_renews_only_what_was_not_renewed(tmp_path: Path) -> None:
    sim = settled(4)
    told: list[str] = []

    def stop_after_two(event: object) -> None:
        told.append(str(getattr(event, "state", "")))
        if told.count("established") == 2:
            raise KilledError

    with pytest.raises(KilledError):
        start(sim, "restart", tmp_path, tell=stop_after_two)
    sim.sent.clear()
    assert resumed(sim, "restart", tmp_path).exit_code is Exit.OK
    assert len([line for line in sim.sent["hub"] if line.startswith("c ")]) == 2


def test_a_run_that_is_stopped_says_what_is_left_and_aliases_of_what_it_did_are_left_too(tmp_path: Path) -> None:
    sim = settled(3)
    sim.limits = type(sim.limits)(sim.limits.max_tunnels_down, sim.limits.max_gateways_touched, 0)
    sim.world.cut("10.1.9.2")
    document = start(sim, "rekey", tmp_path)
    assert document.exit_code is Exit.FAILED
    states = {(s.tunnel, s.action): s.state for s in document.steps or ()}
    assert "skipped" in states.values()
    sim.world.restore("10.1.9.2")
    sim.settle(130)
    assert resumed(sim, "rekey", tmp_path).exit_code is Exit.OK
    assert all(seen.aliases == () for seen in sim.view().snapshot.gateways.values())
