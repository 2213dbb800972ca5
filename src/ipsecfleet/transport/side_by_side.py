"""Many visits at once over whatever can start one: results as they arrive, none begun before its turn."""

import queue
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress

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
        crowd = _Crowd(self.start, iter(visits), at_once)
        crowd.fill()
        return crowd.results()


class _Crowd:
    """Visits that are under way, and those that wait for their turn."""

    def __init__(
        self, start: Callable[[Visit, Callable[[Visited], object]], None], waiting: Iterator[Visit], at_once: int | None
    ) -> None:
        self._start = start
        self._waiting = waiting
        self._at_once = at_once
        self._ended: queue.SimpleQueue[Visited] = queue.SimpleQueue()
        self._busy = 0

    def fill(self) -> None:
        """Begin as many as may be under way."""
        while self._at_once is None or self._busy < self._at_once:
            visit = next(self._waiting, None)
            if visit is None:
                return
            self._busy += 1
            try:
                self._start(visit, self._ended.put)
            except Exception as error:  # noqa: BLE001  the result of this visit, whatever it is
                self._ended.put((visit, error))

    def results(self) -> Iterator[Visited]:
        """Each as it ends; then there is room for the next."""
        while self._busy:
            visited = self._next()
            self._busy -= 1
            yield visited
            self.fill()

    def _next(self) -> Visited:
        """The next result, waited for in short pieces so that a signal is noticed."""
        while True:
            with suppress(queue.Empty):
                return self._ended.get(timeout=NOTICED_S)
