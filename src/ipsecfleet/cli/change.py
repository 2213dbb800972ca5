"""Verbs that change something, and what is kept of them: down, up, apply, runs."""

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ipsecfleet.cli.app import app, group, verb
from ipsecfleet.cli.options import Expect, Pacing, Planning, RunName, Selecting, seconds
from ipsecfleet.cli.session import Session, read_text, write_text
from ipsecfleet.errors import OperatorError

if TYPE_CHECKING:
    from ipsecfleet.inventory import Selection
    from ipsecfleet.model.document import Document
    from ipsecfleet.plan.restart import RestartOptions
    from ipsecfleet.run.carrying import Run

runs_app = group("runs", "What was done before: list it, tell its story, finish it or take it back.")
app.add_typer(runs_app)


@verb(app, "down")
def down(
    session: Session,
    selecting: Selecting,
    planning: Planning,
    once: Annotated[bool, typer.Option("--once", help="The classic lines only: nothing is held.")] = False,
    hold: Annotated[
        bool, typer.Option("--hold", help="Also off its list, until up, a reload or a boot (default).")
    ] = False,
    remove: Annotated[bool, typer.Option("--remove", help="ipsecctl -d of its conf file.")] = False,
    fail_closed: Annotated[
        bool, typer.Option("--fail-closed", help="Drop its traffic, so that none leaves in clear.")
    ] = False,
    settle: Annotated[
        str | None,
        typer.Option("--settle", metavar="TIME", help="Before the last look (8s); ends the waiting for peers."),
    ] = None,
    no_wait: Annotated[bool, typer.Option("--no-wait", help="Do not wait for negotiations to die.")] = False,
) -> "Document":
    """Take tunnels down at every end of ours, keep them down, and prove it."""
    from ipsecfleet.plan.down import DownOptions, Strength
    from ipsecfleet.run import changes

    strengths = [s for s, given in zip(Strength, (once, hold, remove), strict=True) if given]
    if len(strengths) > 1:
        raise OperatorError("--once, --hold and --remove exclude each other", kind="usage", obj="down")
    selection = selecting.selection()
    _require_tunnels_and_gateways(selection)
    strength = strengths[0] if strengths else Strength.HOLD
    default = 1.0 if strength is Strength.ONCE else 8.0
    options = DownOptions(
        strength=strength,
        settle_s=seconds(settle, default, "--settle") or 0.0,
        settle_given=settle is not None,
        wait=not no_wait,
        fail_closed=fail_closed,
        forced=session.forced,
    )
    return changes.change(_planning(session, selection, planning), options)


@verb(app, "up")
def up(
    session: Session,
    selecting: Selecting,
    pacing: Pacing,
    planning: Planning,
    let_out: Annotated[bool, typer.Option("--open", help="Where it stays down, drop its traffic no more.")] = False,
) -> "Document":
    """Bring tunnels up from the end that begins, and prove it."""
    from ipsecfleet.plan.up import UpOptions
    from ipsecfleet.run import changes

    selection = selecting.selection()
    _require_tunnels(selection, "up")
    options = UpOptions(pacing.wait_s(135.0), let_out, pacing.pace(), session.forced)
    return changes.change(_planning(session, selection, planning), options)


@verb(app, "restart")
def restart(
    session: Session,
    selecting: Selecting,
    pacing: Pacing,
    planning: Planning,
    phase: Annotated[
        str, typer.Option("--phase", metavar="PHASE", help="quick, or both: phase 1 is negotiated anew too.")
    ] = "quick",
) -> "Document":
    """Tear tunnels down and bring them up by one write each, staggered, and prove that the keys are new."""
    from ipsecfleet.run import changes

    if phase not in {"quick", "both"}:
        raise OperatorError(f"--phase {phase!r} is none of quick, both", kind="usage", obj="--phase")
    selection = selecting.selection()
    _require_tunnels(selection, "restart")
    options = _restarting(session, pacing, both=phase == "both")
    return changes.change(_planning(session, selection, planning), options)


@verb(app, "rekey")
def rekey(
    session: Session,
    selecting: Selecting,
    pacing: Pacing,
    planning: Planning,
    method: Annotated[
        str, typer.Option("--method", metavar="METHOD", help="overlap: the flows are never missing; or restart.")
    ] = "overlap",
    clean: Annotated[bool, typer.Option("--clean", help="Only remove aliases that interrupted rekeys left.")] = False,
) -> "Document":
    """Give tunnels new keys while their flows stay, staggered, and prove it."""
    from ipsecfleet.plan.rekey import RekeyOptions
    from ipsecfleet.run import changes

    if method not in {"overlap", "restart"}:
        raise OperatorError(f"--method {method!r} is none of overlap, restart", kind="usage", obj="--method")
    if clean and method == "restart":
        raise OperatorError("--clean rekeys nothing, so it has no --method", kind="usage", obj="--clean")
    selection = selecting.selection()
    _require_tunnels(selection, "rekey")
    run = _planning(session, selection, planning)
    if method == "restart":
        return changes.change(run, _restarting(session, pacing, both=False))
    return changes.change(run, RekeyOptions(clean, pacing.wait_s(60.0), pacing.pace(), session.forced))


@verb(app, "apply")
def apply(
    session: Session,
    plan: Annotated[Path, typer.Argument(metavar="PLAN", help="A file that --plan-out wrote.")],
    expect: Expect = None,
) -> "Document":
    """Carry out a plan that was made before, if the gateways are still as it takes them to be."""
    from ipsecfleet.plan import planfile
    from ipsecfleet.run import changes

    session.require_consent()
    return changes.apply(session.run(expect=expect), planfile.decode(read_text(plan), str(plan)))


@verb(runs_app, "list")
def runs_list(session: Session) -> "Document":
    """List the runs that were kept here, the newest last."""
    from ipsecfleet.run import history

    return history.runs_list(session.archive)


@verb(runs_app, "show")
def runs_show(session: Session, run: RunName) -> "Document":
    """Tell the story of a run."""
    from ipsecfleet.run import history

    return history.runs_show(session.archive, run)


@verb(runs_app, "resume")
def runs_resume(session: Session, run: RunName) -> "Document":
    """Look at the gateways of a run, and do what is left of it."""
    from ipsecfleet.run import changes

    session.require_consent()
    kept, file = changes.find_to_finish(session.archive, run)
    session.run_id = kept.run
    return changes.resume(session.run(), kept, file, session.archive.snapshot(kept.run))


@verb(runs_app, "abort")
def runs_abort(session: Session, run: RunName) -> "Document":
    """Take back what a run did, as far as it was otherwise before."""
    from ipsecfleet.run import changes

    session.require_consent()
    kept, file = changes.find_to_finish(session.archive, run)
    session.run_id = kept.run
    return changes.abort(session.run(), kept, file, session.archive.snapshot(kept.run))


@verb(runs_app, "confirm")
def runs_confirm(session: Session, run: RunName) -> "Document":
    """Keep what a rollout changed and did not confirm, before the gateways take it back."""
    from ipsecfleet.run import changes, rollouts

    session.require_consent()
    kept, file = changes.find(session.archive, run)
    session.run_id = kept.run
    return rollouts.confirm(session.run(), file)


def _require_tunnels(selection: "Selection", verb: str) -> None:
    if not (selection.names_tunnels or selection.names_gateways):
        hint = "name them by -t, -p, -g, -G or -A"
        raise OperatorError(f"{verb} which tunnels?", kind="usage", obj=verb, hint=hint)


def _restarting(session: Session, pacing: Pacing, *, both: bool) -> "RestartOptions":
    from ipsecfleet.plan.restart import RestartOptions

    return RestartOptions(both, pacing.wait_s(135.0), pacing.pace(), session.forced)


def _require_tunnels_and_gateways(selection: "Selection") -> None:
    if not selection.names_tunnels:
        hint = "name them by -p or -t; all are -t '*'"
        raise OperatorError("down which tunnels?", kind="usage", obj="down", hint=hint)
    if not (selection.tunnels or selection.names_gateways):
        hint = "name them by -g, -G or -A"
        raise OperatorError("down on which gateways?", kind="usage", obj="down", hint=hint)


def _planning(session: Session, selection: "Selection", planning: Planning) -> "Run":
    """What a changing verb works with; with a saved snapshot or a plan to be written nothing is sent."""
    snapshot, plan_out = planning.from_snapshot, planning.plan_out
    session.dry |= snapshot is not None or plan_out is not None
    if not session.dry:
        session.require_consent()
    write = None if plan_out is None else partial(write_text, plan_out)
    return session.run(selection, snapshot=session.read_snapshot(snapshot), plan_out=write, expect=planning.expect)
