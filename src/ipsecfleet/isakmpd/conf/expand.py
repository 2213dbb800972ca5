"""One line of an ipsec.conf becomes the rules it stands for.

Source: validate_af, expand_rule and set_rule_peers in parse.y of sbin/ipsecctl. Sources and destinations are paired in
their order, pairs of different families left out. Without `peer` the destination itself is the peer if it is a host
(for an inbound flow: the source), else the default peer, which a flow must not have; a flow that denies or bypasses has
no peer at all. A flow without a direction goes out, and comes back in.

A host that only the gateway can look up may be of any family, so it is paired with all.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace

from ipsecfleet.isakmpd.conf.hosts import Family, Host, expand_any
from ipsecfleet.isakmpd.conf.lexer import ConfError, Place
from ipsecfleet.isakmpd.conf.rules import FlowRule, Rule, Terms
from ipsecfleet.isakmpd.names import local_id, phase1_name, remote_id
from ipsecfleet.isakmpd.services import PROTOCOLS
from ipsecfleet.model.net import Selector, Selectors

MAX_RULES = 10_000
_WITH_PORTS = frozenset({PROTOCOLS["tcp"], PROTOCOLS["udp"]})
_WITHOUT_PEER = frozenset({"deny", "bypass"})


@dataclass(frozen=True, slots=True)
class Traffic:
    """What a rule applies to, as written; protocol and ports 0 are any."""

    source: tuple[Host, ...]
    target: tuple[Host, ...]
    proto: int = 0
    source_port: int = 0
    target_port: int = 0


@dataclass(frozen=True, slots=True)
class Peers:
    """Both ends of phase 1 as written, None where nothing was."""

    peer: Host | None = None
    local: Host | None = None


def check_ports(traffic: Traffic, now: Place) -> None:
    """Refuse ports without a protocol that has any."""
    if (traffic.source_port or traffic.target_port) and traffic.proto not in _WITH_PORTS:
        raise ConfError(now, "no protocol supplied with source/destination ports")


def expand_ike(terms: Terms, traffic: Traffic, peers: Peers, written: Place, now: Place) -> Iterator[Rule]:
    """The rules of an ike rule written at one place; errors are told where the reader is `now`, as ipsecctl does."""
    for source, target in pairs(traffic, now):
        peer = _peer_of(peers, target)
        yield Rule(
            *written,
            terms,
            local_id(terms.interface or source.text, traffic.proto, traffic.source_port),
            remote_id(terms.interface or target.text, traffic.proto, traffic.target_port),
            phase1_name(_text(peer), _text(peers.local)),
            peer=_text(peer),
            local=_text(peers.local),
            selectors=None if terms.interface else _selectors(traffic, source, target),
            nat=source.nat.network if source.nat else None,
            depends_on_gateway=not all(host.known for host in (source, target, peer, peers.local) if host),
        )


def expand_flow(rule: FlowRule, traffic: Traffic, peers: Peers, now: Place) -> Iterator[FlowRule]:
    """The rules of a flow rule that says all but hosts and peers; an empty direction is both."""
    if rule.type in _WITHOUT_PEER:
        rule, peers = replace(rule, srcid=None, dstid=None), Peers()
    inbound = rule.direction == "in"
    for source, target in pairs(traffic, now):
        peer = _peer_of(peers, source if inbound else target)
        if peer is None and peers.peer is None and rule.type not in _WITHOUT_PEER:
            raise ConfError(now, f"no peer specified for destination {target.text}")
        there = _selectors(traffic, source, target)
        out = replace(
            rule,
            direction=rule.direction or "out",
            source=source.text,
            target=target.text,
            selectors=there.mirrored() if there and inbound else there,
            peer=None if rule.type in _WITHOUT_PEER else _text(peer),
            local=_text(peers.local),
        )
        yield out
        if not rule.direction:
            yield replace(out, direction="in", source=target.text, target=source.text)


def pairs(traffic: Traffic, now: Place) -> list[tuple[Host, Host]]:
    """Source and destination of each rule that a line stands for."""
    if _families_differ(traffic):
        raise ConfError(now, "source/destination address families do not match")
    sources, targets = list(expand_any(traffic.source)), list(expand_any(traffic.target))
    if len(sources) * len(targets) > MAX_RULES:
        raise ConfError(now, f"rule expands to more than {MAX_RULES} combinations")
    found = [(source, target) for source in sources for target in targets if _fit(source.family, target.family)]
    if not found:
        raise ConfError(now, "rule expands to no valid combination")
    return found


def _families_differ(traffic: Traffic) -> bool:
    """The test that ipsecctl makes: each side has a family that the other lacks."""
    here, there = _families(traffic.source), _families(traffic.target)
    open_ended = (here | there) & {Family.ANY, Family.UNKNOWN}
    return not open_ended and all((family in here) != (family in there) for family in (Family.V4, Family.V6))


def _families(hosts: Iterable[Host]) -> set[Family]:
    return {host.family for host in hosts}


def _fit(one: Family, other: Family) -> bool:
    return one is other or Family.UNKNOWN in {one, other}


def _peer_of(peers: Peers, end: Host) -> Host | None:
    """The peer of a rule with that far end; None is the default peer."""
    if peers.peer is not None:
        return None if peers.peer.family is Family.ANY else peers.peer
    return None if end.prefix else end


def _text(host: Host | None) -> str | None:
    return None if host is None else host.text


def _selectors(traffic: Traffic, source: Host, target: Host) -> Selectors | None:
    if source.network is None or target.network is None:
        return None
    return Selectors(
        Selector(source.network, traffic.proto, traffic.source_port),
        Selector(target.network, traffic.proto, traffic.target_port),
    )
