"""Planning the slots of a large fleet: ours against a greedy first-fit colouring of the same graph, in one run.

    python benchmarks/schedule.py [GATEWAYS [TUNNELS]]

The first ratio is our time over the greedy one's; the others are slots over the fewest that are possible.
"""

import random
import sys
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Sequence
from itertools import count

from tabulate import tabulate

from ipsecfleet.plan.schedule import Edge, schedule


def fleet(gateways: int, tunnels: int) -> list[Edge]:
    """Customers behind gateways, some with many tunnels, some at several gateways."""
    chance = random.Random(1)
    return [(f"gw{chance.randrange(gateways)}", f"peer{chance.randrange(tunnels // 2)}") for _ in range(tunnels)]


def first_fit(edges: Sequence[Edge]) -> int:
    """Each edge gets the first slot that both its machines have free; returns how many slots that takes."""
    taken: defaultdict[str, set[int]] = defaultdict(set)
    most = 0
    for one, other in edges:
        slot = next(n for n in count() if n not in taken[one] and n not in taken[other])
        taken[one].add(slot)
        taken[other].add(slot)
        most = max(most, slot + 1)
    return most


def timed(work: Callable[[], int]) -> tuple[int, float]:
    began = time.perf_counter()
    return work(), time.perf_counter() - began


def main(gateways: int, tunnels: int) -> None:
    edges = fleet(gateways, tunnels)
    least = max(Counter(machine for edge in edges for machine in edge).values())
    greedy, greedy_s = timed(lambda: first_fit(edges))
    ours, ours_s = timed(lambda: len(schedule(edges, lambda _machine: 1).slots))
    rows = [
        ("first fit", f"{greedy_s:.2f}", "1.0", greedy, f"{greedy / least:.2f}"),
        ("ours", f"{ours_s:.2f}", f"{ours_s / greedy_s:.1f}", ours, f"{ours / least:.2f}"),
    ]
    print(f"{tunnels} tunnels over {gateways} gateways, {least} slots at least")
    print(tabulate(rows, ["", "s", "ratio", "slots", "of the fewest"], disable_numparse=True))


if __name__ == "__main__":
    main(*(int(word) for word in (sys.argv[1:] or ["10000", "100000"])))
