"""What a planner sees: the inventory, one snapshot, and the tunnels drawn from both."""

from dataclasses import dataclass

from ipsecfleet.model.condition import Role
from ipsecfleet.model.fleet import Fleet, Gateway
from ipsecfleet.model.plan import Target
from ipsecfleet.model.sa import Sa
from ipsecfleet.model.snapshot import Connection, GatewaySnapshot, Snapshot, Unknown
from ipsecfleet.model.tunnel import End, Tunnel
from ipsecfleet.plan.tunnels import is_backup, is_master, tunnels


@dataclass(frozen=True, slots=True)
class View:
    """The fleet at one moment; `tunnels` are all of it, selected or not."""

    fleet: Fleet
    snapshot: Snapshot
    tunnels: tuple[Tunnel, ...]

    @classmethod
    def of(cls, fleet: Fleet, snapshot: Snapshot) -> "View":
        return cls(fleet, snapshot, tunnels(fleet, snapshot))

    def seen(self, gateway: str) -> GatewaySnapshot | None:
        return self.snapshot.gateways.get(gateway)

    def gateway(self, name: str) -> Gateway:
        """The gateway of that name; one the inventory does not know has the defaults."""
        return self.fleet.gateway(name) or Gateway(name, name)

    def bears(self, machine: str, most: int | None = None) -> int:
        """How many negotiations a machine works on at once: as many as the inventory says, one if it is not ours."""
        bears = self.gateway(machine).per_gateway_parallel
        return bears if most is None else min(bears, most)

    def backup(self, name: str) -> bool:
        return is_backup(self.fleet.gateway(name), self.snapshot)

    def covered(self, name: str) -> bool:
        """Whether another member of this gateway's CARP group answered as master."""
        return any(is_master(g, self.snapshot) for g in self.group(name) if g.name != name)

    def group(self, name: str) -> tuple[Gateway, ...]:
        """The gateways of this gateway's CARP group, itself among them; none where it is in no group."""
        carp = self.gateway(name).carp
        if carp is None:
            return ()
        return tuple(g for g in self.fleet.gateways if g.carp is not None and g.carp.group == carp.group)

    def stands_by(self, name: str, forced: frozenset[str]) -> bool:
        """Whether `t` and `c` are not for this gateway: a CARP backup, unless that was forced and nobody is master."""
        return self.backup(name) and ("carp-backup" not in forced or self.covered(name))

    def as_master(self, name: str, forced: frozenset[str]) -> tuple[Role, ...]:
        """What must hold before a `t` or `c` on this gateway: in a CARP group, that it is still the master."""
        carp = self.gateway(name).carp
        return () if carp is None or "carp-backup" in forced else (Role(carp.interface),)

    def unread(self, name: str) -> str | None:
        """Why nothing can be said of the tunnels of this gateway, or None; also None if it was not looked at."""
        error, seen = self.snapshot.failed.get(name), self.seen(name)
        if error is not None:
            return error.message
        return seen.unknown[0][1].why if seen is not None and seen.unknown else None

    def unnamed(self, name: str) -> Unknown | None:
        """Why it cannot be told what this gateway negotiates, if it negotiates anything (groundtruth 1.4)."""
        seen = self.seen(name)
        unread = seen.exchanges if seen is not None and isinstance(seen.exchanges, Unknown) else None
        return unread if any(sa.name is None for sa in self.sas(name)) else None

    def ends_on(self, gateway: str) -> tuple[tuple[Tunnel, End], ...]:
        """Every end on this gateway, with its tunnel."""
        return tuple((t, e) for t in self.tunnels for e in t.ends if e.gateway == gateway)

    def sas(self, gateway: str) -> tuple[Sa, ...]:
        seen = self.seen(gateway)
        return () if seen is None or isinstance(seen.sas, Unknown) else seen.sas

    def connection(self, end: End) -> Connection:
        """What the daemon said of an end's connection; of one that it does not know, its name and list alone."""
        seen = self.seen(end.gateway)
        connections = seen.connections if seen is not None and isinstance(seen.connections, tuple) else ()
        return next((c for c in connections if c.name == end.connection), Connection(str(end.connection), end.listing))

    def tunnel(self, name: str) -> Tunnel | None:
        return next((t for t in self.tunnels if t.name == name), None)

    def at(self, address: str | None) -> tuple[Gateway, ...]:
        """The gateways of the inventory that an IKE address belongs to."""
        return self.fleet.at(address)

    def ours(self, address: str | None) -> bool:
        """Whether an IKE address belongs to a gateway of the inventory."""
        return bool(self.at(address))


def strands(tunnel: Tunnel) -> tuple[tuple[End, ...], ...]:
    """The ends of each pair of networks: what comes up, and is renewed, as one."""
    found: dict[object, list[End]] = {}
    for end in tunnel.ends:
        pair = end.selectors and frozenset((end.selectors.local, end.selectors.remote))
        found.setdefault(pair or end.connection, []).append(end)
    return tuple(map(tuple, found.values()))


def target_of(tunnel: Tunnel, end: End) -> Target:
    """What a run about this end is judged by."""
    return Target(tunnel.name, end.gateway, end.connection, end.peer, end.selectors, active=is_active(end))


def is_active(end: End) -> bool:
    """Whether this end begins the negotiations: by its list, or, in none, by what keeps its SA alive."""
    return end.listing.active or (end.listing.value == "none" and any(sa.stayalive for sa in end.live))
