"""Which conf files are changed together, and which changes when.

Both ends of a tunnel, and all members of a CARP group, change together; a gateway changes one file at a time, and so does
every other machine that takes part.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from math import ceil

from ipsecfleet.errors import OperatorError
from ipsecfleet.model.net import Selectors
from ipsecfleet.plan.deploy import FileChange, tunnel_of
from ipsecfleet.plan.view import View


@dataclass(frozen=True, slots=True)
class Change:
    """Files that are changed together; `machines` are all that take part: gateways, also at far ends, and foreign peers."""

    files: tuple[FileChange, ...]
    tunnels: tuple[str, ...]
    machines: frozenset[str]

    @property
    def gateways(self) -> tuple[str, ...]:
        return tuple(f.gateway for f in self.files)

    @property
    def name(self) -> str:
        return self.tunnels[0]


def grouped(view: View, changes: Iterable[FileChange]) -> tuple[Change, ...]:
    """What is changed together: the two ends of a tunnel, and the members of a CARP group; one file of each gateway."""
    left = list(changes)
    found: list[Change] = []
    while left:
        group = [left.pop(0)]
        here = {group[0].gateway}
        grows = True
        while grows:
            grows = False
            for each in tuple(left):
                if each.gateway not in here and any(_belong(view, each, other) for other in group):
                    group.append(each)
                    here.add(each.gateway)
                    left.remove(each)
                    grows = True
        found.append(_change(view, group))
    return tuple(found)


def _change(view: View, files: Sequence[FileChange]) -> Change:
    pairs = [(f, m, n) for f in files for m in f.meanings for n in m.names]
    tunnels = dict.fromkeys(tunnel_of(view, f.gateway, m, n) for f, m, n in pairs)
    peers = {p for _, m, n in pairs if (p := m.peer(n)) is not None}
    far = {name for p in peers for name in ([g.name for g in view.at(p)] or [p])}
    machines = frozenset((*(f.gateway for f in files), *far))
    return Change(tuple(files), tuple(tunnels) or (files[0].name,), machines)


def _belong(view: View, one: FileChange, other: FileChange) -> bool:
    """Whether two files have ends of one tunnel: they mirror each other, or are those of two CARP members."""
    carps = [view.gateway(f.gateway).carp for f in (one, other)]
    if carps[0] is not None and carps[1] is not None and carps[0].group == carps[1].group:
        return one.path == other.path or bool(set(one.names) & set(other.names))
    here, there = (view.gateway(f.gateway).addresses for f in (one, other))
    pairs = ((mine, theirs) for mine in _sides(one) for theirs in _sides(other))
    return any(m.mirrors(t) and (m.peer in there or t.peer in here) for m, t in pairs)


@dataclass(frozen=True, slots=True)
class _Side:
    """One connection of a file: its networks and its peer."""

    selectors: Selectors | None
    peer: str | None

    def mirrors(self, other: "_Side") -> bool:
        return self.selectors is not None and self.selectors.mirrored() == other.selectors


def _sides(file: FileChange) -> list[_Side]:
    return [_Side(m.selectors(n), m.peer(n)) for m in file.meanings for n in m.names]


def in_waves(changes: Sequence[Change], canary: Sequence[str], words: Sequence[str]) -> tuple[tuple[Change, ...], ...]:
    """The changes of the canary gateways first, then as many as each word says: a number, a percentage, or `rest`."""
    first = tuple(c for c in changes if set(c.gateways) & set(canary))
    left = [c for c in changes if c not in first]
    whole = len(left)
    waves = [first] if first else []
    for word in words:
        count = _count(word, whole)
        waves.append(tuple(left[:count]))
        left = left[count:]
    return tuple(w for w in (*waves, tuple(left)) if w)


def _count(word: str, whole: int) -> int:
    number = word.removesuffix("%")
    if word == "rest":
        return whole
    if not number.isdecimal() or int(number) == 0:
        text = f"--waves {word!r} is no number, percentage or rest"
        raise OperatorError(text, kind="usage", obj="--waves", hint="such as --waves 1,25%,rest")
    return ceil(whole * int(number) / 100) if word.endswith("%") else int(number)


def in_rounds(changes: Iterable[Change], most: int) -> tuple[tuple[Change, ...], ...]:
    """The changes in rounds, each of `most` tunnels or one change, in which no machine has two; the earlier ones first."""
    rounds: list[list[Change]] = []
    for change in changes:
        small = (r for r in rounds if sum(len(c.tunnels) for c in (*r, change)) <= most)
        free = (r for r in small if not any(change.machines & other.machines for other in r))
        room = next(free, None)
        if room is None:
            rounds.append(room := [])
        room.append(change)
    return tuple(map(tuple, rounds))
