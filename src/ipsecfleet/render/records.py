"""A Document as plain records, field by field and in the order of the JSON object; `json` and `plain` are made of them.

Unknown is None. From and to of a flow are as its packets go, as ipsecctl(8) prints them: what comes in comes from the
remote network.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import asdict
from typing import TypeAlias

from ipsecfleet.errors import IpsecfleetError, RefusedError
from ipsecfleet.model.diagnosis import Diagnosis, Evidence
from ipsecfleet.model.document import (
    CourseRow,
    Document,
    DriftRow,
    EventRow,
    FileRow,
    Finding,
    FlowRow,
    ForecastRow,
    GatewayName,
    GatewayRow,
    LineRow,
    NameRow,
    RunRow,
    SaRow,
    StepRow,
)
from ipsecfleet.model.sa import Flow, Protocol, Sa
from ipsecfleet.model.tunnel import End, Tunnel
from ipsecfleet.render.escape import spi_text
from ipsecfleet.render.human import iso, number

Record: TypeAlias = dict[str, object]


def arrays(document: Document) -> dict[str, list[Record]]:
    """The arrays that apply to this command, by their names, in order."""
    return {name: list(records) for name, of in ARRAYS.items() if (records := of(document)) is not None}


def errors(document: Document) -> list[Record]:
    """The errors, the plan's refusals among them."""
    refusals = document.plan.refusals if document.plan is not None else ()
    return [_error(e) for e in dict.fromkeys((*document.errors, *refusals))]


def warnings(document: Document) -> list[Record]:
    """The warnings; a note of the plan is one of kind `note`."""
    notes = document.plan.notes if document.plan is not None else ()
    return [_error(w) for w in (*document.warnings, *(IpsecfleetError(n, kind="note") for n in notes))]


def carrying(end: End) -> Sa | None:
    """The live SA of an end; of several, the one that lasts longest."""
    return max(end.live, key=lambda sa: sa.hard_s or 0, default=None)


def from_to(flow: Flow) -> tuple[str, str]:
    """Where the packets of a flow come from and go to."""
    here, there = str(flow.selectors.local), str(flow.selectors.remote)
    return (there, here) if flow.direction == "in" else (here, there)


def proto_of(flow: Flow) -> int | None:
    """The IP protocol number of a flow; None for any."""
    return flow.selectors.local.proto or flow.selectors.remote.proto or None


def _gateway(row: GatewayRow) -> Record:
    return {
        "gateway": row.gateway,
        "state": row.state,
        "phase": row.phase,
        "error": row.error,
        "hint": row.hint or None,
        "release": row.release,
        "carp": row.carp,
        "level": row.level,
        "at": iso(row.at),
    }


def _tunnel(tunnel: Tunnel) -> Record:
    return {"tunnel": tunnel.name, "state": tunnel.state.value, "ends": [_end(e) for e in tunnel.ends]}


def _end(end: End) -> Record:
    sa = carrying(end)
    protocol = sa.protocols[0] if sa is not None and sa.protocols else None
    return {
        "gateway": end.gateway,
        "connection": end.connection,
        "phase1": end.phase1,
        "peer": end.peer,
        "state": end.state.value,
        "spi_in": spi_text(protocol.spi_in) if protocol is not None else None,
        "spi_out": spi_text(protocol.spi_out) if protocol is not None else None,
        "rekey_in_s": sa.soft_s if sa is not None and sa.stayalive else None,
    }


def _sa(row: SaRow) -> Record:
    sa = row.sa
    return {
        "gateway": row.gateway,
        "name": sa.name,
        "phase": sa.phase,
        "role": sa.role.value if sa.role is not None else None,
        "src": sa.src,
        "dst": sa.dst,
        "lifetime_s": sa.lifetime_s,
        "lifetime_kb": sa.lifetime_kb,
        "soft_s": sa.soft_s,
        "hard_s": sa.hard_s,
        "flags": list(sa.flag_words),
        "icookie": sa.icookie,
        "rcookie": sa.rcookie,
        "protocols": [_protocol(p) for p in sa.protocols],
    }


def _protocol(protocol: Protocol) -> Record:
    return {
        "transform": protocol.transform,
        "spi_out": spi_text(protocol.spi_out),
        "spi_in": spi_text(protocol.spi_in),
        "enc": protocol.enc,
        "enc_key_bytes": protocol.enc_key_bytes,
        "auth": protocol.auth,
        "auth_key_bytes": protocol.auth_key_bytes,
    }


def _flow(row: FlowRow) -> Record:
    flow = row.flow
    source, target = from_to(flow)
    return {
        "gateway": row.gateway,
        "direction": flow.direction,
        "from": source,
        "to": target,
        "proto": proto_of(flow),
        "peer": flow.peer,
        "type": flow.type,
    }


def _step(row: StepRow) -> Record:
    return {
        "gateway": row.gateway,
        "tunnel": row.tunnel,
        "action": row.action,
        "lines": list(row.lines),
        "offset_s": number(row.offset_s),
        "state": row.state,
        "proof": row.proof,
        "at": iso(row.at),
    }


def _line(row: LineRow) -> Record:
    return {"gateway": row.gateway, "line": row.line}


def _name(row: NameRow) -> Record:
    return {"file": row.file, "line": row.line, "list": row.list, "connection": row.connection, "phase1": row.phase1}


def _finding(row: Finding) -> Record:
    return {
        "gateway": row.gateway,
        "severity": row.severity,
        "subject": row.subject,
        "text": row.text,
        "hint": row.hint or None,
    }


def _diagnosis(row: Diagnosis) -> Record:
    return {
        "tunnel": row.tunnel,
        "state": row.state.value,
        "well": row.well,
        "cause": row.cause.value if row.cause is not None else None,
        "verdict": row.verdict,
        "open": [{"cause": s.cause, "tells": s.tells} for s in row.open],
        "next": list(row.next),
        "evidence": [_evidence(e) for e in row.evidence],
        "ends": [asdict(end) for end in row.ends],
    }


def _evidence(evidence: Evidence) -> Record:
    return {
        "strength": evidence.strength.value,
        "gateway": evidence.gateway,
        "at": iso(evidence.at),
        "text": evidence.text,
        "quote": evidence.quote,
    }


def _inventory(row: GatewayName) -> Record:
    return {"gateway": row.gateway, "address": row.address, "groups": list(row.groups), "carp": row.carp}


def _run(row: RunRow) -> Record:
    return {
        "run": row.run,
        "command": row.command,
        "result": row.result,
        "began": iso(row.began),
        "ended": iso(row.ended),
        "tunnels": list(row.tunnels),
        "steps": [f"{number} {state}" for state, number in row.steps.items()],
        "torn": row.torn,
    }


def _event(row: EventRow) -> Record:
    return {
        "at": iso(row.at),
        "event": row.event,
        "gateway": row.gateway,
        "tunnel": row.tunnel,
        "action": row.action,
        "state": row.state,
        "text": row.text,
    }


def _forecast(row: ForecastRow) -> Record:
    return {
        "gateway": row.gateway,
        "proposed": row.proposed,
        "peak": row.peak,
        "peak_in_s": number(row.peak_in_s),
        "peak_at": iso(row.peak_at),
        "cost": number(row.cost),
        "tunnels": list(row.tunnels),
        "window_s": number(row.window_s),
        "counts": list(row.counts),
    }


def _course(row: CourseRow) -> Record:
    return {
        "strategy": row.strategy,
        "peaks": list(row.peaks),
        "waited_most_s": number(row.waited_most_s),
        "waited_mean_s": number(row.waited_mean_s),
        "back_s": number(row.back_s),
        "timed_out": row.timed_out,
    }


def _file(row: FileRow) -> Record:
    return {
        "gateway": row.gateway,
        "file": row.file,
        "state": row.state,
        "tunnels": list(row.tunnels),
        "diff": list(row.diff),
    }


def _drift(row: DriftRow) -> Record:
    return {
        "gateway": row.gateway,
        "tunnel": row.tunnel,
        "connection": row.connection,
        "file": row.file,
        "inventory": row.inventory,
        "deployed": row.deployed,
        "loaded": row.loaded,
        "running": row.running,
        "differs": row.differs,
    }


def _error(error: IpsecfleetError) -> Record:
    return {
        "kind": error.kind,
        "object": error.obj or None,
        "message": error.message,
        "hint": error.hint or None,
        "force": (error.force or None) if isinstance(error, RefusedError) else None,
    }


ARRAYS: Mapping[str, Callable[[Document], Iterable[Record] | None]] = {
    "gateways": lambda d: None if d.gateways is None else map(_gateway, d.gateways),
    "tunnels": lambda d: None if d.tunnels is None else map(_tunnel, d.tunnels),
    "sas": lambda d: None if d.sas is None else map(_sa, d.sas),
    "flows": lambda d: None if d.flows is None else map(_flow, d.flows),
    "steps": lambda d: None if d.steps is None else map(_step, d.steps),
    "lines": lambda d: None if d.lines is None else map(_line, d.lines),
    "names": lambda d: None if d.names is None else map(_name, d.names),
    "findings": lambda d: None if d.findings is None else map(_finding, d.findings),
    "diagnoses": lambda d: None if d.diagnoses is None else map(_diagnosis, d.diagnoses),
    "inventory": lambda d: None if d.inventory is None else map(_inventory, d.inventory),
    "runs": lambda d: None if d.runs is None else map(_run, d.runs),
    "events": lambda d: None if d.events is None else map(_event, d.events),
    "forecast": lambda d: None if d.forecast is None else map(_forecast, d.forecast),
    "courses": lambda d: None if d.courses is None else map(_course, d.courses),
    "files": lambda d: None if d.files is None else map(_file, d.files),
    "drift": lambda d: None if d.drift is None else map(_drift, d.drift),
}
"""The arrays of the JSON object, in its order, and how each is made."""
