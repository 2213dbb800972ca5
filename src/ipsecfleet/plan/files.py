"""The conf file of a tunnel's end: where it lies, what ipsecctl makes of it, and why it may not be loaded or unloaded.

A file is of one tunnel or of several; it is touched whole or not at all, so every connection it makes must be of the
run.
"""

from collections.abc import Iterable

from ipsecfleet.isakmpd.names import parse_connection
from ipsecfleet.model.fleet import Fleet, Gateway, TunnelSpec
from ipsecfleet.model.snapshot import Unknown
from ipsecfleet.model.tunnel import End, Tunnel
from ipsecfleet.plan.view import View


def conf_path(view: View, tunnel: Tunnel, end: End) -> str | None:
    """Where this end's conf file lies on its gateway, as the inventory says; None if it says nothing."""
    spec = next((s for s in view.fleet.tunnels if s.name == tunnel.name), None)
    gateway = view.fleet.gateway(end.gateway)
    return None if spec is None or gateway is None else _path(view.fleet, spec, gateway)


def conf_paths(fleet: Fleet, gateway: Gateway) -> tuple[str, ...]:
    """The conf files that the inventory has on a gateway, each once."""
    paths = (_path(fleet, spec, gateway) for spec in fleet.tunnels)
    return tuple(dict.fromkeys(path for path in paths if path is not None))


def _path(fleet: Fleet, spec: TunnelSpec, gateway: Gateway) -> str | None:
    mine = next((e for e in (spec.a, spec.b) if gateway in fleet.members(e)), None)
    return f"{gateway.conf_dir}/{mine.file or f'{spec.name}.conf'}" if mine is not None else None


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
