"""Verbs that read: show, lines, forecast, diagnose, names, check."""

from math import ceil
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ipsecfleet.cli.app import app, verb
from ipsecfleet.cli.completing import among
from ipsecfleet.cli.options import FromSnapshot, Selecting, seconds
from ipsecfleet.cli.session import Session, read_text, write_text
from ipsecfleet.errors import GatewayError, OperatorError

if TYPE_CHECKING:
    from collections.abc import Callable

    from ipsecfleet.inventory import Selection
    from ipsecfleet.isakmpd.verbs import Debug
    from ipsecfleet.model.document import Document
    from ipsecfleet.model.snapshot import Snapshot
    from ipsecfleet.run.reading import Reading

WHAT = ("tunnels", "sas", "flows", "gateways")
MEASURED = ("tunnels", "gateways")

FromFile = Annotated[
    Path | None, typer.Option("--from-file", metavar="FILE", help="A saved isakmpd.result; - is stdin.")
]


@verb(app, "show")
def show(
    session: Session,
    selecting: Selecting,
    what: Annotated[
        str, typer.Argument(metavar="[tunnels|sas|flows|gateways]", autocompletion=among(*WHAT))
    ] = "tunnels",
    from_file: FromFile = None,
    from_snapshot: FromSnapshot = None,
    save: Annotated[
        Path | None, typer.Option("--save", metavar="FILE", help="Keep what was read, to plan from.")
    ] = None,
    watch: Annotated[
        str | None, typer.Option("--watch", metavar="TIME", help="Look again so often; in a pipe, tell what changes.")
    ] = None,
) -> "Document":
    """Show tunnels, SAs, flows or gateways as they are."""
    if what not in WHAT:
        raise OperatorError(f"show {what!r}: there are {', '.join(WHAT)}", kind="usage", obj="show")
    if session.options.output == "metrics" and what not in MEASURED:
        hint = f"there are metrics of {' and '.join(MEASURED)}"
        raise OperatorError(f"show {what} has no metrics", kind="usage", obj="--output", hint=hint)
    selection = selecting.selection()
    if from_file is not None:
        if what != "sas":
            raise OperatorError("a saved report has SAs only", kind="usage", hint=f"show sas --from-file {from_file}")
        from ipsecfleet.cli import offline

        return offline.sas(from_file, selection)
    reading = _reading(session, selection, from_snapshot)
    if watch is not None:
        from ipsecfleet.cli.watching import Watch

        if from_snapshot is not None or save is not None or what != "tunnels":
            raise OperatorError("--watch is for tunnels as they are", kind="usage", obj="--watch")
        session.again = True
        return Watch(session, seconds(watch, None, "--watch") or 0.0).run(lambda: _show(reading, what))
    if save is not None:
        reading.prober.keep = True
    document = _show(reading, what)
    if save is not None:
        _save(reading, document, save)
    return document


@verb(app, "lines")
def lines(
    session: Session, selecting: Selecting, from_file: FromFile = None, from_snapshot: FromSnapshot = None
) -> "Document":
    """Print the exact FIFO lines that tear the selected tunnels down; run nothing."""
    selection = selecting.selection()
    if from_file is not None:
        from ipsecfleet.cli import offline

        return offline.lines(from_file, selection, session.forced)
    if not selection.names_tunnels:
        raise OperatorError("lines of which tunnels?", kind="usage", obj="lines", hint="name them by -p or -t")
    from ipsecfleet.run.reading import lines as lines_of

    return lines_of(_reading(session, selection, from_snapshot), session.forced)


@verb(app, "forecast")
def forecast(
    session: Session,
    selecting: Selecting,
    horizon: Annotated[
        str | None, typer.Option("--horizon", metavar="TIME", help="How far to look ahead (1h).")
    ] = None,
    window: Annotated[
        str | None, typer.Option("--window", metavar="TIME", help="What counts as one moment (10s).")
    ] = None,
    max_peak: Annotated[
        int | None, typer.Option("--max-peak", metavar="N", min=0, help="Exit 6 where a gateway has more in a window.")
    ] = None,
    plan: Annotated[
        Path | None, typer.Option("--plan", metavar="FILE", help="Also as it would be with a plan of --plan-out.")
    ] = None,
    svg: Annotated[
        Path | None, typer.Option("--svg", metavar="FILE", help="Draw it there too; needs the extra `plot`.")
    ] = None,
    from_snapshot: FromSnapshot = None,
) -> "Document":
    """Tell when gateways will compute keys, and how many at once."""
    from ipsecfleet.plan import planfile
    from ipsecfleet.run.forecasting import Question, foretell

    question = Question(
        _positive(horizon, 3600.0, "--horizon"),
        _positive(window, 10.0, "--window"),
        max_peak,
        None if plan is None else planfile.decode(read_text(plan), str(plan)).plan,
    )
    draw = _artist() if svg is not None else None
    document = foretell(_reading(session, selecting.selection(), from_snapshot), question)
    if draw is not None and svg is not None:
        write_text(svg, draw(document))
    return document


def _artist() -> "Callable[[Document], str]":
    """What draws a forecast, if there is something to draw with."""
    try:
        from ipsecfleet.render.picture import forecast_svg
    except ModuleNotFoundError as error:
        text = f"--svg needs {error.name}, which is not installed"
        raise OperatorError(text, kind="usage", obj="--svg", hint="pip install 'ipsecfleet[plot]'") from None
    return forecast_svg


def _positive(text: str | None, default: float, option: str) -> float:
    found = seconds(text, default, option) or 0.0
    if found <= 0:
        raise OperatorError(f"{option} {text!r} is no time at all", kind="usage", obj=option)
    return found


@verb(app, "diagnose")
def diagnose(
    session: Session,
    selecting: Selecting,
    since: Annotated[
        str | None, typer.Option("--since", metavar="TIME", help="How far back the logs are read (30m).")
    ] = None,
    debug_class: Annotated[
        str | None,
        typer.Option("--debug-class", metavar="CLASS=LEVEL", help="Raise one class of the daemon's log for --for."),
    ] = None,
    look_for: Annotated[
        str | None, typer.Option("--for", metavar="TIME", help="Look again after that, and compare (20s with a class).")
    ] = None,
    watch: Annotated[
        str | None, typer.Option("--watch", metavar="TIME", help="Look again so often; in a pipe, tell what changes.")
    ] = None,
    from_snapshot: FromSnapshot = None,
) -> "Document":
    """Tell why tunnels stall: one cause with its evidence at both ends, or what would tell."""
    from ipsecfleet.run.diagnosing import Question, diagnosis

    session.again = True
    reading = _reading(session, selecting.selection(), from_snapshot)
    wait_s = _positive(look_for, 20.0, "--for") if look_for is not None or debug_class is not None else 0.0
    debug = _debug(debug_class, wait_s / session.fleet.time_scale) if debug_class is not None else None
    question = Question(_positive(since, 1800.0, "--since"), wait_s, None if session.dry else debug, session.pause)
    if watch is None:
        return diagnosis(reading, question)
    from ipsecfleet.cli.watching import Watch

    if from_snapshot is not None or wait_s:
        raise OperatorError("--watch looks again by itself", kind="usage", obj="--watch", hint="leave --for out")
    earlier: list[Snapshot] = []
    return Watch(session, _positive(watch, 0.0, "--watch")).run(lambda: diagnosis(reading, question, earlier))


def _debug(text: str, seconds: float) -> "Debug":
    """CLASS=LEVEL, for so long by the gateways' clocks."""
    from ipsecfleet.isakmpd.verbs import DEBUG_CLASSES, LONGEST_DEBUG_S, Debug

    word, _, level = text.partition("=")
    name = next((n for n in DEBUG_CLASSES if n.lower() == word.lower()), word)
    if not level.isdecimal() or len(level) > len("99"):
        raise OperatorError(f"{text!r} is no CLASS=LEVEL", kind="usage", obj="--debug-class", hint="such as Exch=40")
    if seconds > LONGEST_DEBUG_S:
        text = f"a class is raised for {LONGEST_DEBUG_S} s at most"
        raise OperatorError(text, kind="usage", obj="--for", hint=f"--for {LONGEST_DEBUG_S}s")
    return Debug(name, int(level), max(1, ceil(seconds)))


@verb(app, "names")
def names(
    _session: Session, files: Annotated[list[Path], typer.Argument(metavar="FILE...", help="ipsec.conf files.")]
) -> "Document":
    """Print what ipsecctl would name the rules of conf files; offline."""
    from ipsecfleet.cli.names import names as names_of

    return names_of(files)


@verb(app, "check")
def check(
    session: Session,
    selecting: Selecting,
    install_help: Annotated[
        bool, typer.Option("--install-help", help="Tell how to install the visit program; contact nobody.")
    ] = False,
) -> "Document":
    """Look for what would hurt: login, doas, FIFO, daemon, file modes, include lines, CARP, aliases."""
    if install_help:
        from ipsecfleet.isakmpd.install import install_help as told

        return told()
    from ipsecfleet.run.checking import check as check_all

    return check_all(_reading(session, selecting.selection(), None))


def _reading(session: Session, selection: "Selection", snapshot: Path | None) -> "Reading":
    from ipsecfleet.run.reading import Reading

    fleet = session.fleet
    return Reading(fleet, selection, session.prober, session.read_snapshot(snapshot), session.stream)


def _show(reading: "Reading", what: str) -> "Document":
    from ipsecfleet.run.reading import show as show_it

    return show_it(reading, what)


def _save(reading: "Reading", document: "Document", path: Path) -> None:
    from ipsecfleet.isakmpd.saved import encode

    failed = {e.obj: e for e in document.errors if isinstance(e, GatewayError)}
    write_text(path, encode(reading.prober.answers, failed))
