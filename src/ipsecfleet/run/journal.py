"""What a run leaves behind here: `$XDG_STATE_HOME/ipsecfleet/runs/ID/`, 0700, its files 0600.

    plan.json       what it set out to do (plan-2.json, … after each resumption)
    snapshot.json   what the gateways said before
    journal.jsonl   {"v": 1, "at": …, "event": …, "text": …, …}, one line for each thing that happened

A line is one write(2) and one fsync(2), before a step is sent and after its outcome is known; where that fails, nothing
new is started. A last line without its newline was torn off by whatever ended the run, and is no event. flock(2) on the
journal says whether its run is alive: the kernel drops it with the process. No secret comes here: plans hold none, and
what leaves a gateway is filtered there.
"""

import errno
import fcntl
import json
import os
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from threading import Lock

from ipsecfleet.errors import IpsecfleetError, OperatorError
from ipsecfleet.plan import planfile
from ipsecfleet.plan.planfile import PlanFile
from ipsecfleet.run.event import Event, Kind
from ipsecfleet.run.stopping import Stop

VERSION = 1
JOURNAL = "journal.jsonl"


@dataclass(frozen=True, slots=True)
class Entry:
    """One line of a journal; `at` is our clock in epoch seconds."""

    at: float
    event: Event


@dataclass(frozen=True, slots=True)
class Kept:
    """One run as it was kept; `alive` while its process lives, `torn` when its last line is not whole."""

    run: str
    entries: tuple[Entry, ...]
    alive: bool = False
    torn: bool = False

    @property
    def command(self) -> str:
        """The verb it began with."""
        return next((e.event.action or "" for e in self.entries if e.event.kind is Kind.BEGAN), "")

    @property
    def result(self) -> str:
        """How it ended; `running` while it lives, `interrupted` if it ended without a word."""
        if self.alive:
            return "running"
        last = self.entries[-1].event if self.entries else None
        return str(last.state) if last is not None and last.kind is Kind.ENDED else "interrupted"


class Journal:
    """The journal of a run that is alive; a listener. `stop` is asked when it cannot be written any more."""

    def __init__(self, path: Path, now: Callable[[], float], stop: Stop) -> None:
        self._now = now
        self._stop = stop
        self._writing = Lock()
        self._fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(self._fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
            _mend(self._fd)
        except OSError as error:
            os.close(self._fd)
            if isinstance(error, BlockingIOError):
                text = f"run {path.parent.name} is running"
                raise OperatorError(text, kind="running", obj=path.parent.name, hint="wait for its end") from None
            raise

    def tell(self, event: Event) -> None:
        """Keep an event, unless it only says what is waited for."""
        if event.kind is Kind.WAITING:
            return
        said = {k: v for k, v in asdict(event).items() if v is not None}
        line = {"v": VERSION, "at": round(self._now(), 3), "event": said.pop("kind"), **said}
        try:
            self._write(json.dumps(line, ensure_ascii=True).encode() + b"\n")
        except OSError as error:
            why = f"the journal cannot be written: {error.strerror}"
            self._stop.ask(why)
            if event.kind is Kind.SENDING:
                raise IpsecfleetError(why, kind="journal", obj=str(event.gateway)) from None

    def _write(self, line: bytes) -> None:
        with self._writing:
            if os.write(self._fd, line) != len(line):
                raise OSError(errno.ENOSPC, "no space left on device")
            os.fsync(self._fd)

    def close(self) -> None:
        """Let go of it: its run is over, and what a thread of it still tells is not kept, so it sends nothing."""
        with self._writing:
            fd, self._fd = self._fd, -1
            os.close(fd)


@dataclass(frozen=True, slots=True)
class Archive:
    """All runs that were kept here."""

    home: Path

    def begin(self, file: PlanFile, snapshot: str, now: Callable[[], float], stop: Stop) -> Journal:
        """Keep the plan and the snapshot of a new run, and open its journal."""
        folder = self.home / file.run
        try:
            folder.mkdir(mode=0o700, parents=True)
            _keep(folder / "plan.json", file.encode())
            _keep(folder / "snapshot.json", snapshot)
            return Journal(folder / JOURNAL, now, stop)
        except OSError as error:
            raise self._unwritable(error) from None

    def again(self, file: PlanFile, now: Callable[[], float], stop: Stop) -> Journal:
        """Open the journal of an earlier run once more, for what is left of it."""
        folder = self.home / file.run
        try:
            journal = Journal(folder / JOURNAL, now, stop)
            _keep(folder / f"plan-{len([*folder.glob('plan*.json')]) + 1}.json", file.encode())
        except OSError as error:
            raise self._unwritable(error) from None
        return journal

    def runs(self) -> tuple[Kept, ...]:
        """Every run, the newest last; of one whose journal this cannot read, no more than its name."""
        names = sorted(p.name for p in self.home.iterdir() if p.is_dir()) if self.home.is_dir() else []
        found = []
        for name in names:
            try:
                found.append(self.run(name))
            except OperatorError:
                found.append(Kept(name, ()))
        return tuple(found)

    def run(self, name: str) -> Kept:
        """The run of that name, or of the only one that begins so."""
        whole = self._found(name)
        path = self.home / whole / JOURNAL
        try:
            data = path.read_bytes()
        except OSError as error:
            raise OperatorError(f"cannot read {path}: {error.strerror}", kind="journal", obj=whole) from None
        *lines, rest = data.split(b"\n")
        return Kept(whole, tuple(_entries(lines, path)), _is_alive(path), torn=bool(rest))

    def plan(self, run: str) -> PlanFile:
        """What a run set out to do first."""
        path = self.home / run / "plan.json"
        return planfile.decode(self._text(path), str(path))

    def snapshot(self, run: str) -> str:
        """What the gateways said before it, as `isakmpd.saved` reads it."""
        return self._text(self.home / run / "snapshot.json")

    def used(self, plan: str) -> str | None:
        """The run that carried a plan file out already; `plan` is the file's run."""
        runs = (kept for kept in self.runs() for e in kept.entries if e.event.state == plan)
        return next((kept.run for kept in runs), None)

    def _text(self, path: Path) -> str:
        try:
            return path.read_text(encoding="utf-8", errors="surrogateescape")
        except OSError as error:
            raise OperatorError(f"cannot read {path}: {error.strerror}", kind="file", obj=str(path)) from None

    def _found(self, name: str) -> str:
        names = [p.name for p in self.home.iterdir()] if self.home.is_dir() else []
        matching = [name] if name in names else sorted(n for n in names if n.startswith(name))
        if len(matching) != 1:
            what = f"{len(matching)} runs begin with {name}" if matching else f"there is no run {name}"
            raise OperatorError(what, kind="run", obj=name, hint="see ipsecfleet runs list")
        return matching[0]

    def _unwritable(self, error: OSError) -> OperatorError:
        text = f"no journal can be kept in {self.home}: {error.strerror}"
        hint = "nothing was sent; make it writable, or set XDG_STATE_HOME"
        return OperatorError(text, kind="journal", obj=str(self.home), hint=hint)


def _entries(lines: list[bytes], path: Path) -> Iterator[Entry]:
    for number, line in enumerate(lines, 1):
        try:
            said = json.loads(line)
            version = said.pop("v")
            at, kind = float(said.pop("at")), said.pop("event")
            if version != VERSION:
                text = f"{path} is a journal of version {version}, this reads {VERSION}"
                raise OperatorError(text, kind="journal", obj=str(path), hint="use the ipsecfleet that wrote it")
            yield Entry(at, Event(Kind(kind), **said))
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            text = f"{path} is spoiled in line {number}: {type(error).__name__}"
            raise OperatorError(text, kind="journal", obj=str(path)) from None


def _mend(fd: int) -> None:
    """Cut a torn last line off, so that the next one is whole."""
    data = os.pread(fd, os.fstat(fd).st_size, 0)
    os.ftruncate(fd, data.rfind(b"\n") + 1)


def _keep(path: Path, text: str) -> None:
    fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    with os.fdopen(fd, "w", encoding="utf-8", errors="surrogateescape") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())


def _is_alive(path: Path) -> bool:
    """Whether a process has the journal locked."""
    with suppress(OSError), path.open("rb") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
    return False
