"""Every file of tests/data/inventory is wrong, and its golden has all that is."""

from collections.abc import Callable
from pathlib import Path

import pytest

from ipsecfleet.errors import Exit
from ipsecfleet.inventory import InventoryError, parse

TESTS = Path(__file__).parents[1]
FILES = sorted((TESTS / "data" / "inventory").glob("*.toml"))


def problems_of(path: Path) -> InventoryError:
    with pytest.raises(InventoryError) as caught:
        parse(path.read_text(), source=path.name)
    return caught.value


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_all_problems_at_once(path: Path, golden: Callable[[str, str], None]) -> None:
    golden(f"{path.stem}.txt", f"{problems_of(path)}\n")


def test_there_are_files() -> None:
    assert {"values", "references", "secrets", "syntax"} <= {path.stem for path in FILES}


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_problems_are_values_too(path: Path) -> None:
    error = problems_of(path)
    assert str(error).splitlines()[1:] == [f"{where}: {what}" for where, what in error.problems]
    assert (error.exit_code, error.kind, error.obj) == (Exit.USAGE, "inventory", path.name)


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_what_is_printed_is_lower_case_safe_and_without_full_stop(path: Path) -> None:
    for _, what in problems_of(path).problems:
        assert what[0] == what[0].lower()
        assert what.isprintable()
        assert not what.endswith(".")


def test_no_value_of_an_unknown_key_is_shown() -> None:
    error = problems_of(TESTS / "data" / "inventory" / "secrets.toml")
    assert "what-a-mess" not in f"{error!s}{error!r}{error.problems}"
