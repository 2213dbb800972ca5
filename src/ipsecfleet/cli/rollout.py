"""rollout and diff: the conf files of the inventory, brought onto the gateways, and compared with them."""

from typing import TYPE_CHECKING

from ipsecfleet.cli.app import app, group, verb
from ipsecfleet.cli.options import Rolling, RunName, Selecting
from ipsecfleet.cli.session import Session
from ipsecfleet.errors import OperatorError

if TYPE_CHECKING:
    from ipsecfleet.cli.tunnels import Sources
    from ipsecfleet.model.document import Document

rollout_app = group(
    "rollout", "Bring the conf files of the inventory onto the gateways, proven, or back by themselves."
)
app.add_typer(rollout_app)


@verb(rollout_app, "plan")
def rollout_plan(session: Session, selecting: Selecting, rolling: Rolling) -> "Document":
    """Show what would change where, what goes down for how long, and what speaks against it."""
    session.dry = True
    return _rolled_out(session, selecting, rolling, _sources(session))


@verb(rollout_app, "apply")
def rollout_apply(session: Session, selecting: Selecting, rolling: Rolling) -> "Document":
    """Change the files, load them at both ends, prove the tunnels, confirm; what is not proven is taken back."""
    session.require_consent()
    read = _sources(session)
    _refuse_problems(read)
    return _rolled_out(session, selecting, rolling, read)


@verb(rollout_app, "rollback")
def rollout_rollback(session: Session, run: RunName, rolling: Rolling) -> "Document":
    """Bring the files back that were there before a rollout, as a rollout."""
    from ipsecfleet.run import changes, rollouts

    session.require_consent()
    kept, file = changes.find(session.archive, run)
    if file.order.verb != "rollout":
        raise OperatorError(f"run {kept.run} was no rollout", kind="usage", obj=kept.run)
    return rollouts.roll_back(session.run(), file, rolling.options(session.forced))


@verb(app, "diff")
def diff(session: Session, selecting: Selecting) -> "Document":
    """Compare what the inventory says, what is on the disk, what is loaded, and what runs."""
    from ipsecfleet.run import drift

    return drift.diff(session.run(selecting.selection()), _sources(session).files)


def _with_findings(document: "Document", read: "Sources") -> "Document":
    """The document with what is wrong with the files: a problem refuses, a warning is said."""
    from dataclasses import replace

    from ipsecfleet.errors import Exit, IpsecfleetError, RefusedError, foremost

    refused = tuple(RefusedError(f.text, kind="lint", obj=f.subject, hint=f.hint) for f in read.problems)
    rest = (f for f in read.found if f.severity == "warning")
    warnings = tuple(
        IpsecfleetError(f"{f.gateway}: {f.text}" if f.gateway else f.text, kind="lint", hint=f.hint) for f in rest
    )
    code = foremost([document.exit_code, *([Exit.REFUSED] if refused else [])])
    return replace(
        document,
        exit_code=code,
        result=document.result if code is document.exit_code else code.word,
        errors=(*document.errors, *refused),
        warnings=(*document.warnings, *warnings),
    )


def _rolled_out(session: Session, selecting: Selecting, rolling: Rolling, read: "Sources") -> "Document":
    from ipsecfleet.run import rollouts

    run, options = session.run(selecting.selection()), rolling.options(session.forced)
    return _with_findings(rollouts.roll_out(run, read.files, options, session.command), read)


def _refuse_problems(read: "Sources") -> None:
    """Refuse, before any gateway is visited, where a conf file has a problem."""
    from ipsecfleet.errors import RefusedError

    problem = next(iter(read.problems), None)
    if problem is not None:
        more = f" (and {len(read.problems) - 1} more)" if len(read.problems) > 1 else ""
        hint = problem.hint or "see all: ipsecfleet inventory check"
        raise RefusedError(f"{problem.text}{more}", kind="lint", obj=problem.subject, hint=hint)


def _sources(session: Session) -> "Sources":
    """The conf files of the inventory, with what is wrong with them."""
    from ipsecfleet.cli.inventories import find
    from ipsecfleet.cli.tunnels import sources

    return sources(session.fleet, find(session.options.inventory))
