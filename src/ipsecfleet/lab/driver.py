"""Real time for a simulated world: so many virtual seconds a second, and jumps.

The world stands still until someone looks: `catch_up` lets happen what is due by now, and after it the driver sleeps
until the next event. Whoever feeds the world catches up before, so that the input comes at its moment, and after, so
that the driver wakes for what follows from it.
"""

import asyncio
import time

from ipsecfleet.lab.daemon import World


class Driver:
    """Advances `world` at `speed`, from its `start` on; before that only by jumps."""

    def __init__(self, world: World, speed: float) -> None:
        self._world = world
        self._speed = speed
        self._origin = world.now
        self._began: float | None = None
        self._alarm: asyncio.TimerHandle | None = None

    @property
    def moment(self) -> float:
        """The virtual moment it is now."""
        elapsed = 0.0 if self._began is None else time.monotonic() - self._began
        return self._origin + elapsed * self._speed

    def start(self) -> None:
        """Let time run."""
        self._began = time.monotonic()
        self.catch_up()

    def catch_up(self) -> None:
        """Let happen what is due, and wake for what is next."""
        self._world.advance(self.moment)
        if self._alarm:
            self._alarm.cancel()
        due = self._world.next_event()
        if due is not None and self._began is not None:
            delay = max(0.0, due - self._world.now) / self._speed
            self._alarm = asyncio.get_running_loop().call_later(delay, self.catch_up)

    def ago(self, moment: float) -> float:
        """How many real seconds it is that this virtual moment was."""
        return (self.moment - moment) / self._speed

    def jump(self, seconds: float) -> None:
        """Let so many virtual seconds pass at once."""
        self._origin += seconds
        self.catch_up()

    def stop(self) -> None:
        if self._alarm:
            self._alarm.cancel()
