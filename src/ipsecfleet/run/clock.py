"""The one clock of a run: moments of ours, and waits in the gateways' seconds.

In a lab whose time runs K times faster (`time_scale = K` in its inventory) our waits shrink by K; deadlines of SSH and of
the visit program stay real.
"""

import time
from datetime import UTC, datetime
from typing import Protocol

from ipsecfleet.run.stopping import Stop
from ipsecfleet.transport.crew import NOTICED_S, Crew, Item, Result


class Clock(Protocol):
    """What a run needs of time."""

    def now(self) -> float:
        """Epoch seconds."""

    def elapsed(self) -> float:
        """Gateway seconds since some fixed moment; never goes back."""

    def sleep(self, seconds: float) -> None:
        """Wait for so many gateway seconds, or until the run is stopped."""

    def attend(self, crew: Crew[Item, Result], seconds: float) -> tuple[Item, Result | Exception] | None:
        """What a crew has done next, or None after so many gateway seconds."""


class RealClock:
    """Time as it passes, `scale` times faster on the gateways than here; no wait outlasts a `stop`."""

    def __init__(self, scale: float = 1.0, stop: Stop | None = None) -> None:
        self._scale = scale
        self._stop = stop or Stop()

    def now(self) -> float:
        return time.time()

    def elapsed(self) -> float:
        return time.monotonic() * self._scale

    def sleep(self, seconds: float) -> None:
        self._stop.wait(max(0.0, seconds) / self._scale)

    def attend(self, crew: Crew[Item, Result], seconds: float) -> tuple[Item, Result | Exception] | None:
        until = time.monotonic() + max(0.0, seconds) / self._scale
        stopped = self._stop.asked
        while (left := until - time.monotonic()) > 0 and self._stop.asked == stopped:
            done = crew.take(min(left, NOTICED_S))
            if done is not None:
                return done
        return crew.take(0)


def run_id(now: float, token: str) -> str:
    """The name of a run: its moment in UTC and four random characters, such as `20261123-203144-ab12`."""
    return f"{datetime.fromtimestamp(now, UTC):%Y%m%d-%H%M%S}-{token}"
