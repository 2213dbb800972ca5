"""What happens with a plan: refused, written to a file, shown, declined, or carried out and told."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace

from ipsecfleet.errors import BugError, Exit, IpsecfleetError, RefusedError, foremost
from ipsecfleet.inventory.words import Selection
from ipsecfleet.isakmpd import saved
from ipsecfleet.model.document import Document, StepRow, TunnelResult
from ipsecfleet.model.fleet import Fleet
from ipsecfleet.model.plan import Plan, Wave
from ipsecfleet.model.snapshot import Snapshot
from ipsecfleet.plan.deploy import RolloutOptions
from ipsecfleet.plan.down import DownOptions, Strength
from ipsecfleet.plan.order import Order
from ipsecfleet.plan.planfile import PlanFile
from ipsecfleet.plan.renewal import Spis
from ipsecfleet.plan.up import UpOptions
from ipsecfleet.run.acting import Locking
from ipsecfleet.run.clock import Clock
from ipsecfleet.run.engine import Engine, Outcome, Waiting
from ipsecfleet.run.event import Event, Kind, Listener, nobody
from ipsecfleet.run.journal import Archive
from ipsecfleet.run.ledger import row_of
from ipsecfleet.run.probe import Prober
from ipsecfleet.run.scope import Scope, gateway_rows, matches_nothing, troubles, unreachable_codes
from ipsecfleet.run.stopping import Stop, stopped_by_signals
from ipsecfleet.run.telling import BAD, NOT_DONE, results


@dataclass(frozen=True, slots=True)
class Run:
    """What a changing verb works with; `ask` shows a plan, with `files` those that change, and answers yes or no.

    With `plan_out` the plan is handed over as a file's text and nothing is sent; with `expect` it must have that digest.
    Without an `archive` nothing is kept.
    """

    fleet: Fleet
    selection: Selection
    prober: Prober
    clock: Clock
    run_id: str
    ask: Callable[..., bool]
    tell: Listener = nobody
    stop: Stop = field(default_factory=Stop)
    locking: Locking = field(default_factory=Locking)
    archive: Archive | None = None
    forced: frozenset[str] = frozenset()
    dry_run: bool = False
    snapshot: Snapshot | None = None
    plan_out: Callable[[str], None] | None = None
    expect: str | None = None


@dataclass(frozen=True, slots=True)
class Job:
    """A plan with what it was made from. `made_by` is the run that wrote it, `continues` the run it goes on with.

    `before` are the SPIs that were live when the work was begun, if that was not now. `carry` does what one engine does
    not do by itself.
    """

    command: str
    order: Order
    scope: Scope
    plan: Plan
    made_by: str | None = None
    continues: str | None = None
    before: Spis | None = None
    carry: Callable[[Listener], Outcome] | None = None


def carry_out(run: Run, job: Job) -> Document:
    """From a plan to a document."""
    base, dark = _before(run, job)
    file = PlanFile(job.continues or run.run_id, job.order, job.plan)
    if not job.scope.chosen and not job.continues:
        return base
    if job.plan.refusals:
        return _refused(base, *job.plan.refusals)
    base = replace(base, digest=file.digest)
    if run.expect is not None and run.expect != file.digest:
        text = f"this plan is {file.digest}, not the one expected"
        return _refused(base, RefusedError(text, kind="stale-plan", obj=run.expect, hint="look at it: --dry-run"))
    if run.plan_out is not None:
        run.plan_out(file.encode())
        return base
    if not (job.plan.targets or job.plan.steps) or run.dry_run or run.snapshot is not None:
        return base
    if (job.plan.steps or job.plan.last_steps) and not run.ask(job.plan):
        return _refused(
            base, RefusedError("declined at the prompt; nothing was sent", kind="declined", obj=job.command)
        )
    with _kept(run, job, file) as listener, stopped_by_signals(run.stop, _said(listener)):
        outcome = job.carry(listener) if job.carry is not None else _engine(run, job, listener).run(job.plan)
        document = _told(run, job, base, outcome, dark)
        text = f"{document.result}, exit code {int(document.exit_code)}"
        listener(Event(Kind.ENDED, text, action=job.command, state=document.result))
    return document


def _said(listener: Listener) -> Callable[[str], None]:
    return lambda line: listener(Event(Kind.STOPPED, line))


@contextmanager
def _kept(run: Run, job: Job, file: PlanFile) -> Iterator[Listener]:
    """Whoever listens to the run: the terminal, and a journal where one is kept."""
    if run.archive is None:
        yield run.tell
        return
    if job.continues is not None:
        journal = run.archive.again(file, run.clock.now, run.stop)
    else:
        snapshot = saved.encode(run.prober.answers, job.scope.view.snapshot.failed)
        journal = run.archive.begin(file, snapshot, run.clock.now, run.stop)

    def both(event: Event) -> None:
        journal.tell(event)
        run.tell(event)

    try:
        names = ", ".join(dict.fromkeys(t.tunnel for t in job.plan.targets))
        text = f"{job.command} of {names}: {len(job.plan.steps)} steps, {file.digest}"
        both(Event(Kind.BEGAN, text, action=job.command, state=job.made_by or file.run))
        yield both
    finally:
        journal.close()


def _engine(run: Run, job: Job, listener: Listener) -> Engine:
    options = job.order.options
    waiting = Waiting(negotiations=options.wait) if isinstance(options, DownOptions) else Waiting(options.wait_s)
    return Engine(run.prober, run.clock, job.scope.view, waiting, run.locking, run.stop, listener, job.before)


def _every_member(order: Order) -> bool:
    """Whether a CARP member that cannot be reached matters although another is master: what is held there, and loaded."""
    if isinstance(order.options, DownOptions):
        return order.options.strength is not Strength.ONCE
    return isinstance(order.options, UpOptions | RolloutOptions)


def _refused(base: Document, *refusals: IpsecfleetError) -> Document:
    return replace(base, exit_code=Exit.REFUSED, result=Exit.REFUSED.word, errors=(*refusals, *base.errors))


def _before(run: Run, job: Job) -> tuple[Document, list[Exit]]:
    """What is known before anything is done: the plan, who could not be visited, what is so already."""
    dark = unreachable_codes(job.scope, run.selection, every_member=_every_member(job.order))
    nothing = [] if job.scope.chosen or dark or job.continues else [Exit.NOTHING]
    code = foremost([*dark, *nothing])
    idle = code is Exit.OK and not job.plan.targets
    already = (TunnelResult(name, ok=True, text=f"{name}: {job.order.verb} already") for name in job.plan.already)
    document = Document(
        command=job.command,
        run=job.continues or run.run_id,
        exit_code=code,
        result="nothing" if idle else code.word,
        gateways=gateway_rows(job.scope),
        tunnels=job.scope.chosen,
        steps=tuple(_planned_rows(job.plan)),
        plan=job.plan,
        results=tuple(already),
        errors=(*([matches_nothing(run.selection)] if nothing else []), *troubles(job.scope)),
    )
    return document, dark


def _planned_rows(plan: Plan) -> Iterator[StepRow]:
    passed = 0.0
    for wave in (*plan.stages, Wave(plan.last_steps)):
        passed += wave.pause_s
        yield from (row_of(step, "planned", offset_s=passed) for step in wave.steps)


def _told(run: Run, job: Job, base: Document, outcome: Outcome, dark: list[Exit]) -> Document:
    states = {row.state for row in outcome.steps}
    lines = results(job.plan, outcome, job.order.options)
    bugs = [Exit.BUG for e in outcome.errors if isinstance(e, BugError)]
    worst = [Exit.FAILED] if states & BAD or not all(r.ok for r in lines) else []
    code = foremost([*dark, *worst, *bugs, run.stop.code])
    if code is Exit.FAILED and "refused" in states and states <= {"refused", "skipped"}:
        code = Exit.REFUSED
    chosen = {(t.name, g) for t in job.scope.chosen for g in t.gateways}
    fresh = tuple(t for t in outcome.view.tunnels if any((t.name, g) in chosen for g in t.gateways))
    return replace(
        base,
        exit_code=code,
        result="unproven" if code is Exit.FAILED and not states & NOT_DONE else code.word,
        gateways=gateway_rows(replace(job.scope, view=outcome.view)),
        tunnels=fresh,
        steps=outcome.steps,
        results=(*base.results, *lines),
        errors=(*base.errors, *outcome.errors, *_left(run, job, base, outcome)),
    )


def _left(run: Run, job: Job, base: Document, outcome: Outcome) -> tuple[IpsecfleetError, ...]:
    """What a run that was stopped did not do, and how it is finished."""
    if not run.stop.asked:
        return ()
    left = sum(row.state in {"skipped", "failed"} for row in outcome.steps)
    steps = f"{left} of {len(outcome.steps)} steps are left" if left else "all steps are done"
    finish = "rollout apply" if job.order.verb == "rollout" else f"runs resume {base.run}"
    hint = f"look at it: ipsecfleet runs show {base.run}; finish it: ipsecfleet {finish}"
    kind = "interrupted" if run.stop.code else "stopped"
    return (IpsecfleetError(f"{run.stop.why}; {steps}", kind=kind, obj=str(base.run), hint=hint),)
