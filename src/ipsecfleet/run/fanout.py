"""Many gateways side by side: a bounded number of daemon threads, results as they arrive.

Daemon threads, because a process must be able to end although a gateway hangs; every piece of work has a deadline of
its own, so none is waited for without an end. They are waited for in short pieces: a signal that comes between the
interpreter's own check and a wait of the C library is noticed only when that wait ends.
"""

import queue
import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from typing import TypeVar

NOTICED_S = 0.2
"""How late a signal is noticed at most."""

Item = TypeVar("Item")
Result = TypeVar("Result")


def fan_out(
    items: Iterable[Item], work: Callable[[Item], Result], *, limit: int
) -> Iterator[tuple[Item, Result | Exception]]:
    """Do `work` on every item, at most `limit` at once; yields each item with its result or its error.

    What ends a process is raised here, where the results are read.
    """
    todo: queue.SimpleQueue[Item] = queue.SimpleQueue()
    done: queue.SimpleQueue[tuple[Item, Result | BaseException]] = queue.SimpleQueue()
    count = 0
    for item in items:
        todo.put(item)
        count += 1
    for _ in range(min(max(limit, 1), count)):
        threading.Thread(target=_worker, args=(todo, done, work), daemon=True).start()
    for _ in range(count):
        item, result = _next(done)
        if isinstance(result, BaseException) and not isinstance(result, Exception):
            raise result
        yield item, result


def _next(done: "queue.SimpleQueue[tuple[Item, Result | BaseException]]") -> tuple[Item, Result | BaseException]:
    while True:
        with suppress(queue.Empty):
            return done.get(timeout=NOTICED_S)


def _worker(
    todo: "queue.SimpleQueue[Item]",
    done: "queue.SimpleQueue[tuple[Item, Result | BaseException]]",
    work: Callable[[Item], Result],
) -> None:
    while True:
        try:
            item = todo.get_nowait()
        except queue.Empty:
            return
        try:
            done.put((item, work(item)))
        except Exception as error:  # noqa: BLE001  # handed to whoever reads the results
            done.put((item, error))
        except BaseException as error:  # noqa: BLE001  # the same, and nothing more is done
            done.put((item, error))
            return
