"""`plain`: for awk and cut. A header line, then one row per record of the command's principal array.

Columns come in the order of the JSON object, TAB between them, empty for null, a list joined by commas. The records
nested in one (ends of a tunnel, protocols of an SA) make one row each, and a record without any makes one row all the
same. A nested column whose name is taken bears its owner's: `end_state`.
"""

from collections.abc import Container, Iterable, Mapping
from dataclasses import dataclass

from ipsecfleet.model.document import Document
from ipsecfleet.render.escape import visible
from ipsecfleet.render.human import DEFAULT, Look
from ipsecfleet.render.records import Record, arrays


@dataclass(frozen=True, slots=True)
class Columns:
    """The columns of an array's records, and those of the records nested in them under `inside`."""

    own: tuple[str, ...]
    inside: str = ""
    nested: tuple[str, ...] = ()

    @property
    def header(self) -> tuple[str, ...]:
        prefix = f"{self.inside.removesuffix('s')}_"
        return (*self.own, *(f"{prefix}{c}" if c in self.own else c for c in self.nested))


PRINCIPAL: Mapping[str, Columns] = {
    "drift": Columns(
        ("gateway", "tunnel", "connection", "file", "inventory", "deployed", "loaded", "running", "differs")
    ),
    "files": Columns(("gateway", "file", "state", "tunnels", "diff")),
    "lines": Columns(("gateway", "line")),
    "names": Columns(("file", "line", "list", "connection", "phase1")),
    "findings": Columns(("gateway", "severity", "subject", "text", "hint")),
    "diagnoses": Columns(
        ("tunnel", "state", "well", "cause", "verdict", "open", "next", "ends"),
        "evidence",
        ("strength", "gateway", "at", "text", "quote"),
    ),
    "inventory": Columns(("gateway", "address", "groups", "carp")),
    "courses": Columns(("strategy", "peaks", "waited_most_s", "waited_mean_s", "back_s", "timed_out")),
    "forecast": Columns(
        ("gateway", "proposed", "peak", "peak_in_s", "peak_at", "cost", "tunnels", "window_s", "counts")
    ),
    "events": Columns(("at", "event", "gateway", "tunnel", "action", "state", "text")),
    "runs": Columns(("run", "command", "result", "began", "ended", "tunnels", "steps", "torn")),
    "sas": Columns(
        (
            "gateway",
            "name",
            "phase",
            "role",
            "src",
            "dst",
            "lifetime_s",
            "lifetime_kb",
            "soft_s",
            "hard_s",
            "flags",
            "icookie",
            "rcookie",
        ),
        "protocols",
        ("transform", "spi_out", "spi_in", "enc", "enc_key_bytes", "auth", "auth_key_bytes"),
    ),
    "flows": Columns(("gateway", "direction", "from", "to", "proto", "peer", "type")),
    "steps": Columns(("gateway", "tunnel", "action", "lines", "offset_s", "state", "proof", "at")),
    "tunnels": Columns(
        ("tunnel", "state"),
        "ends",
        ("gateway", "connection", "phase1", "peer", "state", "spi_in", "spi_out", "rekey_in_s"),
    ),
    "gateways": Columns(("gateway", "state", "phase", "error", "hint", "release", "carp", "level", "at")),
}
"""What a command is about: the first of these arrays that its document has."""


def render(document: Document, look: Look = DEFAULT) -> str:  # noqa: ARG001 - one signature for every renderer
    """The principal array as rows; nothing at all where there is no array."""
    found = arrays(document)
    name = principal(found)
    if name is None:
        return ""
    columns = PRINCIPAL[name]
    rows = [columns.header, *(row for record in found[name] for row in _rows(record, columns))]
    return "".join("\t".join(row) + "\n" for row in rows)


def principal(found: Container[str]) -> str | None:
    """The name of the array that the command is about."""
    return next((name for name in PRINCIPAL if name in found), None)


def _rows(record: Record, columns: Columns) -> Iterable[tuple[str, ...]]:
    own = tuple(_text(record[c]) for c in columns.own)
    inside = record.get(columns.inside)
    for nested in inside if isinstance(inside, list) and inside else ({},):
        yield (*own, *(_text(nested.get(c)) for c in columns.nested))


def _text(value: object) -> str:
    if value is None:
        return ""
    if isinstance(value, list):
        return ",".join(map(_text, value))
    if isinstance(value, dict):
        return "; ".join(f"{name} {_text(said)}" for name, said in value.items() if said is not None)
    return visible(str(value))
