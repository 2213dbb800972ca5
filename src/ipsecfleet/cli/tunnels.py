"""The conf files beside an inventory: read, parsed, and checked together, without any gateway."""

from collections.abc import Iterator
from pathlib import Path
from stat import S_IRWXG, S_IRWXO

from ipsecfleet.cli.session import read_text
from ipsecfleet.errors import Exit
from ipsecfleet.isakmpd import conf
from ipsecfleet.isakmpd.conf import Conf, ConfError
from ipsecfleet.model.document import Document, Finding
from ipsecfleet.model.fleet import Fleet
from ipsecfleet.plan.lint import files_of, lint


def check_files(fleet: Fleet, inventory: Path, folder: Path) -> Document:
    """Everything found in the files of `folder`; 6 where there is a problem or a warning."""
    paths = {path.name: path for path in sorted(folder.glob("*.conf"))}
    named = {name: gateway.name for gateway in fleet.gateways for name in files_of(fleet, gateway)}
    confs: dict[str, Conf] = {}
    found: list[Finding] = []
    for name, path in paths.items():
        try:
            confs[name] = conf.parse(read_text(path), path=f"{folder.name}/{name}", include=lambda _path: None)
        except ConfError as error:
            found.append(Finding(named.get(name), "problem", "syntax", error.message, error.hint))
        found += _of_file(path, f"{folder.name}/{name}", named.get(name))
    missing = (name for name in named if name not in paths)
    found += (_no_file(f"{folder.name}/{name}", named[name]) for name in missing)
    found += lint(fleet, confs)
    counts = f"{len(fleet.gateways)} gateways, {len(fleet.tunnels)} tunnels and {len(paths)} conf files"
    found.append(Finding(None, "info", str(inventory), counts))
    bad = any(f.severity != "info" for f in found)
    code = Exit.FINDINGS if bad else Exit.OK
    return Document("inventory check", code, code.word, findings=tuple(found))


def _of_file(path: Path, name: str, gateway: str | None) -> Iterator[Finding]:
    if path.stat().st_mode & (S_IRWXG | S_IRWXO):
        text = f"{name} holds keys, and others than its owner may touch it"
        yield Finding(gateway, "problem", "mode", text, f"chmod 0600 {path}")
    if gateway is None:
        yield Finding(None, "warning", "file", f"{name} belongs to no tunnel of the inventory")


def _no_file(name: str, gateway: str) -> Finding:
    return Finding(gateway, "warning", "file", f"there is no {name}, which the inventory has there")
