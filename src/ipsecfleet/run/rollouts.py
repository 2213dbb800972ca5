"""rollout: the conf files of the inventory onto the gateways, and back unless what they make is proven.

Changes go out in waves, of rounds in which no machine has two; each round is planned for what is seen right before it,
and is one run of the engine. Between waves everything that was rolled out must still be up. Going back to the files
before a rollout is a rollout itself, of texts that the gateways kept and that never leave them.
"""

from collections.abc import Iterable, Sequence
from dataclasses import replace
from functools import partial
from itertools import chain
from typing import TYPE_CHECKING

from ipsecfleet.errors import Exit, GatewayError, IpsecfleetError, OperatorError, foremost
from ipsecfleet.isakmpd.deployed import Deployed, Meaning, armed_of, kept_of, stored_of
from ipsecfleet.isakmpd.verbs import Armed, Confirm, Kept, Lock, Stored, Unlock
from ipsecfleet.isakmpd.visit import Answer
from ipsecfleet.model.document import Document, Finding, StepRow, TunnelResult
from ipsecfleet.model.fleet import Gateway
from ipsecfleet.model.plan import Action, Plan, Target
from ipsecfleet.model.secret import Secret
from ipsecfleet.model.tunnel import Tunnel
from ipsecfleet.plan.deploy import RolloutOptions, Wanted
from ipsecfleet.plan.judge import Patience, Verdict, Word, judge
from ipsecfleet.plan.order import Order
from ipsecfleet.plan.planfile import PlanFile
from ipsecfleet.plan.rollout import MARGIN_S, plan_round
from ipsecfleet.plan.up import REINIT_S
from ipsecfleet.plan.view import View
from ipsecfleet.plan.waves import Change
from ipsecfleet.run.carrying import Job, Run, carry_out
from ipsecfleet.run.engine import Engine, Outcome, Waiting
from ipsecfleet.run.event import Event, Kind, Listener
from ipsecfleet.run.ledger import BUDGET, row_of
from ipsecfleet.run.probe import STARE
from ipsecfleet.run.scope import Scope, troubles
from ipsecfleet.run.surveying import Sources, Survey, Surveyed, all_of, survey, visited
from ipsecfleet.run.telling import BAD

if TYPE_CHECKING:
    from ipsecfleet.model.snapshot import Unknown

LOCK_S = 60
"""As long as a confirmation by hand may take."""


def roll_out(run: Run, sources: Sources, options: RolloutOptions, command: str) -> Document:
    """The files onto the gateways, and proven; of a dry run, what that would do."""
    return _carried(run, survey(run, sources, options), options, command)


def _carried(run: Run, surveyed: Surveyed, options: RolloutOptions, command: str) -> Document:
    names = {n for c in surveyed.changes for n in c.tunnels}

    def choose(view: View) -> tuple[Tunnel, ...]:
        return tuple(t for t in view.tunnels if t.name in names)

    scope = Scope.of(surveyed.view, surveyed.gateways, choose)
    order = Order(options, tuple(g.name for g in surveyed.gateways))
    run = replace(run, ask=partial(run.ask, files=surveyed.comparison.rows))
    rolling = _Rolling(run, surveyed, options)
    job = Job(command, order, scope, surveyed.plan, carry=rolling.all)
    document = carry_out(run, job)
    if not surveyed.changes and document.exit_code is Exit.NOTHING:
        document = replace(document, exit_code=Exit.OK, result="nothing", errors=troubles(scope))
    return replace(document, files=surveyed.comparison.rows)


class _Rolling:
    """One rollout as it goes."""

    def __init__(self, run: Run, surveyed: Surveyed, options: RolloutOptions) -> None:
        self.run = run
        self.surveyed = surveyed
        self.options = options
        self.view = surveyed.view
        self.done: list[Target] = []
        self.failed: set[str] = set()
        self.rows: list[StepRow] = []
        self.verdicts: list[Verdict] = []
        self.errors: list[IpsecfleetError] = []

    def all(self, listener: Listener) -> Outcome:
        """Every wave, as long as nothing speaks against the next."""
        first = True
        for number, rounds in enumerate(self.surveyed.waves):
            if number and not self.run.stop.asked:
                self._still_up(listener)
            for changes in rounds:
                self._round(changes, listener, pause_s=0.0 if first else REINIT_S)
                first = False
            if not number and self.options.canary and self.failed:
                self._stop("the canary failed", listener)
        return Outcome(tuple(self.rows), tuple(self.verdicts), self.view, tuple(self.errors))

    def _round(self, changes: Sequence[Change], listener: Listener, pause_s: float) -> None:
        if self.run.stop.asked:
            self._left(plan_round(self.view, changes, self.options), "skipped", self.run.stop.why)
            return
        taking_part = frozenset(chain.from_iterable(c.machines for c in changes))
        self._look([g for g in self.surveyed.gateways if g.name in taking_part])
        plan = plan_round(self.view, changes, self.options, pause_s=pause_s)
        if plan.refusals:
            self.errors += plan.refusals
            self._failed(chain.from_iterable(c.gateways for c in changes))
            self._left(plan, "refused", plan.refusals[0].message)
            return
        texts = {
            (f.gateway, f.path): self._text(f.gateway, f.path) for c in changes for f in c.files if f.new is not None
        }
        wait_s = min(self.options.wait_s, self.options.confirm_s - MARGIN_S)
        engine = Engine(
            self.run.prober, self.run.clock, self.view, Waiting(wait_s), self.run.locking, self.run.stop, listener,
            texts={at: text for at, text in texts.items() if text is not None},
        )  # fmt: skip
        outcome = engine.run(plan)
        self.view = outcome.view
        self.rows += outcome.steps
        self.errors += outcome.errors
        verdicts = tuple(_of_one_fate(plan, outcome))
        self.verdicts += verdicts
        bad = {v.target.tunnel for v in verdicts if v.word is not Word.PROVEN}
        bad |= {row.tunnel for row in outcome.steps if row.state in BAD}
        for change in changes:
            if {*change.tunnels} & bad:
                self._failed(change.gateways)
        self.done += [v.target for v in verdicts if v.word is Word.PROVEN]
        if len(self.failed) > self.view.fleet.limits.max_failures:
            self._stop(BUDGET, listener)

    def _left(self, plan: Plan, state: str, why: str) -> None:
        """A round of which nothing is sent."""
        self.rows += [row_of(step, state, why) for step in plan.steps]
        self.verdicts += [Verdict(t, Word.FAILED, why) for t in plan.targets]

    def _look(self, gateways: Sequence[Gateway]) -> None:
        fresh = self.run.prober.look(gateways, STARE)
        self.view = View.of(self.view.fleet, self.view.snapshot.updated(fresh))

    def _text(self, gateway: str, path: str) -> Secret | None:
        """The new text, unless the gateway has it itself."""
        source = self.surveyed.wanted[gateway, path].source if (gateway, path) in self.surveyed.wanted else None
        return source.text if source is not None else None

    def _failed(self, names: Iterable[str]) -> None:
        self.failed |= {*names}

    def _still_up(self, listener: Listener) -> None:
        """What was rolled out so far must be as it was proven, or nothing more is begun."""
        self._look([self.view.gateway(n) for n in dict.fromkeys(t.gateway for t in self.done)])
        targets = [replace(t, expect="up") if t.expect == "new" else t for t in self.done]
        patience = Patience(0.0, before={})
        for verdict in judge(replace(self.surveyed.plan, look_again_s=0.0), self.view, patience, targets):
            if verdict.word is not Word.PROVEN:
                what = f"{verdict.target.tunnel} on {verdict.target.gateway} is not as it was proven: {verdict.text}"
                self.errors.append(GatewayError(what, kind="regressed", obj=verdict.target.gateway))
                self._stop(what, listener)
                return

    def _stop(self, why: str, listener: Listener) -> None:
        if not self.run.stop.asked:
            self.run.stop.ask(why)
            listener(Event(Kind.STOPPED, why))


def _of_one_fate(plan: Plan, outcome: Outcome) -> Iterable[Verdict]:
    """The verdicts on the targets; what is proven and was taken back with something that was not is not proven."""
    reasons = {
        row.tunnel: f"{row.action} on {row.gateway} {row.state}: {row.proof}"
        for row in outcome.steps
        if row.state in BAD
    }
    reasons |= {v.target.tunnel: v.text for v in outcome.verdicts if v.word is not Word.PROVEN}
    for verdict in outcome.verdicts:
        if verdict.target in plan.bystanders:
            continue
        group = next((g for g in plan.together if verdict.target.tunnel in g), ())
        cause = next((name for name in group if name in reasons), None)
        if verdict.word is Word.PROVEN and cause is not None:
            yield replace(verdict, word=Word.FAILED, text=f"taken back with {cause}: {reasons[cause]}")
        else:
            yield verdict


def roll_back(run: Run, past: PlanFile, options: RolloutOptions) -> Document:
    """The files as they were before a rollout, by the same machinery; their texts never leave the gateways."""
    gateways = [g for g in map(run.fleet.gateway, past.order.gateways) if g is not None]
    kept = {
        name: kept_of(answer) for name, answer in all_of(visited(run, gateways, lambda _g: (Kept(past.run),))).items()
    }
    remove = tuple(f"{g.name}:{g.conf_dir}/{name}" for g in gateways for kind, name in kept[g.name] if kind == "add")
    olds = {
        g.name: {
            _kept_at(g, past.run, kind, name): f"{g.conf_dir}/{name}"
            for kind, name in kept[g.name]
            if kind in {"change", "remove"}
        }
        for g in gateways
    }
    if not remove and not any(olds.values()):
        text = f"run {past.run} left nothing on the gateways to go back to"
        hint = "it was taken back already, or is older than the ten that are kept"
        raise OperatorError(text, kind="rollback", obj=past.run, hint=hint)
    options = replace(options, remove=remove, back_to=past.run)
    survey = Survey(run, tuple(gateways), options)
    wanted: dict[tuple[str, str], Wanted] = {}
    meant: dict[str, dict[str, Meaning | Unknown]] = {}
    reading = {name: tuple(map(Stored, paths)) for name, paths in olds.items()}
    for name, answer in all_of(visited(run, gateways, lambda g: reading[g.name], survey.key)).items():
        for old, there in stored_of(answer, reading[name]).items():
            if not isinstance(there, Deployed):
                raise GatewayError(f"{old} on {name} could not be read", kind="rollback", obj=name)
            path = olds[name][old]
            wanted[name, path] = Wanted(there.digest, there.shown, from_run=past.run)
            meant.setdefault(name, {})[path] = there.meaning
    return _carried(run, replace(survey, meant=meant).of(wanted), options, "rollout rollback")


def _kept_at(gateway: Gateway, run: str, kind: str, name: str) -> str:
    return f"{gateway.paths.etc}/ipsecfleet/{run}/{kind}/{name}"


def confirm(run: Run, past: PlanFile) -> Document:
    """Confirm what a rollout armed and did not confirm."""
    files: dict[str, list[str]] = {}
    for step in past.plan.steps:
        if step.action is Action.STAGE:
            files.setdefault(step.gateway, []).append(str(step.file))
    gateways = [run.fleet.gateway(n) or Gateway(n, n) for n in files]
    armed = visited(run, gateways, lambda _g: (Armed(),))
    waiting = {
        name: change.file
        for name, answer in armed.items()
        if isinstance(answer, Answer) and (change := armed_of(answer)) is not None and change.run == past.run
    }
    dark = [a for a in armed.values() if isinstance(a, GatewayError)]
    asked = [g for g in gateways if g.name in waiting]
    answers = visited(run, asked, lambda g: (Lock(LOCK_S), Confirm(waiting[g.name]), Unlock()))
    lines = tuple(_confirmed(name, waiting[name], answer) for name, answer in answers.items())
    bad = [Exit.FAILED] if not all(line.ok for line in lines) else []
    code = foremost([*(Exit.UNREACHABLE for _ in dark), *bad])
    idle = code is Exit.OK and not lines
    nothing = (Finding(None, "info", past.run, "nothing of it waits for a confirmation"),) if idle else None
    return Document(
        "runs confirm",
        code,
        "nothing" if idle else code.word,
        run=past.run,
        results=lines,
        errors=tuple(dark),
        findings=nothing,
    )


def _confirmed(name: str, file: str, answer: Answer | GatewayError) -> TunnelResult:
    if isinstance(answer, GatewayError):
        return TunnelResult(file, ok=False, text=f"{file} on {name}: {answer.message}")
    section = answer.last("confirm")
    ok = section is not None and section.ok
    why = section.body.decode("utf-8", "replace").strip() if section is not None else "not answered"
    return TunnelResult(file, ok=ok, text=f"{file} on {name}: {'confirmed' if ok else why}")
