"""ipsecfleet as an operator runs it, as a process of its own, against a lab of its own.

What happened on the gateways is not taken from the program under test but from the lab's own journals: every line that
came out of a FIFO, every flow that went.
"""

import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from strange import without_warning

from ipsecfleet import lab

SPEED = 20
READING = re.compile(r"S|C get \[(Phase 2|ipsecfleet)\]:[A-Za-z-]+|C set \[ipsecfleet\]:fence=[0-9a-z.]+ force")
"""The lines of a visit that only looks."""

CRASHING = """\
import os, signal, sys, time
from ipsecfleet.cli.app import app, run, verb
from ipsecfleet.model.document import Document

@verb(app, "crash")
def crash(session) -> Document:
    psk = os.environ.get("PSK", "")
    raise RuntimeError("this is broken")

@verb(app, "interrupted")
def interrupted(session, number: int) -> Document:
    class Finalised:
        def __del__(self):
            signal.raise_signal(number)

    Finalised()
    time.sleep(20)
    raise RuntimeError("nobody heard of it")

sys.exit(run(sys.argv[1:]))
"""


STRANGE = bool(os.environ.get("IPSECFLEET_STRANGE"))
"""Whether this is played with a paramiko that the fast path does not know (`make strange`)."""


@dataclass(frozen=True)
class Ran:
    """What a command said."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        """The one object on stdout."""
        return json.loads(self.out)

    @property
    def said(self) -> str:
        """All of it in one line: where it is wrapped does not matter."""
        return " ".join(f"{self.out} {self.err}".split())


@dataclass(frozen=True)
class Operator:
    """Somebody with a home of his own; `settings` are environment variables, `wrapper` runs the commands."""

    home: Path
    settings: dict[str, str] = field(default_factory=dict)
    wrapper: tuple[str, ...] = ()

    def __call__(self, *words: str, stdin: bytes = b"") -> Ran:
        """Run ipsecfleet; there is no terminal."""
        return self.start(*words).ended(stdin)

    def start(self, *words: str) -> "Running":
        """Run it beside others."""
        return self._started(self.command(words))

    def command(self, words: Sequence[str]) -> list[str]:
        return [*self.wrapper, sys.executable, "-m", "ipsecfleet", *words]

    def crashing(self, *words: str) -> Ran:
        """Run an ipsecfleet that has two verbs more: `crash`, and `interrupted NUMBER` by a signal in a finaliser."""
        return self._started([sys.executable, "-c", CRASHING, *words]).ended()

    def _started(self, command: Sequence[str]) -> "Running":
        return Running(subprocess.Popen(
            command, env=self.environment, cwd=self.home,
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        ))  # fmt: skip

    @property
    def environment(self) -> dict[str, str]:
        own = {"HOME": str(self.home), "USER": "tester", "XDG_STATE_HOME": str(self.home / "state"), "TZ": "UTC"}
        shared = {name: os.environ[name] for name in ("PATH", "PYTHONPATH") if name in os.environ}
        return {**own, **shared, **self.settings}

    @property
    def state(self) -> Path:
        """Where ipsecfleet keeps what it keeps."""
        return self.home / "state" / "ipsecfleet"

    def with_inventory(self, path: Path) -> "Operator":
        return replace(self, settings={**self.settings, "IPSECFLEET_INVENTORY": str(path)})


@dataclass(frozen=True)
class Running:
    """A command that runs."""

    process: "subprocess.Popen[bytes]"

    def ended(self, stdin: bytes = b"", *, within: float = 120) -> Ran:
        out, err = self.process.communicate(stdin, timeout=within)
        return Ran(self.process.returncode, out.decode(), without_warning(err.decode()) if STRANGE else err.decode())


@dataclass(frozen=True)
class Lab:
    """A running lab, and somebody who runs ipsecfleet against it."""

    root: Path
    run: Operator

    @property
    def inventory(self) -> Path:
        return self.root / "inventory.toml"

    def files(self, gateway: str) -> Path:
        """The directory of a gateway."""
        return self.root / "gateways" / gateway

    @property
    def gateways(self) -> tuple[str, ...]:
        return tuple(sorted(path.name for path in (self.root / "gateways").iterdir()))

    @contextmanager
    def fault(self, name: str, *gateways: str) -> Iterator[None]:
        """A fault at these gateways as long as the block lasts."""
        for gateway in gateways:
            lab.fault(self.root, name, gateway)
        try:
            yield
        finally:
            for gateway in gateways:
                lab.fault(self.root, f"off {name}", gateway)

    def advance(self, seconds: float) -> None:
        """Let the lab's time jump."""
        lab.advance(self.root, seconds)

    def events(self, gateway: str) -> list[dict[str, Any]]:
        """What happened there so far."""
        return [json.loads(line) for line in (self.files(gateway) / "events.jsonl").read_text().splitlines()]

    def mark(self) -> dict[str, int]:
        """The present end of every journal."""
        return {gateway: len(self.events(gateway)) for gateway in self.gateways}

    def sent(self, since: dict[str, int]) -> dict[str, list[str]]:
        """The lines since then that change something, by gateway."""
        lines = {g: [str(e["line"]) for e in self.events(g)[n:] if e["event"] == "fifo"] for g, n in since.items()}
        changing = {g: [line for line in mine if not READING.fullmatch(line)] for g, mine in lines.items()}
        return {g: mine for g, mine in changing.items() if mine}

    def flows_gone(self, since: dict[str, int]) -> dict[str, int]:
        """How many flows were deleted since then, by gateway."""
        gone = {g: sum(e["event"] == "flow-delete" for e in self.events(g)[n:]) for g, n in since.items()}
        return {g: count for g, count in gone.items() if count}

    @contextmanager
    def untouched(self) -> Iterator[None]:
        """Within the block no gateway gets a line that changes something, and no flow goes."""
        before = self.mark()
        yield
        assert self.sent(before) == {}
        assert self.flows_gone(before) == {}

    def as_if(self, path: Path, *changes: tuple[str, str]) -> Operator:
        """Somebody whose inventory, at `path`, is the lab's with these changes."""
        text = self.inventory.read_text().replace('"known_hosts"', f'"{self.root / "known_hosts"}"')
        for old, new in changes:
            assert old in text, old
            text = text.replace(old, new)
        path.write_text(text)
        return self.run.with_inventory(path)

    def port(self, gateway: str) -> int:
        """Where its SSH server listens."""
        found = re.search(rf"\[gateway\.{gateway}\]\n.*\nport = (\d+)", self.inventory.read_text())
        assert found, gateway
        return int(found[1])


@contextmanager
def running_lab(
    root: Path, home: Path, speed: int = SPEED, gateways: int = 6, tunnels: int | None = None
) -> Iterator[Lab]:
    """A lab of so many gateways; with `tunnels` so many between them, and no others."""
    home.mkdir()
    started = Lab(root, Operator(home).with_inventory(root / "inventory.toml"))
    plain = () if tunnels is None else ("--tunnels", str(tunnels))
    up = started.run("lab", "up", "--gateways", str(gateways), "--speed", str(speed), "--dir", str(root), *plain)
    assert up.code == 0, up
    try:
        yield started
    finally:
        ended = started.run("lab", "down", "--dir", str(root))
    assert ended.code == 0, ended
    assert not [*root.glob("gateways/*/run")]


def side_by_side(run: Operator, commands: Sequence[Sequence[str]]) -> list[Ran]:
    """Run several commands at the same time."""
    return [running.ended() for running in [run.start(*words) for words in commands]]
