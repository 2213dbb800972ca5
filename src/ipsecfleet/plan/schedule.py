"""Which negotiations may run at the same time, so that no machine computes more keys at once than it bears.

A negotiation is an edge between the two machines that compute for it, a slot its colour. A machine that bears c at once
and has d of them needs d / c slots, rounded up; the largest of these numbers is the bound, and no schedule is shorter.
Split into c machines of at most so many edges each, a fleet without odd cycles can be coloured with exactly that many
colours (König): where the ends of an edge have no free colour in common, one has a free and the other b, and the colours
a and b are exchanged along the path of such edges that begins at the other; it never leads to the one. In an odd cycle
it may; then that edge gets the first slot beyond, and the schedule is longer than its bound.

A limit of L for the whole fleet needs the number of edges / L slots, rounded up. With at least so many, slots can be made
even: the edges of a full one and of one with room form paths and rings, in which the two slots take turns; along a path
that has one edge more of the full slot than of the other they are exchanged.
"""

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field

Edge = tuple[str, str]


@dataclass(frozen=True, slots=True)
class Schedule:
    """The numbers of the edges in each slot, in their order; `bound` slots are needed at least."""

    slots: tuple[tuple[int, ...], ...]
    bound: int


def schedule(edges: Sequence[Edge], capacity: Callable[[str], int], at_once: int | None = None) -> Schedule:
    """A slot for every edge, with at most `at_once` of them, and `capacity` of each machine, in one. Deterministic.

    Capacity and `at_once` are 1 or more; None is no limit.
    """
    degrees = Counter(machine for edge in edges for machine in edge)
    most = at_once or max(len(edges), 1)
    needs = (-(-degree // capacity(machine)) for machine, degree in degrees.items())
    bound = max((*needs, -(-len(edges) // most)))
    colouring = _Colouring(bound, _split(edges, bound))
    for edge in range(len(edges)):
        colouring.add(edge)
    colouring.even_out(most)
    slots: dict[int, list[int]] = {}
    for edge, slot in enumerate(colouring.slot):
        slots.setdefault(slot, []).append(edge)
    return Schedule(tuple(tuple(slots[slot]) for slot in sorted(slots)), bound)


def _split(edges: Sequence[Edge], bound: int) -> list[tuple[int, int]]:
    """The edges between parts of machines: of each machine as many as it needs for `bound` edges at each."""
    parts: dict[tuple[str, int], int] = {}
    seen: Counter[str] = Counter()

    def part(machine: str) -> int:
        seen[machine] += 1
        return parts.setdefault((machine, (seen[machine] - 1) // bound), len(parts))

    return [(part(one), part(other)) for one, other in edges]


@dataclass(slots=True)
class _Colouring:
    """Edges that have a slot already; `at` tells the edge of a part in a slot, `used` has a bit for each slot."""

    bound: int
    ends: list[tuple[int, int]]
    slot: list[int] = field(init=False)
    at: list[dict[int, int]] = field(init=False)
    used: list[int] = field(init=False)

    def __post_init__(self) -> None:
        count = 1 + max((max(pair) for pair in self.ends), default=-1)
        self.slot = [-1] * len(self.ends)
        self.at = [{} for _ in range(count)]
        self.used = [0] * count

    def add(self, edge: int) -> None:
        """Give the edge the lowest slot that both ends have free, made free by an exchange where there is none."""
        one, other = self.ends[edge]
        free = _lowest_free(self.used[one] | self.used[other])
        if free >= self.bound:
            here, there = _lowest_free(self.used[one]), _lowest_free(self.used[other])
            free = here if self._exchange(other, here, there, one) else free
        self._put(edge, free)

    def even_out(self, most: int) -> None:
        """Move edges from slots with more than `most` to those with room."""
        sizes = Counter(self.slot)
        roomy = [slot for slot in range(max(self.bound, len(sizes))) if sizes[slot] < most]
        for full in [slot for slot, size in sizes.items() if size > most]:
            while sizes[full] > most:
                moved = self._move(full, roomy[-1], min(sizes[full] - most, most - sizes[roomy[-1]]))
                sizes[full] -= moved
                sizes[roomy[-1]] += moved
                if sizes[roomy[-1]] == most:
                    roomy.pop()

    def _move(self, full: int, roomy: int, count: int) -> int:
        """Exchange two slots along at most `count` paths with one edge more in `full`; how many there were."""
        moved = 0
        for edge in [e for e, slot in enumerate(self.slot) if slot == full]:
            if moved == count:
                break
            for start in self.ends[edge]:
                if self.slot[edge] == full and roomy not in self.at[start]:
                    path, _ = self._path(start, full, roomy)
                    if len(path) % 2:
                        self._turn(path, full + roomy)
                        moved += 1
        return moved

    def _exchange(self, start: int, first: int, second: int, avoid: int) -> bool:
        """Exchange two slots along the path from `start`, so that it has `first` free; not if that leads to `avoid`."""
        if max(first, second) >= self.bound:
            return False
        path, end = self._path(start, first, second)
        if end == avoid:
            return False
        self._turn(path, first + second)
        return True

    def _path(self, start: int, first: int, second: int) -> tuple[list[int], int]:
        """The edges from `start` that take turns in the two slots, beginning with `first`, and the part they lead to."""
        path, part, slot = [], start, first
        while (edge := self.at[part].get(slot)) is not None:
            path.append(edge)
            one, other = self.ends[edge]
            part, slot = (other if part == one else one), first + second - slot
        return path, part

    def _turn(self, path: Iterable[int], both: int) -> None:
        """Give each edge the other one of two slots whose sum is `both`."""
        path = list(path)
        slots = [both - self.slot[edge] for edge in path]
        for edge in path:
            self._take(edge)
        for edge, slot in zip(path, slots, strict=True):
            self._put(edge, slot)

    def _put(self, edge: int, slot: int) -> None:
        self.slot[edge] = slot
        for part in self.ends[edge]:
            self.at[part][slot] = edge
            self.used[part] |= 1 << slot

    def _take(self, edge: int) -> None:
        for part in self.ends[edge]:
            del self.at[part][self.slot[edge]]
            self.used[part] &= ~(1 << self.slot[edge])


def _lowest_free(used: int) -> int:
    return (~used & (used + 1)).bit_length() - 1
