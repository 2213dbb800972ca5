"""A visit: the request that the visit program reads, as bytes, and its answer, parsed. No I/O but the program's text.

The remote command tells the addresses of the session before doas(1) drops them, and that line, seen alone, means that
doas refused. Then it runs `visit.pl`, which is sent first (or is installed there, in restricted mode), then the request:

    ipsecfleet 1 NONCE                  ipsecfleet 192.0.2.7 50022 198.51.100.11 22
    run /var/run                        ipsecfleet 1 NONCE
    etc /etc                            NONCE flows ok 118
    bin                                 ...118 bytes...
    who RUN USER@HOST                   NONCE done 1
    pack 14000
    deadline 20

    flows
    end

A verb that brings a file along says how many bytes, which follow it. A section is `NONCE NAME STATUS LENGTH`, LENGTH raw
bytes and a newline; the last line counts the sections. Whatever a gateway wrote in between cannot end a section early,
and without the last line the answer was cut off.

What is longer than TCP sends at once in the beginning, some 14 KB (RFC 6928), costs a round trip more. So program and
request go packed through gzip(1) there, and a section that would make the answer longer comes back packed.
"""

import re
import zlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from hashlib import sha256
from importlib.resources import files
from importlib.resources.abc import Traversable
from typing import Any

from ipsecfleet.errors import OperatorError
from ipsecfleet.isakmpd.verbs import ConfNames, Lock, Verb, checked, checked_path
from ipsecfleet.model.snapshot import Unknown

PROTOCOL = "ipsecfleet 1"
LOG = "/var/log"
"""Where syslogd(8) writes; said only where it is elsewhere, since an installed program may be of before that was asked."""

INSTALLED = "/usr/local/libexec/ipsecfleet-visit"
"""Where the visit program is on a restricted gateway."""

MOST_SECTIONS = 10_000
"""The most sections of one answer; a whole visit has a dozen and one per conf file and change."""

PACK_OVER = 14_000
"""How many bytes of an answer come as they are."""

NO_GZIP = 97
"""The exit status of a packed command where there is no gzip(1); nothing was run."""

MOST_UNPACKED = 64 << 20
"""The most bytes that the sections of an answer unpack to."""

_REMOTE = "/bin/sh -c 'echo \"ipsecfleet $SSH_CONNECTION\"; {}exec {}'"
_GUNZIP = f"[ -x /usr/bin/gzip ] || exit {NO_GZIP}; /usr/bin/gzip -dc | "
_GZIP = 16 + zlib.MAX_WBITS
_PROGRAMS = {"doas": "doas -n /usr/bin/perl -T -", "none": "/usr/bin/perl -T -", "restricted": f"doas -n {INSTALLED}"}

_unread = re.compile(rb"^[ \t]*#(?!!).*\n|^[ \t]+|^\n", re.MULTILINE)
_handshake = re.compile(rb"\nipsecfleet\b([^\n]{0,400})\n")
_nonce = re.compile(r"[0-9A-Fa-f]{16,32}")
_who = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._@-]{0,99} [A-Za-z0-9._@-]{1,200}")
_holder = re.compile(rb"(%b) (\d{1,9}) (\d{1,9})" % _who.pattern.encode())


def remote_command(privilege: str, *, packed: bool = False) -> str:
    """What sshd is asked to run, by the gateway's `privilege`: doas, none or restricted; its input may be `packed`."""
    if privilege not in _PROGRAMS:
        raise OperatorError(f"{privilege!a} is no privilege", hint=f"one of {', '.join(_PROGRAMS)}")
    return _REMOTE.format(_GUNZIP if packed else "", _PROGRAMS[privilege])


@dataclass(frozen=True, slots=True)
class Call:
    """A command and its input, by which a request reaches the visit program of a gateway."""

    command: str
    stdin: bytes

    @classmethod
    def of(cls, request: "Request", privilege: str, *, plain: bool = False) -> "Call":
        """The program is sent along where it is not installed, packed unless that is to be `plain`."""
        if privilege == "restricted":
            return cls(remote_command(privilege), request.encode())
        if plain:
            return cls(remote_command(privilege), sent_program() + request.encode())
        return cls(remote_command(privilege, packed=True), _packed(request.encode()))


def _packed(request: bytes) -> bytes:
    """Program and request as one gzip stream; the program's part is made once."""
    head, state = _packed_program()
    rest = state.copy()
    return b"".join((head, rest.compress(request), rest.flush()))


@cache
def _packed_program() -> tuple[bytes, Any]:
    state = zlib.compressobj(9, zlib.DEFLATED, _GZIP)
    return state.compress(sent_program()) + state.flush(zlib.Z_SYNC_FLUSH), state


def doas_rule(privilege: str, user: str) -> str:
    """The rule of doas.conf(5) that permits `user` what a visit runs and no more; for doas and restricted."""
    command, *arguments = _PROGRAMS[privilege].removeprefix("doas -n ").split()
    return " ".join(("permit nopass", user, "as root cmd", command, "args", *arguments))


def source() -> Traversable:
    """The visit program as it comes with us."""
    return files("ipsecfleet.isakmpd").joinpath("visit.pl")


def program() -> bytes:
    """The text of the visit program as it is installed."""
    return source().read_bytes()


def sent_program() -> bytes:
    """The same as it is sent before a request where it is not installed: without comments, indentation and empty lines."""
    return _unread.sub(b"", program())


def digest() -> str:
    """The SHA256 of the visit program, as `sha256 -q` prints it."""
    return sha256(program()).hexdigest()


@dataclass(frozen=True, slots=True)
class Request:
    """All that one visit is asked. `deadline` is in seconds; `who` is a run and an operator, for lock and log there.

    `key` is what secrets are hashed with, in hexadecimal: it makes hashes comparable with those of the same key only.
    """

    nonce: str
    verbs: Sequence[Verb]
    run: str = "/var/run"
    etc: str = "/etc"
    bin: str = ""
    who: str = ""
    deadline: float = 20.0
    key: str = ""
    pack: int = PACK_OVER
    log: str = LOG

    def encode(self) -> bytes:
        """The request as the program reads it; what it would call malformed is refused here already."""
        checked(_nonce, self.nonce, "nonce")
        if self.who or any(isinstance(verb, Lock) for verb in self.verbs):
            checked(_who, self.who, "run and operator")
        head = (
            f"{PROTOCOL} {self.nonce}",
            f"run {checked_path(self.run)}",
            f"etc {checked_path(self.etc)}",
            f"bin {checked_path(self.bin)}" if self.bin else "bin",
            *([f"log {checked_path(self.log)}"] if self.log != LOG else []),
            f"who {self.who}".rstrip(),
            *([f"key {self.key}"] if self.key else []),
            f"pack {self.pack}",
            f"deadline {self.deadline:.3f}",
        )
        verbs = (line for verb in self.verbs for line in verb.lines())
        return "".join(f"{line}\n" for line in (*head, "", *verbs, "end")).encode("utf-8", "surrogateescape")


@dataclass(frozen=True, slots=True)
class Section:
    """One section of an answer; when `status` is not ok, `body` says why in one line. Bytes of the gateway's making."""

    name: str
    status: str
    body: bytes

    @property
    def ok(self) -> bool:
        """Whether the body is what was asked for."""
        return self.status == "ok"


@dataclass(frozen=True, slots=True)
class Answer:
    """What a visit brought back.

    `complete` is False when the answer was cut off; `handshake` is what sshd said of the session, `None` if not even
    the remote command ran; `conf` holds the names of each conf file that was asked for; `unparsed` is the rest.
    """

    sections: tuple[Section, ...] = ()
    complete: bool = False
    handshake: str | None = None
    unparsed: bytes = b""
    conf: Mapping[str, bytes | Unknown] = field(default_factory=dict)

    def last(self, name: str) -> Section | None:
        """The last section of that name: of a part read twice the later reading."""
        return next((s for s in reversed(self.sections) if s.name == name), None)


def decode(stdout: bytes, nonce: str, verbs: Iterable[Verb] = ()) -> Answer:
    """The answer to a request; `verbs` are the request's, to know which conf file a section is of. Total."""
    handshake, noise, rest = _preamble(stdout, f"{PROTOCOL} {nonce}".encode())
    sections, rest = _sections(rest, re.escape(nonce).encode())
    done = re.match(rb"%b done (\d{1,9})\n" % re.escape(nonce).encode(), rest)
    complete = done is not None and int(done[1]) == len(sections)
    unparsed = noise + (rest[done.end() :] if done is not None and complete else rest)
    return Answer(sections, complete, handshake, unparsed, _conf(sections, verbs))


@dataclass(frozen=True, slots=True)
class Holder:
    """Who has the run lock of a gateway, for how long already, and until when, in seconds by that gateway's clock."""

    run: str
    who: str
    held_s: int
    left_s: int


def holder(body: bytes) -> Holder | None:
    """Who is meant by the body of a `lock` whose status is `held`; `None` if it is not understood. Total."""
    found = _holder.fullmatch(body)
    if found is None:
        return None
    run, who = found[1].decode("ascii").split(" ")
    return Holder(run, who, int(found[2]), int(found[3]))


def _preamble(stdout: bytes, banner: bytes) -> tuple[str | None, bytes, bytes]:
    """The handshake, what else stands before the program's first line, and what stands after it."""
    head, found, rest = (b"\n" + stdout).partition(b"\n" + banner + b"\n")
    head += found[:1]
    shaken = _handshake.search(head)
    if shaken is None:
        return None, head[1:], rest
    noise = head[: shaken.start() + 1] + head[shaken.end() :]
    return shaken[1].decode("ascii", "backslashreplace").strip(), noise[1:], rest


def _sections(rest: bytes, nonce: bytes) -> tuple[tuple[Section, ...], bytes]:
    """The whole sections at the front, and what follows them."""
    header = re.compile(rb"%b ([a-z-]{1,32}) ([a-z-]{1,32}) (\d{1,9})\n" % nonce)
    sections: list[Section] = []
    at, room = 0, MOST_UNPACKED
    while len(sections) < MOST_SECTIONS and (begun := header.match(rest, at)) is not None:
        end = begun.end() + int(begun[3])
        if rest[end : end + 1] != b"\n":
            break
        section = Section(begun[1].decode(), begun[2].decode(), rest[begun.end() : end])
        if section.status == "packed":
            section = _unpacked(section, room)
            room -= len(section.body)
        sections.append(section)
        at = end + 1
    return tuple(sections), rest[at:]


def _unpacked(section: Section, room: int) -> Section:
    """A section as it was before it was packed; one that needs more room than there is, or is not whole, has failed."""
    unpacking = zlib.decompressobj(_GZIP)
    try:
        body = unpacking.decompress(section.body, room) if room > 0 else b""
    except zlib.error as error:
        return Section(section.name, "failed", f"it cannot be unpacked: {error}".encode())
    if not unpacking.eof:
        why = "too-big" if unpacking.unconsumed_tail or room <= 0 else "failed"
        return Section(section.name, why, b"it does not unpack to its end within %d bytes" % MOST_UNPACKED)
    return Section(section.name, "ok", body)


def _conf(sections: Sequence[Section], verbs: Iterable[Verb]) -> Mapping[str, bytes | Unknown]:
    """Each conf verb with its section, which stand in the same order."""
    read = iter(s for s in sections if s.name == "conf")
    return {verb.path: _body(next(read, None)) for verb in verbs if isinstance(verb, ConfNames)}


def _body(section: Section | None) -> bytes | Unknown:
    if section is None:
        return Unknown("not read")
    why = section.body.decode("utf-8", "replace").strip()
    return section.body if section.ok else Unknown(f"{section.status}: {why}")


def keyed(key: str, text: str) -> str:
    """The hash by which a gateway tells whether a text of its own is this one, as `visit.pl` makes it."""
    return sha256(f"{key}\n{text}".encode("utf-8", "surrogateescape")).hexdigest()
