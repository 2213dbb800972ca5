"""Verdicts by what stands: daemons, SAs and flows, and whatever is not as it should be although it is up."""

from ipsecfleet.isakmpd.names import DEFAULT_PHASE1, parse_connection
from ipsecfleet.model.diagnosis import Cause, Evidence
from ipsecfleet.model.notice import Kind
from ipsecfleet.model.snapshot import GatewaySnapshot, Listing, Unknown
from ipsecfleet.model.tunnel import State
from ipsecfleet.plan.diagnose.case import Aside, Case
from ipsecfleet.plan.diagnose.renewal import unrenewed
from ipsecfleet.plan.diagnose.side import ANSWERED_WITHIN_S, Side
from ipsecfleet.plan.diagnose.verdict import (
    Verdict,
    by_inventory,
    command,
    follows,
    quoted,
    recent,
    seen,
    to_make,
    to_renew_phase1,
)

HEALTHY = frozenset({State.UP, State.REKEYING})

_FIFO = {
    "irregular": "a file that is no FIFO is in its place, and isakmpd cannot start while it is there",
    "no-reader": "nobody reads it: isakmpd was killed, and left it behind",
}


def daemon_gone(gateway: str, looked: GatewaySnapshot | None) -> Verdict | None:
    """The daemon of a gateway does not run, does not answer, or cannot be asked."""
    if looked is None or not isinstance(looked.sas, Unknown):
        return None
    told = looked.sas.why.partition(": ")[0]
    fifo = told if told in {*_FIFO, "missing"} else looked.fifo
    if fifo in _FIFO:
        return Verdict(
            Cause.FIFO_BROKEN,
            f"isakmpd on {gateway} cannot be asked, and does not work",
            (seen(gateway, f"isakmpd.fifo: {_FIFO[fifo]}"), *_pid(gateway, looked)),
            next=(*([f"on {gateway}: rm /var/run/isakmpd.fifo"] if fifo == "irregular" else []), *_start(gateway)),
        )
    if fifo == "missing" or looked.daemon in {"none", "stale"}:
        lost = fifo == "missing"
        what = "there is no isakmpd.fifo" if lost else f"the pid file is {looked.daemon}"
        runs = lost and looked.daemon not in {"none", "stale", None}
        text = (
            f"isakmpd on {gateway} cannot be asked: it has lost its FIFO"
            if runs
            else f"isakmpd on {gateway} does not run"
        )
        cause = Cause.FIFO_BROKEN if runs else Cause.DAEMON_DEAD
        return Verdict(cause, text, (seen(gateway, what), *_pid(gateway, looked)), next=_start(gateway))
    if looked.sas.why.startswith("no-answer"):
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
    risk = unrenewed(case) or _other_name(case) or (_both_active(case) if case.whole else None)
    if risk is not None:
        return risk
    live = [seen(s, f"live, {_ages(s)}") for s in case.sides if s.end.live]
    text = "it is up, and nothing is the matter" if case.whole else "it is up here; what its other end has is not known"
    return Verdict(None, text, tuple(live), well=True)


def _is_stuck(side: Side) -> bool:
    """Whether a renewal is under way for longer than one takes."""
    attempt = side.trying()
    return attempt is not None and side.youngest_s(attempt) > ANSWERED_WITHIN_S


def _ages(side: Side) -> str:
    sa = side.end.live[0]
    return f"negotiated {sa.age_s} s ago" if sa.age_s is not None else "since when is not told"


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
                next=(command("show tunnels", case), *by_inventory(case, "rollout plan")),
            )
    return None


def _is_neighbours(name: str, side: Side) -> bool:
    """Whether an SA of this end is called as if it led elsewhere; one of a rekey of ours is not, nor one of anybody's."""
    networks, ours = parse_connection(name), side.end.selectors
    if networks is None or ours is None or networks.remote == ours.remote:
        return False
    return not any(c.name.lower() == name.lower() and c.phase1 == DEFAULT_PHASE1 for c in side.connections)


def _both_active(case: Case) -> Verdict | None:
    if sum(s.end.listing is Listing.ACTIVE for s in case.sides) < len({s.name for s in case.sides}):
        return None
    return Verdict(
        Cause.BOTH_ACTIVE,
        "both ends begin, so each makes an SA of its own",
        tuple(seen(s, f"stands in Connections; {_count(s)}") for s in case.sides),
        next=(to_make(case, "passive"), command("rekey", case)),
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
    """The daemon and its kernel do not have the same, and not because of what was made between the two questions."""
    side = next((s for s in case.sides if s.end.state is State.STALE), None)
    if side is None or side.young:
        return None
    begun = recent((n for n in side.notices(Kind.LIFE) if n.details), side, float("inf"))
    return Verdict(
        Cause.STALE,
        f"daemon and kernel of {side.name} disagree: {side.end.note}",
        (seen(side, side.end.note), *quoted(side, *begun)),
        next=to_renew_phase1(case),
    )


def black_hole(case: Case) -> Verdict | None:
    """One end sends what the other cannot read, or has the flow alone."""
    if case.state is not State.BLACK_HOLE or any(not x.finished for s in case.sides if not s.end.live for x in s.young):
        return None
    stand = tuple(seen(s, f"{_count(s)}, {flows(s) or 'no flows'}") for s in case.sides)
    told = [q for s in case.sides for q in quoted(s, *recent(s.notices(Kind.DELETED, Kind.OURS), s, float("inf")))]
    both = _both_active(case)
    evidence = (follows(case.note), *stand, *told, *(both.evidence if both is not None else ()))
    return Verdict(Cause.BLACK_HOLE, f"traffic is lost: {case.note}", evidence, next=(command("restart", case),))


def flows(side: Side) -> str | None:
    """Which flows an end has; None where it has none."""
    return ", ".join(sorted({f"{f.direction} {f.type}" for f in side.end.flows})) or None


def stands_by(case: Case) -> Verdict | None:
    """Every end of it that was read is at a CARP backup."""
    if case.state is not State.BACKUP:
        return None
    roles = tuple(seen(s, "its carp interface is not master") for s in case.sides)
    if case.aside is Aside.COVERED:
        return Verdict(None, "it is at a CARP backup; another gateway of the group is master", roles, well=True)
    next_ = ("ipsecfleet show gateways", *(f"on {s.name}: ifconfig carp" for s in case.sides))
    if case.aside is Aside.UNREAD:
        text = "it is at a CARP backup, and whether another gateway of the group is master is not known"
        return Verdict(None, text, roles, next=next_)
    text = "no gateway of its CARP group is master, so all are passive"
    return Verdict(Cause.PASSIVE_MODE, text, roles, next=next_)
