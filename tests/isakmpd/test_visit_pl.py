"""The visit program under a real `perl -T -`, fed as the remote command feeds it, against a real FIFO."""

import base64
import fcntl
import os
import re
import signal
import subprocess
import time
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from importlib.resources import files
from ipaddress import ip_network
from pathlib import Path

import pytest
from fifolines import HOSTILE, RENDERED
from servers import wait_for
from visits import NONCE, Gateway, fed

from ipsecfleet.isakmpd import verbs, visit
from ipsecfleet.model.net import Selector, Selectors

NAME = "from-172.16.1.0/24-to-192.168.1.0/24"
PSK = "what-a-mess"
SA = """SA name: {} (Phase 2)
src: 10.1.2.2 dst: 10.2.1.1
Lifetime: 1200 seconds
Flags 0x00000003
SPI 0: 60096bb7\x20
SPI 1: c0f6f3da\x20

"""
UP = SA.format(NAME).encode()
HALF_UP = b"SA name: <unnamed> (Phase 2)\nsrc: 10.1.2.2 dst: 10.2.1.1\nFlags 0x00000000\n\n"
LISTED = {"[phase 2]:connections": NAME}
LOCK = verbs.Lock(60)
LISTS = ("connections", "passive", "held", "held-passive", "held-peers")


def sections(answer: visit.Answer) -> dict[str, tuple[str, str]]:
    return {s.name: (s.status, s.body.decode()) for s in answer.sections}


@pytest.fixture
def gateway(tmp_path: Path) -> Gateway:
    return Gateway(tmp_path)


@contextmanager
def perl(script: str) -> Iterator[subprocess.Popen[bytes]]:
    """A process of ours, known to run its script."""
    with subprocess.Popen(["perl", "-e", f"$| = 1; print qq(up\\n); {script}"], stdout=subprocess.PIPE) as process:
        process.stdout.readline()
        yield process
        process.kill()


def alive(pid: str) -> bool:
    """Whether it runs; a zombie does not."""
    shown = subprocess.run(["ps", "-o", "stat=", "-p", pid], capture_output=True, text=True, check=False)
    return shown.stdout.strip()[:1] not in ("", "Z")


# --- the report


def test_a_report_comes_whole_with_its_lists_and_leaves_only_the_lock(gateway: Gateway) -> None:
    lists = {
        "[phase 2]:connections": "a,b",
        "[phase 2]:passive-connections": "c",
        "[ipsecfleet]:held-connections": "d",
        "[ipsecfleet]:held-passive-connections": "e",
        "[ipsecfleet]:held-peers": "10.2.1.1",
    }
    with gateway.daemon(report=UP, config=lists) as daemon:
        answer = gateway.asked(verbs.Report())
        assert answer.handshake == "192.0.2.7 50022 198.51.100.11 22"
        assert sections(answer) == {
            "report": ("ok", UP.decode()),
            **{name: ("ok", f"{value}\n") for name, value in zip(LISTS, lists.values(), strict=True)},
        }
        assert daemon.changes == []
        assert [f.name for f in (gateway.run / "ipsecfleet").iterdir()] == ["visit"]
        assert (gateway.run / "ipsecfleet").stat().st_mode & 0o7777 == 0o700


def test_no_sas_at_all_are_an_empty_report(gateway: Gateway) -> None:
    with gateway.daemon():
        answer = gateway.asked(verbs.Report())
    assert sections(answer) == dict.fromkeys(("report", *LISTS), ("ok", ""))


@pytest.mark.parametrize("mode", [0o600, 0o640])
def test_the_report_is_put_back_as_the_result_with_the_mode_it_had(gateway: Gateway, mode: int) -> None:
    gateway.result.write_text("stale")
    gateway.result.chmod(mode)
    with gateway.daemon(report=UP, config=LISTED):
        gateway.asked(verbs.Report(), verbs.Exchanges(only_if_needed=True))
    assert gateway.result.read_bytes() == UP
    assert gateway.result.stat().st_mode & 0o7777 == mode


def test_without_a_result_before_it_is_left_as_the_daemon_made_it(gateway: Gateway) -> None:
    with gateway.daemon(report=UP):
        gateway.asked(verbs.Report())
    assert gateway.result.stat().st_mode & 0o7777 == 0o644


def test_an_answer_still_being_written_is_waited_for(gateway: Gateway) -> None:
    with gateway.daemon(report=UP, config=LISTED, haltingly=True):
        answer = sections(gateway.asked(verbs.Report()))
    assert answer["report"] == ("ok", UP.decode())
    assert answer["connections"] == ("ok", f"{NAME}\n")


def test_a_daemon_busy_with_keys_is_waited_for(gateway: Gateway) -> None:
    with gateway.daemon(report=UP, busy=4.0):
        assert gateway.asked(verbs.Report()).last("report").body == UP


def test_a_daemon_that_never_answers_is_no_answer_and_the_old_result_is_back(gateway: Gateway) -> None:
    gateway.result.write_text("old")
    with gateway.daemon(report=UP, deaf=True):
        assert gateway.only(verbs.Report(), deadline=0.3)[0] == "no-answer"
    assert gateway.result.read_text() == "old"


@pytest.mark.parametrize(
    ("ours", "theirs"), [(UP, UP), (UP, b""), (UP, b"10.9.9.9\n"), (b"", b""), (b"", b"10.9.9.9\n")]
)
@pytest.mark.parametrize("interrupted", ["S", "C get", "C get [ipsecfleet]:Held-Peers", "C get [ipsecfleet]:fence"])
def test_a_second_writer_in_between_is_found_out_and_asked_again(
    gateway: Gateway, interrupted: str, ours: bytes, theirs: bytes
) -> None:
    switches = {"interruptions": 1, "interrupted": interrupted, "other_answer": theirs}
    with gateway.daemon(report=ours, config=LISTED, **switches):
        answer = sections(gateway.asked(verbs.Report()))
    assert answer["report"] == ("ok", ours.decode())
    assert answer["connections"] == ("ok", f"{NAME}\n")
    assert {answer[name] for name in LISTS[1:]} == {("ok", "")}


def test_what_needs_no_daemon_is_read_although_it_does_not_answer(gateway: Gateway) -> None:
    gateway.tool("ipsecctl", "echo $2")
    with gateway.daemon(report=UP, deaf=True):
        asked = (LOCK, verbs.Report(), verbs.Flows(), verbs.Write(("c a",)), verbs.Host(), verbs.Unlock())
        answer = gateway.asked(*asked, deadline=0.5)
    assert [s.status for s in answer.sections] == ["ok", "no-answer", "ok", "ok", "ok", "ok", "ok"]


def test_a_second_writer_at_all_times_is_shifted(gateway: Gateway) -> None:
    with gateway.daemon(report=UP, config=LISTED, interruptions=10_000) as daemon:
        assert gateway.only(verbs.Report())[0] == "shifted"
        assert daemon.lines.count("S") == 3


@pytest.mark.parametrize("cut", [1, 3, 40])
def test_a_report_cut_off_by_a_full_file_system_is_no_report(gateway: Gateway, cut: int) -> None:
    with gateway.daemon(report=UP[:-cut], config=LISTED):
        status, why = gateway.only(verbs.Report())
    assert (status, why) == (("failed", "an answer is cut off; is the file system full?") if cut > 1 else ("ok", ""))


def test_ten_thousand_tunnels_take_seconds_at_most(gateway: Gateway) -> None:
    names = [f"from-10.{i >> 8}.{i & 255}.0/24-to-192.168.1.0/24" for i in range(10_000)]
    report = "".join(SA.format(name) for name in names).encode()
    with gateway.daemon(report=report, config={"[phase 2]:connections": ",".join(names)}):
        begun = time.monotonic()
        answer = gateway.asked(verbs.Report(), verbs.Exchanges(only_if_needed=True))
        assert time.monotonic() - begun < 5
    assert answer.last("report").body == report
    assert answer.last("connections").body.count(b",") == 9_999
    assert answer.last("exchanges").status == "skipped"


# --- the FIFO

READS_AND_WRITES = [verbs.Report(), verbs.Write(("t quick a",))]


@pytest.mark.parametrize("verb", READS_AND_WRITES)
def test_without_a_fifo_nothing_is_created(gateway: Gateway, verb: verbs.Verb) -> None:
    assert gateway.only(verb)[0] == "missing"
    assert sections(gateway.asked(verbs.Host()))["host"][1].count("fifo missing\nfifo-mode -\n") == 1
    assert [f.name for f in gateway.run.iterdir() if f.name != "ipsecfleet"] == []


@pytest.mark.parametrize("verb", READS_AND_WRITES)
@pytest.mark.parametrize("make", [Path.touch, Path.mkdir, partial(Path.symlink_to, target="/dev/null")])
def test_what_is_no_fifo_is_not_written_to(gateway: Gateway, verb: verbs.Verb, make: Callable[[Path], None]) -> None:
    make(gateway.fifo)
    assert gateway.only(verb)[0] == "irregular"
    assert "fifo irregular\n" in sections(gateway.asked(verbs.Host()))["host"][1]
    assert not gateway.fifo.is_file() or gateway.fifo.stat().st_size == 0


@pytest.mark.parametrize("verb", READS_AND_WRITES)
def test_a_fifo_without_a_reader_does_not_block(gateway: Gateway, verb: verbs.Verb) -> None:
    os.mkfifo(gateway.fifo, 0o600)
    assert gateway.only(verb)[0] == "no-reader"
    assert "fifo no-reader\nfifo-mode 0600\n" in sections(gateway.asked(verbs.Host()))["host"][1]


def test_a_fifo_that_nobody_empties_is_no_answer(gateway: Gateway) -> None:
    os.mkfifo(gateway.fifo)
    fd = os.open(gateway.fifo, os.O_RDWR | os.O_NONBLOCK)
    with os.fdopen(fd, "wb", buffering=0) as full:
        while full.write(b"x" * 4096):
            pass
        assert gateway.only(LOCK, verbs.Write(("t quick a",)), deadline=0.3)[0] == "no-answer"


def test_a_write_is_logged_before_and_done_in_one(gateway: Gateway) -> None:
    lines = tuple(RENDERED)[:5]
    with gateway.daemon() as daemon:
        assert gateway.only(LOCK, verbs.Write(lines)) == ("ok", str(sum(len(line) + 1 for line in lines)))
        wait_for(lambda: len(daemon.changes) == len(lines), "all lines")
        assert daemon.changes == list(lines)
    assert gateway.logged == [f"-p daemon.notice -t ipsecfleet R1 alice@laptop: {'; '.join(lines)}"]


def test_a_log_that_cannot_be_written_does_not_stop_a_change(gateway: Gateway) -> None:
    gateway.tool("logger", "exit 1")
    with gateway.daemon():
        assert gateway.only(LOCK, verbs.Write(("c a",))) == ("ok", "4")


def raw(gateway: Gateway, *verbs: bytes) -> tuple[visit.Section, ...]:
    """A request whose verbs nobody looked at before."""
    done = fed(visit.sent_program() + gateway.request().encode().removesuffix(b"end\n") + b"".join(verbs) + b"end\n")
    assert (done.returncode, done.stderr) == (0, b"")
    return visit.decode(done.stdout, NONCE).sections


def test_the_program_and_the_client_know_the_same_lines(gateway: Gateway) -> None:
    plain = [line.encode() for line in HOSTILE if "\n" not in line]
    asked = [b"write 1\n%b\n" % line for line in (*plain, *(line.encode() for line in RENDERED))]
    statuses = [s.status for s in raw(gateway, *asked)]
    assert statuses == ["invalid"] * len(plain) + ["skipped"] * len(RENDERED)
    assert gateway.logged == []


def test_every_line_of_the_client_reaches_the_daemon(gateway: Gateway) -> None:
    with gateway.daemon() as daemon:
        gateway.asked(LOCK, *(verbs.Write((line,)) for line in RENDERED))
        wait_for(lambda: len(daemon.changes) == len(RENDERED), "the daemon changes")
        assert daemon.changes == list(RENDERED)


@pytest.mark.parametrize("bad", ["T", "t quick a;b", "t quick $(reboot)", "t quick \x1b[2J", f"c {'n' * 201}", "c a b"])
def test_one_bad_line_and_nothing_of_the_visit_is_sent(gateway: Gateway, bad: str) -> None:
    with gateway.daemon() as daemon:
        found = raw(gateway, b"write 1\nt quick good\n", b"write 2\nc good\n%b\n" % bad.encode(), b"host\n")
        assert [(s.name, s.status) for s in found][:3] == [("write", "skipped"), ("write", "invalid"), ("host", "ok")]
        assert daemon.lines == []
    assert gateway.logged == []


def test_a_newline_in_a_name_is_a_malformed_request(gateway: Gateway) -> None:
    with gateway.daemon() as daemon:
        assert [(s.name, s.status) for s in raw(gateway, b"write 1\nt quick a\nT\n")] == [("request", "invalid")]
        assert daemon.lines == []


def test_more_than_a_write_holds_is_not_sent(gateway: Gateway) -> None:
    with gateway.daemon() as daemon:
        gateway.asked(LOCK)
        fits = b"write 3\n" + b"t quick %b\n" * 3
        name = b"n" * 200
        assert raw(gateway, fits % (name, name, name[:86]))[0].status == "invalid"
        assert raw(gateway, fits % (name, name, name[:85]))[0].status == "ok"
        wait_for(lambda: len(daemon.lines) == 3, "the daemon reads")


def test_after_a_change_that_failed_the_others_are_skipped(gateway: Gateway) -> None:
    gateway.tool("ipsecctl", "exit 3")
    with gateway.daemon() as daemon:
        changes = (verbs.Write(("c a",)), verbs.Load("/a.conf"), verbs.Write(("c b",)))
        answer = gateway.asked(LOCK, *changes, verbs.Report(), verbs.Unlock())
        assert [s.status for s in answer.sections] == ["ok", "ok", "failed", "skipped"] + ["ok"] * 7
        assert daemon.changes == ["c a"]


# --- the visit lock


def test_a_lock_that_is_held_is_busy_and_says_who(gateway: Gateway) -> None:
    home = gateway.run / "ipsecfleet"
    home.mkdir(0o700)
    with gateway.daemon() as daemon, (home / "visit").open("w") as lock:
        lock.write("4711\n")
        lock.flush()
        fcntl.flock(lock, fcntl.LOCK_EX)
        status, why = gateway.only(verbs.Write(("c a",)), deadline=0.3)
        assert status == "busy"
        assert re.fullmatch(r"pid 4711 holds the visit lock since \d s", why)
        assert daemon.lines == []


def test_a_lock_whose_holder_is_gone_is_free(gateway: Gateway) -> None:
    with gateway.daemon(deaf=True) as daemon:
        command = ["perl", "-T", "-"]
        with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL) as killed:
            killed.stdin.write(visit.sent_program() + gateway.request(verbs.Report()).encode())
            killed.stdin.flush()
            wait_for(lambda: daemon.lines == ["S"], "the daemon reads")
            killed.kill()
        assert (gateway.run / "ipsecfleet/visit").read_text() == f"{killed.pid}\n"
        daemon.deaf = False
        assert gateway.only(LOCK, verbs.Write(("c a",)))[0] == "ok"


def test_a_directory_that_others_may_write_to_is_not_used(gateway: Gateway) -> None:
    (gateway.run / "ipsecfleet").mkdir()
    (gateway.run / "ipsecfleet").chmod(0o777)
    with gateway.daemon() as daemon:
        assert gateway.only(verbs.Report())[0] == "failed"
        assert daemon.lines == []


@pytest.mark.parametrize("sign", [signal.SIGTERM, signal.SIGHUP, signal.SIGINT])
def test_a_visit_that_is_ended_puts_everything_back(gateway: Gateway, sign: signal.Signals) -> None:
    gateway.result.write_text("old")
    with gateway.daemon(deaf=True) as daemon:
        pipes = dict.fromkeys(("stdin", "stdout", "stderr"), subprocess.PIPE)
        with subprocess.Popen(["perl", "-T", "-"], **pipes) as ended:
            ended.stdin.write(visit.sent_program() + gateway.request(verbs.Report(), verbs.Host()).encode())
            ended.stdin.flush()
            wait_for(lambda: daemon.lines == ["S"], "the daemon reads")
            ended.send_signal(sign)
            stdout, stderr = ended.communicate()
        assert ended.returncode == 2
        assert stderr == b"ipsecfleet: ended by a signal\n"
        assert not visit.decode(stdout, NONCE).complete
    assert gateway.result.read_text() == "old"


# --- the run lock

OTHER = "R2 bob@desk"
CHANGE = verbs.Write(("c a",))


def moment() -> float:
    """The clock of the program: times(3)."""
    return os.times().elapsed


def lock_of(gateway: Gateway, who: str = OTHER, *, held: float = 5.0, left: float = 55.0) -> None:
    """Somebody's run lock, as the program writes it."""
    (gateway.run / "ipsecfleet").mkdir(0o700, exist_ok=True)
    now = moment()
    (gateway.run / "ipsecfleet/run").write_text(f"{who} {now - held:.2f} {now + left:.2f}\n")


def locked_by(gateway: Gateway) -> list[str]:
    """Run, operator, since when and until when."""
    return (gateway.run / "ipsecfleet/run").read_text().split()


def test_a_lock_outlives_its_visit_and_is_given_back(gateway: Gateway) -> None:
    with gateway.daemon() as daemon:
        assert gateway.only(verbs.Lock(60)) == ("ok", "")
        run, who, since, until = locked_by(gateway)
        assert (run, who) == ("R1", "alice@laptop")
        assert float(until) - float(since) == pytest.approx(60)
        assert moment() - float(since) < 5
        assert (gateway.run / "ipsecfleet/run").stat().st_mode & 0o7777 == 0o600
        assert gateway.only(CHANGE) == ("ok", "4")
        assert gateway.only(verbs.Unlock()) == ("ok", "")
        assert [f.name for f in (gateway.run / "ipsecfleet").iterdir()] == ["visit"]
        assert gateway.only(CHANGE) == ("lost", "the run lock is not ours: nobody has it")
        assert daemon.changes == ["c a"]


def test_a_change_without_the_lock_is_neither_made_nor_logged(gateway: Gateway) -> None:
    gateway.tool("ipsecctl", f"echo $* >> {gateway.told}")
    with gateway.daemon() as daemon:
        for verb in (CHANGE, verbs.Load("/a.conf"), verbs.Unload("/a.conf")):
            assert gateway.only(verb)[0] == "lost"
        assert daemon.lines == []
    assert gateway.logged == []


def test_a_lock_that_another_run_has_is_held_and_nothing_is_changed(gateway: Gateway) -> None:
    lock_of(gateway)
    with gateway.daemon(report=UP) as daemon:
        answer = gateway.asked(LOCK, CHANGE, verbs.Report(), verbs.Unlock())
        found = sections(answer)
        assert {name: found[name][0] for name in ("lock", "write", "report", "unlock")} == {
            "lock": "held", "write": "skipped", "report": "ok", "unlock": "ok"
        }  # fmt: skip
        assert visit.holder(answer.last("lock").body) in [visit.Holder("R2", "bob@desk", s, 60 - s) for s in (5, 6, 7)]
        assert daemon.changes == []
    assert locked_by(gateway)[:2] == OTHER.split()
    assert gateway.logged == []


def test_the_same_run_renews_its_lock(gateway: Gateway) -> None:
    lock_of(gateway, "R1 alice@laptop", held=20, left=5)
    before = locked_by(gateway)
    with gateway.daemon():
        assert [s.status for s in gateway.asked(LOCK, CHANGE).sections] == ["ok", "ok"]
    after = locked_by(gateway)
    assert after[:3] == before[:3]
    assert float(after[3]) > moment() + 50


@pytest.mark.parametrize("left", [-0.01, -3600.0, 700.0])
def test_a_lock_that_expired_or_is_for_longer_than_any_binds_nobody(gateway: Gateway, left: float) -> None:
    lock_of(gateway, left=left)
    with gateway.daemon():
        assert [(s.status, s.body) for s in gateway.asked(LOCK, CHANGE).sections] == [("ok", b""), ("ok", b"4")]
    assert locked_by(gateway)[0] == "R1"


@pytest.mark.parametrize("text", ["", "R2 bob@desk", "R2 bob@desk 1.00 x\n", "R2 $(reboot) 1.00 2.00\n", "\0" * 5000])
def test_a_lock_that_the_program_did_not_write_binds_nobody(gateway: Gateway, text: str) -> None:
    lock_of(gateway)
    (gateway.run / "ipsecfleet/run").write_text(text)
    assert gateway.only(LOCK) == ("ok", "")


def test_our_own_lock_that_expired_is_lost(gateway: Gateway) -> None:
    """As after an operator's machine that slept: nothing is sent on the strength of what was so before."""
    lock_of(gateway, "R1 alice@laptop", left=-0.01)
    with gateway.daemon() as daemon:
        answer = gateway.asked(CHANGE, CHANGE, verbs.Report())
        assert [s.status for s in answer.sections][:3] == ["lost", "skipped", "ok"]
        assert daemon.changes == []


def test_a_lock_is_taken_over_on_demand_and_the_one_before_has_lost_it(gateway: Gateway) -> None:
    lock_of(gateway)
    with gateway.daemon() as daemon:
        assert gateway.only(verbs.Lock(60, take=True)) == ("ok", "took R2 bob@desk")
        assert gateway.only(verbs.Lock(60, take=True)) == ("ok", "")
        assert gateway.only(CHANGE, who=OTHER) == ("lost", "the run lock is not ours: R1 alice@laptop has it")
        assert gateway.only(LOCK, who=OTHER)[0] == "held"
        assert daemon.changes == []


@pytest.mark.parametrize("theirs", ["R2 bob@desk", "R bob@desk", "R11 alice@laptop"])
def test_the_lock_of_another_is_not_given_back(gateway: Gateway, theirs: str) -> None:
    lock_of(gateway, theirs)
    assert gateway.only(verbs.Unlock()) == ("ok", "")
    assert locked_by(gateway)[:2] == theirs.split()
    with gateway.daemon():
        assert gateway.only(CHANGE)[0] == "lost"


def test_of_runs_that_race_exactly_one_gets_the_lock_and_changes(gateway: Gateway) -> None:
    runs = [f"R{n} ops@desk" for n in range(6)]
    with gateway.daemon() as daemon, ThreadPoolExecutor(len(runs)) as pool:
        answers = list(pool.map(lambda who: gateway.asked(LOCK, CHANGE, who=who), runs))
        assert sorted(s.status for a in answers for s in a.sections) == ["held"] * 5 + ["ok"] * 2 + ["skipped"] * 5
        wait_for(lambda: daemon.changes, "the daemon changes")
        assert daemon.changes == ["c a"]
    winner = next(who for who, answer in zip(runs, answers, strict=True) if answer.last("lock").ok)
    assert locked_by(gateway)[:2] == winner.split()


def test_a_visit_that_is_stopped_in_a_change_keeps_others_out_although_its_lock_expires(gateway: Gateway) -> None:
    pid = gateway.root / "stopped"
    gateway.tool("logger", f"kill -STOP $PPID; echo $PPID > {pid}.new; mv {pid}.new {pid}")
    with gateway.daemon() as daemon, ThreadPoolExecutor() as pool:
        stopped = pool.submit(gateway.asked, LOCK, CHANGE)
        wait_for(pid.exists, "the visit is stopped")
        lock_of(gateway, "R1 alice@laptop", left=-0.01)
        assert gateway.only(LOCK, who=OTHER, deadline=0.3)[0] == "busy"
        os.kill(int(pid.read_text()), signal.SIGCONT)
        assert [s.status for s in stopped.result().sections] == ["ok", "ok"]
        assert gateway.only(LOCK, who=OTHER) == ("ok", "")
        assert gateway.only(CHANGE)[0] == "lost"
        assert daemon.changes == ["c a"]


def test_a_lock_that_cannot_be_written_stops_the_changes_and_leaves_what_was(gateway: Gateway) -> None:
    lock_of(gateway, "R1 alice@laptop", left=5)
    before = locked_by(gateway)
    full = f"ulimit -f 0; trap '' XFSZ; {visit.remote_command('none')}"
    with gateway.daemon(report=UP) as daemon:
        done = fed(visit.sent_program() + gateway.request(LOCK, CHANGE, verbs.Report()).encode(), full)
        answer = visit.decode(done.stdout, NONCE)
        assert [s.status for s in answer.sections][:3] == ["failed", "skipped", "ok"]
        assert daemon.changes == []
    assert locked_by(gateway) == before
    assert sorted(f.name for f in (gateway.run / "ipsecfleet").iterdir()) == ["run", "visit"]


def test_a_lock_without_a_name_for_its_holder_is_malformed(gateway: Gateway) -> None:
    request = gateway.request(verbs.Unlock()).encode().replace(b"R1 alice@laptop", b"").replace(b"unlock", b"lock 60")
    found = visit.decode(fed(visit.sent_program() + request).stdout, NONCE).sections
    assert [(s.name, s.status, s.body) for s in found] == [
        ("request", "invalid", b"malformed request: a lock does not say who")
    ]


# --- the daemon's state

STAMP = "142606.198309 Report> "
LEAVES = f"""exchange_report: 0x565166242f60 {NAME} phase2-{NAME} policy initiator phase 2 doi 1 exchange 32 step 1
exchange_report: icookie c1bda75dc618dc0d rcookie cbc8b0724f8d6229
exchange_report: msgid 229b8200 sa_list 0x565166243780\x20
exchange_report: 0x555659234a60 <unnamed> <no policy> policy responder phase 1 doi 1 exchange 2 step 5
exchange_report: icookie f9546c6a1bca50a7 rcookie 0000000000000000
exchange_report: msgid 00000000\x20
connection_report: connection {NAME} next check 44 seconds
connection_report: passive connection {NAME} local_id: 172.16.1.0/255.255.255.0, remote_id: <no ipsec id>
timer_report: event exchange_free_aux(0x5651662021b0) scheduled in 44 seconds
[peer-10.2.1.1]
Phase=\t1
Address=\t10.2.1.1
Configuration=\tphase1-peer-10.2.1.1
[Phase 1]
10.2.1.1=\tpeer-10.2.1.1
Default=\tpeer-default
[ipsecfleet]
Held-Peers=\t10.2.1.1,2001:db8::1
peer-of-10.2.1.1=\tpeer-10.2.1.1
[{NAME}]
ISAKMP-peer=\tpeer-10.2.1.1
Local-ID=\tfrom-172.16.1.0/24
PF-Tag=\tcustomer one
""".split("\n")[:-1]
STAYS = [
    "sa_report: 0x565166243780 <unnamed> phase 2 doi 1 flags 0x0",
    "90344e8b ",
    "udp_report: fd 12 src 10.2.11.1:500 dst 10.2.12.1:500",
    f"timer_report: event sa_soft_expire({PSK}) scheduled in 2975 seconds",
    f"Authentication=\t{PSK}",
    f"authentication=\t{PSK}",
    f"connection_report: connection {PSK} and more next check 1 seconds",
    f"Passphrase=\t{PSK}",
]
AFTER = [
    f"[peer-10.2.1.1]\n{STAMP}Authentication=\t{PSK}",
    f"[Phase 1]\n{STAMP}Authentication=\t{PSK}",
    f"[ipsecfleet]\n{STAMP}Authentication=\t{PSK}",
    f"[cut off{'x' * 200}\n{STAMP}Address=\t{PSK}",
    f"[no\x1b[2Jsection]\n{STAMP}Address=\t{PSK}",
    f"\n{STAMP}Address=\t{PSK}",
    f"Address=\t{PSK}{'x' * 199}",
    f"Address=\t{PSK}\x80",
]


def state(lines: Iterable[str]) -> bytes:
    return "".join(f"{STAMP}{line}\n" for line in lines).encode("latin-1") + f"Address=\t{PSK}\n".encode()


def whole_state() -> bytes:
    config = LEAVES.index("[peer-10.2.1.1]")
    dump = ["conf_report: dumping running configuration"]
    return state([*STAYS[:4], *LEAVES[:config], *STAYS[4:], *dump, *LEAVES[config:], *STAYS, *AFTER, PSK])


def test_of_the_state_only_what_is_allowed_leaves_and_the_file_is_removed(gateway: Gateway) -> None:
    with gateway.daemon(report=UP, config=LISTED, state=whole_state()) as daemon:
        done = fed(visit.sent_program() + gateway.request(verbs.Report(), verbs.Exchanges()).encode())
        assert daemon.changes == []
    allowed = visit.decode(done.stdout, NONCE).last("exchanges").body.decode().splitlines()
    assert allowed == [*LEAVES, "[peer-10.2.1.1]", "[Phase 1]", "[ipsecfleet]"]
    for form in (PSK.encode(), base64.b64encode(PSK.encode())[:-4], PSK.encode().hex().encode()):
        assert form not in done.stdout + done.stderr
    assert not gateway.report.exists()
    assert gateway.result.read_bytes() == UP


POLICIES = {
    f"{PSK} policy initiator phase 2 doi 1 exchange 32 step 3": "? policy initiator phase 2 doi 1 exchange 32 step 3",
    f"\x10\x17\x01 {PSK} policy responder phase 1 doi 1": "? policy responder phase 1 doi 1",
    f"phase2-{NAME} policy initi": f"phase2-{NAME} policy",
    f"phase2-{NAME} policy {PSK}": f"phase2-{NAME} policy",
    f"phase2-{NAME[:30]}": f"phase2-{NAME[:30]}",
    f"{PSK}": "?",
}


@pytest.mark.parametrize(("policy", "shown"), POLICIES.items())
def test_the_name_of_a_policy_may_be_freed_memory(gateway: Gateway, policy: str, shown: str) -> None:
    begun = f"exchange_report: 0x55e2c9025d00 {NAME} "
    with gateway.daemon(state=state([begun + policy])):
        assert gateway.only(verbs.Exchanges()) == ("ok", f"{begun}{shown}\n")


def test_a_long_value_may_have_been_cut_and_does_not_leave_but_that_it_is_there(gateway: Gateway) -> None:
    longest = "Address=\t" + "n" * (198 - len("Address=\t"))
    tag = f"PF-Tag=\t{'t' * 199}"
    lines = ["conf_report: dumping running configuration", "[a]", longest, f"{longest}n", tag]
    with gateway.daemon(state=state(lines)):
        assert gateway.only(verbs.Exchanges()) == ("ok", f"[a]\n{longest}\nPF-Tag=\t\n")


@pytest.mark.parametrize(
    ("report", "config", "status"),
    [
        (UP, LISTED, "skipped"),
        (UP.upper().replace(b"SA NAME", b"SA name").replace(b"(PHASE", b"(Phase"), LISTED, "skipped"),
        (UP + HALF_UP, LISTED, "ok"),
        (b"", LISTED, "ok"),
        (b"", {}, "skipped"),
        (UP, {"[phase 2]:connections": f"{NAME},other"}, "ok"),
        (UP, {**LISTED, "[ipsecfleet]:held-passive-connections": "other"}, "ok"),
        (UP, {**LISTED, "[ipsecfleet]:held-peers": "10.2.1.1"}, "skipped"),
    ],
)
def test_the_state_is_asked_for_if_needed_when_something_is_half_up(
    gateway: Gateway, report: bytes, config: dict[str, str], status: str
) -> None:
    with gateway.daemon(report=report, config=dict(config)):
        assert gateway.only(verbs.Report(), verbs.Exchanges(only_if_needed=True))[0] == status
        assert gateway.only(verbs.Exchanges(only_if_needed=True))[0] == "skipped"


def test_a_stranger_in_the_pid_file_is_not_signalled(gateway: Gateway) -> None:
    with gateway.daemon(state=b"x"), perl("sleep") as stranger:
        gateway.pid.write_text(f"{stranger.pid}\n")
        assert gateway.only(verbs.Exchanges()) == ("no-daemon", "the pid file is stale")
        assert "\npid stale\n" in sections(gateway.asked(verbs.Host()))["host"][1]
        assert stranger.poll() is None


@pytest.mark.parametrize("text", ["", "none", "0\n", "-1\n", "1 2\n", "99999999999\n"])
def test_a_pid_file_without_a_pid_is_no_daemon(gateway: Gateway, text: str) -> None:
    with gateway.daemon():
        gateway.pid.write_text(text)
        assert gateway.only(verbs.Exchanges()) == ("no-daemon", "the pid file is none")


def test_without_a_pid_file_there_is_no_daemon(gateway: Gateway) -> None:
    with gateway.daemon():
        gateway.pid.unlink()
        assert gateway.only(verbs.Exchanges()) == ("no-daemon", "the pid file is none")
        assert "\npid none\n" in sections(gateway.asked(verbs.Host()))["host"][1]


@pytest.mark.parametrize(
    ("title", "status"),
    [
        ("isakmpd: monitor [priv] (isakmpd)", "ok"),
        ("isakmpd: monitor [priv]", "ok"),
        ("isakmpd: monitor [priv] x", "no-daemon"),
        ("vi isakmpd: monitor [priv]", "no-daemon"),
        ("isakmpd -K", "no-daemon"),
    ],
)
def test_the_title_is_isakmpds_own_as_ps_shows_it_on_openbsd(gateway: Gateway, title: str, status: str) -> None:
    gateway.tool("ps", f"echo '{title}'")
    with gateway.daemon():
        assert gateway.only(verbs.Exchanges())[0] == status


def test_a_state_that_cannot_be_fenced_is_removed_all_the_same(gateway: Gateway) -> None:
    gateway.result.write_text("old")
    with gateway.daemon(state=whole_state(), deaf=True) as daemon:
        assert gateway.only(verbs.Exchanges(), deadline=0.5)[0] == "no-answer"
        assert daemon.lines[0].startswith("C set [ipsecfleet]:fence=")
    assert not gateway.report.exists()
    assert gateway.result.read_text() == "old"


# --- the tools


def test_what_ipsecctl_prints_comes_as_it_is(gateway: Gateway) -> None:
    gateway.tool("ipsecctl", r"""printf 'args %s\n\377\0end' "$*" """)
    answer = gateway.asked(verbs.Flows())
    assert answer.last("flows").body == b"args -s flow\n\xff\0end"


@pytest.mark.parametrize("verb", [verbs.Flows(), verbs.Sad(), verbs.ConfNames("/x"), verbs.Load("/x")])
def test_ipsecctl_absent_failing_or_hanging(gateway: Gateway, verb: verbs.Verb) -> None:
    gateway.asked(LOCK)
    assert gateway.only(verb) == ("missing", "there is no ipsecctl")
    gateway.tool("ipsecctl", f"echo '/x: 3: syntax error near \"{PSK}' >&2; exit 1")
    assert gateway.only(verb) == ("failed", 'exit 1: /x: 3: syntax error near "***"')
    gateway.tool("ipsecctl", f"trap '' TERM; sleep 60 & echo $$ $! > {gateway.root}/pids; wait")
    assert gateway.only(verb, deadline=0.5)[0] == "timeout"
    assert not any(alive(pid) for pid in (gateway.root / "pids").read_text().split())


def test_a_directory_of_tools_that_others_may_write_to_is_not_used(gateway: Gateway) -> None:
    gateway.tool("ipsecctl", "echo mine")
    gateway.bin.chmod(0o777)
    status, why = gateway.only(verbs.Flows())
    assert (status, "Insecure directory" in why) == ("failed", True)


@pytest.mark.parametrize(
    "words",
    ["a 'SECRET' b", '"SECRET" b', 'x "SECRET', "no IP address found for SECRET", "SECRET not a valid transform"],
)
def test_what_ipsecctl_quotes_from_a_file_stays(gateway: Gateway, words: str) -> None:
    gateway.tool("ipsecctl", f"cat >&2 <<'E'\n{words.replace('SECRET', PSK)}\n{PSK}\nE\nexit 2")
    assert gateway.only(verbs.ConfNames("/x")) == (
        "failed",
        f"exit 2: {re.sub('SECRET', '***', words)}" + ('"' if words == 'x "SECRET' else ""),
    )


def test_a_tool_that_prints_without_end_is_too_big(gateway: Gateway) -> None:
    gateway.tool("ipsecctl", "exec yes")
    assert gateway.only(verbs.Flows())[0] == "too-big"


def test_a_tool_that_dies_of_a_signal_failed(gateway: Gateway) -> None:
    gateway.tool("ipsecctl", "kill -KILL $$")
    assert gateway.only(verbs.Flows()) == ("failed", "exit 137: ")


def test_tools_get_no_input_and_a_clean_environment(gateway: Gateway) -> None:
    gateway.tool("ipsecctl", "cat; echo $PATH; echo $LC_ALL; echo ${SSH_CONNECTION-unset}")
    path = f"{gateway.bin}:/bin:/sbin:/usr/bin:/usr/sbin"
    assert gateway.only(verbs.Flows()) == ("ok", f"{path}\nC\nunset\n")


def test_no_line_with_a_key_leaves_with_the_sad(gateway: Gateway) -> None:
    sa = "esp tunnel from 10.2.2.1 to 10.2.1.1 spi 0x1eb1936d auth hmac-sha1 enc aes-256\n"
    keys = "\tkey_auth: bits 160: 0011\n\tkey_encrypt: bits 256: 0011\nesp spi 0x1 authkey 0x11 enckey 0x22\n"
    gateway.tool(
        "ipsecctl", f"[ \"$*\" = '-v -s sa' ] && cat <<'E'\n{sa}{keys}\tidentity_src: type fqdn id 0: key.example\nE"
    )
    assert gateway.only(verbs.Sad()) == ("ok", f"{sa}\tidentity_src: type fqdn id 0: key.example\n")


def test_of_a_conf_file_only_its_names_leave(gateway: Gateway) -> None:
    names = f"t {NAME}\nC rmv [Phase 2]:Connections={NAME}\n"
    rest = f't = "{PSK}"\nt ="{PSK}"\nkey = "{PSK}"\nC rms [{NAME}]\nC set [peer-a]:Authentication={PSK} force\n t x\n'
    gateway.tool("ipsecctl", f"[ \"$*\" = '-d -n -v -f /etc/IPsec/a.conf' ] && cat <<'E'\n{rest}{names}E")
    assert gateway.only(verbs.ConfNames("/etc/IPsec/a.conf")) == ("ok", names)


def test_load_and_unload_are_logged_and_run(gateway: Gateway) -> None:
    gateway.tool("ipsecctl", f"echo ipsecctl $* >> {gateway.told}; echo {PSK}")
    answer = gateway.asked(LOCK, verbs.Load("/a.conf"), verbs.Unload("/a.conf"))
    assert sections(answer) == {"lock": ("ok", ""), "load": ("ok", "done"), "unload": ("ok", "done")}
    said = "-p daemon.notice -t ipsecfleet R1 alice@laptop: "
    assert gateway.logged == [
        f"{said}ipsecctl -f /a.conf", "ipsecctl -f /a.conf", f"{said}ipsecctl -d -f /a.conf", "ipsecctl -d -f /a.conf"
    ]  # fmt: skip


GONE = "ipsecctl: PF_KEY failed: No such process\nipsecctl: failed to delete rule 0\n"


@pytest.mark.parametrize(
    ("verb", "words", "status"),
    [
        (verbs.Unload("/x"), GONE, "ok"),
        (verbs.Unload("/x"), GONE * 2, "ok"),
        (verbs.Load("/x"), GONE, "failed"),
        (verbs.Unload("/x"), GONE + "ipsecctl: PF_KEY failed: Permission denied\n", "failed"),
        (verbs.Unload("/x"), "ipsecctl: failed to delete rule 0\n", "failed"),
        (verbs.Unload("/x"), "", "failed"),
    ],
)
def test_a_flow_that_is_gone_already_is_no_failure_to_unload(
    gateway: Gateway, verb: verbs.Verb, words: str, status: str
) -> None:
    gateway.tool("ipsecctl", f"cat >&2 <<'E'\n{words}E\nexit 1")
    assert gateway.only(LOCK, verb)[0] == status


TO_NET = Selectors(Selector(ip_network("172.16.1.0/24")), Selector(ip_network("192.168.1.0/24")))
TO_PORT = Selectors(Selector(ip_network("2001:db8::1"), 17), Selector(ip_network("2001:db8:2::/64"), 17, 53))


@pytest.mark.parametrize(
    ("verb", "words"),
    [
        (verbs.Deny(TO_NET), "-f -: flow esp from 172.16.1.0/24 to 192.168.1.0/24 type deny"),
        (verbs.Open(TO_NET), "-d -f -: flow esp from 172.16.1.0/24 to 192.168.1.0/24 type deny"),
        (verbs.Deny(TO_PORT), "-f -: flow esp proto 17 from 2001:db8::1 to 2001:db8:2::/64 port 53 type deny"),
    ],
)
def test_a_deny_flow_is_loaded_when_the_daemon_has_done_what_was_written(
    gateway: Gateway, verb: verbs.Verb, words: str
) -> None:
    gateway.tool("ipsecctl", f'echo "ipsecctl $*: $(cat)" >> {gateway.told}')
    with gateway.daemon() as daemon:
        answer = gateway.asked(LOCK, verbs.Write((f"t quick {NAME}",)), verb)
    assert sections(answer)[verb.lines()[0].split()[0]] == ("ok", "done")
    assert gateway.logged[1:] == [
        f"-p daemon.notice -t ipsecfleet R1 alice@laptop: ipsecctl {words}",
        f"ipsecctl {words}",
    ]
    assert daemon.lines[0] == f"t quick {NAME}"
    assert daemon.lines[1].startswith("C set [ipsecfleet]:fence=")


def test_no_deny_flow_where_the_daemon_does_not_answer(gateway: Gateway) -> None:
    gateway.tool("ipsecctl", f"echo ipsecctl >> {gateway.told}")
    assert gateway.only(LOCK, verbs.Deny(TO_NET))[0] == "missing"
    assert "ipsecctl" not in gateway.logged


@pytest.mark.parametrize(
    "flow",
    [
        "from 172.16.1.0/24 to 192.168.1.0/24 type bypass",
        "from any to any",
        "from 1.2.3 to 10.0.0.0/8",
        "from 10.0.0.0/8 to :::1",
        "to 10.0.0.0/8 from 10.1.0.0/16",
        "proto tcp from 10.0.0.0/8 to 10.1.0.0/16",
        "from 10.0.0.0/8 to 10.1.0.0/16; x",
        "",
    ],
)
@pytest.mark.parametrize("verb", ["deny", "open"])
def test_a_flow_is_made_of_addresses_alone(gateway: Gateway, verb: str, flow: str) -> None:
    request = gateway.request(LOCK, verbs.Unlock()).encode().replace(b"unlock", f"{verb} {flow}".encode())
    answer = visit.decode(fed(visit.sent_program() + request).stdout, NONCE)
    assert [(s.name, s.status) for s in answer.sections] == [("request", "invalid")]


def test_carp_is_empty_failed_or_missing(gateway: Gateway) -> None:
    assert gateway.only(verbs.Host()) == ("ok", "")
    gateway.tool("ifconfig", "echo carp0: $*")
    assert gateway.only(verbs.Host()) == ("ok", "carp0: carp\n")
    gateway.tool("ifconfig", "echo no >&2; exit 1")
    assert gateway.only(verbs.Host()) == ("failed", "exit 1: no")


def test_the_files_of_ipsec_conf_with_their_modes(gateway: Gateway) -> None:
    included = [gateway.etc / "a.conf", gateway.etc / "b.conf", gateway.etc / "absent.conf"]
    for path, mode in zip(included[:2], (0o600, 0o644), strict=True):
        path.write_text(PSK)
        path.chmod(mode)
    main = gateway.etc / "ipsec.conf"
    assert gateway.only(verbs.Files())[0] == "missing"
    a, b, absent = included
    main.write_text(f'# include "/c"\nkey = "{PSK}"\ninclude "{a}"\n  include \'{b}\' # b\ninclude "{absent}"\n')
    main.chmod(0o640)
    owner, size = f"{os.getuid()} {os.getgid()}", main.stat().st_size
    assert gateway.only(verbs.Files())[1].splitlines() == [
        f"0640 {owner} {size} {main}",
        f"include {a}", f"0600 {owner} {len(PSK)} {a}",
        f"include {b}", f"0644 {owner} {len(PSK)} {b}",
        f"include {absent}",
    ]  # fmt: skip


def test_host_tells_of_the_gateway(gateway: Gateway) -> None:
    gateway.result.touch(0o640)
    with gateway.daemon():
        pid = gateway.pid.read_text().strip()
        told = sections(gateway.asked(verbs.Host()))["host"][1]
    facts = dict(line.split(" ", 1) for line in told.splitlines())
    assert abs(float(facts.pop("time")) - time.time()) < 5
    assert facts == {
        "release": f"{os.uname().sysname} {os.uname().release}",
        "uid": str(os.getuid()),
        "fifo": "fifo",
        "fifo-mode": "0600",
        "result-mode": "0640",
        "pid": pid,
        "version": "1",
    }


# --- the request


@pytest.mark.parametrize(
    "line",
    [
        "S", "t quick a", "hosts", "host ", "conf", "conf a.conf", "conf /a b", "conf /../a", "conf /a/..", "write",
        "write 0", "write 2\nc a", "write 100", "load", "load -d", "exchanges!", "x" * 5000, "", "lock", "lock 0",
        "lock 601", "lock 9 steal", "lock -1", "unlock all",
    ],
)  # fmt: skip
def test_what_is_not_understood_is_invalid_and_nothing_is_done(gateway: Gateway, line: str) -> None:
    with gateway.daemon() as daemon:
        found = raw(gateway, b"write 1\nc a\n", f"{line}\n".encode())
        assert [(s.name, s.status) for s in found] == [("request", "invalid")]
        assert daemon.lines == []


@pytest.mark.parametrize(
    "head",
    [
        "run var",
        "run /a/../b",
        "bin /a b",
        "etc /\x80",
        "who a\tb",
        "who -x y",
        "who R1",
        "deadline soon",
        "colour red",
    ],
)
def test_a_head_that_is_not_understood_is_invalid(gateway: Gateway, head: str) -> None:
    request = gateway.request(verbs.Host()).encode()
    done = fed(visit.sent_program() + request.replace(b"\n\n", f"\n{head}\n\n".encode("latin-1"), 1))
    assert [(s.name, s.status) for s in visit.decode(done.stdout, NONCE).sections] == [("request", "invalid")]


def test_a_request_cut_off_anywhere_changes_nothing(gateway: Gateway) -> None:
    whole = gateway.request(verbs.Write(("c a", "c b"))).encode()
    with gateway.daemon() as daemon:
        for cut in range(0, len(whole) - 1, 7):
            done = fed(visit.sent_program() + whole[:cut])
            assert done.returncode in (0, 2)
            assert [s.status for s in visit.decode(done.stdout, NONCE).sections] in ([], ["invalid"])
        assert daemon.lines == []
    assert gateway.logged == []


def test_another_version_is_not_answered() -> None:
    done = fed(visit.sent_program() + b"ipsecfleet 2 0123456789abcdef\n")
    assert (done.returncode, done.stderr) == (2, b"ipsecfleet: not a request of version 1\n")


def test_a_verb_after_the_deadline_is_not_begun(gateway: Gateway) -> None:
    gateway.tool("ipsecctl", "sleep 60")
    with gateway.daemon() as daemon:
        answer = gateway.asked(verbs.Flows(), verbs.Write(("c a",)), verbs.Sad(), deadline=0.3)
        assert [s.status for s in answer.sections] == ["timeout"] * 3
        assert daemon.lines == []


PROGRAM = str(files("ipsecfleet.isakmpd") / "visit.pl")


@pytest.mark.parametrize(
    ("request_", "status"),
    [
        (visit.Request(NONCE, (verbs.Files(),)), "missing"),
        (visit.Request(NONCE, (verbs.Files(),), run="/tmp"), "invalid"),
        (visit.Request(NONCE, (verbs.Files(),), bin="/tmp"), "invalid"),
        (visit.Request(NONCE, (verbs.ConfNames("/tmp/a.conf"),)), "invalid"),
        (visit.Request(NONCE, (verbs.ConfNames("/etc/a.conf"),)), "missing"),
    ],
)
def test_an_installed_program_takes_no_paths(request_: visit.Request, status: str) -> None:
    installed = ["perl", "-T", PROGRAM]
    done = subprocess.run(installed, input=request_.encode(), capture_output=True, check=True)
    assert [s.status for s in visit.decode(done.stdout, NONCE).sections] == [status]


def test_an_installed_program_tells_its_hash() -> None:
    request = visit.Request(NONCE, (verbs.Host(),))
    done = subprocess.run(["perl", "-T", PROGRAM], input=request.encode(), capture_output=True, check=True)
    host = visit.decode(done.stdout, NONCE).last("host")
    assert host is not None
    assert f"sha256 {visit.digest()}" in host.body.decode().splitlines()


def test_the_program_compiles_cleanly_with_perl_base_alone() -> None:
    checked = subprocess.run(["perl", "-T", "-w", "-c", PROGRAM], capture_output=True, text=True, check=True)
    assert checked.stderr == f"{PROGRAM} syntax OK\n"
    text = Path(PROGRAM).read_text()
    used = re.findall(r"^\s*(?:use|require|no)\s+([\w:.]+)", text, re.MULTILINE)
    assert used == ["v5.36", "Fcntl", "POSIX", "IO::Handle", "Socket"]


# Packed answers.


LINE = "SA name: from-172.16.1.0/24-to-192.168.1.0/24\n"


def packing(gateway: Gateway, report: str) -> list[tuple[str, str]]:
    """Names and statuses as they go over the wire."""
    with gateway.daemon(report=report.encode()):
        request = replace(gateway.request(verbs.Report(), verbs.Host()), pack=2000)
        said = fed(visit.sent_program() + request.encode()).stdout
    answer = visit.decode(said, NONCE)
    assert answer.complete
    assert answer.sections[0].body.decode() == report
    return re.findall(rf"^{NONCE} ([a-z-]+) (ok|packed) ", said.decode("latin-1"), re.MULTILINE)


def test_only_what_would_make_the_answer_long_is_packed(gateway: Gateway) -> None:
    assert set(dict(packing(gateway, LINE * 20)).values()) == {"ok"}


def test_what_is_long_is_packed_whatever_its_length(gateway: Gateway) -> None:
    told = dict(packing(gateway, LINE * 20_000))
    assert (told["report"], told["host"]) == ("packed", "ok")


def test_without_gzip_all_comes_as_it_is(gateway: Gateway) -> None:
    gateway.tool("gzip", "exit 1")
    assert dict(packing(gateway, LINE * 200))["report"] == "ok"


def test_a_gateway_without_gzip_says_so_and_runs_nothing(gateway: Gateway) -> None:
    call = visit.Call.of(gateway.request(verbs.Host()), "none")
    done = fed(call.stdin, call.command.replace("/usr/bin/gzip", "/nowhere/gzip"))
    assert (done.returncode, done.stdout.count(b"\n")) == (visit.NO_GZIP, 1)
    whole = fed(call.stdin, call.command)
    assert visit.decode(whole.stdout, NONCE).complete
