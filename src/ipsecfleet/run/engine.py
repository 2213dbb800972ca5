"""Carry a plan out: wave by wave, each gateway's steps in one visit, then look until the targets are judged.

Before a gateway's steps its preconditions are read again; if one does not hold any more, that gateway is refused and
nothing is sent to it. A tunnel one of whose steps failed gets no further step: half a teardown undone by the other end
helps nobody. When more gateways fail than the inventory allows, nothing new is started.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace
from itertools import zip_longest

from ipsecfleet.errors import GatewayError, IpsecfleetError, RefusedError
from ipsecfleet.isakmpd.snapshot import ADVICE, AGAIN, snapshot_of
from ipsecfleet.isakmpd.steps import batches, command_of, lines_of
from ipsecfleet.isakmpd.visit import Answer, Lock, Section, Unlock
from ipsecfleet.model.document import StepRow
from ipsecfleet.model.plan import Plan, Step, Wave
from ipsecfleet.model.snapshot import GatewaySnapshot, Snapshot, Unknown
from ipsecfleet.plan.judge import Patience, Verdict, Word, judge_down, judge_up
from ipsecfleet.plan.view import View
from ipsecfleet.run.clock import Clock
from ipsecfleet.run.fanout import fan_out
from ipsecfleet.run.probe import STARE, Prober

POLL_S = 1.0
"""How often a bring-up is looked at."""

LOCK_S = 60
"""For how long a gateway is locked for its steps: longer than the visit lasts that makes them."""

Say = Callable[[str], None]


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
    """One run of one plan; `say` hears what has happened, `waits` what is waited for."""

    prober: Prober
    clock: Clock
    view: View
    waiting: Waiting = Waiting()
    say: Say = field(default=lambda _line: None)
    waits: Say = field(default=lambda _line: None)
    _told: list[tuple[Step, StepRow]] = field(default_factory=list)
    _errors: list[IpsecfleetError] = field(default_factory=list)
    _broken: set[str] = field(default_factory=set)
    _failed: set[str] = field(default_factory=set)
    _began: float = 0.0

    def run(self, plan: Plan) -> Outcome:
        """Act, settle, look, judge; again while a verdict is pending."""
        self._began = self.clock.elapsed()
        for number, wave in enumerate(plan.waves):
            if len(self._failed) > self.view.fleet.limits.max_failures:
                self._skip(plan.waves[number:])
                break
            self._wave(wave)
        verdicts = self._verify(plan) if plan.targets else ()
        rows = tuple(self._proven_last(step, row) for step, row in self._told)
        return Outcome(rows, verdicts, self.view, tuple(self._errors))

    def _wave(self, wave: Wave) -> None:
        if wave.pause_s:
            self.waits(f"waiting {wave.pause_s:.0f} s: {wave.why}")
            self.clock.sleep(wave.pause_s)
        steps = [s for s in wave.steps if s.tunnel not in self._broken]
        self._note((s for s in wave.steps if s not in steps), "skipped", "an earlier step of this tunnel failed")
        by_gateway = {name: [s for s in steps if s.gateway == name] for name in dict.fromkeys(s.gateway for s in steps)}
        for (name, work), result in fan_out(by_gateway.items(), self._act, limit=self.prober.fanout):
            if isinstance(result, IpsecfleetError):
                self._fail(name, work, result)
            else:
                self._settle(work, result)

    def _act(self, job: tuple[str, list[Step]]) -> tuple[Answer, GatewaySnapshot]:
        """Look, check what every step needs, act and look again in one visit."""
        name, steps = job
        gateway = self.view.gateway(name)
        before = self.prober.see(gateway, STARE)
        for step in steps:
            for why in filter(None, (need.unmet(before) for need in step.needs)):
                raise RefusedError(why, kind="stale-plan", obj=name, hint="nothing was sent there; run it again")
        writes = (b.verb for b in batches(steps))
        answer = self.prober.visit(gateway, (Lock(LOCK_S), *writes, *STARE, Unlock()))
        lock = answer.last("lock")
        if lock is None or not lock.ok:
            raise _not_locked(name, lock)
        return answer, snapshot_of(name, answer)

    def _settle(self, steps: Sequence[Step], result: tuple[Answer, GatewaySnapshot]) -> None:
        """Record what became of a gateway's steps."""
        answer, after = result
        sections = [s for s in answer.sections if s.name in {"write", "load", "unload"}]
        for batch, section in zip_longest(batches(steps), sections):
            if section is None or section.status != "ok":
                self._not_taken(batch.steps, section)
                continue
            for step in batch.steps:
                self._note([step], *_proof(step, after))

    def _not_taken(self, steps: Sequence[Step], section: Section | None) -> None:
        """A write or an ipsecctl that did not end well: its tunnels get no further step."""
        first, why = steps[0], _said(section)
        self._broken |= {s.tunnel for s in steps}
        self._failed.add(first.gateway)
        text = f"{first.gateway} did not take {first.action.value} for {first.tunnel}: {why}"
        self._errors.append(GatewayError(text, kind="step", obj=first.gateway, hint=_hint(section)))
        self._note(steps, "failed", why)

    def _fail(self, name: str, steps: Sequence[Step], error: IpsecfleetError) -> None:
        self._failed.add(name)
        self._broken |= {s.tunnel for s in steps}
        self._errors.append(error)
        self._note(steps, "refused" if isinstance(error, RefusedError) else "failed", error.message)

    def _skip(self, waves: Iterable[Wave]) -> None:
        for wave in waves:
            self._broken |= {s.tunnel for s in wave.steps}
            self._note(wave.steps, "skipped", "more gateways failed than max_failures allows")

    def _note(self, steps: Iterable[Step], state: str, proof: str | None, at: float | None = None) -> None:
        offset = self.clock.elapsed() - self._began
        for step in steps:
            self._told.append((step, row_of(step, state, proof, offset_s=round(offset, 1), at=at)))
            what = step.connection or step.phase1 or step.peer or step.file
            self.say(f"{step.gateway}: {step.action.value} {what}: {state}")

    def _proven_last(self, step: Step, row: StepRow) -> StepRow:
        """A step that was carried out as the last look shows it: what it did may not have lasted."""
        seen = self.view.seen(step.gateway)
        if row.state not in {"proven", "unproven"} or seen is None:
            return row
        state, proof, at = _proof(step, seen)
        return replace(row, state=state, proof=proof, at=at)

    def _verify(self, plan: Plan) -> tuple[Verdict, ...]:
        """Look until nothing is pending any more; what a verdict asks for again is done once."""
        changed = self.clock.elapsed()
        repeated: list[tuple[str, str]] = []
        doubted: frozenset[tuple[str, str]] = frozenset()
        self.clock.sleep(plan.settle_s)
        self._look(plan)
        suspects = _running(self.view.snapshot)
        while True:
            elapsed = self.clock.elapsed() - changed
            patience = Patience(elapsed, self.waiting.negotiations, suspects, tuple(repeated), doubted)
            verdicts = (judge_up if plan.verb == "up" else judge_down)(plan, self.view, patience)
            doubted = frozenset((v.target.gateway, v.target.tunnel) for v in verdicts if v.doubtful)
            again = [v for v in verdicts if v.again and v.target.tunnel not in self._broken]
            if again:
                repeated += dict.fromkeys((v.target.gateway, v.target.tunnel) for v in again)
                self._wave(Wave(tuple(dict.fromkeys(s for v in again for s in v.again))))
                self._look(plan)
                continue
            pending = [v for v in verdicts if v.word is Word.PENDING and v.target.tunnel not in self._broken]
            if not pending or (plan.verb == "up" and elapsed > self.waiting.up_s):
                return tuple(_final(v) for v in verdicts)
            self.waits(f"{pending[0].target.tunnel}: {pending[0].text}")
            self.clock.sleep(POLL_S if plan.verb == "up" else _pause(plan, elapsed))
            self._look(plan)

    def _look(self, plan: Plan) -> None:
        names = dict.fromkeys([*(t.gateway for t in plan.targets), *(s.gateway for s in plan.steps)])
        fresh = self.prober.look((self.view.gateway(n) for n in names), STARE)
        self.view = View.of(self.view.fleet, self.view.snapshot.updated(fresh))


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


def _not_locked(name: str, section: Section | None) -> IpsecfleetError:
    """Why nothing was sent: another run has the lock, or it could not be written."""
    fault = RefusedError if section is not None and section.status == "held" else GatewayError
    return fault(f"{name} could not be locked: {_said(section)}", kind="locked", obj=name, hint=_hint(section))


def _proof(step: Step, seen: GatewaySnapshot) -> tuple[str, str | None, float | None]:
    """What a look says of a step that was carried out: its state, the proof or what is missing, and when."""
    unmet = next(filter(None, (p.unmet(seen) for p in step.proof)), None)
    if not step.proof:
        return "done", None, seen.at
    return ("unproven", unmet, seen.at) if unmet else ("proven", "a fresh look shows it", seen.at)


def _running(snapshot: Snapshot) -> frozenset[str]:
    """The cookies of every phase 1 that is being negotiated."""
    tables = (s.exchanges for s in snapshot.gateways.values() if not isinstance(s.exchanges, Unknown))
    return frozenset(x.icookie for table in tables for x in table if x.phase == 1 and not x.finished)


def _final(verdict: Verdict) -> Verdict:
    return replace(verdict, word=Word.FAILED) if verdict.word is Word.PENDING else verdict


def _pause(plan: Plan, elapsed: float) -> float:
    """Until the next look of a teardown: the peer's next attempt, else in steps that a countdown can show."""
    left = plan.look_again_s - elapsed
    return min(max(left, POLL_S), 10.0)
