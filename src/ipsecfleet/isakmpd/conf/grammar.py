"""The grammar of an ipsec.conf, read by descent.

Source: the rules of parse.y of sbin/ipsecctl. The clauses of a rule have a fixed order, each at most once. Like
ipsecctl's own parser this one looks one token ahead, and only where the grammar cannot do without, so an error is told
at the line where ipsecctl tells it: of a rule as a whole, the line on which it ends. A rule is checked and expanded as
soon as it is read, so the first error of the file is the first that ipsecctl tells.

Not checked: whether the keys of a manual SA fit its transforms, and key files; `ipsecctl -n` on the gateway does that.
"""

import re
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import ParamSpec, TypeVar

from ipsecfleet.isakmpd.conf.cursor import Cursor
from ipsecfleet.isakmpd.conf.expand import Peers, Traffic, check_ports, expand_flow, expand_ike, pairs
from ipsecfleet.isakmpd.conf.hosts import ANY, Family, Host, parse_host
from ipsecfleet.isakmpd.conf.lexer import END, NEWLINE, NUMBER, STRING, Cell, Lexer, Place
from ipsecfleet.isakmpd.conf.rules import FlowRule, ManualRule, Rule, Terms
from ipsecfleet.isakmpd.conf.transforms import (
    KINDS,
    check_keys,
    find_transform,
    main_mode,
    parse_lifetime,
    parse_spi,
    quick_mode,
)
from ipsecfleet.isakmpd.services import PROTOCOLS, SERVICES
from ipsecfleet.model.secret import Secret

Include = Callable[[str], str | None]
Args = ParamSpec("Args")
Value = TypeVar("Value")

MAX_DEPTH = 16
MAX_INCLUDES = 1000

_SATYPES = ("esp", "ah", "ipcomp", "ipip")
_TMODES = ("tunnel", "transport")
_FLOW_TYPES = ("use", "acquire", "require", "deny", "bypass", "dontacq")
_EVERYWHERE = Traffic((parse_host("0.0.0.0/0"),), (parse_host("0.0.0.0/0"),))

_unit = re.compile(r"[0-9]{1,10}")


class Parser(Cursor):
    """Reads a whole file into rules; `secrets` are the characters of every key, wherever they were written."""

    def __init__(self, text: str, path: str, include: Include) -> None:
        super().__init__(Lexer(text, path), Place(path, 1))
        self._include = include
        self._included = 0
        self.rules: list[Rule] = []
        self.flows: list[FlowRule] = []
        self.manual: list[ManualRule] = []
        self.secrets: list[tuple[Cell, ...]] = []

    @property
    def comments(self) -> list[tuple[Cell, ...]]:
        """The comments so far."""
        return self._lexer.comments

    def begin_with(self, path: str, text: str) -> None:
        """Read that file first."""
        self._lexer.enter(path, text)

    def run(self) -> None:
        """Read to the end of the file; ConfError at the first thing that ipsecctl would refuse."""
        while (token := self.peek()).kind != END:
            if token.kind == "include":
                self._include_file()
                continue
            if token.kind != NEWLINE:
                self._statement(token.kind)
            self.expect(NEWLINE)

    def _statement(self, kind: str) -> None:
        if kind == "ike":
            self._ike()
        elif kind == "flow":
            self._flow()
        elif kind == STRING:
            self._macro()
        else:
            self._sa()

    def _include_file(self) -> None:
        self.take()
        path = self.word()
        self._included += 1
        if self._lexer.depth > MAX_DEPTH or self._included > MAX_INCLUDES:
            self.fail(f"too many includes at {path}", hint="a file includes itself, or the files it includes do")
        text = self._include(path)
        if text is None:
            self.fail(f"failed to include file {path}")
        self._lexer.enter(path, text)

    def _macro(self) -> None:
        name = self.take().text
        self.expect("=")
        value = list(self.expect(STRING).cells)
        while self.peek().kind == STRING:
            value += [Cell(" "), *self.take().cells]
        if any(char.isspace() for char in name[1:]):
            self.fail("macro name cannot contain whitespace")
        self._lexer.define(name, value)

    def _ike(self) -> None:
        written = self.take().place
        mode = self.accept("active", "passive", "dynamic") or "active"
        interface = self._interface() if self.accept("interface") else None
        satype, tmode = ("esp", "tunnel") if interface else self._encapsulation()
        traffic = _EVERYWHERE if interface else self._traffic()
        peers = self._peers()
        exchange = self.accept("main", "aggressive")
        main = main_mode(*self._phase(exchange))
        chosen, lifetime = self._phase(self.accept("quick"))
        srcid, dstid = self._ids()
        psk = self._psk()
        tag = None if interface else self.word_after("tag")
        check_ports(traffic, self.now)
        quick = self._checked(quick_mode, chosen, lifetime, satype)
        terms = Terms(mode, satype, tmode, main, quick, exchange == "aggressive", srcid, dstid, psk, tag, interface)
        self.rules += expand_ike(terms, traffic, peers, written, self.now)

    def _flow(self) -> None:
        written = self.take().place
        satype = self.accept(*_SATYPES) or "esp"
        direction = self.accept("in", "out") or ""
        traffic = self._traffic()
        peers = self._peers()
        srcid, dstid = self._ids()
        usual = "use" if satype in {"ipcomp", "ipip"} else "require"
        kind = self.expect(*_FLOW_TYPES).kind if self.accept("type") else usual
        check_ports(traffic, self.now)
        rule = FlowRule(*written, satype, direction, "", "", kind, srcid=srcid, dstid=dstid)
        self.flows += expand_flow(rule, traffic, peers, self.now)

    def _sa(self) -> None:
        written = self.peek().place
        tcpmd5 = self.accept("tcpmd5")
        satype = tcpmd5 or self._encapsulation()[0]
        traffic = self._hosts(0)
        self._spi()
        if not tcpmd5:
            self._udpencap()
            self._transforms()
        self._key("authkey")
        if not tcpmd5:
            self._key("enckey")
            self.word_after("bundle")
        pairs(traffic, self.now)
        self.manual.append(ManualRule(*written, satype))

    def _encapsulation(self) -> tuple[str, str]:
        return self.accept(*_SATYPES) or "esp", self.accept(*_TMODES) or "tunnel"

    def _interface(self) -> str:
        name = self.word()
        unit = name.removeprefix("sec")
        if unit in {name, ""}:
            self.fail("invalid sec interface name")
        if not _unit.fullmatch(unit) or int(unit) > 0xFFFFFFFF:
            self.fail("invalid sec interface unit: invalid")
        return f"sec{int(unit)}"

    def _traffic(self) -> Traffic:
        proto = 0
        if self.accept("proto"):
            kind = self.peek().kind
            proto = PROTOCOLS[self.take().kind] if kind in {"esp", "ah"} else self._numbered(PROTOCOLS, "protocol", 255)
        return self._hosts(proto)

    def _hosts(self, proto: int) -> Traffic:
        first = self.expect("from", "to").kind
        one, one_port = self._side(), self._port()
        self.expect("to" if first == "from" else "from")
        other, other_port = self._side(), self._port()
        if first == "to":
            one, one_port, other, other_port = other, other_port, one, one_port
        for host in other:
            if host.nat:
                self.fail(f"no flow NAT support for destination network: {host.text}")
        return Traffic(one, other, proto, one_port, other_port)

    def _port(self) -> int:
        return self._numbered(SERVICES, "port", 65535) if self.accept("port") else 0

    def _numbered(self, names: Mapping[str, int], what: str, top: int) -> int:
        """A protocol or port by number or name."""
        token = self.expect(STRING, NUMBER)
        if token.kind == NUMBER:
            number = int(token.text)
            return number if 0 <= number <= top else self.fail(f"{what} outside range")
        if token.text not in names:
            self.fail(f"unknown {what}: {token.text}", hint=f"write the number of a {what} that OpenBSD does not ship")
        return names[token.text]

    def _side(self) -> tuple[Host, ...]:
        """A host, or a list in braces, which may hold lists: they are all one."""
        hosts: list[Host] = []
        depth = 0
        while True:
            while self.accept("{"):
                depth += 1
            hosts.append(self._host())
            while depth and self.accept("}"):
                depth -= 1
            if not depth:
                return tuple(hosts)
            self.accept(",")

    def _host(self) -> Host:
        if self.accept("any"):
            return ANY
        host = self._host_spec()
        if not self.accept("("):
            return host
        nat = self._host_spec()
        self.expect(")")
        if Family.UNKNOWN not in {host.family, nat.family} and host.family is not nat.family:
            self.fail("Flow NAT address family mismatch")
        return replace(host, nat=nat)

    def _host_spec(self) -> Host:
        word = self.word()
        if self.accept("/"):
            word += f"/{int(self.expect(NUMBER).text)}"
        return self._checked(parse_host, word)

    def _peers(self) -> Peers:
        first = self.accept("peer", "local")
        if first is None:
            return Peers()
        one = self._end(first)
        other = "local" if first == "peer" else "peer"
        two = self._end(other) if self.accept(other) else None
        return Peers(one, two) if first == "peer" else Peers(two, one)

    def _end(self, keyword: str) -> Host | None:
        """What follows `peer` or `local`: often a host, possibly nothing."""
        if keyword == "peer" and self.accept("any"):
            return ANY
        return self._checked(parse_host, self.word()) if self.peek().kind == STRING else None

    def _phase(self, keyword: str | None) -> tuple[dict[str, str], int | None]:
        """Transforms and lifetime of the phase that the keyword began, if there was one."""
        return (self._transforms(), self._lifetime()) if keyword else ({}, None)

    def _transforms(self) -> dict[str, str]:
        chosen: dict[str, str] = {}
        while kind := self.accept(*KINDS):
            word = self.word()
            if kind in chosen:
                self.fail(f"{kind} already set")
            chosen[kind] = find_transform(kind, word) or self.fail(f"{word} not a valid transform")
        return chosen

    def _lifetime(self) -> int | None:
        return self._checked(parse_lifetime, self.expect(STRING, NUMBER).text) if self.accept("lifetime") else None

    def _ids(self) -> tuple[str | None, str | None]:
        return self.word_after("srcid"), self.word_after("dstid")

    def _psk(self) -> Secret | None:
        if not self.accept("psk"):
            self.accept("rsa")
            return None
        token = self.expect_secret(STRING)
        self.secrets.append(token.cells)
        return Secret(token.text)

    def _key(self, keyword: str) -> None:
        if not self.accept(keyword):
            return
        token = self.expect_secret(STRING, "file")
        if token.kind == "file":
            self.word()
            return
        self.secrets.append(token.cells)
        self._checked(check_keys, token.text)

    def _spi(self) -> None:
        self.expect("spi")
        out, *inward = self.expect(STRING, NUMBER).text.split(":", 1)
        for text in (*inward, out):
            spi = self._checked(parse_spi, text)
        if not spi:
            self.fail("no SPI specified")

    def _udpencap(self) -> None:
        if self.accept("udpencap") and self.accept("port"):
            self.expect(NUMBER)

    def _checked(self, reader: Callable[Args, Value], *args: Args.args, **kwargs: Args.kwargs) -> Value:
        """What a reader makes of its arguments; it refuses them by ValueError in the words of ipsecctl."""
        try:
            return reader(*args, **kwargs)
        except ValueError as error:
            self.fail(str(error))
