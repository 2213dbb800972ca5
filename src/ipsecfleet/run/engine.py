"""Carry a plan out: its waves, then its negotiations, then look until the targets are judged.

Before a gateway's steps what they need is read again; if it does not hold any more, that gateway is refused and nothing
is sent to it. After ^C, or when too many gateways failed, nothing new is started, what runs is finished, and what is
left is told. Nothing is called proven that was not looked at for as long as its plan says.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace

from ipsecfleet.errors import Exit, IpsecfleetError
from ipsecfleet.isakmpd.steps import NO_TEXTS, Texts
from ipsecfleet.model.condition import live_spis
from ipsecfleet.model.document import StepRow
from ipsecfleet.model.plan import Plan, Step, Target, Wave
from ipsecfleet.model.snapshot import Snapshot, Unknown
from ipsecfleet.plan.judge import Patience, Verdict, Word, judge
from ipsecfleet.plan.view import View
from ipsecfleet.run.acting import Acted, Actor, Locking
from ipsecfleet.run.clock import Clock
from ipsecfleet.run.event import Event, Kind, Listener, nobody
from ipsecfleet.run.ledger import Ledger
from ipsecfleet.run.probe import STARE, Prober
from ipsecfleet.run.staggering import POLL_S, Staggering
from ipsecfleet.run.stopping import Stop
from ipsecfleet.transport.crew import fan_out

CONFIRMED_WITHIN = 3
"""How often a confirmation is tried."""


@dataclass(frozen=True, slots=True)
class Waiting:
    """How long a run looks before it gives up: for a bring-up in all, and whether it waits for negotiations to die."""

    up_s: float = 0.0
    negotiations: bool = True


@dataclass(frozen=True, slots=True)
class Outcome:
    """How a run went: every step, the last verdict on every target, the last view, what went wrong beside them."""

    steps: tuple[StepRow, ...]
    verdicts: tuple[Verdict, ...]
    view: View
    errors: tuple[IpsecfleetError, ...] = ()


@dataclass(slots=True)
class Engine:
    """One run of one plan, told to a listener as it goes; `stop` may be asked by anybody.

    `before` are the SPIs that were live on each gateway when the run began, `texts` the new texts of conf files.
    """

    prober: Prober
    clock: Clock
    view: View
    waiting: Waiting = Waiting()
    locking: Locking = field(default_factory=Locking)
    stop: Stop = field(default_factory=Stop)
    tell: Listener = nobody
    before: Mapping[str, frozenset[int]] | None = None
    texts: Texts = field(default_factory=lambda: NO_TEXTS)
    _before: dict[str, frozenset[int]] = field(default_factory=dict)
    _renewed: dict[Target, frozenset[int]] = field(default_factory=dict)
    _ledger: Ledger = field(init=False)
    _actor: Actor = field(init=False)

    def run(self, plan: Plan) -> Outcome:
        """Act, settle, look, judge; again while a verdict is pending."""
        live = {name: live_spis(seen) for name, seen in self.view.snapshot.gateways.items()}
        self._before = dict(live if self.before is None else self.before)
        self._ledger = Ledger(self.clock, self.stop, self.view.fleet.limits.max_failures, self.tell)
        basis = {b.gateway: b for b in plan.basis}
        self._actor = Actor(self.prober, self.clock, self.stop, self.locking, self.tell, basis, self.texts)
        verdicts: tuple[Verdict, ...] = ()
        try:
            for wave in plan.waves:
                self._wave(wave)
            self._stagger(plan)
            verdicts = self._verify(plan)
            self._last(plan, verdicts)
        except KeyboardInterrupt:
            self.stop.ask("interrupted", Exit.INTERRUPTED)
            self._ledger.cut(plan.steps)
        return Outcome(self._ledger.rows(self.view), verdicts, self.view, tuple(self._ledger.errors))

    def _wave(self, wave: Wave, *, anyway: bool = False) -> None:
        """Do its steps; `anyway`: also those of a tunnel of which one failed, and of a run that is stopped."""
        if wave.pause_s and not self.stop.asked:
            self.tell(Event(Kind.PAUSE, f"waiting {wave.pause_s:.0f} s: {wave.why}"))
            self.clock.sleep(wave.pause_s)
        steps = list(wave.steps) if anyway else self._ledger.unbroken(wave.steps)

        def act(job: tuple[str, list[Step]]) -> Acted:
            with self._ledger.counted(job[0]):
                return self._actor.act(self.view.gateway(job[0]), job[1], anyway=anyway)

        work = [(name, [s for s in steps if s.gateway == name]) for name in dict.fromkeys(s.gateway for s in steps)]
        for (name, mine), result in fan_out(work, act, limit=self.prober.fanout):
            if isinstance(result, Exception):
                self._ledger.fail(name, mine, result)
                continue
            self._before[name] = self._before.get(name, frozenset()) | live_spis(result.before)
            self._ledger.settle(result)

    def _stagger(self, plan: Plan) -> None:
        staggering = Staggering(plan, self.view, self.prober, self._actor, self.clock, self._ledger)
        try:
            staggering.run()
        finally:
            self.view, self._renewed = staggering.view, staggering.before

    def _verify(self, plan: Plan) -> tuple[Verdict, ...]:
        """Look until nothing is pending any more; what a verdict asks for again is done once."""
        if not plan.targets:
            self._look(plan)
            return ()
        changed = self.clock.elapsed()
        repeated: list[tuple[str, str]] = []
        doubted: frozenset[tuple[str, str]] = frozenset()
        self.clock.sleep(plan.settle_s)
        self._look(plan)
        suspects = _running(self.view.snapshot)
        while True:
            elapsed = self.clock.elapsed() - changed
            asked = (self.waiting.negotiations, suspects, tuple(repeated), doubted, self._before, self._renewed)
            verdicts = judge(plan, self.view, Patience(elapsed, *asked), (*plan.targets, *plan.bystanders))
            doubted = frozenset((v.target.gateway, v.target.tunnel) for v in verdicts if v.doubtful)
            if self.stop.asked:
                return self._told_of(_unsettled(v, plan, elapsed, self.stop.why) for v in verdicts)
            again = [v for v in verdicts if v.again and v.target.tunnel not in self._ledger.broken]
            if again:
                repeated += dict.fromkeys((v.target.gateway, v.target.tunnel) for v in again)
                self._wave(Wave(tuple(dict.fromkeys(s for v in again for s in v.again))))
                changed = self.clock.elapsed()
                self._look(plan)
                continue
            pending = self._pending(verdicts)
            if not pending or (plan.verb != "down" and elapsed > self.waiting.up_s):
                return self._told_of(map(_final, verdicts))
            self.tell(Event(Kind.WAITING, f"{pending[0].target.tunnel}: {pending[0].text}"))
            self.clock.sleep(_pause(plan, elapsed) if plan.verb == "down" else POLL_S)
            self._look(plan)

    def _pending(self, verdicts: Iterable[Verdict]) -> list[Verdict]:
        return [v for v in verdicts if v.word is Word.PENDING and v.target.tunnel not in self._ledger.broken]

    def _last(self, plan: Plan, verdicts: Sequence[Verdict]) -> None:
        """What the plan has for tunnels that were proven, and for those that were not."""
        unproven = {v.target.tunnel for v in verdicts if v.word is not Word.PROVEN}
        if plan.takes_back:
            unproven |= self._ledger.broken | (
                {t for group in plan.together for t in group} if self._cut_short(plan) else set()
            )
        unproven = unproven.union(*(group for group in plan.together if unproven & {*group}))
        good = tuple(s for s in plan.finally_ if s.tunnel not in unproven)
        bad = tuple(s for s in plan.otherwise if s.tunnel in unproven)
        if plan.takes_back:
            self._wave(Wave(bad), anyway=True)
            self._confirm(good)
            self._look(plan)
        elif self.stop.asked:
            self._ledger.note((*good, *bad), "skipped", self.stop.why)
        elif good or bad:
            self._wave(Wave((*good, *bad)))
            self._look(plan)

    def _cut_short(self, plan: Plan) -> bool:
        """Whether a run was stopped before anything could be proven that it does."""
        return self.stop.asked and not plan.targets

    def _confirm(self, steps: Sequence[Step]) -> None:
        """What was proven is confirmed, more than once where a gateway does not answer: it would take it back."""
        left = list(steps)
        for again in range(CONFIRMED_WITHIN):
            self.clock.sleep(POLL_S if again else 0.0)
            self._ledger.forget(left)
            self._wave(Wave(tuple(left)), anyway=True)
            done = self._ledger.done
            left = [s for s in left if s not in done]
            if not left:
                return

    def _told_of(self, verdicts: Iterable[Verdict]) -> tuple[Verdict, ...]:
        final = tuple(verdicts)
        for v in final:
            text = f"{v.target.tunnel} on {v.target.gateway}: {v.word.value}" + (f", {v.text}" if v.text else "")
            self.tell(Event(Kind.VERDICT, text, v.target.gateway, v.target.tunnel, state=v.word.value))
        return final

    def _look(self, plan: Plan) -> None:
        steps = (*plan.steps, *plan.last_steps)
        names = dict.fromkeys([*(t.gateway for t in plan.targets), *(s.gateway for s in steps)])
        fresh = self.prober.look((self.view.gateway(n) for n in names), STARE)
        self.view = View.of(self.view.fleet, self.view.snapshot.updated(fresh))
        self.tell(Event(Kind.LOOKED, f"looked at {', '.join(names)}"))


def _running(snapshot: Snapshot) -> frozenset[str]:
    """The cookies of every phase 1 that is being negotiated."""
    tables = (s.exchanges for s in snapshot.gateways.values() if not isinstance(s.exchanges, Unknown))
    return frozenset(x.icookie for table in tables for x in table if x.phase == 1 and not x.finished)


def _final(verdict: Verdict) -> Verdict:
    return replace(verdict, word=Word.FAILED) if verdict.word is Word.PENDING else verdict


def _unsettled(verdict: Verdict, plan: Plan, elapsed: float, why: str) -> Verdict:
    """What a run that was stopped may still call proven: what was looked at for as long as the plan says."""
    if verdict.word is Word.PROVEN and elapsed < max(plan.settle_s, plan.look_again_s):
        return replace(verdict, word=Word.FAILED, text=f"{why} before the last look")
    return _final(verdict)


def _pause(plan: Plan, elapsed: float) -> float:
    """Until the next look of a teardown: the peer's next attempt, else in steps that a countdown can show."""
    left = plan.look_again_s - elapsed
    return min(max(left, POLL_S), 10.0)
