"""Login, channels and commands of one connection, without I/O: bytes in, bytes and events out (RFC 4252, RFC 4254).

To OpenSSH the login and the opening of the first channel are sent behind our NEWKEYS, in one flight; to others each
message follows the answer to the one before. A command goes with its input, as far as the server's window takes it,
and its end of input. OpenSSH opens a channel with a window of nothing and widens it when it has accepted the command
(session.c, channel_set_fds), that is before it reads what stands behind that; so a first part of the input goes along.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

from paramiko import PKey
from paramiko.common import (
    MSG_CHANNEL_CLOSE,
    MSG_CHANNEL_DATA,
    MSG_CHANNEL_EOF,
    MSG_CHANNEL_EXTENDED_DATA,
    MSG_CHANNEL_FAILURE,
    MSG_CHANNEL_OPEN_FAILURE,
    MSG_CHANNEL_OPEN_SUCCESS,
    MSG_CHANNEL_REQUEST,
    MSG_CHANNEL_SUCCESS,
    MSG_CHANNEL_WINDOW_ADJUST,
    MSG_REQUEST_FAILURE,
    MSG_REQUEST_SUCCESS,
    MSG_SERVICE_ACCEPT,
    MSG_USERAUTH_BANNER,
    MSG_USERAUTH_FAILURE,
    MSG_USERAUTH_SUCCESS,
    cMSG_CHANNEL_CLOSE,
    cMSG_CHANNEL_DATA,
    cMSG_CHANNEL_EOF,
    cMSG_CHANNEL_FAILURE,
    cMSG_CHANNEL_OPEN,
    cMSG_CHANNEL_REQUEST,
    cMSG_CHANNEL_WINDOW_ADJUST,
    cMSG_GLOBAL_REQUEST,
    cMSG_SERVICE_REQUEST,
    cMSG_USERAUTH_REQUEST,
)
from paramiko.message import Message

from ipsecfleet.transport.fast.engine import Engine
from ipsecfleet.transport.known_hosts import HostKey

WINDOW = 2 << 20
"""How many bytes of a command's output are on their way at most."""

EARLY = 64 << 10
"""How many bytes of input go with a command to an OpenSSH that has not widened its window yet; it widens by more."""

_PACKET = 32768
_STDERR = 1


@dataclass(frozen=True, slots=True)
class LoggedIn:
    """The server took the key."""


@dataclass(frozen=True, slots=True)
class Refused:
    """The server did not, or wants more; `ways` are those that it takes."""

    ways: tuple[str, ...]
    partly: bool


@dataclass(frozen=True, slots=True)
class Opened:
    """A channel is open."""

    channel: "Channel"


@dataclass(frozen=True, slots=True)
class NotOpened:
    """The server opens no channel."""

    channel: "Channel"
    why: str


@dataclass(frozen=True, slots=True)
class Started:
    """The server accepted the command, or not."""

    channel: "Channel"
    accepted: bool


@dataclass(frozen=True, slots=True)
class Said:
    """Some output of a command."""

    channel: "Channel"
    data: bytes
    stderr: bool


@dataclass(frozen=True, slots=True)
class Ended:
    """A command has ended; `exit` is None after a signal, `whole` whether all that it had to say was said."""

    channel: "Channel"
    exit: int | None
    whole: bool


@dataclass(frozen=True, slots=True)
class Alive:
    """The answer to `ask`."""


Event = LoggedIn | Refused | Opened | NotOpened | Started | Said | Ended | Alive


@dataclass(slots=True, eq=False)
class Channel:
    """One channel, for one command (RFC 4254, 5 and 6)."""

    number: int
    theirs: int = -1
    window: int = 0
    early: int = 0
    packet: int = 0
    unsent: memoryview = field(default_factory=lambda: memoryview(b""))
    ends: bool = False
    used: int = 0
    exit: int | None = None
    told: bool = False
    eof: bool = False
    closed: bool = False
    over: bool = False

    @property
    def open(self) -> bool:
        """Whether a command can be sent."""
        return self.theirs >= 0 and not (self.closed or self.eof)


class Session:
    """A client's half of one connection."""

    def __init__(
        self, user: str, key: PKey, *, judge: Callable[[HostKey], None], key_types: tuple[str, ...] = ()
    ) -> None:
        self._user = user
        self._key = key
        self._engine = Engine(judge, key_types, self._handle, self._keyed, self._ready)
        self._channels: dict[int, Channel] = {}
        self._opened = 0
        self._wanted: list[Channel] = []
        self._login_sent = False
        self._events: list[Event] = []
        self.logged_in = False

    @property
    def phase(self) -> str:
        """The phase that is under way: banner, kex, auth or channel."""
        if not self._engine.remote_version:
            return "banner"
        if not self._engine.initial_kex_done:
            return "kex"
        return "channel" if self.logged_in else "auth"

    @property
    def heard(self) -> str:
        """The last line before the banner."""
        return self._engine.heard

    def begin(self) -> None:
        """The connection is there: say who we are."""
        self._engine.begin()

    def receive(self, data: bytes) -> Iterator[Event]:
        """What follows from the server's bytes; raises whatever paramiko raises for what is none of SSH's."""
        self._engine.receive(data)
        events, self._events = self._events, []
        return iter(events)

    def to_send(self) -> bytes:
        """What the server is to get now."""
        return self._engine.packetizer.taken()

    def open(self) -> Channel:
        """A channel, asked for as soon as the server takes it."""
        channel = Channel(self._opened)
        self._opened += 1
        self._channels[channel.number] = channel
        if self.logged_in or (self._login_sent and self._engine.is_openssh):
            self._ask_for(channel)
        else:
            self._wanted.append(channel)
        return channel

    def run(self, channel: Channel, command: str, stdin: bytes) -> None:
        """Run a command on an open channel."""
        request = self._request(channel, "exec", wants_reply=True)
        request.add_string(command)
        self._engine.send(request)
        channel.unsent = memoryview(stdin)
        channel.ends = True
        self._feed(channel)

    def close(self, channel: Channel) -> None:
        """Let a channel go."""
        if channel.theirs >= 0 and not channel.closed:
            channel.closed = True
            self._send(channel, cMSG_CHANNEL_CLOSE)
        channel.over = True

    def end(self) -> None:
        """Nothing is received or sent any more."""
        self._engine.end()
        self._channels.clear()

    def ask(self) -> None:
        """Ask whether the server is alive; it answers one way or the other."""
        message = Message()
        message.add_byte(cMSG_GLOBAL_REQUEST)
        message.add_string("keepalive@openssh.com")
        message.add_boolean(True)
        self._engine.send(message)

    # The login.

    def _keyed(self) -> None:
        if self._engine.is_openssh:
            self._ask_for_service()
            self._log_in()
            self._ask_for_wanted()

    def _ready(self) -> None:
        if not self._engine.is_openssh:
            self._ask_for_service()

    def _ask_for_service(self) -> None:
        message = Message()
        message.add_byte(cMSG_SERVICE_REQUEST)
        message.add_string("ssh-userauth")
        self._engine.send(message)

    def _log_in(self) -> None:
        """The one attempt, with its signature (RFC 4252, 7)."""
        self._login_sent = True
        message = Message()
        message.add_byte(cMSG_USERAUTH_REQUEST)
        message.add_string(self._user)
        message.add_string("ssh-connection")
        message.add_string("publickey")
        message.add_boolean(True)
        algorithm = self._algorithm()
        message.add_string(algorithm)
        message.add_string(self._key.asbytes())
        signed = Message()
        signed.add_string(self._engine.session_id or b"")
        signed.add_bytes(message.asbytes())
        message.add_string(self._key.sign_ssh_data(signed.asbytes(), algorithm))
        self._engine.send(message)

    def _algorithm(self) -> str:
        """How we sign: as the key's type says, RSA with what the server names of SHA-2 (RFC 8332), else with SHA-512."""
        if self._key.get_name() != "ssh-rsa":
            return self._key.get_name()
        named = self._engine.server_extensions.get("server-sig-algs", b"").decode("ascii", "replace").split(",")
        return "rsa-sha2-256" if "rsa-sha2-256" in named and "rsa-sha2-512" not in named else "rsa-sha2-512"

    def _service_accepted(self, _message: Message) -> None:
        if not self._login_sent:
            self._log_in()

    def _logged_in(self, _message: Message) -> None:
        if self._login_sent and not self.logged_in:
            self.logged_in = True
            self._events.append(LoggedIn())
            self._ask_for_wanted()

    def _refused(self, message: Message) -> None:
        ways = tuple(message.get_list())
        self._events.append(Refused(ways, message.get_boolean()))

    def _greeted(self, _message: Message) -> None:
        """What the server tells everybody who logs in (RFC 4252, 5.4) is for people."""

    # Channels.

    def _ask_for_wanted(self) -> None:
        for channel in self._wanted:
            self._ask_for(channel)
        self._wanted.clear()

    def _ask_for(self, channel: Channel) -> None:
        message = Message()
        message.add_byte(cMSG_CHANNEL_OPEN)
        message.add_string("session")
        message.add_int(channel.number)
        message.add_int(WINDOW)
        message.add_int(_PACKET)
        self._engine.send(message)

    def _is_open(self, channel: Channel, message: Message) -> None:
        if channel.theirs < 0:
            channel.theirs, channel.window, channel.packet = message.get_int(), message.get_int(), message.get_int()
            channel.early = EARLY if self._engine.is_openssh and not channel.window else 0
            if channel.over:
                self.close(channel)
            else:
                self._events.append(Opened(channel))

    def _is_not_open(self, channel: Channel, message: Message) -> None:
        message.get_int()
        del self._channels[channel.number]
        self._events.append(NotOpened(channel, message.get_text()))

    def _feed(self, channel: Channel) -> None:
        """Send what the window takes of the input, then its end."""
        while channel.unsent and (room := channel.window + channel.early) > 0:
            size = min(room, channel.packet, _PACKET) or 1
            message = Message()
            message.add_byte(cMSG_CHANNEL_DATA)
            message.add_int(channel.theirs)
            message.add_string(bytes(channel.unsent[:size]))
            self._engine.send(message)
            channel.unsent = channel.unsent[size:]
            channel.window -= size
        if channel.ends and not channel.unsent:
            channel.ends = False
            self._send(channel, cMSG_CHANNEL_EOF)

    def _window_grew(self, channel: Channel, message: Message) -> None:
        channel.window += message.get_int()
        channel.early = 0
        if not channel.closed:
            self._feed(channel)

    def _data(self, channel: Channel, message: Message) -> None:
        self._say(channel, message.get_binary(), stderr=False)

    def _extended_data(self, channel: Channel, message: Message) -> None:
        kind = message.get_int()
        self._say(channel, message.get_binary(), stderr=kind == _STDERR)

    def _say(self, channel: Channel, data: bytes, *, stderr: bool) -> None:
        if channel.theirs < 0:
            return
        channel.used += len(data)
        if channel.used > WINDOW // 2 and not channel.closed:
            message = Message()
            message.add_byte(cMSG_CHANNEL_WINDOW_ADJUST)
            message.add_int(channel.theirs)
            message.add_int(channel.used)
            self._engine.send(message)
            channel.used = 0
        if not channel.over:
            self._events.append(Said(channel, data, stderr))

    def _started(self, channel: Channel, _message: Message) -> None:
        self._events.append(Started(channel, accepted=True))

    def _not_started(self, channel: Channel, _message: Message) -> None:
        self._events.append(Started(channel, accepted=False))

    def _requested(self, channel: Channel, message: Message) -> None:
        kind, wants_reply = message.get_text(), message.get_boolean()
        if kind == "exit-status":
            channel.exit, channel.told = message.get_int(), True
        elif kind == "exit-signal":
            channel.told = True
        elif wants_reply:
            self._send(channel, cMSG_CHANNEL_FAILURE)
        self._end_if_over(channel)

    def _eof(self, channel: Channel, _message: Message) -> None:
        channel.eof = True
        self._end_if_over(channel)

    def _is_closed(self, channel: Channel, _message: Message) -> None:
        if not channel.closed:
            channel.closed = True
            self._send(channel, cMSG_CHANNEL_CLOSE)
        self._channels.pop(channel.number, None)
        self._end(channel)

    def _end_if_over(self, channel: Channel) -> None:
        if channel.eof and channel.told:
            self._end(channel)

    def _end(self, channel: Channel) -> None:
        if not channel.over:
            channel.over = True
            self._events.append(Ended(channel, channel.exit, whole=channel.eof or channel.told))

    def _answered(self, _message: Message) -> None:
        self._events.append(Alive())

    # Messages.

    def _request(self, channel: Channel, kind: str, *, wants_reply: bool) -> Message:
        message = Message()
        message.add_byte(cMSG_CHANNEL_REQUEST)
        message.add_int(channel.theirs)
        message.add_string(kind)
        message.add_boolean(wants_reply)
        return message

    def _send(self, channel: Channel, kind: bytes) -> None:
        message = Message()
        message.add_byte(kind)
        message.add_int(channel.theirs)
        self._engine.send(message)

    def _handle(self, kind: int, message: Message) -> bool:
        """Whether a message is ours; one for a channel that is gone means nothing any more."""
        if kind in _OF_CONNECTION:
            _OF_CONNECTION[kind](self, message)
        elif kind in _OF_CHANNEL:
            channel = self._channels.get(message.get_int())
            if channel is not None:
                _OF_CHANNEL[kind](self, channel, message)
        else:
            return False
        return True


_OF_CONNECTION: dict[int, Callable[[Session, Message], None]] = {
    MSG_SERVICE_ACCEPT: Session._service_accepted,  # noqa: SLF001
    MSG_USERAUTH_BANNER: Session._greeted,  # noqa: SLF001
    MSG_USERAUTH_FAILURE: Session._refused,  # noqa: SLF001
    MSG_USERAUTH_SUCCESS: Session._logged_in,  # noqa: SLF001
    MSG_REQUEST_SUCCESS: Session._answered,  # noqa: SLF001
    MSG_REQUEST_FAILURE: Session._answered,  # noqa: SLF001
}
_OF_CHANNEL: dict[int, Callable[[Session, Channel, Message], None]] = {
    MSG_CHANNEL_OPEN_SUCCESS: Session._is_open,  # noqa: SLF001
    MSG_CHANNEL_OPEN_FAILURE: Session._is_not_open,  # noqa: SLF001
    MSG_CHANNEL_WINDOW_ADJUST: Session._window_grew,  # noqa: SLF001
    MSG_CHANNEL_DATA: Session._data,  # noqa: SLF001
    MSG_CHANNEL_EXTENDED_DATA: Session._extended_data,  # noqa: SLF001
    MSG_CHANNEL_SUCCESS: Session._started,  # noqa: SLF001
    MSG_CHANNEL_FAILURE: Session._not_started,  # noqa: SLF001
    MSG_CHANNEL_REQUEST: Session._requested,  # noqa: SLF001
    MSG_CHANNEL_EOF: Session._eof,  # noqa: SLF001
    MSG_CHANNEL_CLOSE: Session._is_closed,  # noqa: SLF001
}
