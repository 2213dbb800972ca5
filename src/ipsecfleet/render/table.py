"""`table`: what a command is about, for eyes at 03:00; moments are local with their zone, names can be pasted.

A record takes one line where it fits and folds where it does not (layout); gateways of which the same is said share one
(fold). What is empty is said. Gateways that did
not answer are counted under every table that would have had rows of theirs.
"""

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from itertools import chain

from ipsecfleet.model.document import (
    CourseRow,
    Document,
    DriftRow,
    FileRow,
    FlowRow,
    ForecastRow,
    GatewayRow,
    RunRow,
    SaRow,
    StepRow,
)
from ipsecfleet.model.sa import Protocol, Sa
from ipsecfleet.model.tunnel import WORST_FIRST, End, State, Tunnel
from ipsecfleet.render.diagnosis import diagnosis_text
from ipsecfleet.render.escape import spi_text, visible
from ipsecfleet.render.fold import folded
from ipsecfleet.render.human import DEFAULT, Look, clock_time, count, duration, exact, joined, local
from ipsecfleet.render.layout import Row, lay_out
from ipsecfleet.render.paste import paste
from ipsecfleet.render.plain import principal
from ipsecfleet.render.records import ARRAYS, carrying, from_to, proto_of
from ipsecfleet.render.results import results_text

STATES_WORST_FIRST = (State.BLACK_HOLE, *WORST_FIRST, State.BACKUP)
TOLD_AS = {"sending": "sends ", "stopped": "stopped: ", "verdict": "last look: "}
MOST_NAMED = 4
SEVERITIES = ("problem", "warning", "info")
PROTOCOLS = {1: "icmp", 4: "ipencap", 6: "tcp", 17: "udp", 47: "gre", 58: "ipv6-icmp"}


def render(document: Document, look: Look = DEFAULT) -> str:
    """The principal array as a table; of a run that has ended, its results."""
    if document.results:
        return results_text(document, look)
    if document.text is not None:
        return document.text
    name = principal({array for array, of in ARRAYS.items() if of(document) is not None})
    return TABLES[name](document, look) if name is not None else ""


def _tunnels(document: Document, look: Look) -> str:
    tunnels = document.tunnels or ()
    rows = list(chain.from_iterable(map(_tunnel_rows, tunnels)))
    headers = ("tunnel", "state", "gateway", "end", "peer", "rekey")
    states = Counter(t.state for t in tunnels)
    tally = [f"{states[s]} {s.value}" for s in STATES_WORST_FIRST if states[s]]
    table = lay_out(headers, "connection", rows, look)
    return _answered("tunnel", rows, document, table + _total("tunnel", len(tunnels), tally))


def _tunnel_rows(tunnel: Tunnel) -> Iterable[Row]:
    name, state = tunnel.name, tunnel.state.value
    said = {e.note for e in tunnel.ends}
    notes = (tunnel.note,) if tunnel.note and tunnel.note not in said else ()
    if not tunnel.ends:
        yield Row((name, state, None, None, None, None), None, notes)
    for number, end in enumerate(tunnel.ends, 1):
        head = (name, state) if number == 1 else (None, None)
        own = end.state.value if end.state is not tunnel.state else None
        last = notes if number == len(tunnel.ends) else ()
        connection = end.connection if end.connection != name else None
        yield Row((*head, end.gateway, own, end.peer, _rekey(end)), connection, (*_notes(end), *last))


def _notes(end: End) -> Iterable[str]:
    if end.note:
        yield end.note
    if end.missing:
        yield f"the daemon lacks {', '.join(end.missing)} to build it"


def _rekey(end: End) -> str | None:
    sa = carrying(end)
    if sa is None:
        return None
    if sa.stayalive and sa.soft_s is not None:
        return _in(sa.soft_s)
    return f"ends {_in(sa.hard_s)}" if sa.fading and sa.hard_s is not None else "by peer"


def _in(seconds: int | None) -> str | None:
    return None if seconds is None else f"in {duration(seconds)}"


def _sas(document: Document, look: Look) -> str:
    rows = [_sa_row(r) for r in document.sas or ()]
    headers = ("gateway", "phase", "peer", "rekey", "gone", "spi in", "spi out")
    return _answered("SA", rows, document, lay_out(headers, "name", rows, look))


def _sa_row(row: SaRow) -> Row:
    sa = row.sa
    spis = (spi_text(sa.protocols[0].spi_in), spi_text(sa.protocols[0].spi_out)) if sa.protocols else (None, None)
    cells = (row.gateway, str(sa.phase), sa.dst, _in(sa.soft_s), _in(sa.hard_s), *spis)
    return Row(cells, sa.name or "(no name: being negotiated)", tuple(_facts(sa)))


def _facts(sa: Sa) -> Iterable[str]:
    flags = " ".join(sa.flag_words) or "no flags"
    src = f"src {sa.src}" if sa.src is not None else None
    keys = _keys(sa.protocols[0]) if sa.protocols else None
    yield "; ".join(filter(None, (sa.role.value if sa.role is not None else None, flags, src, keys)))
    if sa.icookie is not None or sa.rcookie is not None:
        yield f"cookies {sa.icookie} {sa.rcookie}"
    for other in sa.protocols[1:]:
        yield f"and in {spi_text(other.spi_in)} out {spi_text(other.spi_out)}; {_keys(other)}"


def _keys(protocol: Protocol) -> str:
    used = ((protocol.enc, protocol.enc_key_bytes), (protocol.auth, protocol.auth_key_bytes))
    return " ".join([protocol.transform, *(f"{name}/{size}" if size else name for name, size in used if name)])


def _flows(document: Document, look: Look) -> str:
    rows = [_flow_row(r) for r in document.flows or ()]
    return _answered("flow", rows, document, lay_out(("gateway", "dir", "type"), "flow", rows, look))


def _flow_row(row: FlowRow) -> Row:
    """One flow in the words of ipsecctl(8)."""
    flow, proto = row.flow, proto_of(row.flow)
    source, target = from_to(flow)
    before = f"proto {PROTOCOLS.get(proto, str(proto))} " if proto is not None else ""
    after = f" peer {flow.peer}" if flow.peer is not None else ""
    return Row((row.gateway, flow.direction, flow.type), f"{before}from {source} to {target}{after}")


def _gateways(document: Document, look: Look) -> str:
    rows = folded([_gateway_row(r, look) for r in document.gateways or ()])
    table = lay_out(("gateway", "state", "level", "carp", "seen"), "release", rows, look)
    return _said("gateway", rows, table)


def _gateway_row(row: GatewayRow, look: Look) -> Row:
    error = f"{row.error} ({row.phase})" if row.error and row.phase else row.error or row.phase
    cells = (row.gateway, row.state, row.level, row.carp, local(row.at, look.tz))
    return Row(cells, row.release, tuple(filter(None, (error, row.hint))))


def _steps(document: Document, look: Look) -> str:
    rows = [_step_row(r, look) for r in document.steps or ()]
    headers = ("tunnel", "gateway", "action", "after", "state", "at")
    return _said("step", rows, lay_out(headers, "proof", rows, look))


def _step_row(row: StepRow, look: Look) -> Row:
    cells = (row.tunnel, row.gateway, row.action, duration(row.offset_s), row.state, local(row.at, look.tz))
    return Row(cells, row.proof, exact=row.lines)


def _names(document: Document, look: Look) -> str:
    rows = [Row((f"{n.file}:{n.line}", n.list, n.phase1), n.connection) for n in document.names or ()]
    return _said("name", rows, lay_out(("rule", "list", "phase 1"), "connection", rows, look))


def _findings(document: Document, look: Look) -> str:
    found = document.findings or ()
    if found and all(f.severity == "info" and f.gateway is None for f in found):
        return joined(f"{visible(f.subject)}: {visible(f.text)}" for f in found)
    rows = folded([Row((f.gateway, f.severity, f.subject), f.text, (f.hint,) if f.hint else ()) for f in found])
    table = lay_out(("gateway", "severity", "subject"), "finding", rows, look)
    severities = Counter(f.severity for f in found)
    tally = [f"{severities[s]} {s}" for s in SEVERITIES if severities[s]]
    return _answered("finding", rows, document, table + _total("finding", len(found), tally))


def _diagnoses(document: Document, look: Look) -> str:
    told = document.diagnoses or ()
    text = "\n".join(diagnosis_text(d, look) for d in told)
    ill = sum(not d.well for d in told)
    tally = [f"{number} {word}" for number, word in ((ill, "not well"), (len(told) - ill, "well")) if number]
    return _answered("ailing tunnel", [*told], document, text + _total("tunnel", len(told), tally))


def _inventory(document: Document, look: Look) -> str:
    rows = [Row((g.gateway, g.address, g.carp), " ".join(g.groups) or None) for g in document.inventory or ()]
    return _said("gateway", rows, lay_out(("gateway", "address", "carp"), "groups", rows, look))


def _runs(document: Document, look: Look) -> str:
    rows = [
        Row((r.run, r.command, r.result, local(r.began, look.tz)), ", ".join(r.tunnels) or None)
        for r in document.runs or ()
    ]
    return _said("run", rows, lay_out(("run", "command", "result", "began"), "tunnels", rows, look))


def _forecast(document: Document, look: Look) -> str:
    rows = [_forecast_row(r, look) for r in document.forecast or ()]
    return _answered("forecast", rows, document, lay_out(("gateway", "peak", "in", "at"), "tunnels", rows, look))


def _forecast_row(row: ForecastRow, look: Look) -> Row:
    where = (row.gateway or "the fleet") + (", with the plan" if row.proposed else "")
    if not row.peak or row.peak_in_s is None:
        return Row((where, "0", None, None), None)
    more = len(row.tunnels) - MOST_NAMED
    names = ", ".join(row.tunnels[:MOST_NAMED]) + (f" and {more} more" if more > 0 else "")
    cells = (where, f"{row.peak} in {exact(row.window_s)}", exact(row.peak_in_s), local(row.peak_at, look.tz))
    return Row(cells, names, (f"they cost as much as {row.cost:.1f} of modp3072",) if row.cost != row.peak else ())


def _courses(document: Document, look: Look) -> str:
    rows = [_course_row(r) for r in document.courses or ()]
    headers = ("start", "peak", "waits", "all back", "timed out")
    return "a queue model, not the daemon; peaks are what begins in 10 s at one machine\n\n" + lay_out(
        headers, "later peaks", rows, look
    )


def _course_row(row: CourseRow) -> Row:
    back = exact(row.back_s) if row.back_s is not None else "never"
    later = ", ".join(map(str, row.peaks[1:]))
    return Row((row.strategy, str(row.peaks[0]), exact(row.waited_most_s), back, str(row.timed_out)), later)


def _events(document: Document, look: Look) -> str:
    """The story of a run; a traceback stays in its journal."""
    told = [e for e in document.events or () if e.event != "bug"]
    rows = [Row((clock_time(e.at, look.tz), e.gateway), f"{TOLD_AS.get(e.event, '')}{e.text}") for e in told]
    head = [line for row in document.runs or () for line in _run_head(row, look)]
    return joined([*head, ""]) + lay_out(("at", "gateway"), "what happened", rows, look)


def _run_head(row: RunRow, look: Look) -> Iterable[str]:
    yield f"{row.run}: {visible(row.command)}, {visible(row.result)}; began {local(row.began, look.tz)}"
    if row.torn:
        yield "its journal broke off in the middle of a line"


def _drift(document: Document, look: Look) -> str:
    rows = [
        Row((r.gateway, "differs" if r.differs else None, r.inventory, r.deployed, r.loaded, r.running), _which(r))
        for r in document.drift or ()
    ]
    headers = ("gateway", "", "inventory", "deployed", "loaded", "running")
    differing = sum(r.differs for r in document.drift or ())
    tally = [f"{differing} differ" if differing else "all as they should be"]
    table = lay_out(headers, "tunnel and connection", rows, look) + _total("connection", len(rows), tally)
    return _answered("connection", rows, document, table)


def _which(row: DriftRow) -> str:
    """The tunnel, and its connection where that is called otherwise."""
    return row.tunnel if row.connection in {None, row.tunnel} else f"{row.tunnel}  {row.connection}"


def files_text(files: Sequence[FileRow], width: int) -> str:
    """What becomes of every file that does not stay as it is, with its change, masked; the others are counted."""
    told = [f for f in files if f.state not in {"unchanged", "foreign"}]
    same = Counter(f.state for f in files if f.state in {"unchanged", "foreign"})
    rows = [Row((f.gateway, f.state), f.file, exact=tuple(map(visible, f.diff))) for f in told]
    table = lay_out(("gateway", "file is"), "file", rows, Look(width)) if rows else ""
    tally = [f"{n} {state}" for state, n in sorted(same.items())]
    rest = f"files that stay as they are: {', '.join(tally)}\n" if tally else ""
    return "".join(f"{part}\n" for part in (table, rest) if part)


def _files(document: Document, look: Look) -> str:
    return files_text(document.files or (), look.width)


def _lines(document: Document, look: Look) -> str:  # noqa: ARG001 - what is pasted is set in no look
    return joined(paste(document.lines) if document.lines else ["# no lines"])


def _said(noun: str, rows: Sequence[object], table: str) -> str:
    return table if rows else f"no {noun}s\n"


def _answered(noun: str, rows: Sequence[object], document: Document, table: str) -> str:
    """The table, and how many gateways are missing from it: what was not seen is never said not to be."""
    asked = document.gateways or ()
    dead = sum(r.state != "ok" for r in asked)
    if not dead:
        return _said(noun, rows, table)
    missing = f"{dead} of {count(len(asked), 'gateway')} gave no whole answer: what is there is not known\n"
    alive = f"no {noun}s on the {count(len(asked) - dead, 'gateway')} that answered\n" if dead < len(asked) else ""
    return (table if rows else alive) + missing


def _total(noun: str, number: int, kinds: Iterable[str]) -> str:
    return f"\n{count(number, noun)}: {', '.join(kinds)}\n" if number > 1 else ""


TABLES: Mapping[str, Callable[[Document, Look], str]] = {
    "lines": _lines,
    "names": _names,
    "findings": _findings,
    "diagnoses": _diagnoses,
    "inventory": _inventory,
    "events": _events,
    "forecast": _forecast,
    "courses": _courses,
    "runs": _runs,
    "sas": _sas,
    "flows": _flows,
    "files": _files,
    "drift": _drift,
    "steps": _steps,
    "tunnels": _tunnels,
    "gateways": _gateways,
}
