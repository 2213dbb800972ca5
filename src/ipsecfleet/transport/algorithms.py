"""What is offered in a key exchange, and in which order (RFC 4253, 7.1); and how much is read of a server's answers.

Key exchanges that are safe against quantum computers first, then curve25519, which costs least. AES-GCM goes before
the other ciphers: paramiko's own order has those first that cost most Python. Host key algorithms are limited to the
types known for the host, as ssh(1) does; else a server with a new key of another type would look like a changed one.
"""

from collections.abc import Iterable

from paramiko import Transport

LINE_LIMIT = 8192
"""The longest line before the banner, as in OpenSSH (kex_exchange_identification)."""

PACKET_LIMIT = 256 * 1024 + 64
"""The longest packet, PACKET_MAX_SIZE of OpenSSH, and its MAC."""

_KEX = ("mlkem768x25519-sha256", "curve25519-sha256@libssh.org")
_KEYS = {"ssh-rsa": ("rsa-sha2-512", "rsa-sha2-256")}


def offer(transport: Transport, key_types: Iterable[str], *, framed: bool = False) -> None:
    """Put a transport's algorithms in order; `framed`, only those under which a packet's length can be read."""
    offered = transport.get_security_options()
    offered.kex = sorted(offered.kex, key=lambda kex: _KEX.index(kex) if kex in _KEX else len(_KEX))
    ciphers = [c for c in offered.ciphers if not framed or c.endswith(("-gcm@openssh.com", "-ctr"))]
    offered.ciphers = sorted(ciphers, key=lambda cipher: "-gcm" not in cipher)
    if framed:
        offered.digests = [digest for digest in offered.digests if "-etm@" in digest]
    wanted = [name for kind in key_types for name in _KEYS.get(kind, (kind,))]
    offered.key_types = [name for name in offered.key_types if name in wanted] or offered.key_types
