"""Restarts and rekeys of many tunnels in a lab, over real SSH, judged by what the simulators themselves wrote down."""

import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from servers import wait_for
from watch import busiest, outages

from cli import Lab, running_lab

pytestmark = pytest.mark.lab

GATEWAYS, TUNNELS = 6, 60
TEARDOWN = re.compile(r"t quick from-(\S+)-to-(\S+)")
FORCED = ("--force", "lock", "--yes")


@pytest.fixture(scope="module")
def plain(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    """60 tunnels between 3 gateways and 3 others: 20 at each."""
    folder = tmp_path_factory.mktemp("staggered")
    with running_lab(folder / "lab", folder / "home", speed=16, gateways=GATEWAYS, tunnels=TUNNELS) as running:
        yield running


def everything(lab: Lab) -> list[dict[str, Any]]:
    return [event for gateway in lab.gateways for event in lab.events(gateway)]


def now(lab: Lab) -> float:
    return max(float(event["at"]) for event in everything(lab))


def keys(lab: Lab) -> set[str]:
    """The SPIs of all tunnels, at a moment at which none is just being renewed by itself."""
    looks = (lab.run("show", "-A", "-o", "json").json["tunnels"] for _ in range(20))
    tunnels = next((look for look in looks if {t["state"] for t in look} == {"up"}), [])
    assert len(tunnels) == TUNNELS
    return {e[spi] for t in tunnels for e in t["ends"] for spi in ("spi_in", "spi_out")}


def test_60_tunnels_are_rekeyed_over_5_minutes_and_none_is_ever_without_flow_or_sa(plain: Lab) -> None:
    before, began = keys(plain), now(plain)
    done = plain.run("rekey", "-A", "--spread", "5m", "--yes", "-o", "json")
    assert done.code == 0, done
    assert max(outages(everything(plain), began).values()) == 0
    assert set(busiest(everything(plain), began).values()) == {1}
    assert len(outages(everything(plain), began)) == 2 * TUNNELS
    assert not keys(plain) & before
    steps = done.json["steps"]
    assert {s["state"] for s in steps} == {"done", "proven"}
    assert len([s for s in steps if s["action"] == "unclone" and s["state"] == "proven"]) == TUNNELS


def torn_down(lab: Lab, since: dict[str, int]) -> set[frozenset[str]]:
    """The pairs of networks that somebody tore down; one that renews itself before its turn need not go."""
    lines = (line for sent in lab.sent(since).values() for line in sent)
    return {frozenset(found.groups()) for found in map(TEARDOWN.fullmatch, lines) if found}


def runs(lab: Lab) -> set[Path]:
    return {*(lab.run.state / "runs").glob("*")}


def connects_told(lab: Lab, before: set[Path]) -> int:
    """How many bring-ups the journal of the run since then tells of."""
    journals = (run / "journal.jsonl" for run in runs(lab) - before)
    return sum(j.read_text().count('"action": "connect"') for j in journals if j.exists())


def test_a_restart_that_is_killed_in_the_middle_is_resumed_and_each_outage_is_short(plain: Lab) -> None:
    before, began, since = keys(plain), now(plain), plain.mark()
    before_it = runs(plain)
    command = [sys.executable, "-m", "ipsecfleet", "restart", "-A", "--yes"]
    with subprocess.Popen(
        command, env=plain.run.environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    ) as running:
        wait_for(lambda: connects_told(plain, before_it) >= 20, "a third of them is begun", seconds=30)
        os.kill(running.pid, signal.SIGKILL)
    assert running.returncode == -signal.SIGKILL
    run = plain.run("runs", "list", "-o", "json").json["runs"][-1]["run"]
    resumed = plain.run("runs", "resume", run, *FORCED, "-o", "json")
    assert resumed.code == 0, resumed
    connects = [s for s in resumed.json["steps"] if s["action"] == "connect"]
    assert 0 < len(connects) < TUNNELS - 15
    lost = outages(everything(plain), began)
    torn = torn_down(plain, since)
    assert len(torn) >= TUNNELS // 2
    assert min(seconds for (_, *networks), seconds in lost.items() if frozenset(networks) in torn) > 0
    assert max(lost.values()) < 3
    assert set(busiest(everything(plain), began).values()) == {1}
    assert not keys(plain) & before


def test_a_rekey_that_is_killed_at_once_heals_by_itself(plain: Lab) -> None:
    began = now(plain)
    command = [sys.executable, "-m", "ipsecfleet", "rekey", "-t", "tunnel-1", "--yes"]
    with subprocess.Popen(
        command, env=plain.run.environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    ) as running:
        for _ in range(600):
            if any(
                "c ipsecfleet-rekey" in line
                for line in plain.sent(dict.fromkeys(plain.gateways, 0)).get("gw1", [])[-2:]
            ):
                break
            time.sleep(0.01)
        os.kill(running.pid, signal.SIGKILL)
    plain.advance(600)
    (tunnel,) = plain.run("show", "-t", "tunnel-1", "-o", "json").json["tunnels"]
    assert tunnel["state"] == "up"
    assert max(outages(everything(plain), began).values()) == 0
    left = plain.run("check", "-g", "gw1", "-o", "json").json["findings"]
    assert [f["text"] for f in left if f["subject"] == "alias"]
    assert plain.run("rekey", "--clean", "-g", "gw1", *FORCED).code == 0
    left = plain.run("check", "-g", "gw1", "-o", "json").json["findings"]
    assert not [f for f in left if f["subject"] == "alias"]
