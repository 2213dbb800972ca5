"""lab simulate: one fleet, started in several ways, side by side; the model is the lab's, the schedule the planner's."""

import math

from ipsecfleet.lab.queueing import Course, Edge, Model, fleet
from ipsecfleet.model.document import CourseRow, Document
from ipsecfleet.plan.schedule import schedule
from ipsecfleet.plan.stagger import LEAST_S

SLEEP_S = 1.0


def compare(
    gateways: int, tunnels: int, lifetime_s: float, cost_s: float, gap_s: float, cycles: int, seed: int
) -> Document:
    """A row for each way to start so many tunnels; `cost_s` is one computation, `gap_s` ours between two of a machine."""
    edges = fleet(gateways, tunnels, seed)
    ways = {
        "all at once": [0.0] * tunnels,
        f"one each {SLEEP_S:.0f} s": [n * SLEEP_S for n in range(tunnels)],
        "scheduled": _scheduled(edges, cost_s, gap_s, 0.0),
        "scheduled, spread": _scheduled(edges, cost_s, gap_s, lifetime_s * 0.8),
    }
    rows = [_row(name, Model(edges, cost_s, lifetime_s, seed).course(starts, cycles)) for name, starts in ways.items()]
    return Document("lab simulate", courses=tuple(rows))


def _row(name: str, course: Course) -> CourseRow:
    back = course.back_s if math.isfinite(course.back_s) else None
    return CourseRow(name, course.peaks, course.waited_most_s, course.waited_mean_s, back, course.timed_out)


def _scheduled(edges: list[Edge], cost_s: float, gap_s: float, spread_s: float) -> list[float]:
    """The slots of the planner, each as long as a negotiation and the gap, or stretched over `spread_s`."""
    slots = schedule(edges, lambda _machine: 1).slots
    pitch = max(max(LEAST_S, 4 * cost_s) + gap_s, spread_s / len(slots))
    starts = [0.0] * len(edges)
    for number, slot in enumerate(slots):
        for edge in slot:
            starts[edge] = number * pitch
    return starts
