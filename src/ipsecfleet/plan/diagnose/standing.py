"""Verdicts by what stands: daemons, lists, confs, SAs and flows, without a look at what is negotiated."""

from collections.abc import Iterator

from ipsecfleet.isakmpd.names import parse_connection
from ipsecfleet.model.diagnosis import Cause, Evidence, Suspect
from ipsecfleet.model.notice import Kind
from ipsecfleet.model.snapshot import GatewaySnapshot, Listing, Unknown
from ipsecfleet.model.tunnel import State
from ipsecfleet.plan.diagnose.case import ATTEMPT_S, RECENT_S, Case, Side
from ipsecfleet.plan.diagnose.verdict import Verdict, by_whom, command, follows, quoted, recent, seen

ANSWERED_WITHIN_S = 10
"""A message is sent again after 7 s, so an attempt that is older was not answered."""

HEALTHY = frozenset({State.UP, State.REKEYING})

_FIFO = {
    "irregular": "a file that is no FIFO is in its place, and isakmpd cannot start while it is there",
    "no-reader": "nobody reads it: isakmpd was killed, and left it behind",
}


def daemon_gone(gateway: str, looked: GatewaySnapshot | None) -> Verdict | None:
    """The daemon of a gateway does not run, does not answer, or cannot be asked."""
    if looked is None:
        return None
    if looked.fifo in _FIFO:
        return Verdict(
            Cause.FIFO_BROKEN,
            f"isakmpd on {gateway} cannot be asked, and does not work",
            (seen(gateway, f"isakmpd.fifo: {_FIFO[looked.fifo]}"), *_pid(gateway, looked)),
            next=(
                *([f"on {gateway}: rm /var/run/isakmpd.fifo"] if looked.fifo == "irregular" else []),
                *_start(gateway),
            ),
        )
    if looked.fifo == "missing" or looked.daemon in {"none", "stale"}:
        what = "there is no isakmpd.fifo" if looked.fifo == "missing" else f"the pid file is {looked.daemon}"
        return Verdict(
            Cause.DAEMON_DEAD, f"isakmpd on {gateway} does not run", (seen(gateway, what),), next=_start(gateway)
        )
    if isinstance(looked.sas, Unknown) and looked.sas.why.startswith("no-answer"):
        why = (seen(gateway, f"it runs, and did not answer: {looked.sas.why.partition(': ')[2] or looked.sas.why}"),)
        text = f"isakmpd on {gateway} is busy, or hangs"
        wait = (f"ipsecfleet diagnose -g {gateway} --timeout 60s", f"ipsecfleet forecast -g {gateway}")
        return Verdict(Cause.DAEMON_BUSY, text, why, next=wait)
    return None


def _pid(gateway: str, looked: GatewaySnapshot) -> tuple[Evidence, ...]:
    return (seen(gateway, f"the pid file is {looked.daemon}"),) if looked.daemon in {"none", "stale"} else ()


def _start(gateway: str) -> tuple[str, ...]:
    return (f"on {gateway}: doas rcctl restart isakmpd", f"ipsecfleet up -g {gateway}")


def well(case: Case) -> Verdict | None:
    """Up at every end that was read, and whatever is not as it should be all the same."""
    if case.state not in HEALTHY or any(_is_stuck(s) for s in case.sides):
        return None
    risk = _fading(case) or _other_name(case) or (_both_active(case) if case.whole else None)
    if risk is not None:
        return risk
    live = [seen(s, f"live, {_ages(s)}") for s in case.sides if s.end.live]
    text = "it is up, and nothing is the matter" if case.whole else "it is up here; what its other end has is not known"
    return Verdict(None, text, tuple(live), well=True)


def _is_stuck(side: Side) -> bool:
    """Whether a renewal is under way for longer than one takes."""
    attempt = side.trying()
    return attempt is not None and attempt.ends_in_s is not None and ATTEMPT_S - attempt.ends_in_s > ANSWERED_WITHIN_S


def _ages(side: Side) -> str:
    sa = side.end.live[0]
    return f"negotiated {sa.age_s} s ago" if sa.age_s is not None else "since when is not told"


def _fading(case: Case) -> Verdict | None:
    for side in case.sides:
        over = (sa for sa in side.end.live if sa.fading or (sa.soft_s is None and side.trying() is None))
        left = [sa.hard_s for sa in over if sa.hard_s is not None]
        if left:
            return Verdict(
                Cause.NOBODY_RENEWS,
                f"it is up, and nobody renews it: gone in {left[0]} s",
                (seen(side, "its soft timeout is over, and no renewal is under way"), *_nobody(case)),
                next=(command("up", case), command("restart", case)),
            )
    return None


def _nobody(case: Case) -> tuple[Evidence, ...]:
    return tuple(seen(s, f"stands in {listed(s)}") for s in case.sides)


def listed(side: Side) -> str:
    """In which list an end stands."""
    return {
        Listing.ACTIVE: "Connections",
        Listing.PASSIVE: "Passive-Connections",
        Listing.HELD_ACTIVE: "Held-Connections",
        Listing.HELD_PASSIVE: "Held-Passive-Connections",
        Listing.NONE: "no list",
    }[side.end.listing]


def _other_name(case: Case) -> Verdict | None:
    for side in case.sides:
        other = next((sa.name for sa in side.end.live if sa.name is not None and _is_neighbours(sa.name, side)), None)
        if other is not None:
            return Verdict(
                Cause.NEIGHBOURS_NAME,
                f"it is up, and {side.name} has it under a neighbour's name",
                (
                    seen(side, f"the SA with {side.peer} is called {other}; its networks are {side.end.selectors}"),
                    follows(f'"t quick {other}" there would take it down with its neighbour'),
                ),
                next=(command("show", case), command("rollout plan", case)),
            )
    return None


def _is_neighbours(name: str, side: Side) -> bool:
    """Whether an SA of this end is called as if it led elsewhere; one of a rekey of ours is not."""
    networks, ours = parse_connection(name), side.end.selectors
    return networks is not None and ours is not None and networks.remote != ours.remote


def _both_active(case: Case) -> Verdict | None:
    if sum(s.end.listing is Listing.ACTIVE for s in case.sides) < len({s.name for s in case.sides}):
        return None
    return Verdict(
        Cause.BOTH_ACTIVE,
        "both ends begin, so each makes an SA of its own",
        tuple(seen(s, f"stands in Connections; {_count(s)}") for s in case.sides),
        next=(f'make the rule of one end "ike passive", then {command("rollout plan", case)}', command("rekey", case)),
    )


def _count(side: Side) -> str:
    live, replaced = len(side.end.live), sum(sa.replaced for sa in side.end.sas)
    return f"{live} live SA{'' if live == 1 else 's'}" + (f", {replaced} replaced" if replaced else "")


def doubled(case: Case) -> Verdict | None:
    """Two live SAs at one end."""
    if case.state is not State.DUPLICATE:
        return None
    both = _both_active(case) if case.whole else None
    if both is not None:
        return both
    side = next(s for s in case.sides if s.end.state is State.DUPLICATE) if case.sides else None
    names = ", ".join(dict.fromkeys(str(sa.name) for sa in side.end.live)) if side is not None else ""
    what = seen(side, f"{_count(side)}: {names}") if side is not None else follows("two live SAs")
    return Verdict(Cause.DUPLICATE, "one end has two live SAs", (what,), next=(command("rekey", case),))


def disagreeing(case: Case) -> Verdict | None:
    """The daemon and its kernel do not have the same."""
    side = next((s for s in case.sides if s.end.state is State.STALE), None)
    if side is None:
        return None
    begun = recent((n for n in side.notices(Kind.LIFE) if n.details), side, float("inf"))
    return Verdict(
        Cause.STALE,
        f"daemon and kernel of {side.name} disagree: {side.end.note}",
        (seen(side, side.end.note), *quoted(side, *begun)),
        next=(command("restart", case),),
    )


def black_hole(case: Case) -> Verdict | None:
    """One end sends what the other cannot read, or has the flow alone."""
    if case.state is not State.BLACK_HOLE:
        return None
    stand = tuple(seen(s, f"{_count(s)}, {flows(s) or 'no flows'}") for s in case.sides)
    told = [q for s in case.sides for q in quoted(s, *recent(s.notices(Kind.DELETED, Kind.OURS), s, float("inf")))]
    both = _both_active(case)
    evidence = (follows(case.note), *stand, *told, *(both.evidence if both is not None else ()))
    return Verdict(Cause.BLACK_HOLE, f"traffic is lost: {case.note}", evidence, next=(command("restart", case),))


def flows(side: Side) -> str | None:
    """Which flows an end has; None where it has none."""
    return ", ".join(sorted({f"{f.direction} {f.type}" for f in side.end.flows})) or None


def held(case: Case) -> Verdict | None:
    """Somebody holds it, or its peer, with ipsecfleet."""
    for side in case.sides:
        peer_off = side.end.peer in side.seen.held_peers
        if side.end.listing.held or (peer_off and not side.end.live):
            what = f"stands in {listed(side)}" if side.end.listing.held else f"{side.peer} stands in Held-Peers"
            return Verdict(
                Cause.HELD,
                f"it is held on {side.name}",
                (
                    seen(side, what),
                    *by_whom(side, "Connections=" if side.end.listing.held else "Held-Peers"),
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
                next=(command("up", case), command("diff", case)),
            )
    return None


def _lacking(side: Side) -> str:
    if side.configured is None and not isinstance(side.seen.exchanges, Unknown):
        return f"the daemon knows no connection for {side.end.selectors} with {side.peer}"
    if side.end.missing:
        return f"the daemon lacks {', '.join(side.end.missing)} to build it"
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
    reason = side.refusal()
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
    side = next((s for s in case.sides if not s.end.live and s.configured is None and s.siblings()), None)
    if side is None:
        return None
    has = tuple(seen(side, f"with {side.peer} it has {c.selectors}") for c in side.siblings())
    text = f"{side.name} has no connection for {side.end.selectors}"
    if case.tunnel.known:
        return Verdict(Cause.NETWORKS_UNKNOWN, f"{text}, nor has its conf", has, next=(command("rollout plan", case),))
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
        if side.end.live or side.configured is None:
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
            (seen(side, what), *by_whom(side, "t quick", "C rmv"), *_deleted(case, side), *_last_try(side)),
            next=(command("up", case),),
        )
    return None


def _torn_down(side: Side) -> bool:
    asked = not isinstance(side.seen.exchanges, Unknown)
    return asked and side.end.listing is Listing.ACTIVE and side.connection.kept_up is None


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


def passive_group(case: Case) -> Verdict | None:
    """Every gateway of it is a CARP backup."""
    if case.state is not State.BACKUP:
        return None
    return Verdict(
        Cause.PASSIVE_MODE,
        "no gateway of its CARP group is master, so all are passive",
        tuple(seen(s, "its carp interface is not master") for s in case.sides),
        next=("ipsecfleet show gateways", "ifconfig carp"),
    )


def nobody_begins(case: Case) -> Verdict | None:
    """No end is one that begins, and both are ours."""
    if not case.whole or case.near is not None or any(s.answering() for s in case.sides):
        return None
    return Verdict(
        Cause.NOBODY_RENEWS,
        "nobody begins it: both ends only answer",
        _nobody(case),
        next=(f'make the rule of one end "ike active", then {command("rollout plan", case)}',),
    )
