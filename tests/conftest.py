"""What all tests share: golden files, and summaries that say how many of how many were played.

Golden files are compared byte by byte; IPSECFLEET_GOLDEN=write writes them anew, to be looked at.
"""

import os
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

GOLDEN = Path(__file__).parent / "golden"
SUMMARIES = pytest.StashKey[dict[str, Counter[str]]]()


def pytest_configure(config: pytest.Config) -> None:
    config.stash[SUMMARIES] = {}


@pytest.fixture
def golden(request: pytest.FixtureRequest) -> Callable[[str, str], None]:
    """Compare a text with the golden file of that name, in the folder of the test's own."""
    folder = GOLDEN / request.path.parent.name

    def compare(name: str, text: str) -> None:
        path = folder / name
        if os.environ.get("IPSECFLEET_GOLDEN") == "write":
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(text.encode())
        assert text.encode() == path.read_bytes()

    return compare


@pytest.fixture(scope="module")
def tally(request: pytest.FixtureRequest) -> Counter[str]:
    """Counts of a module, printed at the end of the run."""
    return request.config.stash[SUMMARIES].setdefault(request.module.__name__, Counter())


def pytest_sessionfinish(session: pytest.Session) -> None:
    """A worker hands its counts to who started it."""
    if hasattr(session.config, "workeroutput"):
        session.config.workeroutput["counts"] = {m: dict(c) for m, c in session.config.stash[SUMMARIES].items()}


@pytest.hookimpl(optionalhook=True)
def pytest_testnodedown(node: Any) -> None:
    for module, counts in getattr(node, "workeroutput", {}).get("counts", {}).items():
        node.config.stash[SUMMARIES].setdefault(module, Counter()).update(counts)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    for module, counts in config.stash[SUMMARIES].items():
        terminalreporter.section(module)
        for name, number in sorted(counts.items()):
            terminalreporter.write_line(f"{name}: {number}")
