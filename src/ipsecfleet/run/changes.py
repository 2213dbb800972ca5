"""down and up from beginning to end: survey, plan, refuse or ask, act, prove, tell."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime

from ipsecfleet.errors import Exit, RefusedError, foremost
from ipsecfleet.inventory.words import Selection
from ipsecfleet.model.document import Document, TunnelResult
from ipsecfleet.model.fleet import Fleet
from ipsecfleet.model.plan import Plan
from ipsecfleet.model.snapshot import Snapshot
from ipsecfleet.model.tunnel import End, State, Tunnel
from ipsecfleet.plan.down import DownOptions, Strength, plan_down
from ipsecfleet.plan.files import conf_path
from ipsecfleet.plan.judge import Verdict, Word
from ipsecfleet.plan.up import UpOptions, plan_up
from ipsecfleet.run.clock import Clock
from ipsecfleet.run.engine import Engine, Outcome, Waiting, row_of
from ipsecfleet.run.probe import STARE, Prober
from ipsecfleet.run.scope import (
    Scope,
    gateway_rows,
    look_at_files,
    matches_nothing,
    saved,
    survey,
    troubles,
    unreachable_codes,
)

NOT_DONE = frozenset({"failed", "refused", "skipped"})
"""States of a step that was not carried out."""

BAD = NOT_DONE | {"unproven"}
"""States of a step that make its tunnel no success."""


@dataclass(frozen=True, slots=True)
class Run:
    """What a changing verb works with; `ask` shows a plan and answers yes or no, the rest is the engine's."""

    fleet: Fleet
    selection: Selection
    prober: Prober
    clock: Clock
    run_id: str
    ask: Callable[[Plan], bool]
    say: Callable[[str], None] = field(default=lambda _line: None)
    waits: Callable[[str], None] = field(default=lambda _line: None)
    dry_run: bool = False
    snapshot: Snapshot | None = None


def down(run: Run, options: DownOptions) -> Document:
    """Take the selected tunnels down and prove it."""
    scope = _scope(run)
    if options.strength is Strength.REMOVE and run.snapshot is None:
        scope = look_at_files(run.prober, scope, run.selection, _files(scope, lambda _end: True))
    once = options.strength is Strength.ONCE
    plan = plan_down(scope.view, _reachable(scope), options)
    finish = _Finish(run, "down", scope, every_member=not once)
    return finish.carry_out(plan, Waiting(negotiations=options.wait), lambda t, o: _down_text(t, o, options, plan))


def up(run: Run, options: UpOptions, up_s: float) -> Document:
    """Bring the selected tunnels up, within `up_s` seconds of the last attempt, and prove it."""
    scope = _scope(run)
    if run.snapshot is None:
        scope = look_at_files(run.prober, scope, run.selection, _files(scope, _lacks_configuration))
    plan = plan_up(scope.view, _reachable(scope), options)
    return _Finish(run, "up", scope, every_member=True).carry_out(plan, Waiting(up_s=up_s), _up_text)


def _scope(run: Run) -> Scope:
    if run.snapshot is not None:
        return saved(run.fleet, run.selection, run.snapshot)
    return survey(run.prober, run.fleet, run.selection, verbs=STARE, reading=False)


def _reachable(scope: Scope) -> tuple[Tunnel, ...]:
    """The chosen tunnels of which at least one end can be read; the others are told as unreachable."""
    return tuple(t for t in scope.chosen if any(e.state is not State.UNKNOWN for e in t.ends))


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


@dataclass(frozen=True, slots=True)
class _Finish:
    """What happens with a plan: refused, shown, declined or carried out."""

    run: Run
    command: str
    scope: Scope
    every_member: bool

    def carry_out(self, plan: Plan, waiting: Waiting, text: Callable[[str, Outcome], str]) -> Document:
        dark = unreachable_codes(self.scope, self.run.selection, every_member=self.every_member)
        base = self._document(plan, dark)
        if not self.scope.chosen:
            return base
        if plan.refusals:
            return replace(
                base, exit_code=Exit.REFUSED, result=Exit.REFUSED.word, errors=(*plan.refusals, *base.errors)
            )
        if not plan.targets or self.run.dry_run or self.run.snapshot is not None:
            return base
        if plan.waves and not self.run.ask(plan):
            said_no = RefusedError("declined at the prompt; nothing was sent", kind="declined", obj=self.command)
            return replace(base, exit_code=Exit.REFUSED, result=Exit.REFUSED.word, errors=(said_no,))
        engine = Engine(self.run.prober, self.run.clock, self.scope.view, waiting, self.run.say, self.run.waits)
        outcome = engine.run(plan)
        return self._told(base, plan, outcome, dark, text)

    def _document(self, plan: Plan, dark: Sequence[Exit]) -> Document:
        """What is known before anything is done: the plan, who could not be visited, what is so already."""
        nothing = [] if self.scope.chosen or dark else [Exit.NOTHING]
        code = foremost([*dark, *nothing])
        idle = code is Exit.OK and not plan.targets
        return Document(
            command=self.command,
            run=self.run.run_id,
            exit_code=code,
            result="nothing" if idle else code.word,
            gateways=gateway_rows(self.scope),
            tunnels=self.scope.chosen,
            steps=tuple(row_of(step, "planned") for step in plan.steps),
            plan=plan,
            results=tuple(TunnelResult(name, ok=True, text=f"{name}: {self.command} already") for name in plan.already),
            errors=(*([matches_nothing(self.run.selection)] if nothing else []), *troubles(self.scope)),
        )

    def _told(
        self, base: Document, plan: Plan, outcome: Outcome, dark: Sequence[Exit], text: Callable[[str, Outcome], str]
    ) -> Document:
        states = {row.state for row in outcome.steps}
        bad = {v.target.tunnel for v in outcome.verdicts if v.word is not Word.PROVEN}
        bad |= {row.tunnel for row in outcome.steps if row.state in BAD}
        code = foremost([*dark, *([Exit.FAILED] if bad else [])])
        if "refused" in states and states <= {"refused", "skipped"}:
            code = Exit.REFUSED
        names = dict.fromkeys(t.tunnel for t in plan.targets)
        results = tuple(_result(name, outcome, text, ok=name not in bad) for name in names)
        word = "unproven" if code is Exit.FAILED and not states & NOT_DONE else code.word
        chosen = {(t.name, g) for t in self.scope.chosen for g in t.gateways}
        fresh = tuple(t for t in outcome.view.tunnels if any((t.name, g) in chosen for g in t.gateways))
        after = replace(self.scope, view=outcome.view)
        return replace(
            base,
            exit_code=code,
            result=word,
            gateways=gateway_rows(after),
            tunnels=fresh,
            steps=outcome.steps,
            results=(*base.results, *results),
            errors=(*base.errors, *outcome.errors),
        )


def _result(name: str, outcome: Outcome, text: Callable[[str, Outcome], str], *, ok: bool) -> TunnelResult:
    """The last line about one tunnel: what was proven, or the first thing that was not."""
    if ok:
        return TunnelResult(name, ok=True, text=text(name, outcome))
    row = next((r for r in outcome.steps if r.tunnel == name and r.state in BAD), None)
    wrong = [v for v in outcome.verdicts if v.target.tunnel == name and v.word is not Word.PROVEN]
    if wrong and (row is None or row.state == "unproven"):
        hint = f"; {wrong[0].hint}" if wrong[0].hint else ""
        return TunnelResult(name, ok=False, text=f"{name}: {wrong[0].text}{hint}")
    what = f"{row.action} on {row.gateway} {row.state}: {row.proof}" if row is not None else "not proven"
    return TunnelResult(name, ok=False, text=f"{name}: {what}")


def _down_text(name: str, outcome: Outcome, options: DownOptions, plan: Plan) -> str:
    """`customer-1: down on hub-fra1 since 03:02:11, flows gone; held until "up", a reload or a boot; …`."""
    verdicts = [v for v in outcome.verdicts if v.target.tunnel == name]
    where = " and ".join(dict.fromkeys(v.target.gateway for v in verdicts))
    parts = [f"{name}: down on {where} since {_moment(outcome, verdicts)}, flows gone"]
    parts += _kept(name, outcome, options.strength)
    parts += dict.fromkeys(v.text for v in verdicts if v.text)
    parts += (f"{p} keeps trying" for p in _trying(outcome, verdicts))
    parts += plan.caveats
    return "; ".join(parts)


def _kept(name: str, outcome: Outcome, strength: Strength) -> Iterable[str]:
    """What keeps it down, and where nothing does."""
    if strength is Strength.ONCE:
        yield "not held: an active peer or any re-initialisation brings it back"
        return
    tunnel = outcome.view.tunnel(name)
    ends = tunnel.ends if tunnel is not None else ()
    if strength is Strength.REMOVE:
        yield "removed until the next ipsecctl -f or boot"
    elif any(e.listing.held for e in ends):
        yield 'held until "up", a reload or a boot'
    else:
        yield "in no list, so nothing was held"
    word = "removed" if strength is Strength.REMOVE else "held"
    yield from (f"not {word} on {e.gateway}" for e in ends if e.state is State.UNKNOWN)


def _trying(outcome: Outcome, verdicts: Sequence[Verdict]) -> Iterable[str]:
    """Peers, not ours, that this run leaves active: they begin by themselves."""
    peers = (v.target.peer for v in verdicts if v.target.peer is not None and not v.target.active)
    return dict.fromkeys(p for p in peers if not outcome.view.ours(p))


def _up_text(name: str, outcome: Outcome) -> str:
    verdicts = [v for v in outcome.verdicts if v.target.tunnel == name]
    where = " and ".join(dict.fromkeys(v.target.gateway for v in verdicts))
    return f"{name}: up on {where} since {_moment(outcome, verdicts)}"


def _moment(outcome: Outcome, verdicts: Sequence[Verdict]) -> str:
    """The gateway's clock at the look that proved it, in our zone."""
    seen = [outcome.view.seen(v.target.gateway) for v in verdicts]
    moments = [s.at for s in seen if s is not None and s.at is not None]
    if not moments:
        return "just now"
    return f"{datetime.fromtimestamp(max(moments)).astimezone():%H:%M:%S}"
