"""How often a visit waits for the server: the messages that go in one flight, counted on a real sshd."""

import socket
from collections.abc import Iterator
from contextlib import closing
from typing import Any

import pytest
from paramiko import Ed25519Key

from ipsecfleet.transport.fast import engine
from ipsecfleet.transport.fast.session import Channel, Ended, LoggedIn, Opened, Said, Session

COMMAND = "cat; exit 3"
COLD = ["banner", "kexinit", "ecdh", "login and channel", "command"]


class Driven:
    """A session on a blocking socket; counts what it sends."""

    def __init__(self, sshd: Any) -> None:
        self.session = Session("root", Ed25519Key.from_private_key_file(str(sshd.identity)), judge=lambda _key: None)
        self.sock = socket.create_connection(("127.0.0.1", sshd.port), 5)
        self.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.flights = 0
        self.said = b""

    def flush(self) -> None:
        if data := self.session.to_send():
            self.flights += 1
            self.sock.sendall(data)

    def until(self, kind: type) -> Any:
        """Send and receive up to an event of this kind."""
        while True:
            self.flush()
            data = self.sock.recv(65536)
            assert data
            for event in self.session.receive(data):
                if isinstance(event, Said):
                    self.said += event.data
                if isinstance(event, kind):
                    return event


@pytest.fixture
def driven(sshd: Any) -> Iterator[Driven]:
    made = Driven(sshd)
    made.session.begin()
    with closing(made.sock):
        yield made


def opened(driven: Driven) -> Channel:
    channel = driven.session.open()
    assert driven.until(Opened).channel is channel
    return channel


def test_a_first_visit_to_openssh_is_five_flights_at_most(driven: Driven) -> None:
    channel = opened(driven)
    driven.session.run(channel, COMMAND, b"x" * 20_000)
    ended = driven.until(Ended)
    assert (ended.exit, driven.said) == (3, b"x" * 20_000)
    assert driven.flights <= len(COLD)  # fewer where banner and keys come together, as on this machine


def test_each_further_visit_is_one(driven: Driven) -> None:
    spare = opened(driven)
    for n in range(3):
        driven.flights, driven.said = 0, b""
        driven.session.run(spare, COMMAND, b"%d" % n)
        assert driven.until(Ended).exit == 3
        assert (driven.said, driven.flights) == (b"%d" % n, 1)
        driven.session.close(spare)
        spare = opened(driven)


def test_to_others_nothing_is_sent_before_it_is_asked_for(driven: Driven, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(engine.Engine, "is_openssh", property(lambda _self: False))
    channel = driven.session.open()
    driven.until(LoggedIn)
    flights = ["banner", "kexinit", "ecdh", "newkeys, and the service after theirs", "login"]
    assert len(flights) - 1 <= driven.flights <= len(flights)  # banner and keys may come together
    assert driven.until(Opened).channel is channel


def test_a_channel_that_nobody_wants_any_more_is_closed(driven: Driven) -> None:
    unwanted, wanted = driven.session.open(), driven.session.open()
    driven.session.close(unwanted)
    assert driven.until(Opened).channel is wanted
    driven.session.run(wanted, COMMAND, b"")
    assert driven.until(Ended).channel is wanted
