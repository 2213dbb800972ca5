"""FIFO lines as commands that can be pasted into a shell.

The classic lines consist of words that no shell touches and stand bare; a line with brackets is quoted. A line with
anything else in it is never a command: it stands as a comment, escaped.
"""

import re
from collections.abc import Iterable

from ipsecfleet.model.document import LineRow
from ipsecfleet.render.escape import visible

BARE = re.compile(r"[A-Za-z0-9._:/=%+@ -]+")
QUOTABLE = re.compile(r"[A-Za-z0-9._:/=%+@ \[\],-]+")


def echo(line: str, fifo: str) -> str:
    """The command that writes `line` to the FIFO."""
    if not QUOTABLE.fullmatch(line) or not BARE.fullmatch(fifo) or " " in fifo or line != " ".join(line.split()):
        return f"# not to be pasted: {visible(line)} to {visible(fifo)}"
    return f"echo {line} > {fifo}" if BARE.fullmatch(line) else f"echo '{line}' > {fifo}"


def command(text: str) -> str:
    """A command of ours as it is, if no shell would touch its words."""
    return text if all(map(BARE.fullmatch, text.split(" | "))) else f"# not to be pasted: {visible(text)}"


def paste(rows: Iterable[LineRow]) -> list[str]:
    """The commands of each gateway, after `# GATEWAY` when there are several."""
    by_gateway: dict[str | None, list[str]] = {}
    for row in rows:
        by_gateway.setdefault(row.gateway, []).append(echo(row.line, row.fifo))
    if len(by_gateway) == 1:
        return next(iter(by_gateway.values()))
    return [line for gateway, lines in by_gateway.items() for line in (f"# {visible(gateway or 'no gateway')}", *lines)]
