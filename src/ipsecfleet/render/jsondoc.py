"""`json`: exactly one object, each record of an array on a line of its own, all of it ASCII (schema.json holds it)."""

import json
from collections.abc import Mapping

from ipsecfleet.model.document import Document
from ipsecfleet.render.escape import encodable
from ipsecfleet.render.human import DEFAULT, Look
from ipsecfleet.render.records import Record, arrays, errors, warnings

SCHEMA_VERSION = 1


def render(document: Document, look: Look = DEFAULT) -> str:  # noqa: ARG001 - one signature for every renderer
    """The document as one JSON object."""
    members = head(document, arrays(document))
    text = ",\n".join(f"  {json.dumps(name)}: {_member(value)}" for name, value in members.items())
    return f"{{\n{text}\n}}\n"


def head(document: Document, found: Mapping[str, list[Record]]) -> Record:
    """The object of a document with these of its arrays."""
    return {
        "schema": SCHEMA_VERSION,
        "command": document.command,
        "run": document.run,
        "result": document.result,
        "exit_code": int(document.exit_code),
        **({"digest": document.digest} if document.digest is not None else {}),
        **found,
        "warnings": warnings(document),
        "errors": errors(document),
    }


def dumps(value: object) -> str:
    """A value on one line, all of it ASCII."""
    return json.dumps(_encodable(value), allow_nan=False)


def _member(value: object) -> str:
    if not isinstance(value, list) or not value:
        return dumps(value)
    items = ",\n".join(f"    {dumps(item)}" for item in value)
    return f"[\n{items}\n  ]"


def _encodable(value: object) -> object:
    if isinstance(value, str):
        return encodable(value)
    if isinstance(value, list):
        return [_encodable(item) for item in value]
    if isinstance(value, dict):
        return {key: _encodable(item) for key, item in value.items()}
    return value
