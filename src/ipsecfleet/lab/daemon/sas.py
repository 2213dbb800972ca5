"""The daemon's security associations: their flags, and how they are found (isakmpd sa.h, sa.c).

A name is attached when the exchange completes; until then an SA is unnamed, and `t` does not reach it. Names compare
whatever their case; a search by name skips what is REPLACED.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from enum import IntFlag

from ipsecfleet.lab.daemon.clock import Timer
from ipsecfleet.lab.daemon.proposals import Identity, Suite
from ipsecfleet.model.net import Selectors


class Flag(IntFlag):
    """The bits that the simulator sets."""

    READY = 0x01
    STAYALIVE = 0x02
    REPLACED = 0x08
    FADING = 0x10
    DPD = 0x80


@dataclass(eq=False, slots=True)
class Sa:
    """One SA of either phase; `heard` once the peer has answered, `initiator` only set when it is ready."""

    phase: int
    local: str
    remote: str
    icookie: str
    rcookie: str
    msgid: int = 0
    heard: bool = True
    flags: Flag = field(default_factory=lambda: Flag(0))
    name: str | None = None
    initiator: bool = False
    lifetime: int = 0
    soft: Timer | None = None
    hard: Timer | None = None
    spi_out: int | None = None
    spi_in: int | None = None
    suite: Suite | None = None
    selectors: Selectors | None = None
    local_id: Identity | None = None
    remote_id: Identity | None = None

    @property
    def ready(self) -> bool:
        return Flag.READY in self.flags

    @property
    def replaced(self) -> bool:
        return Flag.REPLACED in self.flags

    @property
    def renewed_by_us(self) -> bool:
        return Flag.STAYALIVE in self.flags and not self.replaced

    @property
    def cookies(self) -> tuple[str, str]:
        return self.icookie, self.rcookie

    def called(self, name: str) -> bool:
        return self.name is not None and self.name.lower() == name.lower()


class SaTable:
    """All SAs, newest last."""

    def __init__(self) -> None:
        self._all: list[Sa] = []

    def __iter__(self) -> Iterator[Sa]:
        return iter(list(self._all))

    def __contains__(self, sa: Sa) -> bool:
        return sa in self._all

    def add(self, sa: Sa) -> Sa:
        self._all.append(sa)
        return sa

    def remove(self, sa: Sa) -> None:
        if sa in self._all:
            self._all.remove(sa)

    def first(self, wanted: Callable[[Sa], bool]) -> Sa | None:
        return next((sa for sa in self._all if wanted(sa)), None)

    def named(self, name: str, phase: int) -> Sa | None:
        """The first SA of that name that is not REPLACED."""
        return self.first(lambda sa: sa.phase == phase and sa.called(name) and not sa.replaced)

    def phase1_with(self, remote: str) -> Sa | None:
        """A ready phase 1 with that peer, as a DELETE needs it."""
        return self.first(lambda sa: sa.phase == 1 and sa.ready and sa.remote == remote)

    def phase1_of(self, cookies: tuple[str, str]) -> Sa | None:
        return self.first(lambda sa: sa.phase == 1 and sa.ready and sa.cookies == cookies)
