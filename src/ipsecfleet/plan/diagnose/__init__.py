"""Why a tunnel stalls: from what its gateways show and their logs say to one cause with its evidence. Pure.

One rule after the other looks at a case, and the first that can say something certain says it. The order goes from what
makes everything else meaningless (a daemon that does not run) over what stands in lists and confs to what negotiations
show. A rule that knows too little passes; what no rule can decide is told as it is, with what would tell.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping

from ipsecfleet.model.diagnosis import Diagnosis, Evidence, Strength
from ipsecfleet.model.notice import Kind
from ipsecfleet.model.tunnel import Tunnel
from ipsecfleet.plan.diagnose import attempts, lists, refusals, standing
from ipsecfleet.plan.diagnose.case import Case, cases, facing
from ipsecfleet.plan.diagnose.facts import facts_of
from ipsecfleet.plan.diagnose.side import RECENT_S, Witness
from ipsecfleet.plan.diagnose.verdict import Verdict, quoted
from ipsecfleet.plan.view import View

__all__ = ["RECENT_S", "Witness", "diagnose"]

RULES: tuple[Callable[[Case], Verdict | None], ...] = (
    standing.well,
    standing.stands_by,
    lists.waits_for_anybody,
    lists.held,
    lists.reloading,
    lists.not_loaded,
    standing.doubled,
    standing.disagreeing,
    standing.black_hole,
    lists.taken_off,
    refusals.refused,
    refusals.by_confs,
    refusals.unexplained,
    attempts.locked_out,
    attempts.under_way,
    attempts.between,
    lists.unmirrored,
    attempts.one_end,
    attempts.peer_begins,
    lists.nobody_begins,
    attempts.passive,
    attempts.between_attempts,
)
"""In the order in which they are asked."""


def diagnose(view: View, tunnel: Tunnel, witnesses: Mapping[str, Witness]) -> Iterator[Diagnosis]:
    """What is the matter with each pair of networks of a tunnel."""
    for case in cases(view, tunnel, witnesses):
        said = _gone(view, case) or next(filter(None, (rule(case) for rule in RULES)), None) or attempts.unread(case)
        yield Diagnosis(
            tunnel=tunnel.name,
            state=case.state,
            cause=said.cause,
            verdict=said.text,
            evidence=_in_order((*said.evidence, *_debugged(case))),
            open=said.open,
            next=said.next,
            ends=tuple(map(facts_of, case.sides)),
            well=said.well,
        )


def _in_order(evidence: Iterable[Evidence]) -> tuple[Evidence, ...]:
    """Each once, what was seen before what follows."""
    return tuple(sorted(dict.fromkeys(evidence), key=lambda e: e.strength is Strength.FOLLOWS))


def _debugged(case: Case) -> Iterator[Evidence]:
    """What the daemons said while a class of their debugging was raised, oldest first."""
    for side in case.sides:
        yield from quoted(side, *reversed([*side.notices(Kind.DEBUG)]))


def _gone(view: View, case: Case) -> Verdict | None:
    """A daemon of this tunnel does not run, be it that of an end that no inventory names."""
    ends = [*case.unread, *(s.end for s in case.sides)]
    gateways = dict.fromkeys([*(e.gateway for e in ends), *(g.name for e in ends for g in facing(view, e))])
    return next(filter(None, (standing.daemon_gone(g, view.seen(g)) for g in gateways)), None)
