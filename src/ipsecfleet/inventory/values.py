"""What one value of the inventory may be. Each reader takes what TOML made of it and returns our type, or raises.

Names become file names, words on a command line and lines of a terminal, so their characters are a closed set; paths
are held to the set that the visit program accepts. Messages quote what was written with everything odd escaped.
"""

import re
from collections.abc import Callable
from ipaddress import ip_address
from typing import TypeVar

from ipsecfleet.errors import OperatorError
from ipsecfleet.model.fleet import Limit
from ipsecfleet.model.net import Network, parse_network

T = TypeVar("T")
Reader = Callable[[object], T]

NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]{0,62}")
HOST = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]{0,252}")
USER = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]{0,31}")
DIRECTORY = re.compile(r"(/[A-Za-z0-9_-][A-Za-z0-9._-]*)+", re.ASCII)
CONNECTION = re.compile(r"from-[A-Za-z0-9._:/=%+@-]+-to-[A-Za-z0-9._:/=%+@-]+")
"""What ipsecctl(8) names a phase 2 connection (ike.c)."""

DURATION = re.compile(r"([0-9]{1,9}(?:\.[0-9]{1,9})?)([smh]?)")
SECONDS = {"": 1, "s": 1, "m": 60, "h": 3600}
LONGEST = 366 * 86400.0
PERCENTAGE = re.compile(r"([0-9]{1,3})%")
OF_ROLLOUT = (".new", ".rejected")
"""Endings by which `rollout` stages and rejects a conf file."""


def quoted(value: object) -> str:
    """What was written, short and with everything odd escaped."""
    return ascii(value if len(str(value)) <= 60 else f"{str(value)[:60]}…")


def text(value: object) -> str:
    """One printable line that cannot be taken for an option."""
    word = _string(value)
    if not 0 < len(word) < 256 or not word.isprintable() or word.strip() != word or word.startswith("-"):
        raise OperatorError(f"{quoted(word)} is no line of text")
    return word


def name(value: object) -> str:
    """The name of a gateway, group or tunnel; a safe file name as it stands."""
    return _matching(value, NAME, "name (letters, digits, '.', '_', '-'; at most 63)")


def tunnel_name(value: object) -> str:
    """The name of a tunnel, which cannot be mistaken for that of a connection."""
    word = name(value)
    if CONNECTION.fullmatch(word):
        raise OperatorError(f"{quoted(word)} is what the daemon names a connection, not a tunnel")
    return word


def file_name(value: object) -> str:
    """The name of a conf file in a gateway's `conf_dir`."""
    word = _matching(value, NAME, "file name (letters, digits, '.', '_', '-'; no directory)")
    if word.endswith(OF_ROLLOUT):
        raise OperatorError(f"{quoted(word)} ends as the files that rollout makes")
    return word


def user(value: object) -> str:
    """A login name."""
    return _matching(value, USER, "login name")


def host(value: object) -> str:
    """Where ssh connects to: an IP address, a host name or an alias of ssh_config."""
    word = _string(value)
    if ":" in word or re.fullmatch(r"[0-9.]+", word):
        return ip(word)
    if "@" in word:
        raise OperatorError(f'{quoted(word)} is no address; a login name is told by user = "…"')
    return _matching(word, HOST, "address or host name")


def ip(value: object) -> str:
    """An IP address in its one spelling."""
    try:
        return str(ip_address(_string(value)))
    except ValueError:
        raise OperatorError(f"{quoted(value)} is no IP address") from None


def network(value: object) -> Network:
    """A network; host bits are dropped, a bare address is a network of one."""
    net = parse_network(_string(value))
    if net is None:
        raise OperatorError(f"{quoted(value)} is no network (10.1.0.0/16, 2001:db8::/48)")
    return net


def directory(value: object) -> str:
    """The absolute path of a directory on a gateway, without `..`."""
    word = _string(value)
    if not DIRECTORY.fullmatch(word):
        raise OperatorError(f"{quoted(word)} is no absolute path (letters, digits, '.', '_', '-', no '..')")
    return word


def directory_or_none(value: object) -> str:
    """As `directory`, or empty."""
    return "" if value == "" else directory(value)


def several(read: Reader[T]) -> Reader[tuple[T, ...]]:
    """A list of what `read` reads, without repetition; all that is wrong in it is told."""

    def read_all(value: object) -> tuple[T, ...]:
        if not isinstance(value, list):
            raise OperatorError('must be a list: ["…"]')
        items, wrong = [], []
        for item in value:
            try:
                items.append(read(item))
            except OperatorError as error:
                wrong.append(error.message)
        wrong += [f"{item} stands there twice" for item in dict.fromkeys(items) if items.count(item) > 1]
        if wrong:
            raise OperatorError("; ".join(wrong))
        return tuple(items)

    return read_all


def networks(value: object) -> tuple[Network, ...]:
    """The networks of an end, at least one."""
    nets = several(network)(value)
    if not nets:
        raise OperatorError("needs one network at least")
    return nets


def one_of(*words: str) -> Reader[str]:
    """One of a few words."""

    def read(value: object) -> str:
        word = _string(value)
        if word not in words:
            raise OperatorError(f"must be one of {', '.join(words)}, not {quoted(word)}")
        return word

    return read


def whole(least: int, most: int) -> Reader[int]:
    """A whole number within bounds."""

    def read(value: object) -> int:
        if isinstance(value, int) and not isinstance(value, bool) and least <= value <= most:
            return value
        raise OperatorError(f"must be a whole number from {least} to {most}")

    return read


def schema(value: object) -> int:
    """The version of the inventory's format; there is one."""
    if value != 1 or not isinstance(value, int) or isinstance(value, bool):
        raise OperatorError("must be 1, the only format that this ipsecfleet reads")
    return value


def limit(value: object) -> Limit:
    """A number, or a percentage in quotes."""
    percentage = PERCENTAGE.fullmatch(value) if isinstance(value, str) else None
    if percentage and int(percentage[1]) <= 100:
        return Limit(int(percentage[1]), percent=True)
    if isinstance(value, int) and not isinstance(value, bool) and value >= 0:
        return Limit(value)
    raise OperatorError('must be a number, or a percentage up to "100%"')


def duration(value: object) -> float:
    """A duration longer than nothing, in seconds."""
    seconds = duration_or_none(value)
    if seconds == 0:
        raise OperatorError("must be longer than nothing")
    return seconds


def duration_or_none(value: object) -> float:
    """A duration in seconds, 0 for none."""
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        raise OperatorError("must be a number of seconds, or text in quotes (90s, 1.5s, 5m, 8h)")
    return parse_duration(value)


def parse_duration(value: str | float) -> float:
    """Seconds of `90`, `"90s"`, `"1.5s"`, `"5m"`, `"8h"`; a year at most."""
    if isinstance(value, str):
        found = DURATION.fullmatch(value.strip())
        if found is None:
            raise OperatorError(_no_duration(value), kind="usage")
        value = float(found[1]) * SECONDS[found[2]]
    if not 0 <= value <= LONGEST:
        raise OperatorError(_no_duration(value), kind="usage")
    return float(value)


def scale(value: object) -> float:
    """How many times faster a lab's time runs."""
    if isinstance(value, int | float) and not isinstance(value, bool) and 0 < value <= 1_000_000:
        return float(value)
    raise OperatorError("must be a number above 0")


def _no_duration(value: str | float) -> str:
    return f"{quoted(value)} is no duration (90, 90s, 1.5s, 5m, 8h)"


def _string(value: object) -> str:
    if not isinstance(value, str):
        raise OperatorError("must be text in quotes")
    return value


def _matching(value: object, pattern: re.Pattern[str], what: str) -> str:
    word = _string(value)
    if not pattern.fullmatch(word):
        raise OperatorError(f"{quoted(word)} is no {what}")
    return word
