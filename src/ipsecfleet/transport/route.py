"""From a gateway to the way there: fabric resolves, what the inventory says wins over ssh_config.

fabric's own gateway resolution is not used: it copies the whole ssh_config for every hop and opens each jump host
once per target. A `Route` is a value, so equal hops are one connection.
"""

from dataclasses import dataclass
from threading import Lock
from typing import Any

import fabric
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


class Resolver:
    """Turns gateways into routes; ssh_config is read once.

    One at a time: invoke's Config, of which fabric's is one, merges itself anew at every use, and another thread would
    find it empty meanwhile.
    """

    def __init__(self, ssh_config: str | None, known_hosts: tuple[str, ...], timeout: float | None) -> None:
        self._path = ssh_config
        self._config = fabric.Config(lazy=True, ssh_config=load_ssh_config(ssh_config))
        self._known_hosts = known_hosts
        self._timeout = timeout
        self._lock = Lock()

    def route(self, gateway: Gateway) -> Route:
        """The route to a gateway, through its jump hosts."""
        try:
            with self._lock:
                return self._route(gateway)
        except (ValueError, paramiko.SSHException) as error:
            hint = "check its address, port and jump in the inventory and its block in ssh_config"
            raise OperatorError(f"no route to {gateway.name}: {error}", hint=hint, obj=gateway.name) from error

    def _route(self, gateway: Gateway) -> Route:
        found = self._resolve(gateway.address, gateway.user, gateway.port)
        jump = gateway.jump or found.ssh_config.get("proxyjump")
        via = self._jumps(jump, gateway, (_place(found),))
        identities = (gateway.identity,) if gateway.identity else _identities(found)
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
        if _place(found) in seen:  # a block for all hosts names the jump host: it is its own way in
            return via
        command = None
        if via is None:
            jump = found.ssh_config.get("proxyjump")
            via = self._jumps(jump, gateway, (*seen, _place(found)))
            command = None if jump else self._proxy_command(found)
        identities = _identities(found) or ((gateway.identity,) if gateway.identity else ())
        name = f"jump host {found.original_host}"
        return self._made(found, gateway, name=name, identities=identities, via=via, proxy_command=command)

    def _proxy_command(self, found: Any) -> str | None:
        """The command, whose %p and %r paramiko has filled in from ssh_config alone, with our port and user in them."""
        if found.ssh_config.get("proxycommand") is None:
            return None
        config = load_ssh_config(self._path, first=(f"Port {found.port}", f"User {found.user}"))
        return str(config.lookup(found.original_host)["proxycommand"])

    def _resolve(self, host: str, user: str | None = None, port: int | None = None) -> Any:
        """What fabric makes of a host, not opened.

        Without connect_kwargs it collects the keys of all hosts in the shared config; the timeout is ours.
        """
        kwargs = {"allow_agent": False}
        return fabric.Connection(
            host, user=user, port=port, gateway=False, config=self._config, connect_kwargs=kwargs, connect_timeout=1
        )

    def _made(self, found: Any, gateway: Gateway, **own: Any) -> Route:
        alias = found.ssh_config.get("hostkeyalias")
        return Route(
            host=found.host,
            port=found.port,
            user=found.user,
            timeout=self._timeout or gateway.connect_timeout,
            known_hosts=self._known_hosts_of(found, gateway),
            host_key_name=alias or host_key_name(found.host, found.port),
            **own,
        )

    def _known_hosts_of(self, found: Any, gateway: Gateway) -> tuple[str, ...]:
        if gateway.known_hosts:
            return (gateway.known_hosts,)
        return self._known_hosts or tuple(found.ssh_config.get("userknownhostsfile", "").split()) or _KNOWN_HOSTS


def _place(found: Any) -> _Place:
    return found.host, found.port


def _identities(found: Any) -> tuple[str, ...]:
    return tuple(found.ssh_config.get("identityfile", ()))
