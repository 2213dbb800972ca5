"""A plan in words: for the prompt in at most 15 lines, for a dry run in full with every exact line.

The prompt tells as much as fits: exact FIFO lines, else one line per tunnel, else one per gateway, else the first
gateways and what the others have together. Refusals of one name, and notes of one form, give way to the first of them
and a number, long ones to their first lines. What is left out is counted, never passed over in silence.
"""

import re
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain, groupby, product
from types import MappingProxyType
from typing import TypeAlias, TypeVar

from ipsecfleet.errors import RefusedError
from ipsecfleet.isakmpd.steps import command_of
from ipsecfleet.model.document import FIFO
from ipsecfleet.model.plan import Action, Plan, Step, Wave
from ipsecfleet.render.errors import force_hint
from ipsecfleet.render.escape import visible
from ipsecfleet.render.human import count, exact, joined, wrap
from ipsecfleet.render.paste import command, echo

LIMIT = 15
LONG = 4
INDENT = "  "
FINALLY = "where it is proven at last"
OTHERWISE = "where it is not proven up at last"
PARTICULAR = re.compile(r"\S*[\d.:/-]\S*")
NO_FIFOS: Mapping[str, str] = MappingProxyType({})
FifoLines: TypeAlias = Callable[[Step], tuple[str, ...]]
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Said:
    """What the operator must know, set in lines: `size` things of one kind; `force` lifts them if they are refusals."""

    lines: tuple[str, ...]
    size: int = 1
    force: str | None = None


def plan_text(plan: Plan, fifo_lines: FifoLines, width: int = 80) -> str:
    """The plan for the prompt, in at most 15 lines (a line is longer than `width` only where a name is)."""
    head = _head(plan, width)
    room = LIMIT - len(head)
    full, brief = _everything(plan, width), _in_brief(plan, width)
    for body, said in product(_bodies(plan, fifo_lines), (full, brief)):
        if len(body) + _size(said) <= room:
            return joined([*head, *body, *_lines(said)])
    talk = _as_fits(brief, room * 2 // 3)
    bodies = (*_bodies(plan, fifo_lines), _first_gateways(plan, room - len(talk)))
    return joined([*head, *next(b for b in bodies if len(b) <= room - len(talk)), *talk])


def dry_run_text(plan: Plan, fifo_lines: FifoLines, width: int = 80, fifos: Mapping[str, str] = NO_FIFOS) -> str:
    """The whole plan, and every exact line per gateway in the order of the run; `fifos` where one is elsewhere."""
    said = [*_head(plan, width), *_by_tunnel(plan), *_lines(_everything(plan, width))]
    waves = (*plan.stages, *_last(plan))
    commands = [line for wave in waves for line in _commands(wave, fifo_lines, fifos)]
    return joined([*said, *([""] if commands else []), *commands])


def _last(plan: Plan) -> Iterable[Wave]:
    """What depends on what is proven, as waves."""
    if plan.finally_:
        yield Wave(plan.finally_, why=FINALLY)
    if plan.otherwise:
        yield Wave(plan.otherwise, why=OTHERWISE)


def _head(plan: Plan, width: int) -> list[str]:
    if not plan.steps:
        return [f"{visible(plan.verb)}: nothing to do"]
    tunnels, gateways = _distinct(s.tunnel for s in plan.steps), _distinct(s.gateway for s in plan.steps)
    what = f" {tunnels[0]}" if len(tunnels) == 1 else f": {count(len(tunnels), 'tunnel')}"
    where = " and ".join(gateways) if len(gateways) < 3 else count(len(gateways), "gateway")
    pause = sum(w.pause_s for w in plan.stages) + max(plan.settle_s, plan.look_again_s)
    waves = f" in {len(plan.stages)} waves" if len(plan.stages) > 1 else ""
    waves += f", at least {exact(pause)}" if pause else ""
    return wrap(f"{visible(plan.verb)}{what} on {where}: {count(len(plan.steps), 'step')}{waves}", width, "", INDENT)


def _bodies(plan: Plan, fifo_lines: FifoLines) -> Iterable[list[str]]:
    yield _exactly(plan, fifo_lines)
    yield _by_tunnel(plan)
    yield [_work(g, steps) for g, steps in _by_gateway(plan.steps).items()]


def _exactly(plan: Plan, fifo_lines: FifoLines) -> list[str]:
    return [*chain.from_iterable(_wave_exactly(plan, wave, fifo_lines) for wave in plan.stages)]


def _wave_exactly(plan: Plan, wave: Wave, fifo_lines: FifoLines) -> Iterable[str]:
    yield from _wave_line(plan, wave)
    for (gateway, tunnel), steps in groupby(wave.steps, key=lambda s: (s.gateway, s.tunnel)):
        work = list(steps)
        yield f"{INDENT}{visible(tunnel)} on {visible(gateway)}{_peer(work)}:"
        for step in work:
            yield from (f"{INDENT * 2}{line}" for line in _lines_of(step, fifo_lines))


def _by_tunnel(plan: Plan) -> list[str]:
    out: list[str] = []
    for wave in plan.stages:
        out += _wave_line(plan, wave)
        pairs: dict[tuple[str, str], list[Step]] = {}
        for step in wave.steps:
            pairs.setdefault((step.tunnel, step.gateway), []).append(step)
        for (tunnel, gateway), steps in pairs.items():
            actions = ", ".join(s.action.value for s in steps)
            out.append(f"{INDENT}{visible(tunnel)} on {visible(gateway)}{_peer(steps)}: {actions}")
    return out


def _wave_line(plan: Plan, wave: Wave) -> list[str]:
    if len(plan.stages) == 1 or (not wave.pause_s and wave == plan.stages[0]):
        return []
    why = f" ({visible(wave.why)})" if wave.why else ""
    return [f"{INDENT}then, after {exact(wave.pause_s)}{why}:" if wave.pause_s else f"{INDENT}then{why}:"]


def _by_gateway(steps: Iterable[Step]) -> dict[str, list[Step]]:
    found: dict[str, list[Step]] = {}
    for step in steps:
        found.setdefault(step.gateway, []).append(step)
    return found


def _work(who: str, steps: Sequence[Step]) -> str:
    tally = Counter(s.action for s in steps)
    actions = ", ".join(f"{action.value} {tally[action]}" for action in Action if tally[action])
    return f"{INDENT}{visible(who)}: {count(len({s.tunnel for s in steps}), 'tunnel')}: {actions}"


def _first_gateways(plan: Plan, room: int) -> list[str]:
    """A line for each gateway, or for the first ones and one for all others."""
    found = list(_by_gateway(plan.steps).items())
    if len(found) <= room:
        return [_work(g, steps) for g, steps in found]
    first, rest = found[: max(room - 1, 0)], found[max(room - 1, 0) :]
    more = f"{len(rest)} more gateways" if first else count(len(rest), "gateway")
    return [*(_work(g, steps) for g, steps in first), _work(more, [s for _, steps in rest for s in steps])]


def _everything(plan: Plan, width: int) -> list[Said]:
    refusals = [_refusal([r], width) for r in plan.refusals]
    notes = [_note(note, width) for note in plan.notes]
    already = [_note(f"already so: {', '.join(plan.already)}", width)] if plan.already else []
    return [*refusals, *notes, *already, *_look_again(plan, width)]


def _in_brief(plan: Plan, width: int) -> list[Said]:
    refusals = [_refusal(same, width, LONG) for same in _alike(plan.refusals, lambda r: r.force)]
    notes = [
        _note(same[0] + _more(same), width, len(same), LONG)
        for same in _alike(plan.notes, lambda note: PARTICULAR.sub("", note))
    ]
    already = [_note(f"already so: {count(len(plan.already), 'tunnel')}", width)] if plan.already else []
    return [*refusals, *notes, *already, *_look_again(plan, width)]


def _alike(items: Sequence[T], form: Callable[[T], str]) -> list[list[T]]:
    forms: dict[str, list[T]] = {}
    for item in items:
        forms.setdefault(form(item), []).append(item)
    return list(forms.values())


def _more(same: Sequence[object]) -> str:
    return f" (and {len(same) - 1} more like this)" if len(same) > 1 else ""


def _refusal(same: Sequence[RefusedError], width: int, most: int | None = None) -> Said:
    first = same[0]
    hints = (wrap(visible(h), width, INDENT) for h in (first.hint, force_hint(first)) if h)
    said = _paragraph(f"refused: {first.message}{_more(same)}", width, most)
    return Said((*said, *chain.from_iterable(hints)), len(same), first.force)


def _note(text: str, width: int, size: int = 1, most: int | None = None) -> Said:
    return Said(tuple(_paragraph(text, width, most)), size)


def _paragraph(text: str, width: int, most: int | None) -> list[str]:
    """The text in lines; of more than `most`, the first ones and how many more there are."""
    lines = wrap(visible(text), width, "", INDENT)
    if most is None or len(lines) <= most:
        return lines
    return [*lines[: most - 1], f"{INDENT}and {len(lines) - most + 1} more lines of this; --dry-run shows all"]


def _look_again(plan: Plan, width: int) -> list[Said]:
    if not plan.settle_s:
        return []
    again = f", and again after {exact(plan.look_again_s)}" if plan.look_again_s else ""
    return [_note(f"looked at {exact(plan.settle_s)} after the last step{again}", width)]


def _as_fits(said: Sequence[Said], room: int) -> list[str]:
    """As many as leave a line for the number of those left out, the first ones first."""
    if _size(said) <= room:
        return _lines(said)
    kept: list[Said] = []
    for each in said:
        if _size([*kept, each]) < room:
            kept.append(each)
    return [*_lines(kept), _left_out([each for each in said if each not in kept])]


def _left_out(said: Sequence[Said]) -> str:
    forces = [s.force for s in said if s.force is not None]
    refusals = sum(s.size for s in said if s.force is not None)
    notes = sum(s.size for s in said if s.force is None)
    parts = [f"{count(refusals, 'refusal')} ({', '.join(forces)})"] if refusals else []
    parts += [count(notes, "note")] if notes else []
    return f"not shown: {' and '.join(parts)}; --dry-run shows all"


def _commands(wave: Wave, fifo_lines: FifoLines, fifos: Mapping[str, str]) -> Iterable[str]:
    if wave.why in {FINALLY, OTHERWISE}:
        yield f"# {wave.why}"
    if wave.pause_s:
        yield f"# after {exact(wave.pause_s)}{f': {visible(wave.why)}' if wave.why else ''}"
    for gateway, steps in _by_gateway(wave.steps).items():
        yield f"# {visible(gateway)}"
        for step in steps:
            ipsecctl = command_of(step)
            yield from (echo(line, fifos.get(gateway, FIFO)) for line in fifo_lines(step))
            yield from () if ipsecctl is None else (command(ipsecctl),)


def _lines_of(step: Step, fifo_lines: FifoLines) -> list[str]:
    """The FIFO lines of a step, or its ipsecctl command."""
    ipsecctl = command_of(step)
    return [visible(line) for line in ((ipsecctl,) if ipsecctl is not None else fifo_lines(step))]


def _peer(steps: Sequence[Step]) -> str:
    peers = _distinct(s.peer for s in steps if s.peer is not None)
    return f", peer {', '.join(peers)}" if peers else ""


def _distinct(texts: Iterable[str]) -> list[str]:
    return list(dict.fromkeys(map(visible, texts)))


def _lines(said: Iterable[Said]) -> list[str]:
    return [line for each in said for line in each.lines]


def _size(said: Iterable[Said]) -> int:
    return sum(len(each.lines) for each in said)
