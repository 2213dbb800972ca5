"""What the visit program lets out of a gateway's log, and how it raises a class of the daemon's debugging."""

import gzip
import os
import signal
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from syslog import moved, stamped

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from servers import wait_for
from visits import NONCE, Gateway, fed

from ipsecfleet.errors import RefusedError
from ipsecfleet.isakmpd import notices, verbs, visit
from ipsecfleet.model.notice import Kind, Log
from ipsecfleet.model.snapshot import Unknown

DATA = Path(__file__).parents[1] / "data" / "log"
PSK = "what-a-mess"
NAME = "from-172.16.1.0/24-to-192.168.1.0/24"
PEER, OTHER = "10.2.1.1", "10.2.1.10"
DROPPED = "dropped message from {} port 500 due to notification type {}"
IDS = "responder_recv_HASH_SA_NONCE: peer proposed invalid phase 2 IDs: initiator id 172.16.1.0/255.255.255.0, responder id 192.168.1.0/255.255.255.0"
ATTRIBUTE = "attribute_unacceptable: HASH_ALGORITHM: got SHA, expected SHA2_256"
NO_PROPOSAL = "message_negotiate_sa: no compatible proposal found"
UNANSWERED = f"transport_send_messages: giving up on exchange peer-{PEER}, no response from peer {PEER}:500"
WRONG_ID = "ike_phase_1_recv_ID: received remote ID other than expected nobody.example.com"


@pytest.fixture
def gateway(tmp_path: Path) -> Gateway:
    return Gateway(tmp_path)


def daemon(*texts: str, pid: int = 4711) -> list[tuple[float, str]]:
    return [(10.0, f"isakmpd[{pid}]: {text}") for text in texts]


def told(gateway: Gateway, lines: list[tuple[float, str]], *words: str, seconds: int = 600) -> list[tuple[str, str]]:
    """Whom the lines that come back are about, and what they say."""
    gateway.daemon_log.write_text(stamped(lines))
    status, body = gateway.only(verbs.Log(seconds, words))
    assert status == "ok", body
    return [(line.split(" ", 2)[1], line.split(" ", 2)[2]) for line in body.splitlines()[1:]]


def test_a_refusal_comes_with_its_reasons_for_the_peer_it_was_and_for_no_other(gateway: Gateway) -> None:
    lines = daemon(
        ATTRIBUTE, NO_PROPOSAL, DROPPED.format(OTHER, "NO_PROPOSAL_CHOSEN"), IDS, DROPPED.format(PEER, "INVALID_ID_INFORMATION")
    )  # fmt: skip
    assert told(gateway, lines, PEER) == [(PEER, IDS), (PEER, DROPPED.format(PEER, "INVALID_ID_INFORMATION"))]
    assert told(gateway, lines, OTHER) == [
        (OTHER, ATTRIBUTE), (OTHER, NO_PROPOSAL), (OTHER, DROPPED.format(OTHER, "NO_PROPOSAL_CHOSEN")),
    ]  # fmt: skip
    assert told(gateway, lines, "10.2.1.2") == []


def test_reasons_of_another_process_or_of_long_before_are_not_joined(gateway: Gateway) -> None:
    dropped = DROPPED.format(PEER, "NO_PROPOSAL_CHOSEN")
    late = [(20.0, f"isakmpd[4711]: {NO_PROPOSAL}"), (10.0, f"isakmpd[4711]: {dropped}")]
    assert told(gateway, late, PEER) == [(PEER, dropped)]
    other = [*daemon(NO_PROPOSAL, pid=1), *daemon(dropped)]
    assert told(gateway, other, PEER) == [(PEER, dropped)]


@pytest.mark.parametrize(
    ("text", "word"),
    [
        (UNANSWERED, PEER),
        (
            "transport_send_messages: giving up on exchange <unnamed>, no response from peer fd00:2::2:500",
            "fd00:2:0::2",
        ),
        (
            f"isakmpd: phase 1 done (as responder): initiator id {PEER}, responder id 10.1.2.2, src: 10.1.2.2 dst: {PEER}",
            PEER,
        ),
        (f"isakmpd: quick mode done: src: 10.1.2.2 dst: {PEER}", PEER),
        (
            f"isakmpd: Peer {PEER} made us delete live SA {NAME} for proto 3, initiator id: 10.2.7.1, responder id: x",
            PEER,
        ),
        (f'exchange_establish: peer "{NAME}" does not have a correct phase (0)', NAME.upper()),
        (f'connection_record_passive: "Local-ID" is missing from section [{NAME}]', NAME),
        (f'ike_auth_get_key: no key found for peer "peer-{PEER}" or local ID "(null)"', f"peer-{PEER}"),
    ],
)
def test_a_notice_is_told_for_whom_it_names(gateway: Gateway, text: str, word: str) -> None:
    assert told(gateway, daemon(text), word) == [(word, text)]
    assert told(gateway, daemon(text), OTHER, f"{NAME}=6", f"peer-{OTHER}") == []


@pytest.mark.parametrize("text", [WRONG_ID, "isakmpd: starting", "SIGHUP received"])
def test_what_names_nobody_is_told(gateway: Gateway, text: str) -> None:
    assert told(gateway, daemon(text), PEER) == [("-", text)]


def test_a_key_that_is_no_hexadecimal_is_told_without_the_key(gateway: Gateway) -> None:
    assert told(gateway, daemon(f"ike_auth_get_key: invalid hex key {PSK}")) == [
        ("-", "ike_auth_get_key: invalid hex key")
    ]


def test_what_repeats_is_told_again_and_what_another_program_repeats_is_not(gateway: Gateway) -> None:
    again = (5.0, "last message repeated 3 times")
    assert told(gateway, [*daemon(WRONG_ID), again]) == [("-", WRONG_ID)] * 2
    assert told(gateway, [*daemon(WRONG_ID), (9.0, "sshd[1]: hello"), again]) == [("-", WRONG_ID)]


OURS = "20261123-203144-ab12 alice@laptop"


@pytest.mark.parametrize(
    ("done", "words"),
    [
        (f"C rmv [Phase 2]:Connections={NAME}; C add [ipsecfleet]:Held-Connections={NAME}; t quick {NAME}", (NAME,)),
        (f"C rm [Phase 1]:{PEER}; C add [ipsecfleet]:Held-Peers={PEER}", (PEER,)),
        ("ipsecctl -d -f /etc/IPsec/customer-1.conf", ("/etc/IPsec/customer-1.conf",)),
        ("roll back /etc/IPsec/customer-1.conf: won at 1795449180.25", ("/etc/IPsec/customer-1.conf",)),
    ],
)
def test_our_own_lines_say_who_did_what(gateway: Gateway, done: str, words: tuple[str, ...]) -> None:
    lines = [(10.0, f"ipsecfleet: {OURS}: {done}")]
    assert told(gateway, lines, *words) == [(words[0], f"{OURS}: {done}")]
    assert told(gateway, lines, f"{words[0]}0", OTHER) == []


@pytest.mark.parametrize(
    "text",
    [f"{OURS}: {PSK}", f"{OURS}: t quick {NAME}; C set [peer-x]:Authentication={PSK} force", f"{PSK}: t quick {NAME}"],
)
def test_what_somebody_else_writes_in_our_name_is_not_told(gateway: Gateway, text: str) -> None:
    assert told(gateway, [(10.0, f"ipsecfleet: {text}")], NAME) == []


def test_no_key_comes_out_of_a_log_that_has_it_everywhere(gateway: Gateway) -> None:
    """Every message of isakmpd.md 12 and of the daemon's source that prints a key, and a state report by `r`."""
    text = moved((DATA / "leaking").read_text())
    assert text.count(PSK) > 20
    gateway.daemon_log.write_text(text)
    status, body = gateway.only(verbs.Log(86_400, (PEER, "10.2.8.1", "peer-10.2.8.1", NAME, f"peer-{PEER}")))
    assert status == "ok"
    assert PSK not in body
    assert "quick mode done" in body


TAGS = st.sampled_from([
    "attribute_unacceptable", "message_parse_payloads", "message_recv", "ui_config", "conf_get_str", "ike_auth_get_key",
    "check_policy", "transport_send_messages", "exchange_establish", "isakmpd", "log_debug_cmd", "dropped message from",
])  # fmt: skip
QUOTED = st.sampled_from(['"{}"', "={}", "->{}", "'{}'", "[{}]", '"C set [p]:Authentication={}"', "passphrase:{}"])


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.lists(
        st.tuples(TAGS, st.text("abc :,.()0x", max_size=30), QUOTED, st.text("abc :,.()", max_size=10)), max_size=40
    )
)
def test_what_is_quoted_assigned_or_shown_never_comes_out(
    gateway: Gateway, lines: list[tuple[str, str, str, str]]
) -> None:
    texts = [f"{tag}: {before}{how.format(PSK)}{after}" for tag, before, how, after in lines]
    assert PSK not in str(told(gateway, daemon(*texts), PEER, NAME))


def test_the_policy_of_an_exchange_can_be_freed_memory(gateway: Gateway) -> None:
    """It leaves in the shape that a policy has, or not at all; the daemon's own dump by `r` never does."""
    head = "exchange_finalize: 0x55f2a0 {} {} policy initiator phase 1 doi 1 exchange 2 step 1"
    lines = daemon(
        head.format(f"peer-{PEER}", PSK),
        head.format("<unnamed>", PSK),
        head.format(f"peer-{PEER}", f"phase1-peer-{PEER}").replace("exchange_finalize", "exchange_report"),
        head.format(f"peer-{PEER}", f"phase1-peer-{PEER}"),
    )
    assert told(gateway, lines, f"peer-{PEER}") == [
        (f"peer-{PEER}", head.format(f"peer-{PEER}", f"phase1-peer-{PEER}"))
    ]


def test_what_debugging_says_of_each_payload_is_no_refusal_and_no_dump_leaves(gateway: Gateway) -> None:
    dropped = DROPPED.format(PEER, "INVALID_HASH_INFORMATION")
    lines = daemon(
        "message_parse_payloads: offset 28 payload HASH",
        "message_recv: 2d612d6d 65737300 08102001 00000000",
        "message_validate_hash: invalid hash information",
        dropped,
    )
    assert told(gateway, lines, PEER) == [(PEER, "message_validate_hash: invalid hash information"), (PEER, dropped)]


def test_a_reason_is_joined_to_the_refusal_that_it_is_for(gateway: Gateway) -> None:
    """An attribute that did not fit a peer who was accepted by another transform; then somebody else's networks."""
    lines = daemon(ATTRIBUTE, IDS, DROPPED.format(PEER, "INVALID_ID_INFORMATION"))
    assert told(gateway, lines, PEER) == [(PEER, IDS), (PEER, DROPPED.format(PEER, "INVALID_ID_INFORMATION"))]


@pytest.mark.parametrize("identity", ["ops+gw1@example.com", "/C=DE/CN=gw", "*.example.com"])
def test_an_identity_is_told_whole(gateway: Gateway, identity: str) -> None:
    text = f"ike_phase_1_recv_ID: received remote ID other than expected {identity}"
    assert told(gateway, daemon(text)) == [("-", text)]
    done = f"isakmpd: phase 1 done: initiator id {identity}, responder id x, src: 10.1.2.2 dst: {PEER}"
    assert told(gateway, daemon(done), PEER) == [(PEER, done)]


def test_networks_of_a_line_that_is_cut_off_are_told(gateway: Gateway) -> None:
    net = "2001:db8:1111:2222:3333:4444:5555:0/ffff:ffff:ffff:ffff:ffff:ffff:ffff:ff00"
    text = f"responder_recv_HASH_SA_NONCE: peer proposed invalid phase 2 IDs: initiator id {net}, responder id {net}"[
        :199
    ]
    lines = daemon(text, DROPPED.format(PEER, "INVALID_ID_INFORMATION"))
    assert told(gateway, lines, PEER)[0] == (PEER, text)


def test_a_line_of_ours_about_several_is_told_for_each(gateway: Gateway) -> None:
    other = NAME.replace("172", "173")
    line = [(10.0, f"ipsecfleet: {OURS}: t quick {NAME}; t quick {other}")]
    assert [about for about, _ in told(gateway, line, NAME, other)] == sorted([NAME, other])
    assert told(gateway, [(10.0, f"ipsecfleet: {OURS}: C rm [Phase 1]:fd00:1::2")], "1::2") == []


def test_where_a_log_begins_is_where_it_can_be_read_from(gateway: Gateway) -> None:
    """One that is too long to be read whole has no older part; a half-written archive is none."""
    old = stamped([(7200.0, f"isakmpd[1]: {UNANSWERED}")])
    (gateway.log / "daemon.0.gz").write_bytes(gzip.compress(old.encode())[:-12])
    gateway.daemon_log.write_text(stamped(daemon(WRONG_ID)))
    assert abs(begins(gateway) - (time.time() - 10)) < 3
    (gateway.log / "daemon.0.gz").write_bytes(gzip.compress(old.encode()))
    assert abs(begins(gateway) - (time.time() - 7200)) < 3
    line = stamped([(500.0, "sshd[1]: " + "x" * 1000)])
    gateway.daemon_log.write_text(line * (5_000_000 // len(line)) + stamped(daemon(WRONG_ID)))
    assert abs(begins(gateway) - (time.time() - 500)) < 3


def begins(gateway: Gateway) -> int:
    return int(gateway.only(verbs.Log(8000, (PEER,)))[1].splitlines()[0].removeprefix("from "))


def test_a_log_whose_end_is_not_understood_is_not_read(gateway: Gateway) -> None:
    """As where syslogd(8) was told to write other moments meanwhile."""
    gateway.daemon_log.write_text(stamped(daemon(WRONG_ID)) + "2026-11-27T03:00:00.000Z gw isakmpd[1]: hello\n")
    assert gateway.only(verbs.Log(600, (PEER,)))[0] == "failed"


def test_a_log_that_somebody_fills_is_read_in_time(gateway: Gateway) -> None:
    began = time.monotonic()
    lines = [(10.0, f"ipsecfleet: {OURS}: t quick {NAME}{n}") for n in range(20_000)]
    gateway.daemon_log.write_text(stamped(lines))
    assert gateway.only(verbs.Log(600, tuple(f"{NAME}{n}" for n in range(900))))[0] == "ok"
    assert time.monotonic() - began < 20


def test_what_is_older_than_asked_is_not_told(gateway: Gateway) -> None:
    lines = [(700.0, f"isakmpd[1]: {UNANSWERED}"), *daemon(WRONG_ID)]
    assert told(gateway, lines, PEER) == [("-", WRONG_ID)]


def test_what_newsyslog_has_turned_over_is_read_too(gateway: Gateway) -> None:
    old = stamped([(500.0, f"isakmpd[1]: {UNANSWERED}")])
    (gateway.log / "daemon.0.gz").write_bytes(gzip.compress(old.encode()))
    assert told(gateway, daemon(WRONG_ID), PEER) == [(PEER, UNANSWERED), ("-", WRONG_ID)]
    (gateway.log / "daemon.0.gz").unlink()
    (gateway.log / "daemon.0").write_text(old)
    assert told(gateway, daemon(WRONG_ID), PEER) == [(PEER, UNANSWERED), ("-", WRONG_ID)]


def test_a_log_of_last_year_is_of_last_year(gateway: Gateway) -> None:
    assert told(gateway, [(-3 * 86_400.0, f"isakmpd[1]: {WRONG_ID}"), *daemon(UNANSWERED)], PEER) == [
        (PEER, UNANSWERED)
    ]


@pytest.mark.parametrize(
    ("text", "status"), [(None, "missing"), ("", "ok"), ("2026-11-27T03:00:00Z gw x: y\n", "failed")]
)
def test_a_log_that_cannot_be_read_says_so(gateway: Gateway, text: str | None, status: str) -> None:
    if text is not None:
        gateway.daemon_log.write_text(text)
    assert gateway.only(verbs.Log(600, (PEER,)))[0] == status


@pytest.mark.parametrize("lines", [b"log 600 1\nfoo bar\n", b"log 0 0\n", b"log 600 2\na\n", b"log 600 1\n\n"])
def test_a_question_that_is_none_is_malformed(gateway: Gateway, lines: bytes) -> None:
    request = gateway.request().encode().removesuffix(b"end\n") + lines + b"end\n"
    answer = visit.decode(fed(visit.sent_program() + request).stdout, NONCE)
    assert [(s.name, s.status) for s in answer.sections] == [("request", "invalid")]


def test_too_many_names_are_refused_before_anything_is_asked() -> None:
    with pytest.raises(RefusedError, match="select fewer tunnels") as refused:
        verbs.Log(600, tuple(f"name-{n}" for n in range(10_000)))
    assert refused.value.obj == "log"


def test_what_a_gateway_says_is_understood(gateway: Gateway) -> None:
    lines = daemon(ATTRIBUTE, NO_PROPOSAL, DROPPED.format(PEER, "NO_PROPOSAL_CHOSEN"), UNANSWERED, WRONG_ID)
    gateway.daemon_log.write_text(stamped(lines))
    log = notices.parse(gateway.only(verbs.Log(600, (PEER,)))[1].encode(), 600, time.time())
    assert isinstance(log, Log)
    assert [(n.kind, n.about, n.details) for n in log.notices] == [
        (Kind.ATTRIBUTE, PEER, ("HASH_ALGORITHM", "SHA", "SHA2_256")),
        (Kind.NO_PROPOSAL, PEER, ()),
        (Kind.REFUSED, PEER, ("NO_PROPOSAL_CHOSEN",)),
        (Kind.UNANSWERED, PEER, (f"peer-{PEER}",)),
        (Kind.WRONG_ID, None, ("nobody.example.com",)),
    ]
    assert all(abs(n.at - time.time()) < 20 for n in log.notices)


@given(st.binary(max_size=300))
def test_whatever_a_gateway_says_of_its_log_is_read(body: bytes) -> None:
    found = notices.parse(body, 600, 1_795_449_180.0)
    assert isinstance(found, Log | Unknown)


def changed(level: int, old: int = 0) -> str:
    return f"log_debug_cmd: log level changed from {old} to {level} for class 7"


@contextmanager
def answering(gateway: Gateway, texts: list[str]) -> Iterator[None]:
    """A daemon's FIFO, and a log that gets a line for each line out of it."""
    os.mkfifo(gateway.fifo, 0o600)
    gateway.daemon_log.write_text(stamped([(60.0, "isakmpd[4711]: isakmpd: starting")]))
    (gateway.root / "texts").write_text("".join(f"{t}\n" for t in texts))
    script = (
        f"exec 3<>{gateway.fifo}; exec 4<{gateway.root}/texts; echo up; "
        f'while read line <&3; do echo "$line" >> {gateway.root}/lines; '
        f'read text <&4 && echo "$(date "+%b %e %H:%M:%S") gw isakmpd[4711]: $text" >> {gateway.daemon_log}; done'
    )
    with subprocess.Popen(["/bin/sh", "-c", script], stdout=subprocess.PIPE, start_new_session=True) as process:
        try:
            assert process.stdout.readline() == b"up\n"
            yield
        finally:
            os.killpg(process.pid, signal.SIGKILL)


def lines_of(gateway: Gateway) -> list[str]:
    file = gateway.root / "lines"
    return file.read_text().splitlines() if file.exists() else []


@pytest.fixture
def raised(gateway: Gateway) -> Iterator[None]:
    with answering(gateway, [changed(40, 10), changed(10, 40)]):
        yield


@pytest.mark.usefixtures("raised")
def test_a_class_is_raised_and_put_back_to_what_it_was(gateway: Gateway) -> None:
    assert gateway.only(verbs.Debug("Exch", 40, 2)) == ("ok", "10")
    assert lines_of(gateway) == ["D 7 40"]
    wait_for(lambda: lines_of(gateway) == ["D 7 40", "D 7 10"], "the level is put back")
    assert gateway.logged == ["-p daemon.notice -t ipsecfleet R1 alice@laptop: D 7 40 for 2 s"]
    assert [(about, text) for about, text in read(gateway) if "level" in text] == [
        ("-", changed(40, 10)), ("-", changed(10, 40)),
    ]  # fmt: skip


def read(gateway: Gateway) -> list[tuple[str, str]]:
    body = gateway.only(verbs.Log(600, (PEER,)))[1]
    return [tuple(line.split(" ", 2)[1:]) for line in body.splitlines()[1:]]


@pytest.mark.usefixtures("raised")
def test_it_is_put_back_when_the_visit_is_killed(gateway: Gateway) -> None:
    asked = visit.sent_program() + gateway.request(verbs.Debug("Exch", 40, 2)).encode()
    with subprocess.Popen(
        ["perl", "-T", "-"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
    ) as visiting:
        visiting.stdin.write(asked)
        visiting.stdin.flush()
        wait_for(lambda: lines_of(gateway) == ["D 7 40"], "the level is raised")
        visiting.kill()
    wait_for(lambda: lines_of(gateway) == ["D 7 40", "D 7 10"], "the level is put back")


@pytest.mark.usefixtures("raised")
def test_a_second_one_at_the_same_time_is_told_to_wait(gateway: Gateway) -> None:
    assert gateway.only(verbs.Debug("Exch", 40, 2))[0] == "ok"
    assert gateway.only(verbs.Debug("Exch", 60, 2))[0] == "busy"
    wait_for(lambda: lines_of(gateway) == ["D 7 40", "D 7 10"], "the level is put back")


def test_without_the_daemons_word_it_is_put_back_to_what_it_starts_with(gateway: Gateway) -> None:
    with answering(gateway, []):
        assert gateway.only(verbs.Debug("Exch", 40, 1), deadline=20) == ("ok", "?")
        wait_for(lambda: lines_of(gateway) == ["D 7 40", "D 7 0"], "the level is put back")


def test_a_line_that_somebody_forged_raises_nothing(gateway: Gateway) -> None:
    with answering(gateway, [changed(40, 99)]):
        assert gateway.only(verbs.Debug("Exch", 40, 1), deadline=20) == ("ok", "60")
        wait_for(lambda: lines_of(gateway) == ["D 7 40", "D 7 60"], "no level is set that may print keys")
    gateway.fifo.unlink()
    (gateway.root / "lines").unlink()
    with answering(gateway, [f"x\n{stamped([(0.0, f'mallory: {changed(40, 50)}')])}".rstrip()]):
        assert gateway.only(verbs.Debug("Exch", 40, 1), deadline=20) == ("ok", "?")
        wait_for(lambda: lines_of(gateway) == ["D 7 40", "D 7 0"], "only the daemon's own word counts")


def test_a_level_that_was_set_already_stays(gateway: Gateway) -> None:
    with answering(gateway, ["log_debug_cmd: log level unchanged for class 7"]):
        assert gateway.only(verbs.Debug("Exch", 40, 1), deadline=20) == ("ok", "40")
        wait_for(lambda: lines_of(gateway) == ["D 7 40", "D 7 40"], "it is put back to what it was")


def test_on_a_full_disk_nothing_is_raised(gateway: Gateway) -> None:
    """Not even the word that it would be raised can be written."""
    (gateway.run / "ipsecfleet").mkdir(mode=0o700)
    with answering(gateway, [changed(40)]):
        limits = "ulimit -f 0; trap '' XFSZ; "
        asked = visit.sent_program() + gateway.request(verbs.Debug("Exch", 40, 1), deadline=6).encode()
        answer = visit.decode(fed(asked, f"{limits}{visit.remote_command('none')}").stdout, NONCE)
        assert [(s.name, s.status) for s in answer.sections] == [("debug", "failed")]
        assert lines_of(gateway) == []


def test_nothing_is_raised_where_nobody_reads(gateway: Gateway) -> None:
    assert gateway.only(verbs.Debug("Exch", 40, 1))[0] == "missing"


@pytest.mark.parametrize(
    ("name", "level"), [("UI", 30), ("Misc", 95), ("Cryp", 1), ("Plcy", 40), ("Exch", 99), ("A", 1), ("Exch", 0)]
)
def test_levels_that_may_print_keys_cannot_be_asked_for(name: str, level: int) -> None:
    with pytest.raises(RefusedError) as refused:
        verbs.Debug(name, level, 20)
    assert refused.value.kind == "debug-level"


@pytest.mark.parametrize(
    "line",
    [
        "debug 10 30 20",
        "debug 0 95 20",
        "debug 3 1 20",
        "debug 9 40 20",
        "debug 7 99 20",
        "debug 7 40 121",
        "debug A 40 20",
        "debug T 1 1",
    ],
)
def test_nor_does_the_gateway_take_them(gateway: Gateway, line: str) -> None:
    with gateway.daemon() as there:
        request = gateway.request().encode().removesuffix(b"end\n") + f"{line}\nend\n".encode()
        answer = visit.decode(fed(visit.sent_program() + request).stdout, NONCE)
        assert [(s.name, s.status) for s in answer.sections] == [("request", "invalid")]
    assert there.lines == []
