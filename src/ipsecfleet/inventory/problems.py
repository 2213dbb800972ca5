"""All that is wrong with an inventory, told at once: a table that is read key by key and keeps its mistakes.

A wrong value is noted under its path and reading goes on with a placeholder, so that one look at the errors is enough.
What is no table at all is one problem, not one for each key that it lacks. A value is quoted in a message only where
its key is known: what stands under an unknown key may be a secret.
"""

import json
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import TypeVar

from ipsecfleet.errors import OperatorError
from ipsecfleet.inventory.nearest import suggest

Problem = tuple[str, str]
"""Where it is wrong (`gateway.hub-fra1.port`), and what is wrong."""

T = TypeVar("T")
D = TypeVar("D")

BARE_KEY = re.compile(r"[A-Za-z0-9_-]{1,100}")
SECRET = re.compile(r"psk|pass|secret|token|credential|key", re.IGNORECASE)
NO_SECRETS = "the inventory holds no secrets; a PSK stays in the gateway's conf file, a password nowhere"


class InventoryError(OperatorError):
    """An inventory that is wrong; `problems` has all of them, always in the same order."""

    def __init__(self, problems: Sequence[Problem], *, source: str | None = None) -> None:
        count = "1 problem" if len(problems) == 1 else f"{len(problems)} problems"
        super().__init__(
            f"{source or 'the inventory'} has {count}",
            hint="\n".join(f"{path}: {message}" for path, message in problems),
            kind="inventory",
            obj=source or "",
        )
        self.problems = tuple(problems)


class Table:
    """A TOML table while it is read: what is taken is checked, what is left over in the end is a problem."""

    def __init__(self, path: str, values: Mapping[str, object], problems: list[Problem]) -> None:
        self.path = path
        self._values = values
        self._problems = problems
        self._known: list[str] = []

    def take(self, key: str, read: Callable[[object], T], default: D) -> T | D:
        """The value of `key` as `read` understands it, or `default` if it is not there or wrong."""
        self._known.append(key)
        if key not in self._values:
            return default
        try:
            return read(self._values[key])
        except OperatorError as error:
            self.wrong(error.message, key)
            return default

    def need(self, key: str, read: Callable[[object], T], placeholder: D) -> T | D:
        """As `take`, but a missing key is a problem."""
        if key not in self._values:
            self.wrong("is missing", key)
        return self.take(key, read, placeholder)

    def table(self, key: str) -> "Table":
        """The table under `key`, empty if there is none."""
        self._known.append(key)
        return self._table(self._below(key), self._values.get(key, {}))

    def need_table(self, key: str) -> "Table":
        """As `table`, but a missing one is a problem, and the only one."""
        if key in self:
            return self.table(key)
        self._known.append(key)
        self.wrong("is missing", key)
        return Table(self._below(key), {}, [])

    def tables(self) -> Iterator[tuple[str, "Table"]]:
        """Every value of this table as a table of its own, with its key."""
        for key in self._values:
            yield key, self.table(key)

    def array(self, key: str) -> Iterator["Table"]:
        """The tables of the array under `key` (`[[tunnel]]`), with paths counted from 1."""
        self._known.append(key)
        items = self._values.get(key, [])
        if not isinstance(items, list):
            self.wrong(f"must be an array of tables, each begun by [[{key}]]", key)
            return
        for number, item in enumerate(items, 1):
            yield self._table(f"{self._below(key)}[{number}]", item)

    def accept(self, value: object, read: Callable[[object], object]) -> None:
        """Note it as a problem of the whole table if `read` does not take `value`."""
        try:
            read(value)
        except OperatorError as error:
            self.wrong(error.message)

    def wrong(self, message: str, key: str = "") -> None:
        """Note a problem of `key`, or of the whole table."""
        self._problems.append((self._below(key) if key else self.path, message))

    def close(self) -> None:
        """Note every key that nobody asked for."""
        for key in self._values:
            if key not in self._known:
                self.wrong(self._unknown(key), key)

    def __contains__(self, key: str) -> bool:
        return key in self._values

    def _unknown(self, key: str) -> str:
        if SECRET.search(key):
            return NO_SECRETS
        return f"unknown key; {suggest(key, self._known)}".removesuffix("; ")

    def _below(self, key: str) -> str:
        shown = key if BARE_KEY.fullmatch(key) else json.dumps(key[:100])
        return f"{self.path}.{shown}" if self.path else shown

    def _table(self, path: str, value: object) -> "Table":
        if isinstance(value, dict):
            return Table(path, value, self._problems)
        self._problems.append((path, "must be a table"))
        return Table(path, {}, [])
