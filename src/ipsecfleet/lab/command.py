"""ipsecctl(8) as a stand-in calls it: relative paths, standard input, and the check of the top file's mode (parse.y).

Only the top file is checked, 0600 and 0640 pass; what it includes is read as it is.
"""

import re
from collections.abc import Callable, Sequence
from itertools import pairwise
from pathlib import Path

from ipsecfleet.lab.daemon import Kernel
from ipsecfleet.lab.ipsecctl import Outcome, ipsecctl

TOO_OPEN = 0o037


def run(arguments: Sequence[str], kernel: Kernel, cwd: Path, stdin: str) -> Outcome:
    """What the command prints and does; its FIFO lines are the caller's to write."""
    complaint = _complaint(arguments, cwd)
    if complaint:
        return Outcome(stderr=complaint, status=1)
    return ipsecctl(arguments, kernel=kernel, hostname=cwd.name, read=_reader(cwd, stdin))


def _complaint(arguments: Sequence[str], cwd: Path) -> str:
    for option, value in pairwise(arguments):
        path = cwd / value
        if re.fullmatch(r"-[a-zA-Z]*f", option) and value != "-" and path.is_file() and path.stat().st_mode & TOO_OPEN:
            return (
                f"ipsecctl: {value}: group writable or world read/writable\n"
                "ipsecctl: Syntax error in config file: ipsec rules not loaded\n"
            )
    return ""


def _reader(cwd: Path, stdin: str) -> Callable[[str], str]:
    def read(path: str) -> str:
        return stdin if path == "-" else (cwd / path).read_text(encoding="latin-1")

    return read
