"""Where a lab keeps its things, below one directory of the operator's choice.

    DIR/inventory.toml known_hosts id_ed25519     what ipsecfleet needs to reach the lab
    DIR/tunnels/NAME/*.conf                       the conf files of its gateways, as an inventory has them
    DIR/lab.pid lab.log lab.sock                  the background process: held locked while it lives, its log, its ear
    DIR/gateways/NAME/{run,etc,bin,log}           what a gateway has in /var/run, /etc, on its PATH and in /var/log
    DIR/gateways/NAME/{events.jsonl,faults/}      what happened there, the faults that its stand-ins heed

`run` exists only while the lab does: the SIGUSR1 report of a gateway holds every pre-shared key.
"""

import shutil
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class GatewayDir:
    """The files of one simulated gateway."""

    root: Path

    @property
    def run(self) -> Path:
        return self.root / "run"

    @property
    def etc(self) -> Path:
        return self.root / "etc"

    @property
    def bin(self) -> Path:
        return self.root / "bin"

    @property
    def log(self) -> Path:
        return self.root / "log"

    @property
    def daemon_log(self) -> Path:
        return self.log / "daemon"

    @property
    def events(self) -> Path:
        return self.root / "events.jsonl"

    @property
    def faults(self) -> Path:
        return self.root / "faults"

    @property
    def fifo(self) -> Path:
        return self.run / "isakmpd.fifo"

    @property
    def result(self) -> Path:
        return self.run / "isakmpd.result"

    @property
    def report(self) -> Path:
        return self.run / "isakmpd.report"

    @property
    def pid(self) -> Path:
        return self.run / "isakmpd.pid"

    @property
    def run_lock(self) -> Path:
        return self.run / "ipsecfleet/run"

    @property
    def conf(self) -> Path:
        return self.etc / "ipsec.conf"

    @property
    def conf_dir(self) -> Path:
        return self.etc / "IPsec"


@dataclass(frozen=True, slots=True)
class LabDir:
    """The files of a whole lab."""

    root: Path

    @property
    def inventory(self) -> Path:
        return self.root / "inventory.toml"

    @property
    def tunnels(self) -> Path:
        return self.root / "tunnels"

    @property
    def known_hosts(self) -> Path:
        return self.root / "known_hosts"

    @property
    def identity(self) -> Path:
        return self.root / "id_ed25519"

    @property
    def pid(self) -> Path:
        return self.root / "lab.pid"

    @property
    def log(self) -> Path:
        return self.root / "lab.log"

    @property
    def socket(self) -> Path:
        return self.root / "lab.sock"

    @property
    def gateways(self) -> Path:
        return self.root / "gateways"

    def gateway(self, name: str) -> GatewayDir:
        """The files of the gateway of that name."""
        return GatewayDir(self.gateways / name)

    def clear(self) -> None:
        """Remove what an earlier lab left of its gateways."""
        shutil.rmtree(self.gateways, ignore_errors=True)
        shutil.rmtree(self.tunnels, ignore_errors=True)
        self.socket.unlink(missing_ok=True)

    def remove_run(self) -> None:
        """Remove what must not outlive the lab: every `run`, the socket, the pid file."""
        for run in self.gateways.glob("*/run"):
            shutil.rmtree(run, ignore_errors=True)
        self.socket.unlink(missing_ok=True)
        self.pid.unlink(missing_ok=True)
