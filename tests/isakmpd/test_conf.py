"""Names and refusals of conf files, held to what the real ipsecctl made of the same files.

`regress` is OpenBSD's own test data, found by $IPSECFLEET_REGRESS or beside the project; `recorded` are files of real
gateways with the FIFO lines their ipsecctl wrote; `written` are ours, their names worked out by hand from ipsec.conf(5)
and the sources.
"""

import os
import re
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

import pytest

from ipsecfleet.isakmpd.conf import Conf, ConfError, Rule, delete_lines, parse
from ipsecfleet.isakmpd.names import parse_connection
from ipsecfleet.isakmpd.services import PROTOCOLS, SERVICES

PROJECT = Path(__file__).parents[2]
REGRESS = Path(os.environ.get("IPSECFLEET_REGRESS", PROJECT.parent / "shared" / "regress"))
DATA = PROJECT / "tests" / "data" / "conf"

LOOKED_UP_ELSEWHERE = "ipsec53"
"""Its lo0 has the addresses of the machine on which the expected lines were made."""


def regress(pattern: str) -> list[str]:
    stems = {path.stem for path in REGRESS.glob("*.in") if re.fullmatch(pattern, path.stem)}
    return sorted(stems) or ["missing"]


def read_regress(stem: str) -> tuple[str, list[str]]:
    if not (REGRESS / f"{stem}.in").exists():
        missing = f"no OpenBSD regress data in {REGRESS}, set IPSECFLEET_REGRESS"
        pytest.fail(missing) if os.environ.get("CI") else pytest.skip(missing)
    told = (REGRESS / f"{stem}.ok").read_text().splitlines()
    return (REGRESS / f"{stem}.in").read_text(), [line for line in told if not re.match(r'\w+ = "', line)]


def read(text: str, path: str = "stdin") -> Conf:
    return parse(text, path=path, include=lambda _: None)


def added(rule: Rule) -> list[str]:
    connection = rule.connection
    return [
        f"C set [{connection}]:ISAKMP-peer={rule.phase1} force",
        f"C set [{connection}]:Local-ID={rule.local_id} force",
        f"C set [{connection}]:Remote-ID={rule.remote_id} force",
        f"C add [Phase 2]:{rule.list}={connection}",
    ]


def naming(lines: list[str]) -> list[str]:
    wanted = re.compile(r"C set \[from-.*\]:(ISAKMP-peer|Local-ID|Remote-ID)=|C add \[Phase 2\]:")
    return [line for line in lines if wanted.match(line)]


@pytest.mark.parametrize("stem", regress(r"ike\d+"))
def test_ike_rules_have_the_names_of_regress(stem: str) -> None:
    text, told = read_regress(stem)
    assert [line for rule in read(text).rules for line in added(rule)] == naming(told)


@pytest.mark.parametrize("stem", regress(r"ike\d+"))
def test_keys_identities_and_nat_are_those_of_regress(stem: str) -> None:
    text, told = read_regress(stem)
    for rule in read(text).rules:
        phase1 = {
            "Authentication": rule.terms.psk.reveal() if rule.terms.psk else None,
            "ID": f"id-{rule.terms.srcid}" if rule.terms.srcid else None,
            "Remote-ID": f"id-{rule.terms.dstid}" if rule.terms.dstid else None,
            "Address": rule.peer,
            "Local-address": rule.local,
        }
        nat = f"nat-{rule.nat}" if rule.nat else None
        assert settings(told, rule.phase1, *phase1) == phase1
        assert settings(told, rule.connection, "NAT-ID") == {"NAT-ID": nat}


def settings(told: list[str], section: str, *tags: str) -> dict[str, str | None]:
    found = dict(re.findall(rf"^C set \[{re.escape(section)}\]:([\w-]+)=(.*) force$", "\n".join(told), re.MULTILINE))
    return {tag: found.get(tag) for tag in tags}


@pytest.mark.parametrize("stem", regress(r"ikedel\d+"))
def test_deleted_rules_have_the_lines_of_regress(stem: str) -> None:
    text, told = read_regress(stem)
    assert [line for rule in read(text).rules for line in delete_lines(rule)] == told


@pytest.mark.parametrize("stem", regress(r"ikedeldel\d+"))
def test_lines_from_before_names_began_with_from_are_of_the_same_rules(stem: str) -> None:
    text, told = read_regress(stem)
    for rule in read(text).rules:
        source, target = rule.local_id.removeprefix("from-"), rule.remote_id.removeprefix("to-")
        assert f"C rms [IPsec-{source}-{target}]" in told


_flow = re.compile(
    r"flow (?P<satype>\w+) (?P<direction>in|out)(?: proto (?P<proto>\S+))?"
    r" from (?P<source>\S+)(?: port (?P<sport>\S+))? to (?P<target>\S+)(?: port (?P<tport>\S+))?"
    r"(?: local (?P<local>\S+))?(?: peer (?P<peer>\S+))?(?: srcid (?P<srcid>\S+))?(?: dstid (?P<dstid>\S+))?"
    r" type (?P<type>\w+)"
)


@pytest.mark.parametrize("stem", regress(r"ipsec\d+"))
def test_flow_rules_are_expanded_as_in_regress(stem: str) -> None:
    text, told = read_regress(stem)
    for flow, line in zip(read(text).flows, told, strict=True):
        if stem == LOOKED_UP_ELSEWHERE and "lo0" in {flow.source, flow.target}:
            assert flow.selectors is None
            continue
        match = _flow.fullmatch(line)
        assert match is not None
        for name in ("satype", "direction", "source", "target", "local", "peer", "srcid", "dstid", "type"):
            assert getattr(flow, name) == match[name]
        assert flow.selectors is not None
        sides = flow.selectors if flow.direction == "out" else flow.selectors.mirrored()
        assert (sides.local.proto, sides.local.port, sides.remote.port) == (
            PROTOCOLS[match["proto"] or "ip"],
            SERVICES[match["sport"]] if match["sport"] else 0,
            SERVICES[match["tport"]] if match["tport"] else 0,
        )


@pytest.mark.parametrize("stem", regress(r"(ike|ipsec)fail\d+"))
def test_what_regress_refuses_is_refused_in_the_same_words(stem: str) -> None:
    text, told = read_regress(stem)
    with pytest.raises(ConfError) as refused:
        read(text)
    assert refused.value.message == told[0]


@pytest.mark.parametrize("path", sorted((DATA / "recorded").glob("*.conf")), ids=lambda path: path.stem)
def test_names_are_those_the_real_ipsecctl_wrote(path: Path) -> None:
    rules = read(path.read_text(), path.name).rules
    add, delete = path.with_suffix(".added"), path.with_suffix(".deleted")
    if delete.exists():
        assert [line for rule in rules for line in delete_lines(rule)] == delete.read_text().splitlines()
    else:
        assert [line for rule in rules for line in added(rule)] == add.read_text().splitlines()


def rows(path: Path) -> Iterator[str]:
    for rule in read_written(path).rules:
        where = str(rule.line) if rule.file == path.name else f"{rule.file}:{rule.line}"
        depends = ["depends"] if rule.depends_on_gateway else []
        yield "\t".join([where, rule.list, rule.connection, rule.phase1, *depends])


def read_written(path: Path) -> Conf:
    def include(name: str) -> str | None:
        return (path.parent / name).read_text() if (path.parent / name).exists() else None

    return parse(path.read_text(), path=path.name, include=include)


WRITTEN = sorted((DATA / "written").glob("*.conf"))


@pytest.mark.parametrize("path", WRITTEN, ids=lambda path: path.stem)
def test_names_are_those_worked_out_by_hand(path: Path) -> None:
    assert list(rows(path)) == path.with_suffix(".names").read_text().splitlines()


@pytest.mark.parametrize("path", WRITTEN, ids=lambda path: path.stem)
def test_selectors_say_what_the_name_says(path: Path) -> None:
    for rule in read_written(path).rules:
        if "%" not in rule.connection:  # a scope is no part of a network
            assert rule.selectors == parse_connection(rule.connection)


def test_everything_beside_ike_rules_is_read() -> None:
    conf = read_written(DATA / "written" / "mixed.conf")
    assert [rule.satype for rule in conf.manual] == ["esp", "esp", "ipcomp", "ipip", "tcpmd5"]
    assert [(flow.direction, flow.type, flow.peer, flow.line) for flow in conf.flows] == [
        ("out", "bypass", None, 7),
        ("in", "bypass", None, 7),
    ]


def test_an_ike_rule_keeps_what_it_says_of_the_cryptography() -> None:
    (rule,) = read_written(DATA / "written" / "mixed.conf").rules
    terms = rule.terms
    assert (terms.main.auth, terms.main.enc, terms.main.group, terms.main.lifetime_s) == (
        "hmac-sha2-256",
        "aes-128",
        "modp1024",
        28800,
    )
    assert (terms.quick.auth, terms.quick.enc, terms.quick.group, terms.quick.lifetime_s) == (
        None,
        "aes-256-gcm",
        "none",
        1200,
    )
    assert (terms.srcid, terms.dstid, terms.tag) == ("a b", "b@example.com", "ipsec-$id")
    assert terms.psk is not None
    assert terms.psk.reveal() == "it's here"


def test_flows_have_the_network_before_address_translation() -> None:
    (rule,) = read("ike proto tcp from 10.0.0.0/8 (11.0.0.0/8) port 22 to 12.0.0.0/8\n").rules
    assert rule.selectors == parse_connection(rule.connection)
    assert rule.flow_selectors == parse_connection("from-11.0.0.0/8=6:22-to-12.0.0.0/8=6")


def test_what_a_rule_leaves_out_has_the_defaults_of_ipsecctl() -> None:
    (rule,) = read("ike ah from 10.0.0.1 to 10.0.0.2\n").rules
    assert (rule.mode, rule.terms.tmode, rule.terms.psk, rule.terms.main.lifetime_s) == ("active", "tunnel", None, None)
    assert (rule.terms.main.auth, rule.terms.main.enc, rule.terms.main.group) == ("hmac-sha1", "aes", "modp3072")
    assert (rule.terms.quick.auth, rule.terms.quick.enc, rule.terms.quick.group) == ("hmac-sha2-256", None, "modp3072")


REFUSED = [
    ("ike from 10.0.0.1 to 10.0.0.2", "1: syntax error"),
    ("ike from 10/8 to 10.0.0.2\n", "1: syntax error"),
    ("ike from 10.0.0.1 to 10.0.0.2 psk 12345\n", "1: syntax error"),
    ("ike from 10.0.0.1 to 10.0.0.2 psk \\\n12345\n", "2: syntax error"),
    ("ike from 10.0.0.0/8(11.0.0.0/8) to 10.0.0.2\n", "1: syntax error"),
    ("x = 10\n", "1: syntax error"),
    ("peer = a\n", "1: syntax error"),
    ('"a b" = c\n', "1: macro name cannot contain whitespace"),
    ("\n\n ike from 10.0.0.1 \\\n to $nowhere\n", "4: macro 'nowhere' not defined"),
    ("ike from 10.0.0.1 to 10.0.0.2 psk $ecret\n", "1: macro '***' not defined"),
    ('a = "10.2.1"\nb = ".7"\nike from 10.0.0.1 to $a$b\n', "3: could not parse host specification"),
    ('a = "$b"\nb = "10.0.0.2"\nike from 10.0.0.1 to $a\n', "3: syntax error"),
    ("ike from 10.0.0.1 to 300.1.1.1\n", "1: could not parse host specification"),
    ("ike from 10.0.0.1 to 10.1\n", "1: could not parse host specification"),
    ("ike from 10.0.0.1 \\\n\tto 10.0.0.0/33\\\n\n", "2: could not parse host specification"),
    ("ike from 10.0.0.0/129 to 10.0.0.2\n", "1: invalid netmask '/129'"),
    ("ike from 10.0.0.1 to 10.0.0.2 peer 10.1 psk a\n", "1: could not parse host specification"),
    ("ike from { } to 10.0.0.2\n", "1: syntax error"),
    ("ike from { 10.0.0.1, } to 10.0.0.2\n", "1: syntax error"),
    ("ike from 10.0.0.1 to 10.0.0.2 (10.0.0.3)\n", "1: no flow NAT support for destination network: 10.0.0.2"),
    ("ike from any to 10.0.0.2 peer 10.0.0.9 peer 10.0.0.8\n", "1: syntax error"),
    ("ike from 10.0.0.1 to 10.0.0.2 dstid a srcid b\n", "1: syntax error"),
    ("ike from { 10.0.0.1 3ffe::1 } to { 3ffe::2 }\nike\n", "2: syntax error"),
    ("ike proto 256 from 10.0.0.1 to 10.0.0.2\n", "1: protocol outside range"),
    ("ike proto nonsense from 10.0.0.1 to 10.0.0.2\n", "1: unknown protocol: nonsense"),
    ("ike proto tcp from 10.0.0.1 port 65536 to 10.0.0.2\n", "1: port outside range"),
    ("ike proto tcp from 10.0.0.1 port nonsense to 10.0.0.2\n", "1: unknown port: nonsense"),
    ("ike proto gre from 10.0.0.1 port 1 to \\\n 10.0.0.2\n", "2: no protocol supplied with source/destination ports"),
    ("ike from 10.0.0.1 to 10.0.0.2 main enc rot13\n", "1: rot13 not a valid transform"),
    ("ike from 10.0.0.1 to 10.0.0.2 main enc aes enc aes\n", "1: enc already set"),
    (
        "ike from 10.0.0.1 to 10.0.0.2 quick auth hmac-md5 enc aes-128-gcm\n",
        "1: authentication is implicit for aes-128-gcm",
    ),
    ("ike from 10.0.0.1 to 10.0.0.2 quick lifetime 60s\n", "1: invalid time unit"),
    ("ike from 10.0.0.1 to 10.0.0.2 quick lifetime soon\n", "1: invalid time specification: soon"),
    ("ike ipcomp from 10.0.0.1 to 10.0.0.2\n", "1: illegal satype ipcomp"),
    ("ike interface em0 peer 10.0.0.2\n", "1: invalid sec interface name"),
    ("ike interface sec peer 10.0.0.2\n", "1: invalid sec interface name"),
    ("ike interface sec-1 peer 10.0.0.2\n", "1: invalid sec interface unit: invalid"),
    ("ike interface sec0 peer 10.0.0.2 tag a\n", "1: syntax error"),
    ("flow from 10.0.0.1 to 10.0.0.0/8\n", "1: no peer specified for destination 10.0.0.0/8"),
    ("flow in from 10.0.0.0/8 to 10.0.0.1\n", "1: no peer specified for destination 10.0.0.1"),
    ("flow from 10.0.0.1 to 10.0.0.2 type maybe\n", "1: syntax error"),
    ("esp from 10.0.0.1 to 10.0.0.2 spi 255\n", "1: 255 within reserved spi range"),
    ("esp from 10.0.0.1 to 10.0.0.2 spi 0x100000000\n", "1: 0x100000000 not a valid spi"),
    ("esp from 10.0.0.1 to 10.0.0.2 spi 0\n", "1: no SPI specified"),
    ("esp from 10.0.0.1 to 10.0.0.2 spi 4096 authkey 0xnot-hex\n", "1: keys need to be specified in hex digits"),
    ("tcpmd5 from 10.0.0.1 to 3ffe::1 spi 4096 authkey 0xaa\n", "1: source/destination address families do not match"),
    ("a = 'b\nc\n", "1: reached end of file while parsing quoted string"),
    ("ike from 10.0.0.1 to 10.0.0.2\r\n", "1: syntax error"),
    ("ike from 10.0.0.1\0 to 10.0.0.2\n", "1: syntax error"),
    ('a = "b\0c"\n', "1: syntax error"),
    ("a = " + "b" * 8096 + "\n", "1: string too long"),
    ("a = '" + "b" * 8096 + "'\n", "1: string too long"),
    ("ike proto 9223372036854775808 from\n", '1: "9223372036854775808" invalid number: too large'),
    ('include "nowhere"\n', "1: failed to include file nowhere"),
    ("include /etc/nowhere\n", "1: syntax error"),
    ("!\n", "1: syntax error"),
]


@pytest.mark.parametrize(("text", "message"), REFUSED, ids=lambda value: value[:40])
def test_what_ipsecctl_refuses_is_refused_in_its_words(text: str, message: str) -> None:
    with pytest.raises(ConfError) as refused:
        read(text, "x.conf")
    assert refused.value.message == f"x.conf: {message}"


def test_what_is_wrong_in_an_included_file_is_told_of_that_file() -> None:
    with pytest.raises(ConfError) as refused:
        parse('\ninclude "b"\n', path="a", include={"b": "\n\nike to\n"}.get)
    assert (refused.value.place, refused.value.text) == (("b", 3), "syntax error")


def test_a_file_that_includes_itself_is_refused() -> None:
    with pytest.raises(ConfError, match="too many includes at b") as refused:
        parse('include "b"\n', path="a", include=lambda _: 'include "b"\n')
    assert "includes itself" in refused.value.hint


def test_a_tree_of_includes_is_bounded() -> None:
    with pytest.raises(ConfError, match="too many includes"):
        parse(
            'include "0"\n', path="a", include=lambda name: f'include "{int(name) + 1}"\n' * 2 if int(name) < 12 else ""
        )


def test_a_rule_that_would_be_a_million_is_refused() -> None:
    hosts = "{ " + " ".join(f"10.0.{n >> 8}.{n & 255}" for n in range(1000)) + " }"
    with pytest.raises(ConfError, match="more than 10000 combinations"):
        read(f"ike from {hosts} to {hosts}\n")


def test_macros_that_double_each_other_are_refused() -> None:
    doubling = "".join(f"{longer} = ${name} ${name}\n" for name, longer in pairwise("abcdefghijklmnop"))
    with pytest.raises(ConfError, match=r"macro '\w' too long"):
        read(f"a = '\"{'x ' * 4000}\"'\n{doubling}")


def test_braces_may_be_deeper_than_any_stack() -> None:
    deep = "{" * 5000 + "10.0.0.1" + "}" * 5000
    (rule,) = read(f"ike from {deep} to 10.0.0.2\n").rules
    assert rule.connection == "from-10.0.0.1-to-10.0.0.2"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("ike from 10.0.0.1 to 10.0.0.2 main enc '\x1b[2Jä'\n", "x.conf: 1: \\x1b[2Jä not a valid transform"),
        ("include '\x07'\n", "\\x07: 1: syntax error"),
    ],
)
def test_an_error_is_safe_to_print(text: str, message: str) -> None:
    with pytest.raises(ConfError) as refused:
        parse(text, path="x.conf", include=lambda _: "!\n")
    assert refused.value.message == message
