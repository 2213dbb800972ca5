"""What happens in a run, told to whoever listens: the terminal, the journal."""

from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum


class Kind(StrEnum):
    """What an event is; `waiting` is the only one that is not kept."""

    BEGAN = "began"
    SENDING = "sending"
    STEP = "step"
    PAUSE = "pause"
    WAITING = "waiting"
    NEGOTIATED = "negotiated"
    STOPPED = "stopped"
    LOOKED = "looked"
    VERDICT = "verdict"
    BUG = "bug"
    ENDED = "ended"


@dataclass(frozen=True, slots=True)
class Event:
    """One thing that happened: `text` in words, and what it is about as far as that applies."""

    kind: Kind
    text: str
    gateway: str | None = None
    tunnel: str | None = None
    action: str | None = None
    state: str | None = None


Listener = Callable[[Event], None]


def nobody(_event: Event) -> None:
    """A listener that does nothing."""
