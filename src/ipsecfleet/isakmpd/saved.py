"""A snapshot in a file: the answers of the gateways as they came, so that a later version reads them its own way.

JSON: `{"schema": 1, "gateways": {NAME: {"handshake": TEXT, "sections": [[NAME, STATUS, BODY], …]}}, "failed": {…}}`.
Bodies are UTF-8 where they are, other bytes as lone surrogates; a filtered answer holds no key of any kind.
"""

import json
from collections.abc import Mapping

from ipsecfleet.errors import GatewayError, OperatorError, UnreachableError
from ipsecfleet.isakmpd.snapshot import snapshot_of
from ipsecfleet.isakmpd.visit import Answer, Section
from ipsecfleet.model.snapshot import Snapshot, Unknown

SCHEMA = 1


def encode(answers: Mapping[str, Answer], failed: Mapping[str, GatewayError]) -> str:
    """The text of the file."""
    gateways = {name: _saved(answer) for name, answer in answers.items()}
    errors = {n: {"message": e.message, "phase": e.phase, "hint": e.hint, "kind": e.kind} for n, e in failed.items()}
    return json.dumps({"schema": SCHEMA, "gateways": gateways, "failed": errors}, indent=1) + "\n"


def decode(text: str, source: str) -> Snapshot:
    """The snapshot a file holds; OperatorError if it is none of ours."""
    try:
        document = json.loads(text)
        if document["schema"] != SCHEMA:
            raise OperatorError(f"{source} is a snapshot of schema {document['schema']!r}, this reads {SCHEMA}")
        seen = {str(n): snapshot_of(str(n), _answer(a)) for n, a in document["gateways"].items()}
        failed = {str(n): _error(str(n), e) for n, e in document["failed"].items()}
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise OperatorError(f"{source} is not a saved snapshot: {error}", hint="make one by show --save FILE") from None
    return Snapshot(seen, failed)


def _saved(answer: Answer) -> dict[str, object]:
    sections = [[s.name, s.status, s.body.decode("utf-8", "surrogateescape")] for s in answer.sections]
    conf = {p: None if isinstance(b, Unknown) else b.decode("utf-8", "surrogateescape") for p, b in answer.conf.items()}
    return {"handshake": answer.handshake, "sections": sections, "conf": conf}


def _answer(saved: Mapping[str, object]) -> Answer:
    sections = saved["sections"]
    conf = saved.get("conf", {})
    if not isinstance(sections, list) or not isinstance(conf, dict):
        raise TypeError("an answer has no sections")
    handshake = saved["handshake"]
    return Answer(
        sections=tuple(Section(str(n), str(s), _octets(b)) for n, s, b in sections),
        complete=True,
        handshake=None if handshake is None else str(handshake),
        conf={str(p): Unknown("not read") if b is None else _octets(b) for p, b in conf.items()},
    )


def _octets(text: object) -> bytes:
    return str(text).encode("utf-8", "surrogateescape")


def _error(gateway: str, saved: Mapping[str, object]) -> GatewayError:
    phase = str(saved["phase"])
    kind = GatewayError if phase == "command" else UnreachableError
    return kind(str(saved["message"]), phase=phase, hint=str(saved["hint"]), kind=str(saved["kind"]), obj=gateway)
