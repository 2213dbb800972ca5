"""What became of every step of a run: told as it happens, counted against the budget of failures, and kept to its end.

Every kind of failure counts against one budget, `max_failures` gateways; when it is used up, nothing new is started. A
tunnel one of whose steps failed gets no further step: half a teardown undone by the other end helps nobody.
"""

import traceback
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace

from ipsecfleet.errors import BugError, GatewayError, IpsecfleetError, RefusedError
from ipsecfleet.isakmpd.snapshot import ADVICE, AGAIN
from ipsecfleet.isakmpd.steps import command_of, lines_of
from ipsecfleet.isakmpd.verbs import CHANGES
from ipsecfleet.isakmpd.visit import Section
from ipsecfleet.model.document import StepRow
from ipsecfleet.model.plan import Step
from ipsecfleet.model.snapshot import GatewaySnapshot
from ipsecfleet.plan.view import View
from ipsecfleet.run.acting import Acted, SkippedError, told
from ipsecfleet.run.clock import Clock
from ipsecfleet.run.event import Event, Kind, Listener, nobody
from ipsecfleet.run.stopping import Stop

BUDGET = "more gateways failed than max_failures allows"
CUT = "cut off while it was sent, so its outcome is not known"


@dataclass(slots=True)
class Ledger:
    """The steps of one run; `errors` are what went wrong beside them, `broken` the tunnels that get no further step."""

    clock: Clock
    stop: Stop
    max_failures: int
    tell: Listener = nobody
    errors: list[IpsecfleetError] = field(default_factory=list)
    broken: set[str] = field(default_factory=set)
    _told: list[tuple[Step, StepRow, GatewaySnapshot | None]] = field(default_factory=list)
    _failed: set[str] = field(default_factory=set)
    _began: float = field(init=False)

    def __post_init__(self) -> None:
        self._began = self.clock.elapsed()

    def unbroken(self, steps: Sequence[Step]) -> list[Step]:
        """The steps that may still be done; the others are noted as skipped."""
        good = [s for s in steps if s.tunnel not in self.broken]
        self.note((s for s in steps if s not in good), "skipped", "an earlier step of this tunnel failed")
        return good

    @property
    def done(self) -> frozenset[Step]:
        """The steps that were carried out."""
        return frozenset(step for step, row, _ in self._told if row.state in {"done", "proven", "unproven"})

    def forget(self, steps: Iterable[Step]) -> None:
        """What became of these does not count any more: they are tried again."""
        again = {*steps}
        self._told = [told for told in self._told if told[0] not in again]

    def count(self, gateway: str) -> None:
        """One gateway more that failed, in whatever way; when there are too many, nothing new is started."""
        self._failed.add(gateway)
        if len(self._failed) > self.max_failures and not self.stop.asked:
            self.stop.ask(BUDGET)
            self.tell(Event(Kind.STOPPED, BUDGET))

    @contextmanager
    def counted(self, gateway: str) -> Iterator[None]:
        """Count what fails in here, in the moment in which it does."""
        try:
            yield
        except SkippedError:
            raise
        except Exception:
            self.count(gateway)
            raise

    def settle(self, done: Acted) -> None:
        """What became of a gateway's steps."""
        sections = (s for s in done.answer.sections if s.name in CHANGES)
        for batch in done.asked:
            came = [next(sections, None) for _ in batch.verbs]
            bad = [s for s in came if s is None or s.status != "ok"]
            if bad:
                self._not_taken(batch.steps, bad[0])
                continue
            for step in batch.steps:
                state, proof, at = _proof(step, done.after, done.before)
                self.note([step], state, proof, at, done.before)
                if state == "unproven":
                    self.count(step.gateway)

    def fail(self, gateway: str, steps: Sequence[Step], error: Exception) -> None:
        """A visit that came to nothing."""
        self.broken |= {s.tunnel for s in steps}
        if isinstance(error, SkippedError):
            self.note(steps, "skipped", error.message)
            return
        said = error if isinstance(error, IpsecfleetError) else self._bug(gateway, error)
        self.errors.append(said)
        self.note(steps, "refused" if isinstance(said, RefusedError) else "failed", said.message)

    def cut(self, steps: Iterable[Step]) -> None:
        """Of the steps of a run that was cut off, those of which nothing was heard."""
        ended = {step for step, _, _ in self._told}
        self.note((s for s in steps if s not in ended), "failed", CUT)

    def note(
        self,
        steps: Iterable[Step],
        state: str,
        proof: str | None,
        at: float | None = None,
        before: GatewaySnapshot | None = None,
    ) -> None:
        """Keep and tell the state of steps; `before` is the look right before them."""
        offset = self.clock.elapsed() - self._began
        for step in steps:
            row = row_of(step, state, proof, offset_s=round(offset, 1), at=at)
            self._told.append((step, row, before))
            why = f" ({proof})" if state in {"failed", "refused", "skipped", "unproven"} else ""
            text = f"{told(step)}: {state}{why}"
            self.tell(Event(Kind.STEP, text, step.gateway, step.tunnel, step.action.value, state))

    def rows(self, view: View) -> tuple[StepRow, ...]:
        """Every step as the last look shows it: what it did may not have lasted."""
        return tuple(_as_seen(*each, view) for each in self._told)

    def _not_taken(self, steps: Sequence[Step], section: Section | None) -> None:
        """A write or an ipsecctl that did not end well: its tunnels get no further step."""
        first, why = steps[0], _said(section)
        self.broken |= {s.tunnel for s in steps}
        self.count(first.gateway)
        text = f"{first.gateway} did not take {first.action.value} for {first.tunnel}: {why}"
        self.errors.append(GatewayError(text, kind="step", obj=first.gateway, hint=_hint(section)))
        self.note(steps, "failed", why)

    def _bug(self, name: str, error: Exception) -> BugError:
        self.tell(Event(Kind.BUG, "".join(traceback.format_exception(error)), name))
        return BugError.of(error, name)


def row_of(
    step: Step, state: str, proof: str | None = None, *, offset_s: float = 0.0, at: float | None = None
) -> StepRow:
    """A step as the output shows it, with its exact lines."""
    lines = lines_of(step) or (str(command_of(step)),)
    return StepRow(step.gateway, step.tunnel, step.action.value, lines, offset_s, state, proof, at)


def _as_seen(step: Step, row: StepRow, before: GatewaySnapshot | None, view: View) -> StepRow:
    seen = view.seen(step.gateway)
    if row.state not in {"proven", "unproven"} or seen is None or before is None:
        return row
    state, proof, at = _proof(step, seen, before)
    return replace(row, state=state, proof=proof, at=at)


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
