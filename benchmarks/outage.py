"""How long a tunnel is without flows: restarted by one write, by two visits, and rekeyed by overlap, in one run.

    python benchmarks/outage.py [ROUNDS]

A lab of its own, with real SSH and no network delay, so the two visits are at their best. Milliseconds as the simulated
gateway wrote them down; the last column is the ratio to the restart by one write.
"""

import json
import os
import re
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from tabulate import tabulate

from ipsecfleet import lab

BACK_S = 90.0
GATEWAY, TUNNEL, NAME = "hub-fra1", "customer-1", "from-172.16.1.0/24-to-192.168.1.0/24"


def events(root: Path) -> list[dict[str, object]]:
    return [json.loads(line) for line in (root / "gateways" / GATEWAY / "events.jsonl").read_text().splitlines()]


def missing_ms(root: Path, work: Callable[[], None]) -> float:
    """For how long the tunnel's flow out was away while `work` was done."""
    since = len(events(root))
    work()
    until = time.monotonic() + BACK_S
    while set(moments := flow_events(root, since)) == {"flow-delete"} and time.monotonic() < until:
        time.sleep(0.05)
    return 1000 * (moments["flow-add"] - moments["flow-delete"]) if "flow-delete" in moments else 0.0


def flow_events(root: Path, since: int) -> dict[str, float]:
    """When the flow came and went last."""
    out = [e for e in events(root)[since:] if f"from-{e.get('local')}-to-{e.get('remote')}" == NAME]
    return {str(e["event"]): float(str(e["at"])) for e in out if e.get("direction") == "out"}


def ipsecfleet(root: Path, *words: str) -> None:
    environment = os.environ | {"XDG_STATE_HOME": str(root / "state")}
    command = [sys.executable, "-m", "ipsecfleet", "-i", str(root / "inventory.toml"), "-q", *words, "-t", TUNNEL]
    subprocess.run([*command, "--yes"], env=environment, check=True, stdout=subprocess.DEVNULL)


def by_hand(root: Path, line: str) -> None:
    """What one types: the line, over SSH, into the FIFO."""
    text = (root / "inventory.toml").read_text()
    port = re.search(rf"\[gateway\.{GATEWAY}\]\n.*\nport = (\d+)", text)
    user = re.search(r'user = "(\w+)"', text)
    key = re.search(r'identity = "(.*)"', text)
    assert port is not None
    assert user is not None
    assert key is not None
    fifo = root / "gateways" / GATEWAY / "run" / "isakmpd.fifo"
    options = ["-o", "UserKnownHostsFile=/dev/null", "-o", "StrictHostKeyChecking=no", "-o", "LogLevel=ERROR"]
    target = ["-i", str(root / key[1]), "-p", port[1], f"{user[1]}@127.0.0.1"]
    subprocess.run(["ssh", "-F", "none", *options, *target, f"echo '{line}' > {fifo}"], check=True, timeout=30)


def two_visits(root: Path) -> None:
    by_hand(root, f"t quick {NAME}")
    by_hand(root, f"c {NAME}")


def main(rounds: int) -> None:
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder) / "lab"
        lab.up(root, gateways=3)
        try:
            ways: dict[str, Callable[[], None]] = {
                "restart, one write": lambda: ipsecfleet(root, "restart"),
                "restart, two visits by hand": lambda: two_visits(root),
                "rekey, overlap": lambda: ipsecfleet(root, "rekey"),
            }
            found = {name: [missing_ms(root, work) for _ in range(rounds)] for name, work in ways.items()}
        finally:
            lab.down(root)
    one = statistics.median(found["restart, one write"])
    rows = [
        (name, f"{min(ms):.1f}", f"{statistics.median(ms):.1f}", f"{max(ms):.1f}", f"{statistics.median(ms) / one:.1f}")
        for name, ms in found.items()
    ]
    print(tabulate(rows, ["", "least ms", "median ms", "most ms", "ratio"], disable_numparse=True))


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 5)
