"""Why a tunnel does not carry traffic: one cause with its evidence, or what is known and what would tell.

Two strengths of evidence are kept apart: what a gateway showed is *seen*; what must be so because of it *follows*.
"""

from dataclasses import dataclass
from enum import StrEnum

from ipsecfleet.model.tunnel import State


class Cause(StrEnum):
    """Why a tunnel is not as it should be."""

    DAEMON_DEAD = "daemon dead"
    DAEMON_BUSY = "daemon busy"
    FIFO_BROKEN = "FIFO broken"
    PEER_SILENT = "peer silent"
    OUR_SIDE_SILENT = "our side silent to the peer"
    PHASE1_PROPOSAL = "phase 1 proposal mismatch"
    WRONG_PSK = "wrong PSK"
    ID_MISMATCH = "ID mismatch"
    NETWORKS_UNKNOWN = "networks unknown to the responder"
    PHASE2_REFUSED = "phase 2 refused"
    NOT_LOADED = "conf not loaded"
    TAKEN_OFF = "taken off the list"
    HELD = "held"
    BOTH_ACTIVE = "both ends active"
    NEIGHBOURS_NAME = "a neighbour's name"
    LOCK_OUT = "lock-out"
    PASSIVE_MODE = "passive mode"
    BLACK_HOLE = "black hole"
    DUPLICATE = "two live SAs"
    STALE = "daemon and kernel disagree"
    NOBODY_RENEWS = "nobody renews it"


class Strength(StrEnum):
    """How much a piece of evidence is worth."""

    SEEN = "seen"
    FOLLOWS = "follows"


@dataclass(frozen=True, slots=True)
class Evidence:
    """Why something is so; `quote` is a line of the gateway's log, of the moment `at` by its clock (epoch seconds)."""

    strength: Strength
    text: str
    gateway: str | None = None
    at: float | None = None
    quote: str | None = None


@dataclass(frozen=True, slots=True)
class Suspect:
    """A cause that the evidence does not exclude, and what would tell."""

    cause: str
    tells: str


@dataclass(frozen=True, slots=True)
class EndFacts:
    """What stands at one end, in words; None where it is not known."""

    gateway: str
    state: str
    listed: str | None = None
    phase1: str | None = None
    phase2: str | None = None
    flows: str | None = None
    file: str | None = None
    next_check: str | None = None


@dataclass(frozen=True, slots=True)
class Diagnosis:
    """What is the matter with a tunnel; `cause` is None where nothing is, or where the evidence does not suffice.

    `open` is what the evidence leaves open; `next` are commands to type, here or on a gateway.
    """

    tunnel: str
    state: State
    cause: Cause | None
    verdict: str
    evidence: tuple[Evidence, ...] = ()
    open: tuple[Suspect, ...] = ()
    next: tuple[str, ...] = ()
    ends: tuple[EndFacts, ...] = ()
    well: bool = False
