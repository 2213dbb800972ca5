"""What is answered from files alone: a saved report, conf files; imported when one of them is named."""

from dataclasses import replace
from pathlib import Path

from ipsecfleet.cli.session import read_bytes
from ipsecfleet.errors import Exit, OperatorError
from ipsecfleet.inventory import Selection
from ipsecfleet.isakmpd import report
from ipsecfleet.isakmpd.classic import of_report
from ipsecfleet.model.document import Document, LineRow, SaRow
from ipsecfleet.model.net import same_address
from ipsecfleet.model.sa import Sa


def sas(path: Path, selection: Selection) -> Document:
    """The SAs of a saved report, or those with the selected peers."""
    found, warnings = _report(path)
    peers = selection.peers
    rows = tuple(SaRow(None, sa) for sa in found if not peers or any(same_address(sa.dst, p) for p in peers))
    document = Document("show sas", sas=rows, warnings=warnings)
    return document if rows or not peers else _empty(document, selection)


def lines(path: Path, selection: Selection, forced: frozenset[str]) -> Document:
    """The classic lines for the selected peers of a saved report."""
    if not selection.peers:
        raise OperatorError("lines of which peer?", kind="usage", obj="lines", hint="name it by --peer")
    found, warnings = _report(path)
    made = [of_report(found, peer, forced) for peer in selection.peers]
    rows = tuple(LineRow(None, line) for classic in made for line in classic.lines)
    refused = tuple(r for classic in made for r in classic.refused)
    code = Exit.REFUSED if refused else Exit.OK
    document = Document("lines", code, code.word, lines=rows, errors=refused, warnings=warnings)
    return document if rows or refused else _empty(document, selection)


def _empty(document: Document, selection: Selection) -> Document:
    from ipsecfleet.run.scope import matches_nothing

    why = matches_nothing(selection)
    return replace(document, exit_code=Exit.NOTHING, result=Exit.NOTHING.word, errors=(*document.errors, why))


def _report(path: Path) -> tuple[tuple[Sa, ...], tuple[OperatorError, ...]]:
    """The SAs of a saved report, and what of it was not understood."""
    read = report.parse(read_bytes(path))
    if read.unparsed and not read.sas:
        hint = "give the isakmpd.result that the daemon writes at S"
        raise OperatorError(f"{path} is no report of isakmpd", kind="report", obj=str(path), hint=hint)
    hint = "take the report again"
    left = [OperatorError(f"{path}: not understood: {p[:60]!a}", kind="report", hint=hint) for p in read.unparsed]
    return read.sas, tuple(left)
