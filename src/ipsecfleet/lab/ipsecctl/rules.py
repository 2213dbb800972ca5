"""Rules of an ipsec.conf, expanded: one source, one destination, one peer each (ipsecctl.h, struct ipsec_rule)."""

from dataclasses import dataclass
from ipaddress import ip_address

from ipsecfleet.model.net import Selector, Selectors, parse_network
from ipsecfleet.model.sa import Flow
from ipsecfleet.model.secret import Secret

SECONDS = {"h": 3600, "m": 60, "": 1}


@dataclass(frozen=True, slots=True)
class Host:
    """One end as it is named: `10.1.2.3`, `172.16.0.0/24`, `2001:db8::/64`; `port` 0 is any."""

    text: str
    port: int = 0

    @property
    def v6(self) -> bool:
        return ":" in self.text

    @property
    def is_network(self) -> bool:
        return "/" in self.text

    def selector(self, proto: int) -> Selector | None:
        net = parse_network(self.text)
        return Selector(net, proto, self.port) if net else None

    @classmethod
    def parse(cls, text: str) -> "Host | None":
        """The host that a word means; IPv6 in its one spelling, and without a mask of full length."""
        if parse_network(text) is None:
            return None
        address, slash, length = text.partition("/")
        if ":" not in address:
            return cls(text)
        return cls(str(ip_address(address)) + ("" if length == "128" else slash + length))


@dataclass(frozen=True, slots=True)
class Transforms:
    """What is written after `main` or `quick`: algorithm names, lifetime in seconds; None where left out."""

    auth: str | None = None
    enc: str | None = None
    group: str | None = None
    lifetime: int | None = None


@dataclass(frozen=True, slots=True)
class IkeRule:
    """`ike …`, expanded; `psk` None means RSA."""

    mode: str
    protocol: str
    tunnel: bool
    proto: int
    source: Host
    destination: Host
    peer: str | None
    local: str | None
    aggressive: bool
    main: Transforms
    quick: Transforms
    srcid: str | None
    dstid: str | None
    psk: Secret | None
    tag: str | None


@dataclass(frozen=True, slots=True)
class FlowRule:
    """`flow …`, expanded; one direction."""

    flow: Flow


Rule = IkeRule | FlowRule


def flow_rules(  # noqa: PLR0913  a flow has that many parts
    protocol: str,
    direction: str | None,
    ends: tuple[Selector, Selector],
    *,
    local: str | None,
    peer: str | None,
    ids: tuple[str | None, str | None],
    kind: str,
) -> list[FlowRule]:
    """The rules of one `flow` line; without a direction the one outbound, and its mirror inbound."""
    source, destination = ends
    selectors = Selectors(destination, source) if direction == "in" else Selectors(source, destination)
    directions = [direction] if direction else ["out", "in"]
    return [FlowRule(Flow(protocol, way, selectors, peer, kind, local, *ids)) for way in directions]
