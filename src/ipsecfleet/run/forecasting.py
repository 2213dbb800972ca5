"""forecast: what the gateways will compute, as they are and with a plan, told in rows."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from ipsecfleet.errors import Exit, foremost
from ipsecfleet.model.document import Document, ForecastRow
from ipsecfleet.model.plan import Plan
from ipsecfleet.plan.forecast import Computation, forecast, peak, per_window
from ipsecfleet.run.probe import STARE
from ipsecfleet.run.reading import Reading, document_of, scope_of
from ipsecfleet.run.scope import Scope


@dataclass(frozen=True, slots=True)
class Question:
    """How far to look ahead, how long a window is, both in seconds, and with which plan; `most` per gateway is well."""

    horizon_s: float = 3600.0
    window_s: float = 10.0
    most: int | None = None
    plan: Plan | None = None


def foretell(reading: Reading, question: Question) -> Document:
    """A row for the fleet and for each gateway that answered, as it is, and with a plan where there is one."""
    scope = scope_of(reading, STARE)
    plans = [None, *([question.plan] if question.plan is not None else [])]
    rows = [row for plan in plans for row in _rows(scope, question, plan)]
    order = {name: n for n, name in enumerate(sorted(scope.view.snapshot.gateways, key=lambda g: _peaks(rows, g)))}
    rows.sort(key=lambda r: (order.get(r.gateway or "", -1), r.proposed))
    document = document_of("forecast", scope, reading.selection)
    full = question.most is not None and any(
        r.peak > question.most for r in rows if r.gateway is not None and r.proposed == (question.plan is not None)
    )
    code = foremost([document.exit_code, *([Exit.FINDINGS] if full else [])])
    return replace(document, forecast=tuple(rows), exit_code=code, result=code.word)


def _peaks(rows: Sequence[ForecastRow], gateway: str) -> int:
    return -max((r.peak for r in rows if r.gateway == gateway), default=0)


def _rows(scope: Scope, question: Question, plan: Plan | None) -> list[ForecastRow]:
    computations = forecast(scope.view, question.horizon_s, plan)
    ours = [c for c in computations if c.machine in scope.view.snapshot.gateways]
    everywhere = _row(scope, question, None, ours, proposed=plan is not None)
    gateways = (g.name for g in scope.gateways if g.name in scope.view.snapshot.gateways)
    return [
        everywhere,
        *(
            _row(scope, question, name, [c for c in ours if c.machine == name], proposed=plan is not None)
            for name in gateways
        ),
    ]


def _row(
    scope: Scope, question: Question, gateway: str | None, found: Sequence[Computation], *, proposed: bool
) -> ForecastRow:
    top = peak(found, question.window_s)
    moments = [s.at for s in scope.view.snapshot.gateways.values() if s.at is not None]
    seen = scope.view.seen(gateway) if gateway is not None else None
    now = seen.at if seen is not None else max(moments, default=None)
    return ForecastRow(
        gateway=gateway,
        proposed=proposed,
        window_s=question.window_s,
        peak=top.count,
        peak_in_s=top.in_s if top.count else None,
        peak_at=now + top.in_s if now is not None and top.count else None,
        cost=top.cost,
        tunnels=top.tunnels,
        counts=per_window(found, question.window_s, question.horizon_s),
    )
