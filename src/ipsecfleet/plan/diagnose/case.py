"""One pair of networks of a tunnel: its ends at gateways of ours, and which of them begins.

A member of a CARP group that is not master does not count as long as another one is, whatever became of it.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from functools import cached_property

from ipsecfleet.isakmpd.truth import absent
from ipsecfleet.model.fleet import Gateway
from ipsecfleet.model.net import same_address
from ipsecfleet.model.snapshot import Connection, Listing, Snapshot, Unknown
from ipsecfleet.model.tunnel import End, State, Tunnel
from ipsecfleet.plan.diagnose.side import Side, Witness
from ipsecfleet.plan.files import conf_path
from ipsecfleet.plan.tunnels import joint
from ipsecfleet.plan.view import View, strands


class Aside(StrEnum):
    """Why no end of a case takes part: all at CARP backups, while another gateway is master, none is, or some was not read."""

    COVERED = "covered"
    BACKUPS = "backups"
    UNREAD = "unread"


@dataclass(frozen=True)
class Case:
    """One pair of networks of a tunnel: its sides at gateways of ours that answered, those that did not, and the peer."""

    tunnel: Tunnel
    state: State
    sides: tuple[Side, ...]
    unread: tuple[End, ...] = ()
    note: str = ""
    aside: Aside | None = None

    @cached_property
    def near(self) -> Side | None:
        """The side that begins; of several the one that is at it."""
        begin = [s for s in self.sides if s.active]
        return max(begin, key=lambda s: s.trying() is not None, default=None)

    @cached_property
    def far(self) -> Side | None:
        """The other side, if it is ours and was read."""
        near = self.near
        if near is None:
            return self.sides[0] if len(self.sides) == 1 else None
        return next((s for s in self.sides if s is not near and _faces(s, near)), None)

    def other(self, side: Side) -> Side | None:
        """A side that is not this one, if there is one."""
        return next((s for s in self.sides if s is not side), None)

    @property
    def whole(self) -> bool:
        """Whether both ends are ours and were read."""
        return len(self.sides) > 1


def _faces(one: Side, other: Side) -> bool:
    return one.name != other.name


def cases(view: View, tunnel: Tunnel, witnesses: Mapping[str, Witness]) -> Iterator[Case]:
    """A case for each pair of networks of a tunnel."""
    lost = [e for e in tunnel.ends if e.selectors is None and e.state is State.UNKNOWN]
    pairs = strands(replace(tunnel, ends=tuple(e for e in tunnel.ends if e not in lost)))
    for pair in [(*pair, *lost) for pair in pairs] or ([tuple(lost)] if lost else []):
        awake = [e for e in pair if not stands_aside(view, e.gateway)]
        ends = awake or list(pair)
        read = [e for e in ends if view.seen(e.gateway) is not None and not _silent(view.snapshot, e)]
        ends += _missing(view, read) if awake else ()
        sides = [_side(view, tunnel, e, witnesses) for e in ends if e not in pair or e in read]
        unread = tuple(e for e in ends if e in pair and e not in read)
        state, note = joint(ends, view.snapshot)
        aside = None if awake else _aside(view, pair)
        yield Case(tunnel, state, tuple(_met(s, sides) for s in sides), unread, note, aside)


def stands_aside(view: View, gateway: str) -> bool:
    """Whether a gateway has no part in its tunnels now: a CARP backup, or one of whose group another one is master."""
    return view.backup(gateway) or view.covered(gateway)


def _aside(view: View, pair: Iterable[End]) -> Aside:
    if any(view.covered(e.gateway) for e in pair):
        return Aside.COVERED
    members = [g.name for e in pair for g in view.group(e.gateway)]
    return Aside.BACKUPS if all(map(view.backup, members)) else Aside.UNREAD


def _silent(snapshot: Snapshot, end: End) -> bool:
    """Whether the gateway's connections are not known at all."""
    seen = snapshot.gateways[end.gateway]
    return isinstance(seen.sas, Unknown) or isinstance(seen.connections, Unknown)


def facing(view: View, end: End) -> list[Gateway]:
    """The gateways of ours that an end has as its peer, as far as they take part."""
    return [g for g in view.at(end.peer) if g.name != end.gateway and not stands_aside(view, g.name)]


def _missing(view: View, ends: Sequence[End]) -> Iterator[End]:
    """The far end at a gateway of ours whose daemon has no such connection, where no inventory tells of it."""
    if len(ends) != 1 or ends[0].selectors is None:
        return
    known, mirrored = ends[0], ends[0].selectors.mirrored()
    for gateway in facing(view, known):
        seen = view.seen(gateway.name)
        if seen is not None and not isinstance(seen.sas, Unknown):
            addresses = view.gateway(known.gateway).addresses
            there = (e for _, e in view.ends_on(gateway.name) if e.selectors == mirrored)
            ours = (e for e in there if e.peer is None or any(same_address(e.peer, a) for a in addresses))
            yield next(ours, None) or absent(seen, mirrored, addresses)


def _side(view: View, tunnel: Tunnel, end: End, witnesses: Mapping[str, Witness]) -> Side:
    seen = view.snapshot.gateways[end.gateway]
    witness = witnesses.get(end.gateway, Witness())
    listed = view.connection(end) if end.connection is not None else Connection("", Listing.NONE)
    gateway = view.gateway(end.gateway)
    addresses = gateway.ike if gateway.carp is None else (gateway.carp.vip,)
    return Side(end, seen, listed, witness, conf_path(view, tunnel, end), addresses, view.fleet.time_scale)


def _met(side: Side, sides: Iterable[Side]) -> Side:
    """The same with the address alone by which the other end has it as its peer."""
    met = tuple(a for a in side.addresses if any(same_address(a, s.end.peer) for s in sides if s is not side))
    return replace(side, addresses=met or side.addresses)
