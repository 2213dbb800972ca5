"""Addresses and selectors as values: what a name, a flow and a configuration say of the same network compares equal.

OpenBSD writes networks as they were typed (`10.1/16`, host bits kept: `10.1.2.3/24`) and hosts without a mask. Here a
host is a network of full length and host bits are dropped, so equality is equality of what the kernel matches.
"""

from dataclasses import dataclass
from functools import lru_cache
from ipaddress import IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network

Network = IPv4Network | IPv6Network


@lru_cache(maxsize=1 << 13)
def parse_network(text: str) -> Network | None:
    """The network that `text` means (`10.1/16`, `10.1.2.3`, `2001:db8::/64`), or None if it means none.

    A mask does for a length, also one of IPv6 as isakmpd has it (`2001:db8::/ffff:ffff::`).
    """
    host, slash, length = text.partition("/")
    if ":" in host and ":" in length:
        length = _length(length)
    if ":" not in host and slash and host:
        octets = host.split(".")
        host = ".".join(octets + ["0"] * (4 - len(octets)))
    try:
        return ip_network(f"{host}/{length}" if slash else host, strict=False)
    except ValueError:
        return None


def _length(mask: str) -> str:
    """How long the prefix is that a mask leaves; a mask with holes is none."""
    try:
        bits = f"{int(IPv6Address(mask)):0128b}".rstrip("0")
    except ValueError:
        return mask
    return mask if "0" in bits else str(len(bits))


def same_address(one: str | None, other: str | None) -> bool:
    """Whether both texts are the same IP address (`2001:DB8::1` is `2001:db8::1`); never a prefix match."""
    return one is not None and other is not None and canonical_address(one) == canonical_address(other)


@lru_cache(maxsize=1 << 16)
def canonical_address(text: str) -> str:
    """The one spelling of an address; text that is none comes back as it is."""
    try:
        return str(ip_address(text))
    except ValueError:
        return text


@dataclass(frozen=True, slots=True)
class Selector:
    """One side of a flow: network, IP protocol number (0 is any) and port (0 is any)."""

    net: Network
    proto: int = 0
    port: int = 0

    def __str__(self) -> str:
        host = self.net.prefixlen == self.net.max_prefixlen
        text = str(self.net.network_address) if host else str(self.net)
        return f"{text} port {self.port}" if self.port else text


@dataclass(frozen=True, slots=True)
class Selectors:
    """Both sides of a tunnel as one gateway sees them."""

    local: Selector
    remote: Selector

    def __str__(self) -> str:
        return f"{self.local} to {self.remote}"

    def mirrored(self) -> "Selectors":
        """The same tunnel as the other end sees it."""
        return Selectors(self.remote, self.local)

    def covers(self, a: str, b: str) -> bool:
        """Whether traffic between the addresses `a` and `b`, in either direction, could fall under these selectors."""
        try:
            one, other = ip_address(a), ip_address(b)
        except ValueError:
            return False
        here, there = self.local.net, self.remote.net
        return (one in here and other in there) or (other in here and one in there)
