"""Who shares a connection, a failure, a slot."""

from concurrent.futures import ThreadPoolExecutor
from threading import Barrier, Lock, Semaphore

import pytest

from ipsecfleet.errors import UnreachableError
from ipsecfleet.transport.general.links import Link, Slots
from ipsecfleet.transport.route import Route
from ipsecfleet.transport.waiting import OverdueError, within

BASTION = Route("jump host b", "b", 22, "u", 1)


class Connection:
    is_connected = True
    gateway = None


def route(n: int, via: Route | None = BASTION) -> Route:
    return Route(f"g{n}", f"10.0.0.{n}", 22, "u", 1, via=via)


class Opener:
    """Counts what it opens; fails if it is given a phase."""

    def __init__(self, phase: str = "") -> None:
        self.phase = phase
        self.opened = 0

    def __call__(self, to: Route) -> Connection:
        self.opened += 1
        if self.phase:
            raise UnreachableError("no", phase=self.phase, obj=to.name)
        return Connection()


@pytest.mark.parametrize(("via", "expected"), [(BASTION, 4), (None, 12)])
def test_four_at_a_time_through_a_jump_host(via: Route | None, expected: int) -> None:
    slots, lock, inside, most = Slots(4), Lock(), [], []
    together = Barrier(expected)

    def handshake(n: int) -> None:
        with slots.held(route(n, via)):
            with lock:
                inside.append(n)
                most.append(len(inside))
            together.wait(5)
            with lock:
                inside.remove(n)

    with ThreadPoolExecutor(12) as pool:
        list(pool.map(handshake, range(12)))
    assert max(most) == expected


def test_an_open_connection_is_kept_and_a_dead_one_opened_again() -> None:
    opener = Opener()
    link = Link(BASTION, opener)
    first, fresh = link.connection()
    assert (link.connection(), fresh) == ((first, False), True)
    first.is_connected = False
    second, fresh = link.connection()
    assert (second is first, fresh, opener.opened) == (False, True, 2)


@pytest.mark.parametrize(("phase", "attempts"), [("auth", 1), ("hostkey", 1), ("tcp", 2), ("banner", 2), ("kex", 2)])
def test_only_what_may_heal_is_tried_again(phase: str, attempts: int) -> None:
    opener = Opener(phase)
    link = Link(BASTION, opener)
    raised = []
    for _ in range(2):
        with pytest.raises(UnreachableError, match="no") as caught:
            link.connection()
        raised.append(caught.value)
    assert opener.opened == attempts
    assert raised[0] is not raised[1]


class CountedLock:
    """A lock that knows how many have come to it."""

    def __init__(self, expected: int) -> None:
        self._lock = Lock()
        self._coming = Semaphore(0)
        self.expected = expected

    def all_have_come(self) -> bool:
        return all(self._coming.acquire(timeout=5) for _ in range(self.expected))

    def __enter__(self) -> None:
        self._coming.release()
        self._lock.acquire()

    def __exit__(self, *exc: object) -> None:
        self._lock.release()


def test_who_waited_for_an_attempt_shares_its_failure() -> None:
    attempts: list[Route] = []

    def fail(to: Route) -> Connection:
        attempts.append(to)
        assert lock.all_have_come()
        raise UnreachableError("no", phase="tcp")

    def ask(_: int) -> str:
        with pytest.raises(UnreachableError) as caught:
            link.connection()
        return caught.value.phase

    lock, link = CountedLock(5), Link(BASTION, fail)
    link._lock = lock
    with ThreadPoolExecutor(5) as pool:
        assert list(pool.map(ask, range(5))) == ["tcp"] * 5
    assert len(attempts) == 1


def test_a_call_in_time_gives_its_result_or_its_error() -> None:
    assert within(5, lambda: 3) == 3
    with pytest.raises(KeyError):
        within(5, lambda: {}["x"])


def test_a_call_that_is_late_is_left_behind_and_its_result_disposed_of() -> None:
    gate, disposed = Barrier(2), Barrier(2)
    with pytest.raises(OverdueError):
        within(0.01, lambda: gate.wait(5), late=lambda _: disposed.wait(5))
    gate.wait(5)
    disposed.wait(5)
