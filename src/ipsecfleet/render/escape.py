r"""Text from gateways, files and argv, made fit for a terminal, a column and an encoder.

Such text is hostile if need be. Whatever is not a visible character stands as its number: `\x1b`, `\u202e`,
`\U000e0041`. The rule is `str.isprintable` (no controls, no format characters such as bidi overrides and zero widths,
no surrogates, no separator but the space); combining marks, which could cover a neighbour, and spaces at either edge,
which nobody would see, are shown as numbers too.
"""

import re
from unicodedata import category

SURROGATE = re.compile("[\ud800-\udfff]")
EDGE = re.compile("^ +| +$")


def visible(text: str) -> str:
    """`text` as one line of visible characters; total, and the same when applied twice."""
    shown = text if text.isascii() and text.isprintable() else "".join(map(_shown, text))
    return EDGE.sub(lambda edge: r"\x20" * len(edge[0]), shown)


def encodable(text: str) -> str:
    """`text` without what no encoder takes: a lone surrogate stands as its number."""
    return SURROGATE.sub(lambda lone: _number(lone[0]), text)


def spi_text(spi: int | None) -> str | None:
    """An SPI as everybody writes it: `0x60096bb7`."""
    return None if spi is None else f"{spi:#010x}"


def _shown(char: str) -> str:
    return char if char.isprintable() and category(char) not in {"Mn", "Me"} else _number(char)


def _number(char: str) -> str:
    code = ord(char)
    return f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"
