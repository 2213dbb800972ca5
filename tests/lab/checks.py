"""All that a capture holds, held against its replay. Each check yields one verdict per recorded thing: None or why not."""

import ast
import re
from collections import Counter
from collections.abc import Callable, Iterator
from itertools import groupby, pairwise
from pathlib import Path

from comparison import NEAR, Correspondence, agrees, difference, kernel_agrees, moments_around, names_and_flags
from replay import Moment, Replay
from transcript import CAPTURES, Look, Remark, log_lines, samples

Verdict = str | None
POLLED = 1.5
"""A change was seen by the next poll, and is dated within `NEAR`."""
_BYTES = re.compile(r"(?:->|file:|daemon:) (b?'(?:[^'\\]|\\.)*')")
_SIZE = re.compile(r"size (\d+)$")
_NUMBER = re.compile(r"(\d{3})-(gw\d+)?-?")
_PROCESS = ("isakmpd: starting", "ui_init:", "SIGUSR1 received")
"""Log lines of the surroundings: process start, FIFO file, signals that only made a report."""


def looks(done: Replay, numbers: Correspondence) -> Iterator[Verdict]:
    """Every recorded `S`."""
    for look in done.looks:
        moments = list(moments_around(done, look.gateway, look.at))
        found = any(agrees(look, moment, numbers) for moment in moments)
        yield None if found else difference(look, moments[0])


def watched(done: Replay, _numbers: Correspondence) -> Iterator[Verdict]:
    """Between two changes that a watch saw, and until its end, nothing changed for a second or more."""
    for look, until in _watches(done):
        wanted = Counter(block.key for block in look.blocks)
        for moment in done.lasting(look.gateway, look.at + NEAR, until - POLLED):
            same = Counter(block.key for block in moment.blocks) == wanted
            yield None if same else f"watched until {until}: {difference(look, moment)}"


def polled(done: Replay, _numbers: Correspondence) -> Iterator[Verdict]:
    """Flows, SAs by name and flags, as they were polled after a command: each change, and nothing between them."""
    for gateway, seen in _polls(done):
        for (at, value), (until, _) in pairwise(seen):
            near = list(done.around(gateway, at, NEAR))
            yield None if _shown(done, gateway, at, near, value) else f"{gateway} at {at}: {value}\n{near}"
            for moment in done.lasting(gateway, at + NEAR, until - POLLED):
                yield (
                    None
                    if _shown(done, gateway, at, [moment], value)
                    else f"{gateway} until {until}: {value}\n{moment}"
                )


def answers(done: Replay, _numbers: Correspondence) -> Iterator[Verdict]:
    """What `C get` answered, and whether the result file was written at all."""
    for remark in _remarks(done):
        written = [content for at, content in done.results[remark.gateway] if at < remark.at - 0.001]
        if found := _BYTES.search(remark.text):
            literal = ast.literal_eval(found[1])
            expected = literal if isinstance(literal, bytes) else literal.encode()
            right = written[-1].startswith(expected) and (bool(expected) or not written[-1])
            yield None if right else f"{remark.text}: got {written[-1]!r}"
        elif found := _SIZE.search(remark.text):
            yield None if len(written[-1]) == int(found[1]) else f"{remark.text}: got {len(written[-1])}"
        elif "result not touched" in remark.text:
            late = [at for at, _ in done.results[remark.gateway] if remark.since - 0.01 < at < remark.at]
            yield f"{remark.text}: written at {late}" if late else None


def shifted(done: Replay, _numbers: Correspondence) -> Iterator[Verdict]:
    """r16: two reports before the list; the second was taken for the list."""
    for remark in _remarks(done):
        if found := re.search(r"taken for the connection list: (b'.*')", remark.text):
            _, second = [content for at, content in done.results[remark.gateway] if at < remark.at][-3:-1]
            yield None if second.startswith(ast.literal_eval(found[1])[:9]) else remark.text


def quoted_log(done: Replay, _numbers: Correspondence) -> Iterator[Verdict]:
    """Log lines quoted in the transcript."""
    for remark in _remarks(done):
        said = {text for at, text in done.log[remark.gateway] if at < remark.at}
        for line in log_lines(remark.text):
            wanted = any(text.startswith(line) for text in said) or line.startswith(_PROCESS)
            yield None if wanted else f"{remark.at}: not logged: {line}"


def kept_log(done: Replay, _numbers: Correspondence) -> Iterator[Verdict]:
    """The daemon's whole log, beside the transcript, but for its debugging lines."""
    end = max(entry.at for entry in done.entries)
    for file in sorted((CAPTURES / done.name).glob("*-isakmpd.log")):
        gateway = file.name.split("-")[1]
        recorded = Counter(_normal(text) for text in _default_lines(file))
        simulated = Counter(_normal(text) for _, text in done.log[gateway] if not text.startswith(_PROCESS))
        early = Counter(_normal(text) for at, text in done.log[gateway] if at < end and not text.startswith(_PROCESS))
        yield f"{gateway} missing: {recorded - simulated}" if recorded - simulated else None
        yield f"{gateway} too much: {early - recorded}" if early - recorded else None


def kernels(done: Replay, numbers: Correspondence) -> Iterator[Verdict]:
    """Every recorded `ipsecctl -s all`, somewhere between the files recorded before and after it."""
    for file in sorted((CAPTURES / done.name).glob("*.txt")):
        text = file.read_text()
        found = _NUMBER.match(file.name)
        if not (found and text.startswith("FLOWS:")):
            continue
        after, before = _span(done, int(found[1]))
        shown = [moment for moment in done.moments[found[2]] if moment.at <= before]
        recent = [m for m in shown if m.at >= after] + [m for m in shown if m.at < after][-1:]
        agree = any(kernel_agrees(text, moment.kernel, numbers) for moment in recent)
        yield None if agree else f"{file.name}\n{text}\nsimulated:\n{recent[-1].kernel}"


def verbose_kernel(done: Replay, _numbers: Correspondence) -> Iterator[Verdict]:
    """r15: `ipsecctl -v -s sa`, SA by SA without SPIs and moments; a clone without PF-Tag has no tag."""
    for remark in _remarks(done):
        if "\tlifetime_cur" in remark.text:
            recorded = Counter(_anonymous(remark.text.partition(": esp")[2] or remark.text.removeprefix("esp")))
            shown = [text for at, text in done.verbose[remark.gateway] if at <= remark.at][-1]
            simulated = Counter(_anonymous(shown.removeprefix("esp")))
            yield None if recorded == simulated else f"{recorded - simulated}\n{simulated - recorded}"


def retry_lists(done: Replay, _numbers: Correspondence) -> Iterator[Verdict]:
    """c23: exchanges and keep-up list as SIGUSR1 shows them."""
    for remark in _remarks(done):
        if "connection_report" in remark.text:
            recorded = ast.literal_eval("['exchange_report" + remark.text.partition("['exchange_report")[2])
            report = [text for at, text in done.reports[done.subject] if at < remark.at][-1]
            lines = [line.partition("Report> ")[2] for line in report.splitlines()]
            simulated = Counter(_listed(line) for line in lines if _listed(line))
            wanted = Counter(_listed(line) for line in recorded)
            yield None if wanted == simulated else f"{remark.at}: {wanted - simulated} {simulated - wanted}"


CHECKS: tuple[Callable[[Replay, Correspondence], Iterator[Verdict]], ...] = (
    looks, watched, polled, answers, shifted, quoted_log, kept_log, kernels, verbose_kernel, retry_lists,
)  # fmt: skip


def _watches(done: Replay) -> Iterator[tuple[Look, float]]:
    for index, look in enumerate(done.entries):
        if not (isinstance(look, Look) and look.watched):
            continue
        for later in done.entries[index + 1 :]:
            if not (isinstance(later, Look) and later.watched and later.gateway != look.gateway):
                yield look, later.at
                break


def _remarks(done: Replay) -> list[Remark]:
    return [entry for entry in done.entries if isinstance(entry, Remark)]


def _other(done: Replay, gateway: str) -> str:
    return next(name for name in done.moments if name != gateway)


def _polls(done: Replay) -> Iterator[tuple[str, list[tuple[float, object]]]]:
    """What one poll saw of a gateway, each with its moment; the last one is the end of the poll."""
    for at, group in groupby(_remarks(done), key=lambda remark: remark.at):
        remarks = list(group)
        found = [sample for remark in remarks for sample in samples(remark.text)]
        gateway = _other(done, remarks[0].gateway) if remarks[0].text == "end B" else remarks[0].gateway
        if len(found) == 1 and not remarks[0].text.endswith("]"):
            yield gateway, [(at, found[0] if isinstance(found[0][1], list) else found[0][1]), (at, None)]
        elif found:
            yield gateway, [(remarks[0].since + seconds, value) for seconds, value in found] + [(at + POLLED, None)]


def _shown(done: Replay, gateway: str, at: float, moments: list[Moment], value: object) -> bool:
    """Whether the moments have (flows, SAs), (flows, lines of SAs), or flows and phase 2 SAs by name and flags.

    Flows were read before SAs, so near an event they may be of two moments.
    """
    match value:
        case (int(flows), list(lines)):
            return any(_counted(moment) == (flows, len(lines)) for moment in moments)
        case (int(), int()):
            between = [count[1:] for count in done.counts[gateway] if len(moments) > 1 and abs(count[0] - at) <= NEAR]
            return value in between + [_counted(moment) for moment in moments]
        case (int(flows), *parts):
            flows_there = any(_counted(moment)[0] == flows for moment in moments)
            return flows_there and any(names_and_flags(moment) == _names(parts) for moment in moments)
        case (*parts,):
            return any(names_and_flags(moment) == _names(parts) for moment in moments)
    return False


def _counted(moment: Moment) -> tuple[int, int]:
    return moment.kernel.count("\nflow "), moment.kernel.count("esp tunnel ")


def _names(parts: list[tuple[str, str]]) -> Counter[tuple[str, int]]:
    return Counter((name.removesuffix(" (Phase 2)"), int(flags, 16)) for name, flags in parts)


def _default_lines(file: Path) -> list[str]:
    lines = (line.partition(" Default ")[2] for line in file.read_text("latin-1").splitlines())
    return [line for line in lines if line and not line.startswith(_PROCESS)]


def _normal(text: str) -> str:
    return re.sub(r"non-zero: \w+", "non-zero", text)[:180]


def _span(done: Replay, number: int) -> tuple[float, float]:
    """Between which moments the file of that number was recorded."""
    known = [(int(entry.source[:3]), entry.at) for entry in done.looks if entry.source[:3].isdecimal()]
    end = max(entry.at for entry in done.entries) + 1
    return max((at for n, at in known if n < number), default=0), min(
        (at for n, at in known if n > number), default=end
    )


def _anonymous(text: str) -> list[str]:
    plain = re.sub(r"add \d{10}", "add NOW", re.sub(r"0x[0-9a-f]{8}", "SPI", text))
    return [part.strip() for part in plain.split("\nesp")]


def _listed(line: str) -> str:
    if found := re.match(r"exchange_report: 0x\w+ (\S+) .* policy (.*)", line, re.DOTALL):
        return f"exchange {found[1]} {found[2]}"
    if line.startswith("connection_report:"):
        return re.sub(r"next check (\d)\d seconds", r"next check \1? seconds", line)
    return ""
