"""Slots held against what they must keep, by code that knows nothing of how they were made."""

import random
from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ipsecfleet.plan.schedule import Schedule, schedule

FLEETS = 1000


def is_right(made: Schedule, edges: list[tuple[str, str]], capacity: dict[str, int]) -> None:
    """Every edge once, and in no slot a machine over its capacity."""
    assert sorted(edge for slot in made.slots for edge in slot) == list(range(len(edges)))
    for slot in made.slots:
        load = Counter(machine for edge in slot for machine in edges[edge])
        assert all(number <= capacity.get(machine, 1) for machine, number in load.items())


def least(edges: list[tuple[str, str]], capacity: dict[str, int]) -> int:
    """No schedule is shorter: the busiest machine needs so many slots."""
    load = Counter(machine for edge in edges for machine in edge)
    return max((number + capacity.get(m, 1) - 1) // capacity.get(m, 1) for m, number in load.items())


def random_fleet(seed: int) -> tuple[list[tuple[str, str]], dict[str, int]]:
    """Gateways with peers of their own or shared, several tunnels between two; hubs with many."""
    chance = random.Random(seed)
    gateways, peers = chance.randint(1, 12), chance.randint(1, 25)
    skew = chance.choice([1, 3])
    edges = [
        (f"gw{int(gateways * chance.random() ** skew)}", f"peer{chance.randrange(peers)}")
        for _ in range(chance.randint(1, 90))
    ]
    return edges, {f"gw{n}": chance.randint(1, 4) for n in range(gateways)}


def test_random_fleets_are_scheduled_in_as_few_slots_as_there_can_be(tally: Counter[str]) -> None:
    for seed in range(FLEETS):
        edges, capacity = random_fleet(seed)
        made = schedule(edges, lambda machine, known=capacity: known.get(machine, 1))
        is_right(made, edges, capacity)
        assert len(made.slots) == made.bound == least(edges, capacity), seed
        tally[f"random bipartite fleets, of {FLEETS}"] += 1


@given(st.lists(st.tuples(st.integers(0, 7), st.integers(0, 7)).filter(lambda p: p[0] != p[1]), max_size=60))
def test_any_fleet_keeps_its_capacities_and_says_its_bound(pairs: list[tuple[int, int]]) -> None:
    edges = [(f"gw{a}", f"gw{b}") for a, b in pairs]
    made = schedule(edges, lambda _machine: 1)
    is_right(made, edges, {})
    assert made.bound == (least(edges, {}) if edges else 0)
    assert len(made.slots) >= made.bound


@pytest.mark.parametrize(
    ("edges", "slots", "bound"),
    [
        ([], (), 0),
        ([("hub", "a"), ("hub", "b")], ((0,), (1,)), 2),
        ([("hub", "a"), ("other", "b")], ((0, 1),), 1),
        ([("a", "b"), ("b", "c"), ("c", "a")], ((0,), (1,), (2,)), 2),
    ],
)
def test_small_fleets(edges: list[tuple[str, str]], slots: tuple[tuple[int, ...], ...], bound: int) -> None:
    """Three in a ring need a slot more than the busiest of them."""
    assert schedule(edges, lambda _machine: 1) == Schedule(slots, bound)
