"""Numbers, moments and paragraphs in words; a moment that no calendar holds is None, never an error."""

import math
import textwrap
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, tzinfo

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Look:
    """How text is set: columns, the zone of its moments, whether states have colours, and when it is, if that matters."""

    width: int = 80
    tz: tzinfo = UTC
    color: bool = False
    now: float | None = None


DEFAULT = Look()


def number(value: float | None) -> float | None:
    """A number as it is written down: whole where it is whole, to the millisecond where not; None if it is none."""
    if value is None or not math.isfinite(value):
        return None
    return int(value) if value == int(value) else round(value, 3)


def duration(seconds: float) -> str:
    """Seconds as `45s`, `17m`, `3h05m` or `2d03h`, rounded down; what is over already is `0s`."""
    left = max(int(seconds), 0)
    if left < 60:
        return f"{left}s"
    minutes, hours, days = left // 60, left // 3600, left // 86400
    if minutes < 60:
        return f"{minutes}m"
    return f"{hours}h{minutes % 60:02d}m" if hours < 24 else f"{days}d{hours % 24:02d}h"


def exact(seconds: float) -> str:
    """Seconds to the second, as `8s`, `1m10s` or `1h00m05s`: for what somebody waits for."""
    left = max(math.ceil(seconds), 0)
    minutes, hours = left // 60, left // 3600
    if left < 60:
        return f"{left}s"
    return f"{minutes}m{left % 60:02d}s" if minutes < 60 else f"{hours}h{minutes % 60:02d}m{left % 60:02d}s"


def iso(at: float | None) -> str | None:
    """A moment as `2026-11-23T03:02:11Z`."""
    when = _moment(at)
    return None if when is None else f"{when.replace(tzinfo=None).isoformat(timespec='seconds')}Z"


def local(at: float | None, tz: tzinfo) -> str | None:
    """A moment as `2026-11-23 04:02:11 CET`."""
    when = _moment(at)
    if when is None:
        return None
    try:
        return when.astimezone(tz).strftime("%Y-%m-%d %H:%M:%S %Z")
    except (OverflowError, ValueError):
        return iso(at)


def clock_time(at: float | None, tz: tzinfo) -> str | None:
    """A moment of a day that is told beside it, as `04:02:11`."""
    text = local(at, tz)
    return None if text is None else text[11:19]


def count(number_of: int, noun: str) -> str:
    """`1 gateway`, `3 gateways`."""
    return f"{number_of} {noun}" if number_of == 1 else f"{number_of} {noun}s"


def wrap(text: str, width: int, first: str = "", rest: str | None = None) -> list[str]:
    """`text` in lines of `width`, after `first` and then after `rest`; words, hence names, are never cut."""
    return textwrap.wrap(
        text,
        max(width, 20),
        initial_indent=first,
        subsequent_indent=first if rest is None else rest,
        break_long_words=False,
        break_on_hyphens=False,
    )


def joined(lines: Iterable[str]) -> str:
    """Lines as text: each ends in a newline, none has blanks at its end."""
    return "".join(f"{line.rstrip()}\n" for line in lines)


def _moment(at: float | None) -> datetime | None:
    try:
        return None if at is None else EPOCH + timedelta(seconds=math.floor(at))
    except (OverflowError, ValueError):
        return None
