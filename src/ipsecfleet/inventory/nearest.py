"""What the operator may have meant: every name that is not known is answered with the one most like it."""

from collections.abc import Iterable
from difflib import get_close_matches

FEW = 8
"""Up to so many known names are told in full when none is like the one typed."""


def suggest(word: str, known: Iterable[str]) -> str:
    """`did you mean hub-fra1?`; if nothing is like `word`, the known names when they are few, else nothing."""
    names = sorted(set(known))
    near = get_close_matches(word[:100], names, n=1)
    if near:
        return f"did you mean {near[0]}?"
    return f"known: {', '.join(names)}" if 0 < len(names) <= FEW else ""
