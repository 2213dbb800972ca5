"""What the documents show: every command exists, what needs no gateway prints what stands there, the demo is told right."""

import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest
from said import FENCE, ROOT, commands_in, commands_of, parse

DOCUMENTS = (
    "README.md",
    "docs/concepts.md",
    "docs/safety.md",
    "docs/recipes.md",
    "docs/staggering.md",
    "docs/diagnosing.md",
    "docs/reaching.md",
)
WITH_COMMANDS = ("README.md", "docs/safety.md", "docs/recipes.md", "docs/staggering.md")
LINK = re.compile(r"\]\(([^)#:]+)\)")
README = (ROOT / "README.md").read_text(encoding="utf-8")
DEMO = (ROOT / "examples" / "demo.py").read_text(encoding="utf-8")


STAGGERING = (ROOT / "docs" / "staggering.md").read_text(encoding="utf-8")


def shown() -> list[tuple[str, str]]:
    """Every command of the README, and of what a simulation said, with what stands below it."""
    found = []
    for block in FENCE.findall(README + STAGGERING):
        parts = re.split(r"^\$ ", block, flags=re.MULTILINE)[1:]
        found += [(command, output) for command, _, output in (part.partition("\n") for part in parts)]
    return found


OFFLINE = [
    (c, o)
    for c, o in shown()
    if o and re.search(r"ipsecfleet (names|lines --from-file|show sas --from-file|lab simulate)", c)
]


@pytest.mark.parametrize("path", DOCUMENTS)
def test_every_command_shown_is_one(path: str) -> None:
    for words in commands_of(ROOT / path):
        assert parse(words).startswith("ipsecfleet "), words


def test_the_man_page_shows_commands_too() -> None:
    text = (ROOT / "docs" / "ipsecfleet.1").read_text(encoding="utf-8")
    found = list(commands_in("\n".join(re.findall(r"^\$ .*$", text, re.MULTILINE))))
    assert len(found) >= 10
    assert all(parse(words) for words in found)


@pytest.mark.parametrize("words", [["dwn"], ["down", "--bogus"], ["lab", "nothing"]])
def test_a_command_that_does_not_exist_is_noticed(words: list[str]) -> None:
    with pytest.raises(Exception, match="No such"):
        parse(words)


def test_there_are_commands_to_hold_to() -> None:
    assert all(len(commands_of(ROOT / path)) > 0 for path in ("README.md", "docs/recipes.md"))
    assert len(OFFLINE) >= 2


@pytest.mark.parametrize(("command", "output"), OFFLINE, ids=[c for c, _ in OFFLINE])
def test_what_needs_no_gateway_prints_what_is_shown(command: str, output: str) -> None:
    program = f"{shlex.quote(sys.executable)} -m ipsecfleet"
    line = command.replace("ipsecfleet", program, 1)
    environment = {k: v for k, v in os.environ.items() if k != "IPSECFLEET_INVENTORY"}
    done = subprocess.run(
        ["/bin/sh", "-c", line], cwd=ROOT, env=environment, capture_output=True, text=True, check=True
    )
    assert done.stdout == output


@pytest.mark.parametrize("path", [*DOCUMENTS, "benchmarks/README.md", "inventories/example/README.md"])
def test_links_lead_somewhere(path: str) -> None:
    document = ROOT / path
    links = LINK.findall(document.read_text(encoding="utf-8"))
    assert [link for link in links if not (document.parent / link).exists()] == []


def test_make_targets_that_are_named_exist() -> None:
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    named = set(re.findall(r"`?make ([a-z]+)`?", README))
    assert named >= {"demo", "test"}
    assert all(re.search(rf"^{name}:", makefile, re.MULTILINE) for name in named)


def test_the_demo_is_made_of_commands_that_exist() -> None:
    calls = re.findall(r'demo\.run\(("[^)]*)\)|self\.ask\(("[^)]*)\)|words := \(("[^)]*)\)', DEMO)
    for call in filter(None, (text for groups in calls for text in groups)):
        words = [word.strip().strip('"') if '"' in word else "1" for word in call.rstrip(",").split(", ")]
        assert parse(words)
    assert len(calls) >= 6


def test_the_readme_tells_what_the_demo_does_in_its_order() -> None:
    told = README[README.index("`make demo` needs no root") :]
    in_readme = (
        "starts a lab",
        "shows the fleet",
        "tears one stalled tunnel down",
        "neighbours stayed",
        "brought it back",
    )
    assert [told.find(text) >= 0 for text in in_readme[:4]] == [True] * 4
    steps = ('"lab", "up"', '"show")', '"down"', "_compare(", '"up", "-t"')
    places = [DEMO.index(step, DEMO.index("def play")) for step in steps]
    assert places == sorted(places)


def test_the_documents_speak_of_no_file_that_is_not_there() -> None:
    named = re.findall(r"\b((?:examples|docs|inventories|benchmarks)/[\w./-]*\w)", README)
    assert [name for name in named if not (ROOT / name).exists() and not name.startswith("inventories/mine")] == []
    assert Path(ROOT / "CHANGELOG.md").read_text(encoding="utf-8").startswith("# Changelog\n")


def test_every_fault_of_the_table_has_its_test() -> None:
    """The names in the last column of docs/safety.md are tests, or modules of tests."""
    table = (ROOT / "docs" / "safety.md").read_text(encoding="utf-8")
    named = set(re.findall(r"`(test_[a-z0-9_]+)`", table))
    files = [*(ROOT / "tests").rglob("test_*.py")]
    there = {file.stem for file in files}
    there |= {name for file in files for name in re.findall(r"^def (test_\w+)", file.read_text("utf-8"), re.MULTILINE)}
    assert len(named) > 20
    assert named <= there
