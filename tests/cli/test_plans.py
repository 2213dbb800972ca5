"""Plans as files and what is kept of runs, through the command line; a process that is killed, and its run resumed."""

import json
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest

from cli import Lab

pytestmark = pytest.mark.lab

KILLING = """\
import os, signal, sys
from ipsecfleet.cli import main
from ipsecfleet.run.journal import Journal
left, keep = int(os.environ["KILL_AT"]), Journal.tell

def tell(self, event):
    global left
    for act in (lambda: None, lambda: keep(self, event)):
        act()
        left -= 1
        if left == 0:
            os.kill(os.getpid(), signal.SIGKILL)

Journal.tell = tell
main()
"""
"""An ipsecfleet that SIGKILL ends before or after one line of its journal."""

POSITIONS = (1, 4, 9, 14)


def test_a_plan_is_reviewed_and_used_once(lab: Lab, tmp_path: Path) -> None:
    plan = tmp_path / "plan.json"
    with lab.untouched():
        made = lab.run("down", "-t", "customer-2", "--plan-out", str(plan))
    digest = json.loads(plan.read_text())["digest"]
    assert made.code == 0, made
    assert f"plan {digest}" in made.out
    assert plan.stat().st_mode & 0o777 == 0o600
    with lab.untouched():
        other = lab.run("apply", str(plan), "--yes", "--expect", "sha256:0")
        changed = tmp_path / "changed.json"
        changed.write_text(plan.read_text().replace("customer-2", "customer-3"))
        spoiled = lab.run("apply", str(changed), "--yes")
    assert (other.code, spoiled.code) == (4, 2)
    assert "it was changed after it was written" in spoiled.said
    done = lab.run("apply", str(plan), "--yes", "--expect", digest)
    assert done.code == 0, done
    again = lab.run("apply", str(plan), "--yes")
    assert again.code == 4
    assert "this plan was carried out already, by run" in again.said
    back = lab.run("up", "-t", "customer-2", "--yes")
    assert back.code == 0, back


def test_a_gateway_that_changed_is_refused(lab: Lab, tmp_path: Path) -> None:
    plan = tmp_path / "plan.json"
    assert lab.run("down", "-t", "customer-2", "--plan-out", str(plan)).code == 0
    assert lab.run("down", "-t", "customer-2", "--yes").code == 0
    with lab.untouched():
        stale = lab.run("apply", str(plan), "--yes")
    assert stale.code == 4, stale
    assert lab.run("up", "-t", "customer-2", "--yes").code == 0


@pytest.mark.parametrize("at", POSITIONS)
def test_killed_and_resumed(lab: Lab, at: int, tally: Counter[str]) -> None:
    command = [sys.executable, "-c", KILLING, "down", "-t", "oslo-ams", "--yes"]
    environment = {**lab.run.environment, "KILL_AT": str(at)}
    died = subprocess.run(command, env=environment, capture_output=True, check=False, timeout=60)
    assert died.returncode == -9, died
    (run,) = [r for r in lab.run("runs", "list", "-o", "json").json["runs"] if r["result"] == "interrupted"][-1:]
    resumed = lab.run("runs", "resume", run["run"], "--yes")
    assert resumed.code == 0, resumed
    held = lab.run("show", "-t", "oslo-ams", "-o", "json").json["tunnels"][0]
    assert held["state"] == "held"
    assert lab.run("runs", "show", run["run"]).code == 0
    up = lab.run("up", "-t", "oslo-ams", "--yes")
    assert up.code == 0, up
    tally[f"SIGKILL of a down and resumed, of {len(POSITIONS)} sampled positions"] += 1


def test_down_fails_closed_and_up_takes_the_deny_flow_away(lab: Lab) -> None:
    done = lab.run("down", "-t", "customer-2", "--fail-closed", "--yes")
    assert done.code == 0, done
    assert "its traffic is dropped until it is up, or a boot" in " ".join(done.out.split())
    flows = lab.run("show", "flows", "-t", "customer-2", "-o", "json").json["flows"]
    assert {f["type"] for f in flows} == {"deny"}
    up = lab.run("up", "-t", "customer-2", "--open", "--yes")
    assert up.code == 0, up
    flows = lab.run("show", "flows", "-t", "customer-2", "-o", "json").json["flows"]
    assert {f["type"] for f in flows} == {"require"}
