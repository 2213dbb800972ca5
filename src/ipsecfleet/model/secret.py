"""A secret has a type: what prints, formats, logs or saves it gets `***`, and only `reveal()` gets the value.

Two secrets compare in a time that does not depend on where they differ. One cannot be pickled: a pickle is a file that
nobody masks.
"""

import hmac
from typing import NoReturn, Self

MASK = "***"


class Secret:
    """A pre-shared key or an SA key, as text."""

    __slots__ = ("_value",)

    def __init__(self, value: str) -> None:
        self._value = value

    def reveal(self) -> str:
        """The value; whoever calls this answers for where it goes."""
        return self._value

    def __str__(self) -> str:
        return MASK

    __repr__ = __str__

    def __format__(self, spec: str) -> str:
        return format(MASK, spec)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Secret):
            return NotImplemented
        return hmac.compare_digest(self._bytes(), other._bytes())

    def __hash__(self) -> int:
        return hash((Secret, self._value))

    def __copy__(self) -> Self:
        return self

    def __deepcopy__(self, memo: dict[int, object]) -> Self:
        return self

    def __reduce_ex__(self, protocol: object) -> NoReturn:
        raise TypeError("a secret is never pickled")

    def _bytes(self) -> bytes:
        return self._value.encode(errors="surrogatepass")
