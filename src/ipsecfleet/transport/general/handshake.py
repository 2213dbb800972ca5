"""One SSH handshake: what is offered, whether the host key is the one we know, and how far it came.

paramiko's `SSHClient.connect` is one call for four phases and takes three hooks: a transport factory, a policy for
host keys and an authentication strategy. A `Handshake` is the first two and so sees each phase begin. The client is
given no host keys of its own, therefore the policy judges every key, before a byte of authentication is sent.

The order is the server's banner, key exchange, host key, authentication (RFC 4253, RFC 4252).
"""

from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import Any

import paramiko
from paramiko import PKey, SSHClient, SSHException
from paramiko.auth_strategy import AuthSource, AuthStrategy, InMemoryPrivateKey
from paramiko.packet import Packetizer

from ipsecfleet.transport import algorithms
from ipsecfleet.transport.algorithms import LINE_LIMIT, PACKET_LIMIT
from ipsecfleet.transport.known_hosts import HostKey
from ipsecfleet.transport.manners import acknowledge

_PREAMBLE_LIMIT = 200


class Handshake(paramiko.MissingHostKeyPolicy):
    """`judge` raises for a host key that is not to be trusted; `key_types` limits what the server may show."""

    def __init__(self, judge: Callable[[HostKey], None], key_types: tuple[str, ...] = ()) -> None:
        self._judge = judge
        self._key_types = key_types
        self.transport: paramiko.Transport | None = None

    def start(self, sock: Any, **options: Any) -> paramiko.Transport:
        """The transport factory."""
        self.transport = paramiko.Transport(sock, packetizer_class=_Listener, **options)
        algorithms.offer(self.transport, self._key_types)
        return self.transport

    def missing_host_key(self, client: SSHClient, hostname: str, key: PKey) -> None:  # noqa: ARG002  a hook
        """The policy for host keys."""
        self._judge(HostKey.from_blob(key.asbytes()))

    @property
    def phase(self) -> str:
        """The phase that is under way."""
        if self.transport is None:
            return "tcp"
        if not self.transport.remote_version:
            return "banner"
        return "auth" if self.transport.initial_kex_done else "kex"

    @property
    def alive(self) -> bool:
        """Whether the other side is still there, so that a failure is a silence."""
        return self.transport is not None and self.transport.is_active()

    @property
    def preamble(self) -> str:
        """What the server said instead of a banner, as far as it is text."""
        heard = getattr(self.transport.packetizer, "heard", "") if self.transport is not None else ""
        return str(heard)[:_PREAMBLE_LIMIT]


class _Listener(Packetizer):
    """Keeps the last line before the banner: sshd says there why it hangs up. A line or a packet without end is none.

    paramiko itself reads both whole, however long they are.
    """

    heard = ""
    _unended = 0

    def __init__(self, socket: Any) -> None:
        super().__init__(socket)
        self._sock = socket

    def readline(self, timeout: float) -> str:
        self._unended = 0
        self.heard = super().readline(timeout)
        return self.heard

    def _read_timeout(self, timeout: float) -> bytes:
        piece: bytes = super()._read_timeout(timeout)  # type: ignore[misc]  # paramiko's own, without a stub
        self._unended += len(piece)
        if self._unended > LINE_LIMIT:
            raise SSHException(f"a line of more than {LINE_LIMIT} bytes before the banner")
        return piece

    def read_all(self, n: int, check_rekey: bool = False) -> bytes:
        if n > PACKET_LIMIT:
            raise SSHException(f"a packet of {n} bytes")
        data = super().read_all(n, check_rekey)
        with suppress(AttributeError, OSError):  # the way through a jump host, or a ProxyCommand, is no TCP of ours
            acknowledge(self._sock)
        return data


class OneKey(AuthStrategy):
    """Offers one key, once."""

    def __init__(self, user: str, key: PKey) -> None:
        super().__init__(ssh_config=paramiko.SSHConfig())
        self._source = InMemoryPrivateKey(user, key)

    def get_sources(self) -> Iterator[AuthSource]:
        """The one source."""
        yield self._source
