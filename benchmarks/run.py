"""Every benchmark, into one file: RESULTS.md, with the machine, the versions and the date.

    sudo make bench

The fan-out makes network namespaces and TUN devices, and removes them, also after ^C; so this wants root.
"""

import platform
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path

HERE = Path(__file__).parent
RESULTS = HERE / "RESULTS.md"
SMALL = ("startup", "report", "known_hosts", "schedule", "outage")


def said(path: Path) -> str:
    """What a benchmark prints; what it says on the way goes to the terminal."""
    print(f"== {path.name}", file=sys.stderr, flush=True)
    return subprocess.run([sys.executable, path], stdout=subprocess.PIPE, text=True, check=True).stdout.strip()


def _processor() -> str:
    lines = Path("/proc/cpuinfo").read_text().splitlines()
    return next((line.partition(": ")[2] for line in lines if line.startswith("model name")), platform.machine())


def main() -> None:
    """Run all, then write; a run that fails leaves the file as it was."""
    fanout = said(HERE / "fanout/fanout.py")
    small = [f"## {name}\n\n```\n{said(HERE / f'{name}.py')}\n```" for name in SMALL]
    head = (
        f"# Results\n\nMade by `make bench` on {datetime.now(UTC):%Y-%m-%d}, {_processor()}. A figure in seconds is this "
        "machine's; the ratios are what counts. The servers of the fan-out share the processors with the clients."
    )
    RESULTS.write_text("\n\n".join([head, f"## fanout\n\n{fanout}", *small]) + "\n")


if __name__ == "__main__":
    main()
