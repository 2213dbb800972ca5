"""Verbs that read: show, lines, names, check."""

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ipsecfleet.cli.app import app, verb
from ipsecfleet.cli.options import Selecting
from ipsecfleet.cli.session import Session, read_bytes, read_text, write_text
from ipsecfleet.errors import Exit, OperatorError
from ipsecfleet.inventory.words import Selection
from ipsecfleet.isakmpd import report
from ipsecfleet.isakmpd.classic import of_report
from ipsecfleet.model.document import Document, LineRow, NameRow, SaRow
from ipsecfleet.model.net import same_address
from ipsecfleet.model.sa import Sa

if TYPE_CHECKING:
    from ipsecfleet.run.reading import Reading

WHAT = ("tunnels", "sas", "flows", "gateways")

FromFile = Annotated[
    Path | None, typer.Option("--from-file", metavar="FILE", help="A saved isakmpd.result; - is stdin.")
]
FromSnapshot = Annotated[
    Path | None, typer.Option("--from-snapshot", metavar="FILE", help="A snapshot saved by --save.")
]


@verb(app, "show", selects=True)
def show(
    session: Session,
    selecting: Selecting,
    what: Annotated[str, typer.Argument(metavar="[tunnels|sas|flows|gateways]")] = "tunnels",
    from_file: FromFile = None,
    from_snapshot: FromSnapshot = None,
    save: Annotated[
        Path | None, typer.Option("--save", metavar="FILE", help="Keep what was read, to plan from.")
    ] = None,
) -> Document:
    """Show tunnels, SAs, flows or gateways as they are."""
    if what not in WHAT:
        raise OperatorError(f"show {what!r}: there are {', '.join(WHAT)}", kind="usage", obj="show")
    selection = selecting.selection()
    if from_file is not None:
        if what != "sas":
            raise OperatorError("a saved report has SAs only", kind="usage", hint=f"show sas --from-file {from_file}")
        return _saved_sas(from_file, selection)
    reading = _reading(session, selection, from_snapshot)
    if save is not None:
        reading.prober.keep = True
    document = _show(reading, what)
    if save is not None:
        _save(reading, document, save)
    return document


@verb(app, "lines", selects=True)
def lines(
    session: Session, selecting: Selecting, from_file: FromFile = None, from_snapshot: FromSnapshot = None
) -> Document:
    """Print the exact FIFO lines that tear the selected tunnels down; run nothing."""
    selection = selecting.selection()
    if from_file is not None:
        return _saved_lines(from_file, selection, session.forced)
    if not selection.names_tunnels:
        raise OperatorError("lines of which tunnels?", kind="usage", obj="lines", hint="name them by -p or -t")
    from ipsecfleet.run.reading import lines as lines_of

    return lines_of(_reading(session, selection, from_snapshot), session.forced)


@verb(app, "names")
def names(
    _session: Session, files: Annotated[list[Path], typer.Argument(metavar="FILE...", help="ipsec.conf files.")]
) -> Document:
    """Print what ipsecctl would name the rules of conf files; offline."""
    from ipsecfleet.isakmpd import conf

    rows: list[NameRow] = []
    warnings: list[OperatorError] = []
    for path in files:
        read = conf.parse(read_text(path), path=str(path), include=lambda name: _included(Path(name)))
        rows += [NameRow(r.file, r.line, r.list, r.connection, r.phase1) for r in read.rules]
        warnings += [OperatorError(str(w), kind="conf", obj=str(path)) for w in read.warnings]
    return Document("names", names=tuple(rows), warnings=tuple(warnings))


@verb(app, "check", selects=True)
def check(session: Session, selecting: Selecting) -> Document:
    """Look for what would hurt: login, doas, FIFO, daemon, file modes, include lines, CARP, aliases."""
    from ipsecfleet.run.reading import check as check_all

    return check_all(_reading(session, selecting.selection(), None))


def _reading(session: Session, selection: Selection, snapshot: Path | None) -> "Reading":
    from ipsecfleet.run.reading import Reading

    fleet = session.fleet
    return Reading(fleet, selection, session.prober, session.read_snapshot(snapshot))


def _show(reading: "Reading", what: str) -> Document:
    from ipsecfleet.run.reading import show as show_it

    return show_it(reading, what)


def _save(reading: "Reading", document: Document, path: Path) -> None:
    from ipsecfleet.errors import GatewayError
    from ipsecfleet.isakmpd.saved import encode

    failed = {e.obj: e for e in document.errors if isinstance(e, GatewayError)}
    write_text(path, encode(reading.prober.answers, failed))


def _saved_sas(path: Path, selection: Selection) -> Document:
    sas, warnings = _report(path)
    peers = selection.peers
    rows = tuple(SaRow(None, sa) for sa in sas if not peers or any(same_address(sa.dst, p) for p in peers))
    document = Document("show sas", sas=rows, warnings=warnings)
    return document if rows or not peers else _empty(document, selection)


def _saved_lines(path: Path, selection: Selection, forced: frozenset[str]) -> Document:
    if not selection.peers:
        raise OperatorError("lines of which peer?", kind="usage", obj="lines", hint="name it by --peer")
    sas, warnings = _report(path)
    made = [of_report(sas, peer, forced) for peer in selection.peers]
    rows = tuple(LineRow(None, line) for classic in made for line in classic.lines)
    refused = tuple(r for classic in made for r in classic.refused)
    if refused:
        return Document("lines", Exit.REFUSED, "refused", lines=rows, errors=refused, warnings=warnings)
    document = Document("lines", lines=rows, warnings=warnings)
    return document if rows else _empty(document, selection)


def _empty(document: Document, selection: Selection) -> Document:
    from ipsecfleet.run.scope import matches_nothing

    why = matches_nothing(selection)
    return replace(document, exit_code=Exit.NOTHING, result="nothing", errors=(*document.errors, why))


def _report(path: Path) -> tuple[tuple[Sa, ...], tuple[OperatorError, ...]]:
    """The SAs of a saved report, and what of it was not understood."""
    read = report.parse(read_bytes(path))
    hint = "take the report again"
    if read.unparsed and not read.sas:
        hint = "give the isakmpd.result that the daemon writes at S"
        raise OperatorError(f"{path} is no report of isakmpd", kind="report", obj=str(path), hint=hint)
    left = [OperatorError(f"{path}: not understood: {p[:60]!a}", kind="report", hint=hint) for p in read.unparsed]
    return read.sas, tuple(left)


def _included(path: Path) -> str | None:
    return read_text(path) if path.is_file() else None
