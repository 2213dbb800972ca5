"""Whatever is wrong on the way to a gateway or on it: nothing is sent, and the message says where and what to do."""

import os
import socket
import subprocess
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from pathlib import Path

import pytest
from servers import wait_for

from cli import Lab, Operator, running_lab, side_by_side

pytestmark = pytest.mark.lab

Words = tuple[str, ...]

TUNNEL = ("-t", "customer-1")
LOOK, LINES, DOWN = ("show", *TUNNEL), ("lines", *TUNNEL), ("down", *TUNNEL, "--yes")
CLASSIC = ["t quick from-172.16.1.0/24-to-192.168.1.0/24", "t main peer-10.2.1.1"]


def unreachable(lab: Lab, run: Operator, *words: str, more: Sequence[str] = ()) -> None:
    """Reading and tearing down say all these words, and leave the gateways as they are."""
    _fail(lab, run, {LOOK: 3, DOWN: 3}, words, more)


def unreadable(lab: Lab, *words: str, verb: Words = DOWN, code: int = 3) -> None:
    """The same, of what a gateway answers."""
    _fail(lab, lab.run, {LOOK: 3, verb: code}, words)


def _fail(lab: Lab, run: Operator, verbs: dict[Words, int], words: Words, more: Sequence[str] = ()) -> None:
    with lab.untouched():
        ran = side_by_side(run, [[*verb, *more] for verb in verbs])
    assert [one.code for one in ran] == [*verbs.values()], ran
    for one in ran:
        assert not [word for word in words if word not in one.said], one
        assert "t quick" not in one.out


# --- on the way -----------------------------------------------------------------------------------


def test_an_unknown_host_key(lab: Lab, tmp_path: Path) -> None:
    (tmp_path / "nobody").touch()
    run = lab.as_if(tmp_path / "i.toml", (str(lab.root / "known_hosts"), str(tmp_path / "nobody")))
    unreachable(lab, run, "unknown host key: hub-fra1 offers ed25519 SHA256:", "`ipsecfleet trust hub-fra1`")


def test_a_changed_host_key(lab: Lab, tmp_path: Path) -> None:
    known, mine = (lab.root / "known_hosts").read_text().splitlines(), f"[127.0.0.1]:{lab.port('hub-fra1')} "
    other = next(line.split(" ", 1)[1] for line in known if not line.startswith(mine))
    (tmp_path / "changed").write_text(f"{mine}{other}\n")
    run = lab.as_if(tmp_path / "i.toml", (str(lab.root / "known_hosts"), str(tmp_path / "changed")))
    unreachable(lab, run, "changed host key: hub-fra1 offers", "expected ed25519 SHA256:", "trust --replace hub-fra1")


def test_a_wrong_user(lab: Lab, tmp_path: Path) -> None:
    run = lab.as_if(tmp_path / "i.toml", ('user = "ipsecops"', 'user = "nobody"'))
    unreachable(lab, run, "login refused: nobody@hub-fra1", "is the key in authorized_keys of nobody")


def test_a_wrong_key(lab: Lab, tmp_path: Path) -> None:
    key = tmp_path / "key"
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", key], check=True, stdin=subprocess.DEVNULL)
    run = lab.as_if(tmp_path / "i.toml", (str(lab.root / "id_ed25519"), str(key)))
    unreachable(lab, run, "login refused: ipsecops@hub-fra1", f"from {key}", "authorized_keys of ipsecops")


def test_a_refused_connection(lab: Lab) -> None:
    with lab.fault("ssh-refused", "hub-fra1"):
        unreachable(lab, lab.run, "connection refused: hub-fra1 (127.0.0.1 port", "is sshd running there")


def test_a_port_that_accepts_and_never_speaks(lab: Lab, tmp_path: Path) -> None:
    with closing(socket.create_server(("127.0.0.1", 0))) as silent:
        change = (f"port = {lab.port('hub-fra1')}\n", f"port = {silent.getsockname()[1]}\n")
        run = lab.as_if(tmp_path / "i.toml", change)
        unreachable(lab, run, "silent: hub-fra1", "no ssh banner within 0.5 s", more=["--connect-timeout", "0.5s"])


def test_an_sshd_that_freezes_in_the_middle_of_a_command(lab: Lab) -> None:
    with lab.fault("frozen", "hub-fra1"):
        words = ("no end: the command on hub-fra1 ran over 1 s", "look again before repeating it")
        unreachable(lab, lab.run, *words, more=["--timeout", "1s"])


def test_two_gateways_of_six_are_dead(lab: Lab) -> None:
    with lab.fault("ssh-refused", "br-turku", "br-bergen"):
        everything, elsewhere = side_by_side(lab.run, [["show", "-o", "json"], [*LOOK, "-A"]])
        down = lab.run("down", "-p", "10.2.1.10", "-A", "--yes", "-o", "json")
    assert everything.code == 3
    states = {row["gateway"]: row["state"] for row in everything.json["gateways"]}
    assert {name for name, state in states.items() if state == "unreachable"} == {"br-turku", "br-bergen"}
    assert {name for name, state in states.items() if state == "ok"} == {"hub-fra1", "hub-ams1", "br-oslo", "br-gdansk"}
    assert elsewhere.code == 0, elsewhere
    assert down.code == 3, down
    assert {step["state"] for step in down.json["steps"]} == {"proven"}
    up = lab.run("up", "-t", "customer-10", "--yes")
    assert up.code == 0, up


# --- on the gateway -------------------------------------------------------------------------------


def test_doas_permits_nothing(lab: Lab) -> None:
    with lab.fault("doas-refused", "hub-fra1"):
        unreadable(lab, "doas on hub-fra1 refused: doas: Operation not permitted", "/etc/doas.conf")


def test_the_fifo_is_missing(lab: Lab) -> None:
    fifo = lab.files("hub-fra1") / "run/isakmpd.fifo"
    aside = fifo.rename(fifo.with_suffix(".aside"))
    try:
        words = ("the sas of hub-fra1 could not be read: missing: there is no", "start it, then run this again")
        unreadable(lab, *words)
        unreadable(lab, *words, verb=LINES, code=4)
        assert not fifo.exists()
    finally:
        aside.rename(fifo)


def test_somebody_else_asks_the_daemon_once(lab: Lab) -> None:
    with lab.untouched(), lab.fault("second-writer-once", "hub-fra1"):
        before = lab.mark()
        ran = lab.run(*LINES)
    asked = [e["line"] for e in lab.events("hub-fra1")[before["hub-fra1"] :] if e["event"] == "fifo"]
    assert asked.count("S") == 3
    assert ran.code == 0, ran
    assert [line.split(" > ")[0].removeprefix("echo ") for line in ran.out.splitlines()] == CLASSIC


def test_somebody_else_asks_the_daemon_all_the_time(lab: Lab) -> None:
    with lab.fault("second-writer", "hub-fra1"):
        unreadable(lab, "shifted: somebody else asked the daemon at the same time, three times", "run this again")


@pytest.mark.parametrize(
    ("fault", "words"),
    [
        ("report-garbled", ["the sas of hub-fra1 could not be read: the report is cut off near", r"\x1b]0;owned\x07"]),
        ("report-truncated", ["the sas of hub-fra1 could not be read:", "is cut off"]),
        ("report-huge", ["the sas of hub-fra1 could not be read: too-big", "look at the gateway"]),
    ],
)
def test_a_spoiled_report(lab: Lab, fault: str, words: list[str]) -> None:
    with lab.fault(fault, "hub-fra1"):
        unreadable(lab, *words)


def test_another_run_has_the_lock(lab: Lab) -> None:
    with lab.fault("lock-held", "hub-fra1"), lab.untouched():
        look, down = side_by_side(lab.run, [LOOK, DOWN])
    assert (look.code, down.code) == (0, 4), down
    assert "hub-fra1 is being changed by " in down.said
    assert " of somebody@elsewhere since " in down.said


def test_the_disk_is_full(lab: Lab) -> None:
    with lab.fault("disk-full", "hub-fra1"):
        unreadable(lab, "the sas of hub-fra1 could not be read:", "run this again")


@pytest.fixture(scope="module")
def slow_lab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    """A lab in which a second is a second."""
    folder = tmp_path_factory.mktemp("slow")
    with running_lab(folder / "lab", folder / "home", speed=1) as running:
        yield running


def test_a_daemon_that_is_busy(slow_lab: Lab) -> None:
    """Its single thread computes keys for 4 s: that is waited for; a minute of them is not."""
    with slow_lab.untouched():
        with slow_lab.fault("busy", *["hub-fra1"] * 15):
            impatient = slow_lab.run(*DOWN, "--timeout", "4s")
        slow_lab.advance(60)
        with slow_lab.fault("busy", "hub-fra1"):
            patient = slow_lab.run(*LINES)
    assert impatient.code == 3, impatient
    assert "the sas of hub-fra1 could not be read: no-answer" in impatient.said
    assert "the daemon is busy or hangs: look at it, then run this again" in impatient.said
    assert patient.code == 0, patient
    assert len(patient.out.splitlines()) == len(CLASSIC)


# --- names that are none --------------------------------------------------------------------------


NEIGHBOUR, ORDINARY = ("-t", "customer-110"), "from-172.16.11.0/24-to-192.168.11.0/24"
ODD = {"a;reboot": "a;reboot", "$(reboot)": "$(reboot)", "a\x1b[2Jb": r"a\x1b[2Jb"}
"""Names that a daemon may have, and how they are shown."""


@pytest.fixture
def named(lab: Lab) -> Iterator[Callable[[str], None]]:
    """Negotiates a tunnel under another name, by the daemon's own FIFO; afterwards it has its own again."""
    fifo, used = lab.files("hub-fra1") / "run/isakmpd.fifo", []

    def feed(*lines: str) -> None:
        fd = os.open(fifo, os.O_WRONLY | os.O_NONBLOCK)
        for line in lines:
            os.write(fd, f"{line}\n".encode())
        os.close(fd)

    def connect(name: str, *before: str) -> None:
        since = len(lab.events("hub-fra1"))
        feed(*before, f"c {name}")
        wait_for(lambda: _ready(lab, since, name), f"{name!a} is up")

    def negotiate(name: str) -> None:
        used.append(name)
        tags = {"Phase": "2", "ISAKMP-peer": "peer-110.2.1.1", "Configuration": f"phase2-{ORDINARY}"}
        tags |= {"Local-ID": "from-172.16.11.0/24", "Remote-ID": "to-192.168.11.0/24"}
        sets = [f"C set [{name}]:{tag}={value} force" for tag, value in tags.items()]
        connect(name, f"C rmv [Phase 2]:Connections={ORDINARY}", f"t quick {ORDINARY}", *sets)

    yield negotiate
    for name in used:
        feed(f"t quick {name}", f"C rms [{name}]")
    connect(ORDINARY, f"C add [Phase 2]:Connections={ORDINARY}")


def _ready(lab: Lab, since: int, name: str) -> bool:
    return any(e["event"] == "sa-ready" and e["name"] == name for e in lab.events("hub-fra1")[since:])


@pytest.mark.parametrize("name", ODD, ids=ascii)
def test_an_odd_name_in_a_report_is_shown_and_never_sent(lab: Lab, named: Callable[[str], None], name: str) -> None:
    named(name)
    with lab.untouched():
        verbs = [["show", "sas"], ["lines"], ["down", "--yes"]]
        show, *others = side_by_side(lab.run, [[*verb, *NEIGHBOUR] for verb in verbs])
    assert show.code == 0, show
    assert ODD[name] in show.out
    for one in (show, *others):
        assert "\x1b" not in one.out + one.err
    for one in others:
        assert one.code == 4, one
        assert f"'t quick {ODD[name]}'" in one.said
        assert "a name is 1 to 200 of A-Z a-z 0-9" in one.said


def test_odd_names_in_a_saved_report(alone: Operator) -> None:
    names = {**ODD, "a b": "a b", "x" * 201: "x" * 201}
    peers = {name: f"10.2.1.{number}" for number, name in enumerate(names)}
    report = "".join(_block(name, peers[name], number) for number, name in enumerate(names)).encode()
    show = alone("show", "sas", "--from-file", "-", stdin=report)
    assert show.code == 0, show
    assert not [shown for shown in names.values() if shown not in show.out]
    assert "\x1b" not in show.out
    for name, shown in names.items():
        lines = alone("lines", "--from-file", "-", "-p", peers[name], stdin=report)
        assert (lines.code, lines.out) == (4, "# no lines\n"), lines
        assert shown in lines.err
        assert "\x1b" not in lines.err


# --- what is large ---------------------------------------------------------------------------------


def test_a_report_of_10000_tunnels(alone: Operator) -> None:
    blocks = [
        _block(f"from-10.{n >> 8}.{n & 255}.0/24-to-192.168.1.0/24", f"10.9.{n >> 8}.{n & 255}", n)
        for n in range(10_000)
    ]
    report = "\n".join(blocks).encode()
    show = alone("show", "sas", "--from-file", "-", "-o", "plain", stdin=report)
    lines = alone("lines", "--from-file", "-", "-p", "10.9.39.15", stdin=report)
    assert (show.code, len(show.out.splitlines())) == (0, 10_001)
    assert (lines.code, lines.out) == (0, "echo t quick from-10.39.15.0/24-to-192.168.1.0/24 > /var/run/isakmpd.fifo\n")


def _block(name: str, peer: str, number: int) -> str:
    """An SA as the daemon reports it."""
    return (
        f"SA name: {name} (Phase 2)\nsrc: 10.1.2.2 dst: {peer}\nLifetime: 1200 seconds\nSoft timeout in 1000 seconds\n"
        f"Hard timeout in 1190 seconds\nFlags 0x00000003\nSPI 0: {number:08x} \nSPI 1: {number + 0x10000:08x} \n"
        "Transform: IPsec ESP\nEncryption key length: 32\nAuthentication key length: 20\n"
        "Encryption algorithm: AES (CBC)\nAuthentication algorithm: HMAC-SHA1\n\n"
    )


# --- a daemon that has ended, on a gateway that nothing else here needs ----------------------------


DEAD = ("-t", "gdansk-fra", "-g", "br-gdansk")
OTHER_END = "refused: gdansk-fra: its end on br-gdansk cannot be read"


@pytest.mark.parametrize(
    ("fault", "words"),
    [
        ("daemon-dead", ["missing: there is no", "isakmpd does not run there: start it, then run this again"]),
        ("fifo-regular", ["is no FIFO, and isakmpd cannot start while it is there", "remove that file"]),
        ("fifo-no-reader", ["nobody reads", "isakmpd was killed there: restart it"]),
    ],
)
def test_a_daemon_that_has_ended(lab: Lab, fault: str, words: list[str]) -> None:
    with lab.fault(fault, "br-gdansk"):
        fifo = lab.files("br-gdansk") / "run/isakmpd.fifo"
        there = fifo.is_file() and fifo.read_bytes()
        with lab.untouched():
            commands = [["show", *DEAD], ["lines", *DEAD], ["down", *DEAD, "--yes"], ["check", "-g", "br-gdansk"]]
            look, lines, down, check = side_by_side(lab.run, commands)
        assert (fifo.is_file() and fifo.read_bytes()) == there
    assert [look.code, lines.code, down.code] == [3, 4, 4]
    assert not [word for word in words if word not in look.said], look
    assert "no lines for br-gdansk: its isakmpd.fifo is" in lines.said
    assert OTHER_END in down.said
    assert "--force other-end lifts this for one run" in down.said
    assert check.code in {3, 6}
    assert "br-gdansk problem fifo" in check.said


def test_a_report_without_any_sa_is_no_failure(lab: Lab) -> None:
    """Just restarted, the daemon has nothing; while it was away, that was not known."""
    sas = ("show", "sas", "-g", "br-gdansk", "-o", "json")
    with lab.fault("daemon-dead", "br-gdansk"):
        away = lab.run(*sas)
    back = lab.run(*sas)
    assert (away.code, away.json["gateways"][0]["state"]) == (3, "failed")
    assert (back.code, back.json["gateways"][0]["state"], back.json["sas"]) == (0, "ok", [])
