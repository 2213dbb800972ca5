"""How a run is stopped: asked once, it starts nothing new and finishes what runs; a second signal cuts it.

The budget of failures, a journal that cannot be written and a first ^C all ask in the same way.
"""

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType

from ipsecfleet.errors import Exit


class Stop:
    """Whether a run is to start nothing new, and why; `code` is the exit code of what asked, if it has one."""

    def __init__(self) -> None:
        self._asked = threading.Event()
        self.why = ""
        self.code = Exit.OK

    @property
    def asked(self) -> bool:
        return self._asked.is_set()

    def ask(self, why: str, code: Exit = Exit.OK) -> None:
        """Start nothing new; the first reason counts."""
        if not self.asked:
            self.why, self.code = why, code
            self._asked.set()

    def wait(self, seconds: float) -> None:
        """Sleep, but no longer than until somebody asks."""
        self._asked.wait(seconds)


WORDS = {signal.SIGINT: (Exit.INTERRUPTED, "^C"), signal.SIGTERM: (Exit.TERMINATED, "SIGTERM")}


@contextmanager
def stopped_by_signals(stop: Stop, say: Callable[[str], None]) -> Iterator[None]:
    """The first ^C or SIGTERM asks for a stop; the second does what it did before."""
    before = {number: signal.getsignal(number) for number in WORDS}

    def handle(number: int, _frame: FrameType | None) -> None:
        code, word = WORDS[signal.Signals(number)]
        stop.ask(f"interrupted by {word}", code)
        for each, old in before.items():
            signal.signal(each, old)
        say("nothing new is started; what runs is finished. Once more cuts it off")

    for number in WORDS:
        signal.signal(number, handle)
    try:
        yield
    finally:
        for number, old in before.items():
            signal.signal(number, old)
