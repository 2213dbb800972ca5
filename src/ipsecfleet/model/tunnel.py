"""The truth about tunnels: the state of each end, and of the tunnel as a whole."""

from dataclasses import dataclass
from enum import StrEnum

from ipsecfleet.model.net import Selectors
from ipsecfleet.model.sa import Exchange, Flow, Sa
from ipsecfleet.model.snapshot import Listing


class State(StrEnum):
    """The state of an end (the first that applies, in this order), or of a tunnel with two ends."""

    UNKNOWN = "unknown"
    BACKUP = "backup"
    DUPLICATE = "duplicate"
    STALE = "stale"
    REKEYING = "rekeying"
    UP = "up"
    HELD = "held"
    HALF_UP = "half-up"
    DOWN = "down"
    BLACK_HOLE = "black-hole"


WORST_FIRST = (
    State.UNKNOWN,
    State.DUPLICATE,
    State.STALE,
    State.HALF_UP,
    State.DOWN,
    State.HELD,
    State.REKEYING,
    State.UP,
)
"""How the states of two ends make one: the first of these that an end has."""


@dataclass(frozen=True, slots=True)
class End:
    """One connection on one gateway, with all that belongs to it by peer and networks.

    `sas` holds the phase 2 SAs of this end under any name, `phase1_sas` those with the same addresses,
    `exchanges` the negotiations for it, `note` what the state's word alone does not say.
    """

    gateway: str
    connection: str | None
    state: State
    listing: Listing = Listing.NONE
    phase1: str | None = None
    peer: str | None = None
    selectors: Selectors | None = None
    sas: tuple[Sa, ...] = ()
    phase1_sas: tuple[Sa, ...] = ()
    flows: tuple[Flow, ...] = ()
    exchanges: tuple[Exchange, ...] = ()
    missing: tuple[str, ...] | None = None
    kept_up: bool = False
    note: str = ""

    @property
    def live(self) -> tuple[Sa, ...]:
        return tuple(sa for sa in self.sas if sa.live)

    @property
    def lacking(self) -> tuple[str, ...]:
        """What the daemon lacks for this end's part; one that waits for its peer needs no address of it."""
        if self.connection is None:
            return ("the connection",)
        waits = self.listing in {Listing.PASSIVE, Listing.HELD_PASSIVE}
        return tuple(m for m in self.missing or () if not (waits and m.endswith(":Address")))

    @property
    def spis(self) -> frozenset[int]:
        """The SPIs of the SAs that are live."""
        return frozenset(spi for sa in self.live for spi in sa.spis)


@dataclass(frozen=True, slots=True)
class Tunnel:
    """A tunnel of the inventory, or one that only the daemon knows (`known` is False, named by its connection)."""

    name: str
    state: State
    ends: tuple[End, ...]
    known: bool = True
    note: str = ""

    @property
    def gateways(self) -> frozenset[str]:
        return frozenset(e.gateway for e in self.ends)
