"""Whether what a simulated gateway showed is what the real one showed.

Names, phases, roles, ends, flags and which SPIs are defined are equal, in any order. SPIs and cookies are drawn by
chance: the recorded and the simulated ones correspond one to one, across ends and across time. Deadlines agree.
"""

import re
from collections import Counter
from collections.abc import Iterator

from replay import Moment, Replay
from transcript import Block, Look

NEAR = 1.0
"""Seconds around an event within which it may be seen or not."""
DEADLINE = 2.0
"""Two readings in whole seconds, of events that may be `NEAR` apart."""


class Correspondence:
    """Pairs of a recorded and a simulated number, each number in one pair only."""

    def __init__(self) -> None:
        self._simulated: dict[str, str] = {}
        self._recorded: dict[str, str] = {}

    def fits(self, recorded: str, simulated: str) -> bool:
        return self._simulated.get(recorded, simulated) == simulated and (
            self._recorded.get(simulated, recorded) == recorded
        )

    def note(self, recorded: str, simulated: str) -> None:
        self._simulated[recorded], self._recorded[simulated] = simulated, recorded

    def simulated(self, recorded: str) -> str | None:
        return self._simulated.get(recorded)

    def knows_simulated(self, simulated: str) -> bool:
        return simulated in self._recorded


def agrees(look: Look, moment: Moment, numbers: Correspondence) -> bool:
    """Whether the look could have been made at that moment; if so, its numbers are noted."""
    if Counter(block.key for block in look.blocks) != Counter(block.key for block in moment.blocks):
        return False
    pairs = _pair(list(look.blocks), list(moment.blocks), look.at, moment.at, numbers)
    for recorded, simulated in pairs or ():
        for one, other in zip(recorded.spis, simulated.spis, strict=False):
            numbers.note(one, other)
    return pairs is not None


def difference(look: Look, moment: Moment) -> str:
    """What to print when they do not agree."""
    recorded, simulated = (sorted(map(_line, blocks)) for blocks in (look.blocks, moment.blocks))
    return "\n".join(
        [f"{look.gateway} {look.source}", "recorded:", *recorded, f"simulated at {moment.at:.2f}:", *simulated]
    )


def kernel_agrees(recorded: str, simulated: str, numbers: Correspondence) -> bool:
    """Whether two outputs of `ipsecctl -s all` say the same, in any order, SPIs by correspondence."""
    ours = [re.sub(r"0x([0-9a-f]{8})", lambda m: m[1] if numbers.knows_simulated(m[1]) else "?", simulated)]
    theirs = re.sub(r"0x([0-9a-f]{8})", lambda m: numbers.simulated(m[1]) or "?", recorded)
    return Counter(ours[0].splitlines()) == Counter(theirs.splitlines())


def names_and_flags(moment: Moment) -> Counter[tuple[str, int]]:
    return Counter((block.name, block.flags) for block in moment.blocks if block.phase == "2")


def moments_around(done: Replay, gateway: str, at: float) -> Iterator[Moment]:
    yield from done.around(gateway, at, NEAR)


def _pair(
    recorded: list[Block], simulated: list[Block], seen: float, shown: float, numbers: Correspondence
) -> list[tuple[Block, Block]] | None:
    if not recorded:
        return []
    block, *others = recorded
    for candidate in simulated:
        if not (_same(block, candidate, numbers) and _deadlines_agree(block, candidate, seen, shown)):
            continue
        left = [other for other in simulated if other is not candidate]
        rest = _pair(others, left, seen, shown, numbers)
        if rest is not None:
            return [(block, candidate), *rest]
    return None


def _same(recorded: Block, simulated: Block, numbers: Correspondence) -> bool:
    known = zip(recorded.spis, simulated.spis, strict=False)
    return recorded.key == simulated.key and all(numbers.fits(one, other) for one, other in known)


def _deadlines_agree(recorded: Block, simulated: Block, seen: float, shown: float) -> bool:
    if not recorded.text:
        return True
    pairs = ((recorded.soft, simulated.soft), (recorded.hard, simulated.hard))
    return recorded.lifetime == simulated.lifetime and all(
        (one is None) == (other is None) and abs(seen + (one or 0) - shown - (other or 0)) <= DEADLINE
        for one, other in pairs
        if (one, other) != (None, None)
    )


def _line(block: Block) -> str:
    return f"  {block.name} ({block.phase}) {block.ends} {block.flags:#x} {block.spis} {block.soft} {block.hard}"
