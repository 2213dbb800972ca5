"""Hosts as an ipsec.conf writes them, and how ipsecctl(8) spells them in names.

Source: host, host_v4, host_v6 and host_any in parse.y of sbin/ipsecctl. An IPv4 host or network stays as typed, host
bits included; an IPv6 one gets its canonical spelling, and a prefix of 128 is dropped. `any` is both 0.0.0.0/0 and
::/0. Every other word is an interface, an interface group or a host name, which only the gateway can look up: it stays
as typed, without a prefix, as an interface would; a name under which ipsecctl found several addresses would have been
several hosts.
"""

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from enum import Enum
from ipaddress import IPv4Address, IPv6Address

from ipsecfleet.model.net import Network, parse_network

_word = re.compile(r"(?=.*[^\d.])\w[\w.-]*", re.ASCII)
_length = re.compile(r"0*(\d{1,3})", re.ASCII)
_scope = re.compile(r"(?<=[0-9A-Fa-f:])%[0-9A-Za-z]+(?=/|\Z)")


class Family(Enum):
    """The address family of a host; ANY stands for both, UNKNOWN is for the gateway to say."""

    V4 = 4
    V6 = 6
    ANY = 0
    UNKNOWN = -1


@dataclass(frozen=True, slots=True)
class Host:
    """One host or network; `text` is its spelling in names, `prefix` whether it was written with a prefix length."""

    text: str
    family: Family
    network: Network | None = None
    prefix: bool = False
    nat: "Host | None" = None

    @property
    def known(self) -> bool:
        """Whether the name does not depend on what the gateway finds."""
        return self.family is not Family.UNKNOWN and (self.nat is None or self.nat.known)


ANY = Host("any", Family.ANY, prefix=True)


def parse_host(word: str) -> Host:
    """The host that a word means, with its prefix length if it has one; ValueError in the words of ipsecctl."""
    address, slash, length = word.rpartition("/") if "/" in word else (word, "", "")
    if slash and not _is_length(length):
        raise ValueError(f"invalid netmask '/{length}'")
    network = parse_network(_scope.sub("", word) if ":" in address else word)
    if network is None:
        return _looked_up(address)
    if network.version == 4:
        return Host(word, Family.V4, network, prefix=bool(slash))
    text = canonical_ipv6(address)
    if network.prefixlen == 128:
        return Host(text, Family.V6, network)
    return Host(f"{text}/{network.prefixlen}", Family.V6, network, prefix=True)


def canonical_ipv6(text: str) -> str:
    """An IPv6 address as inet_ntop(3) prints it: an embedded IPv4 address in dots."""
    address = IPv6Address(text)
    if address.ipv4_mapped is not None:
        return f"::ffff:{address.ipv4_mapped}"
    if 0xFFFF < int(address) <= 0xFFFFFFFF:
        return f"::{IPv4Address(int(address))}"
    return str(address)


def expand_any(hosts: Iterable[Host]) -> Iterator[Host]:
    """The hosts with each `any` as the two networks it stands for."""
    for host in hosts:
        yield from _EVERYTHING if host.family is Family.ANY else [host]


def _is_length(text: str) -> bool:
    match = _length.fullmatch(text)
    return match is not None and int(match[1]) <= 128


def _looked_up(word: str) -> Host:
    if not _word.fullmatch(word):
        raise ValueError("could not parse host specification")
    return Host(word, Family.UNKNOWN)


_EVERYTHING = [parse_host("0.0.0.0/0"), parse_host("::/0")]
