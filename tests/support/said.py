"""Commands as they stand in documents: found, and parsed by the program's own parser without being run."""

import re
import shlex
from collections.abc import Iterator
from pathlib import Path

import typer

from ipsecfleet.cli import change, read, rollout, setup  # noqa: F401  they register their verbs
from ipsecfleet.cli.app import app

ROOT = Path(__file__).parents[2]
FENCE = re.compile(r"^```[a-z]*\n(.*?)^```$", re.MULTILINE | re.DOTALL)
COMMAND = re.compile(r"(?:^|[;{(&|] *|\$ |[A-Z_]+=\S+ )ipsecfleet( [^|;&>\n#)}]*)", re.MULTILINE)


def commands_in(text: str) -> Iterator[list[str]]:
    """The words after `ipsecfleet` of every command in a text; a line that ends in a backslash goes on."""
    for found in COMMAND.finditer(text.replace("\\\n", " ")):
        yield shlex.split(found[1])


def commands_of(path: Path) -> list[list[str]]:
    """The commands in the code blocks of a Markdown file."""
    return [words for block in FENCE.findall(path.read_text(encoding="utf-8")) for words in commands_in(block)]


def parse(words: list[str]) -> str:
    """The path of the command that these words call; a usage error if they call none, or with an option it lacks."""
    command = typer.main.get_command(app)
    context = command.make_context("ipsecfleet", list(words))
    while hasattr(command, "commands"):
        rest = [*getattr(context, "_protected_args", []), *context.args]
        name, command, left = command.resolve_command(context, rest)
        context = command.make_context(name, left, parent=context)
    return context.command_path
