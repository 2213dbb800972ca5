"""What a command takes as a whole: wall, processor time and memory of it and of everything that it starts."""

import os
import subprocess
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from statistics import median

SAMPLE_S = 0.04
PAGE = os.sysconf("SC_PAGE_SIZE")


@dataclass(frozen=True)
class Run:
    """One run: seconds, seconds, bytes, and how many gateways gave the right answer."""

    wall: float
    cpu: float
    peak: int
    right: int


def middle(runs: list[Run]) -> Run:
    """The median of each figure; of right answers the fewest."""
    return Run(
        median(r.wall for r in runs), median(r.cpu for r in runs), int(median(r.peak for r in runs)),
        min(r.right for r in runs),
    )  # fmt: skip


def measured(
    command: list[str], count: Callable[[bytes], int], environment: dict[str, str], stdin: Path | None = None
) -> Run:
    """Run a command to its end."""
    with (stdin or Path(os.devnull)).open("rb") as given:
        began = time.monotonic()
        process = subprocess.Popen(
            command,
            stdin=given,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env=environment,
            cwd=environment["HOME"],
            start_new_session=True,
        )
    sampler = _Sampler(process.pid)
    output = process.stdout.read()
    _, _, used = os.wait4(process.pid, 0)
    wall = time.monotonic() - began
    process.returncode = 0
    process.stdout.close()
    return Run(wall, used.ru_utime + used.ru_stime, sampler.end(), count(output))


class _Sampler(threading.Thread):
    """The most memory that is nobody else's, of all processes of a session together."""

    def __init__(self, session: int) -> None:
        super().__init__(daemon=True)
        self._session = session
        self._over = threading.Event()
        self._peak = 0
        self.start()

    def run(self) -> None:
        while not self._over.wait(SAMPLE_S):
            self._peak = max(self._peak, sum(_anonymous(pid) for pid in _members(self._session)))

    def end(self) -> int:
        self._over.set()
        self.join()
        return self._peak


def _members(session: int) -> list[int]:
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        try:
            stat = (process / "stat").read_text()
        except OSError:
            continue
        if int(stat.rpartition(")")[2].split()[3]) == session:
            found.append(int(process.name))
    return found


def _anonymous(pid: int) -> int:
    try:
        status = Path("/proc", str(pid), "status").read_text()
    except OSError:
        return 0
    line = next((line for line in status.splitlines() if line.startswith("RssAnon")), "RssAnon: 0")
    return 1024 * int(line.split()[1])
