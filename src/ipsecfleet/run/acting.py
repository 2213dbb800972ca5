"""What one gateway is asked to do: its run lock, a look, the check of what its steps need, the steps, a look.

The lock is held from the first look to the last, two visits long, so that no other run changes the gateway between
what was checked and what is done; it expires by the gateway's own clock, and a change is refused there once it has.
"""

from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from math import ceil

from ipsecfleet.errors import GatewayError, IpsecfleetError, RefusedError
from ipsecfleet.isakmpd.snapshot import ADVICE, AGAIN, snapshot_of
from ipsecfleet.isakmpd.steps import NO_TEXTS, Batch, Texts, batches
from ipsecfleet.isakmpd.verbs import LONGEST_LOCK_S, Lock, Unlock
from ipsecfleet.isakmpd.visit import Answer, Section, holder
from ipsecfleet.model.fleet import Gateway
from ipsecfleet.model.plan import Basis, Step
from ipsecfleet.model.snapshot import GatewaySnapshot
from ipsecfleet.plan.basis import changed
from ipsecfleet.run.clock import Clock
from ipsecfleet.run.event import Event, Kind, Listener, nobody
from ipsecfleet.run.probe import STARE, Prober
from ipsecfleet.run.stopping import Stop

VISITS = 2
"""How many visits long the lock is needed."""

MARGIN_S = 10.0
"""What a lock outlasts the deadlines of those visits by."""

ASK_AGAIN_S = 1.0
"""How often a lock that somebody else has is asked for."""


class SkippedError(IpsecfleetError):
    """Nothing was sent because the run is to start nothing new."""


@dataclass(frozen=True, slots=True)
class Locking:
    """How long another run's lock is waited for, in seconds, and whether it is taken over then."""

    wait_s: float = 30.0
    take: bool = False


@dataclass(frozen=True, slots=True)
class Acted:
    """What was seen before, what was asked, what the gateway answered to each verb, and what was seen after."""

    before: GatewaySnapshot
    asked: tuple[Batch, ...]
    answer: Answer
    after: GatewaySnapshot


@dataclass(slots=True)
class Actor:
    """Changes gateways, one at a time or several side by side; `basis` is what the plan rests on at each.

    `texts` are the new texts of conf files.
    """

    prober: Prober
    clock: Clock
    stop: Stop
    locking: Locking = field(default_factory=Locking)
    tell: Listener = nobody
    basis: Mapping[str, Basis] = field(default_factory=dict)
    texts: Texts = field(default_factory=lambda: NO_TEXTS)
    _touched: set[str] = field(default_factory=set)

    def act(self, gateway: Gateway, steps: Sequence[Step], *, anyway: bool = False) -> Acted:
        """Carry the steps out, or raise before anything is sent; the basis counts before a gateway's first steps.

        `anyway`: also when the run is stopped.
        """
        before = self._locked(gateway, anyway=anyway)
        try:
            self._check(
                steps, before, None if gateway.name in self._touched else self.basis.get(gateway.name), anyway=anyway
            )
        except IpsecfleetError:
            with suppress(IpsecfleetError):
                self.prober.visit(gateway, (Unlock(),))
            raise
        self._touched.add(gateway.name)
        self.tell(Event(Kind.SENDING, ", ".join(map(told, steps)), gateway.name))
        asked = batches(steps, self.texts)
        answer = self.prober.visit(gateway, (*(v for batch in asked for v in batch.verbs), *STARE, Unlock()))
        return Acted(before, asked, answer, snapshot_of(gateway.name, answer))

    def _locked(self, gateway: Gateway, *, anyway: bool) -> GatewaySnapshot:
        """A look under the gateway's run lock, which is waited for."""
        deadlines = VISITS * (self.prober.timeout or gateway.command_timeout) + MARGIN_S
        seconds = min(LONGEST_LOCK_S, ceil(deadlines))
        until = self.clock.elapsed() + self.locking.wait_s
        while anyway or not self.stop.asked:
            answer = self.prober.visit(gateway, (Lock(seconds, take=self.locking.take), *STARE))
            section = answer.last("lock")
            if section is not None and section.ok:
                return snapshot_of(gateway.name, answer)
            if section is None or section.status != "held" or self.clock.elapsed() >= until:
                raise _not_locked(gateway.name, section)
            self.tell(Event(Kind.WAITING, f"{gateway.name}: waiting for {_holder(section)}", gateway.name))
            self.clock.sleep(ASK_AGAIN_S)
        raise SkippedError(self.stop.why)

    def _check(self, steps: Sequence[Step], before: GatewaySnapshot, basis: Basis | None, *, anyway: bool) -> None:
        """Refuse what is not as the plan took it to be."""
        unmet = [need.unmet(before, before) for step in steps for need in step.needs]
        for why in filter(None, (*unmet, changed(basis, before) if basis is not None else None)):
            raise RefusedError(why, kind="stale-plan", obj=before.gateway, hint="nothing was sent there; run it again")
        if self.stop.asked and not anyway:
            raise SkippedError(self.stop.why)


def told(step: Step) -> str:
    """A step in few words."""
    matched = f"{step.selectors.local} to {step.selectors.remote}" if step.selectors is not None else None
    return f"{step.action.value} {step.connection or step.phase1 or step.peer or step.file or step.alias or matched}"


def _holder(section: Section) -> str:
    held = holder(section.body)
    return f"{held.run} of {held.who}" if held is not None else "another run"


def _not_locked(gateway: str, section: Section | None) -> IpsecfleetError:
    """Another run's lock is a refusal; a gateway that cannot give one has failed."""
    status, body = (section.status, section.body) if section is not None else ("missing", b"")
    held = holder(body) if status == "held" else None
    if held is None:
        text = f"{gateway} gave no run lock: {status}: {body.decode('utf-8', 'replace').strip()}"
        return GatewayError(text, kind="lock", obj=gateway, hint=ADVICE.get(status, AGAIN))
    text = f"{gateway} is being changed by {held.run} of {held.who} since {held.held_s:.0f} s"
    hint = f"it ends by itself within {held.left_s:.0f} s; --force lock takes it over, if that run is dead"
    return RefusedError(text, force="lock", kind="lock", obj=gateway, hint=hint)
