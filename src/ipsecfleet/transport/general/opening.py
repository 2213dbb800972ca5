"""One try to open a route: a connection that is logged in, or an error of a phase and nothing left open.

fabric opens. Each phase (tcp, then banner and key exchange, then login) has the route's timeout; the whole attempt
has three of them, and a call of paramiko that blocks for good is left behind on its own thread.
paramiko does not set TCP_NODELAY, which costs 90 ms and more per login; so the socket is ours. So is that of a
ProxyCommand, of which paramiko's own leaves pipes and dead processes behind.
"""

import signal
import socket
import subprocess
from contextlib import suppress
from functools import partial
from threading import Thread
from typing import Any

import paramiko
from paramiko.ssh_exception import IncompatiblePeer

from ipsecfleet.errors import UnreachableError
from ipsecfleet.transport.failures import more_than_a_key
from ipsecfleet.transport.general.explaining import explain
from ipsecfleet.transport.general.handshake import Handshake, OneKey
from ipsecfleet.transport.hostkey import Trust
from ipsecfleet.transport.keys import Offer
from ipsecfleet.transport.manners import at_once
from ipsecfleet.transport.route import Route
from ipsecfleet.transport.waiting import OverdueError, within

_PHASES = 3
_GRACE_S = 0.3
_HANG_UP_S = 0.5


class Attempt:
    """Opens a route once, through the open connection `via` if there is one."""

    def __init__(self, route: Route, via: Any, trust: Trust, offer: Offer | None) -> None:
        self._route = route
        self._trust = trust
        self._offer = offer
        self._handshake = Handshake(trust.judge, trust.key_types)
        self._connection = self._connected_by(via)

    def _connected_by(self, via: Any) -> Any:
        """A connection, not open yet; fabric's own policy, which accepts every host key, is replaced by ours."""
        import fabric  # noqa: PLC0415  with invoke as long to import as the rest of a visit; many a run needs neither

        route = self._route
        connection = fabric.Connection(
            route.host,
            user=route.user,
            port=route.port,
            gateway=via or False,
            config=fabric.Config(lazy=True, ssh_config=paramiko.SSHConfig()),  # its own: one is not for several threads
            connect_kwargs=self._options(),
        )
        connection.connect_timeout = route.timeout  # its constructor would round it down
        connection.client.set_missing_host_key_policy(self._handshake)
        return connection

    def _options(self) -> dict[str, Any]:
        """The banner's own timeout is longer than that of the phase, so that silence and hanging up stay apart."""
        timeout = self._route.timeout
        return {
            "transport_factory": self._handshake.start,
            "auth_strategy": OneKey(self._route.user, self._offer.key) if self._offer else None,
            "banner_timeout": timeout * 2,
            "auth_timeout": timeout,
            "channel_timeout": timeout,
            "allow_agent": False,
            "look_for_keys": False,
        }

    def open(self) -> Any:
        """The open `fabric.Connection`; raises `UnreachableError` whatever paramiko lets through from its threads."""
        try:
            self._dial()
            within(self._route.timeout * _PHASES + _GRACE_S, self._connection.open)
        except Exception as error:
            explained = self._explained(error)
            hang_up(self._connection)
            raise explained from error
        if not self._connection.transport.is_authenticated():
            hang_up(self._connection)
            raise more_than_a_key(self._route)
        return self._connection

    def _dial(self) -> None:
        if not self._connection.gateway:
            self._connection.connect_kwargs["sock"] = within(
                self._route.timeout, partial(way_in, self._route), late=socket.socket.close
            )

    def _explained(self, error: Exception) -> UnreachableError:
        untyped = isinstance(error, IncompatiblePeer) and "host key" in str(error)
        changed = self._trust.no_such_type() if untyped else None
        return changed or explain(self._route, self._handshake, self._offer, error)


def way_in(route: Route) -> socket.socket:
    """The socket of a route that needs no jump host."""
    if route.proxy_command is not None:
        return _proxied(route.proxy_command)
    return _dialled(route.host, route.port, route.timeout)


def _dialled(host: str, port: int, timeout: float) -> socket.socket:
    """A TCP connection to the first address that answers; each has its share of the timeout."""
    addresses = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    share = timeout / len(addresses)
    for address in addresses[:-1]:
        with suppress(OSError):
            return _connected(address, share)
    return _connected(addresses[-1], share)


def _connected(address: Any, timeout: float) -> socket.socket:
    family, kind, protocol, _, sockaddr = address
    sock = socket.socket(family, kind, protocol)
    try:
        sock.settimeout(timeout)
        sock.connect(sockaddr)
        at_once(sock)
    except OSError:
        sock.close()
        raise
    return sock


class _ProxySocket(socket.socket):
    """One end of a socket whose other end is a ProxyCommand's stdin and stdout; closing it hangs up on the command."""

    process: subprocess.Popen[bytes]

    def close(self) -> None:
        super().close()
        self.process.send_signal(signal.SIGHUP)  # as ssh(1) does: many a command does not end at the end of its stdin


def _proxied(command: str) -> socket.socket:
    ours, theirs = socket.socketpair()
    sock = _ProxySocket(fileno=ours.detach())
    with theirs:
        sock.process = subprocess.Popen(  # noqa: S602  ssh_config(5): the user's own shell runs it
            f"exec {command}", shell=True, stdin=theirs.fileno(), stdout=theirs.fileno(), stderr=subprocess.DEVNULL
        )
    Thread(target=sock.process.wait, name="ipsecfleet-proxy", daemon=True).start()
    return sock


def hang_up(connection: Any) -> None:
    """End a connection; the goodbye of one that runs through another may block, and is not waited for.

    A socket is shut down first: closed alone it stays open while paramiko's thread still polls it.
    """
    if connection.gateway:
        with suppress(OverdueError):
            within(_HANG_UP_S, connection.client.close)
        return
    sock = connection.connect_kwargs.get("sock")
    if sock is not None:
        with suppress(OSError):
            sock.shutdown(socket.SHUT_RDWR)
        connection.client.close()
        sock.close()
