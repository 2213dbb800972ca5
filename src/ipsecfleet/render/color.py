"""The colour of a word of state (ECMA-48 SGR); whether there is any is the caller's decision."""

GREEN, YELLOW, RED = "32", "33", "31"

COLORS = {
    **dict.fromkeys(("up", "rekeying", "ok", "proven", "done"), GREEN),
    **dict.fromkeys(("held", "half-up", "duplicate", "unproven", "warning"), YELLOW),
    **dict.fromkeys(
        ("down", "stale", "black-hole", "unknown", "unreachable", "failed", "refused", "problem", "not proven"), RED
    ),
}


def paint(word: str) -> str:
    """`word` in its colour, or as it is when it has none."""
    code = COLORS.get(word)
    return word if code is None else f"\x1b[{code}m{word}\x1b[0m"
