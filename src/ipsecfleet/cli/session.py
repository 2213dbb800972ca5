"""What a command works with: its options, the inventory, the way to the gateways, somebody to ask.

What needs SSH, the inventory or rendering is imported when it is first used, so that `--help`, `names` and
`lines --from-file` start at once.
"""

import os
import shutil
import sys
import time
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ipsecfleet.cli.options import Globals, seconds
from ipsecfleet.errors import GatewayError, OperatorError

if TYPE_CHECKING:
    from collections.abc import Callable

    from ipsecfleet.inventory import Selection
    from ipsecfleet.model.document import Document, FileRow
    from ipsecfleet.model.fleet import Fleet
    from ipsecfleet.model.plan import Plan
    from ipsecfleet.model.snapshot import GatewaySnapshot, Snapshot
    from ipsecfleet.run.carrying import Run
    from ipsecfleet.run.clock import RealClock
    from ipsecfleet.run.event import Event
    from ipsecfleet.run.journal import Archive
    from ipsecfleet.run.probe import Prober
    from ipsecfleet.run.stopping import Stop


HAS_METRICS = "show"
"""The command that has metrics, of tunnels and gateways."""


class Session:
    """What a command works with; made anew for each."""

    def __init__(self, options: Globals, command: str) -> None:
        self.options = options.checked()
        if options.output == "metrics" and command != HAS_METRICS:
            hint = "ipsecfleet show tunnels -o metrics, or show gateways"
            raise OperatorError(f"{command or 'this'} has no metrics", kind="usage", obj="--output", hint=hint)
        self.command = command
        self.moment = time.time()
        self.dry = bool(options.dry_run)
        self.again = False
        """Whether gateways are visited more than once."""
        self.told: set[str] = set()

    @cached_property
    def fleet(self) -> "Fleet":
        from ipsecfleet.cli.inventories import load_fleet

        fleet = load_fleet(self.options.inventory)
        if self.options.max_failures is None:
            return fleet
        return replace(fleet, limits=replace(fleet.limits, max_failures=self.options.max_failures))

    @cached_property
    def prober(self) -> "Prober":
        from ipsecfleet.run.probe import Prober
        from ipsecfleet.transport import SshTransport

        connect = seconds(self.options.connect_timeout, None, "--connect-timeout")
        return Prober(
            SshTransport(connect_timeout=connect, keep=self.again, warn=self.warn),
            who=f"{self.run_id} {_operator()}",
            fanout=self.options.fanout,
            timeout=seconds(self.options.timeout, None, "--timeout"),
            arrived=self.progress.arrived,
            meanwhile=self._prepare,
        )

    def _prepare(self) -> None:
        """Import what the end of the command needs, while the network is what is waited for."""
        import ipsecfleet.cli.ending
        import ipsecfleet.plan.view  # noqa: F401

        if (self.options.output or "table") == "table":
            import tabulate  # noqa: F401

    @cached_property
    def progress(self) -> "Progress":
        return Progress(enabled=self.talks and sys.stderr.isatty())

    @cached_property
    def clock(self) -> "RealClock":
        from ipsecfleet.run.clock import RealClock

        return RealClock(self.fleet.time_scale, self.stop)

    @cached_property
    def stop(self) -> "Stop":
        from ipsecfleet.run.stopping import Stop

        return Stop()

    @cached_property
    def archive(self) -> "Archive":
        from ipsecfleet.run.journal import Archive

        return Archive(state_home() / "runs")

    def run(self, selection: "Selection | None" = None, **more: Any) -> "Run":
        """What a changing verb works with."""
        from ipsecfleet.inventory import Selection
        from ipsecfleet.run.acting import Locking
        from ipsecfleet.run.carrying import Run

        self.again = True
        self.prober.keep = True
        return Run(
            fleet=self.fleet,
            selection=selection or Selection(),
            prober=self.prober,
            clock=self.clock,
            run_id=self.run_id,
            ask=self.ask,
            tell=self.tell,
            stop=self.stop,
            locking=Locking(seconds(self.options.lock_wait, 30.0, "--lock-wait") or 0.0, take="lock" in self.forced),
            archive=self.archive,
            forced=self.forced,
            dry_run=self.dry,
            **more,
        )

    @cached_property
    def run_id(self) -> str:
        import secrets

        from ipsecfleet.run.clock import run_id

        return run_id(self.moment, secrets.token_hex(2))

    @property
    def talks(self) -> bool:
        return not self.options.quiet

    @property
    def forced(self) -> frozenset[str]:
        return frozenset(self.options.force or ())

    @property
    def asks(self) -> bool:
        """Whether somebody can be asked."""
        return sys.stdin.isatty() and sys.stderr.isatty()

    def pause(self, seconds: float) -> None:
        """Let so many of the gateways' seconds pass; on a terminal that is told."""
        self.progress.show(f"looking again in {seconds:.0f} s")
        time.sleep(seconds / self.fleet.time_scale)
        self.progress.clear()

    def warn(self, text: str) -> None:
        """Say something that is worth knowing and stops nothing."""
        self._say(f"warning: {text}", always=True)

    def require_consent(self) -> None:
        """Before anything is contacted: a changing verb needs a terminal, --yes or --dry-run."""
        if not (self.options.yes or self.options.dry_run or self.asks):
            raise OperatorError(
                f"{self.command} asks before it changes something, and there is no terminal to ask on",
                kind="usage",
                obj=self.command,
                hint="give --yes, or --dry-run to see the plan",
            )

    def ask(self, plan: "Plan", files: "tuple[FileRow, ...]" = ()) -> bool:
        """Show a plan and the files that change, and have it confirmed on stderr."""
        if self.options.yes:
            return True
        from ipsecfleet.isakmpd.steps import lines_of
        from ipsecfleet.render import files_text, plan_text

        self.progress.clear()
        sys.stderr.write(files_text(files, width()))
        sys.stderr.write(plan_text(plan, lines_of, width()))
        sys.stderr.write("Do it? [y/N] ")
        sys.stderr.flush()
        return sys.stdin.readline().strip().lower() in {"y", "yes"}

    @property
    def stream(self) -> "Callable[[Document], None] | None":
        """Where what one gateway has to say goes as it arrives; None where all is said at the end."""
        return self._line if self.options.output == "ndjson" else None

    def _line(self, part: "Document") -> None:
        from ipsecfleet.render import gateway_lines

        self.progress.clear()
        try:
            sys.stdout.write(gateway_lines(part))
            sys.stdout.flush()
        except BrokenPipeError:
            unread()
        self.told.update(row.gateway for row in part.gateways or ())

    def tell(self, event: "Event") -> None:
        """What happens in a run: steps, ends and stops on a terminal and with -v, waits for as long as they are true."""
        from ipsecfleet.run.event import Kind

        line = f"{event.gateway}: {event.text}" if event.kind is Kind.STEP else event.text
        if event.kind in {Kind.STEP, Kind.NEGOTIATED, Kind.STOPPED}:
            self._say(line, always=event.kind is Kind.STOPPED)
        elif event.kind in {Kind.PAUSE, Kind.WAITING}:
            self._wait(line)

    def _say(self, line: str, *, always: bool = False) -> None:
        if self.talks and (always or self.options.verbose or sys.stderr.isatty()):
            self.progress.clear()
            sys.stderr.write(f"{_visible(line)}\n")

    def _wait(self, line: str) -> None:
        if self.options.verbose:
            self._say(line)
        else:
            self.progress.show(line)

    def read_snapshot(self, path: Path | None) -> "Snapshot | None":
        from ipsecfleet.isakmpd.saved import decode

        return None if path is None else decode(read_text(path), str(path))


def state_home() -> Path:
    """Where what is to be kept of ours stands: `$XDG_STATE_HOME/ipsecfleet`."""
    state = os.environ.get("XDG_STATE_HOME")
    return (Path(state) if state else Path.home() / ".local" / "state") / "ipsecfleet"


def unread() -> None:
    """A reader that went away is no failure of ours; nothing more is written, not even at the end of the process."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def read_text(path: Path) -> str:
    """A file the operator named, any bytes."""
    return read_bytes(path).decode("utf-8", "surrogateescape")


def read_bytes(path: Path) -> bytes:
    """A file the operator named, or stdin for `-`."""
    try:
        return sys.stdin.buffer.read() if str(path) == "-" else path.read_bytes()
    except OSError as error:
        raise OperatorError(f"cannot read {path}: {error.strerror}", kind="file", obj=str(path)) from None


def write_text(path: Path, text: str) -> None:
    """A file the operator named, readable by nobody else."""
    try:
        with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w", encoding="utf-8") as file:
            file.write(text)
    except OSError as error:
        raise OperatorError(f"cannot write {path}: {error.strerror}", kind="file", obj=str(path)) from None


class Progress:
    """One line on a terminal that tells what is going on; gone when something is printed."""

    def __init__(self, *, enabled: bool) -> None:
        self.enabled = enabled
        self.answered = 0
        self.failed = 0

    def arrived(self, _gateway: str, seen: "GatewaySnapshot | GatewayError") -> None:
        """Count a gateway that answered, or that did not."""
        self.answered += 1
        self.failed += isinstance(seen, GatewayError)
        self.show(f"{self.answered} answered, {self.failed} failed")

    def show(self, line: str) -> None:
        """Put the line where the last one stood."""
        if self.enabled:
            sys.stderr.write(f"\r\x1b[K{_visible(line)[: width() - 1]}")
            sys.stderr.flush()

    def clear(self) -> None:
        """Leave nothing behind."""
        if self.enabled:
            sys.stderr.write("\r\x1b[K")


def width() -> int:
    """Columns to write in: the terminal's, 80 in a pipe; never fewer than 40."""
    return max(40, shutil.get_terminal_size((80, 24)).columns) if sys.stdout.isatty() else 80


def _visible(text: str) -> str:
    from ipsecfleet.render import visible

    return visible(text)


def _operator() -> str:
    """Who runs this, for the gateway's own log; only what may stand there."""
    import getpass
    import socket

    try:
        user = getpass.getuser()
    except (KeyError, OSError):  # a user without a name, as in many a container
        user = f"uid{os.getuid()}"
    text = f"{user}@{socket.gethostname()}"
    return "".join(c if (c.isalnum() and c.isascii()) or c in "._@-" else "-" for c in text)[:64]
