"""The host keys that a gateway shows, for `ipsecfleet trust`: asked for on the way that a visit would take.

A server shows one key per handshake, of the type the client prefers; so there is one handshake per type, ended
before the login. Jump hosts are logged in to, and must be known already.
"""

from dataclasses import dataclass

from ipsecfleet.errors import UnreachableError
from ipsecfleet.model.fleet import Gateway
from ipsecfleet.transport.credentials import Credentials
from ipsecfleet.transport.failures import unreachable
from ipsecfleet.transport.general.links import Links
from ipsecfleet.transport.general.opening import Attempt
from ipsecfleet.transport.known_hosts import HostKey
from ipsecfleet.transport.loading import load
from ipsecfleet.transport.route import Resolver, Route

_TYPES = (("ssh-ed25519",), ("ecdsa-sha2-nistp256", "ecdsa-sha2-nistp384", "ecdsa-sha2-nistp521"), ("ssh-rsa",))


@dataclass(frozen=True, slots=True)
class ShownKeys:
    """The keys of a gateway, the name under which known_hosts has them, and the first file that is looked in."""

    name: str
    file: str
    keys: tuple[HostKey, ...]


def fetch_host_keys(
    gateway: Gateway, timeout: float | None = None, *, known_hosts: tuple[str, ...] = (), ssh_config: str | None = None
) -> ShownKeys:
    """All host keys that a gateway shows, ed25519 first; raises `UnreachableError`."""
    load()
    route = Resolver(ssh_config, known_hosts, timeout).route(gateway)
    links = Links(Credentials())
    try:
        via = links.via(route)
        keys = [key for types in _TYPES if (key := _shown(route, via, types)) is not None]
    finally:
        links.close()
    if not keys:
        raise unreachable(route, "hostkey", f"no host key: {route.where} has none of a type that is supported")
    return ShownKeys(route.host_key_name, route.known_hosts[0], tuple(keys))


def _shown(route: Route, via: object, types: tuple[str, ...]) -> HostKey | None:
    look = _Look(route, types)
    try:
        Attempt(route, via, look, None).open()
    except UnreachableError:
        if look.seen is None and not look.absent:
            raise
    return look.seen


class _Look:
    """Trusts nothing, and remembers what it saw."""

    def __init__(self, route: Route, types: tuple[str, ...]) -> None:
        self.key_types = types
        self.seen: HostKey | None = None
        self.absent = False
        self._end = unreachable(route, "hostkey", f"looked at the host key of {route.name}")

    def judge(self, shown: HostKey) -> None:
        self.seen = shown
        raise self._end

    def no_such_type(self) -> UnreachableError:
        self.absent = True
        return self._end
