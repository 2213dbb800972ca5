"""A large fleet with one gateway that is frozen and one that is dead: all others are right, and nobody waits for long."""

import time
from pathlib import Path

import pytest

from cli import running_lab

pytestmark = pytest.mark.lab

GATEWAYS = 24
DEADLINE_S, ALLOWED_S = 10.0, 2.0


def test_one_frozen_and_one_dead_gateway_delay_nobody(tmp_path: Path) -> None:
    with running_lab(tmp_path / "lab", tmp_path / "home", speed=1, gateways=GATEWAYS) as lab:
        names = [g["gateway"] for g in lab.run("inventory", "list", "-o", "json").json["inventory"]]
        with lab.fault("frozen", names[-1]), lab.fault("ssh-refused", names[-2]):
            began = time.monotonic()
            done = lab.run("show", "gateways", "-A", "-o", "json", "--timeout", f"{DEADLINE_S:g}s")
            took = time.monotonic() - began
    right = [g["gateway"] for g in done.json["gateways"] if g["state"] == "ok"]
    assert (done.code, sorted(right)) == (3, sorted(names[:-2]))
    assert DEADLINE_S - 2 < took < DEADLINE_S + ALLOWED_S
