"""Servers that are not as most are: no OpenSSH, new keys in the middle, ciphers and channels of their own."""

import asyncio
import os
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Self

import asyncssh
import pytest
from servers import keygen

from ipsecfleet.errors import UnreachableError
from ipsecfleet.model.fleet import Gateway
from ipsecfleet.transport import Visit

MEGABYTE = 1 << 20


def served_by(ssh: Any, gateway: Gateway) -> str:
    """The path that has a connection for a gateway."""
    fast = ssh.paths.fast
    way = fast._ways.get(ssh.paths.general._resolver.route(gateway)) if fast is not None else None
    return "fast" if way is not None and way._failure is None else "general"


def expected(ssh: Any) -> str:
    return "fast" if ssh.paths.fast is not None else "general"


def visit(ssh: Any, gateway: Gateway, command: str, stdin: bytes = b"") -> Any:
    return ssh.visit(Visit(gateway, command, stdin, deadline_s=10, limit=4 * MEGABYTE))


def test_new_keys_in_the_middle_of_much(ssh: Any, sshd_with: Callable[..., Any]) -> None:
    gateway, sent = sshd_with(more="RekeyLimit 64K\n").gateway(), os.urandom(MEGABYTE)
    assert visit(ssh, gateway, "cat", sent).stdout == sent
    assert served_by(ssh, gateway) == expected(ssh)


@pytest.mark.parametrize(
    "only",
    [
        "Ciphers aes256-cbc",
        "Ciphers aes128-ctr\nMACs hmac-sha2-256",
        "KexAlgorithms ecdh-sha2-nistp256\nCiphers 3des-cbc",
    ],
)
def test_what_has_no_cipher_of_the_fast_path_is_served_by_the_general_one(
    ssh: Any, sshd_with: Callable[..., Any], only: str
) -> None:
    server = sshd_with(more=f"{only}\n")
    for _ in range(2):
        assert visit(ssh, server.gateway(), "echo hello").stdout == b"hello\n"
    assert served_by(ssh, server.gateway()) == "general"
    assert server.logins == 1


@pytest.mark.parametrize(
    "only", ["KexAlgorithms ecdh-sha2-nistp256", "Ciphers aes256-ctr\nMACs hmac-sha2-256-etm@openssh.com"]
)
def test_what_has_one_is_served_by_the_fast_one(ssh: Any, sshd_with: Callable[..., Any], only: str) -> None:
    gateway = sshd_with(more=f"{only}\n").gateway()
    assert visit(ssh, gateway, "cat", b"x" * 100_000).stdout == b"x" * 100_000
    assert served_by(ssh, gateway) == expected(ssh)


def test_one_that_opens_no_channel(ssh: Any, sshd_with: Callable[..., Any]) -> None:
    with pytest.raises(UnreachableError, match="no channel: hub refused a session") as caught:
        visit(ssh, sshd_with(more="MaxSessions 0\n").gateway(), "true")
    assert caught.value.phase == "channel"


def test_one_that_takes_no_key(ssh: Any, sshd_with: Callable[..., Any]) -> None:
    server = sshd_with(more="PubkeyAuthentication no\nKbdInteractiveAuthentication yes\n")
    config = server.home / "config"
    assert "PubkeyAuthentication" in config.read_text()
    with pytest.raises(UnreachableError) as caught:
        visit(ssh, server.gateway(), "true")
    assert caught.value.phase == "auth"
    assert "login refused: " in caught.value.message


def test_an_rsa_key_logs_in(ssh: Any, sshd_with: Callable[..., Any], tmp_path: Path) -> None:
    server, identity = sshd_with(), tmp_path / "rsa"
    (server.home / "authorized_keys").write_text(keygen(identity, kind="rsa") + "\n")
    gateway = server.gateway(identity=str(identity))
    assert visit(ssh, gateway, "echo hello").stdout == b"hello\n"
    assert served_by(ssh, gateway) == expected(ssh)


class Other:
    """An SSH server that is no OpenSSH, on a thread of its own."""

    def __init__(self, identity: Path) -> None:
        self.key = asyncssh.generate_private_key("ssh-ed25519")
        self.port = 0
        self._authorized = asyncssh.read_authorized_keys(f"{identity}.pub")
        self._loop = asyncio.new_event_loop()
        self._connections: set[Any] = set()
        self._up = threading.Event()
        self._thread = threading.Thread(target=self._run)

    def _run(self) -> None:
        self._loop.run_until_complete(self._serve())
        self._loop.close()

    async def _serve(self) -> None:
        self._over = asyncio.Event()
        server = await asyncssh.listen(
            "127.0.0.1", 0, server_host_keys=[self.key], authorized_client_keys=self._authorized,
            process_factory=self._answer, encoding=None,
        )  # fmt: skip
        self.port = server.get_port()
        self._up.set()
        await self._over.wait()
        server.close()
        for connection in self._connections:
            connection.abort()
            await connection.wait_closed()
        await server.wait_closed()

    async def _answer(self, process: Any) -> None:
        self._connections.add(process.channel.get_connection())
        process.stdout.write(await process.stdin.read())
        process.exit(7)

    def __enter__(self) -> Self:
        self._thread.start()
        assert self._up.wait(5)
        return self

    def __exit__(self, *exc: object) -> None:
        self._loop.call_soon_threadsafe(self._over.set)
        self._thread.join(5)


@pytest.fixture
def other(identity: Path) -> Iterator[Other]:
    with Other(identity) as server:
        yield server


def test_a_server_that_is_no_openssh(ssh: Any, other: Other, identity: Path, tmp_path: Path) -> None:
    known = tmp_path / "known"
    known.write_text(f"[127.0.0.1]:{other.port} {other.key.export_public_key().decode()}")
    gateway = Gateway("hub", "127.0.0.1", port=other.port, identity=str(identity), known_hosts=str(known))
    sent = os.urandom(MEGABYTE)
    for _ in range(3):
        outcome = visit(ssh, gateway, "anything", sent)
        assert (outcome.stdout == sent, outcome.exit) == (True, 7)
    assert served_by(ssh, gateway) == expected(ssh)
