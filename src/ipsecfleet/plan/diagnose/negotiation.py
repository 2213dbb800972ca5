"""Verdicts by what is negotiated: how far the last attempt came, and what the other end said of it.

An attempt to make phase 1 takes six messages. The initiator that has heard nothing has no cookie of its peer (b01); one
that got the second and fourth message and not the sixth was refused by its key or identity (b02, b07); one whose phase 1
stands and whose quick mode is not answered was refused by its networks, or its peer has lost the phase 1 (b09). Which
of these it was, the responder alone knows; where it is not ours, that is what is left open.
"""

from collections.abc import Callable, Mapping

from ipsecfleet.isakmpd.terms import Objection
from ipsecfleet.model.diagnosis import Cause, Evidence, Suspect
from ipsecfleet.model.notice import Kind, Notice
from ipsecfleet.model.sa import Exchange, Sa
from ipsecfleet.model.snapshot import Connection, GatewaySnapshot, Unknown
from ipsecfleet.plan.diagnose import suspects
from ipsecfleet.plan.diagnose.case import ATTEMPT_S, CHECK_S, NO_COOKIE, RECENT_S, Case, Side
from ipsecfleet.plan.diagnose.verdict import Verdict, command, follows, quoted, recent, seen

ANSWERED_STEP = 5
"""The step of a main mode that was answered twice and not a third time."""

SLACK_S = 5.0
"""How far two gateways' looks, and the whole seconds of their logs, can be apart."""


def refused(case: Case) -> Verdict | None:
    """The last attempt was refused, and the end that refused it says why."""
    for side in case.sides:
        reason = side.refusal()
        if reason is None:
            continue
        judge = _REASONS[reason.kind]
        other = next((s for s in case.sides if s is not side), None)
        if _is_past(reason, side, other):
            continue
        return judge(case, side, other, reason)
    return None


def _is_past(reason: Notice, side: Side, other: Side | None) -> bool:
    """Whether a newer attempt came further than this one, or is of an earlier success."""
    success = next(side.notices(Kind.PHASE2_DONE if _is_phase2(reason) else Kind.PHASE1_DONE), None)
    if success is not None and success.at > reason.at:
        return True
    exchange = other.trying() if other is not None else None
    if exchange is None or exchange.ends_in_s is None:
        return False
    began_s = ATTEMPT_S - exchange.ends_in_s
    older = side.age_s(reason) > began_s + SLACK_S * side.scale
    return older and (
        _reached(exchange) > (0 if reason.kind is Kind.NO_PROPOSAL else 1) or exchange.phase != _phase(reason)
    )


def _is_phase2(reason: Notice) -> bool:
    return _phase(reason) == 2


def _phase(reason: Notice) -> int:
    return 2 if reason.kind in {Kind.UNKNOWN_NETWORKS, Kind.POLICY, Kind.UNKNOWN_COOKIE} else 1


def _reached(exchange: Exchange) -> int:
    """How far an attempt of ours came: 0 nothing was heard, 1 the peer answered, 2 phase 1 stands."""
    if exchange.phase > 1:
        return 2
    return 0 if exchange.rcookie == NO_COOKIE else 1


def _proposal(case: Case, side: Side, other: Side | None, reason: Notice) -> Verdict | None:
    objections = _objections(side, other)
    if objections == ():
        return None
    lines = side.with_it(reason)
    logged = dict.fromkeys(n.details for n in lines if n.kind is Kind.ATTRIBUTE)
    known = [(o.attribute, o.offered, o.accepted) for o in objections or ()]
    pairs = known or [(d[0], d[1], d[2]) for d in logged]
    whom = _called_by_us(side, other)
    what = "; ".join(f"{tag}: {whom} offers {got}, {side.name} accepts {wanted}" for tag, got, wanted in pairs)
    confs = [follows(f"by their confs {o.attribute} is {o.offered} there, {o.accepted} here") for o in objections or ()]
    return Verdict(
        Cause.PHASE1_PROPOSAL,
        f"{side.name} accepts no transform of phase 1 that {whom} offers" + (f" ({what})" if what else ""),
        (*quoted(side, *lines), *confs, *_gave_up(other)),
        next=_correct(case),
    )


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
        f"{side.name} cannot read what {_called_by_us(side, other)} encrypts: their pre-shared keys differ",
        (*quoted(side, *side.with_it(reason)), *keys, *_stuck(other), *_gave_up(other)),
        next=_correct(case),
    )


def _same_key(side: Side, other: Side | None) -> bool | None:
    keys = [s.terms.key for s in (side, other) if s is not None and s.terms is not None]
    return keys[0] == keys[1] if len(keys) > 1 and None not in keys else None


def _no_key(case: Case, side: Side, other: Side | None, reason: Notice) -> Verdict | None:
    text = f"{side.name} has no usable key for {_called_by_us(side, other)}"
    return Verdict(Cause.WRONG_PSK, text, (*quoted(side, reason), *_gave_up(other)), next=_correct(case))


def _identity(case: Case, side: Side, other: Side | None, reason: Notice) -> Verdict | None:
    expected = reason.details[0]
    own = (other.terms.own_id or other.address) if other is not None and other.terms is not None else None
    if own == expected:
        return None
    is_called = f", which calls itself {own}" if own is not None else ""
    confs = (seen(other, f"calls itself {own} (srcid)"),) if other is not None and own is not None else ()
    return Verdict(
        Cause.ID_MISMATCH,
        f"{side.name} expects {expected} of {_called_by_us(side, other)}{is_called}",
        (*quoted(side, reason), seen(side, f"expects {expected} (dstid)"), *confs, *_stuck(other), *_gave_up(other)),
        next=_correct(case),
    )


def _networks(case: Case, side: Side, other: Side | None, reason: Notice) -> Verdict | None:
    lines = quoted(side, *side.with_it(reason))
    if side.end.connection is not None:
        text = f"{side.name} refuses the networks of {_called_by_us(side, other)}, although its lists have them"
        return Verdict(
            Cause.PHASE2_REFUSED, text, (*lines, *_half_up(other), *_gave_up(other)), next=(command("diff", case),)
        )
    has = tuple(seen(side, f"with {side.peer} it has {c.selectors}") for c in side.siblings())
    return Verdict(
        Cause.NETWORKS_UNKNOWN,
        f"{side.name} has no connection for what {_called_by_us(side, other)} proposes, from {_from(side)}",
        (*lines, *has, *_half_up(other), *_gave_up(other)),
        next=_correct(case),
    )


def _called_by_us(side: Side, other: Side | None) -> str:
    """The other end by its name, if it is ours."""
    return other.name if other is not None else side.peer


def _from(side: Side) -> str:
    networks = side.end.selectors
    return f"{networks.remote} to {networks.local}" if networks is not None else "its networks"


def _policy(case: Case, side: Side, other: Side | None, reason: Notice) -> Verdict | None:
    text = f"{side.name} refuses phase 2 by its policy: isakmpd runs there without -K"
    return Verdict(
        Cause.PHASE2_REFUSED, text, (*quoted(side, *side.with_it(reason)), *_gave_up(other)), next=_correct(case)
    )


def _cookie(case: Case, side: Side, other: Side | None, reason: Notice) -> Verdict | None:
    used = other is None or any(sa.icookie == reason.details[0] for sa in other.end.phase1_sas)
    if not used or side.end.live or side.has_cookie(reason.details[0]):
        return None
    return Verdict(
        Cause.PHASE2_REFUSED,
        f"{side.name} does not know the phase 1 that {_called_by_us(side, other)} uses",
        (*quoted(side, *side.with_it(reason)), *_half_up(other), *_gave_up(other)),
        next=(command("down", case), command("up", case)),
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


def locked_out(case: Case) -> Verdict | None:
    """The responder keeps an earlier phase 1 exchange, and ignores a new one until that is over."""
    near, far = case.near, case.far
    attempt = near.trying(1) if near is not None else None
    if near is None or far is None or attempt is None or _reached(attempt) > 0 or far.has_cookie(attempt.icookie):
        return None
    old = next((x for x in far.exchanges if x.phase == 1 and x.icookie != attempt.icookie), None)
    if old is None:
        return None
    left = f"for {old.ends_in_s} s" if old.ends_in_s is not None else "for 120 s at most"
    return Verdict(
        Cause.LOCK_OUT,
        f"{far.name} ignores a new phase 1 while it keeps the last one, {left}",
        (
            seen(far, f"keeps a phase 1 exchange with {far.peer} {left}, and has not heard of {attempt.icookie}"),
            seen(near, f"began {attempt.icookie}, and has heard nothing"),
            follows("the next attempt after that is answered; the old responder could begin at once"),
        ),
        next=(command("up", case), command("diagnose", case, "--watch 10")),
    )


def by_confs(case: Case) -> Verdict | None:
    """An attempt fails where the confs of both ends say that it must, although no log says so."""
    near, far = case.near, case.far
    attempt = near.trying(1) if near is not None else None
    if near is None or far is None or attempt is None:
        return None
    if _reached(attempt) == 0:
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
    return Verdict(Cause.PHASE1_PROPOSAL, f"no transform of phase 1 fits ({what})", evidence, next=_correct(case))


def _by_keys(case: Case, near: Side, far: Side) -> Verdict | None:
    if _same_key(near, far) is not False:
        return None
    evidence = (*_stuck(near), seen(far, f"its key is not that of {near.name}, by their hashes"))
    return Verdict(Cause.WRONG_PSK, "the pre-shared keys of the two ends differ", evidence, next=_correct(case))


def _by_ids(case: Case, near: Side, far: Side) -> Verdict | None:
    for one, other in ((near, far), (far, near)):
        own, expected = _called(one), other.terms.expected_id if other.terms is not None else None
        if expected is not None and own is not None and expected != own:
            evidence = (*_stuck(near), seen(one, f"calls itself {own}"), seen(other, f"expects {expected}"))
            text = f"{other.name} expects {expected}, and {one.name} calls itself {own}"
            return Verdict(Cause.ID_MISMATCH, text, evidence, next=_correct(case))
    return None


def _called(side: Side) -> str | None:
    return (side.terms.own_id or side.address) if side.terms is not None else None


def between(case: Case) -> Verdict | None:
    """Both ends are ours, and what one sends does not get to the other."""
    near, far = case.near, case.far
    attempt = near.trying() if near is not None else None
    if near is None or far is None or attempt is None:
        return None
    if attempt.phase > 1:
        return _lost_phase2(case, near, far, attempt)
    if _reached(attempt) > 0:
        return None
    if far.has_cookie(attempt.icookie):
        return Verdict(
            Cause.OUR_SIDE_SILENT,
            f"{far.name} has answered {near.name}, and its answer does not get there",
            (
                seen(far, f"knows {attempt.icookie}, and no line of its log refuses it"),
                seen(near, f"began {attempt.icookie}, and has heard nothing"),
                *_gave_up(near),
            ),
            next=_listen(far, near),
        )
    if not _had_time(attempt) or isinstance(far.seen.exchanges, Unknown):
        return None
    if not _never_locked_out(near, far, attempt):
        return _lost_or_ignored(case, near, far, attempt)
    return Verdict(
        Cause.PEER_SILENT,
        f"what {near.name} sends does not get to {far.name}",
        (
            seen(near, f"began {attempt.icookie}{_since(attempt)}, and has heard nothing"),
            seen(far, f"has not heard of {attempt.icookie}, and keeps no exchange that would make it ignore it"),
            *_gave_up(near),
        ),
        next=_listen(near, far),
    )


def _never_locked_out(near: Side, far: Side, attempt: Exchange) -> bool:
    """Whether the other end can have kept no earlier exchange while this attempt was made.

    A lock-out makes one attempt fail, never two; and it ends 120 s after the last phase 1, of which a log with -v tells.
    """
    given_up = [n for n in near.notices(Kind.UNANSWERED) if n.details[0].lower() == (near.phase1 or "").lower()]
    if given_up and near.age_s(given_up[-1]) - near.age_s(given_up[0]) > CHECK_S:
        return True
    last = next(far.notices(Kind.PHASE1_DONE), None)
    return last is not None and far.age_s(last) > ATTEMPT_S + (ATTEMPT_S - (attempt.ends_in_s or 0))


def _lost_or_ignored(case: Case, near: Side, far: Side, attempt: Exchange) -> Verdict:
    return Verdict(
        None,
        f"{near.name} has heard nothing, and {far.name} knows nothing of it",
        (
            seen(near, f"began {attempt.icookie}{_since(attempt)}, and has heard nothing"),
            seen(far, f"has not heard of {attempt.icookie}, and keeps no exchange now"),
            *_gave_up(near),
        ),
        (
            Suspect(Cause.PEER_SILENT.value, "the next attempt fails, too"),
            Suspect(f"a {Cause.LOCK_OUT.value} that is over", "the next attempt succeeds"),
        ),
        (command("diagnose", case, "--watch 30"), *_listen(near, far)),
    )


def _had_time(attempt: Exchange) -> bool:
    """Whether the first message has had the time to arrive."""
    return attempt.ends_in_s is None or attempt.ends_in_s <= ATTEMPT_S - 2


def _lost_phase2(case: Case, near: Side, far: Side, attempt: Exchange) -> Verdict | None:
    """Phase 1 stands, and what is said in phase 2 is not understood, or gets lost on its way there or back."""
    if not far.has_cookie(attempt.icookie):
        return Verdict(
            Cause.PHASE2_REFUSED,
            f"{far.name} does not know the phase 1 that {near.name} uses",
            (*_half_up(near), seen(far, f"has no phase 1 {attempt.icookie}")),
            next=(command("down", case), command("up", case)),
        )
    heard = any(x.msgid == attempt.msgid for x in far.exchanges)
    if isinstance(far.seen.exchanges, Unknown) or far.log is None or not _had_time(attempt):
        return None
    return Verdict(
        Cause.OUR_SIDE_SILENT if heard else Cause.PEER_SILENT,
        f"{far.name} has answered {near.name}, and its answer does not get there"
        if heard
        else f"what {near.name} sends does not get to {far.name}",
        (
            *_half_up(near),
            seen(
                far, f"{'knows' if heard else 'has not heard of'} message {attempt.msgid}, and its log refuses nothing"
            ),
            *_gave_up(near),
        ),
        next=_listen(far, near),
    )


def one_end(case: Case) -> Verdict | None:
    """Ours begins, and the other end is not ours or was not read: what is known, and what only that can tell."""
    near = case.near
    attempt = near.trying() if near is not None else None
    if near is None or attempt is None:
        return None
    stuck = (*_half_up(near), *_stuck(near), *_gave_up(near))
    again = (command("diagnose", case, "--watch 30"),)
    if attempt.phase > 1:
        text = f"phase 1 with {near.peer} stands, and phase 2 is not answered"
        return Verdict(None, text, stuck, suspects.phase2_unanswered(near), again)
    if _reached(attempt) > 0:
        text = f"{near.peer} answers, and not the last message of phase 1: a key or an identity is wrong, or it is lost"
        return Verdict(None, text, stuck, suspects.half_way(near), again)
    began = seen(near, f"began {attempt.icookie}{_since(attempt)}, and has heard nothing")
    last = recent(near.notices(Kind.PHASE1_DONE), near, ATTEMPT_S)
    return Verdict(
        Cause.PEER_SILENT,
        f"{near.peer} has answered nothing; why, only its side can tell",
        (began, *_gave_up(near), *quoted(near, *last)),
        suspects.unanswered(near),
        (f"tcpdump -n -i egress udp port 500 and host {near.peer}", *again),
    )


def peer_begins(case: Case) -> Verdict | None:
    """The other end begins, and is not ours or was not read."""
    side = case.far if case.near is None else None
    if side is None or side.end.live:
        return None
    attempt = side.answering()
    if attempt is not None and attempt.phase == 1 and attempt.rcookie != NO_COOKIE:
        return Verdict(
            Cause.OUR_SIDE_SILENT,
            f"{side.name} has answered {side.peer}, which does not go on",
            (seen(side, f"knows {attempt.icookie}, and no line of its log refuses it"),),
            (Suspect(suspects.LOST, f"there: tcpdump shows no packet from {side.address}"),),
            (f"tcpdump -n -i egress udp port 500 and host {side.peer}",),
        )
    if attempt is not None:
        return None
    old = next((x for x in side.exchanges if x.phase == 1), None)
    if old is not None and not side.end.phase1_sas:
        left = f"for {old.ends_in_s} s" if old.ends_in_s is not None else "for 120 s at most"
        return Verdict(
            Cause.LOCK_OUT,
            f"{side.name} ignores a new phase 1 of {side.peer} while it keeps the last one, {left}",
            (seen(side, f"keeps a phase 1 exchange with {side.peer} {left}, and no phase 1"),),
            next=(command("diagnose", case, "--watch 10"),),
        )
    last = recent(side.notices(Kind.DELETED, Kind.PHASE2_DONE), side, float("inf"))
    return Verdict(
        Cause.PEER_SILENT,
        f"only {side.peer} can begin it, and nothing of it has arrived",
        (
            seen(side, f"stands in Passive-Connections; no exchange, no half-open SA with {side.peer}"),
            *quoted(side, *last),
        ),
        (
            Suspect(suspects.UNREACHABLE, f"here: tcpdump shows nothing from {side.peer} to udp port 500"),
            Suspect("it does not try", "its lists, and its daemon"),
        ),
        (f"tcpdump -n -i egress udp port 500 and host {side.peer}",),
    )


def passive(case: Case) -> Verdict | None:
    """A check of what is kept up has gone by between two looks, and no attempt was made."""
    near = case.near
    before = near.witness.before if near is not None else None
    if near is None or before is None or near.trying() is not None or near.end.missing or near.seen.at is None:
        return None
    was = next((c for c in _connections(before) if c.name == near.end.connection), None)
    if was is None or was.kept_up is None or near.connection.kept_up is None or before.at is None:
        return None
    apart_s = (near.seen.at - before.at) * near.scale
    ago_s = apart_s - was.kept_up.next_check_s
    if ago_s < SLACK_S or any(sa.live and sa.name == near.end.connection for sa in _sas(before)):
        return None
    return Verdict(
        Cause.PASSIVE_MODE,
        f"{near.name} keeps it up and does not begin: its daemon is in passive mode",
        (
            seen(
                near,
                f"its check was due {was.kept_up.next_check_s} s after the first look, {ago_s:.0f} s ago; no attempt",
            ),
            follows('it was told "M passive", as by sasyncd on a CARP backup, or runs with -S'),
        ),
        next=("ifconfig carp", "rcctl get isakmpd flags", "rcctl check sasyncd"),
    )


def _connections(look: GatewaySnapshot) -> tuple[Connection, ...]:
    return () if isinstance(look.connections, Unknown) else look.connections


def _sas(look: GatewaySnapshot) -> tuple[Sa, ...]:
    return () if isinstance(look.sas, Unknown) else look.sas


def between_attempts(case: Case) -> Verdict | None:
    """Ours begins, and nothing is under way now."""
    near = case.near
    if near is None or near.trying() is not None or near.end.live:
        return None
    kept = near.connection.kept_up
    last = next(near.notices(Kind.UNANSWERED, Kind.PHASE2_DONE), None)
    gave_up = last is not None and last.kind is Kind.UNANSWERED and near.age_s(last) <= RECENT_S
    due = f"the next check is due in {kept.next_check_s} s" if kept is not None else "when it tries again is not known"
    if gave_up:
        text = f"the last attempt was not answered, and {due}"
        return Verdict(
            None, text, _gave_up(near), suspects.unanswered(near), (command("diagnose", case, "--watch 10"),)
        )
    return Verdict(
        None,
        f"{near.name} begins it, and no attempt is under way: {due}",
        (seen(near, "stands in Connections; no SA and no exchange"),),
        (
            Suspect("the check is not due yet", f"within {CHECK_S} s an attempt is seen"),
            Suspect(Cause.PASSIVE_MODE.value, "a check goes by, and there is still no attempt"),
        ),
        (command("diagnose", case, f"--for {CHECK_S + 10}s"),),
    )


def unread(case: Case) -> Verdict:
    """Too little was read to say anything."""
    why = tuple(seen(e.gateway, e.note or "it was not read") for e in case.unread)
    known = tuple(seen(s, f"is {s.end.state.value}{f': {s.end.note}' if s.end.note else ''}") for s in case.sides)
    what = ", ".join(dict.fromkeys(e.gateway for e in case.unread))
    text = f"not known: {what} could not be read" if what else f"not known why it is {case.state.value}"
    return Verdict(None, text, (*why, *known), next=(command("diagnose", case, "--watch 10"),))


def _gave_up(side: Side | None) -> tuple[Evidence, ...]:
    return quoted(side, *recent(side.notices(Kind.UNANSWERED), side, RECENT_S)) if side is not None else ()


def _stuck(side: Side | None) -> tuple[Evidence, ...]:
    attempt = side.trying(1) if side is not None else None
    if side is None or attempt is None or _reached(attempt) == 0:
        return ()
    step = f" (step {attempt.step})" if attempt.step else ""
    return (seen(side, f"{side.peer} has answered, and phase 1 does not get to its end{step}{_since(attempt)}"),)


def _half_up(side: Side | None) -> tuple[Evidence, ...]:
    attempt = side.trying(2) if side is not None else None
    if side is None or attempt is None:
        return ()
    return (
        seen(side, f"phase 1 with {side.peer} stands, phase 2 is not answered (step {attempt.step}){_since(attempt)}"),
    )


def _since(attempt: Exchange) -> str:
    return f" {ATTEMPT_S - attempt.ends_in_s} s ago" if attempt.ends_in_s is not None else ""


def _correct(case: Case) -> tuple[str, ...]:
    return (command("diff", case), command("rollout plan", case))


def _listen(*sides: Side) -> tuple[str, ...]:
    return tuple(f"on {s.name}: tcpdump -n -i egress udp port 500 and host {s.peer}" for s in sides)
