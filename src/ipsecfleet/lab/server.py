"""The SSH server of one simulated gateway: one key, one user, and commands run for real by /bin/sh.

Only exec is served: no shell, no terminal, no forwarding, no sftp. As under sshd(8) a command gets SSH_CONNECTION, ends
with the status of its process, and is killed with its children when the channel goes away.
"""

import asyncio
import contextlib
import os
import signal
from asyncio.subprocess import PIPE, Process
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import asyncssh

from ipsecfleet.lab.pipes import pipe

HOST = "127.0.0.1"
CHUNK = 65536


@dataclass(frozen=True, slots=True)
class Account:
    """Who may log in, with which key, and the environment of what he runs."""

    user: str
    key: asyncssh.SSHKey
    environment: Mapping[str, str]
    home: Path


class _Login(asyncssh.SSHServer):
    """Checks the user's name beside his key, and keeps count of connections."""

    def __init__(self, server: "Server") -> None:
        self._server = server
        self._connection: asyncssh.SSHServerConnection | None = None

    def connection_made(self, conn: asyncssh.SSHServerConnection) -> None:
        self._connection = conn
        self._server.connections.add(conn)

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002  asyncssh's signature
        if self._connection:
            self._server.connections.discard(self._connection)

    def public_key_auth_supported(self) -> bool:
        return True

    def validate_public_key(self, username: str, key: asyncssh.SSHKey) -> bool:
        account = self._server.account
        return username == account.user and key.public_data == account.key.public_data


class Server:
    """Listens on a port of loopback, the same again after `close` and `open`; `frozen` says that no exec is answered."""

    def __init__(self, host_key: asyncssh.SSHKey, account: Account, frozen: Callable[[], bool]) -> None:
        self.account = account
        self.connections: set[asyncssh.SSHServerConnection] = set()
        self.port = 0
        self._host_key = host_key
        self._frozen = frozen
        self._acceptor: asyncssh.SSHAcceptor | None = None

    @property
    def public_key(self) -> str:
        """The host key as known_hosts has it."""
        return self._host_key.export_public_key().decode().strip()

    async def open(self) -> None:
        """Listen, if we do not yet."""
        if self._acceptor is None:
            self._acceptor = await asyncssh.listen(
                HOST, self.port, server_factory=lambda: _Login(self), server_host_keys=[self._host_key],
                process_factory=self._serve, encoding=None, allow_pty=False, agent_forwarding=False,
                x11_forwarding=False, line_editor=False, compression_algs=["none"], reuse_address=True,
            )  # fmt: skip
            self.port = self._acceptor.get_port()

    async def close(self) -> None:
        """Refuse new connections and drop those that are."""
        acceptor, self._acceptor = self._acceptor, None
        if acceptor:
            acceptor.close()
            self.drop()
            await acceptor.wait_closed()

    def drop(self) -> None:
        """End all connections at once."""
        for connection in tuple(self.connections):
            connection.abort()

    async def restart(self) -> None:
        """Drop all connections, and listen again if we did."""
        if self._acceptor is not None:
            await self.close()
            await self.open()

    async def _serve(self, channel: asyncssh.SSHServerProcess[bytes]) -> None:
        if channel.command is None or self._frozen():
            await (channel.wait_closed() if channel.command else _refuse(channel))
            return
        process = await asyncio.create_subprocess_exec(
            "/bin/sh", "-c", channel.command, stdin=PIPE, stdout=PIPE, stderr=PIPE, start_new_session=True,
            cwd=self.account.home, env=self._environment(channel),
        )  # fmt: skip
        try:
            await _carry(channel, process)
        finally:
            _kill(process)

    def _environment(self, channel: asyncssh.SSHServerProcess[bytes]) -> dict[str, str]:
        client, server = channel.get_extra_info("peername"), channel.get_extra_info("sockname")
        here = f"{client[0]} {client[1]} {server[0]} {server[1]}"
        return {**self.account.environment, "SSH_CONNECTION": here}


async def _refuse(channel: asyncssh.SSHServerProcess[bytes]) -> None:
    channel.stderr.write(b"this gateway runs commands, not shells\n")
    channel.exit(1)


async def _carry(channel: asyncssh.SSHServerProcess[bytes], process: Process) -> None:
    """Connect the channel with the process until the process has ended and said everything, or the channel is gone."""
    feeding = asyncio.create_task(_feed(channel, process))
    talking = asyncio.create_task(_listen(channel, process))
    closing = asyncio.create_task(channel.channel.wait_closed())
    await asyncio.wait({talking, closing}, return_when=asyncio.FIRST_COMPLETED)
    if talking.done() and not channel.is_closing():
        _end(channel, talking.result())
    for task in (feeding, talking, closing):
        task.cancel()


async def _feed(channel: asyncssh.SSHServerProcess[bytes], process: Process) -> None:
    """The client's input, for as long as the process reads it."""
    stdin = pipe(process.stdin)
    with contextlib.suppress(ConnectionError, asyncssh.Error):
        while data := await channel.stdin.read(CHUNK):
            stdin.write(data)
            await stdin.drain()
    stdin.close()


async def _listen(channel: asyncssh.SSHServerProcess[bytes], process: Process) -> int:
    """All output of the process, then its status."""
    await asyncio.gather(
        _pump(pipe(process.stdout), channel.stdout), _pump(pipe(process.stderr), channel.stderr)
    )  # fmt: skip
    return await process.wait()


async def _pump(source: asyncio.StreamReader, target: asyncssh.SSHWriter[bytes]) -> None:
    with contextlib.suppress(ConnectionError, asyncssh.Error):
        while data := await source.read(CHUNK):
            target.write(data)
            await target.drain()


def _end(channel: asyncssh.SSHServerProcess[bytes], status: int) -> None:
    if status < 0:
        channel.exit_with_signal(signal.Signals(-status).name.removeprefix("SIG"))
    else:
        channel.exit(status)


def _kill(process: Process) -> None:
    """End the process and its children, whether it has ended by itself or not."""
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
