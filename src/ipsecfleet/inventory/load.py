"""The text of an inventory file (TOML 1.0) -> Fleet. Whoever found and read the file passes its name as `source`."""

import re
import tomllib

from ipsecfleet.inventory.check import check
from ipsecfleet.inventory.problems import InventoryError, Problem
from ipsecfleet.inventory.schema import read_fleet
from ipsecfleet.model.fleet import Fleet

POSITION = re.compile(r"(?s)(.*) \(at (line \d+, column \d+|end of document)\)")


def parse(text: str, *, source: str | None = None) -> Fleet:
    """The fleet that `text` describes; InventoryError with every problem if there is any."""
    problems: list[Problem] = []
    fleet = read_fleet(_document(text, source), problems, source=source)
    problems += check(fleet)
    if problems:
        raise InventoryError(problems, source=source)
    return fleet


def _document(text: str, source: str | None) -> dict[str, object]:
    try:
        return tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise InventoryError([_located(str(error), text)], source=source) from None
    except (ValueError, RecursionError):
        problem = ("the whole", "a number is too long, or values are nested too deeply")
        raise InventoryError([problem], source=source) from None


def _located(message: str, text: str) -> Problem:
    found = POSITION.fullmatch(message)
    what, where = found.groups() if found else (message, "end of document")
    if where == "end of document":
        last = text.rsplit("\n", maxsplit=1)[-1]
        where = f"line {text.count(chr(10)) + 1}, column {len(last) + 1}"
    return where, what[:1].lower() + what[1:]
