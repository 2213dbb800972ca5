"""Lines of a system log as syslogd(8) writes them, of moments that are so many seconds ago."""

import re
import time
from collections.abc import Iterable
from pathlib import Path

STAMP = re.compile(r"^([A-Z][a-z]{2} [ \d]\d \d\d:\d\d:\d\d)", re.MULTILINE)
RECORDED = re.compile(r"^(\d\d)(\d\d)(\d\d)\.\d+ (?:Default|[A-Z][A-Za-z]{1,4} +\d+) (.*)$", re.MULTILINE)


def stamped(lines: Iterable[tuple[float, str]], now: float | None = None, host: str = "gw") -> str:
    """Pairs of age in seconds and `program[pid]: text`, or what else stands behind the host."""
    at = time.time() if now is None else now
    return "".join(f"{stamp(at - age)} {host} {text}\n" for age, text in lines)


def stamp(at: float) -> str:
    return time.strftime("%b %e %H:%M:%S", time.localtime(at))


def moved(text: str, ends_ago: float = 1.0) -> str:
    """A log of some day as if its last line were so many seconds old."""
    moments = [time.mktime(time.strptime(f"2026 {found}", "%Y %b %d %H:%M:%S")) for found in STAMP.findall(text)]
    shift = time.time() - ends_ago - max(moments)
    ready = iter(moments)
    return STAMP.sub(lambda _found: stamp(next(ready) + shift), text)


def recorded(path: Path) -> list[tuple[float, str]]:
    """What a recorded daemon told its terminal: the second of the day, and the text as syslogd(8) would have got it."""
    found = RECORDED.findall(path.read_text(errors="replace"))
    return [(int(h) * 3600 + int(m) * 60 + int(s), text.removesuffix(" [priv]")) for h, m, s, text in found]
