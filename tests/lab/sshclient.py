"""A client of a lab that shares no code with it but its inventory."""

import asyncio
import os
import select
import tomllib
from contextlib import AbstractAsyncContextManager
from pathlib import Path

import asyncssh

Connecting = AbstractAsyncContextManager[asyncssh.SSHClientConnection]


class Client:
    """Runs commands on the gateways of the lab in `directory`."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.inventory = tomllib.loads((directory / "inventory.toml").read_text())

    def files(self, gateway: str) -> Path:
        return self.directory / "gateways" / gateway

    def connect(self, gateway: str, *, user: str = "ipsecops", key: Path | None = None) -> Connecting:
        return asyncssh.connect(
            "127.0.0.1", self.inventory["gateway"][gateway]["port"], username=user, config=None, agent_path=None,
            client_keys=[str(key or self.directory / "id_ed25519")], known_hosts=str(self.directory / "known_hosts"),
        )  # fmt: skip

    def run(self, gateway: str, command: str, stdin: bytes = b"", *, limit: float = 10) -> asyncssh.SSHCompletedProcess:
        async def once() -> asyncssh.SSHCompletedProcess:
            async with self.connect(gateway) as connection:
                return await asyncio.wait_for(connection.run(command, input=stdin, encoding=None), limit)

        return asyncio.run(once())

    def said(self, gateway: str, command: str, stdin: bytes = b"") -> str:
        """What a command that succeeds prints."""
        done = self.run(gateway, command, stdin)
        assert (done.exit_status, done.stderr) == (0, b"")
        return done.stdout.decode()

    def report(self, gateway: str) -> str:
        """The answer to `S`, of any bytes."""
        return self.ask(gateway, "S")

    def ask(self, gateway: str, line: str) -> str:
        """The answer to a FIFO line, whole: the next answer proves that it was written to its end."""
        return self.run(gateway, ASK, f"{line}\n".encode()).stdout.decode("latin-1")


ASK = """
    cd run && rm -f isakmpd.result && cat > isakmpd.fifo
    until [ -e isakmpd.result ]; do sleep 0.01; done; mv isakmpd.result taken
    echo 'C get [nothing]:nothing' > isakmpd.fifo
    until [ -e isakmpd.result ]; do sleep 0.01; done; cat taken
"""


def gone(pid: int, within: float = 5) -> bool:
    """Whether the process ends in time."""
    try:
        handle = os.pidfd_open(pid)
    except ProcessLookupError:
        return True
    try:
        return bool(select.select([handle], [], [], within)[0])
    finally:
        os.close(handle)
