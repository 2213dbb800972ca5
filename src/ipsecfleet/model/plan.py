"""A plan is data: waves of steps, each with what must hold before, what proves it after, and what undoes it.

Within a wave the gateways work side by side, each doing all its steps in one visit; a wave begins when the one before
has ended and its pause is over.
"""

from dataclasses import dataclass
from enum import StrEnum

from ipsecfleet.errors import RefusedError
from ipsecfleet.model.condition import Condition
from ipsecfleet.model.net import Selectors
from ipsecfleet.model.snapshot import Listing


class Action(StrEnum):
    """What a step does, in the words of the output."""

    HOLD = "hold"
    QUICK = "quick"
    MAIN = "main"
    PEER_OFF = "peer-off"
    RELEASE = "release"
    CONNECT = "connect"
    LOAD = "load"
    UNLOAD = "unload"
    DENY = "deny"
    OPEN = "open"


@dataclass(frozen=True, slots=True)
class Undo:
    """The action that takes a step back, or None and why there is none."""

    action: Action | None
    why: str


@dataclass(frozen=True, slots=True)
class Step:
    """One change on one gateway. Which of the operands apply follows from the action (isakmpd.fifo.lines_of)."""

    gateway: str
    tunnel: str
    action: Action
    needs: tuple[Condition, ...]
    proof: tuple[Condition, ...]
    undo: Undo
    connection: str | None = None
    listing: Listing = Listing.NONE
    phase1: str | None = None
    peer: str | None = None
    file: str | None = None
    selectors: Selectors | None = None


@dataclass(frozen=True, slots=True)
class Wave:
    """Steps that may run side by side, after a pause of `pause_s` seconds whose reason is `why`."""

    steps: tuple[Step, ...]
    pause_s: float = 0.0
    why: str = ""


@dataclass(frozen=True, slots=True)
class Target:
    """One end that the run is about: what the daemon calls it, and whose it is."""

    tunnel: str
    gateway: str
    connection: str | None
    peer: str | None
    selectors: Selectors | None
    active: bool = False


Facts = tuple[str, ...] | None
"""Sorted words, or None where they could not be read."""


@dataclass(frozen=True, slots=True)
class Basis:
    """What the plan of a run rests on at one gateway; `names` are the connections that the run is about there."""

    gateway: str
    names: tuple[str, ...]
    lists: Facts
    peers: Facts
    held_peers: Facts
    lying: Facts
    roles: Facts


@dataclass(frozen=True, slots=True)
class Plan:
    """What a run would do, why it may not, and what the operator must know before saying yes.

    `already` are tunnels with nothing left to do; `caveats` say what its proof will not cover; `settle_s` passes before
    the last look, which is repeated until `look_again_s` after the change (both in the gateway's seconds). `basis` is what
    the plan rests on at each gateway that it changes. `otherwise` is done at last, for tunnels that were not proven.
    """

    verb: str
    waves: tuple[Wave, ...] = ()
    targets: tuple[Target, ...] = ()
    already: tuple[str, ...] = ()
    refusals: tuple[RefusedError, ...] = ()
    notes: tuple[str, ...] = ()
    caveats: tuple[str, ...] = ()
    settle_s: float = 0.0
    look_again_s: float = 0.0
    basis: tuple[Basis, ...] = ()
    otherwise: tuple[Step, ...] = ()

    @property
    def steps(self) -> tuple[Step, ...]:
        return tuple(step for wave in self.waves for step in wave.steps)
