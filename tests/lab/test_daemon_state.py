"""The SIGUSR1 report, held against a recorded one."""

import re

from replay import EPOCH, replay
from transcript import CAPTURES

NAME = "b09-phase2-refused-by-peer"
KINDS = re.compile(r"^(?:\w+_report|\[[^\]]+\]|[\w.:-]+=)")


def _lines(report: str) -> list[str]:
    return [line.partition("Report> ")[2] for line in report.splitlines()]


def _sections(lines: list[str]) -> dict[str, dict[str, str]]:
    sections: dict[str, dict[str, str]] = {}
    for line in lines[lines.index("conf_report: dumping running configuration") + 1 :]:
        if line.startswith("["):
            tags = sections.setdefault(line, {})
        elif line:
            tag, _, value = line.partition("=\t")
            tags[tag] = value
    return sections


def _named(lines: list[str], start: str) -> list[str]:
    found = [line for line in lines if line.startswith(start)]
    return sorted(re.sub(r"0x[0-9a-f]{4,}|check \d+|in \d+|\d{1,2} seconds", "N", line) for line in found)


def _reports() -> tuple[list[str], list[str]]:
    recorded = _lines((CAPTURES / NAME / "017-report").read_text())
    done = replay(NAME)
    gateway = done.world.gateways["gw11"]
    done.world.advance(EPOCH + 205)
    gateway.sigusr1()
    return recorded, _lines(done.reports["gw11"][-1][1])


def test_configuration_exchanges_and_connections_are_reported_alike() -> None:
    recorded, simulated = _reports()
    assert _sections(simulated) == _sections(recorded)
    for start in ("exchange_report: 0x", "connection_report:", "timer_report: event exchange_free_aux"):
        assert _named(simulated, start) == _named(recorded, start) != []


def test_every_kind_of_sa_line_is_there() -> None:
    recorded, simulated = _reports()
    kinds = [
        {re.sub(r"0x\w+|\b[0-9a-f]{8,16}\b|\d+", "N", line) for line in lines if line.startswith("sa_report:")}
        for lines in (simulated, recorded)
    ]
    assert kinds[0] == kinds[1]
