"""A server that does not keep to SSH: what it may make us read before anything of it is known."""

import socket
import struct
from collections.abc import Iterator

import pytest
from paramiko import SSHException

from ipsecfleet.transport.general.handshake import LINE_LIMIT, PACKET_LIMIT, Handshake


@pytest.fixture
def ends() -> Iterator[tuple[socket.socket, socket.socket]]:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        yield ours, theirs


def handshake() -> Handshake:
    return Handshake(lambda _key: None)


def test_a_line_before_the_banner_ends_or_is_refused(ends: tuple[socket.socket, socket.socket]) -> None:
    ours, theirs = ends
    theirs.sendall(b"x" * (LINE_LIMIT + 1000))
    with pytest.raises(SSHException, match=f"more than {LINE_LIMIT} bytes"):
        handshake().start(ours).packetizer.readline(2)


def test_a_packet_that_says_it_is_endless_is_not_waited_for(ends: tuple[socket.socket, socket.socket]) -> None:
    ours, theirs = ends
    theirs.sendall(struct.pack(">IB", 0xFFFFFF04, 4) + b"x" * 1000)
    with pytest.raises(SSHException, match=r"a packet of \d+ bytes"):
        handshake().start(ours).packetizer.read_message()
    assert PACKET_LIMIT < 1 << 20


def test_compression_is_never_offered(ends: tuple[socket.socket, socket.socket]) -> None:
    assert handshake().start(ends[0]).get_security_options().compression == ("none",)
