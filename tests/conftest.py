"""What all tests share: summaries that say how many of how many were played."""

from collections import Counter

import pytest

SUMMARIES = pytest.StashKey[dict[str, Counter[str]]]()


def pytest_configure(config: pytest.Config) -> None:
    config.stash[SUMMARIES] = {}


@pytest.fixture(scope="module")
def tally(request: pytest.FixtureRequest) -> Counter[str]:
    """Counts of a module, printed at the end of the run."""
    return request.config.stash[SUMMARIES].setdefault(request.module.__name__, Counter())


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    for module, counts in config.stash[SUMMARIES].items():
        terminalreporter.section(module)
        for name, number in sorted(counts.items()):
            terminalreporter.write_line(f"{name}: {number}")
