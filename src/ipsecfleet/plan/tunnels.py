"""The fleet's tunnels as they are: ends of several gateways joined, each tunnel with one state.

Two ends that no inventory joins are one tunnel if each is the other's peer by the addresses of the inventory, and they
have an SPI or the networks in common, as values, never by swapping text. What a gateway says of itself is not enough:
it would draw another gateway's tunnel into what is done to its own. A tunnel of the inventory has an end on every member of its gateways, also where the daemon has nothing (then the end has no
connection); what only the daemons know becomes a tunnel named by its connection.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from itertools import islice, product

from ipsecfleet.isakmpd import truth
from ipsecfleet.model.fleet import Fleet, Gateway, TunnelEnd, TunnelSpec
from ipsecfleet.model.net import Selector, Selectors, same_address
from ipsecfleet.model.sa import Sa
from ipsecfleet.model.snapshot import Snapshot, Unknown
from ipsecfleet.model.tunnel import WORST_FIRST, End, State, Tunnel


def tunnels(fleet: Fleet, snapshot: Snapshot) -> tuple[Tunnel, ...]:
    """Every tunnel of the inventory that touches a gateway of the snapshot, then those that only the daemons know."""
    here = {**snapshot.gateways, **snapshot.failed}
    loose = {name: list(_ends(fleet, snapshot, name)) for name in snapshot.gateways}
    known = [_of_spec(fleet, spec, loose, snapshot) for spec in fleet.tunnels if _touches(fleet, spec, here)]
    return tuple(known) + tuple(_of_daemons(fleet, loose, snapshot))


def is_backup(gateway: Gateway | None, snapshot: Snapshot) -> bool:
    """Whether this gateway is a CARP backup right now, as far as its interface says."""
    return _role(gateway, snapshot) == "backup"


def is_master(gateway: Gateway | None, snapshot: Snapshot) -> bool:
    """Whether this gateway is a CARP master right now, as far as its interface says."""
    return _role(gateway, snapshot) == "master"


def _role(gateway: Gateway | None, snapshot: Snapshot) -> str | None:
    if gateway is None or gateway.carp is None or gateway.name not in snapshot.gateways:
        return None
    roles = snapshot.gateways[gateway.name].carp
    return None if isinstance(roles, Unknown) else roles.get(gateway.carp.interface)


def _ends(fleet: Fleet, snapshot: Snapshot, name: str) -> tuple[End, ...]:
    seen = snapshot.gateways[name]
    gateway = fleet.gateway(name)
    peers = _expected_peers(fleet, gateway) if gateway is not None else {}
    return truth.ends(seen, peers=peers, backup=is_backup(gateway, snapshot))


def _expected_peers(fleet: Fleet, gateway: Gateway) -> dict[Selectors, tuple[str, ...]]:
    """What the inventory knows of the peers behind the networks of this gateway."""
    peers: dict[Selectors, tuple[str, ...]] = {}
    for spec in fleet.tunnels:
        for mine, other in ((spec.a, spec.b), (spec.b, spec.a)):
            if gateway in fleet.members(mine):
                peers |= dict.fromkeys(_selectors(mine, other), fleet.addresses(other))
    return peers


def _touches(fleet: Fleet, spec: TunnelSpec, here: Mapping[str, object]) -> bool:
    return any(g.name in here for end in (spec.a, spec.b) for g in fleet.members(end))


def _of_spec(fleet: Fleet, spec: TunnelSpec, loose: dict[str, list[End]], snapshot: Snapshot) -> Tunnel:
    found: list[End] = []
    for mine, other in ((spec.a, spec.b), (spec.b, spec.a)):
        for gateway in fleet.members(mine):
            wanted, peers = _selectors(mine, other), fleet.addresses(other)
            found += _claim(gateway, wanted, peers, loose, snapshot)
    state, note = joint(found, snapshot)
    return Tunnel(spec.name, state, tuple(found), known=True, note=note)


def _claim(
    gateway: Gateway,
    networks: Sequence[Selectors],
    peers: Sequence[str],
    loose: dict[str, list[End]],
    snapshot: Snapshot,
) -> list[End]:
    """The ends of one gateway that are this tunnel's, taken out of `loose`; a missing one stands there without name."""
    name = gateway.name
    if name not in loose:
        failed = snapshot.failed.get(name)
        return [] if failed is None else [End(name, None, State.UNKNOWN, note=failed.message)]
    claimed = []
    for wanted in networks:
        matching = [e for e in loose[name] if e.selectors == wanted and _of_peer(e, peers)]
        loose[name] = [e for e in loose[name] if e not in matching]
        backup = is_backup(gateway, snapshot)
        claimed += matching or [truth.absent(snapshot.gateways[name], wanted, peers, backup=backup)]
    return claimed


def _selectors(mine: TunnelEnd, other: TunnelEnd) -> tuple[Selectors, ...]:
    pairs = product(mine.networks, other.networks)
    return tuple(Selectors(Selector(a), Selector(b)) for a, b in pairs if a.version == b.version)


def _of_peer(end: End, addresses: Sequence[str]) -> bool:
    return end.peer is None or not addresses or any(same_address(end.peer, a) for a in addresses)


def _of_daemons(fleet: Fleet, loose: dict[str, list[End]], snapshot: Snapshot) -> Iterable[Tunnel]:
    """Tunnels no inventory names: each end with its mirror on another gateway of ours, the master of a group first."""
    towards = _towards(fleet, loose)
    taken: set[int] = set()
    for end in sorted((end for ends in loose.values() for end in ends), key=_stands_by):
        if id(end) in taken:
            continue
        there = (g.name for g in fleet.at(end.peer) if g.name != end.gateway)
        facing = (o for name in there for o in towards.get((name, end.gateway), ()))
        mirrors = sorted((o for o in facing if id(o) not in taken and _mirrored(end, o)), key=_stands_by)
        pair = sorted([end, *islice(mirrors, 1)], key=lambda e: not e.listing.active)
        taken |= {id(e) for e in pair}
        state, note = joint(pair, snapshot)
        yield Tunnel(str(pair[0].connection), state, tuple(pair), known=False, note=note)


def _stands_by(end: End) -> bool:
    return end.state is State.BACKUP


def _towards(fleet: Fleet, loose: Mapping[str, Iterable[End]]) -> Mapping[tuple[str, str], Sequence[End]]:
    """The ends of one gateway whose peer is another one of ours, by both."""
    ends: dict[tuple[str, str], list[End]] = defaultdict(list)
    for end in (end for ends_there in loose.values() for end in ends_there):
        for gateway in fleet.at(end.peer):
            ends[end.gateway, gateway.name].append(end)
    return ends


def _mirrored(one: End, other: End) -> bool:
    """Whether two ends that are each other's peers are one tunnel: they have an SPI or their networks in common."""
    if _outgoing(one.live) & _incoming(other.sas) or _outgoing(other.live) & _incoming(one.sas):
        return True
    return one.selectors is not None and other.selectors is not None and one.selectors == other.selectors.mirrored()


def joint(ends: Sequence[End], snapshot: Snapshot) -> tuple[State, str]:
    """The state of a tunnel, or of one pair of its networks, from its ends; those of a CARP backup do not count."""
    counted = [e for e in ends if e.state is not State.BACKUP]
    if not counted:
        return (State.BACKUP, "") if ends else (State.UNKNOWN, "no gateway of it was looked at")
    hole = next(filter(None, (_black_hole(a, b, snapshot) for a in counted for b in counted)), "")
    if hole:
        return State.BLACK_HOLE, hole
    state = next(s for s in WORST_FIRST if any(e.state is s for e in counted))
    worst = next(e for e in counted if e.state is state)
    return state, worst.note


def _black_hole(one: End, other: End, snapshot: Snapshot) -> str:
    """Why what `one` sends is lost at `other`, or nothing."""
    if one.gateway == other.gateway or one.selectors is None or other.selectors != one.selectors.mirrored():
        return ""
    if State.UNKNOWN in {one.state, other.state}:
        return ""
    sas = snapshot.gateways[other.gateway].sas
    known = _incoming(() if isinstance(sas, Unknown) else sas)
    lost = sorted(_outgoing(one.live) - known)
    if lost:
        return f"{one.gateway} sends with SPI {lost[0]:#010x}, which {other.gateway} does not know"
    if _has_flow(one) and not _has_flow(other):
        return f"{one.gateway} has the flow, {other.gateway} has none"
    return ""


def _has_flow(end: End) -> bool:
    return any(f.type != "deny" for f in end.flows)


def _outgoing(sas: Iterable[Sa]) -> frozenset[int]:
    return frozenset(p.spi_out for sa in sas for p in sa.protocols if p.spi_out is not None)


def _incoming(sas: Iterable[Sa]) -> frozenset[int]:
    return frozenset(p.spi_in for sa in sas for p in sa.protocols if p.spi_in is not None)
