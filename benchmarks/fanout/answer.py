"""What server.go answers: a real answer of the visit program, from a lab gateway with a report of 20 KB."""

import shutil
from pathlib import Path

from ipsecfleet.cli.inventories import load_fleet
from ipsecfleet.isakmpd.verbs import Exchanges, Flows, Host, Report, Sad
from ipsecfleet.isakmpd.visit import Call, Request, decode
from ipsecfleet.lab import api as lab
from ipsecfleet.transport import SshTransport, Visit

NONCE = "0123456789abcdef0123456789abcdef"
VERBS = (Host(), Report(), Flows(), Sad(), Exchanges(only_if_needed=True))
TUNNELS = 56
SIZE = 20_480


def write_answers(home: Path) -> None:
    """`report`, what `cat` gives, and `answer`, what a visit gives, with NONCE for its nonce."""
    said = _visited(home / "lab")
    report = decode(said, NONCE, VERBS).last("report").body
    if len(report) < SIZE:
        raise SystemExit(f"the lab's report has {len(report)} bytes, too few")
    (home / "report").write_bytes(report[:SIZE])
    (home / "answer").write_bytes(said.replace(NONCE.encode(), b"NONCE"))


def _visited(folder: Path) -> bytes:
    lab.up(folder, gateways=2, tunnels=TUNNELS)
    try:
        gateway = load_fleet(folder / "inventory.toml").gateways[0]
        paths = gateway.paths
        request = Request(NONCE, VERBS, paths.run, paths.etc, paths.bin)
        call = Call.of(request, gateway.privilege)
        with SshTransport() as transport:
            return transport.visit(Visit(gateway, call.command, call.stdin, 20.0, 1 << 20)).stdout
    finally:
        lab.down(folder)
        shutil.rmtree(folder, ignore_errors=True)
