"""What a test with a server of its own needs: a free port, and patience."""

import socket
import time
from collections.abc import Callable
from contextlib import closing


def free_port() -> int:
    with closing(socket.create_server(("127.0.0.1", 0))) as server:
        return int(server.getsockname()[1])


def wait_for(condition: Callable[[], object], what: str, seconds: float = 5) -> None:
    """Poll until something holds."""
    ends = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < ends, f"{what}: not within {seconds} s"
        time.sleep(0.01)
