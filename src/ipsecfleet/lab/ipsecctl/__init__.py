"""ipsecctl(8) of a simulated gateway: `-f`, `-d`, `-n`, `-v`, `-F`, `-s`, as far as per-tunnel files and a look need it.

    done = ipsecctl(["-f", "/etc/ipsec.conf"], kernel=gateway.kernel, hostname="hub.example.com", read=read_text)

Flows of `flow` lines go to the kernel at once. What belongs into the FIFO comes back in `done.writes`, one write per
rule as the real one does it; the caller writes it, or fails as `open(2)` does. An error stops before anything is done.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from ipsecfleet.lab.daemon.kernel import Kernel
from ipsecfleet.lab.daemon.show import show_all, show_flow, show_flows, show_sas
from ipsecfleet.lab.ipsecctl.conf import ConfError, Parser
from ipsecfleet.lab.ipsecctl.lines import connection_name, load_lines, phase1_name, unload_lines
from ipsecfleet.lab.ipsecctl.rules import FlowRule, IkeRule, Rule

__all__ = [
    "ConfError", "FlowRule", "IkeRule", "Outcome", "Rule",
    "connection_name", "ipsecctl", "load_lines", "parse_rules", "phase1_name", "unload_lines",
]  # fmt: skip

USAGE = "usage: ipsecctl [-cdFkmnv] [-D macro=value] [-f file] [-i fifo] [-s modifier]\n"
_NOT_LOADED = "ipsecctl: Syntax error in config file: ipsec rules not loaded\n"
_SHOWN = ("flow", "sa", "all")

Read = Callable[[str], str]


@dataclass
class Outcome:
    """What the command printed, its exit status, and what it writes to the FIFO."""

    stdout: str = ""
    stderr: str = ""
    status: int = 0
    writes: list[bytes] = field(default_factory=list)


@dataclass
class _Options:
    delete: bool = False
    flush: bool = False
    dry: bool = False
    verbose: int = 0
    file: str | None = None
    show: str | None = None
    macros: dict[str, str] = field(default_factory=dict)


def parse_rules(text: str, *, name: str = "stdin", read: Read, hostname: str = "") -> list[Rule]:
    """The expanded rules of a file; raises ConfError with ipsecctl's own message."""
    return [item for item in Parser(read, hostname).parse(name, text) if not isinstance(item, str)]


def ipsecctl(arguments: Sequence[str], *, kernel: Kernel, hostname: str, read: Read) -> Outcome:
    """Run the command; `read` gives a file's text, or raises OSError."""
    done = Outcome()
    options = _parse_options(list(arguments))
    if options is None:
        return Outcome(stderr=USAGE, status=1)
    if options.flush and not options.dry:
        kernel.flush()
    if options.file is not None:
        _process_file(options, kernel, Parser(read, hostname), done)
    if options.show is not None and done.status == 0:
        done.stdout += _show(options, kernel)
    return done


def _parse_options(words: list[str]) -> _Options | None:
    options = _Options()
    while words:
        word = words.pop(0)
        if not word.startswith("-") or word == "-":
            return None
        letters = list(word[1:])
        while letters:
            letter = letters.pop(0)
            value = ""
            if letter in "Dfis":
                value = "".join(letters) or (words.pop(0) if words else "")
                letters.clear()
            if not _set_option(options, letter, value):
                return None
    return options if options != _Options() else None


def _set_option(options: _Options, letter: str, value: str) -> bool:
    match letter:
        case "d":
            options.delete = True
        case "F":
            options.flush = True
        case "n":
            options.dry = True
        case "v":
            options.verbose += 1
        case "f":
            options.file = value
        case "s":
            options.show = next((name for name in _SHOWN if value and name.startswith(value)), None)
            return options.show is not None
        case "D":
            name, _, text = value.rpartition("=")
            options.macros[name] = text
        case _:
            return letter in "cikm"
    return True


def _process_file(options: _Options, kernel: Kernel, parser: Parser, done: Outcome) -> None:
    path = options.file or ""
    parser.macros.update(options.macros)
    try:
        items = list(parser.parse("stdin" if path == "-" else path, parser.read(path)))
    except OSError as reason:
        done.stderr, done.status = f"ipsecctl: pushfile: {path}: {reason.strerror}\n{_NOT_LOADED}", 1
        return
    except ConfError as reason:
        done.stderr, done.status = f"{reason}\n{_NOT_LOADED}", 1
        return
    if options.verbose:
        done.stdout += "".join(f"{line}\n" for item in items for line in _verbose(item, options))
    if not options.dry:
        _commit(options, [item for item in items if not isinstance(item, str)], kernel, done)


def _verbose(item: Rule | str, options: _Options) -> list[str]:
    if isinstance(item, IkeRule):
        return _lines(item, options)
    return [item] if isinstance(item, str) else [show_flow(item.flow)]


def _lines(rule: IkeRule, options: _Options) -> list[str]:
    return unload_lines(rule) if options.delete else load_lines(rule)


def _commit(options: _Options, rules: list[Rule], kernel: Kernel, done: Outcome) -> None:
    for number, rule in enumerate(rules):
        if isinstance(rule, IkeRule):
            done.writes.append("".join(f"{line}\n" for line in _lines(rule, options)).encode("latin-1", "replace"))
        elif not options.delete:
            kernel.add_flow(rule.flow)
        elif not kernel.delete_flow(rule.flow):
            done.stderr += f"ipsecctl: PF_KEY failed: No such process\nipsecctl: failed to delete rule {number}\n"
            done.status = 1


def _show(options: _Options, kernel: Kernel) -> str:
    if options.show == "flow":
        return show_flows(kernel)
    return show_sas(kernel, verbose=options.verbose > 0) if options.show == "sa" else show_all(kernel)
