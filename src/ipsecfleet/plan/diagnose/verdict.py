"""What a rule says of a case, and the words in which it brings its evidence."""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from shlex import quote

from ipsecfleet.model.diagnosis import Cause, Evidence, Strength, Suspect
from ipsecfleet.model.notice import Kind, Notice
from ipsecfleet.model.sa import Exchange
from ipsecfleet.model.snapshot import Listing
from ipsecfleet.plan.diagnose.case import Case
from ipsecfleet.plan.diagnose.side import ATTEMPT_S, NO_COOKIE, RECENT_S, Side


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
    """A command of ours about the tunnel of a case; one that no inventory names is looked for at gateways."""
    where = (
        [] if case.tunnel.known else [w for g in dict.fromkeys(s.name for s in case.sides) for w in ("-g", quote(g))]
    )
    return " ".join(("ipsecfleet", verb, "-t", quote(case.tunnel.name), *where, *more))


def by_whom(side: Side, takes: str, gives: str) -> tuple[Evidence, ...]:
    """The line of ours that took this end away, if no later one gave it back and it has not been up since; or that none did.

    What takes and what gives are patterns of what we wrote to the FIFO.
    """
    if side.log is None:
        return ()
    change = rf"(?P<takes>{takes})|{gives}"
    done = next(side.notices(Kind.PHASE2_DONE), None)
    last = ((n, [*re.finditer(change, n.details[-1])]) for n in side.notices(Kind.OURS))
    line, found = next(((n, found) for n, found in last if found), (None, []))
    if line is not None and found[-1]["takes"] and (done is None or done.at <= line.at):
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
    text = f"{side.peer} has answered, and phase 1 does not get to its end{step}{since(side, attempt)}"
    return (seen(side, text),)


def half_up(side: Side | None) -> tuple[Evidence, ...]:
    """That its phase 1 stands, and its phase 2 is not answered."""
    attempt = side.trying(2) if side is not None else None
    if side is None or attempt is None:
        return ()
    text = f"phase 1 with {side.peer} stands, phase 2 is not answered (step {attempt.step}){since(side, attempt)}"
    return (seen(side, text),)


def since(side: Side, attempt: Exchange) -> str:
    """How long ago an attempt began, in words, as far as that can be told."""
    if attempt.ends_in_s is None:
        return ""
    least, most = side.youngest_s(attempt), side.oldest_s(attempt)
    return f" {most:.0f} s ago" if most - least <= 1 else f" {least:.0f} to {most:.0f} s ago"


def left(exchange: Exchange) -> str:
    """How long an exchange stays at most, in words."""
    return f"for {exchange.ends_in_s} s" if exchange.ends_in_s is not None else f"for {ATTEMPT_S} s at most"


def by_inventory(case: Case, *verbs: str) -> tuple[str, ...]:
    """Commands about the conf files of a tunnel; what no inventory names has none that we know."""
    return tuple(command(verb, case) for verb in verbs) if case.tunnel.known else ()


def to_correct(case: Case) -> tuple[str, ...]:
    """What to type where a conf is wrong."""
    by_hand = (f"on {s.name}: correct its rule for {s.peer}, and load it with ipsecctl -f" for s in case.sides)
    return by_inventory(case, "diff", "rollout plan") or tuple(by_hand)


def to_renew_phase1(case: Case) -> tuple[str, ...]:
    """What to type where one end has a phase 1 that the other does not know; what is half-up ends before it begins."""
    if any(s.end.live for s in case.sides):
        return (command("restart", case, "--phase both"),)
    return (command("down", case), command("up", case))


def to_make(case: Case, mode: str) -> str:
    """What to do where one end should begin, or not."""
    return f'make the rule of one end "ike {mode}", then {"".join(by_inventory(case, "rollout plan")) or "ipsecctl -f"}'


def to_listen(*sides: Side) -> tuple[str, ...]:
    """What to type on gateways to see what an end and its peer say to each other."""
    ports = "(udp port 500 or udp port 4500)"
    return tuple(f"on {s.name}: doas tcpdump -n -i egress 'host {s.end.peer or s.address} and {ports}'" for s in sides)


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
