"""The machine around a simulated daemon: its FIFO, result, report, pid file, monitor process, logs.

As on OpenBSD (isakmpd ui.c, monitor.c): the FIFO is 0600 and kept open for reading and writing, so that writers never
block; the result is truncated in place and opened by path each time; the pid file names the monitor, whose title is
`isakmpd: monitor [priv]` and which passes SIGUSR1 on. When the daemon ends, FIFO and pid file go and the result stays;
killed with its monitor, it leaves all of them behind, and nobody reads.
"""

import asyncio
import contextlib
import json
import os
import shutil
import signal
import time
from collections.abc import Callable, Coroutine
from pathlib import Path

from ipsecfleet.lab.daemon import Daemon
from ipsecfleet.lab.driver import Driver
from ipsecfleet.lab.files import overwrite
from ipsecfleet.lab.layout import GatewayDir
from ipsecfleet.lab.monitor import Monitor

LIST_QUESTION = b"C get [Phase 2]:Connections\n"
TAKEN_WITHIN = 0.5
LOOKS = 100
STAMP = "%b %e %H:%M:%S"
LOG_SIZE = 199
"""Characters after which isakmpd cuts a line of its log (log.h)."""


class Host:
    """One gateway of the lab. `flags` are the faults that concern it, `spoil` what becomes of the next reports.

    `heard` is told of all that comes out of the FIFO, after the daemon was.
    """

    def __init__(self, files: GatewayDir, daemon: Daemon, driver: Driver, boot: Callable[["Host"], None]) -> None:
        self.files = files
        self.daemon = daemon
        self.flags: set[str] = set()
        self.spoil: Callable[[bytes], bytes] | None = None
        self.heard: Callable[[bytes], None] = ignored
        self.kernel = daemon.kernel
        self._driver = driver
        self._boot = boot
        self._fifo: int | None = None
        self._monitor: Monitor | None = None
        self._tasks: set[asyncio.Task[None]] = set()
        self._events = files.events.open("a", buffering=1)
        daemon.files = self

    async def start(self) -> None:
        """Start the daemon as at boot: a new FIFO, a monitor, and what ipsec.conf says."""
        self.files.fifo.unlink(missing_ok=True)
        os.mkfifo(self.files.fifo, 0o600)
        self._fifo = os.open(self.files.fifo, os.O_RDWR | os.O_NONBLOCK)
        asyncio.get_running_loop().add_reader(self._fifo, self._read)
        self._monitor = await Monitor.start(self._signalled)
        overwrite(self.files.pid, b"%d\n" % self._monitor.pid, 0o644)
        self.daemon.start()
        self.load()

    def load(self) -> None:
        """Ipsecctl -f /etc/ipsec.conf."""
        self._boot(self)

    def stop(self) -> None:
        """The lab ends: close what is open."""
        self.abandon()
        for task in self._tasks:
            task.cancel()
        self._events.close()

    def abandon(self) -> None:
        """Daemon and monitor are gone without a trace of their own: FIFO and pid file stay, nobody reads."""
        if self._fifo is not None:
            asyncio.get_running_loop().remove_reader(self._fifo)
            os.close(self._fifo)
            self._fifo = None
        if self._monitor:
            self._monitor.kill()
            self._monitor = None

    def vanish(self) -> None:
        """The daemon is gone, and its monitor has tidied up."""
        self.abandon()
        self.files.fifo.unlink(missing_ok=True)
        self.files.pid.unlink(missing_ok=True)

    def forget(self) -> None:
        """The machine is switched off: nothing is left in its kernel and in /var/run, and none of its processes.

        What a visit was writing there just now must not keep it from coming back.
        """
        self.daemon.kernel.flush()
        _end_processes_in(self.files.root)
        gone = self.files.run.with_name("run.gone")
        self.files.run.rename(gone)
        self.files.run.mkdir()
        shutil.rmtree(gone, ignore_errors=True)

    def write_result(self, content: bytes) -> None:
        """The answer to `S` or `C get`."""
        is_report = content.startswith(b"SA name: ")
        self._write(self.files.result, self.spoil(content) if self.spoil and is_report else content, 0o644)

    def write_report(self, content: bytes) -> None:
        """The answer to SIGUSR1."""
        self._write(self.files.report, content, 0o600)

    def heed(self, event: dict[str, object]) -> None:
        """Write down what happened here, and follow the daemon's end."""
        self._events.write(json.dumps({**event, "wall": round(time.time(), 6)}) + "\n")
        if event["event"] == "log":
            self._log(str(event["text"]), time.time() - self._driver.ago(float(str(event["at"]))))
        elif event["event"] == "end" and self._fifo is not None:
            self.vanish()

    def feed(self, data: bytes) -> None:
        """Give bytes of the FIFO to the daemon, at their moment."""
        self._driver.catch_up()
        self.daemon.fifo(data)
        self._driver.catch_up()

    def compute(self, seconds: float) -> None:
        """Keep the daemon busy, from now on."""
        self._driver.catch_up()
        self.daemon.busy(seconds)
        self._driver.catch_up()

    def _write(self, path: Path, content: bytes, mode: int) -> None:
        """On a full disk the file is empty, and nobody is told (isakmpd.md 7)."""
        overwrite(path, b"" if (self.files.faults / "disk-full").exists() else content, mode)

    def age_log(self, seconds: float) -> None:
        """Let all that stands in the log be so many real seconds older, since the lab's time has jumped."""
        if self.files.daemon_log.exists():
            overwrite(self.files.daemon_log, aged(self.files.daemon_log.read_bytes(), seconds), 0o640)

    def _log(self, text: str, at: float) -> None:
        """As syslogd(8) writes it; the mark of the privileged process is for a terminal alone."""
        stamp = time.strftime(STAMP, time.localtime(at))
        pid = self._monitor.pid if self._monitor else 0
        with self.files.daemon_log.open("a") as log:
            log.write(f"{stamp} {self.daemon.name} isakmpd[{pid}]: {text.removesuffix(' [priv]')[:LOG_SIZE]}\n")

    def _read(self) -> None:
        if self._fifo is None:
            return
        data = os.read(self._fifo, 65536)
        if LIST_QUESTION in data and self.flags & {"second-writer", "second-writer-once"}:
            self.flags.discard("second-writer-once")
            self._spawn(self._interleave(data, self._fifo))
        else:
            self.feed(data)
        self.heard(data)

    async def _interleave(self, data: bytes, fifo: int) -> None:
        """Somebody else's `S` before our question; ours is answered when his report was taken for its answer."""
        loop = asyncio.get_running_loop()
        loop.remove_reader(fifo)
        before, question, after = data.partition(LIST_QUESTION)
        self.feed(before + b"S\n")
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._taken(), TAKEN_WITHIN)
        self.feed(question + after)
        if fifo == self._fifo:
            loop.add_reader(fifo, self._read)

    async def _taken(self) -> None:
        while self.files.result.exists():  # noqa: ASYNC110  nothing tells when a file is renamed away
            await asyncio.sleep(0.001)

    def _signalled(self) -> None:
        self._driver.catch_up()
        self.daemon.sigusr1()
        self._driver.catch_up()

    def _spawn(self, work: Coroutine[None, None, None]) -> None:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)


def _end_processes_in(folder: Path) -> None:
    """End every process whose working directory is there, and every tool that was started from there.

    One that is started while the others are looked through is found the next time, until there is none.
    """
    for _ in range(LOOKS):
        found = [int(process.name) for process in Path("/proc").glob("[0-9]*") if _works_in(folder, process)]
        if not found:
            return
        for pid in found:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)


def _works_in(folder: Path, process: Path) -> bool:
    tools = os.fsencode(folder / "bin") + b"/"
    with contextlib.suppress(OSError):
        return (process / "cwd").readlink().is_relative_to(folder) or tools in (process / "cmdline").read_bytes()
    return False


def aged(log: bytes, seconds: float) -> bytes:
    """A log of syslogd(8) whose lines are so many seconds older."""
    return b"".join(_aged(line, seconds) for line in log.splitlines(keepends=True))


def _aged(line: bytes, seconds: float) -> bytes:
    year = time.localtime().tm_year
    try:
        told = time.mktime(time.strptime(f"{year} {line[:15].decode()}", f"%Y {STAMP.replace('%e', '%d')}"))
    except ValueError:
        return line
    return time.strftime(STAMP, time.localtime(told - seconds)).encode() + line[15:]


def ignored(_data: bytes) -> None:
    """Nobody listens."""
