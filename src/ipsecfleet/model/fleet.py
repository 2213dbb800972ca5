"""What the operator knows of the fleet: gateways, tunnels and limits, as the inventory tells them.

Durations are seconds of the gateway's clock. `time_scale` is K where a lab's time runs K times faster, else 1.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from ipsecfleet.model.net import Network, canonical_address


@dataclass(frozen=True, slots=True)
class Paths:
    """Where a gateway keeps what we touch; `bin` is a directory in front of its PATH, empty for none."""

    run: str = "/var/run"
    etc: str = "/etc"
    bin: str = ""
    log: str = "/var/log"


@dataclass(frozen=True, slots=True)
class Carp:
    """A gateway's place in a CARP group: the group's name in the inventory, the interface, the shared address."""

    group: str
    interface: str
    vip: str


@dataclass(frozen=True, slots=True)
class Gateway:
    """A machine of ours. `user`, `port`, `identity`, `jump` are None where ssh_config decides."""

    name: str
    address: str
    user: str | None = None
    port: int | None = None
    identity: str | None = None
    jump: str | None = None
    privilege: str = "doas"
    conf_dir: str = "/etc/IPsec"
    known_hosts: str | None = None
    connect_timeout: float = 5.0
    command_timeout: float = 30.0
    per_gateway_parallel: int = 1
    min_gap: float = 5.0
    ike: tuple[str, ...] = ()
    groups: tuple[str, ...] = ()
    carp: Carp | None = None
    paths: Paths = field(default_factory=Paths)

    @property
    def addresses(self) -> tuple[str, ...]:
        """Its IKE addresses, its CARP group's among them."""
        return (*self.ike, *((self.carp.vip,) if self.carp is not None else ()))


@dataclass(frozen=True, slots=True)
class TunnelEnd:
    """One end of a tunnel: a gateway of ours, a CARP group of ours, or a peer (exactly one is set)."""

    gateway: str | None = None
    carp: str | None = None
    peer: str | None = None
    ike: str | None = None
    networks: tuple[Network, ...] = ()
    file: str | None = None


@dataclass(frozen=True, slots=True)
class TunnelSpec:
    """A tunnel of the inventory; `file` of an end is the conf file's name in the gateway's `conf_dir`."""

    name: str
    a: TunnelEnd
    b: TunnelEnd


@dataclass(frozen=True, slots=True)
class Limit:
    """A number, or a percentage of a whole."""

    value: int
    percent: bool = False

    def of(self, whole: int, *, at_least: int = 0) -> int:
        """How many of `whole` this allows, never fewer than `at_least`."""
        allowed = whole * self.value // 100 if self.percent else self.value
        return max(allowed, at_least)

    def __str__(self) -> str:
        return f"{self.value}%" if self.percent else str(self.value)


@dataclass(frozen=True, slots=True)
class Limits:
    """What one run may touch before it is refused."""

    max_tunnels_down: Limit = Limit(10, percent=True)
    max_gateways_touched: Limit = Limit(25, percent=True)
    max_failures: int = 2


@dataclass(frozen=True, slots=True)
class Fleet:
    """Everything the inventory says; empty but for gateways when there is none. `source` is the file it came from."""

    name: str = ""
    gateways: tuple[Gateway, ...] = ()
    tunnels: tuple[TunnelSpec, ...] = ()
    limits: Limits = field(default_factory=Limits)
    time_scale: float = 1.0
    source: str | None = None
    _by_name: Mapping[str, Gateway] = field(init=False, repr=False, compare=False)
    _by_address: Mapping[str, Sequence[Gateway]] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "_by_name", {g.name: g for g in reversed(self.gateways)})
        by_address: dict[str, list[Gateway]] = {}
        for gateway in self.gateways:
            for address in dict.fromkeys(map(canonical_address, gateway.addresses)):
                by_address.setdefault(address, []).append(gateway)
        object.__setattr__(self, "_by_address", by_address)

    def gateway(self, name: str) -> Gateway | None:
        """The gateway of that name."""
        return self._by_name.get(name)

    def at(self, address: str | None) -> tuple[Gateway, ...]:
        """The gateways that an IKE address belongs to."""
        return () if address is None else tuple(self._by_address.get(canonical_address(address), ()))

    def members(self, end: TunnelEnd) -> tuple[Gateway, ...]:
        """Our gateways that carry this end: one, all members of its CARP group, or none for a peer."""
        if end.gateway is not None:
            return tuple(g for g in self.gateways if g.name == end.gateway)
        if end.carp is not None:
            return tuple(g for g in self.gateways if g.carp is not None and g.carp.group == end.carp)
        return ()

    def addresses(self, end: TunnelEnd) -> tuple[str, ...]:
        """The IKE addresses under which the other end may see this one."""
        if end.peer is not None:
            return (end.peer,)
        if end.ike is not None:
            return (end.ike,)
        members = self.members(end)
        vips = tuple(g.carp.vip for g in members if end.carp is not None and g.carp is not None)
        return tuple(dict.fromkeys(vips + tuple(a for g in members for a in g.ike)))
