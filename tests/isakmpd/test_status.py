import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ipsecfleet.isakmpd.status import Status, parse
from ipsecfleet.model.sa import Exchange, KeptUp

DATA = Path(__file__).parents[1] / "data" / "status"
RECORDED = sorted(DATA.glob("*.report"))
NAME = "from-172.16.1.0/24-to-192.168.1.0/24"
COOKIES = "exchange_report: icookie c1bda75dc618dc0d rcookie cbc8b0724f8d6229"


def recorded(name: str) -> Status:
    return parse((DATA / f"{name}.report").read_bytes())


def exchange(first: str, msgid: str = "00000000", more: str = "") -> Exchange:
    text = f"exchange_report: 0x55f250211f50 {first}\n{COOKIES}\nexchange_report: msgid {msgid} \n{more}"
    (found,) = parse(text.encode("utf-8", "surrogateescape")).exchanges
    return found


@pytest.mark.parametrize("path", RECORDED, ids=lambda path: path.stem)
def test_every_recorded_report_is_read_whole(path: Path) -> None:
    data = path.read_bytes()
    status = parse(data)
    assert status.unparsed == ()
    assert len(status.exchanges) == data.count(b"exchange_report: 0x")
    assert status.passive == (NAME,)
    assert status.sections.get("phase 2", "CONNECTIONS") == NAME


@pytest.mark.parametrize("path", RECORDED, ids=lambda path: path.stem)
def test_the_stamp_before_the_lines_makes_no_difference(path: Path) -> None:
    data = path.read_bytes()
    assert parse(re.sub(rb"(?m)^\S+ Report> ", b"", data)) == parse(data)


@pytest.mark.parametrize("path", RECORDED, ids=lambda path: path.stem)
def test_a_key_is_never_kept(path: Path) -> None:
    data = path.read_bytes()
    assert b"Authentication=\twhat-a-mess" in data
    assert "what-a-mess" not in repr(parse(data))


def test_a_silent_peer() -> None:
    status = recorded("b01-peer-unreachable--023-gw1-isakmpd")
    assert status.exchanges == (
        Exchange(
            name="peer-10.2.77.77",
            phase=1,
            ours=True,
            step=1,
            icookie="f9546c6a1bca50a7",
            rcookie="0" * 16,
            ends_in_s=105,
            ends_after_s=105,
            peer="10.2.77.77",
        ),
    )
    assert status.kept_up == (KeptUp(NAME, 45),)


def test_a_wrong_key_is_seen_as_an_exchange_stuck_at_its_fifth_message() -> None:
    (found,) = recorded("b02-psk-mismatch--025-gw1-isakmpd").exchanges
    assert (found.step, found.finished) == (5, False)


def test_a_refused_phase_2_has_the_connections_name_and_its_peers_address() -> None:
    (found,) = recorded("b09-phase2-refused-by-peer--017-report").exchanges
    assert (found.name, found.phase, found.msgid, found.ends_in_s) == (NAME, 2, "229b8200", 44)
    assert found.peer == "10.2.12.1"


def test_a_teardown_takes_the_name_off_the_keep_up_list_and_leaves_the_exchange() -> None:
    status = recorded("c09-t-quick-half-up--005-report-after-t-quick")
    assert status.kept_up == ()
    assert [found.name for found in status.exchanges] == ["peer-10.2.77.77"]


@pytest.mark.parametrize(
    ("role", "phase", "kind", "step", "finished"),
    [
        ("responder", 1, 2, 6, True),
        ("responder", 1, 2, 5, False),
        ("initiator", 2, 32, 3, True),
        ("initiator", 2, 32, 2, False),
        ("initiator", 1, 4, 3, True),
        ("initiator", 1, 99, 50, False),
    ],
)
def test_an_exchange_is_finished_when_all_its_messages_are_counted(
    role: str, phase: int, kind: int, step: int, finished: bool
) -> None:
    found = exchange(f"n p policy {role} phase {phase} doi 1 exchange {kind} step {step}", "00000001")
    assert (found.finished, found.ours, found.phase, found.step) == (finished, role == "initiator", phase, step)


@pytest.mark.parametrize(
    ("first", "name"),
    [
        ("<unnamed> <no policy>", None),
        ("<unnamed> phase2-x", None),
        (f"{NAME} <no policy>", NAME),
        (f"{NAME} \udcff\x07 \x1b]0; policy", NAME),
        (f"{NAME} ", NAME),
    ],
)
def test_a_policy_can_be_missing_or_any_bytes(first: str, name: str | None) -> None:
    found = exchange(f"{first} policy responder phase 2 doi 1 exchange 32 step 1", "229b8200")
    assert (found.name, found.ours, found.phase, found.step) == (name, False, 2, 1)


@pytest.mark.parametrize(
    "rest", [f" phase2-{NAME} policy initiator phase 2 do", f" {NAME[:5]}", " \n\x00garbage policy"]
)
def test_an_exchange_cut_before_its_role_and_step_counts_as_ours_and_unfinished(rest: str) -> None:
    found = exchange(f"{NAME}{rest}", "229b8200")
    assert (found.name, found.phase, found.ours, found.finished) == (NAME, 2, True, False)


def test_a_name_that_was_cut_is_no_name() -> None:
    line = f"exchange_report: 0x55f250211f50 {'x' * 167}"
    status = parse(f"{line}\n{COOKIES}\nexchange_report: msgid 229b8200 \n".encode())
    assert [found.name for found in status.exchanges] == [None]
    assert status.unparsed == (line.encode(),)


def test_an_exchange_without_its_first_line_is_not_lost() -> None:
    msgid = "exchange_report: msgid 229b8200 sa_list 0x1 0x2 "
    status = parse(f"{COOKIES}\n{msgid}\n{COOKIES}\n{msgid}\n".encode())
    assert [(found.name, found.phase, found.msgid) for found in status.exchanges] == [(None, 2, "229b8200")] * 2


def test_exchanges_follow_each_other_without_the_last_line() -> None:
    first = "exchange_report: 0x1 {} p policy initiator phase 1 doi 1 exchange 2 step 1\n"
    assert [found.name for found in parse((first.format("a") + first.format("b")).encode()).exchanges] == ["a", "b"]


def test_timers_do_not_say_whose_they_are_so_the_first_and_the_last_are_told_for_each() -> None:
    one = f"exchange_report: 0x1 a p policy initiator phase 1 doi 1 exchange 2 step 1\n{COOKIES}\n"
    timer = "timer_report: event exchange_free_aux(0x2) scheduled in {} seconds\n"
    both = parse((one * 2 + timer.format(7) + timer.format(90)).encode()).exchanges
    assert [(e.ends_after_s, e.ends_in_s) for e in both] == [(7, 90), (7, 90)]
    assert [e.ends_in_s for e in parse((one * 2 + timer.format(7)).encode()).exchanges] == [None, None]
    assert parse(timer.format(7).encode()).exchanges == ()


def test_sections_are_found_in_any_case_and_listed_as_they_are_spelled() -> None:
    sections = parse(
        b"[Phase 1]\n10.2.1.1=\tpeer-10.2.1.1\nDefault=\tpeer-default\n[ipsecfleet]\npeer-of-10.2.1.1=\tx\n"
    ).sections
    assert sections.get("PHASE 1", "default") == "peer-default"
    assert sections.tags("phase 1") == {"10.2.1.1": "peer-10.2.1.1", "Default": "peer-default"}
    assert sections.get("IPsecfleet", "Peer-of-10.2.1.1") == "x"
    assert sections.get("Phase 1", "10.2.1.2") is sections.get("none", "Address") is None
    assert sections.tags("none") == {}


def test_a_value_that_was_cut_is_known_to_be_there_and_a_section_is_not() -> None:
    long = "x" * 300
    text = f"[a]\nAddress=\t{long}"[: 4 + 199] + f"\n[{long}"[:200] + "\nAddress=\tsomebody-elses\nAddress=\tagain\n"
    sections = parse(text.encode()).sections
    assert sections.tags("a") == {"Address": ""}
    assert sections.get("a", "Address") is None
    assert set(sections.names()) == {"a"}
    assert parse(b"Address=\twithout-a-section\n").sections.tags("") == {}


def test_lists_are_told_by_name() -> None:
    status = parse(
        b"connection_report: connection a b next check -1 seconds\n"
        b"connection_report: passive connection c d local_id: 1.1.1.1, remote_id: <no ipsec id>\n"
        b"connection_report: connection cut-her\n"
    )
    assert status.kept_up == (KeptUp("a b", -1),)
    assert status.passive == ("c d",)
    assert status.unparsed == (b"connection_report: connection cut-her",)


recorded_lines = st.lists(
    st.sampled_from(b"\n".join(path.read_bytes() for path in RECORDED[:3]).split(b"\n")), max_size=40
)


@given(
    st.binary()
    | recorded_lines.map(b"".join)
    | st.lists(st.sampled_from([b"exchange_report: ", b"[a]", b"=\t"])).map(b"".join)
)
def test_any_bytes_give_a_status(data: bytes) -> None:
    assert all(line in data for line in parse(data).unparsed)


@given(recorded_lines)
def test_a_key_is_not_kept_wherever_it_stands(lines: list[bytes]) -> None:
    assert "what-a-mess" not in repr(parse(b"\n".join([b"[Phase 1]", *lines])))
