"""With a paramiko that the fast path does not know all goes by the general one, and one line says so.

`make strange` plays the whole suite so; here the contract is played.
"""

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import strange

ROOT = Path(__file__).parents[2]


@pytest.fixture
def environment(tmp_path: Path) -> dict[str, str]:
    return {**os.environ, "PYTHONPATH": str(strange.make(tmp_path / "strange")), "HOME": str(tmp_path)}


def test_the_contract_is_kept(environment: dict[str, str]) -> None:
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "tests/transport/test_contract.py"]
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout
    assert "passed" in done.stdout


def test_one_line_says_so_however_many_gateways(environment: dict[str, str], sshd: Any, tmp_path: Path) -> None:
    head = f'schema = 1\nfleet = "x"\n[defaults]\nport = {sshd.port}\nidentity = "{sshd.identity}"\n'
    known = f'known_hosts = "{sshd.home}/known_hosts"\nprivilege = "none"\n'
    gateways = "".join(f'[gateway.g{n}]\naddress = "127.0.0.{n + 1}"\n' for n in range(3))
    (tmp_path / "inventory.toml").write_text(head + known + gateways)
    command = [sys.executable, "-m", "ipsecfleet", "show", "gateways", "-i", str(tmp_path), "-o", "plain"]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert len(done.stdout.splitlines()) == 4
    assert done.stderr.count(strange.WARNING) == 1
    quiet = subprocess.run([*command, "-q"], env=environment, capture_output=True, text=True, check=False)
    assert strange.WARNING not in quiet.stderr
