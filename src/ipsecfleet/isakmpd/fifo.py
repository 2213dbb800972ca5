"""The lines that we may write to the daemon's FIFO: a closed set, its constructors, and the one validator.

The daemon looks at the first byte of a line only (ui.c, ui_handle_command): `T` tears every tunnel down, `R` and `r`
reload and log every key. A newline in a name begins another command, a blank ends a name, and what is over 200 bytes
is cut in silence (sscanf formats of ui.c). So names are made of few characters, and a line is one of these:

    t quick NAME                                               t main NAME
    c NAME                                                     C add|rmv [Phase 2]:[Passive-]Connections=NAME
    C add|rmv [ipsecfleet]:Held-[Passive-]Connections=NAME     C add|rmv [ipsecfleet]:Held-Peers=ADDR
    C set [ipsecfleet]:peer-of-ADDR=NAME force                 C rm [ipsecfleet]:peer-of-ADDR
    C set [Phase 1]:ADDR=NAME force                            C rm [Phase 1]:ADDR
    C set [ipsecfleet-rekey-XXXXXXXX]:TAG=NAME force           C rms [ipsecfleet-rekey-XXXXXXXX]
    C rms [phase1-NAME]                                        C rm [peer-NAME]:ID|Remote-ID|Local-address|Authentication

The visit program holds the same set, and checks again. One write takes 512 bytes at most, OpenBSD's PIPE_BUF.
"""

import re
from collections.abc import Iterable, Sequence
from ipaddress import ip_address

from ipsecfleet.errors import RefusedError

PIPE_BUF = 512
"""What one write(2) to a FIFO puts there whole on OpenBSD, in bytes."""

CLONED_TAGS = (
    "Phase", "ISAKMP-peer", "Configuration", "Local-ID", "Remote-ID", "NAT-ID", "PF-Tag", "Flags", "Interface",
)  # fmt: skip
"""Every tag of a connection's section that makes its SAs what they are (recipes.md 4)."""

PEER_TAGS = ("ID", "Remote-ID", "Local-address", "Authentication")
"""The tags of a phase 1 that a conf file may leave out, and that stay when one is loaded that does."""

_NAME = r"[A-Za-z0-9._:/=%+@-]{1,200}"
_ADDR = r"(?P<addr>[0-9A-Fa-f.:]{2,45}(?:%[A-Za-z0-9]{1,15})?)"
_OF_PEER = rf"\[(?:ipsecfleet\]:peer-of-|Phase 1\]:){_ADDR}"
_CLONE = r"\[ipsecfleet-rekey-[0-9a-f]{8}\]"
_LIST = r"(?:\[Phase 2\]:|\[ipsecfleet\]:Held-)(?:Passive-)?Connections"

_lines = tuple(
    re.compile(pattern)
    for pattern in (
        rf"(?:t quick|t main|c) {_NAME}",
        rf"C (?:add|rmv) {_LIST}={_NAME}",
        rf"C (?:add|rmv) \[ipsecfleet\]:Held-Peers={_ADDR}",
        rf"C rm {_OF_PEER}",
        rf"C set {_OF_PEER}={_NAME} force",
        rf"C set {_CLONE}:(?:{'|'.join(CLONED_TAGS)})={_NAME} force",
        rf"C rms {_CLONE}",
        rf"C rms \[phase1-{_NAME}\]",
        rf"C rm \[peer-{_NAME}\]:(?:{'|'.join(PEER_TAGS)})",
    )
)


def validate(line: bytes | str) -> None:
    """Refuse (kind `bad-name`) what is not exactly one line of the closed set, without its newline."""
    text = line.decode("latin-1") if isinstance(line, bytes) else line
    if not any(_allowed(pattern.fullmatch(text)) for pattern in _lines):
        raise RefusedError(
            f"not a line for the daemon's FIFO: {text!a}",
            kind="bad-name",
            obj=ascii(text),
            hint="a name is 1 to 200 of A-Z a-z 0-9 . _ : / = % + @ -",
        )


def quick(name: str) -> str:
    """Tear the phase 2 SAs of that name down, and stop keeping it up until the next re-initialisation."""
    return _line(f"t quick {name}")


def main(name: str) -> str:
    """Tear the phase 1 SAs of that name down."""
    return _line(f"t main {name}")


def connect(name: str) -> str:
    """Keep a connection up, beginning now."""
    return _line(f"c {name}")


def list_add(section: str, tag: str, value: str) -> str:
    """Append to a list; on the daemon's own lists this arms the re-initialisation 5 s later."""
    return _line(f"C add [{section}]:{tag}={value}")


def list_remove(section: str, tag: str, value: str) -> str:
    """Take off a list, by its exact spelling; arms as `list_add` does."""
    return _line(f"C rmv [{section}]:{tag}={value}")


def set_peer(address: str, phase1: str) -> str:
    """Which phase 1 belongs to a peer's address."""
    return _line(f"C set [Phase 1]:{address}={phase1} force")


def remove_peer(address: str) -> str:
    """Answer that peer no more."""
    return _line(f"C rm [Phase 1]:{address}")


def remember_peer(address: str, phase1: str) -> str:
    """Note in a section of ours what `remove_peer` is about to lose."""
    return _line(f"C set [ipsecfleet]:peer-of-{address}={phase1} force")


def forget_peer(address: str) -> str:
    """Remove the note of `remember_peer`."""
    return _line(f"C rm [ipsecfleet]:peer-of-{address}")


def clone_tag(alias: str, tag: str, value: str) -> str:
    """One tag of the alias by which a tunnel is rekeyed."""
    return _line(f"C set [{alias}]:{tag}={value} force")


def cloneable(value: str) -> bool:
    """Whether the value of a tag can be told to the daemon: one word of at most 200 bytes, whole."""
    return re.fullmatch(_NAME, value) is not None


def remove_clone(alias: str) -> str:
    """Remove the section of an alias."""
    return _line(f"C rms [{alias}]")


def drop_transforms(phase1: str) -> str:
    """Offer none of the transforms of that phase 1 any more, until it is loaded again."""
    return _line(f"C rms [phase1-{phase1}]")


def drop_tag(phase1: str, tag: str) -> str:
    """Forget one tag of a phase 1."""
    return _line(f"C rm [{phase1}]:{tag}")


def validate_write(lines: Sequence[str]) -> None:
    """Refuse what is not one write: lines of the closed set that take 1 to 512 bytes together."""
    for line in lines:
        validate(line)
    if not 0 < size(lines) <= PIPE_BUF:
        raise RefusedError(f"{size(lines)} bytes are not one write to the FIFO", kind="bad-write")


def size(lines: Iterable[str]) -> int:
    """How many bytes the lines take with their newlines."""
    return sum(len(line) + 1 for line in lines)


def _line(text: str) -> str:
    validate(text)
    return text


def _allowed(found: re.Match[str] | None) -> bool:
    return found is not None and _is_address(found.groupdict().get("addr"))


def _is_address(text: str | None) -> bool:
    try:
        ip_address(text) if text is not None else None
    except ValueError:
        return False
    return True
