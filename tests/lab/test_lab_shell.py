"""A lab of three gateways, over real SSH and a real FIFO."""

import asyncio
import json
import re
import stat
from collections.abc import Callable, Iterator
from pathlib import Path

import asyncssh
import pytest
from sshclient import Client, gone

from ipsecfleet import lab
from ipsecfleet.errors import OperatorError
from ipsecfleet.isakmpd import verbs, visit
from ipsecfleet.lab import LabInfo
from ipsecfleet.lab.scenario import TEST_PSK

pytestmark = pytest.mark.lab

HUB, AMS, OSLO = "hub-fra1", "hub-ams1", "br-oslo"
CUSTOMER_1 = "from-172.16.1.0/24-to-192.168.1.0/24"
FIFO_PROBE = rb"""
use Fcntl;
my $opened = sysopen my $fifo, "$ENV{HOME}/run/isakmpd.fifo", O_WRONLY | O_NONBLOCK;
print $opened ? -p $fifo ? "fifo" : "file" : $!{ENXIO} ? "ENXIO" : "$!";
"""


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LabInfo]:
    directory = tmp_path_factory.mktemp("lab")
    yield lab.up(directory, gateways=3, speed=20, seed=1)
    lab.down(directory)


@pytest.fixture
def client(running: LabInfo) -> Iterator[Client]:
    yield Client(running.directory)
    for fault in lab.status(running.directory).faults:
        if fault not in running.faults:
            lab.fault(running.directory, f"off {fault}")


def live(report: str) -> set[str]:
    """The names of phase 2 SAs that are ready and not replaced."""
    blocks = re.findall(r"SA name: (\S+) \(Phase 2\)\n(?:.+\n)*?Flags 0x(\w{8})", report)
    return {name for name, flags in blocks if int(flags, 16) & 0x9 == 1}


def test_the_inventory_names_three_gateways_and_how_to_reach_them(running: LabInfo, client: Client) -> None:
    assert set(client.inventory["gateway"]) == {HUB, AMS, OSLO} == set(running.ports)
    assert client.inventory["time_scale"] == 20
    assert stat.S_IMODE((running.directory / "id_ed25519").stat().st_mode) == 0o600


def test_input_output_and_status_go_through_whole(client: Client) -> None:
    data = bytes(range(256)) * 12_000
    done = client.run(HUB, "cat; echo complaint >&2; exit 7", data)
    assert (done.stdout == data, done.stderr, done.exit_status) == (True, b"complaint\n", 7)


def test_a_signal_is_told(client: Client) -> None:
    assert client.run(HUB, "kill -9 $$").exit_signal[0] == "KILL"


def test_ssh_connection_is_told_and_doas_drops_it(client: Client) -> None:
    told = client.said(HUB, """echo "$SSH_CONNECTION"; doas -n /bin/sh -c 'echo "[$SSH_CONNECTION] $USER"'""")
    assert re.fullmatch(rf"127\.0\.0\.1 \d+ 127\.0\.0\.1 {client.inventory['gateway'][HUB]['port']}\n\[\] root\n", told)


def test_a_command_is_killed_when_its_channel_closes(client: Client) -> None:
    async def leave() -> int:
        async with client.connect(HUB) as connection, connection.create_process("echo $$; exec sleep 100") as process:
            return int(await process.stdout.readline())

    assert gone(asyncio.run(leave()))


@pytest.mark.parametrize("who", ["stranger", "wrong key"])
def test_only_one_user_with_one_key_gets_in(client: Client, tmp_path: Path, who: str) -> None:
    key = tmp_path / "key"
    asyncssh.generate_private_key("ssh-ed25519").write_private_key(str(key))

    async def enter() -> None:
        async with client.connect(HUB, **({"user": "root"} if who == "stranger" else {"key": key})):
            pass

    with pytest.raises(asyncssh.PermissionDenied):
        asyncio.run(enter())


def test_no_shell_is_given(client: Client) -> None:
    async def shell() -> int | None:
        async with client.connect(HUB) as connection:
            return (await connection.run()).exit_status

    assert asyncio.run(shell()) == 1


def test_the_report_shows_what_should_be_up(client: Client) -> None:
    assert {CUSTOMER_1, "from-172.16.99.0/24-to-192.168.99.0/24"} <= live(client.report(HUB))
    ams = client.report(AMS)
    assert {CUSTOMER_1, "from-172.16.4.0/24-to-192.168.41.0/24", "from-172.16.8.0/24-to-192.168.8.0/24"} <= live(ams)
    assert "from-172.16.6.0/24-to-192.168.6.0/24" not in ams
    assert ams.count("SA name: <unnamed> (Phase 2)") == 1
    assert live(client.report(OSLO)) == {f"from-10.50.0.0/24-to-10.{n}.0.0/24" for n in (30, 40)}


def test_files_have_the_modes_of_the_real_ones(client: Client) -> None:
    client.report(HUB)
    place = client.files(HUB)
    modes = {"run/isakmpd.fifo": 0o600, "run/isakmpd.result": 0o644, "run/isakmpd.pid": 0o644, "etc/ipsec.conf": 0o600}
    modes["etc/IPsec/customer-1.conf"] = 0o600
    assert {name: stat.S_IMODE((place / name).stat().st_mode) for name in modes} == modes
    assert stat.S_ISFIFO((place / "run/isakmpd.fifo").stat().st_mode)


def test_the_pid_file_names_the_monitor_and_usr1_writes_the_state(client: Client) -> None:
    ask = """
        pid=$(cat "$HOME/run/isakmpd.pid"); ps -ww -o command= -p "$pid"
        kill -USR1 "$pid"; until [ -s "$HOME/run/isakmpd.report" ]; do sleep 0.01; done
        stat -c %a "$HOME/run/isakmpd.report"; cat "$HOME/run/isakmpd.report"; rm "$HOME/run/isakmpd.report"
    """
    title, mode, *lines = client.said(AMS, ask).splitlines()
    assert (title, mode) == ("isakmpd: monitor [priv]", "600")
    text = "\n".join(lines)
    assert "Report> connection_report: connection from-172.16.8.0/24-to-192.168.8.0/24 next check" in text
    assert re.search(r"exchange_report: \S+ from-172.16.6.0/24-to-192.168.6.0/24 .* initiator phase 2", text)
    assert f"Authentication=\t{TEST_PSK}" in text


def test_ipsecctl_shows_flows_and_sas(client: Client) -> None:
    flows = client.said(HUB, "ipsecctl -s flow")
    assert "flow esp out from 172.16.1.0/24 to 192.168.1.0/24 peer 10.2.1.1 srcid 10.1.2.2/32" in flows
    assert client.said(HUB, "ipsecctl -s sa").count("esp tunnel from 10.1.2.2 to 10.2.1.1 spi 0x") == 1
    assert "\tlifetime_hard: alloc 0 bytes 0 add 1200 first 0" in client.said(HUB, "ipsecctl -v -s sa")
    assert client.said(HUB, "ipsecctl -s all").startswith(f"FLOWS:\n{flows.splitlines()[0]}")


def test_ipsecctl_names_a_file_without_touching_anything(client: Client) -> None:
    printed = client.said(HUB, "cd etc/IPsec && ipsecctl -d -n -v -f customer-1.conf").splitlines()
    assert printed[:2] == [f"t {CUSTOMER_1}", f"C rmv [Phase 2]:Connections={CUSTOMER_1}"]
    assert CUSTOMER_1 in live(client.report(HUB))


def test_ipsecctl_unloads_and_loads_through_the_fifo(running: LabInfo, client: Client) -> None:
    assert client.said(OSLO, "ipsecctl -d -f etc/IPsec/ams.conf") == ""
    assert live(client.report(OSLO)) == {"from-10.50.0.0/24-to-10.30.0.0/24"}
    client.said(OSLO, "ipsecctl -f etc/IPsec/ams.conf")
    lab.advance(running.directory, 6)
    assert "from-10.50.0.0/24-to-10.40.0.0/24" in live(client.report(OSLO))


def test_ipsecctl_takes_flows_from_standard_input(client: Client) -> None:
    deny = b"flow esp from 10.99.0.0/24 to 10.98.0.0/24 type deny\n"
    client.said(OSLO, "ipsecctl -f -", deny)
    assert "to 10.98.0.0/24 type deny" in client.said(OSLO, "ipsecctl -s flow")
    client.said(OSLO, "ipsecctl -d -f -", deny)
    again = client.run(OSLO, "ipsecctl -d -f -", deny)
    assert (again.exit_status, again.stderr.splitlines()[0]) == (1, b"ipsecctl: PF_KEY failed: No such process")


@pytest.mark.parametrize(
    ("command", "complaint"),
    [
        ("ipsecctl -f nothing", b"ipsecctl: pushfile: nothing: No such file or directory\n"),
        ("umask 022; echo > open; ipsecctl -nf open", b"ipsecctl: open: group writable or world read/writable\n"),
        ("ipsecctl", b"usage: ipsecctl "),
        ("doas -n nothing", b"doas: nothing: command not found\n"),
    ],
)
def test_stand_ins_complain_as_the_real_ones(client: Client, command: str, complaint: bytes) -> None:
    done = client.run(OSLO, command)
    assert done.exit_status == 1
    assert done.stderr.startswith(complaint)


def test_the_log_gets_a_line(client: Client) -> None:
    client.said(OSLO, 'logger -p daemon.notice -t ipsecfleet "RUN me@here: t quick $(printf "a\\tb")"')
    assert (
        client.files(OSLO)
        .joinpath("log/daemon")
        .read_text()
        .endswith(" br-oslo ipsecfleet: RUN me@here: t quick a\\011b\n")
    )


def test_events_are_written_down(client: Client) -> None:
    client.report(OSLO)
    events = [json.loads(line) for line in client.files(OSLO).joinpath("events.jsonl").read_text().splitlines()]
    assert {"fifo", "log", "sa-ready", "sa-add", "flow-add", "exchange-start"} <= {e["event"] for e in events}
    asked, answered = [event for event in events if event["event"] == "fifo"][-2:]
    assert (asked["line"], answered["line"], asked["gateway"]) == ("S", "C get [nothing]:nothing", OSLO)
    assert asked["at"] <= answered["at"]
    assert asked["wall"] <= answered["wall"]


def test_time_can_be_moved(running: LabInfo, client: Client) -> None:
    before = lab.status(running.directory).moment
    seconds = lab.advance(running.directory, 300).moment - before
    assert 300 <= seconds < 300 + 20 * 10
    with pytest.raises(OperatorError, match="cannot advance"):
        lab.advance(running.directory, -1)


def test_a_silent_peer_is_not_heard(running: LabInfo, client: Client) -> None:
    assert "peer-silent 10.2.1.1" in lab.fault(running.directory, "peer-silent 10.2.1.1").faults
    client.said(HUB, f"printf 't quick {CUSTOMER_1}\\nc {CUSTOMER_1}\\n' > run/isakmpd.fifo")
    assert CUSTOMER_1 not in live(client.report(HUB))
    lab.fault(running.directory, "off peer-silent 10.2.1.1")
    lab.advance(running.directory, 300)
    assert CUSTOMER_1 in live(client.report(HUB))


def test_doas_refuses(running: LabInfo, client: Client) -> None:
    lab.fault(running.directory, "doas-refused", OSLO)
    done = client.run(OSLO, "doas -n true")
    assert (done.exit_status, done.stderr) == (1, b"doas: Operation not permitted\n")
    assert client.said(HUB, "doas -n echo fine") == "fine\n"


@pytest.mark.parametrize(
    ("fault", "fifo", "pid_file"),
    [
        ("daemon-dead", "No such file or directory", False),
        ("fifo-regular", "file", False),
        ("fifo-no-reader", "ENXIO", True),
    ],
)
def test_a_dead_daemon_and_its_return(running: LabInfo, client: Client, fault: str, fifo: str, pid_file: bool) -> None:
    lab.fault(running.directory, fault, OSLO)
    assert client.said(OSLO, "perl -", FIFO_PROBE) == fifo
    assert client.files(OSLO).joinpath("run/isakmpd.pid").exists() == pid_file
    assert "flow esp" in client.said(OSLO, "ipsecctl -s flow")
    lab.fault(running.directory, "off", OSLO)
    assert client.said(OSLO, "perl -", FIFO_PROBE) == "fifo"
    assert client.ask(OSLO, "C get [Phase 2]:Connections").startswith("from-10.50.0.0/24-to-10.30.0.0/24")


def test_a_busy_daemon_answers_late(running: LabInfo, client: Client) -> None:
    began = lab.fault(running.directory, "busy", OSLO).moment
    assert began is not None
    client.report(OSLO)
    events = [json.loads(line) for line in client.files(OSLO).joinpath("events.jsonl").read_text().splitlines()]
    asked = [event for event in events if event["event"] == "fifo" and event["line"] == "S"][-1]
    assert asked["at"] > began + 3


def test_every_fault_is_listed_with_its_meaning() -> None:
    assert {"doas-refused", "second-writer", "peer-silent ADDRESS"} <= {
        name for name, meaning in lab.faults() if meaning
    }


def visited(client: Client, *verbs: verbs.Verb) -> visit.Answer:
    """One visit to br-oslo."""
    place = client.files(OSLO)
    paths = {"run": str(place / "run"), "etc": str(place / "etc"), "bin": str(place / "bin")}
    request = visit.Request("0123456789abcdef", verbs, who="R1 alice@laptop", **paths)
    done = client.run(OSLO, "doas -n /usr/bin/perl -T -", visit.program() + request.encode(), limit=30)
    return visit.decode(done.stdout, request.nonce)


def test_somebody_else_has_the_run_lock(running: LabInfo, client: Client) -> None:
    lab.fault(running.directory, "lock-held", OSLO)
    held = visited(client, verbs.Lock(60)).last("lock")
    assert held.status == "held"
    assert visit.holder(held.body).who == "somebody@elsewhere"
    lab.fault(running.directory, "off lock-held", OSLO)
    assert visited(client, verbs.Lock(60)).last("lock").ok
    assert visited(client, verbs.Unlock()).last("unlock").ok


def test_off_leaves_a_lock_that_was_taken_over(running: LabInfo, client: Client) -> None:
    lab.fault(running.directory, "lock-held", OSLO)
    assert visited(client, verbs.Lock(60, take=True)).last("lock").body.endswith(b" somebody@elsewhere")
    lab.fault(running.directory, "off lock-held", OSLO)
    assert client.files(OSLO).joinpath("run/ipsecfleet/run").read_text().startswith("R1 alice@laptop ")
    visited(client, verbs.Unlock())


def test_on_a_full_disk_there_is_no_lock_and_no_report(running: LabInfo, client: Client) -> None:
    lab.fault(running.directory, "disk-full", OSLO)
    answer = visited(client, verbs.Lock(60), verbs.Write(("c nothing",)), verbs.Report(), verbs.Flows())
    assert [(s.name, s.status) for s in answer.sections][:2] == [("lock", "failed"), ("write", "skipped")]
    assert not answer.last("report").ok
    assert answer.last("flows").ok
    assert not client.files(OSLO).joinpath("run/ipsecfleet/run").exists()
    lab.fault(running.directory, "off disk-full", OSLO)
    again = visited(client, verbs.Lock(60), verbs.Report(), verbs.Unlock())
    assert {s.status for s in again.sections} == {"ok"}


def spis(client: Client) -> set[str]:
    return set(re.findall(r"spi 0x\w+", client.said(OSLO, "ipsecctl -s sa")))


def test_after_a_boot_all_is_new_but_the_configuration(running: LabInfo, client: Client) -> None:
    visited(client, verbs.Lock(60))
    before, names = spis(client), live(client.report(OSLO))
    assert before
    assert lab.fault(running.directory, "reboot", OSLO).faults == running.faults
    assert not before & spis(client)
    assert sorted(path.name for path in client.files(OSLO).joinpath("run").iterdir()) == ["isakmpd.fifo", "isakmpd.pid"]
    lab.advance(running.directory, 300)
    assert live(client.report(OSLO)) == names


def test_a_closed_port_opens_again(running: LabInfo, client: Client) -> None:
    lab.fault(running.directory, "ssh-refused", OSLO)
    with pytest.raises(ConnectionRefusedError):
        client.run(OSLO, "true")
    lab.fault(running.directory, "off", OSLO)
    assert client.said(OSLO, "echo fine") == "fine\n"


def test_a_frozen_gateway_never_answers(running: LabInfo, client: Client) -> None:
    lab.fault(running.directory, "frozen", OSLO)
    with pytest.raises(TimeoutError):
        client.run(OSLO, "echo fine", limit=0.3)


@pytest.mark.parametrize(
    ("fault", "shape"),
    [
        ("report-garbled", lambda text: "\x1b]0;" in text and "Flags 0y" in text),
        ("report-truncated", lambda text: text.startswith("SA name: ") and not text.endswith("\n\n")),
    ],
)
def test_a_report_can_be_spoiled(running: LabInfo, client: Client, fault: str, shape: Callable[[str], bool]) -> None:
    assert not shape(client.report(OSLO))
    lab.fault(running.directory, fault, OSLO)
    assert shape(client.report(OSLO))


def test_a_second_writer_shifts_the_answers(running: LabInfo, client: Client) -> None:
    lab.fault(running.directory, "second-writer-once", OSLO)
    question = """
        rm -f run/isakmpd.result; echo 'C get [Phase 2]:Connections' > run/isakmpd.fifo
        until [ -s run/isakmpd.result ]; do sleep 0.01; done; mv run/isakmpd.result taken
        until [ -s run/isakmpd.result ]; do sleep 0.01; done; cat taken run/isakmpd.result
    """
    first, second = client.said(OSLO, question), client.said(OSLO, question.replace("mv", ": mv").replace("taken ", ""))
    assert first.startswith("SA name: ")
    assert first.endswith(second)
    assert second.startswith("from-10.50.0.0/24-to-10.30.0.0/24")


@pytest.mark.parametrize(
    ("fault", "gateway", "message"),
    [
        ("rain", None, "no such fault: rain"),
        ("frozen", "hub-xyz", "no such gateway: hub-xyz"),
        ("peer-silent 10.9.9.9", None, "no such peer: 10.9.9.9"),
        ("carp-backup", None, "carp-backup concerns no gateway here"),
    ],
)
def test_unknown_faults_are_refused_with_a_hint(
    running: LabInfo, fault: str, gateway: str | None, message: str
) -> None:
    with pytest.raises(OperatorError) as caught:
        lab.fault(running.directory, fault, gateway)
    assert (caught.value.message, bool(caught.value.hint)) == (message, True)


def test_a_second_lab_in_the_same_place_is_refused(running: LabInfo) -> None:
    with pytest.raises(OperatorError, match="a lab is running"):
        lab.up(running.directory, gateways=1, speed=1, seed=0)
    assert lab.status(running.directory).state == "running"
