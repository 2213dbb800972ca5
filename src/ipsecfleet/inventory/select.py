"""Which gateways and tunnels the words of the command line mean.

Within an option words are united, options cut each other, `-x` takes away (a word that names a gateway and a tunnel:
both). A tunnel is picked if one of its ends meets every option: carried by a gateway of the selection, with that peer
*as this gateway sees it*; so `-p ADDR -g G` never means the tunnels of G's own address. A picked tunnel is picked with
all its ends but those on excluded gateways. The order is that of the inventory; gateways typed as `user@host`, and
tunnels that only a daemon knows, follow.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace

from ipsecfleet.errors import OperatorError
from ipsecfleet.inventory.pattern import Pattern
from ipsecfleet.inventory.words import EVERYTHING, Selection, all_gateways, check_words, groups_of, is_connection
from ipsecfleet.model.fleet import Fleet, Gateway, TunnelEnd, TunnelSpec
from ipsecfleet.model.net import parse_network, same_address
from ipsecfleet.model.tunnel import End, Tunnel


@dataclass(frozen=True, slots=True)
class View:
    """A tunnel as one gateway sees it, by all that a selection can name; `tunnel` is the inventory's name."""

    tunnel: str | None
    connections: frozenset[str]
    gateway: str
    peers: tuple[str, ...]

    def is_called(self, word: str) -> bool:
        """Whether `word` names this tunnel: exactly as a connection, or as a pattern of inventory names."""
        if word == EVERYTHING or word in self.connections:
            return True
        return self.tunnel is not None and Pattern.of(word).matches(self.tunnel)

    def has_peer(self, address: str) -> bool:
        return any(same_address(address, peer) for peer in self.peers)


def resolve_gateways(fleet: Fleet, selection: Selection, *, default_all: bool) -> tuple[Gateway, ...]:
    """The gateways that the selection names; if it names none, those that carry its tunnels of the inventory.

    Where these say nothing either: all if `default_all`, else OperatorError. Options can cut each other to nothing.
    """
    check_words(fleet, selection)
    named = _named(fleet, selection)
    if named is None:
        named = _brought(fleet, selection)
    if named is None and not default_all:
        hint = "name them by -g, -G or -A; -t with a tunnel of the inventory brings its own"
        raise OperatorError("no gateways are named", hint=hint, kind="usage")
    return _without_excluded(fleet, selection, named)


def other_ends(fleet: Fleet, selection: Selection, gateways: Iterable[Gateway]) -> tuple[Gateway, ...]:
    """The far ends and other CARP members of the inventory's tunnels that are selected on `gateways`.

    Those in `gateways` already, and excluded ones, are left out.
    """
    here = frozenset(gateway.name for gateway in gateways)
    selected = [tunnel for tunnel in fleet.tunnels if _is_selected(_views(fleet, selection, tunnel), selection, here)]
    return _without_excluded(fleet, selection, _carriers(fleet, selected) - here)


def pick(tunnels: Iterable[Tunnel], fleet: Fleet, selection: Selection) -> tuple[Tunnel, ...]:
    """Those of `tunnels` that the selection means, without their ends on excluded gateways."""
    check_words(fleet, selection)
    named, excluded = _named(fleet, selection), _excluded(fleet, selection)
    left = (replace(t, ends=tuple(end for end in t.ends if end.gateway not in excluded)) for t in tunnels)
    picked = [t for t in left if _in_state(t, selection) and _is_selected(_seen(fleet, t), selection, named)]
    place = {tunnel.name: number for number, tunnel in enumerate(fleet.tunnels)}
    return tuple(sorted(picked, key=lambda t: (not t.known, place.get(t.name, len(place)), t.name, sorted(t.gateways))))


def _in_state(tunnel: Tunnel, selection: Selection) -> bool:
    return not selection.state or tunnel.state in selection.state


def _is_selected(views: Iterable[View], selection: Selection, named: frozenset[str] | None) -> bool:
    """Whether one view meets every option and no view is excluded by name."""
    views = tuple(views)
    if any(view.is_called(word) for word in selection.exclude for view in views):
        return False
    return any(_meets(view, selection, named) for view in views)


def _meets(view: View, selection: Selection, named: frozenset[str] | None) -> bool:
    return (
        (named is None or view.gateway in named)
        and (not selection.tunnels or any(view.is_called(word) for word in selection.tunnels))
        and (not selection.peers or any(view.has_peer(address) for address in selection.peers))
    )


def _named(fleet: Fleet, selection: Selection) -> frozenset[str] | None:
    """The names of the gateways that -g, -G and -A mean together; None if none was given."""
    gateways = all_gateways(fleet, selection)
    options = []
    if selection.gateways:
        options.append({g.name for g in gateways if _match(selection.gateways, {g.name})})
    if selection.groups:
        options.append({g.name for g in gateways if _match(selection.groups, groups_of(g))})
    if selection.all_gateways:
        options.append({g.name for g in gateways})
    return frozenset(set.intersection(*options)) if options else None


def _brought(fleet: Fleet, selection: Selection) -> frozenset[str] | None:
    """The gateways that the tunnels of -t bring along; None if they are not all of the inventory."""
    if not selection.tunnels or not fleet.tunnels or any(is_connection(word) for word in selection.tunnels):
        return None
    by_name = replace(selection, peers=())
    return _carriers(fleet, (t for t in fleet.tunnels if _is_selected(_views(fleet, by_name, t), by_name, None)))


def _carriers(fleet: Fleet, tunnels: Iterable[TunnelSpec]) -> frozenset[str]:
    """Our gateways at both ends of these tunnels, all members of a CARP group."""
    return frozenset(g.name for t in tunnels for end in (t.a, t.b) for g in fleet.members(end))


def _without_excluded(fleet: Fleet, selection: Selection, names: frozenset[str] | None) -> tuple[Gateway, ...]:
    excluded = _excluded(fleet, selection)
    gateways = all_gateways(fleet, selection)
    return tuple(g for g in gateways if (names is None or g.name in names) and g.name not in excluded)


def _excluded(fleet: Fleet, selection: Selection) -> frozenset[str]:
    gateways = all_gateways(fleet, selection)
    return frozenset(g.name for g in gateways if _match(selection.exclude, groups_of(g) | {g.name}))


def _match(words: Iterable[str], names: Iterable[str]) -> bool:
    patterns = [Pattern.of(word) for word in words]
    return any(pattern.matches(name) for pattern in patterns for name in names)


def _seen(fleet: Fleet, tunnel: Tunnel) -> Iterator[View]:
    """The views of a tunnel as the gateways told it; where an end has no peer, the one that the inventory gives it."""
    spec = next((t for t in fleet.tunnels if tunnel.known and t.name == tunnel.name), None)
    for end in tunnel.ends:
        yield View(
            tunnel=tunnel.name if tunnel.known else None,
            connections=frozenset(name for name in (end.connection, None if tunnel.known else tunnel.name) if name),
            gateway=end.gateway,
            peers=_peers(fleet, spec, end),
        )


def _peers(fleet: Fleet, spec: TunnelSpec | None, end: End) -> tuple[str, ...]:
    if end.peer is not None or spec is None:
        return (end.peer,) if end.peer is not None else ()
    there = spec.b if any(g.name == end.gateway for g in fleet.members(spec.a)) else spec.a
    return fleet.addresses(there)


def _views(fleet: Fleet, selection: Selection, tunnel: TunnelSpec) -> Iterator[View]:
    """The views of a tunnel that the inventory alone tells of."""
    for here, there in ((tunnel.a, tunnel.b), (tunnel.b, tunnel.a)):
        connections = frozenset(word for word in selection.tunnels + selection.exclude if _fits(word, here, there))
        for gateway in fleet.members(here):
            yield View(tunnel.name, connections, gateway.name, fleet.addresses(there))


def _fits(word: str, here: TunnelEnd, there: TunnelEnd) -> bool:
    """Whether a connection of this name is between networks of these ends, whatever its protocol and ports."""
    local, _, remote = word.removeprefix("from-").partition("-to-")
    return parse_network(local.split("=")[0]) in here.networks and parse_network(remote.split("=")[0]) in there.networks
