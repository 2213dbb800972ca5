"""The FIFO's language and the configuration: what a line means, and that no bytes at all do harm."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pair import NAME, Pair

from ipsecfleet.lab.daemon.config import Config
from ipsecfleet.lab.daemon.fifo import (
    Capture,
    Change,
    Connect,
    Debug,
    Delete,
    Get,
    LineBuffer,
    LogReport,
    Malformed,
    Quit,
    Reinitialise,
    Report,
    SetMode,
    Teardown,
    TeardownAll,
    parse,
)  # fmt: skip

LINES = [
    (b"S", Report()),
    (b"Sxyz", Report()),
    (b"S\r", Report()),
    (b"Reload", Reinitialise()),
    (b"report", LogReport()),
    (b"Test", TeardownAll()),
    (b"Q", Quit()),
    (b"Quit", Malformed('ui_shutdown_daemon: command "Quit" malformed')),
    (b"t quick a", Teardown(2, "a")),
    (b"t a", Teardown(2, "a")),
    (b"t main a", Teardown(1, "a")),
    (b"t mainframe", Teardown(1, "frame")),
    (b"t main", Teardown(2, "main")),
    (b"t quick", Teardown(2, "quick")),
    (b"tquick a b", Teardown(2, "a")),
    (b"t  quick   a\r", Teardown(2, "a")),
    (b"t QUICK a", Teardown(2, "QUICK")),
    (b"t quick " + b"n" * 300, Teardown(2, "n" * 200)),
    (b"t", Malformed('ui_teardown: command "t" malformed')),
    (b"c a b", Connect("a")),
    (b"c", Malformed('ui_connect: command "c" malformed')),
    (b"d 12ab 7f", Delete("0" * 28 + "12ab", 0x7F)),
    (b"d 12ab -", Delete("0" * 28 + "12ab", 0)),
    (b"d xyz -", Malformed('ui_delete: command "d xyz -" has bad arguments')),
    (b"C get [Phase 2]:Connections x", Get("Phase 2", "Connections")),
    (b"C get [Phase 2]:", Malformed('ui_config: command "C get [Phase 2]:" malformed')),
    (b"C set [a b]:c=d=e", Change("set", "a b", "c", "d=e")),
    (b"C set [a]:b=two words here", Change("set", "a", "b", "two", force=True)),
    (b"C set [a]:b=", Malformed('ui_config: command "C set [a]:b=" malformed')),
    (b"C set [" + b"s" * 201 + b"]:b=c", Malformed('ui_config: command "C set [' + "s" * 201 + ']:b=c" malformed')),
    (b"C rms [a]", Change("rms", "a")),
    (b"C rm [a]:b", Change("rm", "a", "b")),
    (b"M passively", SetMode(active=False)),
    (b"M nonsense", Malformed('ui_setmode: command "M nonsense" malformed')),
    (b"D A 10", Debug(None, 10)),
    (b"D 7 99", Debug(7, 99)),
    (b"D T", Debug(None, None)),
    (b"p on=/var/run/x", Capture(on=True, path="/var/run/x")),
    (b" S", Malformed("ui_handle_messages: unrecognized command: ' '")),
    (b"", Malformed("ui_handle_messages: unrecognized command: '")),
]


@pytest.mark.parametrize(("line", "command"), LINES, ids=lambda value: repr(value)[:40])
def test_a_line_is_read_as_the_daemon_reads_it(line: bytes, command: object) -> None:
    assert parse(line) == command


def test_bytes_without_a_newline_wait_for_the_next_writer() -> None:
    lines = LineBuffer()
    assert lines.feed(b"t quick x") == []
    assert lines.feed(b"S\nc a\0b\n") == [b"t quick xS", b"c a"]


@given(st.binary(max_size=300))
def test_any_line_has_a_meaning(line: bytes) -> None:
    parse(line)


@given(st.lists(st.binary(max_size=40) | st.sampled_from([line for line, _ in LINES]), max_size=8))
def test_any_bytes_leave_the_daemon_alive_or_shut_down(chunks: list[bytes]) -> None:
    pair = Pair()
    pair.a.fifo(b"\n".join(chunks) + b"\n")
    pair.wait(150)
    ended = any(event["event"] == "end" for event in pair.events)
    assert pair.a.running != ended


@given(st.sampled_from(["LIFE_DURATION", "KEY_LENGTH", "Network", "Port", "Phase", "Address"]), st.text(max_size=20))
def test_any_value_in_a_known_section_is_survived(tag: str, value: str) -> None:
    pair = Pair()
    sections = ["to-192.168.1.0/24", "peer-10.2.2.1", NAME]
    lines = [f"C set [{section}]:{tag}={value} force\n" for section in sections]
    pair.a.fifo("".join(lines).encode("utf-8"))
    pair.wait(150)
    assert pair.a.running


def test_names_are_found_whatever_their_case_and_lists_compare_exactly() -> None:
    config = Config()
    config.add("Phase 2", "Connections", "a")
    config.add("phase 2", "connections", "A")
    config.add("Phase 2", "Connections", "a")
    assert config.get("PHASE 2", "CONNECTIONS") == "a,A"
    config.remove_value("Phase 2", "Connections", "b")
    config.remove_value("Phase 2", "Connections", "A")
    assert config.items("Phase 2", "Connections") == ["a"]
    config.remove_value("Phase 2", "Connections", "a")
    assert config.dump() == []


def test_a_set_without_force_keeps_what_is_there() -> None:
    config = Config()
    assert config.set("s", "t", "1", force=False)
    assert not config.set("S", "T", "2", force=False)
    assert config.set("S", "T", "3", force=True)
    assert config.dump() == [("s", [("T", "3")])]
