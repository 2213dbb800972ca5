"""The lab's ear: a unix socket in its directory, for `ipsecfleet lab …` and for the stand-ins of the gateways.

A request is a row of words, each a 32-bit length and so many bytes, ended by shutting down the writing side; the answer
is such a row too, and its first word an exit status. The path of a unix socket holds 107 bytes at most, so that a
deeper directory is reached through a link in the temporary directory.
"""

import asyncio
import contextlib
import socket
import struct
import tempfile
from collections.abc import Awaitable, Callable, Iterator, Sequence
from pathlib import Path

MAX_PATH = 100
DEADLINE = 120.0

Answerer = Callable[[list[bytes]], Awaitable[Sequence[bytes]]]


def encode(words: Sequence[bytes]) -> bytes:
    """A row of words as it goes over the socket."""
    return b"".join(struct.pack(">I", len(word)) + word for word in words)


def decode(data: bytes) -> list[bytes]:
    """The words of a row; what was cut off is left out."""
    words = []
    while len(data) >= 4:
        end = 4 + struct.unpack_from(">I", data)[0]
        words.append(data[4:end])
        data = data[end:]
    return words


def ask(path: Path, *words: str) -> list[bytes]:
    """Ask the lab whose socket is at `path`; OSError if it does not answer."""
    with _short(path) as address, socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
        connection.settimeout(DEADLINE)
        connection.connect(str(address))
        connection.sendall(encode([word.encode() for word in words]))
        connection.shutdown(socket.SHUT_WR)
        return decode(b"".join(iter(lambda: connection.recv(65536), b"")))


async def listen(path: Path, answer: Answerer) -> asyncio.AbstractServer:
    """Answer whoever connects to `path` until the server is closed."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(ConnectionError):
            writer.write(encode(await answer(decode(await reader.read()))))
            await writer.drain()
        writer.close()

    with _short(path) as address:
        return await asyncio.start_unix_server(serve, address)


@contextlib.contextmanager
def _short(path: Path) -> Iterator[Path]:
    """A name of `path` that fits into a socket address."""
    if len(str(path)) <= MAX_PATH:
        yield path
        return
    with tempfile.TemporaryDirectory(prefix="lab") as link:
        (Path(link) / "d").symlink_to(path.parent.absolute())
        yield Path(link) / "d" / path.name
