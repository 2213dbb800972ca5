"""What the rest of the program knows of SSH: one command per visit, bytes in, bytes out.

A visit that returns has run its command to an end; what stands in the answer is for others to read. A visit that
raises says how far it came: `UnreachableError` (phase tcp, banner, kex, hostkey, auth or channel) means that no
command was started, `GatewayError` with phase command that one was, and may still run.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from ipsecfleet.model.fleet import Gateway


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a command said. `exit` is None when a signal ended it or the gateway did not tell."""

    stdout: bytes
    stderr: bytes
    exit: int | None
    elapsed_s: float


class Transport(Protocol):
    """The way to the gateways; safe to be called from several threads, one connection per gateway for its life."""

    def visit(  # noqa: PLR0913  a visit is made of these
        self,
        gateway: Gateway,
        command: str,
        stdin: bytes,
        *,
        deadline_s: float,
        limit: int,
        on_started: Callable[[], object] | None = None,
    ) -> Outcome:
        """Run a command within `deadline_s` (connecting has limits of its own) and `limit` bytes of output.

        A command is never repeated; `on_started` is called, on any thread, once the gateway has accepted it.
        """

    def close(self) -> None:
        """End every connection; a visit that is under way fails."""
