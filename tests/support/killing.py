"""A run that ends at one of its events, as if its process had been killed."""

from collections.abc import Callable

from ipsecfleet.run.event import Event, Kind


class KilledError(BaseException):
    """The process is gone; nothing of ours handles this."""


def dying(at: int) -> Callable[[Event], None]:
    """A listener that ends the run at its `at`-th event that is kept, right after that was written."""
    told = 0

    def tell(event: Event) -> None:
        nonlocal told
        told += event.kind is not Kind.WAITING
        if told == at:
            raise KilledError

    return tell
