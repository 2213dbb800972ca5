"""A run that ends anywhere, as if its process had been killed, is finished by `resume`: the same end, nothing twice."""

import threading
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest
from fleets import pair, star
from killing import KilledError, dying
from servers import wait_for
from simworld import SimFleet
from states import end_state

from ipsecfleet.errors import Exit, OperatorError
from ipsecfleet.inventory.words import Selection
from ipsecfleet.model.document import Document
from ipsecfleet.run import changes, history
from ipsecfleet.run.event import Event, Kind
from ipsecfleet.run.journal import Archive, Journal

NONE = Selection()


def settled(sim: SimFleet) -> SimFleet:
    sim.settle(130)
    return sim


def two_ended() -> SimFleet:
    return settled(pair())


def several() -> SimFleet:
    return settled(star(2))


def was_down(make: Callable[[], SimFleet]) -> Callable[[], SimFleet]:
    def made() -> SimFleet:
        sim = make()
        assert sim.down(tunnels=["*"]).exit_code is Exit.OK
        return settled(sim)

    return made


FLEETS = {"two-ended": two_ended, "several": several}
VERBS = ("down", "up")


def start(sim: SimFleet, verb: str, home: Path, **more: object) -> Document:
    run = {"archive": Archive(home), "run_id": "20261123-203144-ab12", **more}
    return sim.down(run=run, tunnels=["*"]) if verb == "down" else sim.up(run=run, up_s=200.0, tunnels=["*"])


def resume(sim: SimFleet, home: Path, **more: object) -> Document:
    archive = Archive(home)
    kept, file = changes.find(archive, "2026")
    return changes.resume(sim.run(NONE, archive=archive, **more), kept, file, archive.snapshot(kept.run))


def killed(sim: SimFleet, verb: str, home: Path, at: int) -> None:
    """Begin a run that ends at an event; what its other threads had sent is done, as it is when a process dies."""
    others = threading.active_count()
    with pytest.raises(KilledError):
        start(sim, verb, home, tell=dying(at))
    wait_for(lambda: threading.active_count() <= others, "its threads have ended")


def made(fleet: str, verb: str) -> SimFleet:
    return (FLEETS[fleet] if verb == "down" else was_down(FLEETS[fleet]))()


def positions(fleet: str, verb: str, home: Path) -> tuple[int, object]:
    sim = made(fleet, verb)
    document = start(sim, verb, home)
    assert document.exit_code is Exit.OK, document.results
    return len(Archive(home).run("2026").entries), end_state(settled(sim))


@pytest.mark.parametrize("verb", VERBS)
@pytest.mark.parametrize("fleet", FLEETS)
def test_killed_at_every_position_and_resumed(fleet: str, verb: str, tmp_path: Path, tally: Counter[str]) -> None:
    number, wanted = positions(fleet, verb, tmp_path / "whole")
    assert number > 10
    for at in range(1, number + 1):
        sim, home = made(fleet, verb), tmp_path / str(at)
        killed(sim, verb, home, at)
        sim.settle(3)
        document = resume(sim, home)
        assert document.exit_code is Exit.OK, (at, document.results, document.errors)
        assert not any(map(sim.held_by, sim.sent)), at
        assert end_state(settled(sim)) == wanted, at
        tally[f"killed in {verb} and resumed"] += 1


def test_what_was_done_is_not_done_again(tmp_path: Path) -> None:
    sim = two_ended()
    number, _ = positions("two-ended", "down", tmp_path / "whole")
    killed(sim, "down", tmp_path / "cut", number - 3)
    before = {name: list(lines) for name, lines in sim.sent.items()}
    document = resume(sim, tmp_path / "cut")
    assert document.exit_code is Exit.OK
    assert sim.sent == before
    assert document.steps == ()


@pytest.mark.parametrize("verb", VERBS)
def test_aborted_half_way(verb: str, tmp_path: Path) -> None:
    """What was up comes up again, what was held is held again."""
    number, _ = positions("several", verb, tmp_path / "whole")
    for at in range(3, number, 4):
        sim, home = made("several", verb), tmp_path / str(at)
        was = end_state(sim)
        killed(sim, verb, home, at)
        archive = Archive(home)
        kept, file = changes.find(archive, "2026")
        document = changes.abort(sim.run(NONE, archive=archive), kept, file, archive.snapshot(kept.run))
        assert document.exit_code is Exit.OK, (at, document.results, document.errors)
        now = end_state(settled(sim))
        assert {g: s["lists"] for g, s in now.items()} == {g: s["lists"] for g, s in was.items()}
        assert {g: s["flows"] for g, s in now.items()} == {g: s["flows"] for g, s in was.items()}


def test_the_story_of_a_run_that_was_cut(tmp_path: Path) -> None:
    sim = two_ended()
    killed(sim, "down", tmp_path, 4)
    assert Archive(tmp_path).run("2026").result == "interrupted"
    assert resume(sim, tmp_path).exit_code is Exit.OK
    story = history.runs_show(Archive(tmp_path), "2026")
    assert [e.event for e in story.events or ()].count("began") == 2
    assert (story.events or ())[-1].text == "ok, exit code 0"
    assert [r.result for r in history.runs_list(Archive(tmp_path)).runs or ()] == ["ok"]


def test_a_torn_last_line_is_no_event_and_is_mended(tmp_path: Path) -> None:
    sim = two_ended()
    killed(sim, "down", tmp_path, 4)
    journal = next(tmp_path.glob("*/journal.jsonl"))
    whole = journal.read_bytes()
    journal.write_bytes(whole + whole.splitlines()[-1][:20])
    assert Archive(tmp_path).run("2026").torn
    assert resume(sim, tmp_path).exit_code is Exit.OK
    assert not Archive(tmp_path).run("2026").torn


@pytest.mark.parametrize(
    ("line", "words"),
    [
        (b'{"v": 2, "at": 1.0, "event": "began", "text": ""}', "is a journal of version 2, this reads 1"),
        (b"not a line", "is spoiled in line 2"),
        (b'{"v": 1, "at": 1.0, "event": "danced", "text": ""}', "is spoiled in line 2"),
    ],
)
def test_a_journal_that_this_cannot_read(line: bytes, words: str, tmp_path: Path) -> None:
    sim = two_ended()
    start(sim, "down", tmp_path)
    journal = next(tmp_path.glob("*/journal.jsonl"))
    first, *rest = journal.read_bytes().splitlines(keepends=True)
    journal.write_bytes(b"".join([first, line + b"\n", *rest]))
    with pytest.raises(OperatorError, match=words):
        resume(sim, tmp_path)
    assert [r.result for r in history.runs_list(Archive(tmp_path)).runs or ()] == ["interrupted"]


def test_a_run_that_lives_is_not_resumed(tmp_path: Path) -> None:
    sim = two_ended()
    killed(sim, "down", tmp_path, 4)
    folder = next(tmp_path.iterdir())
    living = Journal(folder / "journal.jsonl", lambda: 0.0, sim.run(NONE).stop)
    try:
        assert Archive(tmp_path).run("2026").result == "running"
        with pytest.raises(OperatorError, match="is running"):
            resume(sim, tmp_path)
    finally:
        living.close()
    assert resume(sim, tmp_path).exit_code is Exit.OK


def test_without_a_journal_nothing_is_sent(tmp_path: Path) -> None:
    (tmp_path / "runs").touch()
    sim = two_ended()
    with pytest.raises(OperatorError, match="no journal can be kept"):
        start(sim, "down", tmp_path / "runs")
    assert sim.sent == {}


def test_a_journal_that_fills_the_disk_stops_the_run(tmp_path: Path) -> None:
    """Nothing is sent of which nothing could be kept."""
    sim = several()
    full = 0

    def tell(event: Event) -> None:
        nonlocal full
        if event.kind is Kind.SENDING and not full:
            full = 1
            journal = next(tmp_path.glob("*/journal.jsonl"))
            run.stop.ask("the journal cannot be written: No space left on device")
            assert journal.exists()

    run = sim.run(NONE)
    document = start(sim, "down", tmp_path, tell=tell, stop=run.stop)
    assert document.exit_code is Exit.FAILED
    assert {s.state for s in document.steps or ()} >= {"skipped"}
    assert document.errors[-1].hint.endswith("runs resume 20261123-203144-ab12")


def test_only_one_run_begins_with_these_letters(tmp_path: Path) -> None:
    for name in ("20261123-1-a", "20261123-2-b"):
        (tmp_path / name).mkdir()
    archive = Archive(tmp_path)
    with pytest.raises(OperatorError, match="2 runs begin with 2026"):
        archive.run("2026")
    with pytest.raises(OperatorError, match="there is no run 1999"):
        archive.run("1999")
