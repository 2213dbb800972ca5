"""The examples are what they say: each is read by the program that it is meant for."""

import json
import os
import re
import shutil
import subprocess
import sys
import tomllib

import pytest
from said import ROOT, commands_in, parse

from ipsecfleet.isakmpd import report, visit

EXAMPLES = ROOT / "examples"


def ipsecfleet(*words: str) -> tuple[int, str, str]:
    environment = {k: v for k, v in os.environ.items() if k != "IPSECFLEET_INVENTORY"}
    done = subprocess.run(
        [sys.executable, "-m", "ipsecfleet", *words],
        cwd=ROOT,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    return done.returncode, done.stdout, done.stderr


def test_the_conf_file_makes_one_connection() -> None:
    code, out, err = ipsecfleet("names", "examples/new-customer.conf", "-o", "json")
    document = json.loads(out)
    assert (code, err, document["warnings"]) == (0, "", [])
    (made,) = document["names"]
    assert (made["list"], made["connection"]) == ("Connections", "from-172.16.1.0/24-to-192.168.1.0/24")


def test_the_inventory_has_no_error_and_a_realistic_size() -> None:
    code, out, err = ipsecfleet("-i", "inventories/example", "inventory", "check")
    assert (code, err) == (0, "")
    assert "12 gateways and 40 tunnels, no error" in out
    tunnels = tomllib.loads((ROOT / "inventories" / "example" / "inventory.toml").read_text())["tunnel"]
    assert len(tunnels) == 40


def test_the_saved_report_is_understood_to_its_last_byte() -> None:
    read = report.parse((EXAMPLES / "isakmpd.result").read_bytes())
    assert read.unparsed == ()
    assert len(read.sas) == 28


@pytest.mark.parametrize("peer", ["10.2.2.1", "10.2.13.1", "10.2.14.1"])
def test_the_saved_report_gives_lines_for_each_peer(peer: str) -> None:
    code, out, err = ipsecfleet("lines", "--from-file", "examples/isakmpd.result", "-p", peer)
    *quick, main = out.splitlines()
    assert (code, err) == (0, "")
    assert all(re.fullmatch(r"echo t quick from-\S+ > /var/run/isakmpd\.fifo", line) for line in quick)
    assert quick
    assert main == f"echo t main peer-{peer} > /var/run/isakmpd.fifo"


def test_a_prefix_of_a_peer_gives_no_lines() -> None:
    code, out, _ = ipsecfleet("lines", "--from-file", "examples/isakmpd.result", "-p", "10.2.1.1")
    assert (code, "echo" in out) == (5, False)


def test_the_doas_rule_permits_exactly_what_a_visit_runs() -> None:
    rules = [line.lstrip("#") for line in (EXAMPLES / "doas.conf").read_text().splitlines() if "permit nopass" in line]
    permitted = {tuple(rule.split(" cmd ")[1].split()) for rule in rules}
    commands = [re.search(r"exec doas -n (\S+) ?(.*)'", visit.remote_command(p)) for p in ("doas", "restricted")]
    assert permitted == {(c[1], "args", *c[2].split()) for c in commands if c}


def test_the_doas_rules_are_good_to_doas() -> None:
    doas = shutil.which("doas")
    assert doas, "doas is missing: sh tests/setup/system.sh installs it"
    done = subprocess.run([doas, "-C", EXAMPLES / "doas.conf"], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")


def test_the_cron_line_calls_a_command_that_exists() -> None:
    (line,) = [text for text in (EXAMPLES / "crontab").read_text().splitlines() if text.startswith("* * * * *")]
    (words,) = commands_in(line.partition("\t")[2])
    words = words[: words.index(">")] if ">" in words else words
    assert parse(words) == "ipsecfleet show"
