"""Moments of random fleets held against what they must keep, by code that knows nothing of how they were made."""

import random
from collections import Counter, defaultdict
from collections.abc import Sequence

import pytest

from ipsecfleet.errors import OperatorError
from ipsecfleet.model.fleet import Fleet, Gateway
from ipsecfleet.model.sa import Sa
from ipsecfleet.model.snapshot import Snapshot
from ipsecfleet.model.tunnel import End, State, Tunnel
from ipsecfleet.plan.schedule import schedule
from ipsecfleet.plan.stagger import Job, Pace, stagger
from ipsecfleet.plan.view import View

FLEETS = 1000
LASTS_S, GAP_S, CLEAR_S = 1.0, 5.0, 3.0


def most_at_once(intervals: Sequence[tuple[float, float]]) -> int:
    """How many of these half-open intervals overlap, at most."""
    edges = sorted([(begin, 1) for begin, _ in intervals] + [(end - 1e-6, -1) for _, end in intervals])
    most = now = 0
    for _, step in edges:
        now += step
        most = max(most, now)
    return most


def random_jobs(chance: random.Random) -> tuple[list[Job], dict[str, int]]:
    gateways = chance.randint(1, 10)
    jobs = [
        Job(f"t{n}", (), (), (f"gw{chance.randrange(gateways)}", f"peer{chance.randrange(25)}"), LASTS_S, gap_s=GAP_S)
        for n in range(chance.randint(1, 70))
    ]
    return jobs, {f"gw{n}": chance.randint(1, 3) for n in range(gateways)}


def seen(capacity: dict[str, int], tunnels: Sequence[Tunnel] = ()) -> View:
    gateways = tuple(Gateway(name, "192.0.2.1", per_gateway_parallel=number) for name, number in capacity.items())
    return View(Fleet(gateways=gateways), Snapshot(), tuple(tunnels))


def renewing(name: str, gateway: str, peer: str, in_s: int) -> Tunnel:
    """A tunnel that its gateway renews so many seconds from now."""
    sa = Sa("n", 2, dst=peer, soft_s=in_s, hard_s=in_s + 100, lifetime_s=1200, flags=0x3)
    return Tunnel(name, State.UP, (End(gateway, "n", State.UP, peer=peer, sas=(sa,)),))


def per_machine(jobs: Sequence[Job], begins: Sequence[float], length_s: float) -> dict[str, list[tuple[float, float]]]:
    found: defaultdict[str, list[tuple[float, float]]] = defaultdict(list)
    for job, begin in zip(jobs, begins, strict=True):
        for machine in job.machines:
            found[machine].append((begin, begin + length_s))
    return found


def test_random_fleets_keep_capacity_and_gap_and_end_as_soon_as_can_be(tally: Counter[str]) -> None:
    for seed in range(FLEETS):
        jobs, capacity = random_jobs(random.Random(seed))
        made = stagger(jobs, Pace(), seen(capacity))
        for machine, intervals in per_machine(jobs, made.begins_s, LASTS_S + GAP_S).items():
            assert most_at_once(intervals) <= capacity.get(machine, 1), seed
        degrees = Counter(machine for job in jobs for machine in job.machines)
        bound = max(-(-number // capacity.get(machine, 1)) for machine, number in degrees.items())
        assert max(made.begins_s) == (bound - 1) * (LASTS_S + GAP_S), seed
        tally[f"random fleets with moments, of {FLEETS}"] += 1


def test_a_limit_for_the_whole_fleet_is_kept_in_as_few_slots_as_it_takes() -> None:
    for seed in range(200):
        chance = random.Random(seed)
        jobs, capacity = random_jobs(chance)
        at_once = chance.randint(1, 6)
        slots = schedule([job.machines for job in jobs], lambda m, known=capacity: known.get(m, 1), at_once)
        assert max(map(len, slots.slots)) <= at_once
        degrees = Counter(machine for job in jobs for machine in job.machines)
        needs = [-(-number // capacity.get(machine, 1)) for machine, number in degrees.items()]
        assert len(slots.slots) == max(*needs, -(-len(jobs) // at_once)), seed
        made = stagger(jobs, Pace(at_once=at_once), seen(capacity))
        everywhere = [(begin, begin + LASTS_S) for begin in made.begins_s]
        assert most_at_once(everywhere) <= at_once
        for machine, intervals in per_machine(jobs, made.begins_s, LASTS_S + GAP_S).items():
            assert most_at_once(intervals) <= capacity.get(machine, 1), seed


def test_nothing_begins_beside_a_natural_rekey_of_either_machine() -> None:
    for seed in range(200):
        chance = random.Random(seed)
        jobs, capacity = random_jobs(chance)
        others = [
            renewing(f"other{n}", f"gw{chance.randrange(10)}", f"peer{chance.randrange(25)}", chance.randint(0, 120))
            for n in range(20)
        ]
        made = stagger(jobs, Pace(), seen(capacity, others))
        for job, begin in zip(jobs, made.begins_s, strict=True):
            due = [
                t.ends[0].live[0].soft_s or 0 for t in others if {t.ends[0].gateway, t.ends[0].peer} & {*job.machines}
            ]
            assert not [at for at in due if begin - CLEAR_S < at < begin + LASTS_S + CLEAR_S], seed
        for machine, intervals in per_machine(jobs, made.begins_s, LASTS_S + GAP_S).items():
            assert most_at_once(intervals) <= capacity.get(machine, 1), seed


def test_what_is_renewed_before_its_own_moment_is_no_longer_due() -> None:
    job = Job("t", (), (), ("gw", "peer"), LASTS_S)
    assert stagger([job], Pace(), seen({"gw": 1}, [renewing("t", "gw", "peer", 1)])).begins_s == (0.0,)
    two = [Job("t", (), (), ("gw", "peer"), LASTS_S, gap_s=5.0), Job("u", (), (), ("gw", "other"), LASTS_S)]
    assert stagger(two, Pace(), seen({"gw": 1}, [renewing("t", "gw", "peer", 6)])).begins_s == (0.0, 6.0)


def test_what_waits_comes_after_what_need_not() -> None:
    jobs = [Job(f"t{n}", (), (), ("gw", f"p{n}"), 1.0, gap_s=5.0, wait_s=100.0 if n == 0 else 0.0) for n in range(3)]
    assert stagger(jobs, Pace(), seen({"gw": 1})).begins_s == (100.0, 0.0, 6.0)


def test_costly_negotiations_make_their_slot_longer_and_no_other() -> None:
    jobs = [Job("a", (), (), ("gw", "p"), 7.0, gap_s=5.0), Job("b", (), (), ("gw", "q"), 1.0, gap_s=5.0)]
    assert stagger(jobs, Pace(), seen({"gw": 1})).begins_s == (0.0, 12.0)
    assert stagger(jobs[::-1], Pace(), seen({"gw": 1})).begins_s == (0.0, 6.0)


@pytest.mark.parametrize(("spread_s", "begins"), [(11.0, (0.0, 6.0)), (24.0, (0.0, 12.0))])
def test_a_spread_stretches_evenly(spread_s: float, begins: tuple[float, ...]) -> None:
    jobs = [Job(f"t{n}", (), (), ("gw", f"p{n}"), 1.0, gap_s=5.0) for n in range(2)]
    assert stagger(jobs, Pace(spread_s=spread_s), seen({"gw": 1})).begins_s == pytest.approx(begins, abs=0.6)


def test_a_spread_that_is_too_short_says_how_long_it_takes() -> None:
    jobs = [Job(f"t{n}", (), (), ("gw", f"p{n}"), 1.0, gap_s=5.0) for n in range(10)]
    with pytest.raises(OperatorError, match="--spread 50s is too short: 10 slots take 55 s at least"):
        stagger(jobs, Pace(spread_s=50.0), seen({"gw": 1}))


def test_in_a_ring_the_slots_are_more_than_the_bound_and_it_is_said() -> None:
    jobs = [Job("t", (), (), pair) for pair in (("a", "b"), ("b", "c"), ("c", "a"))]
    made = stagger(jobs, Pace(), seen({}))
    assert list(made.notes) == ["3 beginnings one after the other, where 2 are needed at least"]
