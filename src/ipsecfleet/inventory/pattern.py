"""Names as they are typed: `hub-*`, `gw[01-40]`, `gw[1-3,7]`, several with commas between.

`*`, `?`, `[abc]` and `[!abc]` are those of sh(1). Brackets that hold a range or a list of numbers mean numbers, not
characters, as administrators of clusters are used to: `[01-40]` is 01, 02, … 40, with as many digits as its first has.
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache

from ipsecfleet.errors import OperatorError

MOST = 10_000
"""Numbers that one pattern may name."""

TOKEN = re.compile(
    r"""\[ (?P<numbers> [0-9]+ (?:[,-] [0-9]+)+ ) \]
    |   \[ (?P<negated> !? ) (?P<characters> [^]!] [^]]* ) \]
    |   (?P<wildcard> [*?] )
    |   (?P<literal> . )""",
    re.VERBOSE | re.DOTALL,
)
RANGE = re.compile(r"([0-9]{1,9})(?:-([0-9]{1,9}))?")
ODD = re.compile(r"([^0-9A-Za-z-])")
ESCAPED = r"\\\1"
COMMA = re.compile(r",(?![^\[]*\])")
"""A comma that does not stand in brackets."""


@dataclass(frozen=True, slots=True)
class Pattern:
    """A name, or what matches several."""

    text: str
    expression: re.Pattern[str]

    @classmethod
    @lru_cache(maxsize=64)
    def of(cls, text: str) -> "Pattern":
        """The pattern that `text` means; OperatorError for a range that is none."""
        try:
            return cls(text, re.compile("".join(_translated(t) for t in TOKEN.finditer(text)), re.DOTALL))
        except re.error:
            raise _no_pattern(text) from None

    def matches(self, name: str) -> bool:
        """Whether the whole of `name` is meant."""
        return name == self.text or self.expression.fullmatch(name) is not None


def split_words(option: str, texts: Iterable[str]) -> tuple[str, ...]:
    """The words of an option that may be repeated and holds several with commas between; none may be empty.

    An empty one is most often a shell variable that was not set: it must not widen the selection.
    """
    words = [word.strip() for text in texts for word in COMMA.split(text)]
    if "" in words:
        raise OperatorError(
            f"{option} has an empty name", hint="a variable of the shell that is not set?", kind="usage"
        )
    return tuple(dict.fromkeys(words))


def _translated(token: re.Match[str]) -> str:
    """One token as a regular expression."""
    if token["numbers"]:
        return f"(?:{'|'.join(_numbers(token['numbers'], token.string))})"
    if token["characters"]:
        return f"[{'^' if token['negated'] else ''}{ODD.sub(ESCAPED, token['characters'])}]"
    if token["wildcard"]:
        return ".*" if token["wildcard"] == "*" else "."
    return re.escape(token["literal"])


def _numbers(ranges: str, text: str) -> list[str]:
    """All numbers of `01-40,50`, written as they stand in names."""
    numbers: list[str] = []
    for part in ranges.split(","):
        found = RANGE.fullmatch(part)
        if found is None:
            raise _no_pattern(text)
        first, last = int(found[1]), int(found[2] or found[1])
        if not 0 <= last - first < MOST - len(numbers):
            raise _no_pattern(text)
        numbers += (str(number).zfill(len(found[1])) for number in range(first, last + 1))
    return numbers


def _no_pattern(text: str) -> OperatorError:
    hint = f"a range is gw[01-40], its first number the smaller, at most {MOST} numbers"
    return OperatorError(f"{text[:100]!a} is no name or pattern", hint=hint, kind="usage", obj=text)
