"""What the options mean on the example fleet, and the laws: union within an option, intersection across, order."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ipsecfleet.errors import OperatorError
from ipsecfleet.inventory import Selection, default_fleet, other_ends, parse, pick, resolve_gateways
from ipsecfleet.model.fleet import Fleet, Gateway, TunnelEnd, TunnelSpec
from ipsecfleet.model.tunnel import End, State, Tunnel

FLEET = parse((Path(__file__).parents[2] / "inventories" / "example" / "inventory.toml").read_text())
STATES = list(State)
ONLY_THE_DAEMON = "from-172.16.99.0/24-to-192.168.99.0/24"


def connection(here: TunnelEnd, there: TunnelEnd) -> str:
    return f"from-{here.networks[0]}-to-{there.networks[0]}"


def ends(spec: TunnelSpec) -> tuple[End, ...]:
    ways = ((spec.a, spec.b), (spec.b, spec.a))
    return tuple(
        End(gateway.name, connection(here, there), State.UP, peer=FLEET.addresses(there)[0])
        for here, there in ways
        for gateway in FLEET.members(here)
    )


def seen_tunnels() -> tuple[Tunnel, ...]:
    """One tunnel for each of the inventory, states in turn, and one that only the daemon of hub-fra1 knows."""
    known = tuple(Tunnel(t.name, STATES[n % len(STATES)], ends(t)) for n, t in enumerate(FLEET.tunnels))
    stray = End("hub-fra1", ONLY_THE_DAEMON, State.UP, peer="10.2.99.1")
    return (*known, Tunnel(ONLY_THE_DAEMON, State.UP, (stray,), known=False))


SEEN = seen_tunnels()
NAMES = [t.name for t in SEEN]
GATEWAYS = [g.name for g in FLEET.gateways]
GROUPS = ["hub", "eu", "nordic", "branch", "fra", "ams"]
PEERS = sorted({e.peer for t in SEEN for e in t.ends if e.peer is not None})


def names(found: tuple[Gateway, ...] | tuple[Tunnel, ...]) -> list[str]:
    return [one.name for one in found]


def picked(selection: Selection) -> list[str]:
    return names(pick(SEEN, FLEET, selection))


def words(choices: list[str]) -> st.SearchStrategy[tuple[str, ...]]:
    return st.lists(st.sampled_from(choices), min_size=1, max_size=4, unique=True).map(tuple)


TUNNEL_WORDS = words(
    [*NAMES, "customer-*", "*-fra", "customer-[2-11]", connection(FLEET.tunnels[0].b, FLEET.tunnels[0].a)]
)
GATEWAY_WORDS = words([*GATEWAYS, "hub-*", "hub-fra[1-2]"])
PEER_WORDS = words(PEERS)
OPTIONS: dict[str, st.SearchStrategy[tuple[str, ...]]] = {
    "tunnels": TUNNEL_WORDS,
    "gateways": GATEWAY_WORDS,
    "groups": words(GROUPS),
    "peers": PEER_WORDS,
    "state": words([str(s) for s in STATES]),
}


def of(option: str, given_words: tuple[str, ...]) -> Selection:
    return Selection.of(**{option: given_words})


@pytest.mark.parametrize("option", OPTIONS)
@given(data=st.data())
def test_words_of_an_option_are_united(option: str, data: st.DataObject) -> None:
    one, other = data.draw(OPTIONS[option]), data.draw(OPTIONS[option])
    both = set(picked(of(option, one))) | set(picked(of(option, other)))
    assert picked(of(option, one + other)) == [name for name in NAMES if name in both]


@given(TUNNEL_WORDS, GATEWAY_WORDS, PEER_WORDS)
def test_options_cut_each_other_at_one_end(t: tuple[str, ...], g: tuple[str, ...], p: tuple[str, ...]) -> None:
    by_name = set(picked(Selection.of(tunnels=t)))
    where = set(names(resolve_gateways(FLEET, Selection.of(gateways=g), default_all=True)))
    fits = {tunnel.name for tunnel in SEEN for e in tunnel.ends if e.gateway in where and e.peer in p}
    exact = any(word in NAMES[-1:] or "-to-" in word for word in t)
    found = set(picked(Selection.of(tunnels=t, gateways=g, peers=p)))
    assert found <= by_name & fits
    assert exact or found == by_name & fits


@given(TUNNEL_WORDS, st.sampled_from(STATES), st.sampled_from(NAMES[:-1]))
def test_state_and_exclusion_take_away(t: tuple[str, ...], state: State, name: str) -> None:
    all_of_them = pick(SEEN, FLEET, Selection.of(tunnels=t))
    less = pick(SEEN, FLEET, Selection.of(tunnels=t, state=[state], exclude=[name]))
    assert less == tuple(tunnel for tunnel in all_of_them if tunnel.state is state and tunnel.name != name)


@given(st.permutations(SEEN), GATEWAY_WORDS)
def test_the_order_is_that_of_the_inventory(shuffled: list[Tunnel], g: tuple[str, ...]) -> None:
    selection = Selection.of(gateways=g)
    found = pick(shuffled, FLEET, selection)
    assert found == pick(SEEN, FLEET, selection)
    assert pick(found, FLEET, selection) == found
    assert names(found) == [name for name in NAMES if name in names(found)]


@given(GATEWAY_WORDS, GATEWAY_WORDS, words(GROUPS), st.sampled_from([*GATEWAYS, *GROUPS]))
def test_gateways_follow_the_same_laws(
    one: tuple[str, ...], other: tuple[str, ...], groups: tuple[str, ...], excluded: str
) -> None:
    def resolved(**options: tuple[str, ...]) -> list[str]:
        return names(resolve_gateways(FLEET, Selection.of(**options), default_all=False))

    united = set(resolved(gateways=one)) | set(resolved(gateways=other))
    assert resolved(gateways=one + other) == [g for g in GATEWAYS if g in united]
    cut = set(resolved(gateways=one)) & set(resolved(groups=groups))
    assert resolved(gateways=one, groups=groups) == [g for g in GATEWAYS if g in cut]
    away = {g.name for g in FLEET.gateways if excluded in {g.name, *g.groups, g.carp.group if g.carp else ""}}
    assert resolved(gateways=one, exclude=(excluded,)) == [g for g in resolved(gateways=one) if g not in away]


def test_nothing_named_is_all_for_readers_and_an_error_for_others() -> None:
    assert names(resolve_gateways(FLEET, Selection(), default_all=True)) == GATEWAYS
    for selection in (Selection(), Selection.of(peers=["10.2.1.1"]), Selection.of(tunnels=[ONLY_THE_DAEMON])):
        with pytest.raises(OperatorError, match="no gateways are named") as caught:
            resolve_gateways(FLEET, selection, default_all=False)
        assert "-A" in caught.value.hint
    assert picked(Selection()) == NAMES


@pytest.mark.parametrize(
    ("tunnels", "exclude", "gateways"),
    [
        (["customer-1"], [], ["hub-fra1", "hub-fra2"]),
        (["oslo-fra"], [], ["hub-fra1", "hub-fra2", "br-oslo"]),
        (["oslo-*"], ["oslo-fra"], ["hub-ams1", "hub-ams2", "br-oslo", "br-bergen"]),
        (["oslo-fra"], ["hub"], ["br-oslo"]),
        (["*"], [], GATEWAYS),
        (["customer-1", ONLY_THE_DAEMON], [], GATEWAYS),
    ],
)
def test_tunnels_bring_their_gateways(tunnels: list[str], exclude: list[str], gateways: list[str]) -> None:
    selection = Selection.of(tunnels=tunnels, exclude=exclude)
    assert names(resolve_gateways(FLEET, selection, default_all=True)) == gateways


def test_a_tunnel_brings_nothing_where_gateways_are_named() -> None:
    selection = Selection.of(tunnels=["oslo-fra"], gateways=["br-oslo,br-cork"])
    assert names(resolve_gateways(FLEET, selection, default_all=False)) == ["br-oslo", "br-cork"]


@pytest.mark.parametrize(
    ("options", "others"),
    [
        ({"tunnels": ["oslo-fra"], "gateways": ["br-oslo"]}, ["hub-fra1", "hub-fra2"]),
        ({"tunnels": ["oslo-fra"], "gateways": ["hub-fra1"]}, ["hub-fra2", "br-oslo"]),
        ({"tunnels": ["oslo-fra"], "gateways": ["br-oslo"], "exclude": ["hub-fra2"]}, ["hub-fra1"]),
        ({"tunnels": ["oslo-fra"], "gateways": ["br-cork"]}, []),
        ({"peers": ["192.0.2.31"], "gateways": ["hub-ams1"]}, ["hub-ams2", "br-oslo"]),
        ({"peers": ["203.0.113.2"], "gateways": ["hub-ams1"]}, []),
        ({"tunnels": ["from-10.31.0.0/16-to-172.16.0.0/16"], "gateways": ["br-oslo"]}, ["hub-fra1", "hub-fra2"]),
        (
            {"tunnels": ["from-10.31.0.0/16=6:443-to-172.16.0.0/16=6"], "gateways": ["br-oslo"]},
            ["hub-fra1", "hub-fra2"],
        ),
        ({"tunnels": ["from-10.31.0.0/16-to-172.16.0.0/16"], "gateways": ["hub-ams1"]}, []),
        ({"gateways": ["br-gdansk"]}, ["hub-fra1", "hub-fra2", "hub-ams1", "hub-ams2"]),
    ],
)
def test_the_other_ends_come_along(options: dict[str, list[str]], others: list[str]) -> None:
    selection = Selection.of(**options)
    here = resolve_gateways(FLEET, selection, default_all=False)
    assert names(other_ends(FLEET, selection, here)) == others


@pytest.mark.parametrize(
    ("options", "tunnels"),
    [
        ({"peers": ["10.2.1.1"]}, ["customer-1", "customer-2"]),
        ({"peers": ["10.2.99.1"]}, [ONLY_THE_DAEMON]),
        ({"peers": ["10.2.1.10"]}, []),
        ({"peers": ["2001:DB8:FFFF::0001"]}, ["research6"]),
        ({"tunnels": [ONLY_THE_DAEMON]}, [ONLY_THE_DAEMON]),
        ({"tunnels": ["from-192.168.1.0/24-to-172.16.1.0/24"]}, []),
        ({"tunnels": ["from-172.16.1.0/24-to-192.168.1.0/24"]}, ["customer-1"]),
        ({"tunnels": ["from-10.31.0.0/16-to-172.16.0.0/16"], "gateways": ["hub-fra1"]}, []),
        ({"tunnels": ["fr*"]}, ["fra-ams"]),
        ({"peers": ["203.0.113.1"], "gateways": ["hub-fra1"]}, []),
        ({"peers": ["203.0.113.1"], "gateways": ["br-oslo"]}, ["oslo-fra"]),
        ({"groups": ["fra"], "peers": ["192.0.2.31"]}, ["oslo-fra"]),
    ],
)
def test_what_is_picked(options: dict[str, list[str]], tunnels: list[str]) -> None:
    assert picked(Selection.of(**options)) == tunnels


def test_everything_is_more_than_the_inventory() -> None:
    assert picked(Selection.of(tunnels=["*"])) == NAMES
    assert picked(Selection.of(tunnels=["*"], exclude=[ONLY_THE_DAEMON])) == NAMES[:-1]


def test_a_picked_tunnel_has_all_its_ends_but_the_excluded() -> None:
    (whole,) = pick(SEEN, FLEET, Selection.of(tunnels=["oslo-fra"], gateways=["br-oslo"]))
    assert whole.gateways == {"hub-fra1", "hub-fra2", "br-oslo"}
    (less,) = pick(SEEN, FLEET, Selection.of(tunnels=["oslo-fra"], exclude=["hub-fra2"]))
    assert less.gateways == {"hub-fra1", "br-oslo"}
    assert picked(Selection.of(tunnels=["customer-1"], exclude=["fra"])) == []


def test_an_end_that_told_no_peer_has_that_of_the_inventory() -> None:
    silent = replace(SEEN[0], ends=tuple(End(e.gateway, None, State.UNKNOWN) for e in SEEN[0].ends))
    assert pick([silent], FLEET, Selection.of(peers=["192.0.2.31"], gateways=["hub-fra1"])) == (silent,)
    assert pick([silent], FLEET, Selection.of(peers=["192.0.2.31"], gateways=["br-oslo"])) == ()


@pytest.mark.parametrize(
    ("options", "message", "hint"),
    [
        ({"gateways": ["hub-fra3"]}, "no gateway hub-fra3", "did you mean hub-fra2?"),
        ({"gateways": ["gw[01-40]"]}, "no gateway gw[01-40]", ""),
        ({"groups": ["nordics"]}, "no group nordics", "did you mean nordic?"),
        ({"tunnels": ["custmer-1"]}, "no tunnel custmer-1", "did you mean customer-1?"),
        ({"tunnels": ["peer-10.2.1.1"]}, "no tunnel peer-10.2.1.1", ""),
        ({"exclude": ["br-osl"]}, "no gateway, group or tunnel br-osl", "did you mean br-oslo?"),
        ({"gateways": ["ops@"]}, "'ops@' is no gateway", "a gateway outside the inventory is user@host"),
    ],
)
@pytest.mark.parametrize(
    "use", [lambda s: resolve_gateways(FLEET, s, default_all=True), lambda s: pick(SEEN, FLEET, s)]
)
def test_a_word_that_names_nothing(
    options: dict[str, list[str]], message: str, hint: str, use: Callable[[Selection], object]
) -> None:
    with pytest.raises(OperatorError) as caught:
        use(Selection.of(**options))
    assert caught.value.message == message
    assert caught.value.hint.startswith(hint)


def test_gateways_outside_the_inventory_follow_it() -> None:
    selection = Selection.of(gateways=["ops@z,ops@a,br-cork"], exclude=["ops@z"])
    assert names(resolve_gateways(FLEET, selection, default_all=False)) == ["br-cork", "ops@a"]


def test_without_an_inventory() -> None:
    fleet = default_fleet(["ops@one", "ops@two"])
    selection = Selection.of(gateways=["ops@two"], tunnels=["*"])
    assert names(resolve_gateways(fleet, selection, default_all=False)) == ["ops@two"]
    stray = Tunnel(ONLY_THE_DAEMON, State.UP, (End("ops@two", ONLY_THE_DAEMON, State.UP),), known=False)
    assert pick([stray], fleet, selection) == (stray,)
    with pytest.raises(OperatorError, match="no tunnel customer-1") as caught:
        pick([stray], fleet, Selection.of(tunnels=["customer-1"]))
    assert "--peer" in caught.value.hint


def test_no_real_gateway_joins_a_lab_whose_time_runs_faster() -> None:
    lab = Fleet(gateways=(Gateway("gw1", "127.0.0.1"),), time_scale=60.0)
    assert resolve_gateways(lab, Selection.of(gateways=["ops@127.0.0.2"]), default_all=False)
    with pytest.raises(OperatorError, match="ops@hub is no part of a lab"):
        resolve_gateways(lab, Selection.of(gateways=["ops@hub"]), default_all=False)
