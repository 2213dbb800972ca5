"""What a visit can be asked: the verbs of the visit program, with what each of them takes.

A verb that could not be what it says cannot be constructed, or has no lines: paths are absolute and plain, lines of the
FIFO are of the closed set, and a text with keys is a Secret until it is written into the request.
"""

import re
from dataclasses import dataclass
from typing import Protocol

from ipsecfleet.errors import RefusedError
from ipsecfleet.isakmpd import fifo
from ipsecfleet.model.net import Selectors
from ipsecfleet.model.secret import Secret

LONGEST_LOCK_S = 600
"""As long as the run lock may be held without being renewed."""

LONGEST_DEBUG_S = 120
"""As long as a class of the daemon's debugging may be raised."""

DEBUG_CLASSES = {
    "Misc": (0, 40),
    "Trpt": (1, 60),
    "Mesg": (2, 60),
    "Timr": (4, 60),
    "Sdep": (5, 60),
    "SA": (6, 60),
    "Exch": (7, 60),
    "Negt": (8, 60),
    "UI": (10, 20),
}
"""Classes of the daemon's debugging, their numbers (isakmpd.md 3), and up to which level they print no keys.

Known to leak are UI from 30 on and Misc from 95 on (isakmpd.md 12); the others stay well below what dumps messages, and
Cryp and Plcy, which are about keys and policies, cannot be asked for.
"""

MOST_WORDS = 9_999
"""The most words of one question to the log."""

CHANGES = frozenset({"write", "load", "unload", "deny", "open", "put", "restore", "arm", "confirm", "rollback"})
"""The sections of what changes something; each step of a plan comes by one of them."""

log_word = re.compile(r"[A-Za-z0-9._:/=%+@-]{1,200}")
_path = re.compile(r"(?!.*/\.\.(?:/|\Z))/[A-Za-z0-9._/-]{0,250}")
_run = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._@-]{0,99}")


class Verb(Protocol):
    """One thing that a visit does."""

    def lines(self) -> tuple[str, ...]:
        """Its lines in the request."""


@dataclass(frozen=True, slots=True)
class Host:
    """The gateway itself: sections `host` and `carp`."""

    def lines(self) -> tuple[str, ...]:
        return ("host",)


@dataclass(frozen=True, slots=True)
class Report:
    """The SAs and the lists of connections: `report`, `connections`, `passive`, `held`, `held-passive`, `held-peers`."""

    def lines(self) -> tuple[str, ...]:
        return ("report",)


@dataclass(frozen=True, slots=True)
class Exchanges:
    """Running exchanges, keep-up list and sections; `only_if_needed`: when the report before leaves SAs unnamed."""

    only_if_needed: bool = False

    def lines(self) -> tuple[str, ...]:
        return ("exchanges?" if self.only_if_needed else "exchanges",)


@dataclass(frozen=True, slots=True)
class Flows:
    """The kernel's flows: `flows`."""

    def lines(self) -> tuple[str, ...]:
        return ("flows",)


@dataclass(frozen=True, slots=True)
class Sad:
    """The kernel's SAs: `sad`."""

    def lines(self) -> tuple[str, ...]:
        return ("sad",)


@dataclass(frozen=True, slots=True)
class Files:
    """Owners and modes of ipsec.conf and of what it includes: `files`."""

    def lines(self) -> tuple[str, ...]:
        return ("files",)


@dataclass(frozen=True, slots=True)
class ConfNames:
    """The connections that a conf file names: `conf`."""

    path: str

    def lines(self) -> tuple[str, ...]:
        return (f"conf {checked_path(self.path)}",)


@dataclass(frozen=True, slots=True)
class Stored:
    """A conf file as it is there: `stored`, its owner, mode, keyed hash and masked text, and `meaning`, unless it is not."""

    path: str

    def lines(self) -> tuple[str, ...]:
        return (f"stored {checked_path(self.path)}",)


@dataclass(frozen=True, slots=True)
class Try:
    """What ipsecctl there makes of a text that nobody loads: `meaning`."""

    text: Secret

    def lines(self) -> tuple[str, ...]:
        return (f"try {_size(self.text)}", self.text.reveal())


@dataclass(frozen=True, slots=True)
class Armed:
    """The change of a file that waits for its confirmation: `armed`, empty if none does."""

    def lines(self) -> tuple[str, ...]:
        return ("armed",)


@dataclass(frozen=True, slots=True)
class Kept:
    """The changes of an earlier run that can be taken back: `kept`."""

    run: str

    def lines(self) -> tuple[str, ...]:
        return (f"kept {checked(_run, self.run, 'run')}",)


@dataclass(frozen=True, slots=True)
class Log:
    """What the daemon's log of the last `seconds` says of these peers, names and files, and of the daemon: `log`."""

    seconds: int
    words: tuple[str, ...]

    def __post_init__(self) -> None:
        if len(self.words) > MOST_WORDS:
            text = f"the log cannot be asked for {len(self.words)} names at once: {MOST_WORDS} at most"
            raise RefusedError(text, kind="bad-request", obj="log", hint="select fewer tunnels")
        for word in self.words:
            checked(log_word, word, "word for the log")

    def lines(self) -> tuple[str, ...]:
        return (f"log {self.seconds} {len(self.words)}", *self.words)


@dataclass(frozen=True, slots=True)
class Debug:
    """One class of the daemon's debugging at this level for so long: `debug`, which says what the level was before.

    The gateway puts it back by itself. A level at which the class may print keys cannot be asked for.
    """

    name: str
    level: int
    seconds: int

    def __post_init__(self) -> None:
        most = DEBUG_CLASSES.get(self.name, (0, 0))[1]
        if not 1 <= self.level <= most:
            text = f"level {self.level} of {self.name} may print keys" if most else f"{self.name!a} may print keys"
            hint = ", ".join(f"{name} up to {most}" for name, (_, most) in DEBUG_CLASSES.items())
            raise RefusedError(text, kind="debug-level", obj=self.name, hint=hint)
        if not 1 <= self.seconds <= LONGEST_DEBUG_S:
            text = f"{self.name} cannot be raised for {self.seconds} s: 1 to {LONGEST_DEBUG_S}"
            raise RefusedError(text, kind="bad-request", obj=self.name)

    def lines(self) -> tuple[str, ...]:
        return (f"debug {DEBUG_CLASSES[self.name][0]} {self.level} {self.seconds}",)


@dataclass(frozen=True, slots=True)
class Put:
    """A conf file's new text, beside it as PATH.new: `put`."""

    path: str
    text: Secret

    def lines(self) -> tuple[str, ...]:
        return (f"put {checked_path(self.path)} {_size(self.text)}", self.text.reveal())


@dataclass(frozen=True, slots=True)
class Restore:
    """The text that a run found there, beside the file as PATH.new: `restore`."""

    run: str
    path: str

    def lines(self) -> tuple[str, ...]:
        return (f"restore {checked(_run, self.run, 'run')} {checked_path(self.path)}",)


@dataclass(frozen=True, slots=True)
class Arm:
    """The change of a file is taken back in `seconds`, unless it is confirmed: `arm`. `kind` is add, change, remove or include.

    Taking it back writes the lines of `undo`, and loads the old text `delay` seconds after the new one was unloaded.
    """

    kind: str
    path: str
    seconds: float
    delay: float = 0.0
    undo: tuple[str, ...] = ()

    def lines(self) -> tuple[str, ...]:
        return (
            f"arm {self.kind} {checked_path(self.path)} {self.seconds:.2f} {self.delay:.2f} {len(self.undo)}",
            *self.undo,
        )


@dataclass(frozen=True, slots=True)
class Confirm:
    """The change of a file stays, if it was not taken back already: `confirm`, which says when."""

    path: str

    def lines(self) -> tuple[str, ...]:
        return (f"confirm {checked_path(self.path)}",)


@dataclass(frozen=True, slots=True)
class TakeBack:
    """The change of a file is taken back now, if it is not confirmed: `rollback`."""

    path: str

    def lines(self) -> tuple[str, ...]:
        return (f"rollback {checked_path(self.path)}",)


@dataclass(frozen=True, slots=True)
class Lock:
    """The run lock, for so many seconds: `lock`. Every change needs it; `take` takes it from whoever has it.

    Ours is renewed. When another run has it the status is `held`, the body is for `holder`, and no change is made.
    """

    seconds: int
    take: bool = False

    def __post_init__(self) -> None:
        if not 1 <= self.seconds <= LONGEST_LOCK_S:
            text = f"a run lock cannot be held for {self.seconds} s: 1 to {LONGEST_LOCK_S}"
            raise RefusedError(text, kind="bad-request", obj="lock")

    def lines(self) -> tuple[str, ...]:
        return (f"lock {self.seconds}{' take' if self.take else ''}",)


@dataclass(frozen=True, slots=True)
class Unlock:
    """Gives the run lock back, if it is ours: `unlock`."""

    def lines(self) -> tuple[str, ...]:
        return ("unlock",)


@dataclass(frozen=True, slots=True)
class Write:
    """One write to the FIFO: `write`. Lines that are not ours, or more than one write takes, cannot be constructed."""

    commands: tuple[str, ...]

    def __post_init__(self) -> None:
        fifo.validate_write(self.commands)

    def lines(self) -> tuple[str, ...]:
        return (f"write {len(self.commands)}", *self.commands)


@dataclass(frozen=True, slots=True)
class Load:
    """`ipsecctl -f PATH`: section `load`; `of` is the file whose change it is, which must be armed."""

    path: str
    of: str | None = None

    def lines(self) -> tuple[str, ...]:
        return (f"load {checked_path(self.path)}{_of(self.of)}",)


@dataclass(frozen=True, slots=True)
class Unload:
    """`ipsecctl -d -f PATH`: section `unload`; a flow that is gone already is no failure. `of` as of a load."""

    path: str
    of: str | None = None

    def lines(self) -> tuple[str, ...]:
        return (f"unload {checked_path(self.path)}{_of(self.of)}",)


@dataclass(frozen=True, slots=True)
class Deny:
    """A flow of type deny for these selectors, once the daemon has done what was written to it before: `deny`."""

    selectors: Selectors

    def lines(self) -> tuple[str, ...]:
        return (f"deny {_matched(self.selectors)}",)


@dataclass(frozen=True, slots=True)
class Open:
    """Takes the flow with these selectors away, whatever its type: `open`; one that is gone already is no failure."""

    selectors: Selectors

    def lines(self) -> tuple[str, ...]:
        return (f"open {_matched(self.selectors)}",)


def flow_rule(selectors: Selectors) -> str:
    """The line of ipsec.conf(5) that drops what these selectors match, both ways."""
    return f"flow esp {_matched(selectors)} type deny"


def _size(text: Secret) -> int:
    return len(text.reveal().encode("utf-8", "surrogateescape"))


def _of(path: str | None) -> str:
    return "" if path is None else f" of {checked_path(path)}"


def _matched(selectors: Selectors) -> str:
    proto = f"proto {selectors.local.proto} " if selectors.local.proto else ""
    return f"{proto}from {selectors.local} to {selectors.remote}"


def checked_path(path: str) -> str:
    """The path; RefusedError unless it is absolute and plain."""
    return checked(_path, path, "plain absolute path")


def checked(pattern: re.Pattern[str], text: str, what: str) -> str:
    """The text; RefusedError unless it is what it must be."""
    if pattern.fullmatch(text) is None:
        raise RefusedError(f"{text!a} is no {what} for a visit", kind="bad-request", obj=ascii(text))
    return text
