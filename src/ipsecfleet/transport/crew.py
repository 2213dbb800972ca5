"""Many gateways side by side: a bounded number of daemon threads, results as they arrive.

Daemon threads, because a process must be able to end although a gateway hangs; every piece of work has a deadline of
its own, so none is waited for without an end. They are waited for in short pieces: a signal that comes between the
interpreter's own check and a wait of the C library is noticed only when that wait ends.
"""

import queue
import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from typing import Generic, TypeVar

NOTICED_S = 0.2
"""How late a signal is noticed at most."""

Item = TypeVar("Item")
Result = TypeVar("Result")


class Crew(Generic[Item, Result]):
    """Hands that do `work` on items in the order in which they are given, at most `limit` at once, None for no limit.

    With a limit of 0 there is no thread: an item is done when somebody comes to take one, always in the same order.
    """

    def __init__(self, work: Callable[[Item], Result], *, limit: int | None) -> None:
        self._work = work
        self._limit = limit
        self._threads = 0
        self._todo: queue.SimpleQueue[Item | None] = queue.SimpleQueue()
        self._done: queue.SimpleQueue[tuple[Item, Result | BaseException]] = queue.SimpleQueue()
        self.busy = 0
        """How many items were given and not handed back."""

    def __enter__(self) -> "Crew[Item, Result]":
        return self

    def __exit__(self, *_error: object) -> None:
        """What was not begun is not done any more."""
        with suppress(queue.Empty):
            while True:
                self._todo.get_nowait()
                self.busy -= 1
        for _ in range(self._threads):
            self._todo.put(None)

    def give(self, item: Item) -> None:
        """Have it done as soon as there is a hand."""
        self.busy += 1
        self._todo.put(item)
        if self._threads < (self.busy if self._limit is None else min(self._limit, self.busy)):
            self._threads += 1
            threading.Thread(target=self._serve, daemon=True).start()

    def take(self, seconds: float = NOTICED_S) -> tuple[Item, Result | Exception] | None:
        """An item that is done, with its result or its error, or None after so many seconds of our own.

        What ends a process is raised here.
        """
        if self._limit == 0 and self.busy:
            self._do(self._todo.get())
        try:
            item, result = self._done.get(timeout=seconds) if seconds > 0 else self._done.get_nowait()
        except queue.Empty:
            return None
        self.busy -= 1
        if isinstance(result, BaseException) and not isinstance(result, Exception):
            raise result
        return item, result

    def _serve(self) -> None:
        while (item := self._todo.get()) is not None:
            self._do(item)

    def _do(self, item: Item | None) -> None:
        if item is None:
            return
        try:
            self._done.put((item, self._work(item)))
        except BaseException as error:  # noqa: BLE001  # handed to whoever takes the results
            self._done.put((item, error))


def fan_out(
    items: Iterable[Item], work: Callable[[Item], Result], *, limit: int | None
) -> Iterator[tuple[Item, Result | Exception]]:
    """Do `work` on every item, at most `limit` at once; yields each item with its result or its error."""
    with Crew(work, limit=limit) as crew:
        for item in items:
            crew.give(item)
        while crew.busy:
            done = crew.take()
            if done is not None:
                yield done
