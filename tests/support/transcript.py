"""A recorded transcript as data: what was done to the real daemons, and what they showed, each with its moment.

`gw1 FIFO< 'S'` was written at its time; the result was read 0.08 s later, so a look is dated back by that.
Samples (flows, SAs by name and flags) were polled; they are dated from the last command before them.
"""

import ast
import re
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

CAPTURES = Path(__file__).parent.parent / "data" / "captures"
READ_AFTER = 0.083
_LINE = re.compile(r"\[ *([\d.]+)s\] (?:(gw\d+) )?(.*)", re.DOTALL)
_LOAD = re.compile(r"\$ ipsecctl (-d)? ?-f (\S+)")
_LOOK = re.compile(r"(?:result|state changed at \S+)(?: -> (\S+))?$")
_DIGEST = re.compile(r"SA name: (\S+) \(Phase (\S+)\) \| (.*?) \| flags=(\S+) (?:soft=(\S+) hard=(\S+) )?spi=(.*)")
_SAMPLES = re.compile(r"(\[\(.*\)\]|\(\d.*\))$")


@dataclass(frozen=True)
class Block:
    """One SA as it was shown; `soft` and `hard` are seconds left, `spis` (out, in) or the cookies of a phase 1."""

    name: str
    phase: str
    ends: str
    flags: int
    spis: tuple[str, ...]
    soft: int | None = None
    hard: int | None = None
    lifetime: int | None = None
    text: str = field(default="", compare=False)

    @property
    def key(self) -> tuple[object, ...]:
        """All that must be equal as it stands; of SPIs only which are there."""
        shape = tuple(spi in ("", "not defined") or spi == "0" * 16 for spi in self.spis)
        return (self.name, self.phase, self.ends, self.flags, shape if self.phase == "2" else ())


@dataclass(frozen=True)
class Load:
    at: float
    gateway: str
    lines: bytes
    conf: str


@dataclass(frozen=True)
class Write:
    at: float
    gateway: str
    data: bytes


@dataclass(frozen=True)
class Look:
    """A report; a `watched` one was seen to differ from the one before, which held until then."""

    at: float
    gateway: str
    blocks: tuple[Block, ...]
    source: str
    watched: bool


@dataclass(frozen=True)
class Remark:
    """A comment, with the gateway of the last input before it and the first write since the last look or comment."""

    at: float
    text: str
    gateway: str
    since: float


Entry = Load | Write | Look | Remark


def read(name: str) -> list[Entry]:
    """All entries of a transcript, in order."""
    folder = CAPTURES / name
    entries: list[Entry] = []
    gateway, since, fresh = "", 0.0, True
    for at, who, what, digests in _records((folder / "transcript.txt").read_text("utf-8")):
        if what.startswith("#"):
            last = entries[-1]
            since = last.since if isinstance(last, Remark) and last.at == at else since
            entries.append(Remark(at, what[1:].strip(), gateway, since))
            fresh = True
            continue
        entry = _entry(folder, at, who or "", what, digests)
        if entry:
            entries.append(entry)
            if isinstance(entry, Look):
                fresh = True
            else:
                gateway, since, fresh = entry.gateway, at if fresh else since, isinstance(entry, Load)
    return entries


def blocks(report: str) -> tuple[Block, ...]:
    """The SAs of a report in the daemon's own format."""
    return tuple(_block(text) for text in report.split("\n\n") if text.strip())


def samples(text: str) -> list[tuple[float, tuple[object, ...]]]:
    """The (moment, value) pairs in a remark, if it holds any."""
    found = _SAMPLES.search(text)
    if not found:
        return []
    value = ast.literal_eval(found[1])
    return value if isinstance(value, list) else [value]


def log_lines(text: str) -> list[str]:
    """The default-class log lines quoted in a remark, without their times."""
    lines = _list(text)
    return [line.partition(" Default ")[2] for line in lines if " Default " in line]


def _list(text: str) -> list[str]:
    """The first list of strings in a remark."""
    start = min((text.find(opening) for opening in ("['", '["') if opening in text), default=len(text))
    for end in (found.end() for found in re.finditer(r"\]", text[start:])):
        with suppress(SyntaxError):
            return ast.literal_eval(text[start : start + end])
    return []


def _records(text: str) -> list[tuple[float, str | None, str, list[str]]]:
    records: list[tuple[float, str | None, str, list[str]]] = []
    for line in text.splitlines():
        found = _LINE.match(line)
        if found:
            records.append((float(found[1]), found[2], found[3], []))
        elif records:
            at, who, what, digests = records[-1]
            if line.startswith("      "):
                digests.append(line.strip())
            else:
                records[-1] = (at, who, f"{what}\n{line}", digests)
    return records


def _entry(folder: Path, at: float, who: str, what: str, digests: list[str]) -> Entry | None:
    if found := _LOAD.match(what):
        return Load(at, who, _fifo_lines(folder, found[2], "-d.fifo-lines" if found[1] else ".fifo-lines"), found[2])
    if what.startswith("FIFO< "):
        return Write(at, who, ast.literal_eval(what[6:]).encode())
    if (found := _LOOK.match(what)) is None:
        return None
    source = found[1] or ""
    shown = blocks((folder / source).read_text()) if source else tuple(_digest(d) for d in digests if "SA name" in d)
    return Look(at - READ_AFTER, who, shown, source or f"at {at}", what.startswith("state"))


def _fifo_lines(folder: Path, conf: str, suffix: str) -> bytes:
    number, _, name = conf.partition("-")
    return (folder / f"{int(number) + 1:03}-{name}{suffix}").read_bytes()


def _digest(line: str) -> Block:
    found = _DIGEST.match(line)
    assert found, line
    name, phase, ends, flags, soft, hard, spis = found.groups()
    numbers = [int(n) if n and n != "None" else None for n in (soft, hard)]
    return Block(name, phase, ends, int(flags, 16), tuple(spi for _, spi in ast.literal_eval(spis)), *numbers)


def _block(text: str) -> Block:
    def find(pattern: str) -> str | None:
        found = re.search(pattern, text, re.MULTILINE)
        return found[1] if found else None

    def number(pattern: str) -> int | None:
        found = find(pattern)
        return int(found) if found else None

    name, phase = re.match(r"SA name: (\S+) \(Phase (\S+)\)", text).groups()  # type: ignore[union-attr]
    spis = re.findall(r"^SPI \d:? (not defined|[0-9a-f]{8})", text, re.MULTILINE)
    cookies = re.findall(r"[ir]cookie ([0-9a-f]{16})", text)
    return Block(
        name,
        phase,
        find(r"^(src: .*|<no transport>)$") or "",
        int(find(r"^Flags 0x([0-9a-f]{8})$") or "", 16),
        tuple(spis or cookies),
        number(r"^Soft timeout in (-?\d+)"),
        number(r"^Hard timeout in (-?\d+)"),
        number(r"^Lifetime: (\d+) seconds"),
        text,
    )
