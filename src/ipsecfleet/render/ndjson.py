"""`ndjson`: one JSON object per gateway, as it arrives, and at last one with all the rest; each on a line of its own.

A record that belongs to a gateway of the document stands on that gateway's line and nowhere else. What is of no
gateway, or of several, such as tunnels and steps, stands in the summary.
"""

from collections.abc import Container, Mapping

from ipsecfleet.model.document import Document
from ipsecfleet.render.human import DEFAULT, Look
from ipsecfleet.render.jsondoc import dumps, head
from ipsecfleet.render.records import Record, arrays

OF_ONE_GATEWAY = ("sas", "flows", "lines", "findings")
"""The arrays whose records belong to one gateway each."""


def render(document: Document, look: Look = DEFAULT) -> str:  # noqa: ARG001 - one signature for every renderer
    """The document as lines: its gateways, then the summary."""
    return gateway_lines(document) + summary_line(document)


def gateway_lines(document: Document, told: Container[str] = ()) -> str:
    """A line for each gateway that was not `told` before."""
    found = arrays(document)
    rows = found.get("gateways", [])
    shares = {name: _shares(found[name]) for name in OF_ONE_GATEWAY if name in found}
    return "".join(f"{dumps(_gateway(row, shares))}\n" for row in rows if row["gateway"] not in told)


def summary_line(document: Document) -> str:
    """The last line: how it ended, and what stands on no gateway's line."""
    found = arrays(document)
    gateways = {row["gateway"] for row in found.pop("gateways", [])}
    for name in OF_ONE_GATEWAY if gateways else ():
        rest = [record for record in found.pop(name, []) if record["gateway"] not in gateways]
        found |= {name: rest} if rest else {}
    return f"{dumps({'summary': head(document, found)})}\n"


def _shares(records: list[Record]) -> dict[object, list[Record]]:
    """The records by gateway."""
    shares: dict[object, list[Record]] = {}
    for record in records:
        shares.setdefault(record["gateway"], []).append(record)
    return shares


def _gateway(row: Record, shares: Mapping[str, Mapping[object, list[Record]]]) -> Record:
    """A gateway and what it has; of one that gave no whole answer nothing is said to be empty."""
    own = {name: share.get(row["gateway"], []) for name, share in shares.items()}
    return {"gateway": row, **{name: records for name, records in own.items() if records or row["state"] == "ok"}}
