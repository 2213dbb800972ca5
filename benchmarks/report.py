"""Reading a daemon's report: ours against the loop of regular expressions that one writes for a script, and against grep
and awk, in one run.

    python benchmarks/report.py [TUNNELS]

The loop keeps name, addresses, flags and SPIs, takes every line for what it looks like, and drops what it does not know.
Ours takes all that a block has, keeps what it does not understand, and never fails; garbage is looked for as seldom as in
a command. grep and awk make one line of each
SA, and their processes are started. The last column is our time over theirs.
"""

import gc
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

from ipsecfleet.cli import RARELY
from ipsecfleet.isakmpd import report

BLOCK = """SA name: from-10.{a}.{b}.0/24-to-192.168.{b}.0/24 (Phase 2)
src: 10.2.1.1 dst: 10.3.{a}.{b}
Lifetime: 1200 seconds
Soft timeout in 1073 seconds
Hard timeout in 1198 seconds
Flags 0x00000003
SPI 0: {spi:08x}\x20
SPI 1: {mirror:08x}\x20
Transform: IPsec ESP
Encryption key length: 32
Authentication key length: 32
Encryption algorithm: AES (CBC)
Authentication algorithm: HMAC-SHA2-256

"""
ROUNDS = 5


def _report(tunnels: int) -> bytes:
    blocks = (
        BLOCK.format(a=number >> 8 & 255, b=number & 255, spi=0x10000000 + number, mirror=0x20000000 + number)
        for number in range(tunnels)
    )
    return "".join(blocks).encode()


def naive(data: bytes) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = []
    for line in data.decode().splitlines():
        if m := re.match(r"SA name: (\S+) \(Phase (\d)", line):
            found.append({"name": m[1], "phase": int(m[2]), "spis": []})
        elif m := re.match(r"src: (\S+) dst: (\S+)", line):
            found[-1]["src"], found[-1]["dst"] = m[1], m[2]
        elif m := re.match(r"(Soft|Hard) timeout in (\d+) seconds", line):
            found[-1][m[1].lower()] = int(m[2])
        elif m := re.match(r"Flags (0x[0-9a-f]+)", line):
            found[-1]["flags"] = int(m[1], 16)
        elif m := re.match(r"SPI \d: ([0-9a-f]+)", line):
            found[-1]["spis"].append(int(m[1], 16))
    return found


AWKS = ("original-awk", "mawk")
"""The awk of OpenBSD, as Debian names it, and Debian's own."""

AWK = """/^SA name/ {n = $3} /^src/ {s = $2; d = $4} /^Flags/ {f = $2} /^SPI 0/ {o = $3} /^SPI 1/ {print n, s, d, f, o, $3}"""


def classic(path: Path, awk: str) -> int:
    """One line for each SA, by grep and some awk."""
    grep = subprocess.Popen(["grep", "-E", "^(SA name|src|Flags|SPI)", path], stdout=subprocess.PIPE)
    done = subprocess.run([awk, AWK], stdin=grep.stdout, capture_output=True, check=True)
    grep.stdout.close()
    grep.wait()
    return done.stdout.count(b"\n")


def _best(call: Callable[[], object]) -> float:
    times = []
    for _ in range(ROUNDS):
        began = time.perf_counter()
        call()
        times.append(time.perf_counter() - began)
    return min(times)


def main() -> None:
    gc.set_threshold(*RARELY)
    tunnels = int(sys.argv[1]) if len(sys.argv) > 1 else 10_000
    data = _report(tunnels)
    ours, theirs = report.parse(data), naive(data)
    if len(ours.sas) != tunnels or ours.unparsed or [sa.name for sa in ours.sas] != [sa["name"] for sa in theirs]:
        sys.exit("the two read different things")
    with tempfile.NamedTemporaryFile() as file:
        file.write(data)
        file.flush()
        path = Path(file.name)
        awks = [awk for awk in AWKS if shutil.which(awk)]
        if any(classic(path, awk) != tunnels for awk in awks):
            sys.exit("grep and awk read different things")
        mine = _best(lambda: report.parse(data))
        others = {"regex loop": _best(lambda: naive(data))}
        others |= {f"grep, {awk}": _best(partial(classic, path, awk)) for awk in awks}
    print(f"{'tunnels':>7} {'bytes':>9} {'ours, ms':>9} {'against':>18} {'ms':>6} {'ratio':>7}")
    for name, other in others.items():
        print(f"{tunnels:7} {len(data):9} {mine * 1000:9.0f} {name:>18} {other * 1000:6.0f} {mine / other:6.1f}x")


if __name__ == "__main__":
    main()
