"""Verbs that change something, from beginning to end: survey, plan, refuse or ask, act, prove, tell.

Every one comes to a scope, an order and a plan, and `carrying` does the rest: a verb plans, `apply` takes a plan that
was made before, `resume` plans again what is left of a run, `abort` plans its opposite.
"""

from collections.abc import Callable
from dataclasses import replace

from ipsecfleet.errors import OperatorError, RefusedError
from ipsecfleet.inventory.select import resolve_gateways
from ipsecfleet.inventory.words import Selection
from ipsecfleet.isakmpd import saved
from ipsecfleet.model.condition import live_spis
from ipsecfleet.model.document import Document
from ipsecfleet.model.plan import Target
from ipsecfleet.model.tunnel import End, Tunnel
from ipsecfleet.plan.deploy import RolloutOptions
from ipsecfleet.plan.down import DownOptions, Strength
from ipsecfleet.plan.files import conf_path
from ipsecfleet.plan.order import Options, Order, chosen_again, plan_for
from ipsecfleet.plan.planfile import PlanFile
from ipsecfleet.plan.rekey import RekeyOptions
from ipsecfleet.plan.up import UpOptions
from ipsecfleet.plan.view import View
from ipsecfleet.run.carrying import Job, Run, carry_out
from ipsecfleet.run.event import Kind
from ipsecfleet.run.journal import Archive, Kept
from ipsecfleet.run.probe import STARE
from ipsecfleet.run.scope import CHANGING, Scope, look_at_files, of_saved, revisit, survey


def change(run: Run, options: Options) -> Document:
    """Do to the selected tunnels what the options say, and prove it."""
    scope = _with_files(run, _scope(run), options)
    order = Order(options, tuple(g.name for g in scope.gateways))
    return carry_out(run, Job(order.verb, order, scope, plan_for(order, scope.view, scope.chosen)))


def apply(run: Run, file: PlanFile) -> Document:
    """Carry a plan out that was made before; it is used once, and what would be refused now is refused."""
    used = run.archive.used(file.run) if run.archive is not None else None
    if used is not None:
        text = f"this plan was carried out already, by run {used}"
        raise RefusedError(text, kind="used-plan", obj=file.run, hint="make a new one by --plan-out FILE")
    order = _forced(file.order, run)
    scope = _revisited(run, order, file.plan.targets)
    fresh = plan_for(order, scope.view, scope.chosen)
    basis = () if "stale-plan" in order.options.forced else file.plan.basis
    plan = replace(file.plan, refusals=fresh.refusals, basis=basis)
    return carry_out(run, Job("apply", order, scope, plan, made_by=file.run))


def resume(run: Run, kept: Kept, file: PlanFile, snapshot: str) -> Document:
    """Do what is left of a run. What became of it is seen at the gateways: what is done is not done again."""
    order = _forced(file.order, run)
    scope = _revisited(run, order, file.plan.targets)
    was = saved.decode(snapshot, f"snapshot of {kept.run}")
    before = {name: live_spis(seen) for name, seen in was.gateways.items()}
    left = plan_for(order, scope.view, scope.chosen, before)
    first = file.plan
    plan = replace(
        left,
        targets=first.targets,
        already=first.already,
        caveats=first.caveats,
        settle_s=first.settle_s,
        look_again_s=first.look_again_s,
    )
    return carry_out(run, Job("runs resume", order, scope, plan, continues=kept.run, before=before))


def abort(run: Run, kept: Kept, file: PlanFile, before: str) -> Document:
    """Take back what a run did: what it took down and was up comes up, what it brought up and was held is held.

    Keys that are new stay so.
    """
    started = {e.event.tunnel for e in kept.entries if e.event.kind is Kind.STEP and e.event.state != "skipped"}
    sent = {e.event.gateway for e in kept.entries if e.event.kind is Kind.SENDING}
    was = View.of(run.fleet, saved.decode(before, f"snapshot of {kept.run}"))
    down_again = isinstance(file.order.options, UpOptions)
    targets = tuple(
        t
        for t in file.plan.targets
        if (t.tunnel in started or t.gateway in sent) and (_held if down_again else _carried)(was, t)
    )
    options: Options = DownOptions() if down_again else UpOptions(let_out=True)
    order = _forced(Order(options, file.order.gateways), run)
    scope = _revisited(run, order, targets)
    return carry_out(
        run, Job("runs abort", order, scope, plan_for(order, scope.view, scope.chosen), continues=kept.run)
    )


def find(archive: Archive, name: str) -> tuple[Kept, PlanFile]:
    """A run that can be taken up again, and what it set out to do."""
    kept = archive.run(name)
    if kept.alive:
        raise OperatorError(f"run {kept.run} is running", kind="running", obj=kept.run, hint="wait for its end")
    return kept, archive.plan(kept.run)


def find_to_finish(archive: Archive, name: str) -> tuple[Kept, PlanFile]:
    """The same of a run that is finished or taken back as it was planned, which a rollout is not."""
    kept, file = find(archive, name)
    if isinstance(file.order.options, RolloutOptions):
        hint = (
            f"rollout apply does what is left; rollout rollback {kept.run} goes back; runs confirm {kept.run} keeps it"
        )
        raise OperatorError(f"run {kept.run} is a rollout", kind="rollout", obj=kept.run, hint=hint)
    return kept, file


def _forced(order: Order, run: Run) -> Order:
    """The order with what the operator forces now as well."""
    return replace(order, options=replace(order.options, forced=order.options.forced | run.forced))


def _scope(run: Run) -> Scope:
    if run.snapshot is not None:
        return of_saved(run.fleet, run.selection, run.snapshot)
    return survey(run.prober, run.fleet, run.selection, STARE, CHANGING)


def _revisited(run: Run, order: Order, targets: tuple[Target, ...]) -> Scope:
    """The gateways of an order, visited again, and the tunnels of the targets."""
    gateways = resolve_gateways(run.fleet, Selection.of(gateways=order.gateways), default_all=False)

    def choose(view: View) -> tuple[Tunnel, ...]:
        return chosen_again(view, targets)

    scope = revisit(run.prober, run.fleet, gateways, choose)
    return _with_files(run, scope, order.options)


def _with_files(run: Run, scope: Scope, options: Options) -> Scope:
    """The scope with what those conf files of the chosen ends make that the options need."""
    if run.snapshot is not None or isinstance(options, RekeyOptions):
        return scope
    remove = isinstance(options, DownOptions) and options.strength is Strength.REMOVE
    wanted = (lambda _end: remove) if isinstance(options, DownOptions) else _lacks_configuration
    return look_at_files(run.prober, scope, _files(scope, wanted))


def _files(scope: Scope, wanted: Callable[[End], bool]) -> dict[str, list[str]]:
    """The conf files of the chosen ends that meet `wanted`, by gateway."""
    files: dict[str, list[str]] = {}
    for tunnel in scope.chosen:
        for end in tunnel.ends:
            path = conf_path(scope.view, tunnel, end)
            if path is not None and wanted(end) and end.gateway in scope.view.snapshot.gateways:
                files.setdefault(end.gateway, []).append(path)
    return files


def _lacks_configuration(end: End) -> bool:
    return end.connection is None or bool(end.missing)


def _ends(view: View, target: Target) -> list[End]:
    return [e for t in chosen_again(view, [target]) for e in t.ends]


def _carried(view: View, target: Target) -> bool:
    return any(e.live for e in _ends(view, target))


def _held(view: View, target: Target) -> bool:
    return any(e.listing.held for e in _ends(view, target))
