"""Verdicts by how far the last attempt came, where nobody says that it was refused.

An attempt to make phase 1 takes six messages. The initiator that has heard nothing has no cookie of its peer (b01); one
that got the second and fourth message and not the sixth was refused by its key or identity (b02, b07); one whose phase 1
stands and whose quick mode is not answered was refused by its networks, or its peer has lost the phase 1 (b09). With both
ends ours the cookie tells whether a message arrived; with one, that is what is left open.
"""

from ipsecfleet.model.diagnosis import Cause, Suspect
from ipsecfleet.model.notice import Kind
from ipsecfleet.model.sa import Exchange, Sa
from ipsecfleet.model.snapshot import Connection, GatewaySnapshot, Unknown
from ipsecfleet.plan.diagnose import suspects
from ipsecfleet.plan.diagnose.case import ATTEMPT_S, CHECK_S, NO_COOKIE, RECENT_S, Case, Side
from ipsecfleet.plan.diagnose.verdict import (
    Verdict,
    command,
    follows,
    gave_up,
    half_up,
    quoted,
    reached,
    recent,
    seen,
    since,
    stuck,
    to_listen,
)

SLACK_S = 5.0
"""How far two looks, and the whole seconds of a list, can be apart."""


def locked_out(case: Case) -> Verdict | None:
    """The responder keeps an earlier phase 1 exchange, and ignores a new one until that is over."""
    near, far = case.near, case.far
    attempt = near.trying(1) if near is not None else None
    if near is None or far is None or attempt is None or reached(attempt) > 0 or far.has_cookie(attempt.icookie):
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


def between(case: Case) -> Verdict | None:
    """Both ends are ours, and what one sends does not get to the other."""
    near, far = case.near, case.far
    attempt = near.trying() if near is not None else None
    if near is None or far is None or attempt is None:
        return None
    if attempt.phase > 1:
        return _lost_phase2(case, near, far, attempt)
    if reached(attempt) > 0:
        return None
    if far.has_cookie(attempt.icookie):
        return Verdict(
            Cause.OUR_SIDE_SILENT,
            f"{far.name} has answered {near.name}, and its answer does not get there",
            (
                seen(far, f"knows {attempt.icookie}, and no line of its log refuses it"),
                seen(near, f"began {attempt.icookie}, and has heard nothing"),
                *gave_up(near),
            ),
            next=to_listen(far, near),
        )
    if not _had_time(attempt) or isinstance(far.seen.exchanges, Unknown):
        return None
    if not _never_locked_out(near, far, attempt):
        return _lost_or_ignored(case, near, far, attempt)
    return Verdict(
        Cause.PEER_SILENT,
        f"what {near.name} sends does not get to {far.name}",
        (
            seen(near, f"began {attempt.icookie}{since(attempt)}, and has heard nothing"),
            seen(far, f"has not heard of {attempt.icookie}, and keeps no exchange that would make it ignore it"),
            *gave_up(near),
        ),
        next=to_listen(near, far),
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
            seen(near, f"began {attempt.icookie}{since(attempt)}, and has heard nothing"),
            seen(far, f"has not heard of {attempt.icookie}, and keeps no exchange now"),
            *gave_up(near),
        ),
        (
            Suspect(Cause.PEER_SILENT.value, "the next attempt fails, too"),
            Suspect(f"a {Cause.LOCK_OUT.value} that is over", "the next attempt succeeds"),
        ),
        (command("diagnose", case, "--watch 30"), *to_listen(near, far)),
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
            (*half_up(near), seen(far, f"has no phase 1 {attempt.icookie}")),
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
            *half_up(near),
            seen(
                far, f"{'knows' if heard else 'has not heard of'} message {attempt.msgid}, and its log refuses nothing"
            ),
            *gave_up(near),
        ),
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
    began = seen(near, f"began {attempt.icookie}{since(attempt)}, and has heard nothing")
    last = recent(near.notices(Kind.PHASE1_DONE), near, ATTEMPT_S)
    return Verdict(
        Cause.PEER_SILENT,
        f"{near.peer} has answered nothing; why, only its side can tell",
        (began, *gave_up(near), *quoted(near, *last)),
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
    due = f"the next check is due in {kept.next_check_s} s" if kept is not None else "when it tries again is not known"
    if last is not None and last.kind is Kind.UNANSWERED and near.age_s(last) <= RECENT_S:
        of_phase1 = last.details[0].lower() == (near.phase1 or "").lower()
        could_be = suspects.unanswered(near) if of_phase1 else suspects.phase2_unanswered(near)
        text = f"the last attempt was not answered, and {due}"
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
    what = ", ".join(dict.fromkeys(e.gateway for e in case.unread))
    text = f"not known: {what} could not be read" if what else f"not known why it is {case.state.value}"
    return Verdict(None, text, (*why, *known), next=(command("diagnose", case, "--watch 10"),))
