"""The conf file of a tunnel's end: where it lies, what ipsecctl makes of it, and why it may not be loaded or unloaded.

A file is of one tunnel or of several; it is touched whole or not at all, so every connection it makes must be of the
run.
"""

from collections.abc import Iterable

from ipsecfleet.isakmpd.names import parse_connection
from ipsecfleet.model.fleet import Fleet, Gateway, TunnelEnd, TunnelSpec
from ipsecfleet.model.snapshot import Unknown
from ipsecfleet.model.tunnel import End, Tunnel
from ipsecfleet.plan.view import View


def file_of(spec: TunnelSpec, end: TunnelEnd) -> str:
    """The name of an end's conf file."""
    return end.file or f"{spec.name}.conf"


def files_of(fleet: Fleet, gateway: Gateway) -> tuple[str, ...]:
    """The names of the conf files that the inventory has on a gateway, each once."""
    ends = ((spec, end) for spec in fleet.tunnels for end in (spec.a, spec.b) if gateway in fleet.members(end))
    return tuple(dict.fromkeys(file_of(spec, end) for spec, end in ends))


def path_at(gateway: Gateway, name: str) -> str:
    """Where a conf file of that name lies on a gateway."""
    return f"{gateway.conf_dir}/{name}"


def name_of(path: str) -> str:
    """What a conf file is called, wherever it lies."""
    return path.rpartition("/")[2]


def conf_path(view: View, tunnel: Tunnel, end: End) -> str | None:
    """Where this end's conf file lies on its gateway, as the inventory says; None if it says nothing."""
    spec = next((s for s in view.fleet.tunnels if s.name == tunnel.name), None)
    gateway = view.fleet.gateway(end.gateway)
    if spec is None or gateway is None:
        return None
    mine = next((e for e in (spec.a, spec.b) if gateway in view.fleet.members(e)), None)
    return path_at(gateway, file_of(spec, mine)) if mine is not None else None


def conf_paths(fleet: Fleet, gateway: Gateway) -> tuple[str, ...]:
    """The conf files that the inventory has on a gateway, each once."""
    return tuple(path_at(gateway, name) for name in files_of(fleet, gateway))


def made(view: View, tunnel: Tunnel, end: End) -> tuple[tuple[str, str], ...]:
    """Pairs of list and connection that this end's conf file makes; none where it could not be read."""
    names = _names(view, tunnel, end)
    return () if isinstance(names, Unknown) else names


def is_named(end: End, name: str) -> bool:
    """Whether a file's connection is this end's: by its name, or by its networks where the daemon knows no name."""
    return name == end.connection if end.connection is not None else parse_connection(name) == end.selectors


def fault(view: View, tunnel: Tunnel, end: End, chosen: Iterable[End]) -> str:
    """Why the file of `end` cannot be touched in a run that is about the `chosen` ends, or nothing."""
    path = conf_path(view, tunnel, end)
    if path is None:
        return f"the inventory names no conf file for its end on {end.gateway}"
    names = _names(view, tunnel, end)
    if isinstance(names, Unknown):
        return f"{path} on {end.gateway} could not be read: {names.why}"
    if not any(is_named(end, name) for _, name in names):
        return f"{path} on {end.gateway} does not make {_what(end)}"
    here = [e for e in chosen if e.gateway == end.gateway]
    foreign = [name for _, name in names if not any(is_named(e, name) for e in here)]
    return f"{path} on {end.gateway} also makes {foreign[0]}, which was not selected" if foreign else ""


def _names(view: View, tunnel: Tunnel, end: End) -> tuple[tuple[str, str], ...] | Unknown:
    seen = view.seen(end.gateway)
    unread = Unknown("not read")
    return unread if seen is None else seen.conf.get(str(conf_path(view, tunnel, end)), unread)


def _what(end: End) -> str:
    if end.connection is not None or end.selectors is None:
        return str(end.connection)
    return f"a connection from {end.selectors.local} to {end.selectors.remote}"
