"""What can go wrong, whose fault it is, and the exit code that says so.

Three children by fault: the operator's (2), the gateway's (1, or 3 when it was never reached), refused by us (4).
A message is lower case, has no full stop and names its object; `hint` is a second line that says what to do next.
"""

from collections.abc import Iterable
from enum import IntEnum


class Exit(IntEnum):
    """Exit codes of the command line (docs/ipsecfleet.1, EXIT STATUS)."""

    OK = 0
    FAILED = 1
    USAGE = 2
    UNREACHABLE = 3
    REFUSED = 4
    NOTHING = 5
    FINDINGS = 6
    BUG = 70
    INTERRUPTED = 130
    TERMINATED = 143

    @property
    def word(self) -> str:
        """The `result` of a document that ends with this code, unless the command knows a better one."""
        return _WORDS.get(self, self.name.lower())


_WORDS = {Exit.TERMINATED: "interrupted"}


class IpsecfleetError(Exception):
    """The base of every error raised on purpose; `kind` is its stable word in JSON, `obj` what it is about."""

    exit_code: Exit = Exit.FAILED

    def __init__(self, message: str, *, hint: str = "", kind: str = "error", obj: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint
        self.kind = kind
        self.obj = obj

    def __str__(self) -> str:
        return f"{self.message}\n{self.hint}" if self.hint else self.message


class OperatorError(IpsecfleetError):
    """Usage, inventory or a file given to us is wrong; nothing was contacted."""

    exit_code = Exit.USAGE


class GatewayError(IpsecfleetError):
    """A gateway did not do what it was asked; `phase` is where: tcp, banner, kex, hostkey, auth, channel, command."""

    def __init__(
        self, message: str, *, phase: str = "command", hint: str = "", kind: str = "gateway", obj: str = ""
    ) -> None:
        super().__init__(message, hint=hint, kind=kind, obj=obj)
        self.phase = phase


class UnreachableError(GatewayError):
    """A gateway could not be reached at all: no visit program has run there."""

    exit_code = Exit.UNREACHABLE


class RefusedError(IpsecfleetError):
    """We refused to act; `force` is the name that lifts the refusal for one run, empty if nothing does."""

    exit_code = Exit.REFUSED

    def __init__(self, message: str, *, force: str = "", hint: str = "", kind: str = "refused", obj: str = "") -> None:
        super().__init__(message, hint=hint, kind=kind, obj=obj)
        self.force = force


class BugError(IpsecfleetError):
    """A mistake of ours that showed at one gateway; the others go on."""

    exit_code = Exit.BUG

    @classmethod
    def of(cls, error: Exception, gateway: str) -> "BugError":
        """What is said of an error that nobody raised on purpose."""
        text = f"a mistake in ipsecfleet itself: {type(error).__name__}"
        return cls(text, kind="bug", obj=gateway, hint="its traceback stands in the journal of the run: report it")


PRECEDENCE = (
    Exit.BUG,
    Exit.INTERRUPTED,
    Exit.TERMINATED,
    Exit.USAGE,
    Exit.FAILED,
    Exit.REFUSED,
    Exit.UNREACHABLE,
    Exit.NOTHING,
    Exit.FINDINGS,
    Exit.OK,
)
"""Which exit code is said when several apply: the first of these."""


def foremost(codes: Iterable[Exit]) -> Exit:
    """The exit code of a command to which all of `codes` apply."""
    applying = {*codes, Exit.OK}
    return next(code for code in PRECEDENCE if code in applying)
