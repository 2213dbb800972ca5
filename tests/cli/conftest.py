"""One lab for all that only looks at it, or leaves it as it was."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from cli import Lab, Operator, running_lab


@pytest.fixture(scope="session")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    folder = tmp_path_factory.mktemp("lab")
    with running_lab(folder / "lab", folder / "home") as running:
        yield running


@pytest.fixture
def alone(tmp_path: Path) -> Operator:
    """Somebody without any inventory."""
    return Operator(tmp_path)
