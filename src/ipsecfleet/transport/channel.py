"""One command on one channel: stdin is sent while both outputs are read, until the command has ended.

paramiko's own calls wait without an end in `exec_command` and `recv_exit_status`, and any write blocks once a frozen
server's window or the socket's buffer is full. So a command runs on a thread of its own, which keeps the deadline
itself where it can; who asked for it waits only little longer.

The order at the end of a command is EOF, exit status, close (RFC 4254, 5.3 and 6.10); a close without EOF or status
is what a lost connection looks like.
"""

import select
import time
from collections.abc import Callable
from contextlib import suppress
from functools import partial

import paramiko

from ipsecfleet.errors import GatewayError, UnreachableError
from ipsecfleet.transport.contract import Outcome
from ipsecfleet.transport.waiting import OverdueError, within

_CHUNK = 32768
_WINDOW_POLL_S = 0.02
_GRACE_S = 0.3
_BROKEN = (paramiko.SSHException, EOFError, OSError)
_MAY_RUN = "it may have done its work: look again before repeating it"


class StaleError(Exception):
    """The connection was dead before the command could be sent: it has not run."""


class Command:
    """A command for a gateway, run once."""

    def __init__(  # noqa: PLR0913  a visit is made of these
        self,
        name: str,
        command: str,
        stdin: bytes,
        *,
        deadline_s: float,
        limit: int,
        on_started: Callable[[], object] | None,
    ) -> None:
        self._name = name
        self._command = command
        self._unsent = memoryview(stdin)
        self._deadline_s = deadline_s
        self._limit = limit
        self._on_started = on_started
        self._stdout = bytearray()
        self._stderr = bytearray()
        self._sent = False
        self._began = 0.0

    def run(self, transport: paramiko.Transport, patience: float) -> Outcome:
        """The outcome; `patience` is how long the channel may take to open. Raises `StaleError` or `GatewayError`."""
        self._began = time.monotonic()
        try:
            return within(self._deadline_s + _GRACE_S, partial(self._run, transport, patience))
        except OverdueError as error:
            raise self._overdue() from error

    def _run(self, transport: paramiko.Transport, patience: float) -> Outcome:
        channel = self._opened(transport, min(patience, self._deadline_s))
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
            message = f"no channel: {self._name} refused a session ({error.text.lower()})"
            raise self._not_started(message, "MaxSessions of its sshd, or a key that allows no commands") from error
        except _BROKEN as error:
            raise StaleError from error

    def _start(self, channel: paramiko.Channel, transport: paramiko.Transport) -> None:
        self._sent = True
        try:
            channel.exec_command(self._command)
        except _BROKEN as error:
            if transport.is_active():
                hint = "does its sshd or the key's options forbid commands"
                raise self._not_started(f"no command: {self._name} refused to run one", hint) from error
            raise self._lost() from error
        if self._on_started is not None:
            self._on_started()

    def _converse(self, channel: paramiko.Channel) -> None:
        try:
            self._exchange(channel)
        except _BROKEN as error:
            raise self._lost() from error

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
            raise self._lost()
        if not channel.status_event.is_set():
            raise self._overdue()
        elapsed = time.monotonic() - self._began
        return Outcome(bytes(self._stdout), bytes(self._stderr), channel.exit_status if told else None, elapsed)

    def _left(self) -> float:
        left = self._began + self._deadline_s - time.monotonic()
        if left <= 0:
            raise self._overdue()
        return left

    def _refuse_excess(self) -> None:
        if len(self._stdout) + len(self._stderr) > self._limit:
            message = f"too much output: {self._name} sent more than {self._limit} bytes"
            raise GatewayError(message, phase="command", hint="is it the visit program that answers", obj=self._name)

    def no_channel(self) -> UnreachableError:
        """The error of a connection on which no channel could be opened in time."""
        message = f"no channel: {self._name} opened none, though the login was right"
        return self._not_started(message, "is its sshd frozen or overloaded")

    def _overdue(self) -> GatewayError:
        if not self._sent:
            return self.no_channel()
        received = len(self._stdout) + len(self._stderr)
        message = f"no end: the command on {self._name} ran over {self._deadline_s:g} s ({received} bytes came)"
        return GatewayError(message, phase="command", hint=_MAY_RUN, obj=self._name)

    def _lost(self) -> GatewayError:
        message = f"connection lost: {self._name} hung up while the command ran"
        return GatewayError(message, phase="command", hint=_MAY_RUN, obj=self._name)

    def _not_started(self, message: str, hint: str) -> UnreachableError:
        return UnreachableError(message, phase="channel", hint=hint, kind="unreachable", obj=self._name)
