"""Verdicts by what stands in lists and confs: held, not loaded, taken off, changed just now, begun by nobody."""

from collections.abc import Iterator

from ipsecfleet.isakmpd.names import DEFAULT_PHASE1
from ipsecfleet.model.diagnosis import Cause, Evidence, Suspect
from ipsecfleet.model.net import same_address
from ipsecfleet.model.notice import Kind
from ipsecfleet.model.snapshot import Listing
from ipsecfleet.model.tunnel import State
from ipsecfleet.plan.diagnose.case import Case
from ipsecfleet.plan.diagnose.side import RECENT_S, Side
from ipsecfleet.plan.diagnose.verdict import (
    Verdict,
    by_whom,
    command,
    listed,
    quoted,
    recent,
    seen,
    standing_in,
    to_correct,
    to_make,
    to_renew_phase1,
)


def held(case: Case) -> Verdict | None:
    """Somebody holds it, or its peer, with ipsecfleet."""
    for side in case.sides:
        peer_off = any(same_address(peer, side.end.peer) for peer in side.seen.held_peers)
        if side.end.listing.held or (peer_off and not side.end.live):
            who, what = ("it", listed(side)) if side.end.listing.held else (side.peer, "Held-Peers")
            return Verdict(
                Cause.HELD,
                f"it is held on {side.name}",
                (
                    seen(side, f"{who} stands in {what}"),
                    *by_whom(side, rf"C add \[ipsecfleet\]:{what}=", rf"C rmv? \[ipsecfleet\]:{what}="),
                    *_keeps_trying(case, side),
                ),
                next=(command("up", case),),
            )
    return None


def _keeps_trying(case: Case, side: Side) -> Iterator[Evidence]:
    if side.answering() is not None:
        yield seen(side, f"{side.peer} keeps trying, and is refused")
    for other in case.sides:
        if other is not side and other.trying() is not None:
            yield seen(other, "keeps trying, and is refused")


def not_loaded(case: Case) -> Verdict | None:
    """The daemon of an end does not have what it needs."""
    for side in case.sides:
        if side.end.live:
            continue
        lacking = _lacking(side)
        if lacking and not _has_others(case, side):
            return Verdict(
                Cause.NOT_LOADED,
                f"the daemon of {side.name} does not have its conf",
                (seen(side, lacking), *_left(side), *_filed(side), *_told(side)),
                next=_to_load(case, side),
            )
    return None


def _to_load(case: Case, side: Side) -> tuple[str, ...]:
    """What loads it; what its kernel has left from before is renewed after that."""
    again = to_renew_phase1(case) if side.end.state is State.STALE else ()
    if side.path is None or not case.tunnel.known:
        return (f"on {side.name}: load its rule for {side.peer} with ipsecctl -f", *again)
    if again or not side.end.lacking:
        return (f"on {side.name}: doas ipsecctl -f {side.path}", *again)
    return (command("up", case), command("diff", case))


def _lacking(side: Side) -> str:
    if side.unconfigured:
        return f"the daemon knows no connection for {side.end.selectors} with {side.peer}"
    if side.end.connection is not None and side.end.lacking:
        return f"the daemon lacks {', '.join(side.end.lacking)} to build it"
    if side.knows_peer is False:
        return f"the daemon's [Phase 1] has no entry for {side.peer}"
    return ""


def _left(side: Side) -> Iterator[Evidence]:
    if side.end.state is State.STALE:
        yield seen(side, side.end.note)


def _filed(side: Side) -> Iterator[Evidence]:
    stored = side.witness.files.get(side.path or "")
    if side.filed is not None:
        where = "is included in ipsec.conf" if side.path in side.witness.includes else "is not included in ipsec.conf"
        yield seen(side, f"{side.path} has it, and {where}")
    elif side.path is not None and stored is None and side.path in side.witness.files:
        yield seen(side, f"there is no {side.path}")


def _told(side: Side) -> tuple[Evidence, ...]:
    """What its log says of it: a refusal, a connection that cannot be built, its start."""
    reason = next(side.refusals(), None)
    refused = side.with_it(reason) if reason is not None else ()
    broken = recent(side.notices(Kind.NOT_CONFIGURED), side, RECENT_S)
    begun = (n for n in side.notices(Kind.LIFE) if n.details[:1] == ("starting",))
    return quoted(side, *refused, *broken, *recent(begun, side, float("inf")))


def _has_others(case: Case, side: Side) -> bool:
    """Whether this end has other networks with that peer, and these are nowhere its own."""
    if side.configured is not None or not side.siblings():
        return False
    return side.filed is None and (not case.tunnel.known or side.meaning is not None)


def unmirrored(case: Case) -> Verdict | None:
    """One end has other networks with the other one, and nothing was said about these."""
    side = next((s for s in case.sides if not s.end.live and s.unconfigured and s.siblings()), None)
    if side is None:
        return None
    has = tuple(seen(side, f"with {side.peer} it has {c.selectors}") for c in side.siblings())
    text = f"{side.name} has no connection for {side.end.selectors}"
    if case.tunnel.known:
        return Verdict(Cause.NETWORKS_UNKNOWN, f"{text}, nor has its conf", has, next=to_correct(case))
    return Verdict(
        None,
        text,
        has,
        (
            Suspect(Cause.NOT_LOADED.value, f"the conf files of {side.name}, and ipsec.conf there"),
            Suspect(Cause.NETWORKS_UNKNOWN.value, "the networks in the confs of both ends"),
        ),
        (f"ipsecfleet diff -g {side.name}",),
    )


def reloading(case: Case) -> Verdict | None:
    """Somebody has just changed the lists of a daemon, which count when it has built them anew."""
    side = next((s for s in case.sides if s.witness.reinit_in_s is not None and not s.end.live), None)
    if side is None:
        return None
    text = f"{side.name} builds its lists anew in {side.witness.reinit_in_s} s; before that they do not count"
    why = (seen(side, "a conf was loaded, or a list was changed, less than 5 s ago"),)
    return Verdict(None, text, why, next=(command("diagnose", case),))


def taken_off(case: Case) -> Verdict | None:
    """Loaded, and in no list; or in the list, and not kept up since a teardown by name."""
    for side in case.sides:
        if side.end.live or side.configured is None or not side.tells:
            continue
        if side.end.listing is Listing.NONE and side.connection.kept_up is None and not side.trying():
            what = "the daemon has its conf, and it stands in no list"
        elif _torn_down(side):
            what = 'stands in Connections, and the daemon does not keep it up: since a "t quick" of its name'
        else:
            continue
        return Verdict(
            Cause.TAKEN_OFF,
            f"{side.name} does not begin it: it was taken off its list",
            (
                seen(side, what),
                *by_whom(side, r"t quick |C rmv \[Phase 2\]:", r"(?<![^ ;])c |C add \[Phase 2\]:"),
                *_deleted(case, side),
                *_last_try(side),
            ),
            next=(command("up", case),),
        )
    return None


def _torn_down(side: Side) -> bool:
    return side.end.listing is Listing.ACTIVE and side.connection.kept_up is None


def _deleted(case: Case, side: Side) -> tuple[Evidence, ...]:
    """What the other end says of the deletion."""
    others = (s for s in case.sides if s is not side)
    return tuple(q for s in others for q in quoted(s, *recent(s.notices(Kind.DELETED), s, float("inf"))))


def _last_try(side: Side) -> tuple[Evidence, ...]:
    """An attempt that began before and is not over."""
    exchange = side.trying()
    if exchange is None:
        return ()
    gave_up = recent(side.notices(Kind.UNANSWERED), side, 200.0)
    until = f"for {exchange.ends_in_s} s at most" if exchange.ends_in_s is not None else "for 120 s at most"
    return (seen(side, f"its last attempt is still there, {until}, and unanswered"), *quoted(side, *gave_up))


def waits_for_anybody(case: Case) -> Verdict | None:
    """A rule without a peer that waits is not down: nobody uses it now."""
    side = case.sides[0] if len(case.sides) == 1 else None
    if side is None or case.tunnel.known or side.end.live or side.connection.phase1 != DEFAULT_PHASE1:
        return None
    if side.end.listing is not Listing.PASSIVE or side.answering() is not None:
        return None
    return Verdict(None, "it waits for anybody, and nobody is there", well=True)


def nobody_begins(case: Case) -> Verdict | None:
    """No end is one that begins, and both are ours."""
    passive = all(s.end.listing is Listing.PASSIVE for s in case.sides)
    if not case.whole or not passive or case.near is not None or any(s.answering() for s in case.sides):
        return None
    return Verdict(
        Cause.NOBODY_RENEWS,
        "nobody begins it: both ends only answer",
        standing_in(case),
        next=(to_make(case, "active"),),
    )
