"""paramiko's transport without a socket and without its thread: bytes in, bytes out.

`Transport.run` reads packets until its connection ends, and that is all of its thread. Here whoever has bytes calls
`receive`. The private names of paramiko that this rests on are all in this module; `fits` says whether they are there.

Only ciphers are offered whose packets tell their length in clear (AES-GCM, or MACs of the encrypt-then-MAC kind), so a
packet is read when it is there as a whole and a read never waits.
"""

from collections.abc import Callable, Mapping
from functools import lru_cache
from typing import TYPE_CHECKING, Any

import paramiko
from paramiko.common import MSG_DEBUG, MSG_DISCONNECT, MSG_IGNORE, MSG_KEXINIT, MSG_UNIMPLEMENTED, cMSG_UNIMPLEMENTED
from paramiko.message import Message
from paramiko.packet import Packetizer

from ipsecfleet.transport import algorithms
from ipsecfleet.transport.algorithms import LINE_LIMIT, PACKET_LIMIT
from ipsecfleet.transport.known_hosts import HostKey

_SHORTEST = 5
"""A packet has its padding's length and four bytes of that at least."""

_KEX_MESSAGES = range(30, 42)
_LINES = 100

_NEEDED: dict[type, tuple[str, ...]] = {
    paramiko.Transport: (
        "_activate_outbound",
        "_check_banner",
        "_expect_packet",
        "_enforce_strict_kex",
        "_log",
        "_parse_newkeys",
        "_send_kex_init",
        "_send_message",
        "_verify_key",
    ),
    Packetizer: ("read_all", "read_message", "readline", "set_inbound_cipher", "write_all"),
}


class _Nowhere:
    """The socket that a transport must have."""

    def settimeout(self, seconds: float) -> None:
        """Nothing is waited for."""

    def close(self) -> None:
        """Nothing is open."""


@lru_cache
def _offered(key_types: tuple[str, ...]) -> Mapping[str, Any]:
    """What a transport of ours has for its algorithms; put in order once, and not for each connection."""
    transport = paramiko.Transport(_Nowhere())  # type: ignore[arg-type]  # all of a socket it asks for
    algorithms.offer(transport, key_types, framed=True)
    return {name: value for name, value in vars(transport).items() if name.startswith("_preferred_")}


class DisconnectedError(EOFError):
    """The server said that it hangs up, and why."""


class Packets(Packetizer):
    """The binary packet protocol (RFC 4253, 6) over two buffers."""

    def __init__(self, socket: Any) -> None:
        super().__init__(socket)
        self._received = bytearray()
        self._unsent = bytearray()
        self._block_size = 8
        self._mac_size = 0

    def feed(self, data: bytes) -> None:
        """Take what came from the server."""
        self._received += data

    def taken(self) -> bytes:
        """What is to be sent, once."""
        data = bytes(self._unsent)
        self._unsent.clear()
        return data

    def line(self) -> bytes | None:
        """The first line, if it is there as a whole; it stays."""
        end = self._received.find(b"\n")
        if max(end, len(self._received) if end < 0 else 0) > LINE_LIMIT:
            raise paramiko.SSHException(f"a line of more than {LINE_LIMIT} bytes before the banner")
        return bytes(self._received[: end + 1]) if end >= 0 else None

    @property
    def has_packet(self) -> bool:
        """Whether the next packet is there as a whole."""
        if len(self._received) < self._block_size:
            return False
        size = int.from_bytes(self._received[:4], "big")
        if not _SHORTEST <= size <= PACKET_LIMIT:
            raise paramiko.SSHException(f"a packet of {size} bytes")
        return len(self._received) >= 4 + size + self._mac_size

    def readline(self, timeout: float) -> str:  # noqa: ARG002  paramiko's signature
        line = bytes(self._received[: self._received.index(b"\n") + 1])
        del self._received[: len(line)]
        return line.decode("utf-8", "replace").rstrip("\r\n")

    def read_all(self, n: int, check_rekey: bool = False) -> bytes:  # noqa: ARG002
        if not 0 <= n <= len(self._received):
            raise paramiko.SSHException("a packet that is not as long as it says")
        data = bytes(self._received[:n])
        del self._received[:n]
        return data

    def write_all(self, out: "Buffer") -> None:
        self._unsent += memoryview(out)

    def set_inbound_cipher(self, *args: Any, **words: Any) -> None:
        super().set_inbound_cipher(*args, **words)
        self._block_size, self._mac_size = words["block_size"], words["mac_size"]


if TYPE_CHECKING:
    from typing_extensions import Buffer

    class _Transport(paramiko.Transport):
        """The private half of paramiko's transport, which its stubs leave out."""

        server_extensions: dict[str, bytes]
        _expected_packet: tuple[int, ...]
        _handler_table: dict[int, Callable[[Message], object]]

        def _activate_outbound(self) -> None: ...
        def _check_banner(self) -> None: ...
        def _enforce_strict_kex(self, ptype: int) -> None: ...
        def _expect_packet(self, *ptypes: int) -> None: ...
        def _parse_newkeys(self, m: Message) -> None: ...
        def _send_kex_init(self) -> None: ...
        def _send_message(self, data: Message) -> None: ...
        def _verify_key(self, host_key: bytes, sig: bytes) -> None: ...

else:
    _Transport = paramiko.Transport


class Engine(_Transport):
    """A client's half of one connection up to its keys; `handle` gets what belongs to the layers above.

    `judge` raises for a host key that is not to be trusted, before anything that it would protect is sent. `keyed` is
    called when what is sent is encrypted, `ready` when what is received is.
    """

    packetizer: Packets

    def __init__(
        self,
        judge: Callable[[HostKey], None],
        key_types: tuple[str, ...],
        handle: Callable[[int, Message], bool],
        keyed: Callable[[], None],
        ready: Callable[[], None],
    ) -> None:
        super().__init__(_Nowhere(), packetizer_class=Packets)  # type: ignore[arg-type]  # all of a socket it asks for
        vars(self).update(_offered(key_types))
        self._judge = judge
        self._handle = handle
        self._keyed = keyed
        self._ready = ready
        self._lines = 0
        self._held: list[Message] = []
        self.heard = ""
        """The last line before the banner."""

    def begin(self) -> None:
        """Say who we are."""
        self.active = True
        self.packetizer.write_all(f"{self.local_version}\r\n".encode())

    @property
    def is_openssh(self) -> bool:
        """Whether the server is one that takes what it has not asked for yet."""
        return "OpenSSH" in self.remote_version

    def end(self) -> None:
        """Let go of everything: what refers to itself in a circle stays until the collector finds it."""
        vars(self).clear()

    def receive(self, data: bytes) -> None:
        """Take bytes from the server; raises whatever paramiko raises for what is none of SSH's."""
        self.packetizer.feed(data)
        if not self.remote_version and not self._greeted():
            return
        while self.packetizer.has_packet:
            self._take(*self.packetizer.read_message())
            if self._held and not self.in_kex:
                held, self._held = self._held, []
                for message in held:
                    self._send_message(message)

    def send(self, message: Message) -> None:
        """Send a message of the layers above; while keys are exchanged anew it waits."""
        if self.in_kex and self.initial_kex_done:
            self._held.append(message)
        else:
            self._send_message(message)

    def _greeted(self) -> bool:
        """Read lines up to the banner; then name what we can do."""
        while (line := self.packetizer.line()) is not None:
            if line.startswith(b"SSH-"):
                self._check_banner()
                self._send_kex_init()
                self._expect_packet(MSG_KEXINIT)
                return True
            self.heard = self.packetizer.readline(0)
            self._lines += 1
            if self._lines >= _LINES:
                raise paramiko.SSHException("too many lines before the banner")
        return False

    def _take(self, kind: int, message: Message) -> None:
        """One packet, as `Transport.run` takes it."""
        if kind == MSG_DISCONNECT:
            message.get_int()
            raise DisconnectedError(message.get_text())
        if kind in {MSG_IGNORE, MSG_DEBUG}:
            self._enforce_strict_kex(kind)
            return
        if self._expected_packet:
            if kind not in self._expected_packet:
                raise paramiko.SSHException(f"message {kind} where {self._expected_packet} is expected")
            self._expect_packet()
            if kind in _KEX_MESSAGES and self.kex_engine is not None:
                self.kex_engine.parse_next(kind, message)
                return
        if self._handle(kind, message):
            return
        if kind in self._handler_table:
            self._handler_table[kind](message)
        elif kind != MSG_UNIMPLEMENTED:
            self._refuse(message)

    def _refuse(self, message: Any) -> None:
        reply = Message()
        reply.add_byte(cMSG_UNIMPLEMENTED)
        reply.add_int(message.seqno)
        self._send_message(reply)

    def _verify_key(self, host_key: bytes, sig: bytes) -> None:
        super()._verify_key(host_key, sig)
        self._judge(HostKey.from_blob(host_key))

    def _activate_outbound(self) -> None:
        super()._activate_outbound()
        if not self.initial_kex_done:
            self._keyed()

    def _parse_newkeys(self, m: Message) -> None:
        first = not self.initial_kex_done
        super()._parse_newkeys(m)
        if first:
            self._ready()

    def _log(self, *_words: Any) -> None:
        """Nobody listens."""


def fits() -> bool:
    """Whether the paramiko that is installed is as this module needs it: its names are there and it begins to speak."""
    if any(not hasattr(kind, name) for kind, names in _NEEDED.items() for name in names):
        return False
    try:
        return _speaks()
    except Exception:  # noqa: BLE001  whatever it is, it is no engine for us
        return False


def _speaks() -> bool:
    """Whether an engine answers a banner with its own and with KEXINIT."""
    engine = Engine(lambda _key: None, (), lambda _kind, _message: False, lambda: None, lambda: None)
    engine.begin()
    engine.receive(b"SSH-2.0-OpenSSH_9.9\r\n")
    banner, _, packet = engine.packetizer.taken().partition(b"\r\n")
    usual = {"kex_engine", "_handler_table", "_expected_packet", "in_kex", "initial_kex_done", "session_id"}
    expects = engine._expected_packet == (MSG_KEXINIT,)  # noqa: SLF001
    prefers = {"_preferred_kex", "_preferred_keys", "_preferred_ciphers", "_preferred_macs"} <= set(_offered(()))
    return (
        prefers
        and banner.startswith(b"SSH-2.0-")
        and packet[5] == MSG_KEXINIT
        and expects
        and usual <= set(vars(engine))
    )
