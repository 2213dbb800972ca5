"""Verdicts by how far the last attempt came, where nobody says that it was refused.

An attempt to make phase 1 takes six messages. The initiator that has heard nothing has no cookie of its peer (b01); one
that got the second and fourth message and not the sixth was refused by its key or identity (b02, b07); one whose phase 1
stands and whose quick mode is not answered was refused by its networks, or its peer has lost the phase 1 (b09). With both
ends ours the cookie tells whether a message arrived; with one, that is what is left open.
"""

from dataclasses import replace

from ipsecfleet.model.diagnosis import Cause, Suspect
from ipsecfleet.model.net import same_address
from ipsecfleet.model.notice import Kind
from ipsecfleet.model.sa import Exchange
from ipsecfleet.model.snapshot import Unknown
from ipsecfleet.model.tunnel import State
from ipsecfleet.plan.diagnose import suspects
from ipsecfleet.plan.diagnose.case import Case
from ipsecfleet.plan.diagnose.renewal import in_passive_mode
from ipsecfleet.plan.diagnose.side import ATTEMPT_S, CHECK_S, RECENT_S, Side
from ipsecfleet.plan.diagnose.verdict import (
    Verdict,
    command,
    follows,
    gave_up,
    half_up,
    left,
    listed,
    quoted,
    reached,
    recent,
    seen,
    since,
    stuck,
    to_listen,
    to_renew_phase1,
)

ROW_S = 210.0
"""What was given up no longer ago than that, and before an attempt, was the attempt before it."""

SLACK_S = 5.0
"""How far two looks, and the whole seconds of a list, can be apart."""


def under_way(case: Case) -> Verdict | None:
    """Something was begun, or a phase 1 made, so short a time ago that what follows may still come."""
    young = [(x, s) for s in case.sides if not s.end.live or s.end.state is State.STALE for x in s.young]
    if not young:
        return None
    attempt, side = min(young, key=lambda found: found[0].finished)
    text = f"{side.name if attempt.ours else side.peer} began a phase {attempt.phase}{since(side, attempt)}, and it may still go on"
    return Verdict(None, text, (*stuck(side), *gave_up(side)), next=(command("diagnose", case, "--for 15s"),))


def locked_out(case: Case) -> Verdict | None:
    """The responder keeps an earlier phase 1 exchange, and ignores a new one until that is over."""
    near, far = case.near, case.far
    attempt = near.trying(1) if near is not None else None
    if near is None or far is None or attempt is None or reached(attempt) > 0 or far.has_cookie(attempt.icookie):
        return None
    old = far.locking()
    if old is None:
        return None
    return Verdict(
        Cause.LOCK_OUT,
        f"{far.name} ignores a new phase 1 while it keeps the last one, {left(old)}",
        (
            seen(far, f"keeps a phase 1 exchange with {far.peer} {left(old)}, and has not heard of {attempt.icookie}"),
            seen(near, f"began {attempt.icookie}{since(near, attempt)}, and has heard nothing"),
            follows("the next attempt after that is answered; the old responder could begin at once"),
        ),
        next=(command("up", case), command("diagnose", case, "--watch 10")),
    )


def between(case: Case) -> Verdict | None:
    """Both ends are ours, and what one sends does not get to the other."""
    near, far = case.near, case.far
    attempt = near.trying() if near is not None else None
    if near is None or far is None or attempt is None or not near.tells or not far.tells:
        return None
    if attempt.phase > 1:
        return _lost_phase2(case, near, far, attempt)
    if reached(attempt) > 0:
        return _unfinished(near, far, attempt)
    if far.has_cookie(attempt.icookie):
        return _unheard(near, far, attempt, f"knows {attempt.icookie}")
    if not _never_locked_out(near, far, attempt):
        return _lost_or_ignored(case, near, far, attempt)
    return Verdict(
        Cause.PEER_SILENT,
        f"what {near.name} sends does not get to {far.name}",
        (
            seen(near, f"began {attempt.icookie}{since(near, attempt)}, and has heard nothing"),
            seen(far, f"has not heard of {attempt.icookie}, and keeps no exchange that would make it ignore it"),
            *gave_up(near),
        ),
        next=to_listen(near, far),
    )


def _unfinished(near: Side, far: Side, attempt: Exchange) -> Verdict | None:
    """One end has made the phase 1 that the other is still at: only its last message is missing there."""
    if not any(sa.ready and sa.icookie == attempt.icookie for sa in far.end.phase1_sas):
        return None
    return Verdict(
        Cause.OUR_SIDE_SILENT,
        f"{far.name} has made phase 1, and its last message does not get to {near.name}",
        (seen(far, f"has the phase 1 {attempt.icookie}"), *stuck(near), *gave_up(near)),
        next=to_listen(far, near),
    )


def _unheard(near: Side, far: Side, attempt: Exchange, what: str) -> Verdict:
    """The other end has heard of an attempt: it refused it, or its answer is lost; which, its log tells if it was read."""
    nothing = seen(near, f"began {attempt.icookie}{since(near, attempt)}, and has heard nothing")
    began = half_up(near) or (nothing,)
    if far.silent_since(attempt):
        return Verdict(
            Cause.OUR_SIDE_SILENT,
            f"{far.name} has answered {near.name}, and its answer does not get there",
            (seen(far, f"{what}, and no line of its log refuses it"), *began, *gave_up(near)),
            next=to_listen(far, near),
        )
    return Verdict(
        None,
        f"{far.name} has heard {near.name}, and whether it answered is not known: its log was not read that far back",
        (seen(far, what), *began, *gave_up(near)),
        suspects.unheard(near, attempt.phase),
        to_listen(far, near),
    )


def _never_locked_out(near: Side, far: Side, attempt: Exchange) -> bool:
    """Whether the other end can have kept no earlier exchange while this attempt was made.

    A lock-out makes one attempt fail, never two in a row; and it ends 120 s after the last phase 1, of which a log with
    -v tells.
    """
    given_up = (n for n in near.notices(Kind.UNANSWERED) if n.details[0].lower() == (near.phase1 or "").lower())
    ages = [near.age_s(n) for n in given_up]
    in_a_row = [age for age in ages if age < near.youngest_s(attempt) + ROW_S]
    if in_a_row and in_a_row[-1] > near.oldest_s(attempt):
        return True
    last = next(far.notices(Kind.PHASE1_DONE), None)
    return last is not None and far.age_s(last) > ATTEMPT_S + near.oldest_s(attempt)


def _lost_or_ignored(case: Case, near: Side, far: Side, attempt: Exchange) -> Verdict:
    return Verdict(
        None,
        f"{near.name} has heard nothing, and {far.name} knows nothing of it",
        (
            seen(near, f"began {attempt.icookie}{since(near, attempt)}, and has heard nothing"),
            seen(far, f"has not heard of {attempt.icookie}, and keeps no exchange now"),
            *gave_up(near),
        ),
        (
            Suspect(Cause.PEER_SILENT.value, "the next attempt fails, too"),
            Suspect(f"a {Cause.LOCK_OUT.value} that is over", "the next attempt succeeds"),
        ),
        (command("diagnose", case, "--watch 30"), *to_listen(near, far)),
    )


def _lost_phase2(case: Case, near: Side, far: Side, attempt: Exchange) -> Verdict | None:
    """Phase 1 stands, and what is said in phase 2 is not understood, or gets lost on its way there or back."""
    if not far.has_cookie(attempt.icookie):
        return Verdict(
            Cause.PHASE2_REFUSED,
            f"{far.name} does not know the phase 1 that {near.name} uses",
            (*half_up(near), seen(far, f"has no phase 1 {attempt.icookie}")),
            next=to_renew_phase1(case),
        )
    if any(x.msgid == attempt.msgid for x in far.exchanges):
        return _unheard(near, far, attempt, f"knows message {attempt.msgid}")
    return Verdict(
        Cause.PEER_SILENT,
        f"what {near.name} sends does not get to {far.name}",
        (*half_up(near), seen(far, f"has not heard of message {attempt.msgid}"), *gave_up(near)),
        next=to_listen(far, near),
    )


def one_end(case: Case) -> Verdict | None:
    """Ours begins, and the other end is not ours or was not read: what is known, and what only that can tell."""
    near = case.near
    attempt = near.trying() if near is not None else None
    if near is None or attempt is None:
        return None
    so_far = (*half_up(near), *stuck(near), *gave_up(near))
    again = (command("diagnose", case, "--watch 30"),)
    if attempt.phase > 1:
        text = f"phase 1 with {near.peer} stands, and phase 2 is not answered"
        return Verdict(None, text, so_far, suspects.phase2_unanswered(near), again)
    if reached(attempt) > 0:
        text = f"{near.peer} answers, and not the last message of phase 1: a key or an identity is wrong, or it is lost"
        return Verdict(None, text, so_far, suspects.half_way(near), again)
    began = seen(near, f"began {attempt.icookie}{since(near, attempt)}, and has heard nothing")
    last = recent(near.notices(Kind.PHASE1_DONE), near, ATTEMPT_S)
    return Verdict(
        Cause.PEER_SILENT,
        f"{near.peer} has answered nothing; why, only its side can tell",
        (began, *gave_up(near), *quoted(near, *last)),
        suspects.unanswered(near),
        (*to_listen(near), *again),
    )


def peer_begins(case: Case) -> Verdict | None:
    """The other end begins, and is not ours or was not read."""
    side = case.far if case.near is None else None
    if side is None or side.end.live or not side.tells:
        return None
    attempt = side.answering()
    return _not_going_on(side, attempt) if attempt is not None else _not_beginning(case, side)


def _not_going_on(side: Side, attempt: Exchange) -> Verdict:
    """It began, and is still at it."""
    what = seen(side, f"knows a phase {attempt.phase} of {side.peer}, {attempt.icookie}{since(side, attempt)}")
    if not side.silent_since(attempt):
        text = f"{side.peer} has begun; whether {side.name} refuses it is not known: its log was not read that far back"
        return Verdict(None, text, (what,), suspects.refused_here(side), to_listen(side))
    return Verdict(
        Cause.OUR_SIDE_SILENT,
        f"{side.name} has answered {side.peer}, which does not go on",
        (what, seen(side, "no line of its log refuses it")),
        (Suspect(suspects.LOST, f"there: tcpdump shows no packet from {side.address}"),),
        to_listen(side),
    )


def _not_beginning(case: Case, side: Side) -> Verdict:
    """Nothing of it is here; what it sends may be ignored for the sake of an earlier phase 1."""
    last = quoted(side, *recent(side.notices(Kind.DELETED, Kind.PHASE2_DONE), side, float("inf")))
    could_be = (
        Suspect(suspects.UNREACHABLE, f"here: tcpdump shows nothing from {side.peer} to udp port 500"),
        Suspect("it does not try", "its lists, and its daemon"),
    )
    old = side.locking()
    if old is not None and not side.end.phase1_sas:
        kept = seen(side, f"keeps a phase 1 exchange with {side.peer} {left(old)}, and ignores a new one as long")
        lock = Suspect(Cause.LOCK_OUT.value, "it comes up at the next attempt after that; tcpdump shows that it tries")
        text = f"only {side.peer} can begin it, and {side.name} would not answer yet"
        return Verdict(None, text, (kept, *last), (lock, *could_be), (command("diagnose", case, "--watch 10"),))
    if side.end.phase1_sas:
        kept = seen(side, f"has a phase 1 with {side.peer}, and no phase 2 is under way")
        elsewhere = (
            Suspect("it was taken off its list there, or is held", "its lists"),
            Suspect(f"{Cause.PASSIVE_MODE.value} there", "ifconfig carp, and whether isakmpd runs with -S"),
        )
        text = f"phase 1 with {side.peer} stands, and it begins no phase 2"
        return Verdict(None, text, (kept, *last), elsewhere, (command("diagnose", case, "--watch 10"),))
    nothing = seen(side, f"stands in {listed(side)}; no exchange, no half-open SA with {side.peer}")
    if side.log is None:
        text = f"only {side.peer} can begin it, and whether it tries is not known: the log of {side.name} was not read"
        return Verdict(None, text, (nothing,), (suspects.refused_here(side)[0], *could_be), to_listen(side))
    return Verdict(
        Cause.PEER_SILENT,
        f"only {side.peer} can begin it, and nothing of it has arrived",
        (nothing, *last),
        could_be,
        to_listen(side),
    )


def passive(case: Case) -> Verdict | None:
    """A check of what is kept up has gone by between two looks, nothing stood in its way, and no attempt was made."""
    near = case.near
    if near is None or near.end.lacking or near.connection.kept_up is None or near.log is None:
        return None
    first = next((look for look in near.witness.earlier if 0 < near.before_s(look) < ATTEMPT_S), None)
    if first is None or not _idle(near) or not _idle(replace(near, seen=first)):
        return None
    apart_s, had = near.before_s(first), replace(near, seen=first).connections
    was = next((c.kept_up for c in had if c.name == near.end.connection), None)
    if was is None or apart_s - was.next_check_s < SLACK_S or _negotiated_since(near, apart_s):
        return None
    due = f"its check was due {was.next_check_s} s after the first look, {apart_s - was.next_check_s:.0f} s ago; no attempt"
    return Verdict(
        Cause.PASSIVE_MODE,
        f"{near.name} keeps it up and does not begin: its daemon is in passive mode",
        (seen(near, due), follows('it was told "M passive", as by sasyncd on a CARP backup, or runs with -S')),
        next=in_passive_mode(near),
    )


def _idle(side: Side) -> bool:
    """Whether nothing of this end was up or under way at that look, so that a check has to begin it."""
    up = any(sa.live and sa.name == side.end.connection for sa in side.sas)
    return side.tells and not up and all(x.finished for x in side.exchanges)


def _negotiated_since(side: Side, since_s: float) -> bool:
    """Whether anything with that peer was begun, made or given up within so many seconds, or may have been."""
    begun = [0 if x.ends_in_s is None else ATTEMPT_S - x.ends_in_s for x in side.exchanges]
    made = [sa.age_s or 0 for sa in side.sas if same_address(sa.dst, side.end.peer)]
    told = side.notices(Kind.UNANSWERED, Kind.NOT_CONFIGURED, Kind.PHASE1_DONE, Kind.PHASE2_DONE)
    return min((*begun, *made, *map(side.age_s, told)), default=since_s + 1) <= since_s


def between_attempts(case: Case) -> Verdict | None:
    """Ours begins, and nothing is under way now."""
    near = case.near
    if near is None or near.trying() is not None or near.end.live or not near.tells:
        return None
    kept = near.connection.kept_up
    last = next(near.notices(Kind.UNANSWERED, Kind.PHASE2_DONE), None)
    due = f"the next check is due in {kept.next_check_s} s" if kept is not None else "when it tries again is not known"
    if last is not None and last.kind is Kind.UNANSWERED and near.age_s(last) <= RECENT_S:
        text = f"the last attempt was not answered, and {due}"
        could_be = suspects.of_given_up(near, last)
        return Verdict(None, text, quoted(near, last), could_be, (command("diagnose", case, "--watch 10"),))
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
    mute = tuple(
        seen(s, f"what it negotiates: {s.seen.exchanges.why}")
        for s in case.sides
        if isinstance(s.seen.exchanges, Unknown)
    )
    what = ", ".join(dict.fromkeys(e.gateway for e in case.unread))
    text = f"not known: {what} could not be read" if what else f"not known why it is {case.state.value}"
    return Verdict(None, text, (*why, *known, *mute), next=(command("diagnose", case, "--watch 10"),))
