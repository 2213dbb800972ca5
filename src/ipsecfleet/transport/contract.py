"""What the rest of the program knows of SSH: one command per visit, bytes in, bytes out.

A visit that returns has run its command to an end; what stands in the answer is for others to read. A visit that
raises says how far it came: `UnreachableError` (phase tcp, banner, kex, hostkey, auth or channel) means that no
command was started, `GatewayError` with phase command that one was, and may still run.
"""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from typing import Protocol

from ipsecfleet.model.fleet import Gateway


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a command said. `exit` is None when a signal ended it or the gateway did not tell."""

    stdout: bytes
    stderr: bytes
    exit: int | None
    elapsed_s: float


@dataclass(frozen=True, slots=True)
class Visit:
    """One command for one gateway, with its input.

    It has `deadline_s` seconds (connecting has limits of its own) and `limit` bytes of output. `on_started` is called,
    on any thread, once the gateway has accepted the command.
    """

    gateway: Gateway
    command: str
    stdin: bytes = field(repr=False)
    deadline_s: float
    limit: int
    on_started: Callable[[], object] | None = None


Visited = tuple[Visit, Outcome | Exception]
"""A visit and what became of it."""


class Transport(Protocol):
    """The way to the gateways; safe to be called from several threads, one connection per gateway for its life.

    A command is never repeated.
    """

    def visit(self, visit: Visit) -> Outcome:
        """Run one command."""

    def visit_all(self, visits: Iterable[Visit], *, at_once: int | None = None) -> Iterator[Visited]:
        """Run many side by side, at most so many at once; each comes back as it ends.

        The first are begun by the call itself; a visit is taken from `visits` when it is its turn.
        """

    def close(self) -> None:
        """End every connection; a visit that is under way fails."""
