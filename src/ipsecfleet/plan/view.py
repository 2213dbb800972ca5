"""What a planner sees: the inventory, one snapshot, and the tunnels drawn from both."""

from collections.abc import Iterable
from dataclasses import dataclass

from ipsecfleet.model.fleet import Fleet, Gateway
from ipsecfleet.model.net import same_address
from ipsecfleet.model.sa import Sa
from ipsecfleet.model.snapshot import GatewaySnapshot, Snapshot, Unknown
from ipsecfleet.model.tunnel import End, State, Tunnel
from ipsecfleet.plan.tunnels import is_backup, tunnels


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

    def backup(self, name: str) -> bool:
        return is_backup(self.fleet.gateway(name), self.snapshot)

    def ends_on(self, gateway: str) -> tuple[tuple[Tunnel, End], ...]:
        """Every end on this gateway, with its tunnel."""
        return tuple((t, e) for t in self.tunnels for e in t.ends if e.gateway == gateway)

    def sas(self, gateway: str) -> tuple[Sa, ...]:
        seen = self.seen(gateway)
        return () if seen is None or isinstance(seen.sas, Unknown) else seen.sas

    def tunnel(self, name: str) -> Tunnel | None:
        return next((t for t in self.tunnels if t.name == name), None)

    def ours(self, address: str | None) -> bool:
        """Whether an IKE address belongs to a gateway of the inventory."""
        gateways = self.fleet.gateways
        addresses = (a for g in gateways for a in (*g.ike, *((g.carp.vip,) if g.carp else ())))
        return any(same_address(address, a) for a in addresses)


def unreachable(ends: Iterable[End]) -> tuple[End, ...]:
    """The ends nothing is known of."""
    return tuple(e for e in ends if e.state is State.UNKNOWN)


def is_active(end: End) -> bool:
    """Whether this end begins the negotiations: by its list, or, in none, by what keeps its SA alive."""
    return end.listing.active or (end.listing.value == "none" and any(sa.stayalive for sa in end.live))
