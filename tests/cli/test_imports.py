"""What answers offline answers at once: it imports nothing that is for SSH, and tabulate only for a table."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
CONF, REPORT = str(ROOT / "examples/new-customer.conf"), str(ROOT / "examples/isakmpd.result")
HEAVY = {"fabric", "paramiko", "invoke", "pydantic", "rich", "tabulate", "asyncssh", "asyncio", "jsonschema"}

PROGRAM = """\
import sys
from ipsecfleet.cli.app import run
code = run(sys.argv[1:])
sys.stderr.write("\\n".join(["", "MODULES", *sys.modules]))
sys.exit(code)
"""


def modules(*words: str, code: int = 0) -> set[str]:
    """What a command has imported at its end."""
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, *words],
        cwd=ROOT, env={"PATH": os.environ["PATH"], "HOME": "/nonexistent"}, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == code, done
    _, marker, names = done.stderr.partition("MODULES\n")
    assert marker
    assert "ipsecfleet.cli.app" in names.split()
    return set(names.split())


def imported(*words: str, code: int = 0) -> set[str]:
    """The heavy packages among that."""
    return HEAVY & {module.partition(".")[0] for module in modules(*words, code=code)}


@pytest.mark.parametrize("words", [["--help"], ["down", "--help"], ["--version"]], ids=" ".join)
def test_help_needs_the_options_alone(words: list[str]) -> None:
    ours = {module.split(".")[1] for module in modules(*words) if module.startswith("ipsecfleet.")}
    assert ours == {"cli", "errors"}


@pytest.mark.parametrize(
    "words",
    [
        ["--help"],
        ["down", "--help"],
        ["--version"],
        ["names", CONF, "-o", "plain"],
        ["names", CONF, "-o", "json"],
        ["lines", "--from-file", REPORT, "--peer", "10.2.2.1"],
        ["lines", "--from-file", REPORT, "--peer", "10.2.2.1", "-o", "plain"],
        ["show", "sas", "--from-file", REPORT, "-o", "plain"],
    ],
    ids=" ".join,
)
def test_what_is_offline_imports_nothing_heavy(words: list[str]) -> None:
    assert imported(*words) == set()


@pytest.mark.parametrize("words", [["names", CONF], ["show", "sas", "--from-file", REPORT]], ids=" ".join)
def test_only_a_table_needs_tabulate(words: list[str]) -> None:
    assert imported(*words) == {"tabulate"}


def test_a_number_within_bounds_is_left_to_typer() -> None:
    assert imported("names", CONF, "-f", "0", "-o", "plain", code=2) == {"pydantic"}


def test_what_goes_over_ssh_does_import_it(tmp_path: Path) -> None:
    """So that this looks at the right modules; fabric is for what is not reached directly with a key from a file."""
    inventory = 'schema = 1\nfleet = "x"\n[gateway.a]\naddress = "127.0.0.1"\nport = 1\nidentity = "{}"\n'
    key = tmp_path / "id"
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", key], check=True)
    (tmp_path / "inventory.toml").write_text(inventory.format(key))
    fast = imported("show", "-i", str(tmp_path), code=3)
    assert "paramiko" in fast
    assert "fabric" not in fast
    (tmp_path / "inventory.toml").write_text(inventory.format(key) + 'jump = "ops@localhost:2"\n')
    assert {"fabric", "paramiko"} <= imported("show", "-i", str(tmp_path), code=3)
