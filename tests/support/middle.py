"""Somebody between us and a server, who lets so many bytes of the server's pass, and then does something else."""

import socket
import struct
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from threading import Thread

CHUNK = 65536


@dataclass
class Middle:
    """After `passes` bytes it hangs up (`cut`), falls silent (`stall`), or changes the next byte (`flip`)."""

    server: int
    passes: int = 1 << 30
    how: str = "cut"
    connections: int = 0
    sent: bytearray = field(default_factory=bytearray)
    """What the client sent, in all connections."""
    received: int = 0
    """How many bytes of the server's came by, in the last connection."""
    _listener: socket.socket = field(default_factory=lambda: socket.create_server(("127.0.0.1", 0)))
    _open: list[socket.socket] = field(default_factory=list)

    @property
    def port(self) -> int:
        return int(self._listener.getsockname()[1])

    def serve(self) -> None:
        with suppress(OSError):
            while True:
                client, _ = self._listener.accept()
                self.connections += 1
                self.received = 0
                server = socket.create_connection(("127.0.0.1", self.server))
                self._open += [client, server]
                for one in (client, server):
                    one.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                Thread(target=self._up, args=(client, server), daemon=True).start()
                Thread(target=self._down, args=(client, server), daemon=True).start()

    def _up(self, client: socket.socket, server: socket.socket) -> None:
        with suppress(OSError):
            while data := client.recv(CHUNK):
                self.sent += data
                server.sendall(data)
            server.shutdown(socket.SHUT_WR)

    def _down(self, client: socket.socket, server: socket.socket) -> None:
        with suppress(OSError):
            while data := server.recv(CHUNK):
                left = self.passes - self.received
                self.received += len(data)
                if left >= len(data):
                    client.sendall(data)
                elif self.how == "flip" and left >= 0:
                    client.sendall(data[:left] + bytes([data[left] ^ 0x20]) + data[left + 1 :])
                elif self.how == "flip":
                    client.sendall(data)
                else:
                    client.sendall(data[: max(0, left)])
                    break
            if self.how != "stall":
                client.shutdown(socket.SHUT_RDWR)
                server.shutdown(socket.SHUT_RDWR)

    def close(self) -> None:
        self._listener.shutdown(socket.SHUT_RDWR)
        for one in (self._listener, *self._open):
            one.close()


@contextmanager
def in_the_middle(server: int, passes: int = 1 << 30, how: str = "cut") -> Iterator[Middle]:
    middle = Middle(server, passes, how)
    Thread(target=middle.serve, daemon=True).start()
    try:
        yield middle
    finally:
        middle.close()


def packets_in_clear(sent: bytes) -> list[int]:
    """The types of the packets behind a banner, as long as they can be read: what is encrypted cannot."""
    rest = sent.partition(b"\n")[2]
    kinds = []
    while len(rest) > 5:
        (length,) = struct.unpack(">I", rest[:4])
        if length > len(rest) - 4:
            break
        kinds.append(rest[5])
        rest = rest[4 + length :]
    return kinds
