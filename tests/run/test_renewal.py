"""restart and rekey of simulated fleets: new keys, proven; what the tunnels' own logs say of it."""

from collections.abc import Callable
from itertools import pairwise

import pytest
from fleets import HUB, PEER, carp, customers, name, pair, star
from simworld import SimFleet
from watch import beginnings, busiest, lines, outages

from ipsecfleet.errors import Exit
from ipsecfleet.model.document import Document
from ipsecfleet.plan.rekey import RekeyOptions
from ipsecfleet.plan.restart import RestartOptions
from ipsecfleet.plan.stagger import Pace

EVERY = {"all_gateways": True}
BOTH = RestartOptions(both=True)
FLEETS: dict[str, Callable[[], SimFleet]] = {
    "pair": pair, "star": lambda: star(4), "customers": lambda: customers(3), "carp": carp,
    "both-active": lambda: pair("active", "active"), "one-peer": lambda: customers(3, peer=PEER),
}  # fmt: skip


def settled(make: Callable[[], SimFleet]) -> SimFleet:
    sim = make()
    sim.settle(130)
    return sim


def worst(sim: SimFleet, since: float) -> float:
    return max(outages(sim.events, since).values())


def spis(sim: SimFleet) -> set[int]:
    return {spi for t in sim.view().tunnels for e in t.ends if e.state.value != "backup" for spi in e.spis}


def alone(sim: SimFleet) -> None:
    """Everywhere one live SA, under the connection's own name, and nothing of an alias."""
    for tunnel in sim.view().tunnels:
        for end in (e for e in tunnel.ends if e.state.value != "backup"):
            assert [sa.name for sa in end.live] == [end.connection]
    for gateway in sim.gateways:
        seen = sim.view().seen(gateway.name)
        assert seen is not None
        assert seen.aliases == ()


@pytest.mark.parametrize("fleet", FLEETS)
def test_a_rekey_gives_new_keys_and_takes_no_flow_away(fleet: str) -> None:
    sim = settled(FLEETS[fleet])
    before, began = spis(sim), sim.world.now
    document = sim.rekey(**EVERY)
    assert (document.exit_code, document.errors) == (Exit.OK, ())
    assert worst(sim, began) == 0
    assert not spis(sim) & before
    assert set(busiest(sim.events, began).values()) == {1}
    alone(sim)


@pytest.mark.parametrize("fleet", FLEETS)
def test_a_restart_is_an_outage_of_milliseconds(fleet: str) -> None:
    sim = settled(FLEETS[fleet])
    before, began = spis(sim), sim.world.now
    document = sim.restart(**EVERY)
    assert (document.exit_code, document.errors) == (Exit.OK, ())
    assert 0 < worst(sim, began) < 0.5
    assert not spis(sim) & before
    alone(sim)


def test_a_restart_is_one_write() -> None:
    sim = settled(pair)
    sim.restart(tunnels=["oslo"])
    assert sim.sent == {"hub": [f"t quick {name(1)}", f"c {name(1)}"]}


def test_a_foreign_active_peer_brings_it_back_at_its_next_check() -> None:
    sim = settled(lambda: customers(1, "passive"))
    began = sim.world.now
    document = sim.restart(**EVERY)
    assert document.exit_code is Exit.OK
    assert document.plan is not None
    assert document.plan.notes == ("customer-1: only 10.2.1.1 begins; it is down until its next check, up to 60 s",)
    assert sim.sent == {"hub": [f"t quick {name(1)}"]}
    assert 0 < worst(sim, began) <= 60


def test_what_only_a_foreign_peer_begins_is_not_rekeyed() -> None:
    sim = settled(lambda: customers(2, "passive"))
    document = sim.rekey(**EVERY)
    assert document.exit_code is Exit.REFUSED
    assert [e.kind for e in document.errors] == ["other-begins"] * 2
    assert document.errors[0].hint == "rekey it at the other end; -x customer-1 leaves it out"
    assert sim.sent == {}


def test_held_tunnels_are_left_out_and_those_that_are_down_are_no_matter_of_a_rekey() -> None:
    sim = settled(lambda: customers(3))
    assert sim.down(tunnels=["customer-1"]).exit_code is Exit.OK
    sim.fifo("hub", f"t quick {name(2)}")
    sim.settle(1)
    document = sim.rekey(**EVERY)
    assert [(e.kind, e.obj) for e in document.errors] == [("not-up", "customer-2")]
    assert document.plan is not None
    assert document.plan.notes[0] == "customer-1 is held, and left out; `ipsecfleet up` brings it back"
    document = sim.rekey(tunnels=["customer-1", "customer-3"])
    assert [r.tunnel for r in document.results] == ["customer-3"]
    assert document.exit_code is Exit.OK
    assert sim.state("customer-1") == "held"


def test_what_is_down_is_brought_up_by_a_restart() -> None:
    sim = settled(lambda: customers(2))
    sim.fifo("hub", f"t quick {name(2)}")
    sim.settle(1)
    assert sim.restart(**EVERY).exit_code is Exit.OK
    assert [sim.state(f"customer-{n}") for n in (1, 2)] == ["up", "up"]


def test_both_phases_wait_until_the_old_responder_would_answer() -> None:
    sim = customers(3, peer=PEER)
    began = sim.world.now
    document = sim.restart(options=BOTH, **EVERY)
    assert document.exit_code is Exit.OK
    assert [line for line in sim.sent["hub"] if line.startswith("t main")] == [f"t main peer-{PEER}"]
    assert sim.world.now - began > 110
    assert worst(sim, began) < 0.5


def test_both_phases_at_once_where_phase_1_is_old_or_the_peer_began_it() -> None:
    for sim in (settled(lambda: customers(1)), settled(pair)):
        began = sim.world.now
        assert sim.restart(options=BOTH, **EVERY).exit_code is Exit.OK
        assert sim.world.now - began < 20
        assert worst(sim, began) < 0.5


def test_a_tag_that_was_cut_off_is_not_cloned() -> None:
    sim = settled(pair)
    sim.fifo("hub", f"C set [{name(1)}]:PF-Tag={'x' * 199} force")
    sim.settle(1)
    document = sim.rekey(tunnels=["oslo"])
    assert [(e.kind, e.message) for e in document.errors] == [
        ("not-cloneable", "oslo: its PF-Tag on hub cannot be cloned")
    ]


def test_every_tag_is_cloned() -> None:
    sim = settled(pair)
    sim.fifo("hub", f"C set [{name(1)}]:PF-Tag=customers force")
    sim.settle(1)
    assert sim.rekey(tunnels=["oslo"]).exit_code is Exit.OK
    clone = [line for line in sim.sent["hub"] if line.startswith("C set")]
    assert [line.partition(":")[2].partition("=")[0] for line in clone] == [
        "Phase", "ISAKMP-peer", "Configuration", "Local-ID", "Remote-ID", "PF-Tag",
    ]  # fmt: skip


def test_a_tunnel_whose_configuration_changed_since_the_plan_is_left_alone() -> None:
    sim = settled(pair)

    def before(gateway: str, changing: bool) -> None:
        if gateway == "hub" and not changing and sim.visits == 2:
            sim.fifo("hub", f"C set [{name(1)}]:PF-Tag=customers force")
            sim.settle(0.1)

    sim.before_visit = before
    document = sim.rekey(tunnels=["oslo"])
    assert document.exit_code is Exit.REFUSED
    assert document.errors[-1].message == f"{name(1)} on hub is configured otherwise now"
    assert sim.sent == {}


def test_of_foreign_peers_the_first_goes_alone_and_when_it_fails_no_other() -> None:
    sim = settled(lambda: customers(3, per_gateway_parallel=9))
    sim.world.cut("10.2.1.1")
    document = sim.rekey(**EVERY)
    assert document.exit_code is Exit.FAILED
    assert [line for line in sim.sent["hub"] if line.startswith("c ")] == ["c ipsecfleet-rekey-47aca557"]
    assert "customer-2: clone on hub skipped: customer-1 was not established" in [r.text for r in document.results]
    assert [sim.end(f"customer-{n}", "hub").flows != () for n in (1, 2, 3)] == [True] * 3


def test_no_more_at_once_than_the_fleet_may() -> None:
    sim = settled(lambda: customers(6, per_gateway_parallel=9))
    began = sim.world.now
    document = sim.restart(options=RestartOptions(pace=Pace(at_once=2)), **EVERY)
    assert document.exit_code is Exit.OK
    assert document.plan is not None
    assert [len(stage.steps) for stage in document.plan.stages] == [4, 4, 4]
    assert busiest(sim.events, began)["hub"] <= 2


def test_one_that_is_not_established_delays_its_own_machines_alone() -> None:
    sim = SimFleet()
    for hub, address in (("east", "10.1.1.1"), ("west", "10.1.1.2")):
        sim.gateway(hub, address)
        for n in (1, 2, 3):
            here, there, peer = (
                f"172.{address[-1]}.{n}.0/24",
                f"192.168.{n}{address[-1]}.0/24",
                f"10.{address[-1]}2.{n}.1",
            )
            sim.peer(peer)
            sim.rule(f"peer {peer}", "passive", there, here, address)
            sim.rule(hub, "active", here, there, peer)
            sim.tunnel(f"{hub}-{n}", (hub, here), (peer, there))
    sim.settle(140)
    sim.world.cut("10.12.1.1")
    began = sim.world.now
    document = sim.restart(**EVERY)
    assert (document.exit_code, [r.tunnel for r in document.results if not r.ok]) == (Exit.FAILED, ["east-1"])
    moments = {hub: [round(at - began) for at in beginnings(sim.events, began)[hub][:3]] for hub in ("east", "west")}
    assert moments["west"][-1] < 15
    assert 40 < moments["east"][1] - moments["east"][0] < 50


def test_a_schedule_is_stretched_and_one_that_is_too_short_is_a_mistake() -> None:
    sim = settled(lambda: customers(4))
    document = sim.rekey(options=RekeyOptions(pace=Pace(spread_s=120)), run={"dry_run": True}, **EVERY)
    assert document.plan is not None
    begins = [n.begin_s for n in document.plan.negotiations]
    assert [round(b) for b in begins] == [0, 30, 60, 90]
    with pytest.raises(Exception, match="--spread 20s is too short: 4 slots take 43 s at least") as caught:
        sim.rekey(options=RekeyOptions(pace=Pace(spread_s=20)), **EVERY)
    assert caught.value.exit_code is Exit.USAGE  # type: ignore[attr-defined]


def test_natural_rekeys_are_kept_clear_of() -> None:
    sim = customers(3)
    sim.settle(1000)
    soft = {t.name: t.ends[0].live[0].soft_s or 0 for t in sim.view().tunnels}
    document = sim.restart(run={"dry_run": True}, tunnels=["customer-2", "customer-3"], **EVERY)
    assert document.plan is not None
    for n in document.plan.negotiations:
        assert abs(n.begin_s - soft["customer-1"]) >= 3
    sim.settle(min(soft.values()) - 4)
    due = min(soft, key=lambda n: soft[n])
    others = sorted(set(soft) - {due})
    document = sim.restart(run={"dry_run": True}, tunnels=others, **EVERY)
    assert document.plan is not None
    assert document.plan.negotiations[0].begin_s > 5


def test_after_a_boot_without_its_tunnels_a_gateway_gets_them_back_one_at_a_time() -> None:
    sim = settled(lambda: star(6))
    sim.daemon("hub").kill()
    sim.daemon("hub").kernel.flush()
    sim.daemon("hub").start()
    sim.settle(130)
    began = sim.world.now
    document = sim.up(gateways=["hub"], up_s=135)
    assert document.exit_code is Exit.OK
    assert {t.state.value for t in sim.view().tunnels} == {"up"}
    assert busiest(sim.events, began)["hub"] == 1
    assert [s.action for s in document.steps or ()] == ["load"] * 6


def test_a_digest_is_the_same_a_moment_later() -> None:
    sim = settled(lambda: customers(4))

    def digest() -> tuple[str | None, list[float]]:
        document = sim.restart(run={"dry_run": True}, tunnels=others, **EVERY)
        assert document.plan is not None
        return document.digest, [n.begin_s for n in document.plan.negotiations]

    soft = {t.name: t.ends[0].live[0].soft_s or 0 for t in sim.view().tunnels}
    others = sorted(soft, key=lambda name: soft[name])[1:]
    sim.settle(min(soft.values()) - 9)
    first = digest()
    sim.settle(4)
    second = digest()
    assert first[1] != second[1]
    assert first[0] == second[0]


def leave_an_alias(sim: SimFleet) -> None:
    sim.fifo(
        "hub", "C set [ipsecfleet-rekey-47aca557]:Phase=2 force", "C set [ipsecfleet-rekey-01234567]:Phase=2 force"
    )
    sim.settle(1)


def test_clean_removes_what_is_left_and_nothing_else() -> None:
    sim = settled(pair)
    leave_an_alias(sim)
    before = sim.spis("hub")
    document = sim.rekey(options=RekeyOptions(clean=True), **EVERY)
    assert document.exit_code is Exit.OK
    assert sim.sent == {"hub": ["C rms [ipsecfleet-rekey-47aca557]", "C rms [ipsecfleet-rekey-01234567]"]}
    assert sim.spis("hub") == before
    alone(sim)
    assert sim.rekey(options=RekeyOptions(clean=True), **EVERY).result == "nothing"


def test_an_alias_that_lives_is_not_removed() -> None:
    sim = settled(pair)
    sim.fifo("hub", *_clone(sim), "c ipsecfleet-rekey-47aca557")
    sim.settle(1)
    document = sim.rekey(options=RekeyOptions(clean=True), **EVERY)
    assert document.exit_code is Exit.REFUSED
    assert document.errors[-1].message == "ipsecfleet-rekey-47aca557 is live on hub"


def _clone(sim: SimFleet) -> list[str]:
    connections = sim.view().snapshot.gateways["hub"].connections
    assert isinstance(connections, tuple)
    return [f"C set [ipsecfleet-rekey-47aca557]:{tag}={value} force" for tag, value in connections[0].tags or ()]


def test_one_tunnel_at_a_time_is_rekeyed_at_a_gateway_whatever_it_bears() -> None:
    """Each write puts the re-initialisation off, so a second one would keep the first one's alias up."""
    sim = settled(lambda: customers(4, per_gateway_parallel=9))
    began = sim.world.now
    document = sim.rekey(**EVERY)
    assert document.exit_code is Exit.OK
    assert busiest(sim.events, began)["hub"] == 1
    adds = [float(str(e["at"])) for e in sim.events if str(e.get("line", "")).startswith("c ipsecfleet-rekey-")]
    assert all(b - a >= 6 for a, b in pairwise(adds))


def test_duplicates_are_healed_by_a_rekey() -> None:
    sim = SimFleet()
    sim.gateway("hub", HUB)
    sim.peer(PEER)
    sim.rule(f"peer {PEER}", "active", "192.168.1.0/24", "172.16.1.0/24", HUB)
    sim.rule("hub", "active", "172.16.1.0/24", "192.168.1.0/24", PEER)
    sim.tunnel("customer-1", ("hub", "172.16.1.0/24"), (PEER, "192.168.1.0/24"))
    sim.settle(130)
    assert sim.rekey(tunnels=["customer-1"]).exit_code is Exit.OK
    alone(sim)


def test_the_last_line_says_what_was_done_and_where() -> None:
    def last(document: Document) -> str:
        return document.results[0].text.rpartition(" ")[0]

    assert last(settled(pair).rekey(tunnels=["oslo"])) == "oslo: rekeyed on hub and branch, new keys since"
    assert last(settled(pair).restart(tunnels=["oslo"])) == "oslo: restarted on hub and branch, new keys since"
    assert list(lines([{"event": "fifo", "gateway": "hub", "line": "S", "at": 1.0}], "hub")) == ["S"]
