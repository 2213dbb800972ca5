"""Completion in the shells themselves: they read in what the program prints, and complete a line."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
EXAMPLE = ROOT / "inventories" / "example"


@pytest.fixture
def environment(tmp_path: Path) -> dict[str, str]:
    """A PATH with our program, the example's inventory, and no network to reach anybody by."""
    program = tmp_path / "bin" / "ipsecfleet"
    program.parent.mkdir()
    program.write_text(f'#!/bin/sh\nexec {sys.executable} -m ipsecfleet "$@"\n')
    program.chmod(0o755)
    paths = f"{program.parent}:{os.environ['PATH']}"
    return {"PATH": paths, "HOME": str(tmp_path), "IPSECFLEET_INVENTORY": str(EXAMPLE), "LC_ALL": "C.UTF-8"}


def said(environment: dict[str, str], *command: str) -> str:
    done = subprocess.run(command, env=environment, cwd=ROOT, capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 0, done
    return done.stdout


def script(environment: dict[str, str], shell: str) -> str:
    if shutil.which({"ksh": "mksh"}.get(shell, shell), path=environment["PATH"]) is None:
        pytest.fail(f"{shell} is not installed, and this test is about it: run `make setup`", pytrace=False)
    return said(environment, "ipsecfleet", "completion", shell)


def completed(environment: dict[str, str], shell: str, line: str) -> set[str]:
    """The words by which a shell would complete the line."""
    words = line.split(" ")
    text = script(environment, shell)
    if shell == "bash":
        quoted = " ".join(f"'{word}'" for word in words)
        call = f'COMP_WORDS=({quoted}); COMP_CWORD={len(words) - 1}; _ipsecfleet_completion ipsecfleet; printf "%s\\n" "${{COMPREPLY[@]}}"'
        return set(said(environment, "bash", "--norc", "-c", f"{text}\n{call}").split())
    if shell == "fish":
        return {
            found.split("\t")[0]
            for found in said(environment, "fish", "-c", f"{text}\ncomplete -C '{line}'").splitlines()
        }
    call = f"words=({' '.join(words)}); CURRENT={len(words)}; _arguments() {{ print -r -- $@ }}; _ipsecfleet_completion"
    shown = said(environment, "zsh", "-f", "-c", f"compdef() {{ }}\n{text}\n{call}")
    return {word.split(":")[0].strip('"') for word in shown.replace("*: :((", "").replace("))", "").split()}


@pytest.mark.parametrize("shell", ["bash", "fish", "zsh"])
def test_verbs_options_and_names_are_completed(environment: dict[str, str], shell: str) -> None:
    assert {"diagnose", "diff"} <= completed(environment, shell, "ipsecfleet di")
    assert completed(environment, shell, "ipsecfleet show -t customer-1") >= {"customer-1", "customer-10"}
    assert completed(environment, shell, "ipsecfleet down --gateway hub-f") >= {"hub-fra1", "hub-fra2"}
    assert "--debug-class" in completed(environment, shell, "ipsecfleet diagnose --deb")


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("ipsecfleet down -G nor", {"nordic"}),
        ("ipsecfleet show -p 10.2.10", {"10.2.10.1"}),
        ("ipsecfleet up -x br-o", {"br-oslo"}),
        ("ipsecfleet show --state half", {"half-up"}),
        ("ipsecfleet show tun", {"tunnels"}),
        ("ipsecfleet show -o nd", {"ndjson"}),
        ("ipsecfleet down --force own", {"own-session"}),
        ("ipsecfleet lab fault peer-s", {"peer-silent"}),
        ("ipsecfleet completion z", {"zsh"}),
        ("ipsecfleet -i /nonexistent down -t cust", set()),
    ],
)
def test_what_an_option_takes_is_completed(environment: dict[str, str], line: str, words: set[str]) -> None:
    assert completed(environment, "bash", line) == words


def test_the_inventory_that_is_named_is_the_one(environment: dict[str, str], tmp_path: Path) -> None:
    mine = tmp_path / "mine.toml"
    mine.write_text('schema = 1\nfleet = "mine"\n\n[gateway.gw-mine]\naddress = "192.0.2.1"\nike = ["10.1.1.1"]\n')
    assert completed(environment, "bash", f"ipsecfleet show -i {mine} -g gw") == {"gw-mine"}
    assert completed(environment, "bash", f"ipsecfleet -i {mine} show -g gw") == {"gw-mine"}
    mine.write_text("this is no inventory")
    assert completed(environment, "bash", f"ipsecfleet show -i {mine} -g gw") == set()


def test_the_arrays_of_ksh(environment: dict[str, str]) -> None:
    text = script(environment, "ksh")
    show = 'for w in "${complete_ipsecfleet_1[@]}"; do echo "1 $w"; done; for w in "${complete_ipsecfleet[@]}"; do echo "* $w"; done'
    words = set(said(environment, "mksh", "-c", f"{text}\n{show}").splitlines())
    assert {
        "1 diagnose",
        "1 rollout",
        "* --all-gateways",
        "* customer-1",
        "* hub-fra1",
        "* nordic",
        "* 10.2.10.1",
    } <= words
    assert max(map(len, text.splitlines())) <= 110


def test_another_shell_is_none(environment: dict[str, str]) -> None:
    done = subprocess.run(
        ["ipsecfleet", "completion", "csh"], env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 2
    assert "there are bash, zsh, fish, ksh" in done.stderr


@pytest.mark.parametrize("line", ["ipsecfleet show -t cust", "ipsecfleet down -g h"])
def test_to_complete_is_quick_and_needs_no_way_to_a_gateway(environment: dict[str, str], line: str) -> None:
    words = line.split(" ")
    asks = {"COMP_WORDS": line, "COMP_CWORD": str(len(words) - 1), "_IPSECFLEET_COMPLETE": "complete_bash"}
    program = (
        "import sys\nfrom ipsecfleet.cli.app import run\n"
        "try:\n    run([])\nfinally:\n    print('paramiko' in sys.modules, 'fabric' in sys.modules)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], env=environment | asks, cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert done.stdout.splitlines()[-1] == "False False"
