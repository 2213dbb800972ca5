"""Completion: what a shell asks while somebody types, answered from the inventory, without any network.

typer's scripts for bash, zsh and fish call the program, which answers by these functions. The ksh(1) of OpenBSD calls
nothing: it completes from arrays, `complete_COMMAND` for any word and `complete_COMMAND_1` for the first, so its script
has the names as they are now.
"""

from collections.abc import Callable, Iterable, Iterator
from shlex import quote
from typing import TYPE_CHECKING, Any

import typer

from ipsecfleet.errors import IpsecfleetError, OperatorError

if TYPE_CHECKING:
    from ipsecfleet.model.fleet import Fleet

SHELLS = ("bash", "zsh", "fish", "ksh")
PROGRAM = "ipsecfleet"
VARIABLE = "_IPSECFLEET_COMPLETE"
"""Set by a shell that asks."""

COLUMNS = 100


def completed(names: "Callable[[Fleet], Iterable[str]]") -> Callable[[typer.Context, str], list[str]]:
    """What completes a word by names of the inventory; an inventory that cannot be read has none."""

    def complete(ctx: typer.Context, incomplete: str) -> list[str]:
        try:
            return sorted({n for n in names(_fleet(ctx)) if n.startswith(incomplete)})
        except (IpsecfleetError, OSError):
            return []

    return complete


def among(*words: str) -> Callable[[str], list[str]]:
    """What completes a word that is one of these."""

    def complete(incomplete: str) -> list[str]:
        return [w for w in words if w.startswith(incomplete)]

    return complete


def _fleet(ctx: typer.Context) -> "Fleet":
    from ipsecfleet.cli.inventories import load_fleet

    given = ctx.params.get("inventory") or ctx.find_root().params.get("inventory")
    return load_fleet(given)


def _peers(fleet: "Fleet") -> Iterable[str]:
    return (end.peer for t in fleet.tunnels for end in (t.a, t.b) if end.peer is not None)


def _gateways(fleet: "Fleet") -> Iterable[str]:
    return (g.name for g in fleet.gateways)


def _groups(fleet: "Fleet") -> Iterable[str]:
    return (name for g in fleet.gateways for name in g.groups)


def _tunnels(fleet: "Fleet") -> Iterable[str]:
    return (t.name for t in fleet.tunnels)


def _all(fleet: "Fleet") -> Iterator[str]:
    for names in (_gateways, _groups, _tunnels):
        yield from names(fleet)


peers, gateways, groups, tunnels, anything = map(completed, (_peers, _gateways, _groups, _tunnels, _all))


def states(incomplete: str) -> list[str]:
    """Complete the name of a tunnel's state."""
    from ipsecfleet.model.tunnel import State

    return [s.value for s in State if s.value.startswith(incomplete)]


def faults(incomplete: str) -> list[str]:
    """Complete the name of a fault of the lab."""
    try:
        from ipsecfleet.lab import faults as known
    except ModuleNotFoundError:
        return []
    return [name for name in ("list", "off", *(n.split()[0] for n, _ in known())) if name.startswith(incomplete)]


def script(shell: str, root: Any, fleet: "Callable[[], Fleet]") -> str:
    """What a shell reads in once to complete the words of this program."""
    if shell not in SHELLS:
        raise OperatorError(f"completion for {shell!r}: there are {', '.join(SHELLS)}", kind="usage", obj="completion")
    if shell == "ksh":
        return "".join(_arrays(root, fleet()))
    from typer.completion import get_completion_script  # type: ignore[attr-defined]

    return f"{get_completion_script(prog_name=PROGRAM, complete_var=VARIABLE, shell=shell).strip()}\n"


def _arrays(root: Any, fleet: "Fleet") -> Iterator[str]:
    words = {*_options(root), *_second(root), *_all(fleet), *_peers(fleet)}
    yield _array(f"complete_{PROGRAM}_1", sorted(root.commands))
    yield _array(f"complete_{PROGRAM}", sorted(words))


def _array(name: str, words: Iterable[str]) -> str:
    lines, line = [], f"set -A {name} --"
    for word in map(quote, words):
        if len(line) + len(word) > COLUMNS:
            lines.append(f"{line} \\\n")
            line = "   "
        line += f" {word}"
    return "".join([*lines, f"{line}\n"])


def _options(command: Any) -> Iterator[str]:
    for param in command.params:
        yield from (o for o in param.opts if o.startswith("-"))
    for below in getattr(command, "commands", {}).values():
        yield from _options(below)


def _second(root: Any) -> Iterator[str]:
    """Words that follow a first one."""
    for command in root.commands.values():
        yield from getattr(command, "commands", {})


def answering() -> None:
    """Let typer know the shells, where one asks."""
    from typer.completion import completion_init  # type: ignore[attr-defined]

    completion_init()
