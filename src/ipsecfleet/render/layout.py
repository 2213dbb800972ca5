"""Tables that read well at 80 columns and never cut a name: what does not fit is folded, not shortened.

A row has cells in a grid, one *tail* (a name or a text, as long as it likes) and texts *below*. The tail stands in
the line where there is room. Where there is none for most of the rows, every tail stands under its row; where there
is room for most, only the long ones do. A first cell that would push the others over the edge stands above its row. A
column in which no row has anything is left out. What stands under a row is set in to the second column, so that the
first one can be scanned.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from ipsecfleet.render.color import paint
from ipsecfleet.render.escape import visible
from ipsecfleet.render.human import Look, joined, wrap

GAP = 2
MAX_INDENT = 20
LONG = 24
PAINTED = frozenset({"state", "end", "severity"})
MOST = 0.5


@dataclass(frozen=True, slots=True)
class Row:
    """One record: its grid cells, its tail, what is said below it, and lines that are never broken.

    With `several` the first cell is a list of names, which may be broken between them.
    """

    cells: tuple[str | None, ...]
    tail: str | None = None
    below: tuple[str, ...] = ()
    exact: tuple[str, ...] = ()
    several: bool = False


@dataclass(frozen=True, slots=True)
class Grid:
    """Headers and cells of equal number, escaped, without empty columns."""

    headers: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]

    @property
    def widths(self) -> tuple[int, ...]:
        return tuple(max(map(len, column)) for column in zip(self.headers, *self.rows, strict=True))

    @property
    def indent(self) -> str:
        """What stands under a row begins where the second column does, unless that is far away."""
        return " " * (self.widths[0] + GAP if self.widths[0] + GAP <= MAX_INDENT else GAP)

    @property
    def width(self) -> int:
        return sum(self.widths) + GAP * (len(self.headers) - 1)


def lay_out(headers: Sequence[str], tail: str, rows: Sequence[Row], look: Look) -> str:
    """The rows under their headers, within `look.width` as far as names allow; `tail` is the header of the tails."""
    if not rows:
        return ""
    grid, tails = _grid(headers, rows), [visible(row.tail or "") for row in rows]
    above = _too_long(grid, look.width - GAP - max(map(len, tails)), look.width)
    short = [("" if hang else cells[0], *cells[1:]) for hang, cells in zip(above, grid.rows, strict=True)]
    inner = Grid(grid.headers, tuple(short))
    beside = _beside(tails, look.width - inner.width - GAP)
    lines = iter(_tabulated(inner, tail if any(beside) else "", beside, look))
    out = [next(lines)]
    if any(row.tail for row in rows) and not any(beside):
        out.append(f"{inner.indent}{tail}")
    for row, cells, hang, tailed, line in zip(rows, grid.rows, above, beside, lines, strict=True):
        out += _above(row, cells[0], look.width) if hang else []
        out += [line]
        out += _under(row, tailed, inner.indent, look.width)
    return joined(out)


def _grid(headers: Sequence[str], rows: Sequence[Row]) -> Grid:
    cells = [tuple(visible(c or "") for c in row.cells) for row in rows]
    used = [i for i in range(len(headers)) if any(row[i] for row in cells)] or [0]
    return Grid(tuple(headers[i] for i in used), tuple(tuple(row[i] for i in used) for row in cells))


def _too_long(grid: Grid, ample: int, width: int) -> list[bool]:
    """Which first cells stand above their rows: none in `ample` room, else those too long, or long among short ones."""
    if grid.width <= ample:
        return [False] * len(grid.rows)
    first = [len(cells[0]) for cells in grid.rows]
    few = sum(size <= LONG for size in first) >= MOST * len(first)
    room = max(width - (grid.width - grid.widths[0]), len(grid.headers[0]))
    return [size > (min(room, LONG) if few else room) for size in first]


def _beside(tails: Sequence[str], room: int) -> list[str]:
    """The tails that stand in their rows' lines; the others are empty."""
    present = [t for t in tails if t]
    fitting = [t for t in present if len(t) <= room]
    if len(fitting) < MOST * len(present):
        return [""] * len(tails)
    return [t if len(t) <= room else "" for t in tails]


def _above(row: Row, name: str, width: int) -> Iterable[str]:
    return wrap(name, width) if row.several else [name]


def _under(row: Row, tailed: str, indent: str, width: int) -> Iterable[str]:
    if row.tail and not tailed:
        yield from wrap(visible(row.tail), width, indent)
    for text in row.below:
        yield from wrap(visible(text), width, indent)
    yield from (f"{indent}{visible(line)}" for line in row.exact)


def _tabulated(grid: Grid, tail: str, tails: Sequence[str], look: Look) -> list[str]:
    """The lines of the grid, the header first (as a row: tabulate would widen the columns for a true one)."""
    from tabulate import tabulate  # noqa: PLC0415 - only who wants a table pays for it

    headers = [*grid.headers, *([tail] if tail else [])]
    rows = [[*cells, *([t] if tail else [])] for cells, t in zip(grid.rows, tails, strict=True)]
    if look.color:
        rows = [[paint(c) if h in PAINTED else c for h, c in zip(headers, row, strict=True)] for row in rows]
    return tabulate([headers, *rows], tablefmt="plain", disable_numparse=True).split("\n")
