"""What must hold on one gateway before a step, and what proves it after: values that look at a snapshot.

`unmet` gives the reason why the snapshot does not meet the condition, or None when it does. A part that could not be
read meets nothing. What must have gone is told by its name: `before`, the look right before the step, says which SAs
that were, so that a plan holds no SPI and outlives a natural rekey.
"""

from dataclasses import dataclass
from typing import Protocol

from ipsecfleet.model.net import Selectors, same_address
from ipsecfleet.model.sa import Sa
from ipsecfleet.model.snapshot import Connection, GatewaySnapshot, Listing, Unknown


class Condition(Protocol):
    """Anything that a gateway's snapshot meets or not."""

    def unmet(self, seen: GatewaySnapshot, before: GatewaySnapshot) -> str | None:
        """Why `seen` does not meet this, or None; `before` is the look right before the step."""


@dataclass(frozen=True, slots=True)
class Gone:
    """None of the SAs that were live under this name before is live."""

    connection: str

    def unmet(self, seen: GatewaySnapshot, before: GatewaySnapshot) -> str | None:
        for look in (seen, before):
            if isinstance(look.sas, Unknown):
                return f"the SAs of {seen.gateway} could not be read: {look.sas.why}"
        left = sorted(live_spis(seen) & live_spis(before, self.connection))
        return f"SPI {left[0]:#010x} is still live on {seen.gateway}" if left else None


@dataclass(frozen=True, slots=True)
class CookiesGone:
    """None of the phase 1 SAs that were ready under this name before is there."""

    phase1: str

    def unmet(self, seen: GatewaySnapshot, before: GatewaySnapshot) -> str | None:
        for look in (seen, before):
            if isinstance(look.sas, Unknown):
                return f"the SAs of {seen.gateway} could not be read: {look.sas.why}"
        left = sorted(_ready_cookies(seen) & _ready_cookies(before, self.phase1))
        return f"phase 1 {left[0]} is still there on {seen.gateway}" if left else None


@dataclass(frozen=True, slots=True)
class Listed:
    """The connection stands in this list, and in no other."""

    connection: str
    listing: Listing

    def unmet(self, seen: GatewaySnapshot, _before: GatewaySnapshot) -> str | None:
        if isinstance(seen.connections, Unknown):
            return f"the lists of {seen.gateway} could not be read: {seen.connections.why}"
        now = listing_of(seen.connections, self.connection)
        if now is self.listing:
            return None
        return f"{self.connection} on {seen.gateway} is listed as {now.value}, not as {self.listing.value}"


@dataclass(frozen=True, slots=True)
class SoleHolder:
    """Every live SA of this name has this peer, so `t quick NAME` reaches no other tunnel."""

    connection: str
    peer: str

    def unmet(self, seen: GatewaySnapshot, _before: GatewaySnapshot) -> str | None:
        if isinstance(seen.sas, Unknown):
            return f"the SAs of {seen.gateway} could not be read: {seen.sas.why}"
        others = sorted({str(sa.dst) for sa in named(seen.sas, self.connection) if not same_address(sa.dst, self.peer)})
        return f"{self.connection} on {seen.gateway} is now also the name of an SA with {others[0]}" if others else None


@dataclass(frozen=True, slots=True)
class Role:
    """The gateway's CARP interface has not become a backup."""

    interface: str

    def unmet(self, seen: GatewaySnapshot, _before: GatewaySnapshot) -> str | None:
        if isinstance(seen.carp, Unknown):
            return f"the CARP role of {seen.gateway} could not be read: {seen.carp.why}"
        role = seen.carp.get(self.interface, "absent")
        return None if role == "master" else f"{self.interface} on {seen.gateway} is {role}, not master"


@dataclass(frozen=True, slots=True)
class Buildable:
    """The daemon has every section from which `c NAME` would build."""

    connection: str

    def unmet(self, seen: GatewaySnapshot, _before: GatewaySnapshot) -> str | None:
        if isinstance(seen.connections, Unknown):
            return f"the connections of {seen.gateway} could not be read: {seen.connections.why}"
        found = next((c for c in seen.connections if c.name == self.connection), None)
        if found is None or found.missing is None:
            return f"{seen.gateway} did not say what it would build {self.connection} from"
        return f"{seen.gateway} lacks {found.missing[0]} to build {self.connection}" if found.missing else None


@dataclass(frozen=True, slots=True)
class PeerKnown:
    """The peer's address has (or, with `known` False, has not) an entry in the daemon's `[Phase 1]`."""

    peer: str
    known: bool

    def unmet(self, seen: GatewaySnapshot, _before: GatewaySnapshot) -> str | None:
        if isinstance(seen.peer_names, Unknown):
            return f"[Phase 1] of {seen.gateway} could not be read: {seen.peer_names.why}"
        known = any(same_address(a, self.peer) for a in seen.peer_names)
        if known == self.known:
            return None
        return f"[Phase 1] of {seen.gateway} {'has' if known else 'lacks'} an entry for {self.peer}"


@dataclass(frozen=True, slots=True)
class Denied:
    """The kernel drops what these selectors match, both ways, and has no other flow for them; or, `there` False, does not."""

    selectors: Selectors
    there: bool = True

    def unmet(self, seen: GatewaySnapshot, _before: GatewaySnapshot) -> str | None:
        if isinstance(seen.flows, Unknown):
            return f"the flows of {seen.gateway} could not be read: {seen.flows.why}"
        types = {f.direction: f.type for f in seen.flows if f.selectors == self.selectors}
        where = f"{self.selectors.local} to {self.selectors.remote} on {seen.gateway}"
        if not self.there:
            return f"the deny flow from {where} is still there" if "deny" in types.values() else None
        other = sorted(set(types.values()) - {"deny"})
        if other:
            return f"a {other[0]} flow is there from {where}"
        return None if types.keys() == {"in", "out"} else f"there is no deny flow from {where}"


@dataclass(frozen=True, slots=True)
class Tagged:
    """The connection's section has these tags, and no other that a second one like it would need."""

    connection: str
    tags: tuple[tuple[str, str], ...]

    def unmet(self, seen: GatewaySnapshot, _before: GatewaySnapshot) -> str | None:
        if isinstance(seen.connections, Unknown):
            return f"the connections of {seen.gateway} could not be read: {seen.connections.why}"
        found = next((c for c in seen.connections if c.name == self.connection), None)
        if found is None or found.tags is None:
            return f"{seen.gateway} did not say what {self.connection} is built from"
        return None if found.tags == self.tags else f"{self.connection} on {seen.gateway} is configured otherwise now"


@dataclass(frozen=True, slots=True)
class AliasIdle:
    """Nothing lives by this alias, and the daemon does not keep it up."""

    alias: str

    def unmet(self, seen: GatewaySnapshot, _before: GatewaySnapshot) -> str | None:
        for part in (seen.sas, seen.aliases):
            if isinstance(part, Unknown):
                return f"what lives on {seen.gateway} could not be read: {part.why}"
        if live_spis(seen, self.alias):
            return f"{self.alias} is live on {seen.gateway}"
        kept = not isinstance(seen.aliases, Unknown) and any(a.name == self.alias and a.kept_up for a in seen.aliases)
        return f"{self.alias} is still kept up on {seen.gateway}" if kept else None


@dataclass(frozen=True, slots=True)
class AliasGone:
    """The daemon has no section of this alias."""

    alias: str

    def unmet(self, seen: GatewaySnapshot, _before: GatewaySnapshot) -> str | None:
        if isinstance(seen.aliases, Unknown):
            return f"the configuration of {seen.gateway} could not be read: {seen.aliases.why}"
        left = any(a.name == self.alias and a.configured for a in seen.aliases)
        return f"{self.alias} is still configured on {seen.gateway}" if left else None


@dataclass(frozen=True, slots=True)
class Phase1Older:
    """No phase 1 of this name that we began is younger than `seconds`: its responder would ignore a new one."""

    phase1: str
    seconds: float

    def unmet(self, seen: GatewaySnapshot, _before: GatewaySnapshot) -> str | None:
        if isinstance(seen.sas, Unknown):
            return f"the SAs of {seen.gateway} could not be read: {seen.sas.why}"
        young = [sa for sa in seen.sas if sa.name == self.phase1 and sa.begun_by_us and (sa.age_s or 0) <= self.seconds]
        return f"phase 1 {self.phase1} on {seen.gateway} is too young: its peer would not answer" if young else None


OneOf = (
    Gone | CookiesGone | Listed | SoleHolder | Role | Buildable | PeerKnown | Denied
    | Tagged | AliasIdle | AliasGone | Phase1Older
)  # fmt: skip
"""Every condition that there is, for what reads them from a file."""


def named(sas: tuple[Sa, ...], name: str | None) -> tuple[Sa, ...]:
    """The live phase 2 SAs of that name; the daemon compares names without regard to case."""
    if name is None:
        return ()
    return tuple(sa for sa in sas if sa.live and sa.phase == 2 and (sa.name or "").lower() == name.lower())


def listing_of(connections: tuple[Connection, ...], name: str) -> Listing:
    """The list that name stands in; lists compare with regard to case (`C rmv` does)."""
    return next((c.listing for c in connections if c.name == name), Listing.NONE)


def live_spis(seen: GatewaySnapshot, name: str | None = None) -> frozenset[int]:
    """The SPIs of the live phase 2 SAs of a gateway, or of those of that name."""
    sas = () if isinstance(seen.sas, Unknown) else seen.sas
    chosen = (sa for sa in sas if sa.live and sa.phase == 2) if name is None else named(sas, name)
    return frozenset(spi for sa in chosen for spi in sa.spis)


def _ready_cookies(seen: GatewaySnapshot, name: str | None = None) -> frozenset[str]:
    """The initiator cookies of the phase 1 SAs that are ready, or of those of that name."""
    sas = () if isinstance(seen.sas, Unknown) else seen.sas
    ready = (sa for sa in sas if sa.phase == 1 and sa.ready and not sa.replaced)
    return frozenset(str(sa.icookie) for sa in ready if name is None or (sa.name or "").lower() == name.lower())
