"""A transport without a network: a function answers each visit. For tests and for whoever embeds the engine."""

from collections.abc import Callable
from dataclasses import dataclass
from threading import Lock

from ipsecfleet.errors import GatewayError, UnreachableError
from ipsecfleet.model.fleet import Gateway
from ipsecfleet.transport.contract import Outcome


@dataclass(frozen=True, slots=True)
class Visit:
    """One visit, as it was asked for."""

    gateway: Gateway
    command: str
    stdin: bytes
    deadline_s: float


class FakeTransport:
    """Implements `Transport`; `answer` returns an outcome or raises as a real transport would."""

    def __init__(self, answer: Callable[[Visit], Outcome]) -> None:
        self._answer = answer
        self._lock = Lock()
        self._closed = False
        self.visits: list[Visit] = []

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
        """Ask the function; limit and deadline hold here as they do on a network."""
        visit = Visit(gateway, command, stdin, deadline_s)
        self._note(visit)
        outcome = self._answer(visit)
        if on_started is not None:
            on_started()
        if outcome.elapsed_s > deadline_s:
            raise GatewayError(f"no end: the command on {gateway.name} ran over {deadline_s:g} s", obj=gateway.name)
        if len(outcome.stdout) + len(outcome.stderr) > limit:
            raise GatewayError(f"too much output: {gateway.name} sent more than {limit} bytes", obj=gateway.name)
        return outcome

    def _note(self, visit: Visit) -> None:
        with self._lock:
            if self._closed:
                raise UnreachableError("the transport is closed", phase="tcp", obj=visit.gateway.name)
            self.visits.append(visit)

    def close(self) -> None:
        """Refuse every visit from now on."""
        with self._lock:
            self._closed = True
