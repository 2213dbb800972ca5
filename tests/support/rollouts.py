"""A lab with the conf files of its inventory, which a test changes, and what its gateways have of a file.

The daemon's own state is read from the report that it writes at SIGUSR1, whole and with its keys, as nobody but root
could: the program under test never sees it.
"""

import os
import re
import shutil
import signal
from dataclasses import dataclass, field
from pathlib import Path

from servers import wait_for

from cli import Lab, Operator, Ran

PSK = "lab-psk-for-tests-only"


@dataclass
class Sources:
    """An inventory of the operator's own beside a lab: `edit` changes a text, `tunnel` adds to the inventory."""

    lab: Lab
    root: Path
    removed: list[str] = field(default_factory=list)
    confirm: str = "600s"

    def __post_init__(self) -> None:
        shutil.copytree(self.lab.root / "tunnels", self.root / "tunnels")
        self._toml = self.lab.inventory.read_text().replace('"known_hosts"', f'"{self.lab.root / "known_hosts"}"')
        self._write()

    @property
    def run(self) -> Operator:
        return self.lab.run.with_inventory(self.root / "inventory.toml")

    def apply(self, *words: str) -> Ran:
        return self.run(*self.words(*words))

    def words(self, *words: str) -> tuple[str, ...]:
        """What is typed for a rollout."""
        removing = (word for name in self.removed for word in ("--remove", name))
        forced = ("--force", "gateways-touched", "--force", "wakes-others", "--force", "lock")
        return ("rollout", "apply", *removing, *forced, "--confirm-within", self.confirm, "--yes", *words)

    def edit(self, gateway: str, name: str, *changes: tuple[str, str]) -> None:
        path = self.root / "tunnels" / gateway / name
        text = path.read_text()
        for old, new in changes:
            assert old in text, old
            text = text.replace(old, new)
        path.write_text(text)

    def add(self, gateway: str, name: str, text: str) -> None:
        path = self.root / "tunnels" / gateway / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(text)
        path.chmod(0o600)

    def tunnel(self, name: str, a: str, b: str, files: str = "") -> None:
        self._toml += f'\n[[tunnel]]\nname = "{name}"\na = {{ {a} }}\nb = {{ {b} }}\n{files}\n'
        self._write()

    def drop(self, tunnel: str, gateway: str, name: str) -> None:
        """The tunnel is the inventory's no more, and its file is to be removed."""
        blocks = re.split(r"(?m)^(?=\[\[tunnel\]\])", self._toml)
        self._toml = "".join(b for b in blocks if f'name = "{tunnel}"\n' not in b)
        (self.root / "tunnels" / gateway / name).unlink()
        self.removed.append(name)
        self._write()

    def _write(self) -> None:
        (self.root / "inventory.toml").write_text(self._toml)


@dataclass(frozen=True)
class Had:
    """What a gateway has of a file: its text, whether ipsec.conf includes it, and what the daemon has of it.

    That is its list, its sections, the key of its peer, and the transforms that are offered in either phase.
    """

    text: str | None
    included: bool
    listed: bool
    sections: frozenset[str]
    key: str | None
    quick: str | None
    main: str | None


def state_of(lab: Lab, gateway: str) -> str:
    """The daemon's whole state."""
    run = lab.files(gateway) / "run"
    report = run / "isakmpd.report"
    report.unlink(missing_ok=True)
    os.kill(int((run / "isakmpd.pid").read_text()), signal.SIGUSR1)
    wait_for(lambda: report.exists() and "[Phase 2]" in report.read_text(errors="replace"), "the daemon reports")
    text = report.read_text(errors="replace")
    report.unlink(missing_ok=True)
    return re.sub(r"(?m)^\d{6}\.\d{6} Report> ", "", text)


def had(lab: Lab, gateway: str, name: str, connection: str, peer: str) -> Had:
    """What there is of one file with one connection."""
    etc = lab.files(gateway) / "etc"
    path = etc / "IPsec" / name
    sections = {
        head: dict(re.findall(r"(?m)^([^=\n]+)=\t(.*)$", body))
        for head, body in re.findall(r"(?m)^\[([^\]\n]+)\]\n((?:(?!\[).*\n)*)", state_of(lab, gateway))
    }
    lists = sections.get("Phase 2", {})
    listed = any(connection in value.split(",") for value in lists.values())
    about = {s for s in sections if s in {connection, f"phase2-{connection}"}}
    protocol = sections.get(f"phase2-protocol-{connection}", {}) if connection in sections else {}
    return Had(
        text=path.read_text() if path.exists() else None,
        included=f'include "{path}"\n' in (etc / "ipsec.conf").read_text(),
        listed=listed,
        sections=frozenset(about),
        key=sections.get(f"peer-{peer}", {}).get("Authentication"),
        quick=protocol.get("Transforms"),
        main=sections.get(f"phase1-peer-{peer}", {}).get("Transforms"),
    )
