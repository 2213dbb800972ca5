"""What a rule says of a case, and the words in which it brings its evidence."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from shlex import quote

from ipsecfleet.model.diagnosis import Cause, Evidence, Strength, Suspect
from ipsecfleet.model.notice import Kind, Notice
from ipsecfleet.model.sa import Exchange
from ipsecfleet.model.snapshot import Listing
from ipsecfleet.plan.diagnose.case import ATTEMPT_S, NO_COOKIE, RECENT_S, Case, Side


@dataclass(frozen=True, slots=True)
class Verdict:
    """A cause with its evidence; without a cause, what is known. `well` where nothing is the matter."""

    cause: Cause | None
    text: str
    evidence: tuple[Evidence, ...] = ()
    open: tuple[Suspect, ...] = ()
    next: tuple[str, ...] = ()
    well: bool = False


def seen(side: Side | str, text: str) -> Evidence:
    """What a gateway shows."""
    return Evidence(Strength.SEEN, text, side if isinstance(side, str) else side.name)


def follows(text: str) -> Evidence:
    """What must be so because of what was seen."""
    return Evidence(Strength.FOLLOWS, text)


def quoted(side: Side, *notices: Notice) -> tuple[Evidence, ...]:
    """Lines of a gateway's log, each as often as it is there."""
    return tuple(Evidence(Strength.SEEN, "its log", side.name, n.at, n.text) for n in notices)


def command(verb: str, case: Case, *more: str) -> str:
    """A command of ours about the tunnel of a case."""
    return " ".join(("ipsecfleet", verb, "-t", quote(case.tunnel.name), *more))


def changes_of(side: Side) -> Iterator[Notice]:
    """What ipsecfleet did to this end, by the lines that it left in the gateway's log, newest first."""
    return side.notices(Kind.OURS)


def by_whom(side: Side, *words: str) -> tuple[Evidence, ...]:
    """The last line of ours that says one of these words of this end; or that none does, as far as the log reaches."""
    if side.log is None:
        return ()
    line = next((n for n in changes_of(side) if any(w in n.details[-1] for w in words)), None)
    if line is not None:
        return quoted(side, line)
    return (
        seen(side, "no line of ipsecfleet in its log says so: it was somebody else, or earlier than the log was read"),
    )


def recent(notices: Iterable[Notice], side: Side, within_s: float) -> tuple[Notice, ...]:
    """The newest of these, if it is not older than that."""
    newest = next(iter(notices), None)
    return (newest,) if newest is not None and side.age_s(newest) <= within_s else ()


def reached(exchange: Exchange) -> int:
    """How far an attempt of ours came: 0 nothing was heard, 1 the peer answered, 2 phase 1 stands."""
    if exchange.phase > 1:
        return 2
    return 0 if exchange.rcookie == NO_COOKIE else 1


def name_of(side: Side, other: Side | None) -> str:
    """The other end by its name, if it is ours."""
    return other.name if other is not None else side.peer


def gave_up(side: Side | None) -> tuple[Evidence, ...]:
    """That its last attempt was given up, where that was lately."""
    return quoted(side, *recent(side.notices(Kind.UNANSWERED), side, RECENT_S)) if side is not None else ()


def stuck(side: Side | None) -> tuple[Evidence, ...]:
    """That a phase 1 of it was answered, and does not get to its end."""
    attempt = side.trying(1) if side is not None else None
    if side is None or attempt is None or reached(attempt) == 0:
        return ()
    step = f" (step {attempt.step})" if attempt.step else ""
    return (seen(side, f"{side.peer} has answered, and phase 1 does not get to its end{step}{since(attempt)}"),)


def half_up(side: Side | None) -> tuple[Evidence, ...]:
    """That its phase 1 stands, and its phase 2 is not answered."""
    attempt = side.trying(2) if side is not None else None
    if side is None or attempt is None:
        return ()
    return (
        seen(side, f"phase 1 with {side.peer} stands, phase 2 is not answered (step {attempt.step}){since(attempt)}"),
    )


def since(attempt: Exchange) -> str:
    """How long ago an attempt began, in words."""
    return f" {ATTEMPT_S - attempt.ends_in_s} s ago" if attempt.ends_in_s is not None else ""


def to_correct(case: Case) -> tuple[str, ...]:
    """What to type where a conf is wrong."""
    return (command("diff", case), command("rollout plan", case))


def to_listen(*sides: Side) -> tuple[str, ...]:
    """What to type on gateways to see what arrives there."""
    return tuple(f"on {s.name}: tcpdump -n -i egress udp port 500 and host {s.peer}" for s in sides)


def listed(side: Side) -> str:
    """In which list an end stands."""
    return {
        Listing.ACTIVE: "Connections",
        Listing.PASSIVE: "Passive-Connections",
        Listing.HELD_ACTIVE: "Held-Connections",
        Listing.HELD_PASSIVE: "Held-Passive-Connections",
        Listing.NONE: "no list",
    }[side.end.listing]


def standing_in(case: Case) -> tuple[Evidence, ...]:
    """In which lists the ends of a case stand."""
    return tuple(seen(s, f"stands in {listed(s)}") for s in case.sides)
