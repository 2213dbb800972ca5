"""Conf files as gateways have them: what is on the disk, without its keys, and what ipsecctl(8) makes of it.

No key leaves a gateway. Its place in a text is masked there, and where two keys, or two texts, are to be compared, the
gateway gives a hash under a key of ours that is made for one visit to all gateways and forgotten after it (visit.pl).
What a file means is told in the lines that `ipsecctl -n -v` prints; of two files that mean the same these are equal.
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

from ipsecfleet.isakmpd.fifo import PEER_TAGS
from ipsecfleet.isakmpd.snapshot import selectors_of
from ipsecfleet.isakmpd.status import Sections
from ipsecfleet.isakmpd.verbs import Stored, Try, Verb
from ipsecfleet.isakmpd.visit import Answer, Section
from ipsecfleet.model.net import Selectors
from ipsecfleet.model.secret import MASK
from ipsecfleet.model.snapshot import Unknown

_line = re.compile(r"C (?P<verb>set|add) \[(?P<section>[^\]]+)\]:(?P<tag>[^=]+)=(?P<value>.*)")
_head = re.compile(rb"(?P<mode>[0-7]{4}) (?P<uid>\d{1,10}) (?P<gid>\d{1,10}) (?P<hash>[0-9a-f]{64}|-)\n")
_armed = re.compile(r"(?P<run>\S+) (?P<who>\S+) (?P<held>\d+) (?P<left>\d+) (?P<kind>\S+) (?P<file>/\S+)\n")
_kept = re.compile(r"(?P<kind>add|change|remove|include) (?P<name>[A-Za-z0-9_][A-Za-z0-9._-]*)")

_macro = re.compile(r"^(\s*#?\s*[A-Za-z0-9_]+\s*=).*", re.ASCII)
_include = re.compile(r"""\s*include\s+"[^"'\n]*"\s*""", re.ASCII)
_quoted = re.compile(r""""[^"]*"|'[^']*'""")
_announced = re.compile(r"\b(psk|authkey|enckey)(\s+)\S+", re.ASCII)
_after_macro = re.compile(r"(\$\w+\s+)(\S+)", re.ASCII)
_open_word = re.compile(
    r"active|aggressive|ah|any|auth|dstid|dynamic|enc|esp|flow|from|group|ike|interface|ipcomp|lifetime|local|main"
    r"|passive|peer|port|proto|psk|quick|rsa|srcid|tag|to|transport|tunnel|type|in|out|\W",
    re.ASCII,
)


@dataclass(frozen=True)
class Meaning:
    """What a conf file comes to in the daemon; `lines` are ipsecctl's, with a hash in place of each key."""

    lines: tuple[str, ...]

    @cached_property
    def connections(self) -> tuple[tuple[str, str], ...]:
        """Pairs of list and connection, in the order of the rules."""
        found = (_line.fullmatch(line) for line in self.lines)
        return tuple((f["tag"], f["value"]) for f in found if f and f["verb"] == "add" and f["section"] == "Phase 2")

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(name for _, name in self.connections)

    @property
    def active(self) -> bool:
        """Whether it begins a negotiation."""
        return any(where == "Connections" for where, _ in self.connections)

    @cached_property
    def sections(self) -> Sections:
        values: dict[str, dict[str, tuple[str, str]]] = {}
        for found in filter(None, map(_line.fullmatch, self.lines)):
            tags = values.setdefault(found["section"].lower(), {})
            before = tags.get(found["tag"].lower(), ("", ""))[1] if found["verb"] == "add" else ""
            tags[found["tag"].lower()] = (found["tag"], ",".join(filter(None, (before, found["value"]))))
        return Sections(values)

    @property
    def keys(self) -> Mapping[str, str]:
        """The hash of each phase 1's key, by its section in lower case."""
        found = ((p.lower(), self.sections.get(p, "Authentication")) for p in self.phase1s)
        return {phase1: key for phase1, key in found if key is not None}

    def phase1(self, name: str) -> str | None:
        """The phase 1 of a connection."""
        return self.sections.get(name, "ISAKMP-peer")

    def peer(self, name: str) -> str | None:
        """The address of a connection's peer, None for the default peer."""
        return self.sections.get(self.phase1(name) or "", "Address")

    def selectors(self, name: str) -> Selectors | None:
        """The networks of a connection's flows."""
        return selectors_of(name, self.sections)

    @property
    def phase1s(self) -> tuple[str, ...]:
        return tuple(dict.fromkeys(p for n in self.names if (p := self.phase1(n)) is not None))

    def terms(self, phase1: str) -> frozenset[str]:
        """The lines that say how a phase 1 is negotiated, its transforms and identities included."""
        ids = [self.sections.get(phase1, tag) for tag in ("ID", "Remote-ID")]
        heads = (f"[{phase1}]:", f"[phase1-{phase1}]:", f"[phase1-transform-{phase1}-", *(f"[{i}]:" for i in ids if i))
        return frozenset(line for line in self.lines if line.split(" ", 2)[-1].startswith(heads))

    def tags_lost(self, phase1: str, other: "Meaning | None") -> tuple[str, ...]:
        """The tags of a phase 1 here that `other` does not set, so that they would stay."""
        there = {t.lower() for t in other.sections.tags(phase1)} if other is not None else set()
        mine = {t.lower() for t in self.sections.tags(phase1)}
        return tuple(t for t in PEER_TAGS if t.lower() in mine - there)


@dataclass(frozen=True, slots=True)
class Deployed:
    """One conf file on a gateway: its mode and owner, its keyed hash, its masked lines, and what it means."""

    path: str
    mode: int
    uid: int
    gid: int
    digest: str
    shown: tuple[str, ...]
    meaning: Meaning | Unknown


@dataclass(frozen=True, slots=True)
class ArmedChange:
    """The change of a file that waits for its confirmation on a gateway, for `left_s` seconds more."""

    run: str
    who: str
    left_s: int
    kind: str
    file: str


def stored_of(answer: Answer, verbs: Sequence[Verb]) -> Mapping[str, Deployed | Unknown | None]:
    """Every file that a visit was asked for by `Stored`; None where there is none."""
    pairs = ((v, found) for v, found in _matched(answer, verbs) if isinstance(v, Stored))
    return {v.path: found for v, found in pairs if not isinstance(found, Meaning)}


def tried_of(answer: Answer, verbs: Sequence[Verb]) -> tuple[Meaning | Unknown, ...]:
    """What ipsecctl made of each text of a `Try`."""
    found = (found for v, found in _matched(answer, verbs) if isinstance(v, Try))
    return tuple(f if isinstance(f, Meaning | Unknown) else Unknown("not read") for f in found)


def armed_of(answer: Answer) -> ArmedChange | None:
    """What waits for its confirmation."""
    section = answer.last("armed")
    found = _armed.fullmatch(section.body.decode("utf-8", "replace")) if section is not None and section.ok else None
    if found is None:
        return None
    return ArmedChange(found["run"], found["who"], int(found["left"]), found["kind"], found["file"])


def kept_of(answer: Answer) -> tuple[tuple[str, str], ...]:
    """Pairs of kind and file name of the changes that a run left behind; what is no file name is none."""
    section = answer.last("kept")
    lines = section.body.decode("utf-8", "replace").splitlines() if section is not None and section.ok else []
    return tuple((found["kind"], found["name"]) for found in filter(None, map(_kept.fullmatch, lines)))


def shown(text: str) -> tuple[str, ...]:
    """The lines of a text without what could be a key, exactly as a gateway shows them of a file (masked in visit.pl)."""
    hidden = "\\" in text
    lines = text.removesuffix("\n").split("\n") if text else []
    return tuple(MASK if hidden and line else _masked(line) for line in lines)


def _masked(line: str) -> str:
    if line.count('"') % 2 or line.count("'") % 2:
        return MASK
    if _include.fullmatch(line):
        return line
    found = _macro.match(line)
    if found:
        return f"{found[1]} {MASK}"
    line = _announced.sub(rf"\1\2{MASK}", _quoted.sub(MASK, line))
    return _after_macro.sub(lambda m: m[1] + (m[2] if _open_word.fullmatch(m[2]) else MASK), line)


def _matched(answer: Answer, verbs: Iterable[Verb]) -> Iterable[tuple[Verb, Deployed | Meaning | Unknown | None]]:
    """Each verb about a text with what came of it; their sections stand in the same order."""
    sections = iter([s for s in answer.sections if s.name in {"stored", "meaning"}])
    for verb in verbs:
        if isinstance(verb, Stored):
            head = next(sections, None)
            if head is None or not head.ok:
                gone = head is not None and head.status == "missing"
                yield verb, None if gone else Unknown(_why(head.status, head.body) if head else "not read")
                continue
            yield verb, _deployed(verb.path, head.body, _meaning(next(sections, None)))
        elif isinstance(verb, Try):
            yield verb, _meaning(next(sections, None))


def _meaning(section: Section | None) -> Meaning | Unknown:
    if section is None:
        return Unknown("not read")
    if not section.ok:
        return Unknown(_why(section.status, section.body))
    return Meaning(tuple(section.body.decode("utf-8", "surrogateescape").splitlines()))


def _deployed(path: str, body: bytes, meaning: Meaning | Unknown) -> Deployed | Unknown:
    head = _head.match(body)
    if head is None:
        return Unknown(f"what the gateway said of {path} is not understood")
    text = body[head.end() :].decode("utf-8", "surrogateescape")
    lines = tuple(text.removesuffix("\n").split("\n")) if text else ()
    return Deployed(
        path, int(head["mode"], 8), int(head["uid"]), int(head["gid"]), head["hash"].decode(), lines, meaning
    )


def _why(status: str, body: bytes) -> str:
    text = body.decode("utf-8", "replace").strip()
    return f"{status}: {text}" if text else status
