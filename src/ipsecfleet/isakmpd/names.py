"""The names that ipsecctl(8) generates, built and read back.

Source: ike.c of sbin/ipsecctl (ike_setup_ids, ike_delete_config); transcripts a03, a06, a07. A phase 1 is `peer-P`,
with a local address `peer-P-local-L`, without a peer `peer-default` whatever its local address. A phase 2 is the name
of its local ID, a hyphen, the name of its remote ID:

    from-172.16.1.0/24-to-192.168.1.0/24
    from-172.16.1.5=17:53-to-192.168.1.5=17         protocol on both sides, a port only on its own
    from-sec0-to-sec0                               a rule for a sec(4) interface: it has no networks

Read back, a name is split at the first `-to-`, which no address holds, and `=PROTOCOL[:PORT]` is taken off the right.
Names of hosts and interfaces mean something on their gateway alone, so they are read back as nothing. Aliases are ours:
a connection that exists while a tunnel is rekeyed by overlap, named after the tunnel's connection and nothing else, so
that one left behind is recognised.
"""

import re
from collections.abc import Iterable
from hashlib import sha256

from ipsecfleet.model.net import Selector, Selectors, parse_network

DEFAULT_PHASE1 = "peer-default"

_connection = re.compile(r"from-(?P<local>.+?)-to-(?P<remote>.+)", re.ASCII)
_side = re.compile(r"(?P<net>[^=]+)(?:=(?P<proto>\d{1,3})(?::(?P<port>\d{1,5}))?)?", re.ASCII)
_phase1 = re.compile(r"peer-(?P<peer>[\w.:/%-]+?)(?:-local-(?P<local>[\w.:/%-]+))?", re.ASCII)
_alias = re.compile(r"ipsecfleet-rekey-[0-9a-f]{8}")


def local_id(address: str, proto: int = 0, port: int = 0) -> str:
    """The name of a local ID; protocol and port 0 are any."""
    return f"from-{_side_text(address, proto, port)}"


def remote_id(address: str, proto: int = 0, port: int = 0) -> str:
    """The name of a remote ID; protocol and port 0 are any."""
    return f"to-{_side_text(address, proto, port)}"


def connection_name(local: str, remote: str) -> str:
    """The name of the connection between two IDs, given by their names."""
    return f"{local}-{remote}"


def phase1_name(peer: str | None, local: str | None = None) -> str:
    """The name of the phase 1 with that peer; None is the default peer, whose name never tells the local address."""
    if peer is None:
        return DEFAULT_PHASE1
    return f"peer-{peer}" if local is None else f"peer-{peer}-local-{local}"


def parse_connection(name: str) -> Selectors | None:
    """What a phase 2 name says of the networks, protocol and ports, or None if it says none."""
    match = _connection.fullmatch(name)
    local = _parse_side(match["local"]) if match else None
    remote = _parse_side(match["remote"]) if match else None
    if local is None or remote is None or local.net.version != remote.net.version or local.proto != remote.proto:
        return None
    return Selectors(local, remote)


def parse_phase1(name: str) -> tuple[str | None, str | None] | None:
    """Peer and local address of a phase 1 name, (None, None) for the default peer, None if it is no such name."""
    if name == DEFAULT_PHASE1:
        return None, None
    match = _phase1.fullmatch(name)
    return (match["peer"], match["local"]) if match else None


def alias_of(connection: str) -> str:
    """The alias under which that connection is negotiated a second time."""
    return f"ipsecfleet-rekey-{sha256(connection.encode(errors='surrogatepass')).hexdigest()[:8]}"


def is_alias(name: str) -> bool:
    """Whether the name is one of our aliases."""
    return _alias.fullmatch(name) is not None


def group_of(connection: str, sections: Iterable[str]) -> str | None:
    """The group of a connection's key computation as ipsec.conf(5) writes it, from the names of the daemon's sections.

    Its transform is `phase2-transform-NAME-AES256-SHA-MODP_1536-TUNNEL`; of several the first counts.
    """
    head = f"phase2-transform-{connection}-".lower()
    words = (s.lower().removeprefix(head).split("-") for s in sections if s.lower().startswith(head))
    return next((w[-2].replace("_", "") for w in words if len(w) > 1), None)


def _side_text(address: str, proto: int, port: int) -> str:
    return address + (f"={proto}" if proto else "") + (f":{port}" if port else "")


def _parse_side(text: str) -> Selector | None:
    match = _side.fullmatch(text)
    net = parse_network(match["net"]) if match else None
    if match is None or net is None:
        return None
    proto, port = int(match["proto"] or 0), int(match["port"] or 0)
    return Selector(net, proto, port) if proto <= 255 and port <= 65535 else None
