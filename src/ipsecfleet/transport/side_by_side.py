"""Many visits at once over whatever can start one: results as they arrive, none begun before its turn."""

import queue
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator

from ipsecfleet.transport.contract import Outcome, Visit, Visited
from ipsecfleet.transport.crew import NOTICED_S


class SideBySide(ABC):
    """The part of `Transport` that is the same for all that have a `start`."""

    @abstractmethod
    def start(self, visit: Visit, done: Callable[[Visited], object]) -> None:
        """Begin a visit; `done` is called once, on any thread, unless this raises."""

    def visit(self, visit: Visit) -> Outcome:
        """See `Transport.visit`."""
        ((_, result),) = self.visit_all((visit,))
        if isinstance(result, Exception):
            raise result
        return result

    def visit_all(self, visits: Iterable[Visit], *, at_once: int | None = None) -> Iterator[Visited]:
        """See `Transport.visit_all`."""
        results: queue.SimpleQueue[Visited] = queue.SimpleQueue()
        left, busy = iter(visits), 0
        while True:
            while (at_once is None or busy < at_once) and (visit := next(left, None)) is not None:
                busy += 1
                try:
                    self.start(visit, results.put)
                except Exception as error:  # noqa: BLE001  the result of this visit, whatever it is
                    results.put((visit, error))
            if not busy:
                return
            yield _next(results)
            busy -= 1


def _next(results: "queue.SimpleQueue[Visited]") -> Visited:
    """The next result, waited for in short pieces so that a signal is noticed."""
    while True:
        try:
            return results.get(timeout=NOTICED_S)
        except queue.Empty:
            continue
