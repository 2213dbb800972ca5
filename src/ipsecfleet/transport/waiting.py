"""A wait with an end, for calls that have none.

Name resolution, an agent, a proxy command and paramiko's writes to a frozen server can block for good. Such a call
gets a daemon thread of its own; who asked for it waits no longer than allowed, and the process can always exit.
"""

from collections.abc import Callable
from concurrent.futures import Future, wait
from threading import Thread
from typing import TypeVar

T = TypeVar("T")


class OverdueError(TimeoutError):
    """The call was still running when its time was up."""


def within(seconds: float, call: Callable[[], T], *, late: Callable[[T], object] | None = None) -> T:
    """The result of the call, or `OverdueError`; a result that comes too late goes to `late`."""
    future: Future[T] = Future()
    Thread(target=_fulfil, args=(future, call), name="ipsecfleet-within", daemon=True).start()
    wait([future], timeout=max(seconds, 0))
    if future.done():
        return future.result()
    if late is not None:
        dispose = late
        future.add_done_callback(lambda done: None if done.exception() else dispose(done.result()))
    raise OverdueError


def _fulfil(future: Future[T], call: Callable[[], T]) -> None:
    try:
        future.set_result(call())
    except BaseException as error:  # noqa: BLE001  whatever it is, it belongs to the one who waits
        future.set_exception(error)
