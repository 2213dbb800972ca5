"""What a visit asks and what becomes of answers that are not whole."""

import gzip
from dataclasses import replace

import pytest
from visits import request_in

from ipsecfleet.errors import GatewayError, IpsecfleetError, UnreachableError
from ipsecfleet.isakmpd import verbs, visit
from ipsecfleet.model.fleet import Gateway, Paths
from ipsecfleet.model.snapshot import GatewaySnapshot
from ipsecfleet.run.probe import GLANCE, STARE, Prober
from ipsecfleet.transport import FakeTransport, Outcome, Visit

HUB = Gateway("hub", "198.51.100.11", user="ipsecops", command_timeout=30.0, paths=Paths("/r", "/e", "/b"))
SHAKEN = b"ipsecfleet 192.0.2.7 50022 198.51.100.11 22\n"


def prober(stdout: bytes, stderr: bytes = b"", status: int = 1) -> Prober:
    return Prober(FakeTransport(lambda _visit: Outcome(stdout, stderr, status, 0.1)), who="RUN ops@desk")


def whole(asked: Visit, body: bytes = b"") -> Outcome:
    nonce = request_in(asked.stdin).split()[2].encode()
    section = nonce + b" flows ok %d\n%b\n" % (len(body), body)
    return Outcome(SHAKEN + b"ipsecfleet 1 " + nonce + b"\n" + section + nonce + b" done 1\n", b"", 0, 0.1)


def failure(made: Prober, gateway: Gateway = HUB) -> GatewayError:
    with pytest.raises(GatewayError) as caught:
        made.visit(gateway, STARE)
    return caught.value


def test_doas_refused() -> None:
    error = failure(prober(SHAKEN, b"motd\ndoas: Operation not permitted\n"))
    assert (error.kind, error.phase, error.obj) == ("doas", "command", "hub")
    assert error.message == "doas on hub refused: doas: Operation not permitted"
    assert "permit nopass ipsecops as root cmd /usr/bin/perl" in error.hint


def test_where_the_account_is_restricted_every_hint_leads_to_the_installed_program() -> None:
    restricted = replace(HUB, privilege="restricted")
    denied = failure(prober(SHAKEN, b"doas: Operation not permitted\n"), restricted)
    assert f'"permit nopass ipsecops as root cmd {visit.INSTALLED} args"' in denied.hint
    missing = failure(prober(SHAKEN, f"doas: {visit.INSTALLED}: command not found\n".encode()), restricted)
    assert missing.hint == "install the visit program there: ipsecfleet check --install-help"
    old = failure(prober(SHAKEN, b"ipsecfleet: not a request of version 1\n", 2), restricted)
    assert (old.kind, old.hint) == ("incomplete", "compare what is installed there: ipsecfleet check --install-help")
    assert denied.hint.endswith("ipsecfleet check --install-help")


def test_a_program_that_refuses_the_request_has_done_nothing() -> None:
    def answer(asked: Visit) -> Outcome:
        nonce = request_in(asked.stdin).split()[2].encode()
        why = b"malformed request: a verb is unknown"
        section = nonce + b" request invalid %d\n%b\n" % (len(why), why)
        return Outcome(SHAKEN + b"ipsecfleet 1 " + nonce + b"\n" + section + nonce + b" done 1\n", b"", 0, 0.1)

    made = Prober(FakeTransport(answer), who="RUN ops@desk")
    error = failure(made, replace(HUB, privilege="restricted"))
    assert (error.kind, error.message) == (
        "request", "the visit program on hub refused: malformed request: a verb is unknown",
    )  # fmt: skip
    assert error.hint == "compare what is installed there: ipsecfleet check --install-help"


def test_our_command_did_not_run() -> None:
    error = failure(prober(b"", b"This account is currently not available.\n"))
    assert (error.kind, error.message) == (
        "command", "hub did not run our command: This account is currently not available.",
    )  # fmt: skip
    assert failure(prober(b"")).message == "hub did not run our command: no answer"


@pytest.mark.parametrize(("stderr", "why"), [(b"", "exit status 255"), (b"perl: not found\n", "perl: not found")])
def test_an_answer_that_was_cut_off(stderr: bytes, why: str) -> None:
    error = failure(prober(SHAKEN + b"ipsecfleet 1 x\n", stderr, 255))
    assert (error.kind, error.message) == ("incomplete", f"the answer of hub is not whole: {why}")


def test_the_request() -> None:
    fake = FakeTransport(whole)
    Prober(fake, who="RUN ops@desk").visit(HUB, (verbs.Flows(),))
    Prober(fake, who="RUN ops@desk", timeout=2.0).visit(HUB, (verbs.Flows(),))
    first, second = fake.visits
    assert "doas -n /usr/bin/perl -T -" in first.command
    assert gzip.decompress(first.stdin).startswith(visit.sent_program())
    lines = request_in(first.stdin).splitlines()
    head = ["run /r", "etc /e", "bin /b", "who RUN ops@desk", "pack 14000", "deadline 27.000"]
    assert lines[1:] == [*head, "", "flows", "end"]
    assert (first.deadline_s, second.deadline_s) == (30.0, 2.0)
    assert "\ndeadline 1.000\n" in request_in(second.stdin)
    assert lines[0] != request_in(second.stdin).splitlines()[0]


def test_in_restricted_mode_no_program_is_sent() -> None:
    fake = FakeTransport(whole)
    Prober(fake, who="RUN ops@desk").visit(Gateway("hub", "x", privilege="restricted"), (verbs.Flows(),))
    assert fake.visits[0].stdin.startswith(b"ipsecfleet 1 ")


def test_all_are_looked_at_in_the_order_they_were_named_and_heard_of_as_they_arrive() -> None:
    heard: list[tuple[str, bool]] = []

    def answer(asked: Visit) -> Outcome:
        if asked.gateway.name == "b":
            raise UnreachableError("no answer: b", phase="tcp", obj="b")
        return whole(asked)

    def arrived(name: str, seen: GatewaySnapshot | GatewayError) -> None:
        heard.append((name, isinstance(seen, GatewaySnapshot)))

    made = Prober(FakeTransport(answer), who="RUN x@y", fanout=1, arrived=arrived)
    snapshot = made.look(Gateway(n, n) for n in "abca")
    assert (list(snapshot.gateways), list(snapshot.failed)) == (["a", "c"], ["b"])
    assert heard == [("a", True), ("b", False), ("c", True)]
    assert made.answers == {}


def test_answers_are_kept_for_who_asks() -> None:
    made = Prober(FakeTransport(whole), who="RUN x@y", keep=True)
    made.look([HUB], GLANCE)
    assert made.answers["hub"].complete


def test_conf_files_are_asked_for_by_gateway() -> None:
    fake = FakeTransport(whole)
    Prober(fake, who="RUN x@y").look([HUB, Gateway("b", "b")], (verbs.Flows(),), {"hub": ["/etc/IPsec/x.conf"]})
    asked = {v.gateway.name: "\nconf /etc/IPsec/x.conf\n" in request_in(v.stdin) for v in fake.visits}
    assert asked == {"hub": True, "b": False}


@pytest.mark.parametrize("error", [KeyError("a bug"), IpsecfleetError("not a gateway's")])
def test_what_is_no_gateways_error_is_raised(error: Exception) -> None:
    def answer(_visit: Visit) -> Outcome:
        raise error

    with pytest.raises(type(error)):
        Prober(FakeTransport(answer), who="RUN x@y").look([HUB])


def test_what_a_gateway_waited_for_its_turn_counts_up_to_half(monkeypatch: pytest.MonkeyPatch) -> None:
    now, asked = [100.0], list[tuple[float, float]]()

    def answer(visited: Visit) -> Outcome:
        request = request_in(visited.stdin)
        told = next(line for line in request.splitlines() if line.startswith("deadline "))
        asked.append((visited.deadline_s, float(told.split()[1])))
        now[0] += 5.5 if len(asked) == 1 else 500
        return whole(visited)

    monkeypatch.setattr("ipsecfleet.run.probe.monotonic", lambda: now[0])
    Prober(FakeTransport(answer), who="RUN ops@desk").look([replace(HUB, name=n) for n in "abc"], GLANCE)
    assert asked == [(30.0, 27.0), (25.0, 22.0), (15.0, 12.0)]


def test_a_gateway_without_gzip_is_asked_once_more_in_plain_and_from_then_on() -> None:
    def answer(asked: Visit) -> Outcome:
        packed = asked.stdin.startswith(b"\x1f\x8b")
        return Outcome(SHAKEN, b"", visit.NO_GZIP, 0.1) if packed and asked.gateway.name == "b" else whole(asked)

    fake = FakeTransport(answer)
    made = Prober(fake, who="RUN ops@desk")
    for _ in range(2):
        assert list(made.look([replace(HUB, name=n) for n in "abc"], GLANCE).gateways) == ["a", "b", "c"]
    assert [v.gateway.name for v in fake.visits] == [*"abcb", *"abc"]
