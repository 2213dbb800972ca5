"""names: what ipsecctl would name the rules of conf files, without a gateway."""

from collections.abc import Iterable
from pathlib import Path

from ipsecfleet.cli.session import read_text
from ipsecfleet.errors import OperatorError
from ipsecfleet.isakmpd import conf
from ipsecfleet.model.document import Document, NameRow


def names(files: Iterable[Path]) -> Document:
    """One row for each rule as ipsecctl expands it, and a warning where a name is not what it seems."""
    rows: list[NameRow] = []
    warnings: list[OperatorError] = []
    for path in files:
        read = conf.parse(read_text(path), path=str(path), include=_included)
        rows += [NameRow(r.file, r.line, r.list, r.connection, r.phase1) for r in read.rules]
        warnings += [OperatorError(str(w), kind="conf", obj=str(path)) for w in read.warnings]
        warnings += [_resolved_there(rule) for rule in read.rules if rule.depends_on_gateway]
    return Document("names", names=tuple(rows), warnings=tuple(warnings))


def _included(name: str) -> str | None:
    path = Path(name)
    return read_text(path) if path.is_file() else None


def _resolved_there(rule: conf.Rule) -> OperatorError:
    return OperatorError(
        f"{rule.file}: {rule.line}: {rule.connection} has a word that only the gateway resolves to its real name",
        kind="conf",
        obj=rule.file,
        hint="ipsecctl -d -n -v -f FILE tells it there",
    )
