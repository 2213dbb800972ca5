"""What the conf files of the inventory are against those of the gateways.

A file is compared by a keyed hash, so no key is needed to know that two are equal; what is shown of a change is masked.
What a gateway has and the inventory does not is left alone unless it is named: nobody's tunnel goes because somebody
forgot it.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from difflib import unified_diff
from enum import StrEnum
from fnmatch import fnmatchcase

from ipsecfleet.errors import RefusedError
from ipsecfleet.isakmpd.deployed import ArmedChange, Deployed, Meaning
from ipsecfleet.model.document import FileRow
from ipsecfleet.model.fleet import Fleet, Gateway
from ipsecfleet.model.snapshot import Connection, Listing, Unknown
from ipsecfleet.model.source import Source
from ipsecfleet.plan.files import conf_paths, name_of, path_at
from ipsecfleet.plan.view import View


class FileState(StrEnum):
    """What becomes of a file on a gateway."""

    ADDED = "added"
    CHANGED = "changed"
    REMOVED = "removed"
    INCLUDED = "included"
    UNCHANGED = "unchanged"
    FOREIGN = "foreign"
    UNKNOWN = "unknown"


KINDS = {
    FileState.ADDED: "add", FileState.CHANGED: "change", FileState.REMOVED: "remove", FileState.INCLUDED: "include",
}  # fmt: skip
"""The states that mean work, and what the visit program calls it."""


@dataclass(frozen=True, slots=True)
class RolloutOptions:
    """What the operator asked for.

    `canary` are gateways whose changes come first, `waves` the words of --waves.
    Without `load` only files change. A change is taken back `confirm_s` after it began unless it is confirmed; its
    tunnels are looked at for `wait_s` at most. `back_to` is the run before which the files are to be as
    they were. `remove` are patterns of what is not wanted and is to go: a file's name, or GATEWAY:PATH.
    """

    canary: tuple[str, ...] = ()
    waves: tuple[str, ...] = ()
    remove: tuple[str, ...] = ()
    only_new: bool = False
    load: bool = True
    confirm_s: float = 120.0
    wait_s: float = 90.0
    back_to: str | None = None
    forced: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class Wanted:
    """What a gateway should have at a path: the keyed hash of its text, and its masked lines.

    The text is that of `source`, or what the gateway kept itself of what it had before the run `from_run`.
    """

    digest: str
    shown: tuple[str, ...] = ()
    source: Source | None = None
    from_run: str | None = None


@dataclass(frozen=True, slots=True)
class Facts:
    """What a gateway has: the files that ipsec.conf includes, those on the disk, what new texts come to, what is armed."""

    includes: tuple[str, ...] = ()
    stored: Mapping[str, Deployed | Unknown | None] = field(default_factory=dict)
    tried: Mapping[str, Meaning | Unknown] = field(default_factory=dict)
    armed: ArmedChange | None = None


@dataclass(frozen=True, slots=True)
class FileChange:
    """One file of one gateway that changes; `old` and `new` are what it means, None where it is not."""

    gateway: str
    path: str
    kind: str
    old: Meaning | None = None
    new: Meaning | None = None
    from_run: str | None = None

    @property
    def name(self) -> str:
        return name_of(self.path)

    @property
    def names(self) -> tuple[str, ...]:
        """Every connection it makes, before or after."""
        both = (*(self.old.names if self.old else ()), *(self.new.names if self.new else ()))
        return tuple(dict.fromkeys(both))

    @property
    def meanings(self) -> tuple[Meaning, ...]:
        return tuple(m for m in (self.old, self.new) if m is not None)


@dataclass(frozen=True, slots=True)
class Comparison:
    """Every file with its state, those that change, and what speaks against it."""

    rows: tuple[FileRow, ...]
    changes: tuple[FileChange, ...]
    refusals: tuple[RefusedError, ...]
    notes: tuple[str, ...] = ()


def compare(
    view: View, wanted: Mapping[tuple[str, str], Wanted], facts: Mapping[str, Facts], options: RolloutOptions
) -> Comparison:
    """What becomes of every file; of those that are not wanted, none is told of where a rollout is taken back."""
    rows: list[FileRow] = []
    changes: list[FileChange] = []
    refusals: list[RefusedError] = []
    notes: list[str] = []
    for name, fact in facts.items():
        gateway = view.gateway(name)
        mine = {path: w for (g, path), w in wanted.items() if g == name}
        foreign = unwanted(view.fleet, gateway, fact, options)
        for path in dict.fromkeys((*mine, *foreign)):
            each = _File(view, gateway, path, mine.get(path), fact)
            state = each.state(options.remove)
            if state is FileState.FOREIGN and options.back_to is not None:
                continue
            if options.only_new and state in KINDS and state is not FileState.ADDED:
                notes.append(f"{name}: {path} is {state}, and left as it is: --only-new")
                state = FileState.UNCHANGED
            rows.append(FileRow(name, path, state.value, each.tunnels, each.diff(state)))
            refusals += each.refusals(state)
            notes += each.notes(state)
            if state in KINDS:
                changes.append(each.change(state))
    removed = [row.file for row in rows if row.state == FileState.REMOVED]
    for pattern in options.remove if options.back_to is None else ():
        if not any(fnmatchcase(name_of(path), pattern) for path in removed):
            notes.append(f"--remove {pattern}: no file of that name is to be removed")
    return Comparison(tuple(rows), tuple(changes), tuple(refusals), tuple(notes))


def unwanted(fleet: Fleet, gateway: Gateway, fact: Facts, options: RolloutOptions) -> list[str]:
    """The files that a gateway includes from its folder of conf files, and no tunnel of the inventory has there.

    Where a rollout is taken back, what the inventory has does not count.
    """
    known = () if options.back_to is not None else conf_paths(fleet, gateway)
    return [p for p in fact.includes if p not in known and p == path_at(gateway, name_of(p))]


class _File:
    """One file of one gateway, wanted, there, or both."""

    def __init__(self, view: View, gateway: Gateway, path: str, wanted: Wanted | None, fact: Facts) -> None:
        self.view = view
        self.gateway = gateway
        self.path = path
        self.wanted = wanted
        self.there = fact.stored.get(path)
        self.tried = fact.tried.get(path)
        self.included = path in fact.includes

    @property
    def deployed(self) -> Deployed | None:
        return self.there if isinstance(self.there, Deployed) else None

    @property
    def old(self) -> Meaning | None:
        meaning = self.deployed.meaning if self.deployed is not None else None
        return meaning if isinstance(meaning, Meaning) else None

    @property
    def new(self) -> Meaning | None:
        return self.tried if isinstance(self.tried, Meaning) else None

    @property
    def loaded(self) -> bool:
        """Whether the daemon has a connection of the file that is there."""
        return any(c.name in (self.old.names if self.old else ()) for c in listed(self.view, self.gateway.name))

    @property
    def tunnels(self) -> tuple[str, ...]:
        meanings = [m for m in (self.old, self.new) if m is not None]
        names = (tunnel_of(self.view, self.gateway.name, m, n) for m in meanings for n in m.names)
        return tuple(dict.fromkeys(names))

    def state(self, remove: Sequence[str]) -> FileState:
        if isinstance(self.there, Unknown):
            return FileState.UNKNOWN
        if self.wanted is None:
            called = (name_of(self.path), f"{self.gateway.name}:{self.path}")
            named = any(fnmatchcase(name, pattern) for name in called for pattern in remove)
            return FileState.REMOVED if named else FileState.FOREIGN
        if self.deployed is None:
            return FileState.ADDED
        if self.deployed.digest != self.wanted.digest:
            return FileState.CHANGED if self.included else FileState.ADDED
        if self.included:
            return FileState.UNCHANGED
        return FileState.INCLUDED if self.loaded else FileState.ADDED

    def change(self, state: FileState) -> FileChange:
        old = None if state is FileState.ADDED else self.old
        new = None if state is FileState.REMOVED else self.old if state is FileState.INCLUDED else self.new
        from_run = self.wanted.from_run if self.wanted is not None else None
        return FileChange(self.gateway.name, self.path, KINDS[state], old, new, from_run)

    def diff(self, state: FileState) -> tuple[str, ...]:
        """The change line by line, masked as the gateway masks what it lets out."""
        if state not in {FileState.ADDED, FileState.CHANGED, FileState.REMOVED}:
            return ()
        before = self.deployed.shown if self.deployed is not None else ()
        after = self.wanted.shown if self.wanted is not None and state is not FileState.REMOVED else ()
        lines = [line for line in unified_diff(before, after, n=1, lineterm="") if line[:3] not in {"---", "+++"}]
        return tuple(line for line in lines if not line.startswith("@@")) or ("only what is masked differs",)

    def refusals(self, state: FileState) -> Iterable[RefusedError]:
        where = f"{self.path} on {self.gateway.name}"
        if isinstance(self.there, Unknown):
            yield _refused("file", self.path, f"{where} could not be read: {self.there.why}")
        if state in {FileState.CHANGED, FileState.REMOVED} and self.old is None:
            meaning = self.deployed.meaning if self.deployed is not None else None
            why = meaning.why if isinstance(meaning, Unknown) else "not read"
            text = f"what {where} means could not be read: {why}"
            yield _refused("file", self.path, text, "correct it there by hand")
        if state is FileState.ADDED and self.deployed is not None and self.loaded:
            text = f"{where} is loaded, but ipsec.conf does not include it, and the inventory has another text"
            yield _refused("include", self.path, text, f'add the line include "{self.path}" there, or unload it')
        if state in {FileState.ADDED, FileState.CHANGED}:
            yield from self._untried(where)
        if self.new is not None and state in KINDS:
            yield from self._collisions(self.new)

    def _untried(self, where: str) -> Iterable[RefusedError]:
        if not isinstance(self.tried, Unknown):
            return
        why, source = self.tried.why, self.wanted.source if self.wanted is not None else None
        _, found, rest = why.partition("the new text: ")
        number, _, words = rest.partition(":")
        place = source.place(int(number)) if found and source is not None and number.isdecimal() else where
        text = f"{place}: ipsecctl on {self.gateway.name} refuses it: {words.strip() or why}"
        yield _refused("syntax", self.path, text)

    def _collisions(self, new: Meaning) -> Iterable[RefusedError]:
        """A name that the daemon has with another peer, and that is not of the file as it is there."""
        before = self.old.names if self.old is not None else ()
        there = {c.name: c for c in listed(self.view, self.gateway.name)}
        for name in new.names:
            other = there.get(name)
            if other is not None and name not in before and other.peer != new.peer(name):
                text = f"{name} is loaded on {self.gateway.name} with {other.peer}, and would be overwritten"
                yield _refused("collision", self.path, f"{self.path}: {text}", "give one of them other networks")

    def notes(self, state: FileState) -> Iterable[str]:
        where = f"{self.gateway.name}: {self.path}"
        if state is FileState.FOREIGN:
            yield f"{where} is in no tunnel of the inventory, and left alone; --remove takes it away"
        mode = self.deployed.mode if self.deployed is not None else 0
        if state in {FileState.UNCHANGED, FileState.INCLUDED} and mode & 0o077:
            yield f"{where} has mode {mode:04o} and holds keys: chmod 0600 it"
        if state is FileState.UNCHANGED and not self.loaded and self.old is not None:
            yield f"{where} is deployed and not loaded: ipsecfleet up loads it"


def _refused(kind: str, obj: str, text: str, hint: str = "") -> RefusedError:
    return RefusedError(text, kind=kind, obj=obj, hint=hint)


def listed(view: View, gateway: str) -> list[Connection]:
    """The connections that a gateway's daemon has in a list."""
    seen = view.seen(gateway)
    found = () if seen is None or isinstance(seen.connections, Unknown) else seen.connections
    return [c for c in found if c.listing is not Listing.NONE]


def tunnel_of(view: View, gateway: str, meaning: Meaning, name: str) -> str:
    """What the tunnel of a connection is called: as the gateways have it, or the inventory, else as the connection."""
    selectors = meaning.selectors(name)
    for tunnel, end in view.ends_on(gateway):
        if end.connection == name or (end.connection is None and selectors is not None and end.selectors == selectors):
            return tunnel.name
    return name
