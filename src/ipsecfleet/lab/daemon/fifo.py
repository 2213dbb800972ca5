"""The language of /var/run/isakmpd.fifo, as leniently as the daemon reads it (isakmpd ui.c).

A line ends at a newline; bytes without one stay and are put before the next writer's text. A NUL cuts a line short.
The first byte alone chooses the command; operands are read as sscanf(3) would: blanks are optional, words are cut at
200 bytes, and what follows is ignored.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

_WORD = rb"(\S{1,200})"
_GET = re.compile(rb"C\s*\S+\s*\[([^\]]{1,200})\]:\s*" + _WORD)
_SECTION = re.compile(rb"C\s*\S+\s*\[([^\]]{1,200})")
_SET = re.compile(rb"C\s*\S+\s*\[([^\]]{1,200})\]:([^=]{1,200})=\s*(\S{1,200})\s*(\S{1,200})?")
_CONFIG_VERB = re.compile(rb"C\s*(\S{1,3})")
_MAIN = re.compile(rb"t\s*main\s*" + _WORD)
_QUICK = re.compile(rb"t\s*quick\s*" + _WORD)
_TEARDOWN = re.compile(rb"t\s*" + _WORD)
_CONNECT = re.compile(rb"c\s*" + _WORD)
_DELETE = re.compile(rb"d\s*(\S{1,32})\s*(\S{1,8})")
_HEX = re.compile(r"[0-9a-fA-F]+")


@dataclass(frozen=True, slots=True)
class Report:
    """`S`: all SAs into the result file."""


@dataclass(frozen=True, slots=True)
class Get:
    """`C get`: one value into the result file."""

    section: str
    tag: str


@dataclass(frozen=True, slots=True)
class Change:
    """`C set|add|rmv|rm|rms`."""

    verb: Literal["set", "add", "rmv", "rm", "rms"]
    section: str
    tag: str = ""
    value: str = ""
    force: bool = False


@dataclass(frozen=True, slots=True)
class Teardown:
    """`t`: all SAs of a name and phase."""

    phase: int
    name: str


@dataclass(frozen=True, slots=True)
class TeardownAll:
    """`T`: every phase 2."""


@dataclass(frozen=True, slots=True)
class Delete:
    """`d`: one SA by its cookies (32 hex digits) and message id, 0 for a phase 1."""

    cookies: str
    msgid: int


@dataclass(frozen=True, slots=True)
class Connect:
    """`c`: keep a connection up."""

    name: str


@dataclass(frozen=True, slots=True)
class SetMode:
    """`M`: whether the daemon begins anything itself."""

    active: bool


@dataclass(frozen=True, slots=True)
class Debug:
    """`D CLASS LEVEL`, `D A LEVEL`, `D T`: log levels; class None is all of them, level None toggles."""

    log_class: int | None
    level: int | None


@dataclass(frozen=True, slots=True)
class Capture:
    """`p`: packets in clear into a file."""

    on: bool
    path: str


@dataclass(frozen=True, slots=True)
class Quit:
    """`Q`: as SIGTERM."""


@dataclass(frozen=True, slots=True)
class Reinitialise:
    """`R`: as SIGHUP."""


@dataclass(frozen=True, slots=True)
class LogReport:
    """`r`: the whole state into the log."""


@dataclass(frozen=True, slots=True)
class Malformed:
    """Nothing is done; `complaint` is the line of the log."""

    complaint: str


Command = (
    Report | Get | Change | Teardown | TeardownAll | Delete | Connect | SetMode | Debug | Capture | Quit
    | Reinitialise | LogReport | Malformed
)  # fmt: skip


class LineBuffer:
    """Bytes in, whole lines out."""

    def __init__(self) -> None:
        self._rest = b""

    def feed(self, data: bytes) -> list[bytes]:
        *lines, self._rest = (self._rest + data).split(b"\n")
        return [line.partition(b"\0")[0] for line in lines]


def parse(line: bytes) -> Command:
    """The command in `line`; any bytes are one, if only a malformed one."""
    return _PARSERS.get(line[:1], _unrecognized)(line)


def _text(raw: bytes | None) -> str:
    return (raw or b"").decode("latin-1")


def _malformed(where: str, line: bytes) -> Malformed:
    return Malformed(f'{where}: command "{_text(line)}" malformed')


def _unrecognized(line: bytes) -> Command:
    echo = f"{_text(line[:1])}'" if line else ""
    return Malformed(f"ui_handle_messages: unrecognized command: '{echo}")


def _parse_config(line: bytes) -> Command:
    found = _CONFIG_VERB.match(line)
    verb = _text(found[1]).lower() if found else ""
    if verb in ("get", "rm"):
        return _parse_tag(verb, line)
    if verb == "rms" and (section := _SECTION.match(line)):
        return Change("rms", _text(section[1]))
    if verb in ("set", "add", "rmv") and (item := _SET.match(line)):
        section_name, tag, value, force = (_text(part) for part in item.groups())
        return Change(verb, section_name, tag, value, bool(force))  # type: ignore[arg-type]  # one of these three
    return _malformed("ui_config", line)


def _parse_tag(verb: str, line: bytes) -> Command:
    found = _GET.match(line)
    if not found:
        return _malformed("ui_config", line)
    section, tag = _text(found[1]), _text(found[2])
    return Get(section, tag) if verb == "get" else Change("rm", section, tag)


def _parse_teardown(line: bytes) -> Command:
    for phase, pattern in ((1, _MAIN), (2, _QUICK), (2, _TEARDOWN)):
        if found := pattern.match(line):
            return Teardown(phase, _text(found[1]))
    return _malformed("ui_teardown", line)


def _parse_connect(line: bytes) -> Command:
    found = _CONNECT.match(line)
    return Connect(_text(found[1])) if found else _malformed("ui_connect", line)


def _parse_delete(line: bytes) -> Command:
    found = _DELETE.match(line)
    if not found:
        return _malformed("ui_delete", line)
    cookies, msgid = _text(found[1]), _text(found[2])
    if not _HEX.fullmatch(cookies) or not (msgid == "-" or _HEX.fullmatch(msgid)):
        return Malformed(f'ui_delete: command "{_text(line)}" has bad arguments')
    return Delete(cookies.lower().rjust(32, "0"), 0 if msgid == "-" else int(msgid, 16))


def _parse_mode(line: bytes) -> Command:
    operand = _text(line[1:11]).strip()
    for word in ("active", "passive"):
        if operand.startswith(word):
            return SetMode(word == "active")
    return _malformed("ui_setmode", line)


def _parse_debug(line: bytes) -> Command:
    if found := re.match(rb"D\s*(\d+)\s+(\d+)", line):
        return Debug(int(found[1]), int(found[2]))
    if found := re.match(rb"D\s*A\s*(\d+)", line):
        return Debug(None, int(found[1]))
    return Debug(None, None) if re.match(rb"D\s*T", line) else _malformed("ui_debug", line)


def _parse_capture(line: bytes) -> Command:
    found = re.match(rb"p\s*(?:(on)(?:=(\S+))?|off)", line, re.IGNORECASE)
    if not found:
        return _malformed("ui_packetlog", line)
    return Capture(bool(found[1]), _text(found[2]) or "/var/run/isakmpd.pcap")


def _parse_quit(line: bytes) -> Command:
    return Quit() if line == b"Q" else _malformed("ui_shutdown_daemon", line)


_PARSERS: dict[bytes, Callable[[bytes], Command]] = {
    b"c": _parse_connect,
    b"C": _parse_config,
    b"d": _parse_delete,
    b"D": _parse_debug,
    b"M": _parse_mode,
    b"p": _parse_capture,
    b"Q": _parse_quit,
    b"R": lambda _line: Reinitialise(),
    b"r": lambda _line: LogReport(),
    b"S": lambda _line: Report(),
    b"t": _parse_teardown,
    b"T": lambda _line: TeardownAll(),
}
