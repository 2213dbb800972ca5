"""How servers and sockets are treated, by every path.

sshd drops parallel logins (MaxStartups 10:30:100) and locks out an address after a few failed ones
(PerSourcePenalties): few handshakes at a time with one address, and through one jump host; those who waited for an
attempt share its failure; a refused login or host key stays refused for the run, for asking again does not heal it.
"""

import socket

HANDSHAKES = 4
"""How many handshakes at a time with one address."""

LASTING = frozenset({"hostkey", "auth"})
"""The phases whose failures stay."""

_QUICKACK = getattr(socket, "TCP_QUICKACK", None)


def at_once(sock: socket.socket) -> None:
    """Do not hold small packets back: a login is made of them (TCP_NODELAY; paramiko never sets it)."""
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)


def acknowledge(sock: socket.socket) -> None:
    """Acknowledge at once what was read, where that can be asked for: a server may wait for it before it says more.

    It holds for a while only (tcp(7), TCP_QUICKACK), so it is asked for with every read.
    """
    if _QUICKACK is not None:
        sock.setsockopt(socket.IPPROTO_TCP, _QUICKACK, 1)
