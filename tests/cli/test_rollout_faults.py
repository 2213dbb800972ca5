"""Something goes wrong at a position of a rollout; within the time to confirm every file is all old or all new.

A position is a line of the run's journal that is no look, and a moment after it, up to the length of a visit. There the connections are
cut, ipsecfleet is killed, sshd is frozen or ends, or the gateway boots. `make test` plays some of each, `make soak` all.
"""

import os
import random
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from itertools import cycle
from pathlib import Path

import pytest
from rollouts import Had, Sources, had

from cli import Lab, running_lab
from ipsecfleet import lab

pytestmark = pytest.mark.lab

SOAK = bool(os.environ.get("IPSECFLEET_SOAK"))
TERMS = "main auth hmac-sha1 enc aes-256 group modp2048 quick auth hmac-sha1 enc aes-256 group modp2048"
CONFIRM = "200s"
SPEED = 40
TAKEN_BACK_S = 200 / SPEED + 8
POSITIONS = {"changed": 25, "added": 17, "removed": 16}
FAULTS = ("cut", "kill", "frozen", "ssh-refused", "reboot")

FAULTY = """\
import os, random, signal, sys, threading, time
from ipsecfleet import lab
from ipsecfleet.cli import main
from ipsecfleet.run.journal import Journal
position, delay, fault, gateway, root = os.environ["FAULT"].split()
left, keep, counting = int(position), Journal.tell, threading.Lock()

def strike():
    time.sleep(float(delay))
    if fault == "kill":
        os.kill(os.getpid(), signal.SIGKILL)
    lab.fault(__import__("pathlib").Path(root), {"cut": "hang-up"}.get(fault, fault), gateway)

def tell(self, event):
    global left
    with counting:
        left -= event.kind not in {"verdict", "looked"}
        if left == 0 and event.kind not in {"verdict", "looked"}:
            threading.Thread(target=strike).start()
    keep(self, event)

Journal.tell = tell
main()
"""
"""An ipsecfleet to which something happens some moments after a line of its journal."""


@pytest.fixture(scope="module")
def own(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    folder = tmp_path_factory.mktemp("rollout-faults")
    with running_lab(folder / "lab", folder / "home", speed=SPEED) as running:
        running.advance(200)
        yield running


def changed(sources: Sources) -> None:
    """Another key and another phase 2 at both ends of one tunnel."""
    new = (("quick auth hmac-sha1 enc aes-256", "quick auth hmac-sha1 enc aes-128"), ("lab-psk", "new-psk"))
    sources.edit("hub-fra1", "oslo.conf", *new)
    sources.edit("br-oslo", "fra.conf", *new)


def added(sources: Sources) -> None:
    """A tunnel between two gateways that had none."""
    here, there = (
        'gateway = "hub-fra1", networks = ["10.41.1.0/24"]',
        'gateway = "br-oslo", networks = ["10.51.1.0/24"]',
    )
    sources.tunnel("second", here, there, 'files = { a = "second.conf", b = "second.conf" }')
    sources.add("hub-fra1", "second.conf", _rule("passive", "10.41.1.0/24", "10.51.1.0/24", "10.1.10.2"))
    sources.add("br-oslo", "second.conf", _rule("active", "10.51.1.0/24", "10.41.1.0/24", "10.1.2.2"))


def _rule(mode: str, here: str, there: str, peer: str) -> str:
    return f'ike {mode} esp from {here} to {there} peer {peer} {TERMS} psk "lab-psk-for-tests-only"\n'


def removed(sources: Sources) -> None:
    """The tunnel between two gateways goes."""
    sources.drop("oslo-fra", "hub-fra1", "oslo.conf")
    (sources.root / "tunnels/br-oslo/fra.conf").unlink()
    sources.removed.append("fra.conf")


Place = tuple[str, str, str, str]
OLD: list[Place] = [
    ("hub-fra1", "oslo.conf", "from-10.30.0.0/24-to-10.50.0.0/24", "10.1.10.2"),
    ("br-oslo", "fra.conf", "from-10.50.0.0/24-to-10.30.0.0/24", "10.1.2.2"),
]
NEW: list[Place] = [
    ("hub-fra1", "second.conf", "from-10.41.1.0/24-to-10.51.1.0/24", "10.1.10.2"),
    ("br-oslo", "second.conf", "from-10.51.1.0/24-to-10.41.1.0/24", "10.1.2.2"),
]
SCENARIOS: dict[str, tuple[Callable[[Sources], None], list[Place]]] = {
    "changed": (changed, OLD), "added": (added, NEW), "removed": (removed, OLD),
}  # fmt: skip


def armed(own: Lab) -> list[Path]:
    return [*own.root.glob("gateways/*/run/ipsecfleet/armed")]


def settled(own: Lab) -> None:
    """Until no gateway waits for a confirmation any more."""
    until = time.monotonic() + TAKEN_BACK_S
    while armed(own):
        assert time.monotonic() < until, [path.read_text() for path in armed(own)]
        time.sleep(0.1)


def is_old(there: Had, place: Place, scenario: str, *, booted: bool) -> bool:
    """All of the old: what was there before, or for an added file nothing; who booted may have it lying about."""
    if scenario == "added":
        gone = not (there.included or there.listed or there.sections)
        return gone and (there.text is None or booted)
    return (
        there.included and there.listed and "lab-psk" in str(there.text) and _loaded(there, place, "AES256", "lab-psk")
    )


def is_new(there: Had, place: Place, scenario: str) -> bool:
    if scenario == "removed":
        return there.text is None and not (there.included or there.listed or there.sections)
    key, enc = ("new-psk", "AES128") if scenario == "changed" else ("lab-psk", "AES256")
    return there.included and there.listed and key in str(there.text) and _loaded(there, place, enc, key)


def _loaded(there: Had, place: Place, enc: str, key: str) -> bool:
    both = {place[2], f"phase2-{place[2]}"}
    return there.sections == both and f"-{enc}-" in str(there.quick) and str(there.key).startswith(key)


def positions() -> list[tuple[str, str, int]]:
    every = [(s, f, n) for s in SCENARIOS for f in FAULTS for n in range(1, POSITIONS[s] + 1)]
    chance = random.Random(5)
    some = [(s, f, chance.randrange(2, POSITIONS[s] - 1)) for s, f in zip(cycle(SCENARIOS), FAULTS, strict=False)]
    return every if SOAK else some


@pytest.mark.parametrize(("scenario", "fault", "position"), positions())
def test_every_file_is_all_old_or_all_new(
    own: Lab, tmp_path: Path, tally: Counter[str], scenario: str, fault: str, position: int
) -> None:
    make, places = SCENARIOS[scenario]
    base = Sources(own, tmp_path / "base")
    sources = Sources(own, tmp_path / "own", confirm=CONFIRM)
    make(sources)
    own.advance(130)
    chance = random.Random(f"{scenario}{fault}{position}")
    gateway = chance.choice(["hub-fra1", "br-oslo"])
    strike = f"{position} {chance.uniform(0, 0.3):.3f} {fault} {gateway} {own.root}"
    command = [sys.executable, "-c", FAULTY, *sources.words("--wait", "40s", "--timeout", "6s")]
    environment = {**sources.run.environment, "FAULT": strike}
    subprocess.run(command, env=environment, capture_output=True, check=False, timeout=120)
    for name in ("frozen", "ssh-refused"):
        lab.fault(own.root, f"off {name}", gateway)
    settled(own)
    time.sleep(7 / SPEED)
    for place in places:
        there = had(own, *place)
        booted = fault == "reboot" and place[0] == gateway
        assert is_old(there, place, scenario, booted=booted) or is_new(there, place, scenario), (place, there)
    base.removed += ["second.conf"] if scenario == "added" else []
    again = base.apply()
    for _ in range(2):
        if again.code != 0:
            own.advance(130)
            again = base.apply()
    assert again.code == 0, again
    assert all(is_old(had(own, *place), place, "changed", booted=False) for place in OLD)
    for place in NEW:
        there = had(own, *place)
        assert is_old(there, place, "added", booted=fault == "reboot"), (place, there)
        (own.files(place[0]) / "etc/IPsec" / place[1]).unlink(missing_ok=True)
    tally[f"{fault} in a rollout, of {sum(POSITIONS.values())} positions"] += 1
