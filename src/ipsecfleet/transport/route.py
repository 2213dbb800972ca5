"""From a gateway to the way there: what the inventory says wins over ssh_config.

Hosts are resolved by paramiko's ssh_config, in a twentieth of the time in which a `fabric.Connection` resolves one,
and by its rules: `[user@]host[:port]`, HostName, User, Port, then our own user and 22. fabric's own gateway resolution
opens each jump host once per target. A `Route` is a value, so equal hops are one connection.
"""

import getpass
from dataclasses import dataclass
from functools import cached_property
from threading import Lock
from typing import Any

import paramiko

from ipsecfleet.errors import OperatorError
from ipsecfleet.model.fleet import Gateway
from ipsecfleet.transport.known_hosts import host_key_name
from ipsecfleet.transport.ssh_config import load_ssh_config

_KNOWN_HOSTS = ("~/.ssh/known_hosts", "~/.ssh/known_hosts2", "/etc/ssh/ssh_known_hosts")

_Place = tuple[str, int]


@dataclass(frozen=True, slots=True)
class Route:
    """The way to one SSH server; `name` is the operator's word for it, `timeout` the seconds each phase may take."""

    name: str
    host: str
    port: int
    user: str
    timeout: float
    identities: tuple[str, ...] = ()
    known_hosts: tuple[str, ...] = ()
    host_key_name: str = ""
    via: "Route | None" = None
    proxy_command: str | None = None

    @property
    def where(self) -> str:
        """Name and address, for messages."""
        return f"{self.name} ({self.host} port {self.port})"


@dataclass(frozen=True, slots=True)
class _Found:
    """What ssh_config makes of a host that was written as `[user@]host[:port]`."""

    alias: str
    host: str
    port: int
    user: str
    config: Any

    @property
    def place(self) -> _Place:
        return self.host, self.port

    @property
    def identities(self) -> tuple[str, ...]:
        return tuple(self.config.get("identityfile", ()))


class Resolver:
    """Turns gateways into routes; ssh_config is read once, and each gateway resolved once."""

    def __init__(self, ssh_config: str | None, known_hosts: tuple[str, ...], timeout: float | None) -> None:
        self._path = ssh_config
        self._config = load_ssh_config(ssh_config)
        self._known_hosts = known_hosts
        self._timeout = timeout
        self._lock = Lock()
        self._routes: dict[Gateway, Route] = {}

    def route(self, gateway: Gateway) -> Route:
        """The route to a gateway, through its jump hosts."""
        try:
            with self._lock:
                route = self._routes.get(gateway)
                if route is None:
                    route = self._routes[gateway] = self._route(gateway)
                return route
        except (ValueError, paramiko.SSHException) as error:
            hint = "check its address, port and jump in the inventory and its block in ssh_config"
            raise OperatorError(f"no route to {gateway.name}: {error}", hint=hint, obj=gateway.name) from error

    def _route(self, gateway: Gateway) -> Route:
        found = self._resolve(gateway.address, gateway.user, gateway.port)
        jump = gateway.jump or found.config.get("proxyjump")
        via = self._jumps(jump, gateway, (found.place,))
        identities = (gateway.identity,) if gateway.identity else found.identities
        command = None if jump else self._proxy_command(found)
        return self._made(found, gateway, name=gateway.name, identities=identities, via=via, proxy_command=command)

    def _jumps(self, jump: str | None, gateway: Gateway, seen: tuple[_Place, ...]) -> Route | None:
        """The last of the jump hosts in `A,B,C`, each reached through the one before."""
        via: Route | None = None
        for hop in (jump or "none").split(","):
            if hop.strip().lower() != "none":
                via = self._hop(hop.strip(), via, gateway, seen)
        return via

    def _hop(self, hop: str, via: Route | None, gateway: Gateway, seen: tuple[_Place, ...]) -> Route | None:
        found = self._resolve(hop)
        if found.place in seen:  # a block for all hosts names the jump host: it is its own way in
            return via
        command = None
        if via is None:
            jump = found.config.get("proxyjump")
            via = self._jumps(jump, gateway, (*seen, found.place))
            command = None if jump else self._proxy_command(found)
        identities = found.identities or ((gateway.identity,) if gateway.identity else ())
        name = f"jump host {found.alias}"
        return self._made(found, gateway, name=name, identities=identities, via=via, proxy_command=command)

    def _proxy_command(self, found: _Found) -> str | None:
        """The command, whose %p and %r paramiko has filled in from ssh_config alone, with our port and user in them."""
        if found.config.get("proxycommand") is None:
            return None
        config = load_ssh_config(self._path, first=(f"Port {found.port}", f"User {found.user}"))
        return str(config.lookup(found.alias)["proxycommand"])

    def _resolve(self, written: str, user: str | None = None, port: int | None = None) -> _Found:
        named, alias, at = _shorthand(written)
        if (named and user) or (at and port):
            raise ValueError(f"{written} says itself what is said of it elsewhere")
        config = self._config.lookup(alias)
        return _Found(
            alias=alias,
            host=config.get("hostname", alias),
            port=at or port or int(config.get("port", 22)),
            user=named or user or config.get("user") or self._own_name,
            config=config,
        )

    @cached_property
    def _own_name(self) -> str:
        return getpass.getuser()

    def _made(self, found: _Found, gateway: Gateway, **own: Any) -> Route:
        alias = found.config.get("hostkeyalias")
        return Route(
            host=found.host,
            port=found.port,
            user=found.user,
            timeout=self._timeout or gateway.connect_timeout,
            known_hosts=self._known_hosts_of(found, gateway),
            host_key_name=alias or host_key_name(found.host, found.port),
            **own,
        )

    def _known_hosts_of(self, found: _Found, gateway: Gateway) -> tuple[str, ...]:
        if gateway.known_hosts:
            return (gateway.known_hosts,)
        return self._known_hosts or tuple(found.config.get("userknownhostsfile", "").split()) or _KNOWN_HOSTS


def _shorthand(written: str) -> tuple[str | None, str, int | None]:
    """User, host and port of `[user@]host[:port]`; an IPv6 address has no port there."""
    user, _, rest = written.rpartition("@")
    host, colon, port = rest.rpartition(":")
    if not colon or ":" in host:
        return user or None, rest, None
    return user or None, host, int(port) if port else None
