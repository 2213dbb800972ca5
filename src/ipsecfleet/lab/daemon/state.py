"""The daemon's state as SIGUSR1 and `r` report it: SAs, exchanges, connections, timers, the whole configuration.

It is the one place that names what is half-up and shows the true keep-up list, and it holds every pre-shared key
(isakmpd sa_report, exchange_report, connection_report, timer_report, conf_report).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from ipsecfleet.lab.daemon.proposals import id_text

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ipsecfleet.lab.daemon.exchanges import Exchange
    from ipsecfleet.lab.daemon.process import Process
    from ipsecfleet.lab.daemon.sas import Sa

_MAIN_MODE, _QUICK_MODE = 2, 32
_PROTO = {"esp": 3, "ah": 2}
_FINAL_STEP = {1: 6, 2: 3}
"""A step counts messages: main mode takes six, quick mode three (c23 shows the latter)."""


def render_state(process: Process) -> str:
    """The report without its times."""
    parts = (_sas(process), _exchanges(process), _connections(process), _timers(process), _config(process))
    return "".join(f"{line}\n" for part in parts for line in part)


def stamp(text: str, now: float) -> bytes:
    """The report as it stands in its file: each line with its time of day."""
    seconds, micros = divmod(int(now * 1_000_000), 1_000_000)
    minutes, second = divmod(seconds % 86_400, 60)
    hour, minute = divmod(minutes, 60)
    prefix = f"{hour:02}{minute:02}{second:02}.{micros:06} Report> "
    return "".join(f"{prefix}{line}\n" for line in text.splitlines()).encode("latin-1")


def _pointer(thing: object) -> str:
    return f"0x{id(thing) & 0xFFFFFFFFFFFF:012x}"


def _sas(process: Process) -> Iterator[str]:
    for sa in process.sas:
        for line in _sa(process, sa):
            yield f"sa_report: {line}"
        for index, spi in ((0, sa.spi_out), (1, sa.spi_in)):
            if spi is not None:
                yield f"sa_report: spi[{index}]:"
                yield f"{spi:08x} "


def _sa(process: Process, sa: Sa) -> Iterator[str]:
    yield f"{_pointer(sa)} {sa.name or '<unnamed>'} phase {sa.phase} doi 1 flags 0x{sa.flags:x}"
    yield f"icookie {sa.icookie} rcookie {sa.rcookie}"
    yield f"msgid {sa.msgid:08x} refcnt 3"
    yield f"life secs {sa.lifetime} kb 0"
    yield f"suite 1 proto {_PROTO[sa.suite.protocol] if sa.suite else 1}"
    sizes = (0 if spi is None else 4 for spi in (sa.spi_out, sa.spi_in))
    yield " ".join(f"spi_sz[{n}] {size} spi[{n}] {_pointer(sa) if size else '(nil)'}" for n, size in enumerate(sizes))
    ids = process.phase1_ids(sa) if sa.ready else ("<no ipsec id>", "<no ipsec id>")
    transport = f"src: {sa.local} dst: {sa.remote}" if sa.heard else "<no transport>"
    yield f"initiator id: {ids[0]}, responder id: {ids[1]}, {transport}"


def _exchanges(process: Process) -> Iterator[str]:
    for exchange in process.exchanges:
        for line in _exchange(exchange):
            yield f"exchange_report: {line}"


def _exchange(exchange: Exchange) -> Iterator[str]:
    name, policy = exchange.name or "<unnamed>", exchange.policy or "<no policy>"
    role = "initiator" if exchange.initiator else "responder"
    kind = _MAIN_MODE if exchange.phase == 1 else _QUICK_MODE
    step = _FINAL_STEP[exchange.phase] if exchange.finished else exchange.step
    yield f"{_pointer(exchange)} {name} {policy} policy {role} phase {exchange.phase} doi 1 exchange {kind} step {step}"
    yield f"icookie {exchange.icookie} rcookie {exchange.rcookie}"
    sas = "" if exchange.finished else "".join(f"{_pointer(sa)} " for sa in exchange.sas)
    yield f"msgid {exchange.msgid:08x} " + (f"sa_list {sas}" if exchange.phase == 2 else "")


def _connections(process: Process) -> Iterator[str]:
    for name, due in process.connections.kept_up:
        yield f"connection_report: connection {name} next check {int(due - process.clock.now)} seconds"
    for entry in process.connections.passive:
        local, remote = id_text(entry.selectors.local), id_text(entry.selectors.remote)
        yield f"connection_report: passive connection {entry.name} local_id: {local}, remote_id: {remote}"


def _timers(process: Process) -> Iterator[str]:
    events: list[tuple[str, object, float]] = []
    events += [("exchange_free_aux", exchange, e.due) for exchange in process.exchanges if (e := exchange.expiry)]
    events += [("connection_checker", name, due) for name, due in process.connections.kept_up]
    events += [("ui_conn_reinit", process, due) for due in (process.connections.armed,) if due is not None]
    events += [("sa_soft_expire", sa, sa.soft.due) for sa in process.sas if sa.soft]
    events += [("sa_hard_expire", sa, sa.hard.due) for sa in process.sas if sa.hard]
    for kind, thing, due in sorted(events, key=lambda event: event[2]):
        yield f"timer_report: event {kind}({_pointer(thing)}) scheduled in {int(due - process.clock.now)} seconds"


def _config(process: Process) -> Iterator[str]:
    yield "conf_report: dumping running configuration"
    for section, tags in process.config.dump():
        yield f"[{section}]"
        for tag, value in tags:
            yield f"{tag}=\t{value}"
        yield ""
