"""Every command that a document shows is run, in its order, against a lab whose time runs fast.

What a document cannot know is put in: the names of runs and digests of plans as they came out, a gateway of the lab for
somebody's. A verb that would ask gets --yes, a run that is spread is spread over a tenth of the time, and what looks
again and again is ended by ^C.
"""

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from said import FENCE, ROOT

from cli import Lab, running_lab

SPEED = 60
MANUAL = "docs/ipsecfleet.1"
ASKING = re.compile(r"ipsecfleet (down|up|restart|rekey|apply|rollout apply|rollout rollback|runs resume|runs abort)\b")
CHANGING = re.compile(f"{ASKING.pattern}|ipsecfleet lab")
NOT_ASKED = ("--dry-run", "--yes", "--plan-out", "--from-snapshot")
RUN, DIGEST = re.compile(r"\b20\d{6}-\d{6}(?:-[0-9a-f]{4})?\b"), re.compile(r"sha256:[0-9a-f]{64}")
ELSEWHERE = re.compile(r"\b(?:ipsec)?ops@gw\.example\.net(?::\d+)?")

ALLOWED = {0, 6}
OTHERWISE = {
    "customer-6": {0, 1, 6},  # its peer refuses it until the lab's faults are off
    "rekey -A": {4},  # some tunnels of the hubs are begun by their peers alone
    "up -g hub-ams1": {0, 1},  # customer-6 is one of his
    "customer-4": {0, 1},  # between two visits of ours his peer tries again, so fast is the lab's time
    "lines --from-file": {0, 5},  # the example has other peers
    "rollout rollback": {5},  # the run that there is was none
}
"""What may come of some of them, by a part of the line."""


@dataclass
class Reader:
    """Somebody who types what a document shows, in a folder with the lab, the examples and the inventory."""

    folder: Path
    environment: dict[str, str]
    run: str = "20261123-203144"
    digest: str = ""
    typed: set[str] = field(default_factory=set)

    def type(self, line: str) -> str:
        """Run it, unless it was run and changes nothing; what is wrong with how it ended, or nothing."""
        if line in self.typed and not CHANGING.search(line):
            return ""
        self.typed.add(line)
        done = self.sh(self._put_in(line))
        said = done.stdout + done.stderr
        self.digest = next(iter(DIGEST.findall(said)), self.digest)
        self.run = self._newest() or self.run
        allowed = next((codes for part, codes in OTHERWISE.items() if part in line), ALLOWED)
        if done.returncode in allowed and "Traceback" not in said and "(a bug" not in said:
            return ""
        return f"{line}\n  exit {done.returncode}: {said[-600:]}"

    def sh(self, line: str) -> "subprocess.CompletedProcess[str]":
        command = ["/bin/sh", "-c", line]
        how = {"cwd": self.folder, "env": self.environment, "capture_output": True, "text": True}
        return subprocess.run(command, **how, check=False, timeout=300)

    def _put_in(self, line: str) -> str:
        line = DIGEST.sub(lambda _found: self.digest, RUN.sub(lambda _found: self.run, line))
        line = ELSEWHERE.sub("hub-fra1", line).replace("/var/run/isakmpd.result", "examples/isakmpd.result")
        line = re.sub(r"--from-file isakmpd\.result", "--from-file examples/isakmpd.result", line)
        if ASKING.search(line) and not any(word in line for word in NOT_ASKED):
            line = re.sub(r"(ipsecfleet [^|;]*)", r"\1 --yes", line, count=1)
        line = re.sub(r"--spread (\d+)m", lambda found: f"--spread {int(found[1]) * 6}s", line)
        if re.search(r"ipsecfleet rollout (apply|rollback)", line):
            line += " --confirm-within 10m"  # a minute of this lab is one second
        if "ipsecfleet trust" in line:
            line += " --dry-run"
        if "ipsecfleet lab up" in line:
            line = f"ipsecfleet lab down --dir another; {line} --dir another"
        if "ipsecfleet lab down" in line and "--dir" not in line:
            line += " --dir another"
        return f"timeout --foreground --preserve-status -s INT 4 {line}" if "--watch" in line else line

    def _newest(self) -> str:
        runs = sorted(p.name for p in (Path(self.environment["XDG_STATE_HOME"]) / "ipsecfleet/runs").glob("2*"))
        return runs[-1] if runs else ""


def sections() -> Iterator[tuple[str, list[str]]]:
    """Each section of a document in which somebody would type a call of this program, and the lines."""
    for path in ("README.md", *sorted(str(p.relative_to(ROOT)) for p in (ROOT / "docs").glob("*.md"))):
        for part in re.split(r"^## ", (ROOT / path).read_text(encoding="utf-8"), flags=re.MULTILINE):
            yield f"{path}: {part.partition(chr(10))[0]}", [*_lines("".join(FENCE.findall(part)))]
    yield MANUAL, [*_lines((ROOT / MANUAL).read_text(encoding="utf-8"))]


def _lines(text: str) -> Iterator[str]:
    for line in text.replace("\\\n", " ").splitlines():
        if line.startswith("$ ") and "ipsecfleet" in line and not line.startswith(("$ export", "$ doas")):
            yield line.removeprefix("$ ")


SECTIONS = {where: lines for where, lines in sections() if lines}


@pytest.fixture
def fast(tmp_path: Path) -> Iterator[Lab]:
    for name in ("examples", "inventories"):
        shutil.copytree(ROOT / name, tmp_path / name)
    with running_lab(tmp_path / "lab", tmp_path / "home", speed=SPEED, gateways=8) as running:
        yield running
    another = tmp_path / "another"
    if another.is_dir():
        running.run("lab", "down", "--dir", str(another))


def test_the_documents_show_commands() -> None:
    assert len({line for lines in SECTIONS.values() for line in lines}) > 80


@pytest.mark.lab
@pytest.mark.parametrize("where", SECTIONS)
def test_every_command_of_a_section_runs(fast: Lab, tmp_path: Path, where: str) -> None:
    program = tmp_path / "bin" / "ipsecfleet"
    program.parent.mkdir()
    program.write_text(f'#!/bin/sh\nexec {sys.executable} -m ipsecfleet "$@"\n')
    program.chmod(0o755)
    own = {"PATH": f"{program.parent}:{os.environ['PATH']}", "IPSECFLEET_INVENTORY": str(fast.inventory)}
    reader = Reader(tmp_path, fast.run.environment | own)
    if any(map(RUN.search, SECTIONS[where])):
        reader.sh("ipsecfleet down -t customer-1 --yes")  # the run that it speaks of
    assert [said for said in map(reader.type, SECTIONS[where]) if said] == []
