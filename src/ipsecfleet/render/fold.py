"""What is the same for many gateways is told once, with all their names: for people only, never in plain or JSON.

Two texts are the same when they differ in nothing but the name of what they are about.
"""

import re
from collections.abc import Sequence
from dataclasses import replace

from ipsecfleet.render.layout import Row

HOLE = "..."


def without(name: str, text: str) -> str:
    """`text` with a hole where the name stands as a word of its own."""
    whole = rf"(?<![\w.-]){re.escape(name)}(?![\w-]|\.\w)"
    return re.sub(whole, HOLE, text).removeprefix(f"{HOLE}: ") if name else text


def folded(rows: Sequence[Row]) -> list[Row]:
    """The rows, those that are equal but for their first cell as one that names them all, where the first of them was."""
    groups: dict[Row, list[Row]] = {}
    for row in dict.fromkeys(rows):
        groups.setdefault(_nameless(row), []).append(row)
    return [_named(row, alike) if len(alike) > 1 else alike[0] for row, alike in groups.items()]


def _nameless(row: Row) -> Row:
    name = row.cells[0] or ""
    tail = row.tail and without(name, row.tail)
    return replace(row, cells=("", *row.cells[1:]), tail=tail, below=tuple(without(name, text) for text in row.below))


def _named(row: Row, alike: Sequence[Row]) -> Row:
    names = ", ".join(each.cells[0] or "" for each in alike)
    return replace(row, cells=(names, *row.cells[1:]), several=True)
