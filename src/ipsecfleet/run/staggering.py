"""Carry negotiations out, each as soon as its moment has come and both its machines have room.

The loop is closed: a machine has room again when the tunnel is seen established, or when its deadline has passed, and
never before. So a slow gateway delays what it takes part in and nothing else, and one that is quick gains nothing that
would let keys pile up elsewhere.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from ipsecfleet.errors import GatewayError
from ipsecfleet.model.condition import live_spis
from ipsecfleet.model.plan import Negotiation, Plan, Step, Target
from ipsecfleet.model.snapshot import GatewaySnapshot, Snapshot
from ipsecfleet.plan.judge import Patience, Word, judge
from ipsecfleet.plan.view import View
from ipsecfleet.run.acting import Acted, Actor
from ipsecfleet.run.clock import Clock
from ipsecfleet.run.event import Event, Kind
from ipsecfleet.run.ledger import Ledger
from ipsecfleet.run.probe import STARE, Prober
from ipsecfleet.transport.crew import Crew

POLL_S = 1.0
"""How often a negotiation is looked at, in the gateway's seconds."""

SPIs = frozenset[int]
Seen = GatewaySnapshot | GatewayError


@dataclass(frozen=True, slots=True)
class Visit:
    """One visit to a gateway: to do a negotiation's steps, or, without one, to look."""

    gateway: str
    negotiation: Negotiation | None = None


@dataclass(slots=True)
class Underway:
    """A negotiation that was begun, and when."""

    negotiation: Negotiation
    began: float


@dataclass(slots=True)
class Staggering:
    """The negotiations of one plan; `view` is kept up to date, `before` has the SPIs that each target had before."""

    plan: Plan
    view: View
    prober: Prober
    actor: Actor
    clock: Clock
    ledger: Ledger
    before: dict[Target, SPIs] = field(default_factory=dict)
    _queue: list[Negotiation] = field(default_factory=list)
    _acting: dict[str, Negotiation] = field(default_factory=dict)
    _underway: list[Underway] = field(default_factory=list)
    _looked: dict[str, float] = field(default_factory=dict)
    _lanes: dict[str, list[float]] = field(default_factory=dict)
    _established: set[str] = field(default_factory=set)
    _base: float = 0.0

    def run(self) -> None:
        """Begin, look and judge until nothing is left; after a stop nothing is begun."""
        self._base = self.clock.elapsed()
        self._queue = list(self.plan.negotiations)
        with Crew(self._visit, limit=self.prober.fanout) as crew:
            while self._queue or self._underway or crew.busy:
                if self.ledger.stop.asked:
                    self._give_up()
                for visit in (*self._beginnings(), *self._looks()):
                    crew.give(visit)
                done = self.clock.attend(crew, self._idle_s(pausing=not (self._underway or crew.busy)))
                news: dict[str, Seen] = {}
                while done is not None:
                    news |= self._settle(*done)
                    done = crew.take(0)
                self._see(news)
                self._judge()

    def _visit(self, visit: Visit) -> Acted | GatewaySnapshot:
        gateway = self.view.gateway(visit.gateway)
        if visit.negotiation is None:
            return self.prober.see(gateway, STARE)
        with self.ledger.counted(visit.gateway):
            return self.actor.act(gateway, visit.negotiation.steps)

    def _beginnings(self) -> Iterable[Visit]:
        """Those whose moment has come, in their order; the machines they need are taken."""
        now = self.clock.elapsed()
        for negotiation in tuple(self._queue):
            if self._ready_at(negotiation) > now or negotiation.gateway in self._acting or not self._room():
                continue
            self._queue.remove(negotiation)
            if negotiation.after not in {None, *self._established}:
                self.ledger.note(negotiation.steps, "skipped", f"{negotiation.after} was not established")
                continue
            if len(self.ledger.unbroken(negotiation.steps)) < len(negotiation.steps):
                continue
            for machine in negotiation.machines:
                lanes = self._lanes_of(machine)
                lanes.remove(min(lanes))
            self._acting[negotiation.gateway] = negotiation
            yield Visit(negotiation.gateway, negotiation)

    def _room(self) -> bool:
        busy = len(self._acting) + len(self._underway)
        return self.plan.at_once is None or busy < self.plan.at_once

    def _ready_at(self, negotiation: Negotiation) -> float:
        """When it may begin as far as is known; never, while one of its machines is busy."""
        lanes = (min(self._lanes_of(machine), default=float("inf")) for machine in negotiation.machines)
        return float("inf") if self._waits(negotiation) else max(self._base + negotiation.begin_s, *lanes)

    def _waits(self, negotiation: Negotiation) -> bool:
        """Whether another one must be established first, and may still be."""
        if negotiation.after in {None, *self._established}:
            return False
        left = (*self._queue, *self._acting.values(), *(u.negotiation for u in self._underway))
        return any(n.tunnel == negotiation.after for n in left)

    def _lanes_of(self, machine: str) -> list[float]:
        """When each of the negotiations that a machine bears at once may begin; those that run are not there."""
        return self._lanes.setdefault(machine, [self._base] * self.view.bears(machine, self.plan.at_each))

    def _release(self, negotiation: Negotiation) -> None:
        for machine in negotiation.machines:
            self._lanes_of(machine).append(self.clock.elapsed() + negotiation.gap_s)

    def _looks(self) -> Iterable[Visit]:
        """The gateways of what is under way, each once a second."""
        now = self.clock.elapsed()
        for name in dict.fromkeys(t.gateway for u in self._underway for t in u.negotiation.targets):
            if now - self._looked.get(name, self._base - POLL_S) >= POLL_S:
                self._looked[name] = float("inf")
                yield Visit(name)

    def _idle_s(self, *, pausing: bool) -> float:
        """How long nothing needs to be done but to wait for a visit, or, `pausing`, for the next moment."""
        now = self.clock.elapsed()
        if pausing and self._queue:
            first = min(self._queue, key=self._ready_at)
            left = max(0.0, self._ready_at(first) - now)
            self.ledger.tell(Event(Kind.PAUSE, f"waiting {left:.0f} s: {first.why}"))
        starts = (self._ready_at(n) for n in self._queue)
        looks = (at + POLL_S for at in self._looked.values()) if self._underway else ()
        return min((at - now for at in (*starts, *looks) if now < at < float("inf")), default=POLL_S)

    def _settle(self, visit: Visit, result: Acted | GatewaySnapshot | Exception) -> Mapping[str, Seen]:
        """What a visit came to, and what it saw of its gateway."""
        if visit.negotiation is None:
            self._looked[visit.gateway] = self.clock.elapsed()
            if not isinstance(result, (GatewaySnapshot, GatewayError)):
                raise TypeError(result) if not isinstance(result, Exception) else result
            return {visit.gateway: result}
        negotiation = self._acting.pop(visit.gateway)
        if not isinstance(result, Acted):
            error = result if isinstance(result, Exception) else TypeError(result)
            self.ledger.fail(visit.gateway, negotiation.steps, error)
            self._release(negotiation)
            return {}
        self.before |= {t: self._spis_before(t, result) for t in negotiation.targets}
        self.ledger.settle(result)
        if negotiation.tunnel in self.ledger.broken:
            self._release(negotiation)
        else:
            self._underway.append(Underway(negotiation, self.clock.elapsed()))
        return {visit.gateway: result.after}

    def _spis_before(self, target: Target, acted: Acted) -> SPIs:
        here = target.gateway == acted.before.gateway
        seen = acted.before if here else self.view.seen(target.gateway)
        return live_spis(seen) if seen is not None else frozenset()

    def _see(self, news: Mapping[str, Seen]) -> None:
        if news:
            fresh = Snapshot(
                {n: s for n, s in news.items() if isinstance(s, GatewaySnapshot)},
                {n: s for n, s in news.items() if isinstance(s, GatewayError)},
            )
            self.view = View.of(self.view.fleet, self.view.snapshot.updated(fresh))

    def _judge(self) -> None:
        """Let go of what is established, or was waited for long enough."""
        for underway in tuple(self._underway):
            negotiation, passed = underway.negotiation, self.clock.elapsed() - underway.began
            verdicts = judge(self.plan, self.view, Patience(0.0, renewed=self.before), negotiation.targets)
            unproven = [v for v in verdicts if v.word is not Word.PROVEN]
            if not unproven and passed >= negotiation.least_s:
                self._established.add(negotiation.tunnel)
                self._end(underway, f"established after {passed:.1f} s", "established")
            elif passed > negotiation.limit_s or any(v.word is Word.FAILED for v in unproven):
                self._end(underway, f"not established after {passed:.0f} s: {unproven[0].text}", "late")
                self.ledger.count(negotiation.gateway)

    def _end(self, underway: Underway, text: str, state: str) -> None:
        self._underway.remove(underway)
        self._release(underway.negotiation)
        n = underway.negotiation
        self.ledger.tell(Event(Kind.NEGOTIATED, f"{n.tunnel}: {text}", n.gateway, n.tunnel, state=state))

    def _give_up(self) -> None:
        """Begin nothing more, and leave what is under way to the last look."""
        left: list[Step] = [s for n in self._queue for s in n.steps]
        self.ledger.note(left, "skipped", self.ledger.stop.why)
        self._queue.clear()
        self._underway.clear()
