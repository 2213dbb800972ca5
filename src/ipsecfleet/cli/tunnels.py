"""The conf files beside an inventory: found, read, parsed, and checked together, without any gateway.

tunnels/customer-1.conf             what every gateway gets that has a customer-1.conf by the inventory
tunnels/br-oslo/fra.conf            what br-oslo gets instead of tunnels/fra.conf
tunnels/customer-1.secrets          macros such as key = "...", read before the .conf of that name in that folder
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from stat import S_IRWXG, S_IRWXO

from ipsecfleet.cli.session import read_text
from ipsecfleet.errors import Exit, OperatorError
from ipsecfleet.isakmpd import conf
from ipsecfleet.isakmpd.conf import Conf, ConfError
from ipsecfleet.model.document import Document, Finding
from ipsecfleet.model.fleet import Fleet
from ipsecfleet.model.secret import Secret
from ipsecfleet.model.source import Source
from ipsecfleet.plan.files import files_of
from ipsecfleet.plan.lint import lint

FOLDER = "tunnels"
SECRETS = ".secrets"


@dataclass(frozen=True, slots=True)
class Sources:
    """The conf files by gateway and name there, and everything found in them."""

    files: dict[tuple[str, str], Source] = field(default_factory=dict)
    found: tuple[Finding, ...] = ()

    @property
    def problems(self) -> tuple[Finding, ...]:
        return tuple(f for f in self.found if f.severity == "problem")


def sources(fleet: Fleet, inventory: Path | None) -> Sources:
    """What is beside the inventory; OperatorError where there is none, or nothing beside it."""
    folder = inventory.parent / FOLDER if inventory is not None else None
    if folder is None or not folder.is_dir():
        where = f"{folder} is not there" if folder is not None else "there is no inventory"
        hint = "conf files stand beside inventory.toml, in the folder tunnels"
        raise OperatorError(f"there are no conf files to roll out: {where}", kind="inventory", hint=hint)
    return _Reader(fleet, folder).all()


def check_files(fleet: Fleet, inventory: Path) -> Document:
    """Everything found in the files beside the inventory; 6 where there is a problem or a warning."""
    read = sources(fleet, inventory)
    count = len({s.label for s in read.files.values()})
    counts = f"{len(fleet.gateways)} gateways, {len(fleet.tunnels)} tunnels and {count} conf files"
    found = (*read.found, Finding(None, "info", str(inventory), counts))
    bad = any(f.severity != "info" for f in found)
    code = Exit.FINDINGS if bad else Exit.OK
    return Document("inventory check", code, code.word, findings=found)


class _Reader:
    """One reading of the folder; what it finds is kept in order."""

    def __init__(self, fleet: Fleet, folder: Path) -> None:
        self.fleet = fleet
        self.folder = folder
        self.read: dict[Path, Source] = {}
        self.confs: dict[Path, Conf | None] = {}
        self.found: list[Finding] = []

    def all(self) -> Sources:
        files: dict[tuple[str, str], Source] = {}
        confs: dict[tuple[str, str], Conf] = {}
        for gateway in self.fleet.gateways:
            for name in files_of(self.fleet, gateway):
                path = self._path(gateway.name, name)
                if path is None:
                    text = f"there is no {self.folder.name}/{name}, which the inventory has there"
                    self.found.append(Finding(gateway.name, "warning", "file", text))
                    continue
                files[gateway.name, name] = self._source(gateway.name, path)
                parsed = self.confs[path]
                if parsed is not None:
                    confs[gateway.name, name] = parsed
        self.found += list(self._strangers())
        return Sources(files, (*self.found, *lint(self.fleet, confs)))

    def _path(self, gateway: str, name: str) -> Path | None:
        return next((p for p in (self.folder / gateway / name, self.folder / name) if p.is_file()), None)

    def _source(self, gateway: str | None, path: Path) -> Source:
        if path not in self.read:
            beside = path.with_suffix(SECRETS)
            own, secrets = read_text(path), read_text(beside) if beside.is_file() else None
            head = None if secrets is None else (self._label(beside), secrets)
            self.read[path] = Source(
                self._label(path), Secret(own), head[0] if head else "", Secret(secrets) if secrets else None
            )
            self.confs[path] = self._parsed(gateway, path, own, head)
            self.found += self._modes(gateway, path, beside if head else None)
        return self.read[path]

    def _parsed(self, gateway: str | None, path: Path, text: str, head: tuple[str, str] | None) -> Conf | None:
        try:
            return conf.parse(text, path=self._label(path), include=lambda _path: None, before=head)
        except ConfError as error:
            self.found.append(Finding(gateway, "problem", "syntax", error.message, error.hint))
            return None

    def _modes(self, gateway: str | None, path: Path, secrets: Path | None) -> Iterator[Finding]:
        for file in filter(None, (path, secrets)):
            if file.stat().st_mode & (S_IRWXG | S_IRWXO):
                text = f"{self._label(file)} holds keys, and others than its owner may touch it"
                yield Finding(gateway, "problem", "mode", text, f"chmod 0600 {file}")

    def _strangers(self) -> Iterator[Finding]:
        for path in sorted([*self.folder.glob("*.conf"), *self.folder.glob("*/*.conf")]):
            if path not in self.read:
                self._source(None, path)
                yield Finding(None, "warning", "file", f"{self._label(path)} belongs to no tunnel of the inventory")

    def _label(self, path: Path) -> str:
        return str(path.relative_to(self.folder.parent))
