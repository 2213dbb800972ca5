"""runs list, runs show: what was done before, told from the journals."""

from collections import Counter

from ipsecfleet.model.document import Document, EventRow, RunRow
from ipsecfleet.run.event import Kind
from ipsecfleet.run.journal import Archive, Entry, Kept


def runs_list(archive: Archive) -> Document:
    """All runs, the newest last."""
    return Document("runs list", runs=tuple(_row(kept) for kept in archive.runs()))


def runs_show(archive: Archive, name: str) -> Document:
    """The story of one run."""
    kept = archive.run(name)
    return Document("runs show", run=kept.run, runs=(_row(kept),), events=tuple(map(_event, kept.entries)))


def _row(kept: Kept) -> RunRow:
    """A run in one line; `tunnels` are those that steps are told of."""
    counts = Counter(e.event.state for e in kept.entries if e.event.kind is Kind.STEP)
    tunnels = dict.fromkeys(e.event.tunnel for e in kept.entries if e.event.tunnel is not None)
    return RunRow(
        run=kept.run,
        command=kept.command,
        result=kept.result,
        began=kept.entries[0].at if kept.entries else None,
        ended=kept.entries[-1].at if kept.entries and not kept.alive else None,
        tunnels=tuple(tunnels),
        steps={str(state): number for state, number in sorted(counts.items(), key=str)},
        torn=kept.torn,
    )


def _event(entry: Entry) -> EventRow:
    e = entry.event
    return EventRow(entry.at, e.kind.value, e.text, e.gateway, e.tunnel, e.action, e.state)
