"""A daemon's outside, by hand: a real FIFO, a result file truncated in place and opened by path, a monitor process.

It does what the visit program can see of isakmpd(8) and knows nothing of tunnels: `S` answers `report`, `C get` what
`C set`, `add`, `rmv`, `rm` and `rms` made of `config`, SIGUSR1 to the monitor writes `state`. All else is just kept in
`lines`, as read. The switches are the ways in which the real one surprises.
"""

import os
import re
import select
import subprocess
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Self

MONITOR = '$0 = "isakmpd: monitor [priv]"; $| = 1; $SIG{USR1} = sub { print "usr1\\n" }; print "up\\n"; sleep 1 while 1'


@dataclass
class FakeIsakmpd:
    """A daemon in the directory `run`, from `with` to its end."""

    run: Path
    report: bytes = b""
    state: bytes = b""
    config: dict[str, str] = field(default_factory=dict)
    busy: float = 0.0
    """Seconds of key computation before the first line is looked at."""
    interruptions: int = 0
    """How many answers to our lines that begin with `interrupted` come after an answer to somebody else."""
    interrupted: str = "C get"
    deaf: bool = False
    """Reads, and does nothing."""
    haltingly: bool = False
    """Writes half of an answer, and the rest a little later."""
    other_answer: bytes | None = None
    """What somebody else is answered with; the report if None."""

    lines: list[str] = field(default_factory=list)
    _monitor: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Self:
        self.config = dict(self.config)
        os.mkfifo(self.run / "isakmpd.fifo", 0o600)
        self._fifo = os.open(self.run / "isakmpd.fifo", os.O_RDWR | os.O_NONBLOCK)
        self._stop, self._stopped = os.pipe()
        self._monitor = subprocess.Popen(["perl", "-e", MONITOR], stdout=subprocess.PIPE)
        self._monitor.stdout.readline()
        (self.run / "isakmpd.pid").write_text(f"{self._monitor.pid}\n")
        self._thread = threading.Thread(target=self._loop)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        os.write(self._stopped, b"x")
        self._thread.join()
        self._monitor.kill()
        self._monitor.communicate()
        for fd in (self._fifo, self._stop, self._stopped):
            os.close(fd)

    @property
    def changes(self) -> list[str]:
        """The lines that were not ours for asking."""
        return [line for line in self.lines if not re.match(r"S$|C get |C set \[ipsecfleet\]:fence=", line)]

    def _loop(self) -> None:
        usr1, waiting = self._monitor.stdout.fileno(), b""
        while True:
            ready = select.select([self._stop, usr1, self._fifo], [], [])[0]
            if self._stop in ready:
                return
            if usr1 in ready and os.read(usr1, 100):
                self._write(self.run / "isakmpd.report", self.state, 0o600)
            elif self._fifo in ready:
                waiting = self._obey(waiting + os.read(self._fifo, 256))

    def _obey(self, waiting: bytes) -> bytes:
        *whole, rest = waiting.split(b"\n")
        for line in whole:
            self.lines.append(line.decode("latin-1"))
            if not self.deaf:
                time.sleep(self.busy)
                self.busy = 0.0
                self._execute(self.lines[-1])
        return rest

    def _execute(self, line: str) -> None:
        if line.startswith(self.interrupted):
            self._interrupt()
        if line.startswith("S"):
            return self._answer(self.report)
        if found := re.match(r"C get \[(.*?)\]:(\S+)", line):
            value = self.config.get(f"[{found[1]}]:{found[2]}".lower())
            return self._answer(f"{value}\n".encode() if value is not None else b"")
        if found := re.match(r"C (set|add|rmv|rm|rms) (\[.*?\](?::[^=\s]+)?)(?:=(\S+))?", line):
            self._configure(found[1], found[2].lower(), found[3] or "")
        return None

    def _configure(self, verb: str, key: str, value: str) -> None:
        items = [item for item in self.config.get(key, "").split(",") if item]
        match verb:
            case "set":
                self.config[key] = value
            case "add":
                self.config[key] = ",".join([*items, value] if value not in items else items)
            case "rmv":
                self.config[key] = ",".join(item for item in items if item != value)
            case _:
                self.config = {k: v for k, v in self.config.items() if not k.startswith(key)}
        if self.config.get(key) == "":
            del self.config[key]

    def _interrupt(self) -> None:
        """Somebody else's answer, there until it has been taken for ours."""
        if self.interruptions:
            self.interruptions -= 1
            self._answer(self.report if self.other_answer is None else self.other_answer)
            self._until(lambda: not self._result.exists())

    def _until(self, happened: Callable[[], bool]) -> None:
        patience = time.monotonic() + 0.3
        while not happened() and time.monotonic() < patience:
            time.sleep(0.001)

    @property
    def _result(self) -> Path:
        return self.run / "isakmpd.result"

    def _answer(self, content: bytes) -> None:
        self._write(self._result, content, 0o644)

    def _write(self, path: Path, content: bytes, mode: int) -> None:
        fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, mode)
        half = len(content) // 2 if self.haltingly else 0
        if half:
            os.write(fd, content[:half])
            time.sleep(0.05)
        with os.fdopen(fd, "wb") as file:
            file.write(content[half:])
