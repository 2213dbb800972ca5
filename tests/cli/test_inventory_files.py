"""`inventory check` with conf files beside the inventory."""

import subprocess
import sys
from pathlib import Path

FLEET = """
schema = 1
[gateway.hub]
address = "198.51.100.1"
ike = ["10.1.2.2"]
[[tunnel]]
name = "customer-1"
a = { gateway = "hub", networks = ["172.16.1.0/24"] }
b = { peer = "10.2.1.1", networks = ["192.168.1.0/24"] }
"""
RULE = 'ike active esp from 172.16.1.0/24 to 192.168.1.0/24 peer 10.2.1.1 psk "a-secret"\n'


def check(folder: Path, **files: tuple[str, int]) -> tuple[int, str]:
    (folder / "inventory.toml").write_text(FLEET)
    (folder / "tunnels").mkdir()
    for name, (text, mode) in files.items():
        path = folder / "tunnels" / f"{name.replace('_', '-')}.conf"
        path.write_text(text)
        path.chmod(mode)
    command = [sys.executable, "-m", "ipsecfleet", "-i", str(folder), "inventory", "check", "-o", "plain"]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
    assert "a-secret" not in done.stdout + done.stderr
    return done.returncode, done.stdout


def test_all_is_well(tmp_path: Path) -> None:
    code, out = check(tmp_path, customer_1=(RULE, 0o600))
    assert (code, out.splitlines()[1:]) == (
        0,
        [f"\tinfo\t{tmp_path / 'inventory.toml'}\t1 gateways, 1 tunnels and 1 conf files\t"],
    )


def test_files_that_are_not_there_not_named_not_parsed_or_open_to_others(tmp_path: Path) -> None:
    code, out = check(tmp_path, stray=(RULE, 0o644), broken=("ike active esp from\n", 0o600))
    rows = [tuple(line.split("\t")[:4]) for line in out.splitlines()[1:]]
    assert code == 6
    assert [row[:3] for row in rows if row[3].startswith("tunnels/broken.conf: ")] == [("", "problem", "syntax")]
    assert ("", "problem", "mode", "tunnels/stray.conf holds keys, and others than its owner may touch it") in rows
    assert ("", "warning", "file", "tunnels/stray.conf belongs to no tunnel of the inventory") in rows
    assert ("hub", "warning", "file", "there is no tunnels/customer-1.conf, which the inventory has there") in rows
