"""What holds for every transport, the fake one too, which here runs its commands on this machine."""

import subprocess
import time
from collections.abc import Callable, Iterator

import pytest

from ipsecfleet.errors import GatewayError, UnreachableError
from ipsecfleet.model.fleet import Gateway
from ipsecfleet.transport import FakeTransport, Outcome, Transport, Visit


def run_here(visit: Visit) -> Outcome:
    began = time.monotonic()
    done = subprocess.run(visit.command, shell=True, input=visit.stdin, capture_output=True, check=False)
    return Outcome(done.stdout, done.stderr, done.returncode, time.monotonic() - began)


@pytest.fixture(params=["fake", "fast", "general"])
def kind(request: pytest.FixtureRequest) -> str:
    return request.param


@pytest.fixture
def path(kind: str) -> str:
    return kind


@pytest.fixture
def transport(kind: str, request: pytest.FixtureRequest) -> Transport:
    return FakeTransport(run_here) if kind == "fake" else request.getfixturevalue("ssh")


@pytest.fixture
def gateway(kind: str, request: pytest.FixtureRequest) -> Gateway:
    return Gateway("hub", "10.0.0.1") if kind == "fake" else request.getfixturevalue("sshd").gateway()


@pytest.fixture
def visit(transport: Transport, gateway: Gateway) -> Callable[..., Outcome]:
    def run(command: str, stdin: bytes = b"", **options: object) -> Outcome:
        return transport.visit(Visit(gateway, command, stdin, **{"deadline_s": 5.0, "limit": 1000} | options))

    return run


def test_bytes_go_in_and_come_out_on_two_streams(visit: Callable[..., Outcome]) -> None:
    outcome = visit(r"cat; printf '\377' >&2; exit 3", b"\x00\xff\r\n")
    assert (outcome.stdout, outcome.stderr, outcome.exit) == (b"\x00\xff\r\n", b"\xff", 3)
    assert 0 < outcome.elapsed_s < 5


def test_a_failing_command_is_an_answer(visit: Callable[..., Outcome]) -> None:
    assert visit("exit 1") == Outcome(b"", b"", 1, pytest.approx(0, abs=5))


def test_both_streams_count_for_the_limit(visit: Callable[..., Outcome]) -> None:
    both = "head -c {0} /dev/zero; head -c {0} /dev/zero >&2"
    assert len(visit(both.format(500)).stdout) == 500
    with pytest.raises(GatewayError, match="too much output: hub sent more than 1000 bytes") as caught:
        visit(both.format(501))
    assert (caught.value.phase, caught.value.obj) == ("command", "hub")


def test_a_command_that_does_not_end_in_time(visit: Callable[..., Outcome]) -> None:
    with pytest.raises(GatewayError, match=r"no end: the command on hub ran over 0.2 s") as caught:
        visit("sleep 0.4", deadline_s=0.2)
    assert (caught.value.phase, type(caught.value)) == ("command", GatewayError)
    assert visit("echo again").stdout == b"again\n"


def test_it_is_told_once_that_the_command_has_started(visit: Callable[..., Outcome]) -> None:
    started: list[str] = []
    visit("true", on_started=lambda: started.append("yes"))
    assert started == ["yes"]


def test_a_closed_transport_visits_nobody(transport: Transport, visit: Callable[..., Outcome]) -> None:
    visit("true")
    transport.close()
    with pytest.raises(UnreachableError) as caught:
        visit("true")
    assert (caught.value.phase, caught.value.obj) == ("tcp", "hub")


def test_many_come_back_as_they_end_each_with_its_own(transport: Transport, gateway: Gateway) -> None:
    visits = [Visit(gateway, f"echo {n}; exit {n}", b"", 5.0, 100) for n in range(8)]
    came = list(transport.visit_all(visits))
    assert sorted(visit.command for visit, _ in came) == sorted(visit.command for visit in visits)
    assert all(
        result.stdout == b"%d\n" % result.exit and visit.command.endswith(f"exit {result.exit}")
        for visit, result in came
    )


def test_a_failure_is_the_result_of_its_visit_alone(transport: Transport, gateway: Gateway) -> None:
    visits = [Visit(gateway, "true", b"", 5.0, 100), Visit(gateway, "head -c 101 /dev/zero", b"", 5.0, 100)]
    results = [result for _, result in transport.visit_all(visits, at_once=1)]
    assert isinstance(results[0], Outcome)
    assert isinstance(results[1], GatewayError)


def test_a_visit_is_taken_when_it_is_its_turn(transport: Transport, gateway: Gateway) -> None:
    taken: list[int] = []

    def visits() -> Iterator[Visit]:
        for n in range(6):
            taken.append(n)
            yield Visit(gateway, "true", b"", 5.0, 100)

    came = [len(taken) for _ in transport.visit_all(visits(), at_once=2)]
    assert len(came) == 6
    assert all(now <= done + 2 for done, now in enumerate(came))
