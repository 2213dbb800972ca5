from ipaddress import ip_network

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ipsecfleet.model.net import Selector, Selectors, canonical_address, parse_network, same_address


@pytest.mark.parametrize(
    ("text", "network"),
    [
        ("10.1/16", "10.1.0.0/16"),
        ("10/8", "10.0.0.0/8"),
        ("10.1.2.3/24", "10.1.2.0/24"),
        ("10.1.2.3", "10.1.2.3/32"),
        ("172.16.0.0/255.255.0.0", "172.16.0.0/16"),
        ("2001:DB8::1", "2001:db8::1/128"),
        ("2001:db8:1::/64", "2001:db8:1::/64"),
        ("2001:db8:1::/ffff:ffff:ffff::", "2001:db8:1::/48"),
        ("::/::", "::/0"),
        ("0.0.0.0/0", "0.0.0.0/0"),
    ],
)
def test_a_network_as_openbsd_writes_it(text: str, network: str) -> None:
    assert parse_network(text) == ip_network(network)


@pytest.mark.parametrize(
    "text",
    ["", "/", "10", "10.1.2.3/", "/8", "10.1/33", "any", "10.1.2.3.4/8", "2001:db8::/129", "2001:db8::/ffff:0:ffff::"],
)
def test_what_is_no_network(text: str) -> None:
    assert parse_network(text) is None


@given(st.text())
def test_reading_networks_and_addresses_is_total(text: str) -> None:
    parse_network(text)
    assert same_address(text, canonical_address(text))


def test_addresses_compare_as_values_and_never_by_prefix() -> None:
    assert same_address("2001:DB8:0::1", "2001:db8::1")
    assert not same_address("10.2.1.1", "10.2.1.10")
    assert not same_address(None, None)


def selectors(a: str, b: str) -> Selectors:
    return Selectors(Selector(ip_network(a)), Selector(ip_network(b)))


def test_covering_goes_both_ways() -> None:
    tunnel = selectors("172.16.1.0/24", "192.168.1.0/24")
    assert tunnel.covers("172.16.1.9", "192.168.1.9")
    assert tunnel.covers("192.168.1.9", "172.16.1.9")
    assert not tunnel.covers("172.16.1.9", "172.16.1.10")
    assert not tunnel.covers("2001:db8::1", "172.16.1.9")
    assert not tunnel.covers("172.16.1.9", "nonsense")
    assert tunnel.mirrored().mirrored() == tunnel


def test_a_host_and_a_port_in_words() -> None:
    assert str(Selector(ip_network("10.1.2.3/32"), 6, 443)) == "10.1.2.3 port 443"
    assert str(Selector(ip_network("10.1.0.0/16"))) == "10.1.0.0/16"
