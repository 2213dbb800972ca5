"""What is foretold, held against what the simulated daemons did then."""

from itertools import pairwise

import pytest
from fleets import HUB, customers, pair
from simworld import SimFleet
from watch import beginnings

from ipsecfleet.plan.forecast import Computation, forecast, peak, per_window
from ipsecfleet.plan.rekey import RekeyOptions
from ipsecfleet.plan.stagger import Pace

CYCLE = 1200.0


def many(count: int) -> SimFleet:
    """That many tunnels of one hub, all started in one moment."""
    sim = SimFleet()
    sim.gateway("hub", HUB)
    for n in range(1, count + 1):
        here, there, peer = f"172.16.{n}.0/24", f"192.168.{n}.0/24", f"10.2.{n}.1"
        sim.peer(peer)
        sim.rule(f"peer {peer}", "passive", there, here, HUB)
        sim.rule("hub", "active", here, there, peer)
        sim.tunnel(f"customer-{n}", ("hub", here), (peer, there))
    sim.settle(60)
    return sim


def fullest(moments: list[float], window_s: float) -> tuple[int, float]:
    """How many are in the fullest window, and when that begins."""
    counts = [(sum(at <= other < at + window_s for other in moments), -at) for at in moments]
    most, when = max(counts)
    return most, -when


@pytest.mark.parametrize("window_s", [10.0, 30.0, 60.0])
def test_an_unscheduled_start_of_100_tunnels_peaks_as_foretold(window_s: float) -> None:
    sim = many(100)
    now = sim.world.now
    foretold = peak((c for c in forecast(sim.view(), CYCLE) if c.machine == "hub"), window_s)
    sim.settle(CYCLE)
    happened = [at - now for at in beginnings(sim.events, now)["hub"] if at - now <= CYCLE]
    most, when = fullest(happened, window_s)
    assert most > 10
    assert abs(foretold.count - most) <= 1
    assert abs(foretold.in_s - when) <= window_s


def test_both_machines_compute_and_each_cycle_comes_before_the_end_of_the_last() -> None:
    sim = pair()
    sim.settle(100)
    view = sim.view()
    (oslo,) = view.tunnels
    soft, soft1 = oslo.ends[0].live[0].soft_s, oslo.ends[0].phase1_sas[0].soft_s
    found = forecast(view, 4000.0)
    quick = sorted({round(c.in_s, 3) for c in found})
    assert {c.machine for c in found} == {"hub", "branch"}
    assert quick[0] == soft
    assert len(found) == 2 * len(quick)
    phase2 = [at for at in quick if at != soft1]
    assert all(0.85 * 1200 <= b - a <= 0.95 * 1200 for a, b in pairwise(phase2))


def test_where_the_peer_renews_the_coming_cycle_is_a_draw() -> None:
    sim = customers(1, "passive")
    sim.settle(100)
    view = sim.view()
    first = forecast(view, 2000.0)[0]
    age = view.tunnels[0].ends[0].live[0].age_s or 0
    assert 0.85 * 1200 <= first.in_s + age <= 0.95 * 1200
    assert forecast(view, 2000.0)[0] == first


def test_a_plan_comes_in_between_and_its_overlaps_count_twice() -> None:
    sim = customers(3)
    sim.settle(130)
    document = sim.rekey(options=RekeyOptions(pace=Pace(spread_s=600)), run={"dry_run": True}, all_gateways=True)
    assert document.plan is not None
    soon = [c for c in forecast(sim.view(), 700.0, document.plan) if c.machine == "hub"]
    begins = [n.begin_s for n in document.plan.negotiations]
    assert [round(c.in_s - b) for c, b in zip(soon[::2], begins, strict=True)] == [0, 0, 0]
    assert [round(c.in_s - b) for c, b in zip(soon[1::2], begins, strict=True)] == [5, 5, 5]
    late = peak((c for c in forecast(sim.view(), 1900.0, document.plan) if c.machine == "hub" and c.in_s > 700), 60.0)
    assert late.count == 1


def test_windows() -> None:
    found = [Computation(at, "hub", f"t{at}", 2.0) for at in (1.0, 9.0, 11.0, 30.0)]
    assert peak(found, 10.0).count == 2
    assert peak(found, 10.1).tunnels == ("t1.0", "t9.0", "t11.0")
    assert peak(found, 10.1).cost == 6.0
    assert per_window(found, 10.0, 35.0) == (2, 1, 0, 1)
    assert peak([], 10.0).count == 0
