"""A transport without a network: a function answers each visit. For tests and for whoever embeds the engine."""

from collections.abc import Callable, Iterable, Iterator
from threading import Lock

from ipsecfleet.transport import failures
from ipsecfleet.transport.contract import Outcome, Visit, Visited


class FakeTransport:
    """Implements `Transport`; `answer` returns an outcome or raises as a real transport would."""

    def __init__(self, answer: Callable[[Visit], Outcome]) -> None:
        self._answer = answer
        self._lock = Lock()
        self._closed = False
        self.visits: list[Visit] = []

    def visit(self, visit: Visit) -> Outcome:
        """Ask the function; limit and deadline hold here as they do on a network."""
        self._note(visit)
        outcome = self._answer(visit)
        if visit.on_started is not None:
            visit.on_started()
        received = len(outcome.stdout) + len(outcome.stderr)
        if outcome.elapsed_s > visit.deadline_s:
            raise failures.no_end(visit, received)
        if received > visit.limit:
            raise failures.too_much(visit)
        return outcome

    def visit_all(self, visits: Iterable[Visit], *, at_once: int | None = None) -> Iterator[Visited]:  # noqa: ARG002
        """One after the other, in their order."""
        for visit in visits:
            try:
                yield visit, self.visit(visit)
            except Exception as error:  # noqa: BLE001  handed to whoever takes the results
                yield visit, error

    def _note(self, visit: Visit) -> None:
        with self._lock:
            if self._closed:
                raise failures.ending(visit.gateway.name)
            self.visits.append(visit)

    def close(self) -> None:
        """Refuse every visit from now on."""
        with self._lock:
            self._closed = True
