"""One thread for all sockets: it waits for them, for moments, and for what other threads want done."""

import selectors
import socket
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from heapq import heappop, heappush
from itertools import count
from threading import Lock, Thread
from time import monotonic
from typing import Protocol

READ, WRITE = selectors.EVENT_READ, selectors.EVENT_WRITE


class Watcher(Protocol):
    """Who is told of a socket."""

    def on_socket(self, ready: int) -> None:
        """It can be read or written, or is broken."""


class Alarm:
    """Something that is to be done at a moment."""

    __slots__ = ("_call",)

    def __init__(self, call: Callable[[], object]) -> None:
        self._call: Callable[[], object] | None = call

    def ring(self) -> None:
        """The moment has come."""
        call, self._call = self._call, None
        if call is not None:
            call()

    def off(self) -> None:
        """It is not to be done any more; nothing of it is kept until then."""
        self._call = None


class OverError(Exception):
    """The loop has ended, and does nothing any more."""


class Loop:
    """Begun by its first call, ended by `end`; it never keeps a process from its own end."""

    def __init__(self) -> None:
        self._calls: deque[Callable[[], object]] = deque()
        self._moments: list[tuple[float, int, Alarm]] = []
        self._numbers = count()
        self._lock = Lock()
        self._running = False
        self._rung = False
        self._ending = False

    def call(self, call: Callable[[], object]) -> None:
        """Have something done on the loop's thread; raises `OverError` when there is none any more."""
        with self._lock:
            if self._ending:
                raise OverError
            self._append(call)

    def end(self, last: Callable[[], object]) -> None:
        """Do one last thing, after all that was asked for before, and end."""
        with self._lock:
            self._ending = True
            if self._running:
                self._append(last)

    def _append(self, call: Callable[[], object]) -> None:
        self._calls.append(call)
        if not self._running:
            self._begin()
        if not self._rung:
            self._rung = True
            self._bell.send(b"!")

    def _begin(self) -> None:
        self._running = True
        self._selector = selectors.DefaultSelector()
        self._bell, self._ear = socket.socketpair()
        self._selector.register(self._ear, READ, self)
        Thread(target=self._run, name="ipsecfleet-loop", daemon=True).start()

    def at(self, moment: float, call: Callable[[], object]) -> "Alarm":
        """Have something done at a moment of `time.monotonic`, unless that is called off."""
        alarm = Alarm(call)
        heappush(self._moments, (moment, next(self._numbers), alarm))
        return alarm

    def later(self, call: Callable[[], object]) -> None:
        """Have something done when what is being done now is over; for what is on the loop's thread already."""
        self._calls.append(call)

    def watch(self, sock: socket.socket, events: int, watcher: Watcher) -> None:
        """Tell `watcher` of these events of a socket, and of no others any more."""
        if sock in self._selector.get_map():
            self._selector.modify(sock, events, watcher)
        else:
            self._selector.register(sock, events, watcher)

    def forget(self, sock: socket.socket) -> None:
        """Tell nobody of a socket any more."""
        with suppress(KeyError, ValueError):
            self._selector.unregister(sock)

    def on_socket(self, _ready: int) -> None:
        """Somebody rang."""
        self._ear.recv(64)

    def _run(self) -> None:
        while not (self._ending and not self._calls):
            for key, ready in self._selector.select(self._patience()):
                key.data.on_socket(ready)
            self._do_calls()
            self._do_moments()
        self._selector.close()
        self._bell.close()
        self._ear.close()

    def _patience(self) -> float | None:
        if self._calls:
            return 0.0
        return max(0.0, self._moments[0][0] - monotonic()) if self._moments else None

    def _do_calls(self) -> None:
        with self._lock:
            self._rung = False
            calls = tuple(self._calls)
            self._calls.clear()
        for call in calls:
            call()

    def _do_moments(self) -> None:
        """What is due, after all that had arrived by then was read."""
        now = monotonic()
        while self._moments and self._moments[0][0] <= now:
            heappop(self._moments)[2].ring()
