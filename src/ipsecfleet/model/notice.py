"""What a gateway's log says of its negotiations, in neutral words; moments are epoch seconds of that gateway's clock."""

from dataclasses import dataclass
from enum import StrEnum


class Kind(StrEnum):
    """What a notice tells; a refusal is told by the end that refuses, never by the one that is refused."""

    UNANSWERED = "unanswered"
    ATTRIBUTE = "attribute"
    NO_PROPOSAL = "no-proposal"
    UNREADABLE = "unreadable"
    WRONG_ID = "wrong-id"
    NO_KEY = "no-key"
    UNKNOWN_NETWORKS = "unknown-networks"
    POLICY = "policy"
    UNKNOWN_COOKIE = "unknown-cookie"
    REFUSED = "refused"
    NOT_CONFIGURED = "not-configured"
    PHASE1_DONE = "phase1-done"
    PHASE2_DONE = "phase2-done"
    DELETED = "deleted"
    LIFE = "life"
    LEVEL = "level"
    OURS = "ours"
    DEBUG = "debug"
    OTHER = "other"


@dataclass(frozen=True, slots=True)
class Notice:
    """One line of the log, `about` a peer, a connection or a file of those asked for; None where the line does not say.

    `details` depend on the kind: what was unanswered; an attribute, what was offered and what is accepted; the identity
    that was expected; the networks of the initiator and of the responder; the type of a refusal; run, operator and
    commands of ours; two levels and a class.
    """

    at: float
    about: str | None
    kind: Kind
    text: str
    details: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Log:
    """The notices of a gateway since `since`, oldest first; the log itself `begins` later where that is more."""

    since: float
    begins: float
    notices: tuple[Notice, ...] = ()

    @property
    def reaches(self) -> float:
        """From when on nothing is missing."""
        return max(self.since, self.begins)
