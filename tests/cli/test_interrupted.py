"""The real process ends, or is told to end, at a position of its journal; `runs resume` brings its run to its end.

A position is before or after one line of the journal. `make test` plays some of each kind, `make soak` every one.
"""

import os
import re
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from cli import Lab, Ran, running_lab
from ipsecfleet import lab

pytestmark = pytest.mark.lab

SOAK = bool(os.environ.get("IPSECFLEET_SOAK"))
TUNNELS = ("oslo-ams", "oslo-fra")
SELECTED = (
    "-t",
    ",".join(TUNNELS),
    "--force",
    "lock",
    "--force",
    "tunnels-down",
    "--force",
    "gateways-touched",
    "--yes",
)
EVERY = range(1, 150)
SAMPLE = {"down": (1, 12), "up": (2, 9)}

DYING = """\
import os, signal, sys
from threading import Lock
from ipsecfleet.cli import main
from ipsecfleet.run.journal import Journal
left, times, number, keep, counting = *map(int, os.environ["DIE"].split()), Journal.tell, Lock()

def position():
    global left
    with counting:
        left -= 1
        now = left == 0
    for _ in range(times if now else 0):
        os.kill(os.getpid(), number)

def tell(self, event):
    position()
    keep(self, event)
    position()

Journal.tell = tell
main()
"""
"""An ipsecfleet to which a signal comes, once or several times, before or after one line of its journal."""

ENDS = {
    "SIGKILL": (signal.SIGKILL, 1, {-9}, 1),
    "^C": (signal.SIGINT, 1, {130}, 1),
    "^C twice": (signal.SIGINT, 2, {130, -2}, 3),
    "SIGTERM": (signal.SIGTERM, 1, {143}, 3),
}
"""What comes, how often, the exit codes that follow, and of how many positions one is played by `make soak`."""


@pytest.fixture(scope="module")
def own(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    """A lab of this module's own: its runs end in the middle."""
    folder = tmp_path_factory.mktemp("interrupted")
    with running_lab(folder / "lab", folder / "home", speed=40) as running:
        yield running


def died(own: Lab, verb: str, at: int, number: int, times: int) -> subprocess.CompletedProcess[str]:
    environment = {**own.run.environment, "DIE": f"{at} {times} {int(number)}"}
    command = [sys.executable, "-c", DYING, verb, *SELECTED]
    return subprocess.run(command, env=environment, capture_output=True, text=True, check=False, timeout=120)


def ends(own: Lab) -> list[Any]:
    """The tunnels' ends as they are: what is told of their state."""
    tunnels = own.run("show", "-t", ",".join(TUNNELS), "-o", "json").json["tunnels"]
    return sorted((t["tunnel"], t["state"], [(e["gateway"], e["state"]) for e in t["ends"]]) for t in tunnels)


def set_up(own: Lab, verb: str) -> None:
    """Up, or for `up` down and held."""
    for each in ("up", "down")[: 1 if verb == "down" else 2]:
        done = own.run(each, *SELECTED)
        assert done.code == 0, done


def last_run(own: Lab) -> dict[str, Any]:
    run: dict[str, Any] = own.run("runs", "list", "-o", "json").json["runs"][-1]
    return run


def finished(own: Lab, run: str) -> Ran:
    return own.run("runs", "resume", run, "--force", "tunnels-down", "--force", "gateways-touched", "--yes")


def names_no_other(own: Lab, since: dict[str, int]) -> None:
    """Every line that changed something was about one of our tunnels, or their peers."""
    allowed = {
        e["connection"]
        for t in own.run("show", "-t", ",".join(TUNNELS), "-o", "json").json["tunnels"]
        for e in t["ends"]
    }
    lines = [line for mine in own.sent(since).values() for line in mine]
    named = {name for line in lines for name in re.findall(r"from-[^ ,]+", line)}
    assert named <= allowed


ALL = [(verb, how) for verb in ("down", "up") for how in ENDS]
SOME = [("down", "SIGKILL"), ("up", "SIGKILL"), ("down", "^C"), ("up", "^C twice"), ("down", "SIGTERM")]


@pytest.mark.parametrize(("verb", "how"), ALL if SOAK else SOME)
def test_ended_at_a_position_and_resumed(own: Lab, verb: str, how: str, tally: Counter[str]) -> None:
    number, times, codes, stride = ENDS[how]
    set_up(own, "up" if verb == "down" else "down")
    whole = own.run(verb, *SELECTED)
    assert whole.code == 0, whole
    wanted = ends(own)
    since, played = own.mark(), 0
    for at in EVERY[::stride] if SOAK else SAMPLE[verb][ENDS_BEFORE[how] :: 2]:
        set_up(own, verb)
        done = died(own, verb, at, number, times)
        if done.returncode == 0:
            assert SOAK, f"position {at} is past the end"
            break
        assert done.returncode in codes, done
        run = last_run(own)
        if run["result"] != "ok":
            resumed = finished(own, run["run"])
            assert resumed.code == 0, (at, done, resumed)
        assert ends(own) == wanted, at
        if how != "SIGKILL" and done.returncode > 0 and "steps are left" in done.stderr:
            assert f"finish it: ipsecfleet runs resume {run['run']}" in " ".join(done.stderr.split())
        played += 1
        tally[f"{how} in {verb}"] += 1
    assert played > (20 // stride if SOAK else 0)
    names_no_other(own, since)
    story = own.run("runs", "show", last_run(own)["run"])
    assert story.code == 0, story


ENDS_BEFORE = {how: n % 2 for n, how in enumerate(ENDS)}


REKEYED = "oslo-fra"


def test_a_rekey_killed_at_a_position_is_over_by_itself_ten_minutes_later(own: Lab, tally: Counter[str]) -> None:
    """Live under its own name, one SA at each side; a run that was begun is resumed, and leaves no alias."""
    set_up(own, "down")
    for at in EVERY if SOAK else (8,):
        environment = {**own.run.environment, "DIE": f"{at} 1 {int(signal.SIGKILL)}"}
        command = [sys.executable, "-c", DYING, "rekey", "-t", REKEYED, "--force", "lock", "--yes"]
        done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False, timeout=120)
        if done.returncode == 0:
            assert SOAK, f"position {at} is past the end"
            break
        assert done.returncode == -9, done
        own.advance(600)
        lives_alone(own)
        resumed = finished(own, last_run(own)["run"])
        assert resumed.code == 0, (at, resumed)
        lives_alone(own)
        left = own.run("check", "-g", "br-oslo,hub-fra1", "-o", "json").json["findings"]
        assert not [f for f in left if f["subject"] == "alias"], at
        tally["SIGKILL in rekey"] += 1
    assert tally["SIGKILL in rekey"] > (10 if SOAK else 0)


def lives_alone(own: Lab) -> None:
    (tunnel,) = own.run("show", "-t", REKEYED, "-o", "json").json["tunnels"]
    names = {e["connection"] for e in tunnel["ends"]}
    sas = own.run("show", "sas", "-t", REKEYED, "-o", "json").json["sas"]
    live = [s["name"] for s in sas if s["phase"] == 2 and "replaced" not in s["flags"]]
    assert (tunnel["state"], sorted(live)) == ("up", sorted(names))


def test_two_runs_at_once(own: Lab) -> None:
    """The second waits for the lock of the first, and finds its work done or does it; nobody fails for it."""
    set_up(own, "down")
    both = [own.run.start("down", *SELECTED, "--lock-wait", "5m") for _ in range(2)]
    results = [running.ended() for running in both]
    assert 0 in {r.code for r in results}, results
    assert {r.code for r in results} <= {0, 1, 4}, results
    assert [state for _, state, _ in ends(own)] == ["held", "held"]
    set_up(own, "down")


def test_a_process_that_was_stopped_past_its_lock_sends_nothing_more(own: Lab, tmp_path: Path) -> None:
    """SIGSTOP before the first step; another run brings the tunnels where it wants them; then SIGCONT."""
    set_up(own, "down")
    marker = tmp_path / "stopped"
    script = DYING.replace(
        "os.kill(os.getpid(), number)", f"open({str(marker)!r}, 'w').close(); os.kill(os.getpid(), number)"
    )
    environment = {**own.run.environment, "DIE": f"3 1 {int(signal.SIGSTOP)}"}
    with subprocess.Popen(
        [sys.executable, "-c", script, "down", "-t", "oslo-ams", "--yes"],
        env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    ) as first:  # fmt: skip
        for _ in range(600):
            if marker.exists():
                break
            time.sleep(0.05)
        assert marker.exists()
        other = own.run("down", "-t", "oslo-ams", "--yes", "--force", "lock")
        assert other.code == 0, other
        back = own.run("up", "-t", "oslo-ams", "--yes", "--force", "lock")
        assert back.code == 0, back
        since = own.mark()
        os.kill(first.pid, signal.SIGCONT)
        out, err = first.communicate(timeout=120)
    assert first.returncode in {1, 4}, (first.returncode, out, err)
    assert own.sent(since) == {}
    assert "the run lock is not ours" in " ".join((out + err).split())


@pytest.mark.parametrize("verb", ["down", "up"])
def test_where_no_state_can_be_kept_nothing_is_sent(own: Lab, verb: str, tmp_path: Path) -> None:
    (tmp_path / "state").touch()
    command = [sys.executable, "-m", "ipsecfleet", verb, *SELECTED]
    set_up(own, verb)
    environment = {**own.run.environment, "XDG_STATE_HOME": str(tmp_path / "state")}
    with own.untouched():
        done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 2, done
    assert "no journal can be kept in" in " ".join(done.stderr.split())


HAPPENING = """\
import os
from pathlib import Path
from ipsecfleet import lab
from ipsecfleet.cli import main
from ipsecfleet.run.journal import Journal
moment, name, gateway, root, keep = *os.environ["HAPPENING"].split(), Journal.tell

def tell(self, event):
    global moment
    if event.kind.value == moment:
        moment = ""
        lab.fault(Path(root), name, gateway)
    keep(self, event)

Journal.tell = tell
main()
"""
"""An ipsecfleet in whose run a fault is switched on at the first event of a kind."""


FAULTS = [
    (verb, fault, moment)
    for fault in ("line-cut", "daemon-restart", "reboot", "reload")
    for verb in ("down", "up")
    for moment in ("sending", "step")
]


@pytest.mark.parametrize(("verb", "fault", "moment"), FAULTS if SOAK else FAULTS[::5])
def test_a_fault_in_the_middle_of_a_run(own: Lab, verb: str, fault: str, moment: str, tally: Counter[str]) -> None:
    """It is seen, or does no harm; `resume` brings the run to its end, and a fresh look shows it.

    A daemon that was killed leaves SAs in its kernel that nobody can take out: such an end is stale until they expire.
    """
    set_up(own, verb)
    environment = {**own.run.environment, "HAPPENING": f"{moment} {fault} br-oslo {own.root}"}
    command = [sys.executable, "-c", HAPPENING, verb, *SELECTED]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False, timeout=120)
    lab.fault(own.root, "off line-cut", "br-oslo")
    assert done.returncode in {0, 1, 3, 4}, done
    if done.returncode:
        resumed = finished(own, last_run(own)["run"])
        if resumed.code:
            assert "take it down, then bring it up" in resumed.said or "bring it up, then take it down" in resumed.said
            assert own.run("up" if verb == "down" else "down", *SELECTED).code == 0
            assert own.run(verb, *SELECTED).code == 0
    allowed = {"up"} if verb == "up" else {"held", "stale"} if fault == "daemon-restart" else {"held"}
    assert {state for _, state, _ in ends(own)} <= allowed, done
    tally[f"faults in the middle of a run, of {len(FAULTS)}"] += 1


FILLING = """\
import resource, signal, sys
from ipsecfleet.cli import main
from ipsecfleet.run.journal import Journal
keep = Journal.tell

def tell(self, event):
    if event.kind.value == "step":
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (0, resource.RLIM_INFINITY))
    keep(self, event)

Journal.tell = tell
main()
"""


def test_a_disk_that_fills_here_in_mid_run_stops_it(own: Lab) -> None:
    set_up(own, "down")
    command = [sys.executable, "-c", FILLING, "down", *SELECTED]
    done = subprocess.run(command, env=own.run.environment, capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 1, done
    assert "the journal cannot be written: File too large" in " ".join(done.stderr.split())
    resumed = finished(own, last_run(own)["run"])
    assert resumed.code == 0, resumed
    assert [state for _, state, _ in ends(own)] == ["held", "held"]
    set_up(own, "down")
