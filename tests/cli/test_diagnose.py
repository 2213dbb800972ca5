"""diagnose as an operator runs it, against a lab with what can go wrong: by real SSH, real files, a real FIFO."""

import signal
from collections.abc import Iterator
from pathlib import Path

import pytest
from servers import wait_for

from cli import Lab, running_lab
from ipsecfleet.lab.scenario import TEST_PSK

pytestmark = pytest.mark.lab

HUB, BRANCH = "10.1.2.2", "10.1.10.2"
OSLO = ("-t", "oslo-fra")


@pytest.fixture(scope="module")
def own(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    folder = tmp_path_factory.mktemp("own")
    with running_lab(folder / "lab", folder / "home") as running:
        yield running


def play(own: Lab, fault: str, seconds: float, peer: str = HUB) -> dict:
    """What is said of the tunnel to that peer a while after something went wrong; then it is well again.

    Between two attempts less is known, so the next one is waited for.
    """
    own.run("lab", "fault", fault, peer, "--dir", str(own.root))
    own.advance(seconds)
    for _ in range(8):
        said = own.run("diagnose", *OSLO, "-o", "json", *(("--for", "130s") if fault == "stalled" else ()))
        if said.json["diagnoses"][0]["cause"] is not None:
            break
        own.advance(20)
    own.run("lab", "fault", "off", fault, peer, "--dir", str(own.root))
    own.advance(400)
    assert own.run("show", *OSLO, "-o", "json").json["tunnels"][0]["state"] == "up"
    assert said.code == 6, said
    (found,) = said.json["diagnoses"]
    return found


@pytest.mark.parametrize(
    ("fault", "seconds", "cause", "quote"),
    [
        ("wrong-psk", 100, "wrong PSK", "PAYLOAD_MALFORMED"),
        ("wrong-id", 100, "ID mismatch", "other than expected nobody.example.com"),
        (
            "wrong-proposal",
            100,
            "phase 1 proposal mismatch",
            "attribute_unacceptable: HASH_ALGORITHM: got SHA, expected MD5",
        ),
        ("peer-mute", 1400, "our side silent to the peer", "giving up on exchange"),
        ("peer-deaf", 1400, "peer silent", "giving up on exchange"),
        ("stalled", 1400, "phase 2 refused", "INVALID_ID_INFORMATION"),
    ],
)
def test_a_fault_of_the_lab_is_found(own: Lab, fault: str, seconds: float, cause: str, quote: str) -> None:
    found = play(own, fault, seconds)
    assert found["cause"] == cause, found
    assert any(quote in (e["quote"] or "") for e in found["evidence"]), found
    assert [end["gateway"] for end in found["ends"]] == ["hub-fra1", "br-oslo"]


def test_what_a_wrong_conf_differs_in_is_told_beside_the_file(own: Lab) -> None:
    files = {e["gateway"]: e["file"] for e in play(own, "wrong-psk", 100)["ends"]}
    assert files == {"hub-fra1": "not as loaded: key", "br-oslo": "as loaded"}


def test_who_took_it_down_is_told_by_the_gateways_own_log(own: Lab) -> None:
    assert own.run("down", *OSLO, "--yes").code == 0
    (found,) = own.run("diagnose", *OSLO, "-o", "json").json["diagnoses"]
    assert own.run("up", *OSLO, "--yes").code == 0
    assert found["cause"] == "held"
    assert any("@" in (e["quote"] or "") and "Held-Passive-Connections=" in e["quote"] for e in found["evidence"]), (
        found
    )


def test_passive_mode_shows_in_two_looks(own: Lab) -> None:
    with own.fault("passive-mode", "br-oslo"):
        own.run("lab", "advance", "1500s", "--dir", str(own.root))
        first = own.run("diagnose", *OSLO)
        second = own.run("diagnose", *OSLO, "--for", "70s")
    own.advance(400)
    assert "passive mode? a check goes by" in first.said
    assert "oslo-fra down: passive mode" in second.said


def test_a_dead_daemon_and_one_that_was_killed(own: Lab) -> None:
    for fault, cause in (
        ("daemon-dead", "daemon dead"),
        ("fifo-no-reader", "FIFO broken"),
        ("fifo-regular", "FIFO broken"),
    ):
        with own.fault(fault, "br-oslo"):
            said = own.run("diagnose", *OSLO)
        assert (said.code, f"oslo-fra unknown: {cause}" in said.said) in {(6, True), (3, True)}, said
        own.advance(400)


def test_with_one_end_ours_it_says_what_the_other_must_look_for(own: Lab) -> None:
    said = own.run("diagnose", "-t", "customer-6")
    assert said.code == 6
    assert "customer-6 half-up: not decided phase 1 with 10.2.6.1 stands, and phase 2 is not answered" in said.said
    assert "initiator id 172.16.6.0/255.255.255.0, responder id 192.168.6.0/255.255.255.0" in said.said
    assert '"dropped message from 10.1.3.2 ... INVALID_ID_INFORMATION"' in said.said


def test_no_key_comes_out_of_a_log_that_has_it(own: Lab) -> None:
    with own.fault("key-in-log", "hub-ams1"):
        said = [own.run("diagnose", "-t", "customer-6", "-o", form) for form in ("table", "json", "plain")]
    assert TEST_PSK in (own.files("hub-ams1") / "log" / "daemon").read_text()
    assert all(TEST_PSK not in ran.out + ran.err for ran in said)


def levels(own: Lab, gateway: str = "hub-ams1") -> list[str]:
    return [str(e["line"]) for e in own.events(gateway) if e["event"] == "fifo" and str(e["line"]).startswith("D ")]


def test_a_class_of_debugging_is_raised_for_a_moment(own: Lab) -> None:
    before = len(levels(own))
    said = own.run("diagnose", "-t", "customer-6", "--debug-class", "exch=40", "--for", "30s")
    assert said.code == 6
    assert "was not seen in its log" not in said.said
    assert levels(own)[before:] == ["D 7 40", "D 7 0"]


@pytest.mark.parametrize("ending", [signal.SIGINT, signal.SIGKILL])
def test_the_level_is_put_back_whatever_becomes_of_us(own: Lab, ending: signal.Signals) -> None:
    before = len(levels(own))
    running = own.run.start("diagnose", "-t", "customer-6", "--debug-class", "Exch=40", "--for", "40s")
    wait_for(lambda: levels(own)[before:] == ["D 7 40"], "the level is raised")
    running.process.send_signal(ending)
    running.ended()
    wait_for(lambda: levels(own)[before:] == ["D 7 40", "D 7 0"], "the level is put back")


@pytest.mark.parametrize(
    ("words", "code", "says"),
    [
        (("--debug-class", "UI=30"), 4, "level 30 of UI may print keys"),
        (("--debug-class", "Cryp=10"), 4, "may print keys"),
        (("--debug-class", "Exch"), 2, "is no CLASS=LEVEL"),
        (("--debug-class", "Exch=40", "--for", "1h"), 2, "a class is raised for 120 s at most"),
        (("--since", "0s"), 2, "--since '0s' is no time at all"),
        (("--watch", "0.2s"), 2, "--watch looks once a second at most"),
        (("--watch", "5s", "--for", "5s"), 2, "--watch looks again by itself"),
    ],
)
def test_what_cannot_be_asked(own: Lab, words: tuple[str, ...], code: int, says: str) -> None:
    with own.untouched():
        said = own.run("diagnose", "-t", "customer-6", *words)
    assert (said.code, says in said.said) == (code, True), said


def test_in_a_pipe_a_watch_tells_each_verdict_that_changes(own: Lab) -> None:
    running = own.run.start("diagnose", "-t", "customer-1", "--watch", "1s")
    line = running.process.stdout.readline().decode()
    assert line.split("\t")[1:] == ["customer-1", "up", "nothing\n"]
    own.run("lab", "fault", "peer-silent", "10.2.1.1", "--dir", str(own.root))
    own.advance(1100)
    second = running.process.stdout.readline().decode().split("\t")
    assert second[1] == "customer-1"
    assert second[3] != "nothing\n"
    running.process.send_signal(signal.SIGINT)
    assert running.ended().code == 0
    own.run("lab", "fault", "off", "peer-silent", "--dir", str(own.root))
    own.advance(400)


def test_a_saved_snapshot_has_no_log(own: Lab, tmp_path: Path) -> None:
    """An attempt that has just begun is not judged, so the moment is one at which it is old enough."""
    file = tmp_path / "look"
    for _ in range(8):
        assert own.run("show", "--save", str(file)).code == 0
        said = own.run("diagnose", "-t", "customer-6", "--from-snapshot", str(file))
        assert said.code == 6
        if "may still go on" not in said.said:
            break
        own.advance(20)
    assert "phase 2 is not answered" in said.said
