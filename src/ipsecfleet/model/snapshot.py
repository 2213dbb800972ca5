"""What one gateway has, at one moment, as values. A part that could not be read is `Unknown`, never taken as empty."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import Any

from ipsecfleet.errors import GatewayError
from ipsecfleet.model.net import Selectors
from ipsecfleet.model.sa import Exchange, Flow, KeptUp, KernelSa, Sa


@dataclass(frozen=True, slots=True)
class Unknown:
    """A part of a snapshot that could not be read, why, and what to do about it."""

    why: str
    hint: str = ""


class Listing(StrEnum):
    """The list a connection stands in: the daemon's own two, ours of what is held, or none (kept up by `c` alone)."""

    ACTIVE = "active"
    PASSIVE = "passive"
    HELD_ACTIVE = "held-active"
    HELD_PASSIVE = "held-passive"
    NONE = "none"

    @property
    def held(self) -> bool:
        return self in {Listing.HELD_ACTIVE, Listing.HELD_PASSIVE}

    @property
    def active(self) -> bool:
        """Whether this end begins negotiations when it is not held."""
        return self in {Listing.ACTIVE, Listing.HELD_ACTIVE}


@dataclass(frozen=True, slots=True)
class Connection:
    """A phase 2 connection the daemon knows by name.

    `name` is spelled as in the list it stands in (or as its SA spells it). `peer`, `phase1` and `selectors` are None
    where nothing told them. `missing` names what the daemon would lack to build it (None when that was not read).
    `tags` are those of its section from which a second one like it could be built, a value that was cut being empty;
    `group` is the group of its key computation, such as `modp3072`, None where that is not known.
    """

    name: str
    listing: Listing
    peer: str | None = None
    phase1: str | None = None
    selectors: Selectors | None = None
    missing: tuple[str, ...] | None = None
    kept_up: KeptUp | None = None
    tags: tuple[tuple[str, str], ...] | None = None
    group: str | None = None


@dataclass(frozen=True, slots=True)
class Alias:
    """A second connection that ipsecfleet made for a rekey, and the `connection` it was made for, where that is known."""

    name: str
    connection: str | None
    configured: bool
    kept_up: bool


@dataclass(frozen=True, slots=True)
class SshPair:
    """Client and server address of the SSH connection the visit came by, as the gateway saw them."""

    client: str
    server: str


PARTS = ("sas", "connections", "flows", "kernel")
"""The parts that every look has."""


@dataclass(frozen=True, slots=True)
class GatewaySnapshot:
    """Everything read in one visit; `at` is the gateway's clock in epoch seconds.

    `held_peers` are peers whose `[Phase 1]` entry we took away, with the phase 1 name to put back.
    `peer_names` is the daemon's `[Phase 1]` table, address to phase 1 name. `conf` has, for each conf file that was
    asked for, what ipsecctl makes of it: pairs of list and connection name.
    """

    gateway: str
    at: float | None = None
    release: str | None = None
    daemon: str | None = None
    fifo: str | None = None
    carp: Mapping[str, str] | Unknown = field(default_factory=dict)
    ssh: SshPair | None = None
    sas: tuple[Sa, ...] | Unknown = Unknown("not read")
    connections: tuple[Connection, ...] | Unknown = Unknown("not read")
    flows: tuple[Flow, ...] | Unknown = Unknown("not read")
    kernel: tuple[KernelSa, ...] | Unknown = Unknown("not read")
    exchanges: tuple[Exchange, ...] | Unknown = Unknown("not read")
    held_peers: Mapping[str, str | None] = field(default_factory=dict)
    peer_names: Mapping[str, str] | Unknown = Unknown("not read")
    conf: Mapping[str, tuple[tuple[str, str], ...] | Unknown] = field(default_factory=dict)
    aliases: tuple[Alias, ...] | Unknown = Unknown("not read")
    unparsed: tuple[str, ...] = ()

    @property
    def unknown(self) -> tuple[tuple[str, Unknown], ...]:
        """The parts of every look that could not be read, in the order of the fields.

        The CARP role is not among them: it matters only where the inventory has the gateway in a group.
        """
        return tuple((p, v) for p in PARTS if isinstance(v := getattr(self, p), Unknown))

    def only(self, parts: Iterable[str]) -> "GatewaySnapshot":
        """The same where nothing but these parts was asked for: the others are not unknown."""
        others: dict[str, Any] = dict.fromkeys(set(PARTS) - set(parts), ())
        return replace(self, **others) if others else self

    def without_parts(self) -> "GatewaySnapshot":
        """What there is to say of the gateway itself, and which parts are unknown."""
        unknown = dict(self.unknown)
        nothing: dict[str, Any] = dict.fromkeys(PARTS, ()) | unknown
        return replace(self, **nothing, exchanges=(), peer_names={}, aliases=(), unparsed=())


@dataclass(frozen=True, slots=True)
class Snapshot:
    """The fleet at one moment: what each gateway has, and which could not be visited, and why."""

    gateways: Mapping[str, GatewaySnapshot] = field(default_factory=dict)
    failed: Mapping[str, GatewayError] = field(default_factory=dict)

    @property
    def looks(self) -> Mapping[str, GatewaySnapshot | GatewayError]:
        """What came of each visit, those that were answered first."""
        return {**self.gateways, **self.failed}

    def updated(self, fresh: "Snapshot") -> "Snapshot":
        """This snapshot with every gateway of `fresh` as it is there."""
        seen = {n: s for n, s in self.gateways.items() if n not in fresh.failed} | dict(fresh.gateways)
        failed = {n: e for n, e in self.failed.items() if n not in fresh.gateways} | dict(fresh.failed)
        return Snapshot(seen, failed)
