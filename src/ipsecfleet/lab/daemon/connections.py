"""Which connections the daemon keeps up, and which it accepts (isakmpd connection.c).

Both lists are derived from the configuration: kept up is `[Phase 2]:Connections`, accepted is that (unless flagged
active-only) and `[Phase 2]:Passive-Connections`. A change of either arms one timer of 5 s, each further change anew;
then both lists are forgotten and built again, and every kept-up connection is checked at once. `c` adds to the keep-up
list, `t quick` takes off it, and neither changes the configuration.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from ipsecfleet.lab.daemon.proposals import selectors

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ipsecfleet.lab.daemon.clock import Timer
    from ipsecfleet.lab.daemon.process import Process
    from ipsecfleet.model.net import Selectors

CHECK_INTERVAL = 60
REINITIALISE_AFTER = 5
LATE = 0.01
"""Each check asks for the next one when it runs, a little late: after two of them an exchange of 120 s is over."""


@dataclass(frozen=True, slots=True)
class Passive:
    """One entry of the list that proposals are looked up in."""

    name: str
    selectors: Selectors


class Connections:
    """The keep-up list with its checkers, and the passive list."""

    def __init__(self, process: Process) -> None:
        self._process = process
        self._kept_up: dict[str, tuple[str, Timer]] = {}
        self.passive: list[Passive] = []
        self._armed: Timer | None = None

    @property
    def kept_up(self) -> Iterator[tuple[str, float]]:
        """Names and the moments of their next checks."""
        return ((name, timer.due) for name, timer in self._kept_up.values())

    def keeps_up(self, name: str) -> bool:
        return name.lower() in self._kept_up

    def keep_up(self, name: str) -> None:
        """Put a name on the list and check it at once; nothing if it is there."""
        if not self.keeps_up(name):
            self._schedule(name, 0)

    def leave(self, name: str) -> None:
        """Take a name off the keep-up list."""
        _, timer = self._kept_up.pop(name.lower(), (name, None))
        if timer:
            timer.cancel()

    @property
    def armed(self) -> float | None:
        """The moment of the re-initialisation that is due, if one is."""
        return self._armed.due if self._armed else None

    def arm(self) -> None:
        """A list has changed: build both anew 5 s from now."""
        if self._armed:
            self._armed.cancel()
        self._armed = self._process.after(REINITIALISE_AFTER, self.reinitialise)

    def reinitialise(self) -> None:
        self._armed = None
        for name, _ in list(self.kept_up):
            self.leave(name)
        self.passive.clear()
        config = self._process.config
        for name in config.items("Phase 2", "Connections"):
            self.keep_up(name)
            if "active-only" not in (flag.lower() for flag in config.items(name, "Flags")):
                self._record(name)
        for name in config.items("Phase 2", "Passive-Connections"):
            self._record(name)

    def passive_name(self, wanted: Selectors) -> str | None:
        """The name that a proposal of these networks (as we see them) gets, or None to refuse it."""
        both = (entry.name for entry in self.passive if wanted in (entry.selectors, entry.selectors.mirrored()))
        local = (entry.name for entry in self.passive if entry.selectors.local == wanted.local)
        return next(both, None) or next(local, None)

    def _schedule(self, name: str, seconds: float) -> None:
        timer = self._process.after(seconds, lambda: self._check(name))
        self._kept_up[name.lower()] = (name, timer)

    def _check(self, name: str) -> None:
        interval = self._process.config.number("General", "Check-interval", CHECK_INTERVAL)
        self._schedule(name, interval + LATE)
        if self._process.active and self._process.sas.named(name, 2) is None:
            self._process.establish(name)

    def _record(self, name: str) -> None:
        networks = selectors(self._process.config, name)
        if networks:
            self.passive.append(Passive(name, networks))
            return
        missing = "Remote-ID" if self._process.config.get(name, "Local-ID") else "Local-ID"
        self._process.log(f'connection_record_passive: "{missing}" is missing from section [{name}]')
        self._process.log(f'connection_init: could not record connection "{name}"')
