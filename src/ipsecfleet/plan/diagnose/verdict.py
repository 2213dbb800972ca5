"""What a rule says of a case, and the words in which it brings its evidence."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from shlex import quote

from ipsecfleet.model.diagnosis import Cause, Evidence, Strength, Suspect
from ipsecfleet.model.notice import Kind, Notice
from ipsecfleet.plan.diagnose.case import Case, Side


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
