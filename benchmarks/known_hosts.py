"""Reading known_hosts and finding one host in it: ours against paramiko's, in one run.

    python benchmarks/known_hosts.py [LINES]

The last column is paramiko's time over ours. paramiko reads in quadratic time: 5,000 lines take it seconds.
"""

import base64
import hashlib
import hmac
import os
import struct
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import paramiko

from ipsecfleet.transport.known_hosts import read_known_hosts


def _key() -> str:
    blob = b"".join(struct.pack(">I", len(part)) + part for part in (b"ssh-ed25519", os.urandom(32)))
    return f"ssh-ed25519 {base64.b64encode(blob).decode()}"


def _hashed(name: str) -> str:
    salt = os.urandom(20)
    digest = hmac.digest(salt, name.encode(), hashlib.sha1)
    return f"|1|{base64.b64encode(salt).decode()}|{base64.b64encode(digest).decode()}"


def _seconds(call: Callable[[], object]) -> float:
    began = time.perf_counter()
    call()
    return time.perf_counter() - began


def _ours(path: str, name: str) -> tuple[float, float]:
    best = min(_seconds(lambda: read_known_hosts((path,))) for _ in range(5))
    known = read_known_hosts((path,))
    if len(known.lookup(name)) != 1:
        sys.exit(f"{name} not found in {path}")
    return best, min(_seconds(lambda: known.lookup(name)) for _ in range(5))


def _paramikos(path: str, name: str) -> tuple[float, float]:
    known = paramiko.HostKeys()
    return _seconds(lambda: known.load(path)), _seconds(lambda: known.lookup(name))


def _compare(kind: str, spell: Callable[[str], str], lines: int) -> None:
    names = [f"gw{number}.example" for number in range(lines)]
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "known_hosts")
        path.write_text("".join(f"{spell(name)} {_key()}\n" for name in names))
        ours, theirs = _ours(str(path), names[-1]), _paramikos(str(path), names[-1])
    for what, mine, other in zip(("read", "find"), ours, theirs, strict=True):
        print(f"{kind:7} {what:5} {lines:6} {mine * 1000:10.2f} {other * 1000:12.2f} {other / mine:8.0f}x")


def main() -> None:
    lines = int(sys.argv[1]) if len(sys.argv) > 1 else 5000
    print(f"{'lines':7} {'step':5} {'number':>6} {'ours, ms':>10} {'paramiko, ms':>12} {'ratio':>9}")
    _compare("plain", str, lines)
    _compare("hashed", _hashed, lines)


if __name__ == "__main__":
    main()
