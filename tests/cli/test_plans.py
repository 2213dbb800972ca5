"""Plans as files, and failing closed, through the command line."""

import json
from pathlib import Path

import pytest

from cli import Lab

pytestmark = pytest.mark.lab


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
