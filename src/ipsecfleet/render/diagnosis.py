"""One diagnosis for eyes at 03:00: the verdict, both ends side by side, what was seen and what follows, what to do next.

Lines of a log are quoted whole; what is too long for the line is folded under itself, never cut.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import fields

from ipsecfleet.model.diagnosis import Diagnosis, EndFacts, Evidence, Suspect
from ipsecfleet.render.color import paint
from ipsecfleet.render.escape import visible
from ipsecfleet.render.human import Look, clock_time, joined, wrap

GAP = 2
SIDE_BY_SIDE = 2
WORDS = {"listed": "list", "phase1": "phase 1", "phase2": "phase 2", "next_check": "next check"}
FIRST = "  {:9}"


def diagnosis_text(diagnosis: Diagnosis, look: Look) -> str:
    """All of it, a paragraph for each part."""
    return joined(_lines(diagnosis, look))


def _lines(diagnosis: Diagnosis, look: Look) -> Iterator[str]:
    state = paint(diagnosis.state.value) if look.color else diagnosis.state.value
    cause = f": {diagnosis.cause.value}" if diagnosis.cause is not None else "" if diagnosis.well else ": not decided"
    yield f"{visible(diagnosis.tunnel)}  {state}{cause}"
    yield from wrap(visible(diagnosis.verdict), look.width, "  ")
    if diagnosis.well:
        return
    yield from _ends(diagnosis.ends, look.width)
    yield from _evidence(diagnosis.evidence, look)
    yield from _open(diagnosis.open, look.width)
    yield from _next(diagnosis.next, look.width)


def _ends(ends: Sequence[EndFacts], width: int) -> Iterator[str]:
    """The ends in columns, or one under the other where there are more than two."""
    if not ends:
        return
    some = [ends] if len(ends) <= SIDE_BY_SIDE else [[end] for end in ends]
    for group in some:
        yield ""
        yield from _beside(group, width)


def _beside(ends: Sequence[EndFacts], width: int) -> Iterator[str]:
    first = len(FIRST.format("")) + max(0, len("next check") - 9) + GAP - 1
    column = (width - first - GAP * (len(ends) - 1)) // len(ends)
    for field in fields(EndFacts):
        values = [getattr(end, field.name) for end in ends]
        if not any(values):
            continue
        label = "" if field.name == "gateway" else WORDS.get(field.name, field.name)
        cells = [wrap(visible(value or "-"), column) for value in values]
        for number in range(max(map(len, cells))):
            head = f"  {label if number == 0 else ''}".ljust(first)
            row = [cell[number] if number < len(cell) else "" for cell in cells]
            yield head + (" " * GAP).join(text.ljust(column) for text in row)


def _evidence(evidence: Iterable[Evidence], look: Look) -> Iterator[str]:
    before = None
    for one in evidence:
        if before is None:
            yield ""
        strength = one.strength.value if one.strength is not before else ""
        before = one.strength
        where = f"{one.gateway}: " if one.gateway else ""
        at = f"{clock_time(one.at, look.tz)} " if one.at is not None else ""
        said = f"{at}{one.quote}" if one.quote is not None else one.text
        yield from wrap(visible(where + said), look.width, FIRST.format(strength), FIRST.format(""))


def _open(suspects: Iterable[Suspect], width: int) -> Iterator[str]:
    for number, suspect in enumerate(suspects):
        if number == 0:
            yield ""
        head = FIRST.format("" if number else "open")
        yield from wrap(visible(f"{suspect.cause}? {suspect.tells}"), width, head, FIRST.format("") + "  ")


def _next(commands: Iterable[str], width: int) -> Iterator[str]:
    for number, command in enumerate(commands):
        if number == 0:
            yield ""
        yield from wrap(visible(command), width, FIRST.format("" if number else "next"), FIRST.format("") + "  ")
