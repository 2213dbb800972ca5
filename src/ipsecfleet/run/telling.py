"""What a changing verb came to, tunnel by tunnel, in one line each."""

from collections.abc import Iterable, Sequence
from datetime import datetime

from ipsecfleet.model.document import StepRow, TunnelResult
from ipsecfleet.model.plan import Action, Plan
from ipsecfleet.model.tunnel import State
from ipsecfleet.plan.down import DownOptions, Strength
from ipsecfleet.plan.judge import Verdict, Word
from ipsecfleet.plan.order import Options
from ipsecfleet.run.engine import Outcome

NOT_DONE = frozenset({"failed", "refused", "skipped"})
"""States of a step that was not carried out."""

DONE = {
    "up": "up on {} since {}",
    "restart": "restarted on {}, new keys since {}",
    "rekey": "rekeyed on {}, new keys since {}",
    "rollout": "rolled out on {}, proven at {}",
}
"""What a verb came to, where, and by which look."""

BAD = NOT_DONE | {"unproven"}
"""States of a step that make its tunnel no success."""


def results(plan: Plan, outcome: Outcome, options: Options) -> tuple[TunnelResult, ...]:
    """The last line about each tunnel: what was proven, or the first thing that was not."""
    bad = {v.target.tunnel for v in outcome.verdicts if v.word is not Word.PROVEN}
    bad |= {row.tunnel for row in outcome.steps if row.state in BAD}
    unjudged = {t.tunnel for t in plan.targets} if not outcome.verdicts else set()
    if not plan.targets:
        return tuple(_cleaned(row) for row in outcome.steps)
    names = dict.fromkeys(t.tunnel for t in plan.targets)
    return tuple(
        _bad(name, outcome)
        if name in bad | unjudged
        else TunnelResult(name, ok=True, text=_good(name, outcome, plan, options))
        for name in names
    )


def _cleaned(row: StepRow) -> TunnelResult:
    """What became of something that an interrupted run had left."""
    ok = row.state not in BAD
    what = ", ".join(row.lines)
    text = f"{what} on {row.gateway}: done" if ok else f"{what} on {row.gateway} {row.state}: {row.proof}"
    return TunnelResult(row.tunnel, ok=ok, text=text)


def _bad(name: str, outcome: Outcome) -> TunnelResult:
    row = next((r for r in outcome.steps if r.tunnel == name and r.state in BAD), None)
    wrong = [v for v in outcome.verdicts if v.target.tunnel == name and v.word is not Word.PROVEN]
    if wrong and (row is None or row.state == "unproven"):
        hint = f"; {wrong[0].hint}" if wrong[0].hint else ""
        return TunnelResult(name, ok=False, text=f"{name}: {wrong[0].text}{hint}{_let_out(name, outcome)}")
    what = f"{row.action} on {row.gateway} {row.state}: {row.proof}" if row is not None else "not proven"
    return TunnelResult(name, ok=False, text=f"{name}: {what}")


def _let_out(name: str, outcome: Outcome) -> str:
    rows = (r for r in outcome.steps if r.tunnel == name and r.action == Action.OPEN.value and r.state == "proven")
    where = " and ".join(dict.fromkeys(r.gateway for r in rows))
    return f"; nothing is dropped any more on {where}, and traffic may leave in clear" if where else ""


def _good(name: str, outcome: Outcome, plan: Plan, options: Options) -> str:
    if isinstance(options, DownOptions):
        return _down_text(name, outcome, options, plan)
    return _up_text(name, outcome, plan.verb)


def _down_text(name: str, outcome: Outcome, options: DownOptions, plan: Plan) -> str:
    """`customer-1: down on hub-fra1 since 03:02:11, flows gone; held until "up", a reload or a boot; …`."""
    verdicts = [v for v in outcome.verdicts if v.target.tunnel == name]
    where = " and ".join(dict.fromkeys(v.target.gateway for v in verdicts))
    parts = [f"{name}: down on {where} since {_moment(outcome, verdicts)}, flows gone"]
    parts += _kept(name, outcome, options.strength)
    parts += ["its traffic is dropped until it is up, or a boot"] if options.fail_closed else []
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


def _up_text(name: str, outcome: Outcome, verb: str) -> str:
    verdicts = [v for v in outcome.verdicts if v.target.tunnel == name]
    where = " and ".join(dict.fromkeys(v.target.gateway for v in verdicts))
    return f"{name}: {DONE[verb].format(where, _moment(outcome, verdicts))}"


def _moment(outcome: Outcome, verdicts: Sequence[Verdict]) -> str:
    """The gateway's clock at the look that proved it, in our zone."""
    seen = [outcome.view.seen(v.target.gateway) for v in verdicts]
    moments = [s.at for s in seen if s is not None and s.at is not None]
    if not moments:
        return "just now"
    return f"{datetime.fromtimestamp(max(moments)).astimezone():%H:%M:%S}"
