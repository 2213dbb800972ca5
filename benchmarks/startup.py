"""How long a call takes that needs no gateway, as a ratio to an empty interpreter and to one that imports fabric.

    python benchmarks/startup.py [ROUNDS]

The calls take turns, so that a busy moment hits all of them; the best of each counts.
"""

import subprocess
import sys
import time
from pathlib import Path

ROOT = Path(__file__).parents[1]
PROGRAM = str(Path(sys.executable).with_name("ipsecfleet"))
EMPTY, FABRIC = "python -c pass", "python -c 'import fabric'"

CALLS = {
    EMPTY: (sys.executable, "-c", "pass"),
    FABRIC: (sys.executable, "-c", "import fabric"),
    "ipsecfleet --help": (PROGRAM, "--help"),
    "ipsecfleet names": (PROGRAM, "names", "examples/new-customer.conf"),
    "ipsecfleet lines --from-file": (PROGRAM, "lines", "--from-file", "examples/isakmpd.result", "-p", "10.2.13.1"),
}


def _seconds(command: tuple[str, ...]) -> float:
    began = time.perf_counter()
    subprocess.run(command, cwd=ROOT, stdout=subprocess.DEVNULL, check=True)
    return time.perf_counter() - began


def main() -> None:
    rounds = int(sys.argv[1]) if len(sys.argv) > 1 else 10
    taken: dict[str, list[float]] = {name: [] for name in CALLS}
    for _ in range(rounds):
        for name, command in CALLS.items():
            taken[name].append(_seconds(command))
    best = {name: min(times) for name, times in taken.items()}
    print(f"{'call':29} {'ms':>6} {'to empty':>9} {'to fabric':>10}")
    for name, seconds in best.items():
        print(f"{name:29} {seconds * 1000:6.0f} {seconds / best[EMPTY]:8.1f}x {seconds / best[FABRIC]:9.2f}x")


if __name__ == "__main__":
    main()
