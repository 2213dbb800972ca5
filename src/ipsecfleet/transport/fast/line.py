"""One connection: its socket, the phases that it goes through, their deadlines, and the visits that it serves.

Each phase (tcp; banner and key exchange; login) has the route's timeout, opening a channel has it too, and a command
has its visit's. What arrived in time counts, though it is read late: deadlines are looked at after sockets.

A connection that is kept has a channel open already for the next visit, which then costs one round trip. Whether the
server is still there is asked while nobody needs it, so that a visit finds a dead connection gone, and is not the
first to notice.
"""

import os
import socket
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from threading import Thread
from time import monotonic
from typing import Any, Protocol

from paramiko.ssh_exception import IncompatiblePeer

from ipsecfleet.errors import GatewayError, UnreachableError
from ipsecfleet.transport import failures
from ipsecfleet.transport.contract import Outcome, Visit, Visited
from ipsecfleet.transport.failures import Break
from ipsecfleet.transport.fast import session
from ipsecfleet.transport.fast.loop import READ, WRITE, Alarm, Loop, OverError
from ipsecfleet.transport.fast.session import Channel, Session
from ipsecfleet.transport.hostkey import KnownKeys
from ipsecfleet.transport.keys import Offer
from ipsecfleet.transport.manners import acknowledge, at_once
from ipsecfleet.transport.route import Route

ASKED_EVERY_S = 5.0
"""How long a kept connection is silent before its server is asked whether it is there."""

_CHUNK = 1 << 18


class UnfitError(Exception):
    """This server, or this key, is for the general path: nothing was run."""


@dataclass(slots=True, eq=False)
class Job:
    """A visit that is to be done; `done` gets it and what became of it, once."""

    visit: Visit
    done: Callable[[Visited], object]
    channel: Channel | None = None
    began: float = 0.0
    sent: bool = False
    fresh: bool = True
    stdout: bytearray = field(default_factory=bytearray)
    stderr: bytearray = field(default_factory=bytearray)
    alarms: list[Alarm] = field(default_factory=list)

    @property
    def received(self) -> int:
        """How many bytes came."""
        return len(self.stdout) + len(self.stderr)

    def end(self, result: Outcome | Exception) -> None:
        """Hand the result on."""
        self.calm()
        self.done((self.visit, result))

    def calm(self) -> None:
        """Its deadlines do not count any more."""
        for alarm in self.alarms:
            alarm.off()
        self.alarms.clear()


class Owner(Protocol):
    """Who has lines, and is told when one is of use and when it is no more."""

    def on_ready(self, line: "Line") -> None:
        """It is logged in."""

    def on_end(self, line: "Line", error: Exception | None, again: list[Job]) -> None:
        """It has ended, with an error if it never was logged in; `again` are visits that were not begun on it."""


class Line:
    """One connection, made and used on the loop's thread."""

    def __init__(  # noqa: PLR0913  what a connection is made of
        self, loop: Loop, owner: Owner, route: Route, offer: Offer, trust: KnownKeys, *, keep: bool
    ) -> None:
        self.route = route
        self.ready = False
        self.ended = False
        self._loop = loop
        self._owner = owner
        self._offer = offer
        self._trust = trust
        self._keep = keep
        self._session = Session(route.user, offer.key, judge=trust.judge, key_types=trust.key_types)
        self._sock: socket.socket | None = None
        self._connected = False
        self._addresses: list[Any] = []
        self._phase = Alarm(self.close)
        self._share = 0.0
        self._unsent = b""
        self._watched = 0
        self._jobs: list[Job] = []
        self._spare: Channel | None = None
        self._heard_at = 0.0
        self._asked = False

    # Dialling.

    def dial(self) -> None:
        """Find the address, connect to the first that answers; each has its share of the timeout."""
        self._guard(self._dial)

    def _dial(self) -> None:
        self._due_in(self.route.timeout, self._no_tcp_in_time)
        try:
            self._found(_addresses(self.route, socket.AI_NUMERICHOST))
        except socket.gaierror:
            Thread(target=self._look_up, name="ipsecfleet-name", daemon=True).start()

    def _look_up(self) -> None:
        try:
            call = partial(self._found, _addresses(self.route))
        except OSError as error:
            call = partial(self._not_found, error)
        with suppress(OverError):
            self._loop.call(partial(self._guard, call))

    def _not_found(self, error: OSError) -> None:
        if not self.ended:
            self._fail(failures.no_tcp(self.route, error))

    def _found(self, addresses: list[Any]) -> None:
        if not self.ended:
            self._addresses = addresses
            self._share = self.route.timeout / len(addresses)
            self._next_address(TimeoutError())

    def _next_address(self, error: OSError) -> None:
        if not self._addresses:
            self._fail(failures.no_tcp(self.route, error))
            return
        self._hang_up()
        family, kind, protocol, _, address = self._addresses.pop(0)
        try:
            self._sock = socket.socket(family, kind, protocol)
            self._sock.setblocking(False)
            at_once(self._sock)
            with suppress(BlockingIOError):
                self._sock.connect(address)
        except OSError as refused:
            self._next_address(refused)
            return
        self._watch(WRITE)
        if self._addresses:
            self._at(monotonic() + self._share, partial(self._share_over, self._sock))

    def _share_over(self, sock: socket.socket) -> None:
        if not (self.ended or self._connected) and self._sock is sock:
            self._next_address(TimeoutError())

    def _no_tcp_in_time(self) -> None:
        self._fail(failures.no_tcp(self.route, TimeoutError()))

    def _connect(self, sock: socket.socket) -> None:
        code = sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
        if code:
            self._next_address(_os_error(code))
            return
        self._connected = True
        self._due_in(self.route.timeout, self._silent)
        self._session.begin()
        self._flush()

    # Visits.

    def serve(self, job: Job) -> None:
        """Run a visit on a channel of its own; a line that is dialled opens it as soon as it can."""
        self._jobs.append(job)
        job.fresh = not self.ready
        self._guard(partial(self._serve, job))

    def _serve(self, job: Job) -> None:
        spare, self._spare = self._spare, None
        job.channel = spare if spare is not None and not spare.over else self._session.open()
        if self.ready:
            self._begin(job)
        if job.channel.open:
            self._run(job)
        if self._connected:
            self._flush()

    def _begin(self, job: Job) -> None:
        """The visit's own time begins, and that for its channel."""
        job.began = now = monotonic()
        patience = min(self.route.timeout, job.visit.deadline_s)
        job.alarms += (
            self._at(now + patience, partial(self._no_channel_in_time, job)),
            self._at(now + job.visit.deadline_s, partial(self._no_end_in_time, job)),
        )

    def _run(self, job: Job) -> None:
        if job.channel is not None:
            job.sent = True
            self._session.run(job.channel, job.visit.command, job.visit.stdin)

    def _no_channel_in_time(self, job: Job) -> None:
        if job in self._jobs and not job.sent:
            self._end(None)

    def _no_end_in_time(self, job: Job) -> None:
        if job in self._jobs:
            self._fail_job(job, failures.no_end(job.visit, job.received))

    def _fail_job(self, job: Job, error: GatewayError) -> None:
        """A connection on which something went wrong serves nobody else."""
        self._jobs.remove(job)
        job.end(error)
        self._end(None)

    # Sockets.

    def on_socket(self, ready: int) -> None:
        """The loop has news."""
        self._guard(partial(self._on_socket, ready))

    def _at(self, moment: float, call: Callable[[], object]) -> Alarm:
        return self._loop.at(moment, partial(self._guard, call))

    def _guard(self, call: Callable[[], object]) -> None:
        """Nothing that goes wrong here stops the loop: it is the end of this line."""
        try:
            call()
        except Exception as error:  # noqa: BLE001  paramiko raises what it likes for bytes that are none of SSH's
            self._end_by(error)

    def _on_socket(self, ready: int) -> None:
        sock = self._sock
        if sock is None:
            return
        if not self._connected:
            self._connect(sock)
            return
        if ready & READ:
            self._read(sock)
        if not self.ended:
            self._flush()

    def _read(self, sock: socket.socket) -> None:
        try:
            data = sock.recv(_CHUNK)
        except BlockingIOError:
            return
        if not data:
            raise EOFError
        acknowledge(sock)
        self._heard_at = monotonic()
        phase = self._session.phase
        for event in self._session.receive(data):
            if not self.ended:
                self._take(event)
        if not self.ended and phase != "auth" and self._session.phase == "auth":
            self._due_in(self.route.timeout, self._silent)

    def _flush(self) -> None:
        """Send what there is to send, as much as the socket takes."""
        data = self._unsent + self._session.to_send() if self._unsent else self._session.to_send()
        sent = 0
        if data and self._sock is not None:
            with suppress(BlockingIOError):
                sent = self._sock.send(data)
        self._unsent = data[sent:]
        self._watch(READ | WRITE if self._unsent else READ)

    def _watch(self, events: int) -> None:
        if events != self._watched and self._sock is not None:
            self._loop.watch(self._sock, events, self)
            self._watched = events

    # What the server says.

    def _take(self, event: session.Event) -> None:
        match event:
            case session.Said(channel, data, stderr):
                self._said(self._job_on(channel), data, stderr=stderr)
            case session.Ended(channel, code, whole):
                self._ended(self._job_on(channel), code, whole=whole)
            case session.Started(channel, accepted):
                self._started(self._job_on(channel), accepted=accepted)
            case session.Opened(channel):
                self._opened(channel)
            case session.NotOpened(channel, why):
                self._not_opened(self._job_on(channel), why)
            case session.LoggedIn():
                self._logged_in()
            case session.Refused(ways, partly):
                self._fail(self._refusal(ways, partly=partly))
            case session.Alive():
                self._asked = False

    def _job_on(self, channel: Channel) -> Job | None:
        return next((job for job in self._jobs if job.channel is channel), None)

    def _logged_in(self) -> None:
        self.ready = True
        self._phase.off()
        for job in self._jobs:
            self._begin(job)
        if self._keep:
            self._at(monotonic() + ASKED_EVERY_S, self._ask)
        self._owner.on_ready(self)

    def _refusal(self, ways: tuple[str, ...], *, partly: bool) -> UnreachableError:
        if partly:
            return failures.more_than_a_key(self.route)
        if "publickey" not in ways:
            return failures.takes_no_key(self.route, ways)
        return failures.login_refused(self.route, self._offer)

    def _opened(self, channel: Channel) -> None:
        job = self._job_on(channel)
        if job is not None:
            self._run(job)

    def _not_opened(self, job: Job | None, why: str) -> None:
        if job is not None:
            self._fail_job(job, failures.no_session(job.visit, why))
        else:
            self._spare = None

    def _started(self, job: Job | None, *, accepted: bool) -> None:
        if job is None:
            return
        if not accepted:
            self._fail_job(job, failures.no_command(job.visit))
        elif job.visit.on_started is not None:
            job.visit.on_started()

    def _said(self, job: Job | None, data: bytes, *, stderr: bool) -> None:
        if job is None:
            return
        (job.stderr if stderr else job.stdout).extend(data)
        if job.received > job.visit.limit:
            self._fail_job(job, failures.too_much(job.visit))

    def _ended(self, job: Job | None, code: int | None, *, whole: bool) -> None:
        if job is None or job.channel is None:
            return
        if not whole:
            self._fail_job(job, failures.lost(job.visit))
            return
        self._session.close(job.channel)
        self._jobs.remove(job)
        job.end(Outcome(bytes(job.stdout), bytes(job.stderr), code, monotonic() - job.began))
        if self._keep:
            self._spare = self._spare or self._session.open()
        elif not self._jobs:
            self._end(None)

    # The end.

    def _due_in(self, seconds: float, call: Callable[[], object]) -> None:
        """A phase begins, and ends the line if it is not over in time."""
        self._phase.off()
        self._phase = self._at(monotonic() + seconds, call)

    def _silent(self) -> None:
        phase = self._session.phase
        if phase == "auth":
            self._fail(failures.no_answer_to_login(self.route))
        else:
            self._fail(failures.broken(self.route, Break(phase, silent=True), TimeoutError()))

    def _ask(self) -> None:
        """Of a connection that nobody uses, and is silent, ask whether it lives; one that did not answer is dead."""
        now = monotonic()
        idle = not self._jobs and now - self._heard_at >= ASKED_EVERY_S
        if self.ended:
            return
        if self._asked and not self._jobs:
            self._end(None)
            return
        if idle:
            self._asked = True
            self._session.ask()
            self._flush()
        self._at(now + (self.route.timeout if self._asked else ASKED_EVERY_S), self._ask)

    def _end_by(self, error: Exception) -> None:
        """The server hung up, or does not speak SSH as we do."""
        if self.ended:
            return
        if self.ready:
            self._end(None)
        elif isinstance(error, UnreachableError):
            self._fail(error)
        elif isinstance(error, IncompatiblePeer):
            self._fail(self._incompatible(error))
        elif self._session.phase == "auth":
            self._fail(failures.login_refused(self.route, self._offer))
        else:
            end = Break(self._session.phase, silent=False, heard=self._session.heard)
            self._fail(failures.broken(self.route, end, error))

    def _incompatible(self, error: Exception) -> Exception:
        changed = self._trust.no_such_type() if "host key" in str(error) else None
        return changed or UnfitError(str(error))

    def _fail(self, error: Exception) -> None:
        """It never came to the login, or not through it: all who wait for it get the error."""
        self._end(error)

    def close(self) -> None:
        """Hang up."""
        self._end(None)

    def _end(self, error: Exception | None) -> None:
        """Hang up; a command that was sent is lost, one that was not may be sent on another connection."""
        if self.ended:
            return
        self.ended = True
        self._phase.off()
        self._loop.later(self._session.end)
        self._hang_up()
        jobs, self._jobs = self._jobs, []
        again: list[Job] = []
        for job in jobs:
            if job.sent:
                job.end(failures.lost(job.visit))
            elif self.ready and job.fresh:
                job.end(failures.no_channel(job.visit))
            else:
                job.calm()
                job.channel, job.fresh = None, True
                again.append(job)
        self._owner.on_end(self, error, again)

    def _hang_up(self) -> None:
        if self._sock is not None:
            self._loop.forget(self._sock)
            self._sock.close()
            self._sock, self._watched = None, 0


def _addresses(route: Route, flags: int = 0) -> list[Any]:
    return socket.getaddrinfo(route.host, route.port, type=socket.SOCK_STREAM, flags=flags)


def _os_error(code: int) -> OSError:
    return OSError(code, os.strerror(code))
