"""Carry a plan out: wave by wave, each gateway's steps in one visit, then look until the targets are judged.

Before a gateway's steps what they need is read again; if it does not hold any more, that gateway is refused and nothing
is sent to it. A tunnel one of whose steps failed gets no further step: half a teardown undone by the other end helps
nobody. Every kind of failure counts against one budget, `max_failures` gateways; when it is used up, as after ^C,
nothing new is started, what runs is finished, and what is left is told. Nothing is called proven that was not looked at
for as long as its plan says.
"""

import traceback
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from itertools import zip_longest

from ipsecfleet.errors import BugError, Exit, GatewayError, IpsecfleetError, RefusedError
from ipsecfleet.isakmpd.snapshot import ADVICE, AGAIN
from ipsecfleet.isakmpd.steps import batches, command_of, lines_of
from ipsecfleet.isakmpd.visit import CHANGES, Section
from ipsecfleet.model.condition import live_spis
from ipsecfleet.model.document import StepRow
from ipsecfleet.model.plan import Plan, Step, Wave
from ipsecfleet.model.snapshot import GatewaySnapshot, Snapshot, Unknown
from ipsecfleet.plan.judge import Patience, Verdict, Word, judge_down, judge_up
from ipsecfleet.plan.view import View
from ipsecfleet.run.acting import Acted, Actor, Locking, SkippedError, told
from ipsecfleet.run.clock import Clock
from ipsecfleet.run.event import Event, Kind, Listener, nobody
from ipsecfleet.run.fanout import fan_out
from ipsecfleet.run.probe import STARE, Prober
from ipsecfleet.run.stopping import Stop

POLL_S = 1.0
"""How often a bring-up is looked at."""

BUDGET = "more gateways failed than max_failures allows"
CUT = "cut off while it was sent, so its outcome is not known"


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
    """One run of one plan, told to a listener as it goes; `stop` may be asked by anybody."""

    prober: Prober
    clock: Clock
    view: View
    waiting: Waiting = Waiting()
    locking: Locking = field(default_factory=Locking)
    stop: Stop = field(default_factory=Stop)
    tell: Listener = nobody
    _told: list[tuple[Step, StepRow, GatewaySnapshot | None]] = field(default_factory=list)
    _errors: list[IpsecfleetError] = field(default_factory=list)
    _broken: set[str] = field(default_factory=set)
    _failed: set[str] = field(default_factory=set)
    _before: dict[str, frozenset[int]] = field(default_factory=dict)
    _began: float = 0.0

    def run(self, plan: Plan) -> Outcome:
        """Act, settle, look, judge; again while a verdict is pending."""
        self._began = self.clock.elapsed()
        self._before = {name: live_spis(seen) for name, seen in self.view.snapshot.gateways.items()}
        actor = Actor(self.prober, self.clock, self.stop, self.locking, self.tell)
        verdicts: tuple[Verdict, ...] = ()
        try:
            for wave in plan.waves:
                self._wave(plan, actor, wave)
            verdicts = self._verify(plan, actor) if plan.targets else ()
            self._otherwise(plan, actor, verdicts)
        except KeyboardInterrupt:
            self._cut(plan)
        rows = tuple(self._proven_last(*each) for each in self._told)
        return Outcome(rows, verdicts, self.view, tuple(self._errors))

    def _wave(self, plan: Plan, actor: Actor, wave: Wave) -> None:
        if wave.pause_s and not self.stop.asked:
            self.tell(Event(Kind.PAUSE, f"waiting {wave.pause_s:.0f} s: {wave.why}"))
            self.clock.sleep(wave.pause_s)
        steps = [s for s in wave.steps if s.tunnel not in self._broken]
        self._note((s for s in wave.steps if s not in steps), "skipped", "an earlier step of this tunnel failed")
        basis = {b.gateway: b for b in plan.basis}

        def act(job: tuple[str, list[Step]]) -> Acted:
            try:
                return actor.act(self.view.gateway(job[0]), job[1], basis.get(job[0]))
            except SkippedError:
                raise
            except Exception:
                self._count(job[0])
                raise

        work = [(name, [s for s in steps if s.gateway == name]) for name in dict.fromkeys(s.gateway for s in steps)]
        for (name, mine), result in fan_out(work, act, limit=self.prober.fanout):
            if isinstance(result, Exception):
                self._fail(name, mine, result)
            else:
                self._settle(mine, result)

    def _count(self, gateway: str) -> None:
        """One gateway more that failed, in whatever way; when there are too many, nothing new is started."""
        self._failed.add(gateway)
        if len(self._failed) > self.view.fleet.limits.max_failures and not self.stop.asked:
            self.stop.ask(BUDGET)
            self.tell(Event(Kind.STOPPED, BUDGET))

    def _settle(self, steps: Sequence[Step], done: Acted) -> None:
        """Record what became of a gateway's steps."""
        sections = [s for s in done.answer.sections if s.name in CHANGES]
        self._before[done.before.gateway] = self._before.get(done.before.gateway, frozenset()) | live_spis(done.before)
        for batch, section in zip_longest(batches(steps), sections):
            if section is None or section.status != "ok":
                self._not_taken(batch.steps, section)
                continue
            for step in batch.steps:
                state, proof, at = _proof(step, done.after, done.before)
                self._note([step], state, proof, at, done.before)
                if state == "unproven":
                    self._count(step.gateway)

    def _not_taken(self, steps: Sequence[Step], section: Section | None) -> None:
        """A write or an ipsecctl that did not end well: its tunnels get no further step."""
        first, why = steps[0], _said(section)
        self._broken |= {s.tunnel for s in steps}
        self._count(first.gateway)
        text = f"{first.gateway} did not take {first.action.value} for {first.tunnel}: {why}"
        self._errors.append(GatewayError(text, kind="step", obj=first.gateway, hint=_hint(section)))
        self._note(steps, "failed", why)

    def _fail(self, name: str, steps: Sequence[Step], error: Exception) -> None:
        self._broken |= {s.tunnel for s in steps}
        if isinstance(error, SkippedError):
            self._note(steps, "skipped", error.message)
            return
        said = error if isinstance(error, IpsecfleetError) else self._bug(name, error)
        self._errors.append(said)
        self._note(steps, "refused" if isinstance(said, RefusedError) else "failed", said.message)

    def _bug(self, name: str, error: Exception) -> BugError:
        self.tell(Event(Kind.BUG, "".join(traceback.format_exception(error)), name))
        return BugError.of(error, name)

    def _cut(self, plan: Plan) -> None:
        """The second signal: what was begun is left to the gateways, and what is left is told."""
        self.stop.ask("interrupted", Exit.INTERRUPTED)
        ended = {step for step, _, _ in self._told}
        self._note((s for s in plan.steps if s not in ended), "failed", CUT)

    def _note(
        self,
        steps: Iterable[Step],
        state: str,
        proof: str | None,
        at: float | None = None,
        before: GatewaySnapshot | None = None,
    ) -> None:
        offset = self.clock.elapsed() - self._began
        for step in steps:
            row = row_of(step, state, proof, offset_s=round(offset, 1), at=at)
            self._told.append((step, row, before))
            why = f" ({proof})" if state in {"failed", "refused", "skipped", "unproven"} else ""
            text = f"{told(step)}: {state}{why}"
            self.tell(Event(Kind.STEP, text, step.gateway, step.tunnel, step.action.value, state))

    def _proven_last(self, step: Step, row: StepRow, before: GatewaySnapshot | None) -> StepRow:
        """A step that was carried out as the last look shows it: what it did may not have lasted."""
        seen = self.view.seen(step.gateway)
        if row.state not in {"proven", "unproven"} or seen is None or before is None:
            return row
        state, proof, at = _proof(step, seen, before)
        return replace(row, state=state, proof=proof, at=at)

    def _verify(self, plan: Plan, actor: Actor) -> tuple[Verdict, ...]:
        """Look until nothing is pending any more; what a verdict asks for again is done once."""
        changed = self.clock.elapsed()
        repeated: list[tuple[str, str]] = []
        doubted: frozenset[tuple[str, str]] = frozenset()
        self.clock.sleep(plan.settle_s)
        self._look(plan)
        suspects = _running(self.view.snapshot)
        while True:
            elapsed = self.clock.elapsed() - changed
            patience = Patience(elapsed, self.waiting.negotiations, suspects, tuple(repeated), doubted, self._before)
            verdicts = (judge_up if plan.verb == "up" else judge_down)(plan, self.view, patience)
            doubted = frozenset((v.target.gateway, v.target.tunnel) for v in verdicts if v.doubtful)
            if self.stop.asked:
                return self._told_of(_unsettled(v, plan, elapsed, self.stop.why) for v in verdicts)
            again = [v for v in verdicts if v.again and v.target.tunnel not in self._broken]
            if again:
                repeated += dict.fromkeys((v.target.gateway, v.target.tunnel) for v in again)
                self._wave(plan, actor, Wave(tuple(dict.fromkeys(s for v in again for s in v.again))))
                self._look(plan)
                continue
            pending = [v for v in verdicts if v.word is Word.PENDING and v.target.tunnel not in self._broken]
            if not pending or (plan.verb == "up" and elapsed > self.waiting.up_s):
                return self._told_of(map(_final, verdicts))
            self.tell(Event(Kind.WAITING, f"{pending[0].target.tunnel}: {pending[0].text}"))
            self.clock.sleep(POLL_S if plan.verb == "up" else _pause(plan, elapsed))
            self._look(plan)

    def _otherwise(self, plan: Plan, actor: Actor, verdicts: Iterable[Verdict]) -> None:
        """What the plan has for tunnels that were not proven."""
        unproven = {v.target.tunnel for v in verdicts if v.word is not Word.PROVEN}
        steps = tuple(s for s in plan.otherwise if s.tunnel in unproven)
        if steps and not self.stop.asked:
            self._wave(plan, actor, Wave(steps))
            self._look(plan)

    def _told_of(self, verdicts: Iterable[Verdict]) -> tuple[Verdict, ...]:
        final = tuple(verdicts)
        for v in final:
            text = f"{v.target.tunnel} on {v.target.gateway}: {v.word.value}" + (f", {v.text}" if v.text else "")
            self.tell(Event(Kind.VERDICT, text, v.target.gateway, v.target.tunnel, state=v.word.value))
        return final

    def _look(self, plan: Plan) -> None:
        names = dict.fromkeys(
            [*(t.gateway for t in plan.targets), *(s.gateway for s in (*plan.steps, *plan.otherwise))]
        )
        fresh = self.prober.look((self.view.gateway(n) for n in names), STARE)
        self.view = View.of(self.view.fleet, self.view.snapshot.updated(fresh))
        self.tell(Event(Kind.LOOKED, f"looked at {', '.join(names)}"))


def row_of(
    step: Step, state: str, proof: str | None = None, *, offset_s: float = 0.0, at: float | None = None
) -> StepRow:
    """A step as the output shows it, with its exact lines."""
    lines = lines_of(step) or (str(command_of(step)),)
    return StepRow(step.gateway, step.tunnel, step.action.value, lines, offset_s, state, proof, at)


def _said(section: Section | None) -> str:
    if section is None:
        return "it did not answer"
    body = section.body.decode("utf-8", "replace").strip()
    return f"{section.status}: {body}" if body else section.status


def _hint(section: Section | None) -> str:
    return ADVICE.get(section.status, AGAIN) if section is not None else "look at the gateway, then run this again"


def _proof(step: Step, seen: GatewaySnapshot, before: GatewaySnapshot) -> tuple[str, str | None, float | None]:
    """What a look says of a step that was carried out: its state, the proof or what is missing, and when."""
    unmet = next(filter(None, (p.unmet(seen, before) for p in step.proof)), None)
    if not step.proof:
        return "done", None, seen.at
    return ("unproven", unmet, seen.at) if unmet else ("proven", "a fresh look shows it", seen.at)


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
