"""Verbs that change something: down, up."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ipsecfleet.cli.app import app, verb
from ipsecfleet.cli.options import Selecting, seconds
from ipsecfleet.cli.read import FromSnapshot
from ipsecfleet.cli.session import Session
from ipsecfleet.errors import OperatorError

if TYPE_CHECKING:
    from ipsecfleet.inventory import Selection
    from ipsecfleet.model.document import Document
    from ipsecfleet.run.changes import Run


@verb(app, "down", selects=True)
def down(
    session: Session,
    selecting: Selecting,
    once: Annotated[bool, typer.Option("--once", help="The classic lines only: nothing is held.")] = False,
    hold: Annotated[
        bool, typer.Option("--hold", help="Also off its list, until up, a reload or a boot (default).")
    ] = False,
    remove: Annotated[bool, typer.Option("--remove", help="ipsecctl -d of its conf file.")] = False,
    settle: Annotated[
        str | None,
        typer.Option("--settle", metavar="TIME", help="Before the last look (8s); ends the waiting for peers."),
    ] = None,
    no_wait: Annotated[bool, typer.Option("--no-wait", help="Do not wait for negotiations to die.")] = False,
    from_snapshot: FromSnapshot = None,
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
        forced=session.forced,
    )
    return changes.down(_run(session, selection, from_snapshot), options)


@verb(app, "up", selects=True)
def up(
    session: Session,
    selecting: Selecting,
    wait: Annotated[
        str | None, typer.Option("--wait", metavar="TIME", help="For the tunnel to be seen established (135s).")
    ] = None,
    from_snapshot: FromSnapshot = None,
) -> "Document":
    """Bring tunnels up from the end that begins, and prove it."""
    from ipsecfleet.plan.up import UpOptions
    from ipsecfleet.run import changes

    selection = selecting.selection()
    if not (selection.names_tunnels or selection.names_gateways):
        raise OperatorError("up which tunnels?", kind="usage", obj="up", hint="name them by -t, -p, -g, -G or -A")
    up_s = seconds(wait, 135.0, "--wait") or 0.0
    return changes.up(_run(session, selection, from_snapshot), UpOptions(forced=session.forced), up_s)


def _require_tunnels_and_gateways(selection: "Selection") -> None:
    if not selection.names_tunnels:
        hint = "name them by -p or -t; all are -t '*'"
        raise OperatorError("down which tunnels?", kind="usage", obj="down", hint=hint)
    if not (selection.tunnels or selection.names_gateways):
        hint = "name them by -g, -G or -A"
        raise OperatorError("down on which gateways?", kind="usage", obj="down", hint=hint)


def _run(session: Session, selection: "Selection", snapshot: Path | None) -> "Run":
    from ipsecfleet.run.changes import Run

    if snapshot is None:
        session.require_consent()
    session.dry |= snapshot is not None
    return Run(
        fleet=session.fleet,
        selection=selection,
        prober=session.prober,
        clock=session.clock,
        run_id=session.run_id,
        ask=session.ask,
        say=session.say,
        waits=session.waits,
        dry_run=session.dry,
        snapshot=session.read_snapshot(snapshot),
    )
