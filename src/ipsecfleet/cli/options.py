"""The options that every verb has, and the decorator that gives them to it.

A global option is accepted before and after the verb: the application's callback has the same options as each verb, and
what stands after the verb wins. `verb` joins a command's own parameters with them, and hands the command a Session.
"""

import inspect
from collections.abc import Callable
from dataclasses import dataclass, fields
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, TypeVar, get_type_hints

import typer

from ipsecfleet.cli import completing
from ipsecfleet.errors import OperatorError

if TYPE_CHECKING:
    from ipsecfleet.inventory import Selection
    from ipsecfleet.plan.deploy import RolloutOptions
    from ipsecfleet.plan.stagger import Pace

Held = TypeVar("Held")

FORMATS = ("table", "plain", "json", "ndjson", "metrics")
COLORS = ("auto", "always", "never")

FORCES = (
    "tunnels-down",
    "gateways-touched",
    "shared-name",
    "carp-backup",
    "own-session",
    "other-end",
    "wakes-others",
    "lock",
    "stale-plan",
)
"""The refusals that `--force NAME` lifts."""


@dataclass(frozen=True, slots=True)
class Globals:
    """The global options as typed; None where one was not given."""

    inventory: Annotated[
        Path | None, typer.Option("-i", "--inventory", metavar="PATH", help="Inventory file or folder.")
    ] = None
    fanout: Annotated[
        int | None, typer.Option("-f", "--fanout", metavar="N", min=1, help="Gateways at once (all).")
    ] = None
    connect_timeout: Annotated[
        str | None, typer.Option("--connect-timeout", metavar="TIME", help="For each phase of connecting (5s).")
    ] = None
    timeout: Annotated[
        str | None, typer.Option("--timeout", metavar="TIME", help="For one visit of a gateway (30s).")
    ] = None
    max_failures: Annotated[
        int | None, typer.Option("--max-failures", metavar="N", min=0, help="Start nothing new after more than N (2).")
    ] = None
    output: Annotated[
        str | None,
        typer.Option(
            "-o",
            "--output",
            metavar="FORMAT",
            help="table, plain, json, ndjson or metrics (table).",
            autocompletion=completing.among(*FORMATS),
        ),
    ] = None
    quiet: Annotated[bool | None, typer.Option("-q", "--quiet", help="No progress, no warnings.")] = None
    verbose: Annotated[bool | None, typer.Option("-v", "--verbose", help="Say each step.")] = None
    color: Annotated[
        str | None, typer.Option("--color", metavar="WHEN", help="auto, always or never; NO_COLOR is heeded.")
    ] = None
    dry_run: Annotated[
        bool | None, typer.Option("-n", "--dry-run", help="Show the plan and its exact lines; send nothing.")
    ] = None
    yes: Annotated[bool | None, typer.Option("-y", "--yes", help="Do not ask.")] = None
    lock_wait: Annotated[
        str | None, typer.Option("--lock-wait", metavar="TIME", help="For another run to let go of a gateway (30s).")
    ] = None
    force: Annotated[
        list[str] | None,
        typer.Option(
            "--force", metavar="NAME", help="Lift one refusal for this run.", autocompletion=completing.among(*FORCES)
        ),
    ] = None

    def over(self, other: "Globals") -> "Globals":
        """These options, and `other`'s where these say nothing."""
        mine = {f.name: getattr(self, f.name) for f in fields(self)}
        return Globals(**{n: getattr(other, n) if v is None or v == [] else v for n, v in mine.items()})

    def checked(self) -> "Globals":
        """The same, or OperatorError for a word that no option knows."""
        for option, value, words in (("--output", self.output, FORMATS), ("--color", self.color, COLORS)):
            if value is not None and value not in words:
                raise OperatorError(f"{option} {value!r} is none of {', '.join(words)}", kind="usage", obj=option)
        for name in self.force or ():
            if name not in FORCES:
                text = f"--force {name!r} is none of {', '.join(FORCES)}"
                raise OperatorError(text, kind="usage", obj="--force")
        return self


Peers = Annotated[
    list[str] | None,
    typer.Option("-p", "--peer", metavar="ADDR", help="The other end's IKE address.", autocompletion=completing.peers),
]
Tunnels = Annotated[
    list[str] | None,
    typer.Option(
        "-t",
        "--tunnel",
        metavar="NAME",
        help="Inventory name, or exact connection name.",
        autocompletion=completing.tunnels,
    ),
]
Gateways = Annotated[
    list[str] | None,
    typer.Option(
        "-g", "--gateway", metavar="NAME", help="Gateway, or user@host[:port].", autocompletion=completing.gateways
    ),
]
Groups = Annotated[
    list[str] | None,
    typer.Option("-G", "--group", metavar="NAME", help="All gateways of a group.", autocompletion=completing.groups),
]
Every = Annotated[bool, typer.Option("-A", "--all-gateways", help="All gateways of the inventory.")]
Excluded = Annotated[
    list[str] | None,
    typer.Option(
        "-x", "--exclude", metavar="NAME", help="Not this gateway, group or tunnel.", autocompletion=completing.anything
    ),
]
States = Annotated[
    list[str] | None,
    typer.Option("--state", metavar="STATE", help="Only tunnels in this state.", autocompletion=completing.states),
]


@dataclass(frozen=True, slots=True)
class Selecting:
    """The selecting options as typed."""

    peer: Peers = None
    tunnel: Tunnels = None
    gateway: Gateways = None
    group: Groups = None
    all_gateways: Every = False
    exclude: Excluded = None
    state: States = None

    def selection(self) -> "Selection":
        """What they mean."""
        from ipsecfleet.inventory import Selection

        return Selection.of(
            peers=self.peer or (),
            tunnels=self.tunnel or (),
            gateways=self.gateway or (),
            groups=self.group or (),
            all_gateways=self.all_gateways,
            exclude=self.exclude or (),
            state=self.state or (),
        )


FromSnapshot = Annotated[
    Path | None, typer.Option("--from-snapshot", metavar="FILE", help="A snapshot saved by --save.")
]


RunName = Annotated[str, typer.Argument(metavar="RUN", help="Its name, or the beginning of it.")]
Expect = Annotated[str | None, typer.Option("--expect", metavar="SHA256:...", help="Only if the plan has this digest.")]


@dataclass(frozen=True, slots=True)
class Planning:
    """The options of a verb that makes a plan, as typed."""

    from_snapshot: FromSnapshot = None
    plan_out: Annotated[
        Path | None, typer.Option("--plan-out", metavar="FILE", help="Write the plan there; send nothing.")
    ] = None
    expect: Expect = None


@dataclass(frozen=True, slots=True)
class Pacing:
    """The options of a verb that begins negotiations, as typed."""

    wait: Annotated[
        str | None, typer.Option("--wait", metavar="TIME", help="For tunnels to be seen established (135s; rekey 60s).")
    ] = None
    spread: Annotated[
        str | None, typer.Option("--spread", metavar="TIME", help="Stretch the schedule evenly over so long.")
    ] = None
    at_once: Annotated[
        int | None, typer.Option("--at-once", metavar="N", min=1, help="Negotiations in the whole fleet at one moment.")
    ] = None

    def pace(self) -> "Pace":
        """What they mean for a schedule."""
        from ipsecfleet.plan.stagger import Pace

        return Pace(seconds(self.spread, None, "--spread"), self.at_once)

    def wait_s(self, default: float) -> float:
        """How long is waited, in seconds."""
        return seconds(self.wait, default, "--wait") or 0.0


@dataclass(frozen=True, slots=True)
class Rolling:
    """The options of a rollout, as typed."""

    canary: Annotated[
        list[str] | None, typer.Option("--canary", metavar="NAME", help="Gateway whose changes come first, alone.")
    ] = None
    waves: Annotated[
        str | None, typer.Option("--waves", metavar="N,N%,rest", help="How many changes at a time (all).")
    ] = None
    remove: Annotated[
        list[str] | None,
        typer.Option(
            "--remove", metavar="FILE", help="Also take away this file, which no tunnel of the inventory has."
        ),
    ] = None
    only_new: Annotated[bool, typer.Option("--only-new", help="Only add files; change and remove none.")] = False
    no_load: Annotated[bool, typer.Option("--no-load", help="Only the files; nothing is loaded or unloaded.")] = False
    confirm_within: Annotated[
        str | None,
        typer.Option("--confirm-within", metavar="TIME", help="A gateway takes back what is not confirmed (120s)."),
    ] = None
    wait: Annotated[
        str | None, typer.Option("--wait", metavar="TIME", help="For tunnels to be seen established (90s).")
    ] = None

    def options(self, forced: frozenset[str]) -> "RolloutOptions":
        """What they mean."""
        from ipsecfleet.plan.deploy import RolloutOptions
        from ipsecfleet.plan.rollout import MARGIN_S

        confirm_s = seconds(self.confirm_within, 120.0, "--confirm-within") or 0.0
        wait_s = seconds(self.wait, min(90.0, confirm_s - MARGIN_S), "--wait") or 0.0
        if not 30 <= confirm_s <= 600:
            text = f"--confirm-within {confirm_s:g}s is not from 30s to 10m"
            raise OperatorError(text, kind="usage", obj="--confirm-within")
        return RolloutOptions(
            canary=tuple(self.canary or ()),
            waves=tuple(w.strip() for w in (self.waves or "").split(",") if w.strip()),
            remove=tuple(self.remove or ()),
            only_new=self.only_new,
            load=not self.no_load,
            confirm_s=confirm_s,
            wait_s=wait_s,
            forced=forced,
        )


HOLDERS = (Selecting, Planning, Pacing, Rolling)
"""Options that belong together; a command that has a parameter of one of these types has all of them."""


def holders_of(function: Callable[..., Any]) -> dict[str, type]:
    """The parameters of a command that hold options, by their names."""
    own = inspect.signature(function).parameters.values()
    return {p.name: p.annotation for p in own if p.annotation in HOLDERS}


def gathered(holder: Callable[..., Held], words: dict[str, Any]) -> Held:
    """The options of a holder, taken out of `words`."""
    return holder(**{f.name: words.pop(f.name) for f in fields(holder)})  # type: ignore[arg-type]


def seconds(text: str | None, default: float | None, option: str) -> float | None:
    """A duration option in seconds."""
    if text is None:
        return default
    from ipsecfleet.inventory import parse_duration

    try:
        return parse_duration(text)
    except (OperatorError, ValueError) as error:
        hint = "durations are 90, 90s, 5m or 8h"
        raise OperatorError(f"{option}: {error}", kind="usage", obj=option, hint=hint) from None


def parameters(holder: type) -> list[inspect.Parameter]:
    """The fields of an options class as parameters of a command."""
    hints = get_type_hints(holder, include_extras=True)
    keyword = inspect.Parameter.KEYWORD_ONLY
    return [inspect.Parameter(f.name, keyword, default=f.default, annotation=hints[f.name]) for f in fields(holder)]


def with_options(function: Callable[..., Any], call: Callable[..., None], *holders: type) -> Callable[..., None]:
    """`call` under the signature of `function` (its first parameter left out) and the options of `holders`."""
    own = list(inspect.signature(function).parameters.values())[1:]
    own = [p.replace(kind=inspect.Parameter.KEYWORD_ONLY) for p in own if p.annotation not in holders]
    context = inspect.Parameter("ctx", inspect.Parameter.POSITIONAL_OR_KEYWORD, annotation=typer.Context)
    joined = [context, *own, *(p for holder in holders for p in parameters(holder))]

    def command(*args: Any, **kwargs: Any) -> None:
        call(*args, **kwargs)

    command.__name__ = function.__name__
    command.__doc__ = function.__doc__
    command.__signature__ = inspect.Signature(joined)  # type: ignore[attr-defined]
    command.__annotations__ = {p.name: p.annotation for p in joined}
    return command
