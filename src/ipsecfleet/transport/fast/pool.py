"""Which connection serves a visit: one per route, opened when it is needed, shared, and never hammered."""

import copy
from collections import defaultdict, deque
from collections.abc import Callable
from functools import partial

from ipsecfleet.errors import UnreachableError
from ipsecfleet.transport import failures
from ipsecfleet.transport.contract import Visit, Visited
from ipsecfleet.transport.credentials import Credentials
from ipsecfleet.transport.fast.line import Job, Line, UnfitError
from ipsecfleet.transport.fast.loop import Loop, OverError
from ipsecfleet.transport.keys import Offer
from ipsecfleet.transport.manners import HANDSHAKES, LASTING
from ipsecfleet.transport.route import Resolver, Route
from ipsecfleet.transport.side_by_side import SideBySide


class Gate:
    """At most so many at a time for one address; the others wait for their turn."""

    def __init__(self, at_once: int) -> None:
        self._at_once = at_once
        self._inside: dict[object, int] = defaultdict(int)
        self._waiting: dict[object, deque[Callable[[], object]]] = defaultdict(deque)

    def enter(self, key: object, go: Callable[[], object]) -> None:
        """Go in, now or when somebody leaves."""
        if self._inside[key] < self._at_once:
            self._inside[key] += 1
            go()
        else:
            self._waiting[key].append(go)

    def leave(self, key: object) -> None:
        """Let the next one in."""
        if self._waiting[key]:
            self._waiting[key].popleft()()
        else:
            self._inside[key] -= 1


class Way:
    """All visits by one route."""

    def __init__(self, pool: "FastPath", route: Route, offer: Offer) -> None:
        self._pool = pool
        self._route = route
        self._offer = offer
        self._place = (route.host, route.port)
        self._line: Line | None = None
        self._waiting: list[Job] = []
        self._inside = False
        self._failure: Exception | None = None

    def take(self, job: Job) -> None:
        """Serve a visit, now or as soon as there is a connection."""
        if self._failure is not None:
            job.end(_copied(self._failure))
        elif self._line is not None:
            self._line.serve(job)
        else:
            self._waiting.append(job)
            if len(self._waiting) == 1:
                self._pool.gate.enter(self._place, self._dial)

    def _dial(self) -> None:
        self._inside = True
        if self._pool.closed:
            self.close()
            return
        try:
            trust = self._pool.credentials.trust(self._route)
            line = Line(self._pool.loop, self, self._route, self._offer, trust, keep=self._pool.keep)
        except Exception as error:  # noqa: BLE001  known_hosts that cannot be read is the answer to all who wait
            self._leave()
            self._answer([], error)
            return
        self._line = line
        jobs, self._waiting = self._waiting, []
        for job in jobs:
            line.serve(job)
        line.dial()

    def on_ready(self, _line: Line) -> None:
        """The handshake is over."""
        self._leave()

    def on_end(self, _line: Line, error: Exception | None, again: list[Job]) -> None:
        """There is no connection any more."""
        self._line = None
        self._leave()
        if error is not None:
            if isinstance(error, UnfitError) or getattr(error, "phase", "") in LASTING:
                self._failure = error
            self._answer(again, error)
            return
        for job in again:
            self.take(job)

    def _answer(self, jobs: list[Job], error: Exception) -> None:
        jobs, self._waiting = [*jobs, *self._waiting], []
        for job in jobs:
            job.end(_copied(error))

    def _leave(self) -> None:
        if self._inside:
            self._inside = False
            self._pool.gate.leave(self._place)

    def close(self) -> None:
        """Hang up; who waits is told that the run is ending."""
        self._failure = failures.ending(self._route.name)
        self._answer([], self._failure)
        if self._line is not None:
            self._line.close()
        self._leave()


class FastPath(SideBySide):
    """Implements `Transport` for gateways that are reached directly with a key from a file.

    For others, and for servers that share too few algorithms with it, a visit ends with `UnfitError`, and nothing was
    run. With `keep` connections live on for the next visit, without it they end with their last.
    """

    def __init__(self, resolver: Resolver, credentials: Credentials, *, keep: bool = False) -> None:
        self.credentials = credentials
        self.keep = keep
        self.loop = Loop()
        self.gate = Gate(HANDSHAKES)
        self.closed = False
        self._resolver = resolver
        self._ways: dict[Route, Way] = {}

    def start(self, visit: Visit, done: Callable[[Visited], object]) -> None:
        """Have a visit done; `done` is called on the loop's thread."""
        route = self._resolver.route(visit.gateway)
        if self.closed:
            raise failures.ending(visit.gateway.name)
        offer = None if route.via or route.proxy_command else self.credentials.file_key(route)
        if offer is None:
            raise UnfitError(f"{route.name} is not reached directly with a key from a file")
        try:
            self.loop.call(partial(self._take, route, offer, Job(visit, done)))
        except OverError:
            raise failures.ending(route.name) from None

    def _take(self, route: Route, offer: Offer, job: Job) -> None:
        if route not in self._ways:
            self._ways[route] = Way(self, route, offer)
        self._ways[route].take(job)

    def close(self) -> None:
        """End every connection."""
        if not self.closed:
            self.closed = True
            self.loop.end(self._close)

    def _close(self) -> None:
        for way in self._ways.values():
            way.close()


def _copied(error: Exception) -> Exception:
    """An error of one's own for each: a traceback grows where it is raised."""
    return copy.copy(error) if isinstance(error, UnreachableError) else error
