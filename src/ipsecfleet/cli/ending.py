"""How a command ends: with one document, whatever has happened, in the format that was asked for.

Data goes to stdout, talk to stderr. All of rendering is imported with this, so it is imported at the end.
"""

import os
import sys
import traceback
from contextlib import suppress
from datetime import UTC, datetime, tzinfo
from pathlib import Path

from ipsecfleet.cli.session import Session, state_home, width
from ipsecfleet.errors import Exit, IpsecfleetError
from ipsecfleet.isakmpd.steps import lines_of
from ipsecfleet.model.document import Document
from ipsecfleet.render import (
    RENDERERS,
    Look,
    dry_run_text,
    errors_text,
    files_text,
    gateway_lines,
    plan_text,
    results_text,
    summary_line,
)


def emit(session: Session, document: Document) -> Exit:
    """Everything a command has to say, in its format; the exit code."""
    session.progress.clear()
    form = session.options.output or "table"
    look = Look(width(), _zone(), color=_colors(session.options.color or "auto"), now=session.moment)
    sys.stdout.write(_text(session, document, form, look))
    sys.stdout.flush()
    if form in {"json", "ndjson"}:
        return document.exit_code
    shown = document.plan.refusals if form == "table" and document.plan is not None else ()
    if session.talks:
        sys.stderr.write(errors_text(document.warnings, look.width, word="warning"))
    sys.stderr.write(errors_text((e for e in document.errors if e not in shown), look.width))
    return document.exit_code


def failed(command: str, error: IpsecfleetError) -> Document:
    """A command that ended before it had anything else to say."""
    return Document(command, error.exit_code, error.exit_code.word, errors=(error,))


def interrupted(command: str, code: Exit) -> Document:
    """A command that ^C or SIGTERM ended."""
    error = IpsecfleetError("interrupted; see what there is: ipsecfleet show tunnels", kind="interrupted", obj=command)
    return Document(command, code, code.word, errors=(error,))


def bug(command: str, error: Exception) -> Document:
    """A mistake of ours: its traceback goes to a file of the operator's, nothing of it to the terminal."""
    hint = "its traceback could not be kept: is the state directory writable"
    with suppress(OSError):
        hint = f"report {_kept(error)}"
    text = f"a mistake in ipsecfleet itself: {type(error).__name__}"
    said = IpsecfleetError(text, kind="bug", obj=command, hint=hint)
    return Document(command, Exit.BUG, Exit.BUG.word, errors=(said,))


def _kept(error: Exception) -> Path:
    """The file that the traceback was written to."""
    folder = state_home() / "bugs"
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    path = folder / f"{datetime.now().astimezone():%Y%m%d-%H%M%S}-{os.getpid()}.txt"
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="utf-8") as file:
        file.writelines(traceback.format_exception(error))
    return path


def _text(session: Session, document: Document, form: str, look: Look) -> str:
    """What goes to stdout and is not there yet."""
    if form == "table":
        return _for_people(session, document, look)
    if form == "ndjson":
        return gateway_lines(document, session.told) + summary_line(document)
    return RENDERERS[form](document, look)


def _for_people(session: Session, document: Document, look: Look) -> str:
    """What a person reads of a document: a plan that was not carried out, else what it came to, else its tables."""
    if document.plan is None:
        return RENDERERS["table"](document, look)
    if session.dry:
        fifos = {g.name: f"{g.paths.run}/isakmpd.fifo" for g in session.fleet.gateways}
        digest = f"\nplan {document.digest}\n" if document.digest is not None and document.plan.steps else ""
        files = files_text(document.files or (), look.width)
        return files + dry_run_text(document.plan, lines_of, look.width, fifos) + digest
    if document.plan.refusals:
        return plan_text(document.plan, lines_of, look.width)
    return results_text(document, look)


def _zone() -> tzinfo:
    return datetime.now().astimezone().tzinfo or UTC


def _colors(when: str) -> bool:
    if when == "auto":
        return sys.stdout.isatty() and not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"
    return when == "always"
