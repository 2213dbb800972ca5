"""A plan is data: steps, each with what must hold before, what proves it after, and what undoes it.

First come waves: the gateways work side by side, each doing all its steps in one visit, and a wave begins when the one
before has ended and its pause is over. Then negotiations, each for itself: it begins when its moment has come and both
machines that compute for it have room, and ends when it is seen established.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum
from itertools import groupby

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
    CLONE = "clone"
    OVERLAP = "overlap"
    UNCLONE = "unclone"
    STAGE = "stage"
    FORGET = "forget"
    CONFIRM = "confirm"
    ROLLBACK = "rollback"


@dataclass(frozen=True, slots=True)
class Undo:
    """The action that takes a step back, or None and why there is none."""

    action: Action | None
    why: str


@dataclass(frozen=True, slots=True)
class Drop:
    """Something of a phase 1 that stays in the daemon when the file that made it is unloaded.

    With `phase1` alone its transforms, with a tag that tag; with `peer` alone the entry of that address in `[Phase 1]`.
    """

    phase1: str | None = None
    tag: str | None = None
    peer: str | None = None


@dataclass(frozen=True, slots=True)
class Staging:
    """How the change of a conf file begins: `kind` is add, change, remove or include.

    Unless it is confirmed within `confirm_s`, the gateway takes it back: what is in `drops` goes, and the old text is
    loaded `delay_s` after the new one was unloaded; both in seconds of ours. `from_run` is the run that kept its text.
    """

    kind: str
    confirm_s: float
    delay_s: float = 0.0
    drops: tuple[Drop, ...] = ()
    from_run: str | None = None


@dataclass(frozen=True, slots=True)
class Step:
    """One change on one gateway. Which of the operands apply follows from the action (isakmpd.steps).

    `changes` is the conf file whose change a step belongs to, `file` the one that it loads or unloads for it.
    """

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
    alias: str | None = None
    tags: tuple[tuple[str, str], ...] = ()
    staging: Staging | None = None
    changes: str | None = None
    drops: tuple[Drop, ...] = ()


@dataclass(frozen=True, slots=True)
class Wave:
    """Steps that may run side by side, after a pause of `pause_s` seconds whose reason is `why`."""

    steps: tuple[Step, ...]
    pause_s: float = 0.0
    why: str = ""


@dataclass(frozen=True, slots=True)
class Target:
    """One end that the run is about: what the daemon calls it, and whose it is.

    `expect` is what is looked for where the verb alone does not say: new, gone, or up.
    """

    tunnel: str
    gateway: str
    connection: str | None
    peer: str | None
    selectors: Selectors | None
    active: bool = False
    expect: str = ""


@dataclass(frozen=True, slots=True)
class Negotiation:
    """Steps that make the daemons negotiate, all at one gateway in one visit, and the `targets` that show it established.

    `machines` compute for it, ours or not. It begins `begin_s` after the last wave at the earliest, for the reason `why`;
    it lasts `least_s` if it is seen sooner, `gap_s` passes before either machine begins another, and after `limit_s`
    neither waits for it any longer. It is not begun unless the negotiation of the tunnel `after` was established.
    """

    tunnel: str
    steps: tuple[Step, ...]
    targets: tuple[Target, ...]
    machines: tuple[str, str]
    begin_s: float = 0.0
    gap_s: float = 0.0
    least_s: float = 0.0
    limit_s: float = 40.0
    after: str | None = None
    why: str = ""

    @property
    def gateway(self) -> str:
        """Where its steps are done."""
        return self.steps[0].gateway


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
    the plan rests on at each gateway that it changes. No more than `at_once` negotiations run in the whole fleet, and no
    more than `at_each` at one machine, where that is a limit. `finally_` is done at last for tunnels that were proven,
    `otherwise` for those that were not. Each of `together` are tunnels that are proven together or not at all; with
    `takes_back` what is `otherwise` is done whatever else failed, and when the run is stopped. `bystanders` are not of
    the run, and must be up after it.
    """

    verb: str
    waves: tuple[Wave, ...] = ()
    negotiations: tuple[Negotiation, ...] = ()
    at_once: int | None = None
    at_each: int | None = None
    targets: tuple[Target, ...] = ()
    already: tuple[str, ...] = ()
    refusals: tuple[RefusedError, ...] = ()
    notes: tuple[str, ...] = ()
    caveats: tuple[str, ...] = ()
    settle_s: float = 0.0
    look_again_s: float = 0.0
    basis: tuple[Basis, ...] = ()
    finally_: tuple[Step, ...] = ()
    otherwise: tuple[Step, ...] = ()
    together: tuple[tuple[str, ...], ...] = ()
    takes_back: bool = False
    bystanders: tuple[Target, ...] = ()

    @property
    def stages(self) -> tuple[Wave, ...]:
        """The waves, and as waves the negotiations that begin at the same moment."""
        return (*self.waves, *_as_waves(self.negotiations))

    @property
    def steps(self) -> tuple[Step, ...]:
        """Every step that is done whatever is proven."""
        return tuple(step for wave in self.stages for step in wave.steps)

    @property
    def last_steps(self) -> tuple[Step, ...]:
        """Every step that depends on what is proven."""
        return (*self.finally_, *self.otherwise)


def _as_waves(negotiations: Iterable[Negotiation]) -> Iterable[Wave]:
    passed = 0.0
    ordered = sorted(negotiations, key=lambda n: n.begin_s)
    for begin_s, same in groupby(ordered, key=lambda n: n.begin_s):
        together = list(same)
        yield Wave(tuple(s for n in together for s in n.steps), begin_s - passed, together[0].why)
        passed = begin_s
