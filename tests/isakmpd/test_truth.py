"""The states of DESIGN's table, one after the other, and to which connection an SA belongs."""

from dataclasses import replace

import pytest
from facts import N1, N2, OTHER, PEER, flows, kernel, nets, phase1, sa, seen

from ipsecfleet.isakmpd import truth
from ipsecfleet.isakmpd.names import alias_of
from ipsecfleet.model.sa import Exchange, KeptUp, Protocol, Sa
from ipsecfleet.model.snapshot import Connection, GatewaySnapshot, Listing, Unknown
from ipsecfleet.model.tunnel import End

UP = seen(sas=(sa(), phase1()), flows=flows(), kernel=kernel())


def only(gateway: GatewaySnapshot, **more: object) -> End:
    (end,) = truth.ends(gateway, **more)
    return end


def exchange(name: str | None = N1, phase: int = 2, **more: object) -> Exchange:
    return Exchange(name, phase, **{"ours": True, "step": 1, "icookie": "c" * 16, "rcookie": "0" * 16} | more)


def held(gateway: GatewaySnapshot) -> GatewaySnapshot:
    return replace(gateway, connections=(Connection(N1, Listing.HELD_ACTIVE, PEER),))


def test_up() -> None:
    assert only(UP).state == "up"


def test_phase_1_need_not_exist() -> None:
    assert only(replace(UP, sas=(sa(),))).state == "up"


@pytest.mark.parametrize("part", ["sas", "connections", "flows", "kernel"])
def test_a_part_that_was_not_read_makes_it_unknown(part: str) -> None:
    """Also the kernel's SAs: without them nobody knows whether it is stale."""
    ends = truth.ends(replace(UP, **{part: Unknown("failed: no memory")}))
    assert {(e.state.value, e.note) for e in ends} == ({("unknown", "failed: no memory")} if ends else set())
    assert bool(ends) == (part != "connections") or ends[0].connection == N1


def test_unknown_comes_before_backup_and_backup_before_all_else() -> None:
    duplicate = replace(UP, sas=(sa(), sa(spi=0x20)))
    assert only(duplicate, backup=True).state == "backup"
    assert only(replace(duplicate, flows=Unknown("x")), backup=True).state == "unknown"


def test_duplicate_comes_before_stale() -> None:
    assert only(replace(UP, sas=(sa(), sa(spi=0x20)), flows=())).state == "duplicate"


def test_a_replaced_twin_is_no_duplicate() -> None:
    twins = (sa(), sa(spi=0x20, flags=0xB))
    assert only(replace(UP, sas=twins, kernel=kernel() + kernel(0x20))).state == "up"


@pytest.mark.parametrize(
    ("change", "why"),
    [
        ({"flows": ()}, "live SA without flow"),
        ({"flows": flows(type="deny")}, "live SA without flow"),
        ({"flows": flows(peer=OTHER)}, "live SA without flow"),
        ({"kernel": ()}, "the kernel has no such SA"),
        ({"kernel": kernel()[:1]}, "the kernel has no such SA"),
        ({"sas": ()}, "the kernel has an SA that the daemon does not know"),
        ({"sas": (), "kernel": kernel(name=None)}, "the kernel has an SA that the daemon does not know"),
    ],
)
def test_stale(change: dict[str, object], why: str) -> None:
    end = only(replace(UP, **change))
    assert (end.state, end.note) == ("stale", why)


def test_stale_comes_before_rekeying_and_held() -> None:
    assert only(replace(UP, flows=(), exchanges=(exchange(),))).state == "stale"
    assert only(replace(held(UP), sas=())).state == "stale"


def test_an_sa_of_an_interface_needs_no_flow() -> None:
    name = "from-sec0-to-sec0"
    end = only(
        seen(
            sas=(sa(name, flags=0x403),),
            connections=(Connection(name, Listing.ACTIVE, PEER),),
            kernel=kernel(name=None),
        )
    )
    assert end.state == "up"


def test_a_reservation_of_a_negotiation_is_no_stray_kernel_sa() -> None:
    larval = tuple(replace(k, larval=True) for k in kernel())
    assert only(seen(kernel=larval, exchanges=(exchange(),))).state == "half-up"


@pytest.mark.parametrize(
    ("running", "state"),
    [
        (exchange(), "rekeying"),
        (exchange(ours=False), "up"),
        (exchange(finished=True), "up"),
        (exchange("peer-10.2.1.1", 1), "up"),
        (exchange(N2), "up"),
    ],
)
def test_rekeying_is_an_unfinished_phase_2_of_ours(running: Exchange, state: str) -> None:
    assert only(replace(UP, exchanges=(running,))).state == state


def test_fading_is_told() -> None:
    end = only(replace(UP, sas=(sa(flags=0x11, hard=142),)))
    assert (end.state, end.note) == ("up", "gone in 142 s unless its peer renews it")


def test_held_comes_before_half_up() -> None:
    end = only(held(seen(exchanges=(exchange(ours=False),))))
    assert (end.state, end.note) == ("held", "the peer keeps trying")
    assert only(held(seen())).state == "held"


def test_a_held_end_that_carries_traffic_is_up() -> None:
    assert only(held(UP)).state == "up"


def test_half_up() -> None:
    end = only(seen(exchanges=(exchange(ends_in_s=77),)))
    assert (end.state, end.note) == ("half-up", "phase 2, we began, ends in 77 s")
    peer = Connection(N1, Listing.ACTIVE, PEER, phase1="peer-10.2.1.1")
    assert only(seen(connections=(peer,), exchanges=(exchange("PEER-10.2.1.1", 1),))).state == "half-up"


def test_half_up_where_the_daemons_table_was_not_read() -> None:
    unnamed = Sa(None, 2, src="10.1.2.2", dst=PEER, protocols=(Protocol("esp", None, 0x31),))
    end = only(seen(sas=(unnamed,), exchanges=Unknown("not read")))
    assert (end.state, end.exchanges[0].ours) == ("half-up", True)
    assert only(seen(sas=(replace(unnamed, dst=OTHER),), exchanges=Unknown("not read"))).state == "down"


def test_down() -> None:
    assert only(seen(exchanges=(exchange(finished=True),))).state == "down"
    assert only(seen(sas=(sa(flags=0x0),))).state == "down"


def test_names_compare_without_case_and_lists_keep_their_spelling() -> None:
    end = only(replace(UP, sas=(sa(N1.upper()),), kernel=kernel(name=None)))
    assert (end.state, end.connection, end.live[0].name) == ("up", N1, N1.upper())


def two(peer_of_second: str = OTHER, **parts: object) -> GatewaySnapshot:
    listed = (Connection(N1, Listing.PASSIVE, PEER), Connection(N2, Listing.PASSIVE, peer_of_second))
    return seen(**({"connections": listed} | parts))


@pytest.mark.parametrize("told", [N1, None])
def test_a_responders_lying_name(told: str | None) -> None:
    """Transcript r12: the peer of N1 came back under N2; the kernel tells its networks, else its peer does."""
    gateway = two(sas=(sa(N2),), flows=flows(N1), kernel=kernel(name=told))
    first, second = truth.ends(gateway)
    assert (first.state, first.live[0].name) == ("up", N2)
    assert (second.state, second.live) == ("down", ())


def test_two_live_sas_of_one_name_are_told_apart_by_their_networks() -> None:
    gateway = two(
        sas=(sa(N2), sa(N2, 0x20, peer=OTHER)),
        flows=flows(N1) + flows(N2, peer=OTHER),
        kernel=kernel() + kernel(0x20, N2, peer=OTHER),
    )
    assert [(e.connection, e.state.value) for e in truth.ends(gateway)] == [(N1, "up"), (N2, "up")]


def test_the_same_networks_with_two_peers_are_two_ends() -> None:
    gateway = replace(UP, sas=(sa(), sa(spi=0x20, peer=OTHER)), kernel=kernel() + kernel(0x20, peer=OTHER))
    first, second = truth.ends(gateway)
    assert (first.peer, first.state, len(first.live)) == (PEER, "up", 1)
    assert (second.peer, second.state, second.listing) == (OTHER, "stale", Listing.NONE)


def test_an_sa_that_fits_nothing_is_an_end_of_its_own() -> None:
    ends = truth.ends(seen(sas=(sa(N2, peer=OTHER),), flows=flows(N2, peer=OTHER), kernel=kernel(name=N2, peer=OTHER)))
    assert [(e.connection, e.peer, e.state.value) for e in ends] == [(N1, PEER, "down"), (N2, OTHER, "up")]


def test_a_translated_network_is_that_of_its_flows() -> None:
    """`from 10.0.0.0/8 (172.16.1.0/24) to …`: the name has the real network, flows and SAs the translated one."""
    name = "from-10.0.0.0/8-to-192.168.1.0/24"
    gateway = replace(UP, sas=(sa(name),), connections=(Connection(name, Listing.ACTIVE, PEER),))
    end = only(gateway)
    assert (end.state, end.selectors) == ("up", nets(N1))


def test_the_alias_of_a_rekey_belongs_to_its_tunnel() -> None:
    alias = alias_of(N1)
    gateway = replace(UP, sas=(sa(alias, 0x20), sa(flags=0xB)), kernel=kernel() + kernel(0x20))
    end = only(gateway)
    assert (end.connection, end.state, [s.name for s in end.live]) == (N1, "up", [alias])


def test_the_peer_is_learnt_from_sa_then_flow_then_inventory() -> None:
    unsaid = (Connection(N1, Listing.ACTIVE),)
    assert only(replace(UP, connections=unsaid, flows=flows(peer=OTHER))).peer == PEER
    assert only(seen(connections=unsaid, flows=flows(peer=OTHER))).peer == OTHER
    assert only(seen(connections=unsaid), peers={nets(N1): [PEER]}).peer == PEER
    assert only(seen(connections=unsaid), peers={nets(N1): [PEER, OTHER]}).peer is None


def test_a_phase_1_belongs_by_its_addresses() -> None:
    foreign = replace(phase1(), src="10.1.2.3", name="peer-elsewhere")
    end = only(replace(UP, sas=(sa(), phase1(), phase1(OTHER), foreign)))
    assert [s.name for s in end.phase1_sas] == [f"peer-{PEER}"]
    assert end.phase1 == f"peer-{PEER}"


def test_what_is_kept_up() -> None:
    assert only(seen(connections=(Connection(N1, Listing.NONE, kept_up=KeptUp(N1, 30)),))).kept_up
