import json
import subprocess
import sys
from datetime import UTC

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ipsecfleet.errors import IpsecfleetError, UnreachableError
from ipsecfleet.model.document import Document, Finding, LineRow, SaRow
from ipsecfleet.model.sa import Protocol, Sa
from ipsecfleet.model.tunnel import End, State, Tunnel
from ipsecfleet.render import RENDERERS, Look, errors_text, visible
from ipsecfleet.render.escape import encodable
from ipsecfleet.render.human import count, duration, exact, iso, local, number
from ipsecfleet.render.paste import echo

TEXT = st.text(st.characters(exclude_categories=()), max_size=60)
ANY_TEXT = TEXT | st.sampled_from(["\ud800", "\u202ex", "\x1b[31m", "a\nb", " ", "\t", "\u0301", "e5", "1e400", "\x01"])
ENDS = st.builds(End, ANY_TEXT, ANY_TEXT | st.none(), st.sampled_from(State), peer=ANY_TEXT | st.none(), note=ANY_TEXT)
TUNNELS = st.builds(Tunnel, ANY_TEXT, st.sampled_from(State), st.lists(ENDS, max_size=3).map(tuple), note=ANY_TEXT)
DOCUMENTS = st.builds(
    Document,
    ANY_TEXT,
    tunnels=st.lists(TUNNELS, max_size=5).map(tuple),
    warnings=st.lists(st.builds(IpsecfleetError, ANY_TEXT, hint=ANY_TEXT, obj=ANY_TEXT), max_size=2).map(tuple),
)
SHOWN = {"\n", "\t"}


@given(ANY_TEXT)
def test_visible_text_is_one_printable_line_and_stays_so(text: str) -> None:
    shown = visible(text)
    assert shown.isprintable()
    assert shown == shown.strip()
    assert visible(shown) == shown


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("peer-10.2.1.1", "peer-10.2.1.1"),
        ("Zürich", "Zürich"),
        ("\x1b]0;x\x07", r"\x1b]0;x\x07"),
        ("a\u202eb\u200b", r"a\u202eb\u200b"),
        ("\udcff", r"\udcff"),
        ("\U000e0041", r"\U000e0041"),
        ("e\u0301", r"e\u0301"),
        ("a\u00a0b", r"a\xa0b"),
        (" a  b ", r"\x20a  b\x20"),
    ],
)
def test_visible(text: str, shown: str) -> None:
    assert visible(text) == shown


@given(DOCUMENTS)
def test_json_is_ascii_and_one_object_whatever_is_in_it(document: Document) -> None:
    text = RENDERERS["json"](document)
    assert text.isascii()
    told = json.loads(text)["tunnels"]
    assert [t["tunnel"].encode() for t in told] == [encodable(t.name).encode() for t in document.tunnels or ()]


@given(DOCUMENTS)
def test_plain_has_as_many_columns_in_every_row(document: Document) -> None:
    rows = RENDERERS["plain"](document).removesuffix("\n").split("\n")
    assert {row.count("\t") for row in rows} == {9}
    assert len(rows) == 1 + sum(max(len(t.ends), 1) for t in document.tunnels or ())
    assert all(c.isprintable() or c in SHOWN for row in rows for c in row)


@given(DOCUMENTS, st.integers(0, 200))
def test_a_table_shows_every_name_whole_at_any_width(document: Document, width: int) -> None:
    text = RENDERERS["table"](document, Look(width=width))
    assert all(c.isprintable() or c == "\n" for c in text)
    for tunnel in document.tunnels or ():
        for name in (tunnel.name, *(e.gateway for e in tunnel.ends), *(e.peer or "" for e in tunnel.ends)):
            assert visible(name) in text


@given(st.lists(st.builds(UnreachableError, ANY_TEXT, hint=ANY_TEXT, obj=ANY_TEXT), max_size=5), st.integers(0, 200))
def test_errors_are_total(errors: list[UnreachableError], width: int) -> None:
    assert all(c.isprintable() or c == "\n" for c in errors_text(errors, width))


@given(ANY_TEXT, ANY_TEXT)
def test_what_is_pasted_runs_no_other_command(line: str, fifo: str) -> None:
    command = echo(line, fifo)
    assert command.startswith("# ") or command in {f"echo {line} > {fifo}", f"echo '{line}' > {fifo}"}
    assert not set(command) & set('$`;&|<\\"\n*?~(){}!#') or command.startswith("# ")


def test_the_shell_writes_just_the_line() -> None:
    for line in ("t quick from-172.16.1.0/24=6-to-192.168.1.0/24=6:443", "C rmv [Phase 2]:Connections=a", "S"):
        command = echo(line, "/dev/stdout")
        told = subprocess.run(["/bin/sh", "-c", command], capture_output=True, check=True, text=True)
        assert told.stdout == f"{line}\n"


def test_an_spi_is_no_number() -> None:
    spi = Protocol("esp", 0x60096E77, 0x1E5)
    text = RENDERERS["table"](Document("show sas", sas=(SaRow("g", Sa("80,443", 2, protocols=(spi,))),)))
    assert "0x60096e77" in text
    assert "0x000001e5" in text
    assert "80,443" in text


@given(st.floats() | st.integers())
def test_numbers_and_moments_are_total(value: float) -> None:
    json.dumps(number(value), allow_nan=False)
    assert iso(value) is None or len(iso(value) or "") == 20
    assert local(value, UTC) is None or "UTC" in (local(value, UTC) or "")


@pytest.mark.parametrize(
    ("seconds", "short", "whole"),
    [
        (-5, "0s", "0s"),
        (59.9, "59s", "1m00s"),
        (60, "1m", "1m00s"),
        (3599, "59m", "59m59s"),
        (11105, "3h05m", "3h05m05s"),
        (183600, "2d03h", "51h00m00s"),
    ],
)
def test_durations(seconds: float, short: str, whole: str) -> None:
    assert (duration(seconds), exact(seconds)) == (short, whole)


def test_counts() -> None:
    assert (count(1, "gateway"), count(0, "gateway")) == ("1 gateway", "0 gateways")


def test_only_the_table_pays_for_tabulate() -> None:
    program = (
        "import sys; from ipsecfleet.render import RENDERERS; from ipsecfleet.model.document import *;"
        "d = Document('check', findings=(Finding('g', 'info', 's', 't'),));"
        "RENDERERS['json'](d), RENDERERS['plain'](d); before = 'tabulate' in sys.modules;"
        "RENDERERS['table'](d); print(before, 'tabulate' in sys.modules)"
    )
    told = subprocess.run([sys.executable, "-c", program], capture_output=True, check=True, text=True)
    assert told.stdout.split() == ["False", "True"]


def test_colour_comes_only_when_asked_for() -> None:
    document = Document("check", findings=(Finding("g", "problem", "fifo", "no FIFO"),))
    assert "\x1b" not in RENDERERS["table"](document)
    assert "\x1b[31mproblem\x1b[0m" in RENDERERS["table"](document, Look(color=True))


def test_a_name_like_a_state_has_no_colour() -> None:
    text = RENDERERS["table"](Document("show", tunnels=(Tunnel("up", State.DOWN, ()),)), Look(color=True))
    assert "\x1b[32m" not in text


def test_lines_of_a_saved_report_have_no_gateway_before_them() -> None:
    assert RENDERERS["table"](Document("lines", lines=(LineRow(None, "t main p"),))) == (
        "echo t main p > /var/run/isakmpd.fifo\n"
    )
