"""The man page and the program say the same: verbs, options, and the words of the closed sets."""

import re
import shutil
import subprocess
from collections.abc import Iterator, Sequence
from dataclasses import fields
from pathlib import Path

import pytest
import typer

from ipsecfleet.cli import change, read, rollout, setup  # noqa: F401  they register their verbs
from ipsecfleet.cli.app import app
from ipsecfleet.cli.options import FORCES, FORMATS, Globals, Selecting
from ipsecfleet.errors import Exit
from ipsecfleet.model.diagnosis import Cause
from ipsecfleet.model.document import Document
from ipsecfleet.model.fleet import Carp, Fleet, Gateway, Limits, Paths, TunnelEnd, TunnelSpec
from ipsecfleet.model.tunnel import State

PAGE = Path(__file__).parents[2] / "docs" / "ipsecfleet.1"
HEADING = re.compile(r"^\.S[hs] (.*)$", re.MULTILINE)
OTHER_PAGES = re.compile(r"referenced manual not found|outdated mandoc.db lacks ")
"""What mandoc says of this machine's own pages, which are not OpenBSD's."""
SECTIONS = (
    "NAME", "SYNOPSIS", "DESCRIPTION", "SELECTION", "STATES", "PLANS AND REFUSALS", "OUTPUT", "INVENTORY", "ENVIRONMENT",
    "FILES", "EXIT STATUS", "EXAMPLES", "DIAGNOSTICS", "SEE ALSO", "CAVEATS",
)  # fmt: skip


def commands(
    command: typer.core.TyperGroup, path: tuple[str, ...] = ()
) -> Iterator[tuple[str, typer.core.TyperCommand]]:
    for name, below in command.commands.items():
        if hasattr(below, "commands"):
            yield from commands(below, (*path, name))
        else:
            yield " ".join((*path, name)), below


ROOT = typer.main.get_command(app)
COMMANDS = dict(commands(ROOT))
TEXT = PAGE.read_text(encoding="utf-8")
PARTS = dict(zip(HEADING.findall(TEXT), HEADING.split(TEXT)[2::2], strict=True))


def long_name(names: Sequence[str]) -> str:
    return next(n for n in names if n.startswith("--"))


def options(command: typer.core.TyperCommand | typer.core.TyperGroup) -> dict[str, tuple[frozenset[str], str]]:
    """Long name -> all its names, and what its value is called ('' for a flag)."""
    found = {}
    for p in command.params:
        if p.param_type_name == "option":
            flag = getattr(p, "is_flag", False)
            found[long_name(p.opts)] = (frozenset(p.opts), "" if flag else str(p.metavar).lower())
    return found


def documented(heading: str) -> dict[str, tuple[frozenset[str], str]]:
    """The same as it stands in the list of one section."""
    found = {}
    for item in re.findall(r"^\.It (Fl .*)$", PARTS[heading], re.MULTILINE):
        flags, _, value = item.partition(" Ar ")
        names = frozenset(f"-{word}" for word in flags.replace("Fl", "").replace(",", "").split())
        found[long_name(tuple(names))] = (names, value.lower())
    return found


def named(holder: type) -> set[str]:
    return {f"--{f.name.replace('_', '-')}" for f in fields(holder)}


def items(heading: str, macro: str) -> list[str]:
    """The words of a list: `.It Cm up`, `.It Li a , b`, `.It 70`."""
    found = re.findall(rf"^\.It {macro}(.*)$", PARTS[heading], re.MULTILINE)
    return [word for item in found for word in item.replace(",", " ").split()]


def synopsis() -> dict[str, str]:
    """The synopsis of each command."""
    blocks = PARTS["SYNOPSIS"].split(".Nm ipsecfleet\n")[1:]
    found = {}
    for block in blocks:
        verb = next(re.finditer(r"^\.Cm (.*)$", block, re.MULTILINE))
        found[verb[1]] = block
    return found


def test_mandoc_has_nothing_to_say() -> None:
    mandoc = shutil.which("mandoc")
    assert mandoc, "mandoc is missing: sh tests/setup/system.sh installs it"
    done = subprocess.run([mandoc, "-Tlint", PAGE], capture_output=True, text=True, check=False)
    said = [line for line in (done.stdout + done.stderr).splitlines() if not OTHER_PAGES.search(line)]
    assert said == []


def test_sections_stand_in_their_order() -> None:
    assert tuple(re.findall(r"^\.Sh (.*)$", TEXT, re.MULTILINE)) == SECTIONS


def test_every_command_has_a_synopsis_and_a_section() -> None:
    assert set(synopsis()) == set(COMMANDS)
    assert set(re.findall(r"^\.Ss (.*)$", TEXT, re.MULTILINE)) == {"Global options", *COMMANDS}


def test_the_global_options() -> None:
    help_itself = {"--help": (frozenset({"-h", "--help"}), "")}
    assert documented("Global options") == options(ROOT) | help_itself
    assert set(options(ROOT)) == named(Globals) | {"--version"}


def test_the_selecting_options() -> None:
    down = {name: option for name, option in options(COMMANDS["down"]).items() if name in named(Selecting)}
    assert documented("SELECTION") == down
    assert set(down) == named(Selecting)


@pytest.mark.parametrize("name", COMMANDS)
def test_the_own_options_of_a_command(name: str) -> None:
    selects = named(Selecting) <= set(options(COMMANDS[name]))
    shared = named(Globals) | (named(Selecting) if selects else set())
    own = {n: o for n, o in options(COMMANDS[name]).items() if n not in shared}
    assert documented(name) == own


@pytest.mark.parametrize("name", COMMANDS)
def test_the_synopsis_of_a_command(name: str) -> None:
    text = synopsis()[name]
    flags = set(re.findall(r"(?:Fl|\|) (-[a-z-]+|[a-z](?![a-z]))", text))
    own = documented(name)
    assert all(flags & {n.removeprefix("-") for n in names} for names, _ in own.values())
    assert len(flags) == len(own)
    selects = named(Selecting) <= set(options(COMMANDS[name]))
    assert ("Ar selection" in text) == selects


def test_what_show_shows() -> None:
    assert all(f"Cm {word}" in PARTS["show"] for word in read.WHAT)
    assert f"Cm {' | '.join(read.WHAT)}" in synopsis()["show"]


def test_the_states_in_their_order() -> None:
    assert items("STATES", "Cm ") == list(State)


def test_the_causes_of_a_diagnosis() -> None:
    assert re.findall(r"^\.It Cm (.*)$", PARTS["diagnose"], re.MULTILINE) == list(Cause)


def test_the_refusals_that_can_be_lifted() -> None:
    assert items("PLANS AND REFUSALS", "Cm ") == list(FORCES)


def test_the_exit_codes() -> None:
    assert [int(code) for code in items("EXIT STATUS", "(?=[0-9])")] == sorted(Exit)


def test_the_formats() -> None:
    assert items("OUTPUT", "Cm ") == list(FORMATS)
    arrays = {f.name for f in fields(Document)} & {"gateways", "tunnels", "sas", "flows", "steps", "lines", "names"}
    assert all(re.search(rf"\b{name}\b", PARTS["OUTPUT"]) for name in arrays)


def test_the_keys_of_the_inventory() -> None:
    def keys(holder: type, *without: str) -> set[str]:
        return {f.name for f in fields(holder) if f.init} - set(without)

    top = keys(Fleet, "name", "gateways", "tunnels", "source") | {"schema", "fleet", "defaults", "gateway", "tunnel"}
    listed = top | keys(Gateway, "name") | keys(Limits) | keys(TunnelSpec) | {"files"}
    assert set(items("INVENTORY", "Li ")) == listed
    told = keys(Carp) | keys(Paths) | keys(TunnelEnd, "file")
    assert {name for name in told if not re.search(rf"^\.Li .*\b{name}\b", PARTS["INVENTORY"], re.MULTILINE)} == set()
