"""The application: its verbs, and what happens around each of them."""

import os
import signal
import sys
import threading
from collections.abc import Callable, Sequence
from itertools import pairwise
from types import FrameType
from typing import TYPE_CHECKING, Annotated, Any, NoReturn

import typer

from ipsecfleet import __version__
from ipsecfleet.cli import completing
from ipsecfleet.cli.lean import Command, Group
from ipsecfleet.cli.options import FORMATS, Globals, gathered, holders_of, with_options
from ipsecfleet.cli.session import Session, unread
from ipsecfleet.errors import Exit, IpsecfleetError, OperatorError

if TYPE_CHECKING:
    from ipsecfleet.model.document import Document

SETTINGS = {"help_option_names": ["-h", "--help"]}
UsageError = typer.BadParameter.__base__

Verb = Callable[..., "Document"]


def group(name: str | None, text: str, **settings: Any) -> typer.Typer:
    """A typer application as all of ours are: no rich, no completion, no pretty tracebacks."""
    return typer.Typer(
        name=name,
        cls=Group,
        help=text,
        add_completion=False,
        rich_markup_mode=None,
        pretty_exceptions_enable=False,
        no_args_is_help=True,
        context_settings=SETTINGS,
        **settings,
    )


app = group("ipsecfleet", "See, tear down, bring up and prove single IPsec tunnels on a fleet of isakmpd gateways.")


class Terminated(KeyboardInterrupt):
    """SIGTERM, which ends a command as ^C does."""


class Ended(Exception):  # noqa: N818  the end of a command is no error
    """A command is over; `code` is its exit code."""

    def __init__(self, code: Exit) -> None:
        super().__init__(code)
        self.code = code


def verb(into: typer.Typer, name: str) -> Callable[[Verb], Verb]:
    """Register a command; it gets a Session first, and options that belong together as one value each."""

    def register(function: Verb) -> Verb:
        holders = holders_of(function)

        def call(ctx: typer.Context, **words: Any) -> None:
            options = gathered(Globals, words).over(ctx.find_object(Globals) or Globals())
            words |= {name: gathered(holder, words) for name, holder in holders.items()}
            raise Ended(_perform(function, options, _path(ctx), words))

        into.command(name, cls=Command)(with_options(function, call, *holders.values(), Globals))
        return function

    return register


def _path(ctx: typer.Context) -> str:
    return ctx.command_path.partition(" ")[2]


def _perform(function: Verb, options: Globals, command: str, words: dict[str, Any]) -> Exit:
    """Run a command; whatever happens, one document is emitted."""
    fallback = Globals(output=options.output if options.output in FORMATS and options.output != "metrics" else None)
    session = Session(fallback, command)
    try:
        session = Session(options, command)
        document = function(session, **words)
    except BaseException as error:  # noqa: BLE001  also ^C and SIGTERM; told by its own exit code
        document = _ended_by(command, error)
    return _emit(session, document)


def _ended_by(command: str, error: BaseException) -> "Document":
    """What is said of a command that did not come to its end."""
    from ipsecfleet.cli import ending

    if isinstance(error, IpsecfleetError):
        return ending.failed(command, error)
    if isinstance(error, KeyboardInterrupt):
        return ending.interrupted(command, Exit.TERMINATED if isinstance(error, Terminated) else Exit.INTERRUPTED)
    if isinstance(error, Exception):
        return ending.bug(command, error)
    raise error


def _emit(session: Session, document: "Document") -> Exit:
    from ipsecfleet.cli import ending

    try:
        return ending.emit(session, document)
    except BrokenPipeError:
        unread()
        return document.exit_code
    except Exception as error:  # noqa: BLE001  what cannot be rendered is a bug of ours as well
        return ending.emit(session, ending.bug(session.command, error))


def _version(value: bool) -> None:
    if value:
        sys.stdout.write(f"ipsecfleet {__version__}\n")
        raise Ended(Exit.OK)


def _root(ctx: typer.Context, **words: Any) -> None:
    words.pop("version")
    ctx.obj = Globals(**words)


def _options(
    _session: object,
    version: Annotated[
        bool, typer.Option("-V", "--version", is_eager=True, callback=_version, help="Say which.")
    ] = False,
) -> None:
    """See, tear down, bring up and prove single IPsec tunnels on a fleet of isakmpd gateways."""


app.callback()(with_options(_options, _root, Globals))


def run(words: Sequence[str]) -> int:
    """Parse the words and do what they say; the exit code."""
    from ipsecfleet.cli import change, read, rollout, setup  # noqa: F401  they register their verbs

    signal.signal(signal.SIGTERM, _terminated)
    sys.unraisablehook = _again
    if completing.VARIABLE in os.environ:
        completing.answering()
    try:
        app(args=list(words), prog_name="ipsecfleet", standalone_mode=False)
    except Ended as end:
        return _flushed(end.code)
    except UsageError as error:  # type: ignore[misc]
        return _usage(words, error)
    except (typer.Abort, KeyboardInterrupt):
        return Exit.INTERRUPTED
    except SystemExit as error:
        return int(error.code or 0)
    return Exit.OK


def _terminated(_signal: int, _frame: FrameType | None) -> NoReturn:
    raise Terminated


def _again(lost: "sys.UnraisableHookArgs") -> None:
    """An interruption that fell into a finaliser, which swallows what is raised there, comes again a moment later."""
    if isinstance(lost.exc_value, KeyboardInterrupt):
        number = signal.SIGTERM if isinstance(lost.exc_value, Terminated) else signal.SIGINT
        again = threading.Timer(0.05, signal.pthread_kill, (threading.main_thread().ident, number))
        again.daemon = True
        again.start()
    else:
        sys.__unraisablehook__(lost)


def _flushed(code: Exit) -> Exit:
    """The exit code, once all is written."""
    try:
        sys.stdout.flush()
    except BrokenPipeError:
        unread()
    return code


def _usage(words: Sequence[str], error: Any) -> int:
    """What the parser refused, in the format that was asked for."""
    context = getattr(error, "ctx", None)
    command = _path(context) if context is not None else ""
    text, _, nearest = error.format_message().rstrip(".").partition(". Did you mean ")
    hint = f"see ipsecfleet {command}".rstrip() + " --help"
    if nearest:
        hint = f"did you mean {nearest} {hint}"
    said = OperatorError(text[:1].lower() + text[1:], kind="usage", obj=command, hint=hint)
    return _emit(Session(Globals(output=_asked_format(words)), command), _ended_by(command, said))


def _asked_format(words: Sequence[str]) -> str | None:
    """The format for programs that words ask for which could not be parsed."""
    joined = {*words, *(f"{option} {value}" for option, value in pairwise(words))}
    ways = ("-o{}", "-o {}", "--output={}", "--output {}")
    return next((f for f in ("json", "ndjson") if any(way.format(f) in joined for way in ways)), None)
