import threading

import pytest

from ipsecfleet.errors import GatewayError
from ipsecfleet.transport.crew import Crew, fan_out


def divided(number: int) -> int:
    if number == 2:
        raise GatewayError("gateway 2 hung up")
    return 10 // (number - 2)


@pytest.mark.parametrize("limit", [0, 1, 3, 100])
def test_every_item_comes_back_with_its_result_or_its_error(limit: int) -> None:
    found = dict(fan_out(range(5), divided, limit=limit))
    assert {n: r for n, r in found.items() if n != 2} == {0: -5, 1: -10, 3: 10, 4: 5}
    assert isinstance(found[2], GatewayError)


@pytest.mark.parametrize("limit", [1, 3])
def test_a_bug_is_the_result_of_its_item_alone(limit: int) -> None:
    results = dict(fan_out(range(3), lambda n: 10 // (n - 2), limit=limit))
    assert isinstance(results.pop(2), ZeroDivisionError)
    assert results == {0: -5, 1: -10}


def test_nothing_to_do() -> None:
    assert list(fan_out([], str, limit=3)) == []


def test_never_more_at_once_than_the_limit_and_as_many_as_it_allows() -> None:
    barrier, lock = threading.Barrier(3, timeout=10), threading.Lock()
    running, most = 0, 0

    def work(_item: int) -> None:
        nonlocal running, most
        with lock:
            running += 1
            most = max(most, running)
        barrier.wait()
        with lock:
            running -= 1

    results = [result for _, result in fan_out(range(9), work, limit=3)]
    assert results == [None] * 9
    assert most == 3


def test_results_come_as_they_arrive() -> None:
    first = threading.Event()
    work = {"slow": lambda: first.wait(10), "quick": lambda: True}
    arrived = fan_out(work, lambda name: work[name](), limit=2)
    assert next(arrived) == ("quick", True)
    first.set()
    assert next(arrived) == ("slow", True)


def test_without_a_hand_the_work_is_done_by_who_takes_it() -> None:
    done: list[int] = []
    with Crew(done.append, limit=0) as crew:
        crew.give(1)
        crew.give(2)
        assert done == []
        assert crew.take(0) == (1, None)
        assert done == [1]
    assert crew.take(0) is None


def test_what_was_not_begun_when_the_crew_goes_is_not_done() -> None:
    begun, gate, done = threading.Event(), threading.Event(), list[int]()

    def work(number: int) -> None:
        begun.set()
        gate.wait(10)
        done.append(number)

    with Crew(work, limit=1) as crew:
        for n in (1, 2, 3):
            crew.give(n)
        assert begun.wait(10)
    gate.set()
    assert crew.take(5) == (1, None)
    assert done == [1]
