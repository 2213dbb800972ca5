"""What must be true of an inventory as a whole, one law per function; each yields the places where it is broken.

A fleet that is read with mistakes comes here as well, with placeholders (an empty name or address, an end of nothing):
a law passes over these, since they have been told already.
"""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from ipaddress import ip_address
from itertools import product

from ipsecfleet.inventory.nearest import suggest
from ipsecfleet.inventory.problems import Problem
from ipsecfleet.inventory.schema import tunnel_path
from ipsecfleet.model.fleet import Fleet, Gateway, TunnelEnd, TunnelSpec


@dataclass(frozen=True, slots=True)
class Side:
    """A tunnel as one of its ends sees it, and where that end stands."""

    path: str
    end: TunnelEnd
    other: TunnelEnd


def check(fleet: Fleet) -> list[Problem]:
    """All that is wrong with the whole, gateways first, then tunnel by tunnel."""
    problems = [problem for law in OF_FLEETS for problem in law(fleet)]
    for path, tunnel in _located(fleet):
        problems += [problem for law in OF_TUNNELS for problem in law(fleet, path, tunnel)]
    return problems + [problem for law in OF_ALL_TUNNELS for problem in law(fleet)]


def is_loopback(address: str) -> bool:
    """Whether this is an IP address of the loopback network; a host name never is."""
    try:
        return ip_address(address).is_loopback
    except ValueError:
        return False


def _real_time_but_on_loopback(fleet: Fleet) -> Iterator[Problem]:
    away = [g.name for g in fleet.gateways if g.address and not is_loopback(g.address)]
    if fleet.time_scale != 1 and away:
        yield "time_scale", f"is for a lab on loopback addresses only, and {away[0]} is elsewhere"


def _one_name_per_machine(fleet: Fleet) -> Iterator[Problem]:
    first: dict[tuple[str, int | None, str | None], str] = {}
    for gateway in fleet.gateways:
        owner = first.setdefault((gateway.address, gateway.port, gateway.jump), gateway.name)
        if gateway.address and owner != gateway.name:
            yield f"gateway.{gateway.name}.address", f"{gateway.address} is gateway {owner} already"


def _one_vip_per_group(fleet: Fleet) -> Iterator[Problem]:
    first: dict[str, str] = {}
    for gateway in fleet.gateways:
        if gateway.carp is None or not gateway.carp.group or not gateway.carp.vip:
            continue
        vip = first.setdefault(gateway.carp.group, gateway.carp.vip)
        if vip != gateway.carp.vip:
            yield f"gateway.{gateway.name}.carp.vip", f"is {vip} on the other members of {gateway.carp.group}"


def _one_owner_per_ike_address(fleet: Fleet) -> Iterator[Problem]:
    first: dict[str, str] = {}
    for gateway in fleet.gateways:
        for address in _ike_addresses(gateway):
            owner = _owner(gateway, address)
            other = first.setdefault(address, owner)
            if other != owner:
                yield f"gateway.{gateway.name}.ike", f"{address} is the IKE address of {other} already"


def _ike_addresses(gateway: Gateway) -> tuple[str, ...]:
    vip = (gateway.carp.vip,) if gateway.carp is not None and gateway.carp.vip else ()
    return tuple(dict.fromkeys(gateway.ike + vip))


def _owner(gateway: Gateway, address: str) -> str:
    shared = gateway.carp is not None and gateway.carp.vip == address
    return f"CARP group {gateway.carp.group}" if shared and gateway.carp else f"gateway {gateway.name}"


def _known_references(fleet: Fleet, path: str, tunnel: TunnelSpec) -> Iterator[Problem]:
    gateways = {g.name for g in fleet.gateways}
    groups = {g.carp.group for g in fleet.gateways if g.carp is not None}
    for side in _sides(path, tunnel):
        if side.end.gateway is not None and side.end.gateway not in gateways:
            yield f"{side.path}.gateway", _unknown("gateway", side.end.gateway, gateways)
        if side.end.carp is not None and side.end.carp not in groups:
            yield f"{side.path}.carp", _unknown("CARP group", side.end.carp, groups)


def _unknown(kind: str, name: str, known: Iterable[str]) -> str:
    return f"no {kind} {name}; {suggest(name, known)}".removesuffix("; ")


def _one_end_is_ours(_: Fleet, path: str, tunnel: TunnelSpec) -> Iterator[Problem]:
    if tunnel.a.peer is not None and tunnel.b.peer is not None:
        yield path, "neither end is ours; one must name a gateway or a CARP group"


def _two_machines(fleet: Fleet, path: str, tunnel: TunnelSpec) -> Iterator[Problem]:
    both = [g.name for g in fleet.members(tunnel.b) if g in fleet.members(tunnel.a)]
    if both:
        yield path, f"both ends are {both[0]}"


def _ike_is_ours(fleet: Fleet, path: str, tunnel: TunnelSpec) -> Iterator[Problem]:
    for side in _sides(path, tunnel):
        own = _possible(fleet, side.end)
        if side.end.ike is not None and own is not None and side.end.ike not in own:
            known = f"its own: {', '.join(own)}" if own else "it has none"
            yield f"{side.path}.ike", f"{side.end.ike} is no IKE address of {_whose(side.end)}; {known}"


def _each_end_knows_the_other(fleet: Fleet, path: str, tunnel: TunnelSpec) -> Iterator[Problem]:
    """Where both ends are ours, each is the other's peer, by one address."""
    for side in _sides(path, tunnel):
        own, others = _possible(fleet, side.end), _possible(fleet, side.other)
        if side.end.gateway is None or side.end.ike is not None or own is None or others is None:
            continue
        usable = [address for address in own if _version(address) in _versions(others)]
        if not own:
            yield side.path, f'{_whose(side.end)} has no IKE address; give it ike = ["…"]'
        elif len(usable) > 1:
            yield f"{side.path}.ike", f"is missing, and {_whose(side.end)} has {', '.join(usable)}"


def _one_family(fleet: Fleet, path: str, tunnel: TunnelSpec) -> Iterator[Problem]:
    if _disjoint(_versions(fleet.addresses(tunnel.a)), _versions(fleet.addresses(tunnel.b))):
        yield path, "the IKE addresses of the two ends are of different families"
    if _disjoint({n.version for n in tunnel.a.networks}, {n.version for n in tunnel.b.networks}):
        yield path, "the networks of the two ends are of different families"


def _disjoint(one: set[int], other: set[int]) -> bool:
    return bool(one) and bool(other) and not one & other


def _one_tunnel_per_name(fleet: Fleet) -> Iterator[Problem]:
    first: dict[str, int] = {}
    for number, tunnel in enumerate(fleet.tunnels, 1):
        before = first.setdefault(tunnel.name, number)
        if tunnel.name and before != number:
            yield f"tunnel[{number}].name", f"{tunnel.name} is the name of tunnel[{before}] already"


def _one_tunnel_per_networks_and_peer(fleet: Fleet) -> Iterator[Problem]:
    first: dict[tuple[str, ...], str] = {}
    for path, tunnel in _located(fleet):
        taken = [(key, first.setdefault(key, path)) for key in _what_the_kernel_matches(fleet, tunnel)]
        twice = next(((key, before) for key, before in taken if before != path), None)
        if twice is not None:
            (gateway, local, remote, peer), before = twice
            yield path, f"{local} to {remote}, peer {peer}, is {before} on {gateway} already"


def _what_the_kernel_matches(fleet: Fleet, tunnel: TunnelSpec) -> Iterator[tuple[str, str, str, str]]:
    for side in _sides("", tunnel):
        members, peers = fleet.members(side.end), fleet.addresses(side.other)
        for gateway, here, there, peer in product(members, side.end.networks, side.other.networks, peers):
            yield gateway.name, str(here), str(there), peer


def _possible(fleet: Fleet, end: TunnelEnd) -> tuple[str, ...] | None:
    """The IKE addresses that an end of ours can have; None if it is not ours, or not known."""
    if not fleet.members(end):
        return None
    return tuple(address for address in fleet.addresses(replace(end, ike=None)) if address)


def _whose(end: TunnelEnd) -> str:
    return f"gateway {end.gateway}" if end.gateway else f"CARP group {end.carp}"


def _versions(addresses: Iterable[str]) -> set[int]:
    return {_version(address) for address in addresses if address}


def _version(address: str) -> int:
    return ip_address(address).version


def _sides(path: str, tunnel: TunnelSpec) -> tuple[Side, Side]:
    return Side(f"{path}.a", tunnel.a, tunnel.b), Side(f"{path}.b", tunnel.b, tunnel.a)


def _located(fleet: Fleet) -> Iterator[tuple[str, TunnelSpec]]:
    return ((tunnel_path(number, t.name), t) for number, t in enumerate(fleet.tunnels, 1))


OF_FLEETS: tuple[Callable[[Fleet], Iterator[Problem]], ...] = (
    _real_time_but_on_loopback,
    _one_name_per_machine,
    _one_vip_per_group,
    _one_owner_per_ike_address,
)
OF_TUNNELS: tuple[Callable[[Fleet, str, TunnelSpec], Iterator[Problem]], ...] = (
    _known_references,
    _one_end_is_ours,
    _two_machines,
    _ike_is_ours,
    _each_end_knows_the_other,
    _one_family,
)
OF_ALL_TUNNELS: tuple[Callable[[Fleet], Iterator[Problem]], ...] = (
    _one_tunnel_per_name,
    _one_tunnel_per_networks_and_peer,
)
