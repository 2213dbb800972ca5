"""What a test with a server of its own needs: a free port, keys, and patience."""

import socket
import subprocess
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path


def free_port() -> int:
    with closing(socket.create_server(("127.0.0.1", 0))) as server:
        return int(server.getsockname()[1])


def wait_for(condition: Callable[[], object], what: str, seconds: float = 5) -> None:
    """Poll until something holds."""
    ends = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < ends, f"{what}: not within {seconds} s"
        time.sleep(0.01)


def keygen(path: Path, *, kind: str = "ed25519", passphrase: str = "") -> str:
    """A new key pair; its public half as known_hosts and authorized_keys have it."""
    command = ["ssh-keygen", "-q", "-t", kind, "-N", passphrase, "-C", "", "-f", str(path)]
    subprocess.run(command, check=True, stdin=subprocess.DEVNULL)
    return path.with_name(path.name + ".pub").read_text().strip()
