"""Where the secrets of a conf file stand, so that its text can be shown without them.

A secret is what follows `psk`, `authkey` or `enckey`, wherever its characters were written: in the rule, or in the
macros that were expanded there, also by way of other macros, in whatever file. What follows one of these words in a
comment counts too: a rule that was commented out keeps its key. Paths of key files are no secrets.
"""

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import chain

from ipsecfleet.isakmpd.conf.lexer import Cell, text_of
from ipsecfleet.model.secret import MASK

_in_comment = re.compile(r"""\b(?:psk|authkey|enckey)\s+(?:"([^"]*)|'([^']*)|([^\s"']\S*))""")


@dataclass(frozen=True, slots=True, order=True)
class Span:
    """Characters of a file from offset `start` to before `end`; `line` is that of the first, counted from 1."""

    file: str
    line: int
    start: int
    end: int


def mask(text: str, spans: Iterable[Span]) -> str:
    """The text of a file with `***` for each of that file's spans; what touches becomes one."""
    shown: list[str] = []
    end = 0
    for span in sorted(spans, key=lambda span: (span.start, span.end)):
        if span.start > end or not shown:
            shown += [text[end : span.start], MASK]
        end = max(end, span.end)
    return "".join([*shown, text[end:]])


def spans_of(secrets: Iterable[Sequence[Cell]], comments: Iterable[Sequence[Cell]]) -> tuple[Span, ...]:
    """The places of all secrets, in the order of files and offsets, each once."""
    everything = chain(secrets, chain.from_iterable(_secrets_in(comment) for comment in comments))
    return tuple(sorted({span for cells in everything for span in _spans(cells)}))


def _secrets_in(comment: Sequence[Cell]) -> Iterator[Sequence[Cell]]:
    for match in _in_comment.finditer(text_of(comment)):
        yield comment[slice(*match.span(match.lastindex or 0))]


def _spans(cells: Sequence[Cell]) -> Iterator[Span]:
    """The runs of characters that stand side by side in one file."""
    run: list[Cell] = []
    for cell in cells:
        if run and (cell.source is not run[-1].source or cell.offset != run[-1].offset + 1):
            yield from _span(run)
            run = []
        run.append(cell)
    yield from _span(run)


def _span(run: Sequence[Cell]) -> Iterator[Span]:
    source = run[0].source if run else None
    if source is not None:
        start = run[0].offset
        yield Span(source.path, source.text.count("\n", 0, start) + 1, start, start + len(run))
