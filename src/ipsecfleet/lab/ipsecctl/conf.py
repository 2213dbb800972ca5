"""The part of ipsec.conf(5) that per-tunnel files use: `ike`, `flow`, `include`, simple macros (parse.y).

Lists in braces and `any` expand to the cross product of both ends, in order, without pairs of different families.
Host names, interfaces, `bundle`, manual SAs and `tcpmd5` are not simulated.
"""

import re
from collections.abc import Callable, Iterator
from dataclasses import replace

from ipsecfleet.errors import OperatorError
from ipsecfleet.lab.daemon.show import PROTOCOLS, SERVICES
from ipsecfleet.lab.ipsecctl.rules import SECONDS, FlowRule, Host, IkeRule, Rule, Transforms, flow_rules
from ipsecfleet.model.secret import Secret

_TOKEN = re.compile(
    r"""(?P<blank>(?:[ \t]|\\\n)+)|(?P<comment>\#(?:\\\n|[^\n])*)|(?P<line>\n)|(?P<macro>\$\w+)"""
    r"""|(?P<text>"(?:\\.|[^"\\])*"|'(?:\\.|[^'\\])*')|(?P<sign>[{}(),=])|(?P<word>[\w:*][^\s(){}<>!=\#,"']*)""",
    re.DOTALL,
)
_FLOW_TYPES = ("use", "acquire", "require", "deny", "bypass", "dontacq")
_NUMBER_OF = {name: number for number, name in PROTOCOLS.items()}
_PORT_OF = {name: number for number, name in SERVICES.items()}

Token = tuple[str, str]


class ConfError(OperatorError):
    """A file that ipsecctl(8) would refuse, with its message."""


class Parser:
    """One file and what it includes; `read` gives the text of an included file."""

    def __init__(self, read: Callable[[str], str], hostname: str) -> None:
        self.read = read
        self._hostname = hostname
        self.macros: dict[str, str] = {}

    def parse(self, name: str, text: str) -> Iterator[Rule | str]:
        """The rules in order, and each macro as the verbose mode prints it."""
        for number, tokens in _statements(name, text):
            line = Line(name, number, [t for token in tokens for t in self._expand(token, name, number)])
            if line.accept("include"):
                path = line.word()
                yield from self.parse(path, self._included(path, line))
            elif len(tokens) > 2 and tokens[1] == ("sign", "="):
                yield self._define(tokens)
            else:
                yield from _rules(line, self._hostname)

    def _expand(self, token: Token, name: str, number: int) -> list[Token]:
        kind, text = token
        if kind != "macro":
            return [token]
        if text[1:] not in self.macros:
            raise ConfError(f"{name}: {number}: macro '{text[1:]}' not defined")
        return list(_tokens(name, number, self.macros[text[1:]]))

    def _define(self, tokens: list[Token]) -> str:
        name, value = tokens[0][1], " ".join(text for _, text in tokens[2:])
        self.macros[name] = value
        return f'{name} = "{value}"'

    def _included(self, path: str, line: "Line") -> str:
        try:
            return self.read(path)
        except OSError as reason:
            raise line.error(f"failed to include file {path}") from reason


class Line:
    """The tokens of one statement, read from left to right."""

    def __init__(self, name: str, number: int, tokens: list[Token]) -> None:
        self._where = f"{name}: {number}"
        self._tokens = tokens

    @property
    def rest(self) -> bool:
        return bool(self._tokens)

    def accept(self, *words: str) -> str | None:
        """The next token if it is one of these words or signs."""
        if self._tokens and self._tokens[0][0] != "text" and self._tokens[0][1] in words:
            return self._tokens.pop(0)[1]
        return None

    def expect(self, *words: str) -> str:
        found = self.accept(*words)
        if found is None:
            raise self.error("syntax error")
        return found

    def word(self) -> str:
        if not self._tokens or self._tokens[0][0] not in ("word", "text"):
            raise self.error("syntax error")
        return self._tokens.pop(0)[1]

    def error(self, message: str) -> ConfError:
        return ConfError(f"{self._where}: {message}")


def _statements(name: str, text: str) -> Iterator[tuple[int, list[Token]]]:
    tokens: list[Token] = []
    number = 1
    for kind, value in _tokens(name, number, text + "\n"):
        if kind == "line":
            if tokens:
                yield number, tokens
            tokens = []
        elif kind != "blank":
            tokens.append((kind, value))
        number += int(value) if kind in ("line", "blank") else 0


def _tokens(name: str, number: int, text: str) -> Iterator[Token]:
    """Tokens; those of kind `line` and `blank` have the number of newlines they hold as their text."""
    position = 0
    while position < len(text):
        found = _TOKEN.match(text, position)
        if not found:
            raise ConfError(f"{name}: {number}: syntax error")
        position, kind, value = found.end(), str(found.lastgroup), found[0]
        newlines = value.count("\n")
        number += newlines
        if kind == "text":
            yield "text", re.sub(r"\\(.)", r"\1", value[1:-1].replace("\n", ""))
        elif kind in ("line", "blank", "comment"):
            if newlines:
                yield ("line" if kind == "line" else "blank"), str(newlines)
        else:
            yield kind, value


def _rules(line: Line, hostname: str) -> list[Rule]:
    rules: list[Rule] = []
    if line.accept("ike"):
        rules += _ike(line, hostname)
    elif line.accept("flow"):
        rules += _flow(line)
    if line.rest or not rules:
        raise line.error("syntax error")
    return rules


def _ike(line: Line, hostname: str) -> list[IkeRule]:
    mode = line.accept("active", "passive", "dynamic") or "active"
    protocol = line.accept("esp", "ah") or "esp"
    tunnel = (line.accept("tunnel", "transport") or "tunnel") == "tunnel"
    proto, pairs = _ends(line)
    peer, local = _peers(line)
    aggressive, main = _main(line)
    quick = _transforms(line) if line.accept("quick") else Transforms()
    srcid, dstid = _ids(line)
    psk = _psk(line)
    tag = line.word() if line.accept("tag") else None
    rule = IkeRule(mode, protocol, tunnel, proto, *pairs[0], peer, local, aggressive, main, quick,
                   srcid or (hostname if mode == "dynamic" else None), dstid, psk, tag)  # fmt: skip
    return [
        replace(rule, source=source, destination=destination, peer=_peer_of(peer, destination))
        for source, destination in pairs
    ]


def _flow(line: Line) -> list[FlowRule]:
    protocol = line.accept("esp", "ah", "ipcomp", "ipip") or "esp"
    direction = line.accept("in", "out")
    proto, pairs = _ends(line)
    peer, local = _peers(line)
    ids = _ids(line)
    kind = line.expect(*_FLOW_TYPES) if line.accept("type") else "require"
    rules: list[FlowRule] = []
    for source, destination in pairs:
        ends = source.selector(proto), destination.selector(proto)
        if ends[0] and ends[1]:
            peer_here = None if kind in ("deny", "bypass") else _peer_of(peer, destination)
            rules += flow_rules(
                protocol, direction, (ends[0], ends[1]), local=local, peer=peer_here, ids=ids, kind=kind
            )
    return rules


def _ends(line: Line) -> tuple[int, list[tuple[Host, Host]]]:
    proto = _number(line, _NUMBER_OF) if line.accept("proto") else 0
    ends: dict[str, list[Host]] = {}
    first = line.expect("from", "to")
    for keyword in (first, {"from": "to", "to": "from"}[first]):
        if keyword != first:
            line.expect(keyword)
        ends[keyword] = _hosts(line)
    pairs = [(a, b) for a in ends["from"] for b in ends["to"] if a.v6 == b.v6]
    if not pairs:
        raise line.error("rule expands to no valid combination")
    return proto, pairs


def _hosts(line: Line) -> list[Host]:
    hosts: list[Host] = []
    if line.accept("{"):
        while not line.accept("}"):
            hosts += _host(line)
            line.accept(",")
    else:
        hosts = _host(line)
    port = _number(line, _PORT_OF) if line.accept("port") else 0
    return [replace(host, port=port) for host in hosts]


def _host(line: Line) -> list[Host]:
    if line.accept("any"):
        return [Host("0.0.0.0/0"), Host("::/0")]
    text = line.word()
    host = Host.parse(text)
    if host is None:
        raise line.error("could not parse host specification")
    return [host]


def _number(line: Line, names: dict[str, int]) -> int:
    text = line.accept("esp", "ah") or line.word()
    if text.isdecimal():
        return int(text)
    if text not in names:
        raise line.error(f"unknown protocol or port: {text}")
    return names[text]


def _peers(line: Line) -> tuple[str | None, str | None]:
    found: dict[str, str] = {}
    while keyword := line.accept("peer", "local"):
        text = line.accept("any") or line.word()
        host = Host.parse(text)
        found[keyword] = host.text if host else text
    return found.get("peer"), found.get("local")


def _peer_of(peer: str | None, destination: Host) -> str | None:
    if peer is None:
        return None if destination.is_network else destination.text
    return None if peer == "any" else peer


def _main(line: Line) -> tuple[bool, Transforms]:
    keyword = line.accept("main", "aggressive")
    return keyword == "aggressive", _transforms(line) if keyword else Transforms()


def _transforms(line: Line) -> Transforms:
    found: dict[str, str] = {}
    while keyword := line.accept("auth", "enc", "group"):
        if keyword in found:
            raise line.error(f"{keyword} already set")
        found[keyword] = line.word()
    lifetime = _lifetime(line) if line.accept("lifetime") else None
    return Transforms(found.get("auth"), found.get("enc"), found.get("group"), lifetime)


def _lifetime(line: Line) -> int:
    found = re.fullmatch(r"(\d+)([hm]?)", line.word())
    if not found:
        raise ConfError("ipsecctl: invalid time unit: No such file or directory")
    return int(found[1]) * SECONDS[found[2]]


def _ids(line: Line) -> tuple[str | None, str | None]:
    found: dict[str, str] = {}
    while keyword := line.accept("srcid", "dstid"):
        found[keyword] = line.word()
    return found.get("srcid"), found.get("dstid")


def _psk(line: Line) -> Secret | None:
    if line.accept("rsa"):
        return None
    return Secret(line.word()) if line.accept("psk") else None
