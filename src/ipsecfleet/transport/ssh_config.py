"""ssh_config(5), with the `Include` that paramiko leaves out: an included file is parsed in its place.

Relative names are those of ~/.ssh, or of /etc/ssh in the system's file. One difference to ssh(1) remains: Host lines
of a file that is included under a Host line apply as if it had been included at the top.
"""

import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import paramiko

from ipsecfleet.errors import OperatorError

_DEFAULTS = ("~/.ssh/config", "/etc/ssh/ssh_config")
_SYSTEM = Path("/etc/ssh")
_DEEPEST_INCLUDE = 16


class _Config(paramiko.SSHConfig):
    """paramiko asks for this machine's full name, and DNS for it, for every value, also where nothing stands for it."""

    def _tokenize(self, config: Any, target_hostname: str, key: str, value: str) -> str:
        if "%" not in value and "~" not in value:
            return value
        return str(super()._tokenize(config, target_hostname, key, value))  # type: ignore[misc]  # without a stub


def load_ssh_config(path: str | None, first: tuple[str, ...] = ()) -> paramiko.SSHConfig:
    """This file, or the user's and the system's, after these lines; the first value found for a host wins."""
    config = _Config()
    try:
        config.parse(first)
        for name in _DEFAULTS if path is None else (path,):
            for lines in _blocks(Path(name).expanduser(), "", 0):
                config.parse(lines)
    except (OSError, ValueError, paramiko.SSHException) as error:
        raise OperatorError(f"ssh_config cannot be read: {error}", hint="compare with ssh -G") from error
    return config


def _blocks(path: Path, header: str, depth: int) -> Iterator[list[str]]:
    """The lines to parse, piece by piece: an included file between what stands before it and after it."""
    if depth > _DEEPEST_INCLUDE or not path.is_file():
        return
    lines = [header]
    for line in path.read_text("utf-8", "surrogateescape").splitlines():
        word, value = _split(line)
        if word == "include":
            yield lines
            for included in _included(path, value):
                yield from _blocks(included, header, depth + 1)
            lines = [header]
        else:
            header = line if word in {"host", "match"} else header
            lines.append(line)
    yield lines


def _split(line: str) -> tuple[str, str]:
    words = line.replace("=", " ", 1).split(None, 1)
    return (words[0].lower(), words[1]) if len(words) == 2 else ("", "")


def _included(path: Path, patterns: str) -> list[Path]:
    base = _SYSTEM if path.is_relative_to(_SYSTEM) else Path("~/.ssh").expanduser()
    names = (base / Path(pattern).expanduser() for pattern in shlex.split(patterns))
    return [found for name in names for found in sorted(Path(name.anchor).glob(str(name.relative_to(name.anchor))))]
