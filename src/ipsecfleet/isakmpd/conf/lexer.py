"""The words of an ipsec.conf, as ipsecctl(8) reads them.

Source: yylex, lgetc and lungetc in parse.y of sbin/ipsecctl; regress/sbin/ipsecctl.

- A bare word begins with a letter, a digit or one of `: _ *` and goes on through all punctuation but `(){}<>!=/#,`;
  letters are ASCII, whatever the locale.
- Digits are a number only if white space or one of `),/}=` follows; else they begin a word (`10.1.2.3`, `30m`). A
  number is no string: `psk 12345` is a syntax error.
- In quotes of either kind a backslash escapes that quote, a blank and a tab; line ends vanish; `$` means itself.
- Outside quotes a backslash joins lines, in comments too, and is dropped before anything else.
- `$name` is replaced by the macro's value and read again, so one macro can hold several words, or end inside one; a
  `$` within a value means itself.
- A file that is included takes part where it is included; its last line may end with the line of the include.

Every character remembers where it was written, through macros of macros. So the place of a secret is known however
many macros it came through. Two things differ from ipsecctl: a NUL byte is refused instead of ending the file, and
lines of an included file are counted from 1 (ipsecctl counts them from 2).
"""

import string
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import NamedTuple, NoReturn

from ipsecfleet.errors import OperatorError
from ipsecfleet.model.secret import MASK

KEYWORDS = frozenset({
    "acquire", "active", "aggressive", "ah", "any", "auth", "authkey", "bundle", "bypass", "comp", "deny",
    "dontacq", "dstid", "dynamic", "enc", "enckey", "esp", "file", "flow", "from", "group", "ike", "in", "include",
    "interface", "ipcomp", "ipip", "lifetime", "local", "main", "out", "passive", "peer", "port", "proto", "psk",
    "quick", "require", "rsa", "spi", "srcid", "tag", "tcpmd5", "to", "transport", "tunnel", "type", "udpencap",
    "use",
})  # fmt: skip
STRING = "string"
NUMBER = "number"
END = "end of file"
NEWLINE = "\n"

MAX_WORD = 8095
MAX_MACRO = 65536

_LETTERS = frozenset(string.ascii_letters + string.digits)
_FIRST_OF_WORD = _LETTERS | frozenset(":_*")
_IN_WORD = _LETTERS | frozenset(string.punctuation) - frozenset("(){}<>!=/#,")
_IN_MACRO_NAME = _LETTERS | {"_"}
_AFTER_NUMBER = frozenset(string.whitespace + "),/}=")
_IN_NUMBER = frozenset(string.digits)


class Place(NamedTuple):
    """A line of a file; files are named as they were included."""

    file: str
    line: int


class ConfError(OperatorError):
    """The first thing in a conf file that ipsecctl would refuse, worded as ipsecctl does: `FILE: LINE: text`."""

    def __init__(self, place: Place, text: str, *, hint: str = "") -> None:
        self.place = place
        self.text = _printable(text)
        message = f"{_printable(place.file)}: {place.line}: {self.text}"
        super().__init__(message, hint=hint, kind="conf", obj=place.file)


def _printable(text: str) -> str:
    return "".join(char if char.isprintable() else ascii(char)[1:-1] for char in text)


@dataclass(slots=True, eq=False)
class Source:
    """A file, how far it has been read, what is to be read before its rest (last first), and the reader's line."""

    path: str
    text: str
    line: int = 1
    offset: int = 0
    pushed: "list[Cell]" = field(default_factory=list)


class Cell(NamedTuple):
    """A character and where it was written, if it was; `expanded` if a macro brought it here."""

    char: str
    source: Source | None = None
    offset: int = 0
    expanded: bool = False


@dataclass(frozen=True, slots=True)
class Token:
    """A word, number or sign; `kind` is STRING, NUMBER, NEWLINE, END, a keyword, or the sign itself."""

    kind: str
    place: Place
    cells: tuple[Cell, ...] = ()

    @property
    def text(self) -> str:
        return text_of(self.cells)


def text_of(cells: Sequence[Cell]) -> str:
    """The characters alone."""
    return "".join(cell.char for cell in cells)


class Lexer:
    """Reads tokens from a file and from those it includes; knows the macros; keeps the comments."""

    def __init__(self, text: str, path: str) -> None:
        self._sources = [Source(path, text)]
        self._macros: dict[str, tuple[Cell, ...]] = {}
        self._place = Place(path, 1)
        self.comments: list[tuple[Cell, ...]] = []

    @property
    def depth(self) -> int:
        """How many files are being read, one inside the other."""
        return len(self._sources)

    def enter(self, path: str, text: str) -> None:
        """Go on reading in an included file."""
        self._sources.append(Source(path, text))

    def define(self, name: str, value: Sequence[Cell]) -> None:
        """Set a macro; a later value replaces an earlier one."""
        if len(value) > MAX_MACRO:
            self._fail(f"macro '{name}' too long")
        self._macros[name] = tuple(cell._replace(expanded=True) for cell in value)

    def token(self, *, secret: bool = False) -> Token:
        """The next token; at the end of the file END, again and again. No error shows what stands for a secret."""
        while True:
            cell = self._first()
            if cell is None:
                return Token(END, self._place)
            if cell.char != "$" or cell.expanded:
                return self._token_from(cell)
            self._expand(secret=secret)

    def _first(self) -> Cell | None:
        """The next character that is neither blank nor comment."""
        cell = self._next()
        while cell is not None and cell.char in " \t":
            cell = self._next()
        self._stand()
        return self._after_comment() if cell is not None and cell.char == "#" else cell

    def _after_comment(self) -> Cell | None:
        comment = []
        while (cell := self._next()) is not None and cell.char != "\n":
            comment.append(cell)
        self.comments.append(tuple(comment))
        self._stand()
        return cell

    def _stand(self) -> None:
        """A token begins here."""
        source = self._sources[-1]
        self._place = Place(source.path, source.line)

    def _token_from(self, cell: Cell) -> Token:
        if cell.char in "'\"":
            return Token(STRING, self._place, self._quoted(cell.char))
        if cell.char in _IN_NUMBER or cell.char == "-":
            number = self._number(cell)
            if number is not None:
                return number
        if cell.char in _FIRST_OF_WORD:
            return self._word(cell)
        if cell.char == "\n":
            self._sources[-1].line += 1
        return Token(cell.char, self._place, (cell,))

    def _expand(self, *, secret: bool) -> None:
        cells, after = self._run(_IN_MACRO_NAME)
        self._back(after)
        name = text_of(cells)
        if name not in self._macros:
            self._fail(f"macro '{MASK if secret else name}' not defined")
        self._sources[-1].pushed.extend(reversed(self._macros[name]))

    def _quoted(self, quote: str) -> tuple[Cell, ...]:
        cells: list[Cell] = []
        while (cell := self._in_quotes()).char != quote:
            if cell.char == "\\":
                cell = self._escaped(quote, cell)
            if cell.char == "\n":
                self._sources[-1].line += 1
            else:
                self._append(cells, cell)
        return tuple(cells)

    def _escaped(self, quote: str, backslash: Cell) -> Cell:
        """What a backslash in quotes stands for, with the character after it: often for itself."""
        cell = self._in_quotes()
        if cell.char in f"{quote} \t\n":
            return cell
        self._back(cell)
        return backslash

    def _in_quotes(self) -> Cell:
        cell = self._raw()
        if cell is None:
            self._fail("reached end of file while parsing quoted string")
        if cell.char == "\0":
            self._fail("syntax error")
        return cell

    def _number(self, first: Cell) -> Token | None:
        """The number that begins here, or None, with all but its first character put back, if it is none."""
        digits, after = self._run(_IN_NUMBER)
        self._back(after)
        if (first.char == "-" and not digits) or (after is not None and after.char not in _AFTER_NUMBER):
            self._sources[-1].pushed.extend(reversed(digits))
            return None
        cells = (first, *digits)
        significant = text_of(cells).lstrip("-").lstrip("0") or "0"
        if len(significant) > 19 or int(significant) >= 2**63:
            self._fail(f'"{text_of(cells)}" invalid number: too {"small" if first.char == "-" else "large"}')
        return Token(NUMBER, self._place, cells)

    def _word(self, first: Cell) -> Token:
        rest, after = self._run(_IN_WORD)
        self._back(after)
        cells = (first, *rest)
        if len(cells) > MAX_WORD:
            self._fail("string too long")
        text = text_of(cells)
        return Token(text if text in KEYWORDS else STRING, self._place, cells)

    def _run(self, allowed: frozenset[str]) -> tuple[list[Cell], Cell | None]:
        """All characters up to the first that is not allowed, and that one."""
        cells: list[Cell] = []
        while (cell := self._next()) is not None and cell.char in allowed:
            self._append(cells, cell)
        return cells, cell

    def _append(self, cells: list[Cell], cell: Cell) -> None:
        if len(cells) >= MAX_WORD:
            self._fail("string too long")
        cells.append(cell)

    def _next(self) -> Cell | None:
        """The next character outside quotes, after joining lines and leaving files that are at their end."""
        if self._sources[-1].pushed:
            return self._sources[-1].pushed.pop()
        cell = self._raw()
        while cell is not None and cell.char == "\\":
            cell = self._raw()
            if cell is None or cell.char != "\n":
                break
            self._sources[-1].line += 1
            cell = self._raw()
        while cell is None and len(self._sources) > 1:
            self._sources.pop()
            cell = self._raw()
        return cell

    def _raw(self) -> Cell | None:
        source = self._sources[-1]
        if source.pushed:
            return source.pushed.pop()
        if source.offset == len(source.text):
            return None
        source.offset += 1
        return Cell(source.text[source.offset - 1], source, source.offset - 1)

    def _back(self, cell: Cell | None) -> None:
        if cell is not None:
            self._sources[-1].pushed.append(cell)

    def _fail(self, text: str) -> NoReturn:
        raise ConfError(self._place, text)
