"""Connections that are opened once, shared, and never hammered.

One `Link` per gateway and one per jump host, kept for the life of the run.
"""

import copy
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from threading import BoundedSemaphore, Lock
from typing import Any

from ipsecfleet.errors import UnreachableError
from ipsecfleet.transport import failures
from ipsecfleet.transport.credentials import Credentials
from ipsecfleet.transport.general.opening import Attempt, hang_up
from ipsecfleet.transport.manners import HANDSHAKES, LASTING
from ipsecfleet.transport.route import Route


class Link:
    """The one connection of a route, opened when it is asked for and again when it has died."""

    def __init__(self, route: Route, opener: Callable[[Route], Any]) -> None:
        self.route = route
        self._opener = opener
        self._lock = Lock()
        self._connection: Any = None
        self._failure: UnreachableError | None = None
        self._failed_at = 0.0

    def connection(self) -> tuple[Any, bool]:
        """The open `fabric.Connection`, and whether it was opened just now."""
        asked = time.monotonic()
        with self._lock:
            if self.alive:
                return self._connection, False
            self._raise_failure(asked)
            self._connection = self._opened()
            return self._connection, True

    def _raise_failure(self, asked: float) -> None:
        failure = self._failure
        if failure is not None and (failure.phase in LASTING or asked <= self._failed_at):
            raise copy.copy(failure)

    def _opened(self) -> Any:
        try:
            return self._opener(self.route)
        except UnreachableError as error:
            self._failure = copy.copy(error)
            self._failed_at = time.monotonic()
            raise

    @property
    def alive(self) -> bool:
        """Whether there is a connection and its server has not hung up."""
        return self._connection is not None and bool(self._connection.is_connected)

    def close(self) -> None:
        """Hang up, if it is open."""
        if self._connection is not None:
            hang_up(self._connection)


class Slots:
    """At most so many handshakes at a time with one address, and through one jump host."""

    def __init__(self, at_once: int = HANDSHAKES) -> None:
        self._at_once = at_once
        self._lock = Lock()
        self._slots: dict[object, BoundedSemaphore] = {}

    @contextmanager
    def held(self, route: Route) -> Iterator[None]:
        """A slot for a handshake; each holder's time is bounded, and so is the wait."""
        with ExitStack() as stack:
            stack.enter_context(self._slot((route.host, route.port, route.via)))
            if route.via is not None:
                stack.enter_context(self._slot(route.via))
            yield

    def _slot(self, key: object) -> BoundedSemaphore:
        with self._lock:
            return self._slots.setdefault(key, BoundedSemaphore(self._at_once))


class Links:
    """All links of a run."""

    def __init__(self, credentials: Credentials) -> None:
        self._credentials = credentials
        self._lock = Lock()
        self._links: dict[Route, Link] = {}
        self._slots = Slots()
        self._closed = False

    def to(self, route: Route) -> Link:
        """The link of a route."""
        with self._lock:
            return self._links.setdefault(route, Link(route, self._open))

    def via(self, route: Route) -> Any:
        """The open connection to the jump host of a route, None if it has none."""
        return self.to(route.via).connection()[0] if route.via is not None else None

    def _open(self, route: Route) -> Any:
        offer = self._credentials.offer(route)
        try:
            via = self.via(route)
            trust = self._credentials.trust(route)
            with self._slots.held(route):
                self._refuse_closed(route)
                connection = Attempt(route, via, trust, offer).open()
        finally:
            offer.close()
        if self._closed:
            hang_up(connection)
        self._refuse_closed(route)
        return connection

    def _refuse_closed(self, route: Route) -> None:
        if self._closed:
            raise failures.ending(route.name)

    def close(self) -> None:
        """Hang up everywhere, jump hosts first: what runs through them then ends without a goodbye that may block."""
        self._closed = True
        with self._lock:
            links = sorted(self._links.values(), key=lambda link: link.route.via is not None)
        for link in links:
            link.close()
