"""A server that breaks off, falls silent or garbles at every byte: typed errors, one attempt, nothing to strangers."""

import os
import random
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from middle import in_the_middle, packets_in_clear

from ipsecfleet.errors import GatewayError, UnreachableError
from ipsecfleet.transport import Outcome, Visit

PHASES = ("banner", "kex", "hostkey", "auth", "channel", "command", "done")
COMMAND = "printf %0300d 0"
ONCE_MORE = {1, 2}
"""A garbled name of an algorithm is one that the fast path does not know, and the general one tries."""
NEWKEYS, KEXINIT, ECDH_INIT = 21, 20, 30


def order(phase: str) -> int:
    """Whether the last bytes, a goodbye, are enough or not may change from one visit to the next."""
    return min(PHASES.index(phase), PHASES.index("command"))


def came(ssh: Any, gateway: Any, deadline_s: float = 0.5) -> str:
    """How far a visit came: the phase that it failed in."""
    try:
        result: Outcome | Exception = ssh.visit(Visit(gateway, COMMAND, b"x" * 100, deadline_s=deadline_s, limit=1000))
    except GatewayError as error:
        result = error
    if isinstance(result, Outcome):
        assert len(result.stdout) == 300
        return "done"
    assert result.hint
    assert isinstance(result, UnreachableError) == (result.phase != "command")
    return result.phase


def known(sshd: Any, port: int, tmp_path: Path) -> str:
    path = tmp_path / f"known-{port}"
    path.write_text(f"[127.0.0.1]:{port} {sshd.host_key}\n")
    return str(path)


def at_each(ssh_of: Any, sshd: Any, tmp_path: Path, how: str, positions: Iterator[int]) -> list[str]:
    """The phases in which visits failed, one of a transport's own at each position."""
    phases = []
    for position in positions:
        with in_the_middle(sshd.port, position, how) as middle, ssh_of() as ssh:
            gateway = sshd.gateway(
                port=middle.port, known_hosts=known(sshd, middle.port, tmp_path), connect_timeout=0.4
            )
            began = time.monotonic()
            phases.append(came(ssh, gateway))
            assert time.monotonic() - began < 3
            assert middle.connections in (ONCE_MORE if how == "flip" else {1})
    return phases


@pytest.fixture
def sshd(sshd_with: Any) -> Any:
    """One that does not count how many begin and never end."""
    return sshd_with(startups="1000")


@pytest.fixture
def length(ssh: Any, sshd: Any, tmp_path: Path) -> int:
    """How many bytes a server says in a whole visit."""
    with in_the_middle(sshd.port) as middle:
        gateway = sshd.gateway(port=middle.port, known_hosts=known(sshd, middle.port, tmp_path))
        assert came(ssh, gateway, 5) == "done"
        return middle.received


def sampled(how: str, path: str, length: int, few: int, tally: Counter[str]) -> list[int]:
    every = range(length)
    soak = bool(os.environ.get("IPSECFLEET_SOAK"))
    chosen = (
        list(every) if soak and how == "cut" else sorted(random.Random(how).sample(every, 5 * few if soak else few))
    )
    tally[f"{how}, {path} path, of {length} positions"] += len(chosen)
    return chosen


def test_cut_at_every_byte(ssh_of: Any, path: str, sshd: Any, tmp_path: Path, length: int, tally: Counter[str]) -> None:
    phases = at_each(ssh_of, sshd, tmp_path, "cut", sampled("cut", path, length, 40, tally))
    assert phases == sorted(phases, key=order)
    assert {"banner", "kex", "auth", "channel", "command"} >= set(phases) - {"done"} >= {"kex", "auth"}


def test_silent_from_some_byte_on(
    ssh_of: Any, path: str, sshd: Any, tmp_path: Path, length: int, tally: Counter[str]
) -> None:
    phases = at_each(ssh_of, sshd, tmp_path, "stall", sampled("stall", path, length, 8, tally))
    assert phases == sorted(phases, key=order)


def test_garbled_at_some_byte(
    ssh_of: Any, path: str, sshd: Any, tmp_path: Path, length: int, tally: Counter[str]
) -> None:
    phases = at_each(ssh_of, sshd, tmp_path, "flip", sampled("flip", path, length - 1, 20, tally))
    assert [phase for phase in phases if phase != "done"] + ["done"] * phases.count(
        "done"
    ) == phases  # a goodbye at last
    assert phases.count("done") < len(phases) / 4


@pytest.mark.parametrize(
    "other", ["", "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIA9zWhr1iNvZBl+Z4q1dfXEBgBWZLyNS3Vmd8i6nbNQY"]
)
def test_who_is_not_known_gets_no_byte_of_a_login(ssh: Any, sshd: Any, tmp_path: Path, other: str) -> None:
    """Not even our NEWKEYS: the key is judged before."""
    with in_the_middle(sshd.port) as middle:
        known = tmp_path / "known"
        known.write_text(f"[127.0.0.1]:{middle.port} {other}\n" if other else "")
        assert came(ssh, sshd.gateway(port=middle.port, known_hosts=str(known))) == "hostkey"
        assert packets_in_clear(bytes(middle.sent))[:2] == [KEXINIT, ECDH_INIT]
        if ssh.path == "fast" and ssh.paths.fast is not None:
            assert packets_in_clear(bytes(middle.sent)) == [KEXINIT, ECDH_INIT]
        assert middle.connections == 1


@pytest.mark.parametrize("greeting", [b"SSH-2.0-OpenSSH_9.9\r\n" + os.urandom(4000), b"SSH-1.5-old\r\n", b"\0" * 9000])
def test_garbage_is_no_server(ssh: Any, sshd: Any, listen: Any, greeting: bytes) -> None:
    assert came(ssh, sshd.gateway(port=listen(greeting, stays=True).port, connect_timeout=0.5)) in {"banner", "kex"}
