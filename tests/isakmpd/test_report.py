import json
import re
from dataclasses import MISSING, fields
from enum import Enum
from pathlib import Path
from time import perf_counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ipsecfleet.isakmpd.report import Block, Report, parse, render
from ipsecfleet.model.sa import Protocol, Role, Sa

DATA = Path(__file__).parents[1] / "data" / "reports"
RECORDED = sorted(p for p in DATA.glob("*.result") if not p.name.startswith("form--"))
FORMS = sorted(DATA.glob("form--*.result"))
LARGEST = max(RECORDED, key=lambda path: path.stat().st_size)

recorded_bytes = st.sampled_from([path.read_bytes() for path in RECORDED])


def said(value: Sa | Protocol) -> dict[str, object]:
    """The fields that differ from their defaults, as JSON has them."""
    kept = {}
    for one in fields(value):
        found = getattr(value, one.name)
        if one.default is MISSING or found != one.default:
            kept[one.name] = [said(p) for p in found] if one.name == "protocols" else found
    return {key: found.value if isinstance(found, Enum) else found for key, found in kept.items()}


@pytest.mark.parametrize("path", RECORDED, ids=lambda path: path.stem)
def test_every_recorded_report_is_read_whole(path: Path) -> None:
    data = path.read_bytes()
    report = parse(data)
    assert render(report) == data
    assert report.complete
    assert report.unparsed == ()


@pytest.mark.parametrize("path", RECORDED, ids=lambda path: path.stem)
def test_what_is_read_is_what_a_look_at_single_lines_shows(path: Path) -> None:
    data = path.read_bytes()
    sas = parse(data).sas
    names = [None if n == b"<unnamed>" else n.decode() for n in re.findall(rb"^SA name: (\S+) ", data, re.MULTILINE)]
    assert [sa.name for sa in sas] == names
    assert [sa.flags for sa in sas] == [int(f, 16) for f in re.findall(rb"^Flags (\S+)$", data, re.MULTILINE)]
    assert [sa.dst for sa in sas if sa.dst] == [d.decode() for d in re.findall(rb" dst: (\S+)$", data, re.MULTILINE)]
    assert [sa.hard_s for sa in sas if sa.hard_s is not None] == [int(n) for n in re.findall(rb"Hard .* (\d+) ", data)]
    spis = [int(spi, 16) for spi in re.findall(rb"^SPI \d: (\S+) $", data, re.MULTILINE)]
    assert [s for sa in sas for p in sa.protocols for s in (p.spi_out, p.spi_in) if s is not None] == spis


@pytest.mark.parametrize("path", FORMS, ids=lambda path: path.stem)
def test_forms_that_no_transcript_shows(path: Path) -> None:
    data = path.read_bytes()
    report = parse(data)
    assert render(report) == data
    assert {
        "complete": report.complete,
        "unparsed": [rest.decode("latin-1") for rest in report.unparsed],
        "sas": [said(sa) for sa in report.sas],
    } == json.loads(path.with_suffix(".json").read_text())


def test_an_established_pair() -> None:
    first, second = parse((DATA / "a01-one-tunnel-active-passive--005-gw1-after.result").read_bytes()).sas[:2]
    quick, main = sorted((first, second), key=lambda sa: -sa.phase)
    assert quick.name == "from-172.16.1.0/24-to-192.168.1.0/24"
    assert quick.live
    assert quick.protocols[0].enc == "AES (CBC)"
    assert main.role is Role.INITIATOR
    assert (main.src, main.dst) == ("10.2.1.1", "10.2.2.1")


def test_half_up_is_unnamed_and_has_no_addresses_yet() -> None:
    (sa,) = parse((DATA / "b01-peer-unreachable--003-gw1-t5.2s.result").read_bytes()).sas
    assert (sa.name, sa.phase, sa.role, sa.src, sa.dst, sa.flags) == (None, 1, Role.RESPONDER, None, None, 0)
    assert sa.rcookie == "0" * 16


def test_the_empty_file_is_a_complete_report_without_sas() -> None:
    assert parse(b"") == Report()
    assert Report().complete


def test_a_cut_file_shows_the_sas_before_the_cut_and_is_not_complete() -> None:
    data = LARGEST.read_bytes()[:3000]
    borders = {0}
    for piece in parse(LARGEST.read_bytes()).blocks:
        borders.add(max(borders) + len(piece.raw))
    for cut in range(len(data)):
        report = parse(data[:cut])
        assert report.complete == (cut in borders)
        assert report.sas == parse(data).sas[: len(report.sas)]


@given(recorded_bytes, recorded_bytes)
def test_blocks_do_not_depend_on_their_neighbours(one: bytes, other: bytes) -> None:
    assert parse(one + other).sas == parse(one).sas + parse(other).sas


@given(st.binary())
def test_any_bytes_come_back_as_they_are(data: bytes) -> None:
    assert render(parse(data)) == data


@given(recorded_bytes, st.data())
def test_a_damaged_report_loses_nothing_but_the_damaged_blocks(data: bytes, draw: st.DataObject) -> None:
    at = draw.draw(st.integers(0, len(data)))
    width = draw.draw(st.integers(0, 40))
    damaged = data[:at] + draw.draw(st.binary(max_size=40)) + data[at + width :]
    report = parse(damaged)
    assert render(report) == damaged
    end = 0
    for piece in parse(data).blocks:
        start, end = end, end + len(piece.raw)
        if isinstance(piece, Block) and (end <= at or start > at + width):
            assert piece.sa in report.sas


def test_ten_thousand_tunnels_are_read_in_two_seconds() -> None:
    one = LARGEST.read_bytes()
    data = one * (20_000 // len(parse(one).blocks) + 1)
    began = perf_counter()
    assert len(parse(data).sas) >= 20_000
    assert perf_counter() - began < 2
