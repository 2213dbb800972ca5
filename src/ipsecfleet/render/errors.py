"""Errors for people: those with one cause are told once, with all they are about; dead gateways last.

Two errors have one cause when they differ in nothing but the name of their object.
"""

from collections.abc import Iterable

from ipsecfleet.errors import GatewayError, IpsecfleetError, RefusedError, UnreachableError
from ipsecfleet.render.escape import visible
from ipsecfleet.render.fold import without
from ipsecfleet.render.human import joined, wrap

INDENT = "  "


def errors_text(errors: Iterable[IpsecfleetError], width: int = 80, word: str = "") -> str:
    """The errors by cause, each cause with its hint once; `word` (such as `warning`) stands before each."""
    groups: dict[tuple[str, ...], list[IpsecfleetError]] = {}
    for error in dict.fromkeys(errors):
        groups.setdefault(_cause(error), []).append(error)
    in_order = sorted(groups.values(), key=lambda group: isinstance(group[0], UnreachableError))
    return joined(line for group in in_order for line in _told(group, width, word))


def force_hint(error: IpsecfleetError) -> str:
    """How the refusal is lifted, unless its hint says so."""
    if not isinstance(error, RefusedError) or not error.force or f"--force {error.force}" in error.hint:
        return ""
    return f"--force {error.force} lifts this for one run"


def _cause(error: IpsecfleetError) -> tuple[str, ...]:
    texts = (_message(error), error.hint, force_hint(error))
    return (type(error).__name__, error.kind, *(without(error.obj, text) for text in texts))


def _message(error: IpsecfleetError) -> str:
    if not isinstance(error, GatewayError) or error.phase in error.message:
        return error.message
    return f"{error.message} ({error.phase})"


def _told(group: list[IpsecfleetError], width: int, word: str) -> Iterable[str]:
    first = group[0]
    before = word or ("refused" if isinstance(first, RefusedError) else "")
    prefix = f"{before}: " if before else ""
    several = len(group) > 1
    yield from wrap(f"{prefix}{_several(group) if several else visible(_message(first))}", width, "", INDENT)
    for hint in (first.hint, force_hint(first)):
        text = without(first.obj, hint) if several else hint
        yield from wrap(visible(text), width, INDENT)


def _several(group: list[IpsecfleetError]) -> str:
    first = group[0]
    noun = "gateways" if isinstance(first, GatewayError) else "times"
    objects = ", ".join(visible(e.obj) for e in group)
    return f"{len(group)} {noun}: {visible(without(first.obj, _message(first)))}: {objects}"
