"""A Document as text: one table of functions, so that a new format never touches a command.

Every text ends in a newline or is empty. Importing this costs nothing that only a table needs.
"""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Protocol

from ipsecfleet.model.document import Document
from ipsecfleet.render import jsondoc, metrics, ndjson, plain, table
from ipsecfleet.render.errors import errors_text
from ipsecfleet.render.escape import visible
from ipsecfleet.render.human import DEFAULT, Look
from ipsecfleet.render.ndjson import gateway_lines, summary_line
from ipsecfleet.render.plantext import dry_run_text, plan_text
from ipsecfleet.render.results import results_text
from ipsecfleet.render.table import files_text

__all__ = [
    "RENDERERS",
    "Look",
    "Renderer",
    "dry_run_text",
    "errors_text",
    "files_text",
    "gateway_lines",
    "plan_text",
    "results_text",
    "summary_line",
    "visible",
]


class Renderer(Protocol):
    """What makes text of a document; only formats for people heed the look."""

    def __call__(self, document: Document, look: Look = DEFAULT) -> str:
        """All of what the document says on stdout."""


RENDERERS: Mapping[str, Renderer] = MappingProxyType(
    {
        "table": table.render,
        "plain": plain.render,
        "json": jsondoc.render,
        "ndjson": ndjson.render,
        "metrics": metrics.render,
    }
)
