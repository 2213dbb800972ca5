"""Verdicts by what was refused, and by terms that cannot meet: what the responder says, and what both confs say.

The initiator never learns why it is refused; the responder says it in its log (groundtruth 1.4). A reason is of the past
where a newer attempt came further, or where what it says is not so any more, as two keys that are equal now. Where no log
says anything, the terms of both ends can still tell that an attempt must fail.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping

from ipsecfleet.isakmpd.terms import Objection
from ipsecfleet.model.diagnosis import Cause, Suspect
from ipsecfleet.model.notice import Kind, Notice
from ipsecfleet.model.sa import Exchange
from ipsecfleet.model.snapshot import Listing, Unknown
from ipsecfleet.plan.diagnose.case import Case
from ipsecfleet.plan.diagnose.side import RECENT_S, Side
from ipsecfleet.plan.diagnose.verdict import (
    Verdict,
    command,
    follows,
    gave_up,
    half_up,
    name_of,
    quoted,
    reached,
    seen,
    stuck,
    to_correct,
    to_renew_phase1,
)

_STAGES = {Kind.UNREADABLE: 1, Kind.WRONG_ID: 1, Kind.NO_KEY: 1, Kind.UNKNOWN_NETWORKS: 2, Kind.POLICY: 2}
"""How far an attempt has come that is refused like that, as `reached` counts; a cookie that is unknown says nothing."""

BUILT_IN = "3DES_CBC"
"""What an isakmpd accepts of whom it does not know (groundtruth 1.4)."""

SLACK_S = 5.0
"""How far two gateways' looks, and the whole seconds of their logs, can be apart."""


def refused(case: Case, within_s: float = RECENT_S) -> Verdict | None:
    """The last attempt was refused, and the end that refused it says why; the newest reason that still is one."""
    reasons = [(n, s) for s in case.sides for n in s.refusals(within_s)]
    for reason, side in sorted(reasons, key=lambda found: found[1].age_s(found[0])):
        other = case.other(side)
        said = None if _is_past(reason, side, other) else _REASONS[reason.kind](case, side, other, reason)
        if said is not None:
            return said
    return None


def _is_past(reason: Notice, side: Side, other: Side | None) -> bool:
    """Whether something newer came further than this, at either end."""
    age_s, stage = side.age_s(reason), _STAGES.get(reason.kind, 0)
    done = next(side.notices(Kind.PHASE2_DONE if _is_phase2(reason) else Kind.PHASE1_DONE), None)
    later = any(_STAGES.get(n.kind, 0) > stage and n.at > reason.at for n in side.refusals())
    if later or (done is not None and done.at > reason.at):
        return True
    if not _is_phase2(reason) and any(age < age_s - SLACK_S * side.scale for age in _phase1_ages(side, other)):
        return True
    return _is_outrun(reason, age_s, side, other)


def _phase1_ages(*sides: Side | None) -> Iterator[float]:
    """How long ago each phase 1 that stands was made, in seconds."""
    for side in filter(None, sides):
        yield from (sa.age_s for sa in side.end.phase1_sas if sa.ready and sa.age_s is not None)


def _is_outrun(reason: Notice, age_s: float, side: Side, other: Side | None) -> bool:
    """Whether the attempt that is under way is newer, and came further than one that is refused like that."""
    exchange = _attempt(side, other)
    if exchange is None or age_s <= _oldest_s(exchange, side, other):
        return False
    came = reached(exchange) if exchange.ours else _came(exchange)
    return came > _STAGES.get(reason.kind, 0) or exchange.phase != _phase(reason)


def _attempt(side: Side, other: Side | None) -> Exchange | None:
    """What is under way of what one end refused, as the other has it, or as it has it itself where that is not ours."""
    return other.trying() if other is not None else side.answering()


def _oldest_s(attempt: Exchange, side: Side, other: Side | None) -> float:
    """How long ago one end can have refused an attempt that is still under way, at most, by its own log."""
    return (other or side).oldest_s(attempt) + SLACK_S * side.scale


def _came(exchange: Exchange) -> int:
    """The same of an attempt of the peer: 0 it was not answered, 1 it was, 2 phase 1 stands."""
    return 2 if exchange.phase > 1 else int(exchange.step > 1)


def _is_phase2(reason: Notice) -> bool:
    return _phase(reason) == 2


def _phase(reason: Notice) -> int:
    return 2 if reason.kind in {Kind.UNKNOWN_NETWORKS, Kind.POLICY, Kind.UNKNOWN_COOKIE} else 1


def _proposal(case: Case, side: Side, other: Side | None, reason: Notice) -> Verdict | None:
    lines = side.with_it(reason)
    if _in_phase2(side, other, reason, lines):
        text = f"{side.name} accepts no suite of phase 2 that {name_of(side, other)} offers"
        return Verdict(
            Cause.PHASE2_REFUSED, text, (*quoted(side, *lines), *half_up(other), *gave_up(other)), next=to_correct(case)
        )
    objections = _objections(side, other)
    if objections == ():
        return None
    logged = dict.fromkeys(n.details for n in lines if n.kind is Kind.ATTRIBUTE)
    if side.terms is None and any(d[2] == BUILT_IN for d in logged):
        text = (
            f"{side.name} accepts no transform of phase 1 that {name_of(side, other)} offers; which it has was not read"
        )
        return Verdict(None, text, quoted(side, *lines), _unless_loaded(side)[:-1], to_correct(case))
    known = [(o.attribute, o.offered, o.accepted) for o in objections or ()]
    pairs = known or [(d[0], d[1], d[2]) for d in logged]
    whom = name_of(side, other)
    what = "; ".join(f"{tag}: {whom} offers {got}, {side.name} accepts {wanted}" for tag, got, wanted in pairs)
    confs = [follows(f"by their confs {o.attribute} is {o.offered} there, {o.accepted} here") for o in objections or ()]
    return Verdict(
        Cause.PHASE1_PROPOSAL,
        f"{side.name} accepts no transform of phase 1 that {whom} offers" + (f" ({what})" if what else ""),
        (*quoted(side, *lines), *confs, *gave_up(other)),
        next=to_correct(case),
    )


def _in_phase2(side: Side, other: Side | None, reason: Notice, lines: Iterable[Notice]) -> bool:
    """Whether a proposal was refused over a phase 1 that stood already, and none of phase 1 is under way."""
    stood = any(age > side.age_s(reason) for age in _phase1_ages(side))
    named = any(n.kind is Kind.ATTRIBUTE for n in lines)
    attempt = _attempt(side, other)
    return stood and (not named or (attempt is not None and attempt.phase > 1))


def _objections(accepting: Side, offering: Side | None) -> tuple[Objection, ...] | None:
    """Why the transforms of the one do not fit the other's, by what their daemons have; None where that is not known."""
    ours, theirs = accepting.terms, offering.terms if offering is not None else None
    if ours is None or theirs is None or not ours.transforms or not theirs.transforms:
        return None
    return ours.objections(theirs)


def _psk(case: Case, side: Side, other: Side | None, reason: Notice) -> Verdict | None:
    same = _same_key(side, other)
    if same is True:
        return None
    keys = (seen(side, f"its key is not that of {other.name}, by their hashes"),) if other and same is False else ()
    return Verdict(
        Cause.WRONG_PSK,
        f"{side.name} cannot read what {name_of(side, other)} encrypts: their pre-shared keys differ",
        (*quoted(side, *side.with_it(reason)), *keys, *stuck(other), *gave_up(other)),
        next=to_correct(case),
    )


def _same_key(side: Side, other: Side | None) -> bool | None:
    keys = [s.terms.key for s in (side, other) if s is not None and s.terms is not None]
    return keys[0] == keys[1] if len(keys) > 1 and None not in keys else None


def _no_key(case: Case, side: Side, other: Side | None, reason: Notice) -> Verdict | None:
    text = f"{side.name} has no usable key for {name_of(side, other)}"
    return Verdict(Cause.WRONG_PSK, text, (*quoted(side, reason), *gave_up(other)), next=to_correct(case))


def _identity(case: Case, side: Side, other: Side | None, reason: Notice) -> Verdict | None:
    expected = reason.details[0]
    own = _called(other) if other is not None else None
    if own == expected:
        return None
    is_called = f", which calls itself {own}" if own is not None else ""
    confs = (seen(other, f"calls itself {own} (srcid)"),) if other is not None and own is not None else ()
    return Verdict(
        Cause.ID_MISMATCH,
        f"{side.name} expects {expected} of {name_of(side, other)}{is_called}",
        (*quoted(side, reason), seen(side, f"expects {expected} (dstid)"), *confs, *stuck(other), *gave_up(other)),
        next=to_correct(case),
    )


def _networks(case: Case, side: Side, other: Side | None, reason: Notice) -> Verdict | None:
    lines = quoted(side, *side.with_it(reason))
    if side.end.connection is not None and not _had_it_before(side, reason):
        text = f"{side.name} refused the networks of {name_of(side, other)} {side.age_s(reason):.0f} s ago, and has them now"
        could_be = (
            Suspect("they were not loaded then", "the next attempt succeeds"),
            Suspect(Cause.PHASE2_REFUSED.value, "the next attempt is refused, too"),
        )
        return Verdict(None, text, (*lines, *half_up(other)), could_be, (command("diagnose", case, "--for 130s"),))
    if side.end.connection is not None:
        text = f"{side.name} refuses the networks of {name_of(side, other)}, although its lists have them"
        return Verdict(Cause.PHASE2_REFUSED, text, (*lines, *half_up(other), *gave_up(other)), next=to_correct(case))
    has = tuple(seen(side, f"with {side.peer} it has {c.selectors}") for c in side.siblings())
    return Verdict(
        Cause.NETWORKS_UNKNOWN,
        f"{side.name} has no connection for what {name_of(side, other)} proposes, from {_from(side)}",
        (*lines, *has, *half_up(other), *gave_up(other)),
        () if side.unconfigured else _unless_loaded(side)[1:],
        to_correct(case),
    )


def _unless_loaded(side: Side) -> tuple[Suspect, ...]:
    """What is left where it was not read what the daemon is configured with: a conf that does not fit, or none."""
    return (
        Suspect(Cause.PHASE1_PROPOSAL.value, "the confs of both ends"),
        Suspect(
            Cause.NOT_LOADED.value, f"whether the conf files of {side.name} were loaded since isakmpd started there"
        ),
        Suspect(Cause.TAKEN_OFF.value, f"who wrote what into the isakmpd.fifo of {side.name}"),
    )


def _had_it_before(side: Side, reason: Notice) -> bool:
    """Whether an earlier look showed the connection in a list, and the refusal came after that."""
    looks = (look for look in side.witness.earlier if look.at is not None and look.at < reason.at)
    had = (c for look in looks if not isinstance(look.connections, Unknown) for c in look.connections)
    return any(c.name == side.end.connection and c.listing in {Listing.ACTIVE, Listing.PASSIVE} for c in had)


def _from(side: Side) -> str:
    networks = side.end.selectors
    return f"{networks.remote} to {networks.local}" if networks is not None else "its networks"


def _policy(case: Case, side: Side, other: Side | None, reason: Notice) -> Verdict | None:
    text = f"{side.name} refuses phase 2 by its policy: isakmpd runs there without -K"
    return Verdict(
        Cause.PHASE2_REFUSED, text, (*quoted(side, *side.with_it(reason)), *gave_up(other)), next=to_correct(case)
    )


def _cookie(case: Case, side: Side, other: Side | None, reason: Notice) -> Verdict | None:
    used = other is None or any(sa.icookie == reason.details[0] for sa in other.end.phase1_sas)
    if not used or side.end.live or side.has_cookie(reason.details[0]):
        return None
    return Verdict(
        Cause.PHASE2_REFUSED,
        f"{side.name} does not know the phase 1 that {name_of(side, other)} uses",
        (*quoted(side, *side.with_it(reason)), *half_up(other), *gave_up(other)),
        next=to_renew_phase1(case),
    )


_REASONS: Mapping[Kind, Callable[[Case, Side, Side | None, Notice], Verdict | None]] = {
    Kind.NO_PROPOSAL: _proposal,
    Kind.UNREADABLE: _psk,
    Kind.WRONG_ID: _identity,
    Kind.NO_KEY: _no_key,
    Kind.UNKNOWN_NETWORKS: _networks,
    Kind.POLICY: _policy,
    Kind.UNKNOWN_COOKIE: _cookie,
}
"""What each kind of refusal comes to; None where it is of the past."""


def by_confs(case: Case) -> Verdict | None:
    """An attempt fails where the confs of both ends say that it must, although no log says so."""
    near, far = case.near, case.far
    attempt = near.trying(1) if near is not None else None
    if near is None or far is None or attempt is None:
        return None
    if reached(attempt) == 0:
        return _by_proposals(case, near, far)
    return _by_keys(case, near, far) or _by_ids(case, near, far)


def _by_proposals(case: Case, near: Side, far: Side) -> Verdict | None:
    objections = _objections(far, near)
    if not objections or not far.half_open():
        return None
    what = "; ".join(
        f"{o.attribute}: {near.name} offers {o.offered}, {far.name} accepts {o.accepted}" for o in objections
    )
    evidence = (seen(far, "has heard the first message, and not answered it"), follows(what))
    return Verdict(Cause.PHASE1_PROPOSAL, f"no transform of phase 1 fits ({what})", evidence, next=to_correct(case))


def _by_keys(case: Case, near: Side, far: Side) -> Verdict | None:
    if _same_key(near, far) is not False:
        return None
    evidence = (*stuck(near), seen(far, f"its key is not that of {near.name}, by their hashes"))
    return Verdict(Cause.WRONG_PSK, "the pre-shared keys of the two ends differ", evidence, next=to_correct(case))


def _by_ids(case: Case, near: Side, far: Side) -> Verdict | None:
    for one, other in ((near, far), (far, near)):
        own, expected = _called(one), other.terms.expected_id if other.terms is not None else None
        if expected is not None and own is not None and expected != own:
            evidence = (*stuck(near), seen(one, f"calls itself {own}"), seen(other, f"expects {expected}"))
            text = f"{other.name} expects {expected}, and {one.name} calls itself {own}"
            return Verdict(Cause.ID_MISMATCH, text, evidence, next=to_correct(case))
    return None


def unexplained(case: Case) -> Verdict | None:
    """The attempt that is under way was refused, and no line says why."""
    for side in case.sides:
        other = case.other(side)
        attempt, told = _attempt(side, other), next(side.notices(Kind.REFUSED), None)
        if told is None or attempt is None or side.age_s(told) > _oldest_s(attempt, side, other) or side.says_why(told):
            continue
        what = f"what {name_of(side, other)} sends in phase {attempt.phase} as {told.details[0]}"
        return Verdict(
            None,
            f"{side.name} refuses {what}, and its log does not say why",
            (*quoted(side, told), *half_up(other), *stuck(other), *gave_up(other)),
            (Suspect("what the two confs have for that phase", "the attributes and identities of both"),),
            (command("diagnose", case, "--debug-class Exch=40 --for 120s"), *to_correct(case)),
        )
    return None


def _called(side: Side) -> str | None:
    return (side.terms.own_id or side.own_address) if side.terms is not None else None
