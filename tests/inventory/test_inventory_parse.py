import tomllib
from collections.abc import Iterator
from copy import deepcopy
from ipaddress import ip_network
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ipsecfleet.errors import OperatorError
from ipsecfleet.inventory import InventoryError, parse, parse_duration
from ipsecfleet.inventory.check import check
from ipsecfleet.inventory.problems import Problem
from ipsecfleet.inventory.schema import read_fleet
from ipsecfleet.model.fleet import Carp, Limit, Paths

EXAMPLE = Path(__file__).parents[2] / "inventories" / "example" / "inventory.toml"

MINIMAL = """
schema = 1
[gateway.gw1]
address = "127.0.0.1"
[[tunnel]]
name = "t1"
a = { gateway = "gw1", networks = ["10.1.0.0/16"] }
b = { peer = "192.0.2.1", networks = ["10.2.3.4/16"] }
"""


def problems_in(text: str) -> tuple[Problem, ...]:
    with pytest.raises(InventoryError) as caught:
        parse(text)
    return caught.value.problems


def test_the_example() -> None:
    fleet = parse(EXAMPLE.read_text(), source="inventory.toml")
    assert (len(fleet.gateways), len(fleet.tunnels), fleet.name) == (12, 40, "example")
    assert {g.carp.group for g in fleet.gateways if g.carp} == {"fra", "ams"}
    assert fleet.source == "inventory.toml"
    assert str(fleet.limits.max_tunnels_down) == "10%"


def test_defaults_are_merged_into_gateways() -> None:
    fleet = parse(EXAMPLE.read_text())
    hub, cork = fleet.gateway("hub-fra1"), fleet.gateway("br-cork")
    assert hub is not None
    assert cork is not None
    assert (hub.user, hub.connect_timeout, hub.min_gap, hub.known_hosts) == ("ipsecops", 5.0, 5.0, "known_hosts")
    assert (cork.user, cork.connect_timeout, cork.min_gap) == ("ipsecops", 15.0, 20.0)
    assert hub.carp == Carp("fra", "carp0", "203.0.113.1")


def test_paths_of_the_defaults_are_merged_key_by_key() -> None:
    text = MINIMAL + '[gateway.gw1.paths]\nrun = "/lab/run"\n[defaults]\npaths = { etc = "/lab/etc", bin = "/lab/bin" }'
    assert parse(text).gateways[0].paths == Paths("/lab/run", "/lab/etc", "/lab/bin")


def test_ends_and_their_files() -> None:
    fleet = parse(EXAMPLE.read_text())
    tunnels = {t.name: t for t in fleet.tunnels}
    ours, theirs = tunnels["customer-1"].a, tunnels["customer-1"].b
    assert (ours.carp, ours.file, theirs.peer, theirs.file) == ("fra", "customer-1.conf", "10.2.1.1", None)
    assert (tunnels["oslo-fra"].a.file, tunnels["oslo-fra"].b.file) == ("oslo.conf", "fra.conf")
    assert (tunnels["lyon-turin"].a.file, tunnels["lyon-turin"].b.file) == ("lyon-turin.conf", "lyon-turin.conf")


def test_values_are_normalised() -> None:
    text = MINIMAL.replace("192.0.2.1", "2001:DB8:0::1").replace('"127.0.0.1"', '"127.0.0.1"\nike = ["2001:DB8::0:2"]')
    fleet = parse(text)
    assert fleet.gateways[0].ike == ("2001:db8::2",)
    assert fleet.tunnels[0].b.peer == "2001:db8::1"
    assert fleet.tunnels[0].b.networks == (ip_network("10.2.0.0/16"),)


def test_limits() -> None:
    limits = parse(MINIMAL + '[limits]\nmax_tunnels_down = 3\nmax_gateways_touched = "100%"\nmax_failures = 0').limits
    assert limits.max_tunnels_down == Limit(3)
    assert limits.max_gateways_touched == Limit(100, percent=True)
    assert limits.max_failures == 0


def test_time_scale_on_loopback_only() -> None:
    assert parse("time_scale = 60\n" + MINIMAL).time_scale == 60.0
    away = MINIMAL.replace("127.0.0.1", "localhost")
    assert [path for path, _ in problems_in("time_scale = 60\n" + away)] == ["time_scale"]
    assert parse("time_scale = 1\n" + away).time_scale == 1.0


def test_one_address_behind_several_ports_or_jump_hosts_is_several_machines() -> None:
    text = MINIMAL + '[gateway.gw2]\naddress = "127.0.0.1"\n'
    assert [path for path, _ in problems_in(text)] == ["gateway.gw2.address"]
    assert len(parse(text + "port = 2222").gateways) == 2
    assert len(parse(text + 'jump = "bastion"').gateways) == 2


def test_a_carp_member_may_have_the_shared_address_as_its_own() -> None:
    carp = 'carp = { group = "g", interface = "carp0", vip = "192.0.2.9" }\nike = ["192.0.2.9"]\n'
    text = f'schema = 1\n[gateway.one]\naddress = "one"\n{carp}[gateway.two]\naddress = "two"\n{carp}'
    assert [g.ike for g in parse(text).gateways] == [("192.0.2.9",), ("192.0.2.9",)]


def test_ike_says_which_of_several_addresses() -> None:
    text = """
    schema = 1
    gateway.one = { address = "one", ike = ["192.0.2.1", "192.0.2.2"] }
    gateway.two = { address = "two", ike = ["192.0.2.3", "2001:db8::3"] }
    [[tunnel]]
    name = "t"
    a = { gateway = "one", networks = ["10.1.0.0/16"] }
    b = { gateway = "two", networks = ["10.2.0.0/16"] }
    """
    assert [path for path, _ in problems_in(text)] == ["tunnel.t.a.ike"]
    fleet = parse(text.replace('gateway = "one"', 'gateway = "one", ike = "192.0.2.2"'))
    assert fleet.addresses(fleet.tunnels[0].a) == ("192.0.2.2",)


def test_what_ends_before_its_end_is_located() -> None:
    assert problems_in("schema = 1\r\nfleet = ")[0][0] == "line 2, column 9"


@pytest.mark.parametrize("text", ["a = " + "[" * 100_000, "a = " + "9" * 5000], ids=["nested", "long"])
def test_what_python_cannot_hold_is_a_problem_too(text: str) -> None:
    assert problems_in(text)[0][0] == "the whole"


@given(st.text() | st.text(alphabet='schema=1[]{}."\n', max_size=60))
def test_parsing_is_total(text: str) -> None:
    try:
        fleet = parse(text, source="here")
    except InventoryError:
        return
    assert fleet.source == "here"


KEYS = [
    *("schema", "fleet", "time_scale", "defaults", "limits", "gateway", "tunnel", "address", "ike", "groups", "carp"),
    *("group", "interface", "vip", "user", "port", "privilege", "conf_dir", "connect_timeout", "paths", "run", "name"),
    *("a", "b", "files", "networks", "peer", "psk", "gw1"),
]
WORDS = [
    "gw1",
    "fra",
    "10.1.0.0/16",
    "2001:db8::/32",
    "192.0.2.1",
    "2001:db8::1",
    "doas",
    "/etc",
    "5s",
    "10%",
    "",
    "é\x1b",
]
SCALARS = st.none() | st.booleans() | st.integers(-2, 70_000) | st.floats() | st.sampled_from(WORDS)
VALUES = st.recursive(
    SCALARS, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(KEYS), inner, max_size=5)
)


@given(st.dictionaries(st.sampled_from(KEYS), VALUES, max_size=6))
def test_any_document_is_read_and_checked(document: dict[str, object]) -> None:
    problems: list[Problem] = []
    problems += check(read_fleet(document, problems))
    assert all(what.isprintable() for _, what in problems)


def small_tables() -> dict[str, object]:
    return tomllib.loads(
        MINIMAL + '[defaults.paths]\n[limits]\n[gateway.gw1.carp]\ngroup="g"\ninterface="em0"\nvip="::1"'
    )


def tables(value: object, path: tuple[str | int, ...] = ()) -> Iterator[tuple[str | int, ...]]:
    if isinstance(value, dict):
        yield path
        for key, inner in value.items():
            yield from tables(inner, (*path, key))
    if isinstance(value, list):
        for number, inner in enumerate(value):
            yield from tables(inner, (*path, number))


@pytest.mark.parametrize("path", [p for p in tables(small_tables()) if p != ("gateway",)], ids=str)
def test_an_unknown_key_is_a_problem_in_every_table(path: tuple[str | int, ...]) -> None:
    document = deepcopy(small_tables())
    table: object = document
    for step in path:
        table = table[step]
    assert isinstance(table, dict)
    table["unheard_of"] = 1
    problems: list[Problem] = []
    read_fleet(document, problems)
    assert [where.rsplit(".")[-1] for where, _ in problems] == ["unheard_of"]
    assert "unknown key" in problems[0][1]


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        (90, 90),
        (1.5, 1.5),
        (0, 0),
        ("90", 90),
        ("90s", 90),
        ("1.5s", 1.5),
        (" 5m ", 300),
        ("8h", 28_800),
        ("0.5h", 1800),
    ],
)
def test_durations(value: str | float, seconds: float) -> None:
    assert parse_duration(value) == seconds


@pytest.mark.parametrize(
    "value", ["", "s", "5x", "-5s", "5 s", "1h30m", "1e3", "٣", "5s\n5", -1, float("nan"), float("inf"), 1e12]
)
def test_what_is_no_duration(value: str | float) -> None:
    with pytest.raises(OperatorError, match="is no duration"):
        parse_duration(value)


@given(st.integers(0, 9999), st.sampled_from([("s", 1), ("m", 60), ("h", 3600)]))
def test_a_unit_multiplies(number: int, unit: tuple[str, int]) -> None:
    word, seconds = unit
    if number * seconds <= 366 * 86_400:
        assert parse_duration(f"{number}{word}") == number * seconds
