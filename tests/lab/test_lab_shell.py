"""A lab of three gateways, over real SSH and a real FIFO."""

import asyncio
import json
import os
import re
import signal
import stat

import asyncssh
import pytest
from sshclient import Client, gone

from ipsecfleet import lab
from ipsecfleet.errors import OperatorError
from ipsecfleet.lab.scenario import TEST_PSK

pytestmark = pytest.mark.lab

HUB, AMS, OSLO = "hub-fra1", "hub-ams1", "br-oslo"
CUSTOMER_1 = "from-172.16.1.0/24-to-192.168.1.0/24"
FIFO_PROBE = r"""
use Fcntl; $! = 0;
print sysopen(my $fifo, "$ENV{HOME}/run/isakmpd.fifo", O_WRONLY | O_NONBLOCK) ? -p $fifo ? "fifo" : "file" : $!{ENXIO} ? "ENXIO" : "$!";
"""


@pytest.fixture(scope="module")
def running(tmp_path_factory):
    directory = tmp_path_factory.mktemp("lab")
    yield lab.up(directory, gateways=3, speed=20, seed=1)
    lab.down(directory)


@pytest.fixture
def client(running):
    yield Client(running.directory)
    lab.fault(running.directory, "off")


def live(report: str) -> set[str]:
    """The names of phase 2 SAs that are ready and not replaced."""
    blocks = re.findall(r"SA name: (\S+) \(Phase 2\)\n(?:.+\n)*?Flags 0x(\w{8})", report)
    return {name for name, flags in blocks if int(flags, 16) & 0x9 == 1}


def test_the_inventory_names_three_gateways_and_how_to_reach_them(running, client):
    assert set(client.inventory["gateway"]) == {HUB, AMS, OSLO} == set(running.ports)
    assert client.inventory["time_scale"] == 20
    assert stat.S_IMODE((running.directory / "id_ed25519").stat().st_mode) == 0o600


def test_input_output_and_status_go_through_whole(client):
    data = bytes(range(256)) * 12_000
    done = client.run(HUB, "cat; echo complaint >&2; exit 7", data)
    assert (done.stdout == data, done.stderr, done.exit_status) == (True, b"complaint\n", 7)


def test_a_signal_is_told(client):
    assert client.run(HUB, "kill -9 $$").exit_signal[0] == "KILL"


def test_ssh_connection_is_told_and_doas_drops_it(client):
    told = client.said(HUB, """echo "$SSH_CONNECTION"; doas -n /bin/sh -c 'echo "[$SSH_CONNECTION] $USER"'""")
    assert re.fullmatch(rf"127\.0\.0\.1 \d+ 127\.0\.0\.1 {client.inventory['gateway'][HUB]['port']}\n\[\] root\n", told)


def test_a_command_is_killed_when_its_channel_closes(client):
    async def leave() -> int:
        async with client.connect(HUB) as connection, connection.create_process("echo $$; exec sleep 100") as process:
            return int(await process.stdout.readline())

    assert gone(asyncio.run(leave()))


@pytest.mark.parametrize("who", ["stranger", "wrong key"])
def test_only_one_user_with_one_key_gets_in(client, tmp_path, who):
    key = tmp_path / "key"
    asyncssh.generate_private_key("ssh-ed25519").write_private_key(str(key))

    async def enter() -> None:
        async with client.connect(HUB, **({"user": "root"} if who == "stranger" else {"key": key})):
            pass

    with pytest.raises(asyncssh.PermissionDenied):
        asyncio.run(enter())


def test_no_shell_is_given(client):
    async def shell() -> int | None:
        async with client.connect(HUB) as connection:
            return (await connection.run()).exit_status

    assert asyncio.run(shell()) == 1


def test_the_report_shows_what_should_be_up(client):
    assert {CUSTOMER_1, "from-172.16.99.0/24-to-192.168.99.0/24"} <= live(client.report(HUB))
    ams = client.report(AMS)
    assert {CUSTOMER_1, "from-172.16.4.0/24-to-192.168.41.0/24", "from-172.16.8.0/24-to-192.168.8.0/24"} <= live(ams)
    assert "from-172.16.6.0/24-to-192.168.6.0/24" not in ams
    assert ams.count("SA name: <unnamed> (Phase 2)") == 1
    assert live(client.report(OSLO)) == {f"from-10.50.0.0/24-to-10.3{n}.0.0/24" for n in (0, 1)}


def test_files_have_the_modes_of_the_real_ones(client):
    client.report(HUB)
    place = client.files(HUB)
    modes = {"run/isakmpd.fifo": 0o600, "run/isakmpd.result": 0o644, "run/isakmpd.pid": 0o644, "etc/ipsec.conf": 0o600}
    modes["etc/IPsec/customer-1.conf"] = 0o600
    assert {name: stat.S_IMODE((place / name).stat().st_mode) for name in modes} == modes
    assert stat.S_ISFIFO((place / "run/isakmpd.fifo").stat().st_mode)


def test_the_pid_file_names_the_monitor_and_usr1_writes_the_state(client):
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


def test_ipsecctl_shows_flows_and_sas(client):
    flows = client.said(HUB, "ipsecctl -s flow")
    assert "flow esp out from 172.16.1.0/24 to 192.168.1.0/24 peer 10.2.1.1 srcid 10.1.2.2/32" in flows
    assert client.said(HUB, "ipsecctl -s sa").count("esp tunnel from 10.1.2.2 to 10.2.1.1 spi 0x") == 1
    assert "\tlifetime_hard: alloc 0 bytes 0 add 1200 first 0" in client.said(HUB, "ipsecctl -v -s sa")
    assert client.said(HUB, "ipsecctl -s all").startswith(f"FLOWS:\n{flows.splitlines()[0]}")


def test_ipsecctl_names_a_file_without_touching_anything(client):
    printed = client.said(HUB, "cd etc/IPsec && ipsecctl -d -n -v -f customer-1.conf").splitlines()
    assert printed[:2] == [f"t {CUSTOMER_1}", f"C rmv [Phase 2]:Connections={CUSTOMER_1}"]
    assert CUSTOMER_1 in live(client.report(HUB))


def test_ipsecctl_unloads_and_loads_through_the_fifo(running, client):
    assert client.said(OSLO, "ipsecctl -d -f etc/IPsec/ams.conf") == ""
    assert live(client.report(OSLO)) == {"from-10.50.0.0/24-to-10.30.0.0/24"}
    client.said(OSLO, "ipsecctl -f etc/IPsec/ams.conf")
    lab.advance(running.directory, 6)
    assert "from-10.50.0.0/24-to-10.31.0.0/24" in live(client.report(OSLO))


def test_ipsecctl_takes_flows_from_standard_input(client):
    deny = b"flow esp from 10.99.0.0/24 to 10.98.0.0/24 peer 192.0.2.1 type deny\n"
    client.said(OSLO, "ipsecctl -f -", deny)
    assert "to 10.98.0.0/24 peer 192.0.2.1 type deny" in client.said(OSLO, "ipsecctl -s flow")
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
def test_stand_ins_complain_as_the_real_ones(client, command, complaint):
    done = client.run(OSLO, command)
    assert done.exit_status == 1
    assert done.stderr.startswith(complaint)


def test_the_log_gets_a_line(client):
    client.said(OSLO, 'logger -p daemon.notice -t ipsecfleet "RUN me@here: t quick $(printf "a\\tb")"')
    assert client.files(OSLO).joinpath("log").read_text().endswith(" br-oslo ipsecfleet: RUN me@here: t quick a\\011b\n")


def test_events_are_written_down(client):
    client.report(OSLO)
    events = [json.loads(line) for line in client.files(OSLO).joinpath("events.jsonl").read_text().splitlines()]
    assert {"fifo", "log", "sa-ready", "sa-add", "flow-add", "exchange-start"} <= {e["event"] for e in events}
    last = [e for e in events if e["event"] == "fifo"][-1]
    assert (last["line"], last["gateway"]) == ("S", OSLO)
    assert last["at"] > last["wall"] - 300


def test_time_can_be_moved(running, client):
    before = lab.status(running.directory).moment
    seconds = lab.advance(running.directory, 300).moment - before
    assert 300 <= seconds < 300 + 20 * 10
    with pytest.raises(OperatorError, match="cannot advance"):
        lab.advance(running.directory, -1)


def test_a_stalled_peer_becomes_healthy(running, client):
    lab.fault(running.directory, "stalled 10.2.6.1")
    assert lab.fault(running.directory, "off stalled 10.2.6.1").faults == ()
    lab.advance(running.directory, 300)
    assert "from-172.16.6.0/24-to-192.168.6.0/24" in live(client.report(AMS))


def test_a_silent_peer_is_not_heard(running, client):
    assert "peer-silent 10.2.1.1" in lab.fault(running.directory, "peer-silent 10.2.1.1").faults
    assert CUSTOMER_1 not in live(client.said(HUB, f"echo t quick {CUSTOMER_1} > run/isakmpd.fifo; echo c {CUSTOMER_1} > run/isakmpd.fifo") + client.report(HUB))
    lab.fault(running.directory, "off")
    lab.advance(running.directory, 300)
    assert CUSTOMER_1 in live(client.report(HUB))


def test_doas_refuses(running, client):
    lab.fault(running.directory, "doas-refused", OSLO)
    done = client.run(OSLO, "doas -n true")
    assert (done.exit_status, done.stderr) == (1, b"doas: Operation not permitted\n")
    assert client.said(HUB, "doas -n echo fine") == "fine\n"


@pytest.mark.parametrize(
    ("fault", "fifo", "pid_file"),
    [("daemon-dead", "No such file or directory", False), ("fifo-regular", "file", False), ("fifo-no-reader", "ENXIO", True)],
)
def test_a_dead_daemon_and_its_return(running, client, fault, fifo, pid_file):
    lab.fault(running.directory, fault, OSLO)
    assert client.said(OSLO, "perl -", FIFO_PROBE.encode()) == fifo
    assert client.files(OSLO).joinpath("run/isakmpd.pid").exists() == pid_file
    assert "flow esp" in client.said(OSLO, "ipsecctl -s flow")
    lab.fault(running.directory, "off", OSLO)
    assert client.said(OSLO, "perl -", FIFO_PROBE.encode()) == "fifo"


def test_a_crash_takes_the_fifo_along(running, client):
    client.said(AMS, "echo T > run/isakmpd.fifo")
    lab.fault(running.directory, "stalled 10.2.2.1")
    client.said(AMS, f"echo c {CUSTOMER_1} > run/isakmpd.fifo; sleep 0.1; echo T > run/isakmpd.fifo")
    lab.advance(running.directory, 130)
    assert not client.files(AMS).joinpath("run/isakmpd.fifo").exists()
    assert not client.files(AMS).joinpath("run/isakmpd.pid").exists()
    lab.fault(running.directory, "daemon-dead", AMS)
    lab.fault(running.directory, "off", AMS)
    assert "peer-10.2.5.1" in client.report(AMS) or lab.advance(running.directory, 300)


def test_a_closed_port_opens_again(running, client):
    lab.fault(running.directory, "ssh-refused", OSLO)
    with pytest.raises(ConnectionRefusedError):
        client.run(OSLO, "true")
    lab.fault(running.directory, "off", OSLO)
    assert client.said(OSLO, "echo fine") == "fine\n"


def test_a_frozen_gateway_never_answers(running, client):
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
def test_a_report_can_be_spoiled(running, client, fault, shape):
    assert not shape(client.report(OSLO))
    lab.fault(running.directory, fault, OSLO)
    done = client.run(OSLO, 'rm -f run/isakmpd.result; echo S > run/isakmpd.fifo; until [ -s run/isakmpd.result ]; do sleep 0.01; done; cat run/isakmpd.result')
    assert shape(done.stdout.decode("latin-1"))


def test_a_second_writer_shifts_the_answers(running, client):
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
def test_unknown_faults_are_refused_with_a_hint(running, fault, gateway, message):
    with pytest.raises(OperatorError) as caught:
        lab.fault(running.directory, fault, gateway)
    assert (caught.value.message, bool(caught.value.hint)) == (message, True)


def test_a_second_lab_in_the_same_place_is_refused(running):
    with pytest.raises(OperatorError, match="a lab is running"):
        lab.up(running.directory, gateways=1, speed=1, seed=0)
    assert lab.status(running.directory).state == "running"
