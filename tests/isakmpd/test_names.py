from ipaddress import IPv4Network, IPv6Network, ip_network

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ipsecfleet.isakmpd.names import (
    alias_of,
    connection_name,
    is_alias,
    local_id,
    parse_connection,
    parse_phase1,
    phase1_name,
    remote_id,
)
from ipsecfleet.model.net import Network, Selector, Selectors


def selector(net: str, proto: int = 0, port: int = 0) -> Selector:
    return Selector(ip_network(net), proto, port)


@pytest.mark.parametrize(
    ("name", "local", "remote"),
    [
        ("from-172.16.1.0/24-to-192.168.1.0/24", selector("172.16.1.0/24"), selector("192.168.1.0/24")),
        ("from-10.2.1.1-to-10.2.2.1", selector("10.2.1.1/32"), selector("10.2.2.1/32")),
        ("from-10.0.0.1/32-to-10.0.0.2/32", selector("10.0.0.1/32"), selector("10.0.0.2/32")),
        ("from-10.1/16-to-10.1.2.3/24", selector("10.1.0.0/16"), selector("10.1.2.0/24")),
        ("from-::/0-to-3ffe::1/24", selector("::/0"), selector("3ffe::/24")),
        ("from-3ffe::1=6:2022-to-3ffe::2=6:22", selector("3ffe::1", 6, 2022), selector("3ffe::2", 6, 22)),
        ("from-172.16.1.5=17:53-to-192.168.1.5=17", selector("172.16.1.5", 17, 53), selector("192.168.1.5", 17)),
        ("from-172.16.9.0/24=1-to-192.168.9.0/24=1", selector("172.16.9.0/24", 1), selector("192.168.9.0/24", 1)),
    ],
)
def test_a_connection_name_is_read_back_as_values(name: str, local: Selector, remote: Selector) -> None:
    assert parse_connection(name) == Selectors(local, remote)


@pytest.mark.parametrize(
    "name",
    [
        "from-sec0-to-sec0",
        "from-em0-to-10.0.0.0/8",
        "from-10.0.0.0/8-to-",
        "from-10.0.0.0/8-to-::/0",
        "from-10.0.0.0/8=6-to-10.0.1.0/24",
        "from-10.0.0.0/8=256-to-10.0.1.0/24=256",
        "from-10.0.0.0/8=6:65536-to-10.0.1.0/24=6",
        "from-10.0.0.0/33-to-10.0.1.0/24",
        "from-10.0.0.1-to-10.0.0.2\n",
        "from-\u06610.0.0.1-to-10.0.0.2",
        "peer-10.2.1.1",
        "Connection-0",
        "",
    ],
)
def test_what_names_no_networks_is_read_back_as_none(name: str) -> None:
    assert parse_connection(name) is None


@pytest.mark.parametrize(
    ("name", "ends"),
    [
        ("peer-10.2.1.1", ("10.2.1.1", None)),
        ("peer-2001:db8::1", ("2001:db8::1", None)),
        ("peer-192.168.3.1-local-192.168.3.2", ("192.168.3.1", "192.168.3.2")),
        ("peer-10.2.1.1-local-em0", ("10.2.1.1", "em0")),
        ("peer-default", (None, None)),
        ("from-10.0.0.1-to-10.0.0.2", None),
        ("peer-", None),
        ("peer-a b", None),
    ],
)
def test_a_phase_1_name_is_read_back(name: str, ends: tuple[str | None, str | None] | None) -> None:
    assert parse_phase1(name) == ends
    if ends is not None:
        assert phase1_name(*ends) == name


def test_the_default_peer_never_names_its_local_address() -> None:
    assert phase1_name(None, "10.0.0.1") == "peer-default"


def networks(kind: type[IPv4Network | IPv6Network], bits: int) -> st.SearchStrategy[Network]:
    pairs = st.tuples(st.integers(0, 2**bits - 1), st.integers(0, bits))
    return pairs.map(lambda pair: kind(pair, strict=False))


def sides(kind: type[IPv4Network | IPv6Network], bits: int) -> st.SearchStrategy[tuple[Network, Network]]:
    return st.tuples(networks(kind, bits), networks(kind, bits))


@given(
    sides(IPv4Network, 32) | sides(IPv6Network, 128), st.integers(0, 255), st.integers(0, 65535), st.integers(0, 65535)
)
def test_a_name_built_from_values_is_read_back_as_those_values(
    nets: tuple[Network, Network], proto: int, sport: int, dport: int
) -> None:
    if not proto:
        sport = dport = 0
    local, remote = (Selector(net, proto, port) for net, port in zip(nets, (sport, dport), strict=True))
    name = connection_name(local_id(str(nets[0]), proto, sport), remote_id(str(nets[1]), proto, dport))
    assert parse_connection(name) == Selectors(local, remote)


@given(st.text() | st.from_regex(r"(from|peer)-[0-9a-f.:/=]+(-to-|-local-)[0-9a-f.:/=]+"))
def test_any_text_is_read_without_an_exception(text: str) -> None:
    assert parse_connection(text) is None or text.startswith("from-")
    assert parse_phase1(text) is None or text.startswith("peer-")


@given(st.text())
def test_an_alias_is_recognised_and_depends_on_the_connection_alone(name: str) -> None:
    assert is_alias(alias_of(name))
    assert alias_of(name) == alias_of(name)


def test_two_connections_have_two_aliases() -> None:
    assert alias_of("from-10.0.0.1-to-10.0.0.2") != alias_of("from-10.0.0.1-to-10.0.0.3")


@pytest.mark.parametrize(
    "name", ["ipsecfleet-rekey-0123456", "ipsecfleet-rekey-0123456G", "ipsecfleet-rekey-012345678", "from-a-to-b", ""]
)
def test_nothing_else_is_an_alias(name: str) -> None:
    assert not is_alias(name)
