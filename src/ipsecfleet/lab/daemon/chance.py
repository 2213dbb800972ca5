"""What the daemon draws: SPIs, cookies, message ids, and when within its lifetime an SA softly expires."""

import random
from typing import Protocol

SOFT_FROM, SOFT_TO = 0.85, 0.949
"""The share of a lifetime after which an SA is renewed, drawn uniformly (isakmpd sa.c, sa_setup_expirations)."""


class Chance(Protocol):
    """The draws of a world; a replay answers `soft` from what was recorded."""

    def spi(self) -> int: ...

    def cookie(self) -> str: ...

    def msgid(self) -> int: ...

    def soft(self, machine: str, name: str, lifetime: int) -> float:
        """After how many seconds the SA `name`, established now on `machine`, softly expires."""
        ...


class SeededChance:
    """Equal seeds draw equally."""

    def __init__(self, seed: int) -> None:
        self._random = random.Random(seed)  # noqa: S311  a simulation wants repeatable draws, not secrets

    def spi(self) -> int:
        return self._random.randrange(0x100, 1 << 32)

    def cookie(self) -> str:
        return f"{self._random.getrandbits(64):016x}"

    def msgid(self) -> int:
        return self._random.randrange(1, 1 << 32)

    def soft(self, machine: str, name: str, lifetime: int) -> float:  # noqa: ARG002  only a replay tells SAs apart
        return lifetime * self._random.uniform(SOFT_FROM, SOFT_TO)
