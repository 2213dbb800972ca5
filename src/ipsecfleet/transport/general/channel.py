"""One command on one channel: stdin is sent while both outputs are read, until the command has ended.

paramiko's own calls wait without an end in `exec_command` and `recv_exit_status`, and any write blocks once a frozen
server's window or the socket's buffer is full. So a command runs on a thread of its own, which keeps the deadline
itself where it can; who asked for it waits only little longer.

What ends a connection is raised by whatever call comes next, and may be of any type: paramiko keeps what its thread met,
such as cryptography's InvalidTag.

The order at the end of a command is EOF, exit status, close (RFC 4254, 5.3 and 6.10); a close without EOF or status
is what a lost connection looks like.
"""

import select
import time
from contextlib import suppress
from functools import partial

import paramiko

from ipsecfleet.errors import GatewayError
from ipsecfleet.transport import failures
from ipsecfleet.transport.contract import Outcome, Visit
from ipsecfleet.transport.waiting import OverdueError, within

_CHUNK = 32768
_WINDOW_POLL_S = 0.02
_GRACE_S = 0.3
_BROKEN = (paramiko.SSHException, EOFError, OSError)


class StaleError(Exception):
    """The connection was dead before the command could be sent: it has not run."""


class Command:
    """A command for a gateway, run once."""

    def __init__(self, visit: Visit) -> None:
        self._visit = visit
        self._unsent = memoryview(visit.stdin)
        self._stdout = bytearray()
        self._stderr = bytearray()
        self._sent = False
        self._began = 0.0

    def run(self, transport: paramiko.Transport, patience: float) -> Outcome:
        """The outcome; `patience` is how long the channel may take to open. Raises `StaleError` or `GatewayError`."""
        self._began = time.monotonic()
        try:
            return within(self._visit.deadline_s + _GRACE_S, partial(self._run, transport, patience))
        except OverdueError as error:
            raise self._overdue() from error

    def _run(self, transport: paramiko.Transport, patience: float) -> Outcome:
        channel = self._opened(transport, min(patience, self._visit.deadline_s))
        try:
            self._start(channel, transport)
            self._converse(channel)
            return self._outcome(channel)
        finally:
            with suppress(*_BROKEN):
                channel.close()

    def _opened(self, transport: paramiko.Transport, patience: float) -> paramiko.Channel:
        try:
            return transport.open_session(timeout=patience)
        except paramiko.ChannelException as error:
            raise failures.no_session(self._visit, error.text) from error
        except Exception as error:
            raise StaleError from error

    def _start(self, channel: paramiko.Channel, transport: paramiko.Transport) -> None:
        self._sent = True
        try:
            channel.exec_command(self._visit.command)
        except Exception as error:
            if transport.is_active():
                raise failures.no_command(self._visit) from error
            raise failures.lost(self._visit) from error
        if self._visit.on_started is not None:
            self._visit.on_started()

    def _converse(self, channel: paramiko.Channel) -> None:
        try:
            self._exchange(channel)
        except GatewayError:
            raise
        except Exception as error:
            raise failures.lost(self._visit) from error

    def _exchange(self, channel: paramiko.Channel) -> None:
        channel.settimeout(0.0)
        poll = select.poll()
        poll.register(channel.fileno(), select.POLLIN)
        while not (channel.eof_received or channel.closed):
            self._feed(channel)
            self._drain(channel)
            poll.poll(1000 * (min(_WINDOW_POLL_S, self._left()) if self._unsent else self._left()))
        channel.status_event.wait(self._left())
        self._drain(channel)

    def _feed(self, channel: paramiko.Channel) -> None:
        """Send what the window takes, then EOF; a command that has ended needs no more."""
        try:
            while self._unsent:
                self._unsent = self._unsent[channel.send(bytes(self._unsent[:_CHUNK])) :]
            channel.shutdown_write()
        except TimeoutError:
            return
        except (OSError, EOFError):
            self._unsent = memoryview(b"")

    def _drain(self, channel: paramiko.Channel) -> None:
        while channel.recv_ready():
            self._stdout += channel.recv(_CHUNK)
            self._refuse_excess()
        while channel.recv_stderr_ready():
            self._stderr += channel.recv_stderr(_CHUNK)
            self._refuse_excess()

    def _outcome(self, channel: paramiko.Channel) -> Outcome:
        told = channel.exit_status != -1
        if not told and not channel.eof_received:
            raise failures.lost(self._visit)
        if not channel.status_event.is_set():
            raise self._overdue()
        elapsed = time.monotonic() - self._began
        return Outcome(bytes(self._stdout), bytes(self._stderr), channel.exit_status if told else None, elapsed)

    def _left(self) -> float:
        left = self._began + self._visit.deadline_s - time.monotonic()
        if left <= 0:
            raise self._overdue()
        return left

    def _refuse_excess(self) -> None:
        if self._received > self._visit.limit:
            raise failures.too_much(self._visit)

    def _overdue(self) -> GatewayError:
        return failures.no_end(self._visit, self._received) if self._sent else failures.no_channel(self._visit)

    @property
    def _received(self) -> int:
        return len(self._stdout) + len(self._stderr)
