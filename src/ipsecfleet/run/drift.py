"""diff: every connection in four columns, and whether they agree: the inventory, the disk, the daemon, the kernel.

Loaded means: in the list that the file puts it in, with every section it is built from, and with the file's key, which is
compared by its hash. What ran before a file was changed keeps running, so each column can be right by itself.
"""

from collections.abc import Iterable

from ipsecfleet.errors import Exit, foremost
from ipsecfleet.isakmpd.deployed import Deployed, Meaning
from ipsecfleet.model.document import Document, DriftRow
from ipsecfleet.model.snapshot import Connection, Listing, Unknown
from ipsecfleet.model.tunnel import State
from ipsecfleet.plan.deploy import RolloutOptions, listed, tunnel_of
from ipsecfleet.plan.files import name_of
from ipsecfleet.plan.steps import FILE_LISTING
from ipsecfleet.run.carrying import Run
from ipsecfleet.run.scope import Scope, gateway_rows, troubles, unreachable_codes
from ipsecfleet.run.surveying import Sources, Surveyed, survey

EVERYTHING = RolloutOptions(remove=("*",))
"""Also what no tunnel of the inventory has is read."""

SAME = "yes"
UNREAD = "unknown"
GOOD = frozenset({State.UP, State.REKEYING, State.BACKUP})
"""States of an end that is as it should be; a CARP backup has nothing running."""


def diff(run: Run, sources: Sources) -> Document:
    """Everything where the four columns differ or not; 6 where they do."""
    surveyed = survey(run, sources, EVERYTHING)
    rows = tuple(row for gateway in surveyed.facts for row in _Drift(surveyed, gateway).rows())
    if run.selection.names_tunnels:
        names = {t for r in surveyed.comparison.rows for t in r.tunnels if r.state != "removed"}
        rows = tuple(row for row in rows if row.tunnel in names)
    scope = Scope.of(surveyed.view, surveyed.gateways, lambda v: v.tunnels)
    dark = unreachable_codes(scope, run.selection)
    code = foremost([*dark, *([Exit.FINDINGS] if any(r.differs for r in rows) else [])])
    return Document("diff", code, code.word, gateways=gateway_rows(scope), drift=rows, errors=troubles(scope))


class _Drift:
    """One gateway."""

    def __init__(self, surveyed: Surveyed, gateway: str) -> None:
        self.view = surveyed.view
        self.gateway = gateway
        self.facts = surveyed.facts[gateway]
        self.keys = surveyed.keys.get(gateway, {})
        self.wanted = {path: w for (g, path), w in surveyed.wanted.items() if g == gateway}
        self.there = {c.name: c for c in listed(self.view, gateway)}
        self.ends = {e.connection: (t.name, e) for t, e in self.view.ends_on(gateway)}

    def rows(self) -> Iterable[DriftRow]:
        told: set[str] = set()
        for path in dict.fromkeys((*self.wanted, *self.facts.stored)):
            stored = self.facts.stored.get(path)
            if stored is None and path not in self.wanted:
                continue
            for name, meaning in self._connections(path):
                told.add(name)
                yield self._row(name, meaning, path)
        for name in self.there:
            if name not in told:
                yield self._row(name, None, None)

    def _connections(self, path: str) -> Iterable[tuple[str, Meaning]]:
        """What the file makes, as the inventory has it and as it is there."""
        stored, tried = self.facts.stored.get(path), self.facts.tried.get(path)
        deployed = stored.meaning if isinstance(stored, Deployed) else None
        found: dict[str, Meaning] = {}
        for meaning in (deployed, tried):
            if isinstance(meaning, Meaning):
                found |= dict.fromkeys(meaning.names, meaning)
        return found.items()

    def _row(self, name: str, meaning: Meaning | None, path: str | None) -> DriftRow:
        tunnel, end = self.ends.get(name) or (self._called(name, meaning), None)
        inventory, deployed = self._in_inventory(name, path), self._on_disk(name, path)
        loaded, running = self._loaded(name, meaning), end.state.value if end is not None else "down"
        good = inventory == deployed == loaded == SAME and end is not None and end.state in GOOD
        file = None if path is None else name_of(path)
        return DriftRow(self.gateway, tunnel, name, file, inventory, deployed, loaded, running, differs=not good)

    def _called(self, name: str, meaning: Meaning | None) -> str:
        return name if meaning is None else tunnel_of(self.view, self.gateway, meaning, name)

    def _in_inventory(self, name: str, path: str | None) -> str:
        if path not in self.wanted:
            return "no"
        tried = self.facts.tried.get(path)
        return SAME if not isinstance(tried, Meaning) or name in tried.names else "no"

    def _on_disk(self, name: str, path: str | None) -> str:
        stored = self.facts.stored.get(path) if path is not None else None
        if isinstance(stored, Unknown):
            return UNREAD
        if stored is None or (isinstance(stored.meaning, Meaning) and name not in stored.meaning.names):
            return "no"
        if path in self.wanted and stored.digest != self.wanted[path].digest:
            return "other text"
        return SAME if path in self.facts.includes else "not included"

    def _loaded(self, name: str, meaning: Meaning | None) -> str:
        seen = self.view.seen(self.gateway)
        if seen is None or isinstance(seen.connections, Unknown):
            return UNREAD
        connection = self.there.get(name)
        if connection is None:
            return "no"
        if connection.listing.held:
            return "held"
        if meaning is None:
            return SAME
        return self._otherwise(connection, meaning) or SAME

    def _otherwise(self, connection: Connection, meaning: Meaning) -> str:
        """What the daemon has otherwise than the file."""
        name = connection.name
        where = next((FILE_LISTING.get(w, Listing.NONE) for w, n in meaning.connections if n == name), Listing.NONE)
        if connection.listing is not where:
            return "other list"
        if connection.missing is None:
            return UNREAD
        if connection.missing:
            return "in part"
        if connection.peer != meaning.peer(name):
            return "other peer"
        phase1 = str(meaning.phase1(name))
        key = meaning.sections.get(phase1, "Authentication")
        return "other key" if key is not None and self.keys.get(phase1.lower()) != key else ""
