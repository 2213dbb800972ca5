# ruff: noqa: INP001  a script, no package
"""What `make demo` runs: one stalled tunnel is torn down and brought back while its neighbours stay.

    python examples/demo.py

It starts a lab of simulated gateways on loopback whose time runs faster, prints every command before running it, looks
itself at what ipsecfleet says as JSON, and ends the lab whatever happens. Exit 0 only if each step came out as told.
"""

import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

TUNNEL = "customer-6"
SPEED = 20
PROGRAM = str(Path(sys.executable).with_name("ipsecfleet"))


class NotAsTold(Exception):  # noqa: N818  it ends the demo, and is no error of the program's user
    """A step came out otherwise than the demo says."""


class Demo:
    """A lab in a directory of its own, and the commands run against it."""

    def __init__(self, folder: Path) -> None:
        self.lab = folder / "lab"
        self.environment = {**os.environ, "IPSECFLEET_INVENTORY": str(self.lab / "inventory.toml")}

    def run(self, *words: str) -> None:
        """Run a command for the reader; it must end well."""
        _command(words)
        code = self._ipsecfleet(words).returncode
        _told(code == 0, f"exit {code}")

    def ask(self, *words: str) -> dict[str, Any]:
        """Run a command for the demo itself: its JSON."""
        words = (*words, "-o", "json")
        _command(words)
        done = self._ipsecfleet(words, capture=True)
        _told(done.returncode == 0, f"exit {done.returncode}")
        document: dict[str, Any] = json.loads(done.stdout)
        return document

    def end(self) -> None:
        """End the lab, if there is one."""
        if self.lab.exists():
            _command(words := ("lab", "down", "--dir", str(self.lab)))
            self._ipsecfleet(words)

    def _ipsecfleet(self, words: tuple[str, ...], *, capture: bool = False) -> "subprocess.CompletedProcess[str]":
        out, err = (subprocess.PIPE, None) if capture else (None, subprocess.STDOUT)
        command = [PROGRAM, *words]
        return subprocess.run(command, env=self.environment, stdout=out, stderr=err, text=True, check=False)  # noqa: S603  ours

    def state(self) -> str:
        """The state of the tunnel that the demo is about."""
        state: str = self.ask("show", "-t", TUNNEL)["tunnels"][0]["state"]
        _say(f"{TUNNEL} is {state}")
        return state

    def neighbours(self) -> dict[str, frozenset[str]]:
        """The SPIs of every other tunnel that is up, by its name."""
        tunnels = self.ask("show")["tunnels"]
        found = {t["tunnel"]: frozenset(e["spi_in"] for e in t["ends"] if e["spi_in"]) for t in tunnels}
        return {name: spis for name, spis in found.items() if spis and name != TUNNEL}


def play(demo: Demo) -> None:
    """The whole story."""
    _head("A lab: six simulated gateways, and their peers")
    demo.run("lab", "up", "--speed", str(SPEED), "--dir", str(demo.lab))

    _head("The fleet. One tunnel is stalled: its peer refuses phase 2")
    demo.run("show")
    _told(demo.state() in {"half-up", "down"}, f"{TUNNEL} is not stalled")

    _head("Tear that tunnel down, and no other")
    before = demo.neighbours()
    _say(f"{len(before)} neighbours are up: their SPIs are kept for later")
    demo.run("down", "-t", TUNNEL, "--yes", "--verbose")
    _told(demo.state() == "held", f"{TUNNEL} is not held")

    _head("Its neighbours stayed")
    _compare(before, demo.neighbours())

    _head("The peer is put right, and the tunnel brought back")
    demo.run("lab", "fault", "off", "--dir", str(demo.lab))
    demo.run("up", "-t", TUNNEL, "--yes", "--verbose")
    _told(demo.state() == "up", f"{TUNNEL} is not up")
    demo.run("show", "-t", TUNNEL)


def main() -> int:
    """Play the demo in a new directory; the exit code."""
    signal.signal(signal.SIGTERM, _terminated)
    folder = Path(tempfile.mkdtemp(prefix="ipsecfleet-"))
    demo, began = Demo(folder), time.monotonic()
    _say(f"export IPSECFLEET_INVENTORY={demo.environment['IPSECFLEET_INVENTORY']}")
    try:
        code, text = _ended(lambda: play(demo))
    finally:
        _head("The end of the lab")
        demo.end()
        shutil.rmtree(folder, ignore_errors=True)
    _say(f"{text}, after {time.monotonic() - began:.0f} s")
    return code


def _ended(story: Callable[[], None]) -> tuple[int, str]:
    """How the story ended: the exit code, and a word for it."""
    try:
        story()
    except NotAsTold as error:
        return 1, f"not as told: {error}"
    except KeyboardInterrupt:
        return 130, "interrupted"
    return 0, "all as told"


def _terminated(_signal: int, _frame: object) -> None:
    raise KeyboardInterrupt


def _compare(before: dict[str, frozenset[str]], after: dict[str, frozenset[str]]) -> None:
    """Say, and insist, that every SA of the neighbours is the one it was."""
    changed = sorted(name for name, spis in before.items() if after.get(name) != spis)
    _told(not changed, f"other SPIs than before: {', '.join(changed)}")
    _told(bool(before), "there was no neighbour to compare")
    _say(f"{sum(map(len, before.values()))} SPIs of {len(before)} neighbours: the same as before")


def _told(true: bool, otherwise: str) -> None:
    if not true:
        raise NotAsTold(otherwise)


def _head(text: str) -> None:
    _say(f"\n== {text}")


def _command(words: tuple[str, ...]) -> None:
    _say(f"\n$ {' '.join(('ipsecfleet', *words))}")


def _say(text: str) -> None:
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main())
