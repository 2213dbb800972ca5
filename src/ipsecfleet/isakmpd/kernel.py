"""The kernel's flows and SAs as `ipsecctl -s flow`, `-s sa` (also with `-v`) and `-s all` print them.

Source: ipsecctl.c and pfkdump.c of sbin/ipsecctl; transcripts a01 to a20, r15. One line is one record:

    flow esp in proto tcp from 192.168.1.0/24 port https to 172.16.1.0/24 peer 10.2.2.1 srcid … dstid … type require
    esp tunnel from 10.2.2.1 to 10.2.1.1 spi 0x1eb1936d auth hmac-sha1 enc aes-256

A flow is printed in the direction of its packets: `in` runs from the remote network to the local one. Protocols and
ports are printed by the names of the gateway's own /etc/protocols and /etc/services; a flow with a name that OpenBSD
does not ship is given back unparsed, never with a guessed number. Identities stand last but one, are text chosen by
the peer, may hold blanks, and are therefore split off from the right. Braces (`-c`) merge flows that differ on one
side; with several networks on both sides the pairs are lost.

With `-v` tab-indented lines follow each SA: of these only the flow it was set up for is read (the last line of a kind
counts, because identities, which come earlier, can hold anything), all others are passed over and never kept, as some
of them can be keys. An SA without algorithms is larval: an SPI reserved by a negotiation.
"""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from ipaddress import ip_address
from itertools import product
from typing import Generic, TypeVar

from ipsecfleet.isakmpd.octets import lines, octets
from ipsecfleet.isakmpd.services import PROTOCOLS, SERVICES
from ipsecfleet.model.net import Selector, Selectors, parse_network
from ipsecfleet.model.sa import Flow, KernelSa

_NUMBERED = r"^(?:@[0-9,]+ )?"
_ADDRESS = r"\{ [^{}]* \}|[^ {}]+"
_SATYPE = r"esp|ah|ipcomp|tcpmd5|ipip|\?"

_flow_line = re.compile(
    _NUMBERED + rf"flow (?P<satype>{_SATYPE}) (?P<direction>in|out)(?: proto (?P<proto>[^ ]+))?"
    rf" from (?P<source>{_ADDRESS})(?: port (?P<source_port>[^ ]+))?"
    rf" to (?P<target>{_ADDRESS})(?: port (?P<target_port>[^ ]+))?"
    r"(?: local (?P<local>[^ ]+))?(?: peer (?P<peer>[^ ]+))?"
    r"(?P<identities>(?: (?:srcid|dstid) .*)?) type (?P<type>[a-z]+|\?)$"
)
_sa_line = re.compile(
    _NUMBERED + rf"(?P<satype>{_SATYPE})(?: (?P<mode>transport|tunnel|\?))?"
    r" from (?P<src>[^ ]+) to (?P<dst>[^ ]+) spi 0x(?P<spi>[0-9a-f]{8})"
    r"(?: auth (?P<auth>[^ ]+))?(?: enc (?P<enc>[^ ]+))?(?P<comp> comp [^ ]+)?"
    r"(?: (?:authkey|enckey) 0x[0-9a-f]*| \\)*$"
)
_bundle_line = re.compile(_NUMBERED + r"\[bundle [^\]]*\]$")
_detail_line = re.compile(r"^\t(src_mask|dst_mask|protocol|flow_type|src_flow|dst_flow): (.*)$")
_detail_proto = re.compile(r"proto ([0-9]{1,3}) flags ")
_detail_address = re.compile(r"([^ ]+)(?: port ([0-9]{1,5}))?$")
_NOT_A_RECORD = frozenset({"", "FLOWS:", "No flows", "SAD:", "No entries"})
_WITHOUT_ALGORITHMS = frozenset({"ipip", "tcpmd5"})

Record = TypeVar("Record")


@dataclass(frozen=True, slots=True)
class Parsed(Generic[Record]):
    """What was read of one table, and the lines that were not: while there are any, nothing is known to be absent."""

    records: tuple[Record, ...] = ()
    unparsed: tuple[bytes, ...] = ()


@dataclass(frozen=True, slots=True)
class Tables:
    """Both tables of `ipsecctl -s all`."""

    flows: Parsed[Flow]
    sad: Parsed[KernelSa]


def parse_flows(data: bytes) -> Parsed[Flow]:
    """The flows of `ipsecctl -s flow`."""
    records: list[Flow] = []
    unparsed: list[bytes] = []
    for line in lines(data):
        if flows := _flows(line):
            records += flows
        elif line not in _NOT_A_RECORD:
            unparsed.append(octets(line))
    return Parsed(tuple(records), tuple(unparsed))


def parse_sad(data: bytes) -> Parsed[KernelSa]:
    """The SAs of `ipsecctl -s sa`, with the networks they were set up for where `-v` tells them."""
    records: list[KernelSa] = []
    unparsed: list[bytes] = []
    for head, details in _grouped(lines(data)):
        if found := _sa_line.match(head):
            records.append(_kernel_sa(found, details))
        elif not _bundle_line.match(head):
            unparsed.append(octets(head))
    return Parsed(tuple(records), tuple(unparsed))


def parse_all(data: bytes) -> Tables:
    """Both tables of `ipsecctl -s all`; a table without its title was not read: its `unparsed` is not empty."""
    flows, title, sad = data.partition(b"\nSAD:\n")
    return Tables(
        parse_flows(flows) if flows.startswith(b"FLOWS:\n") else Parsed(unparsed=(b"FLOWS:",)),
        parse_sad(sad) if title else Parsed(unparsed=(b"SAD:",)),
    )


def _flows(line: str) -> tuple[Flow, ...]:
    """The flow of one line, several if braces merged them; none if the line cannot be read for certain."""
    found = _flow_line.match(line)
    proto = _number(found["proto"], PROTOCOLS, 255) if found else None
    if found is None or proto is None:
        return ()
    sources = _sides(found["source"], found["source_port"], proto)
    targets = _sides(found["target"], found["target_port"], proto)
    if min(len(sources), len(targets)) != 1:
        return ()
    return tuple(_flow(found, source, target) for source, target in product(sources, targets))


def _flow(found: re.Match[str], source: Selector, target: Selector) -> Flow:
    srcid, dstid = _identities(found["identities"])
    return Flow(
        satype=found["satype"],
        direction=found["direction"],
        selectors=_oriented(found["direction"], source, target),
        peer=found["peer"],
        type=found["type"],
        local_address=found["local"],
        srcid=srcid,
        dstid=dstid,
    )


def _oriented(direction: str, source: Selector, target: Selector) -> Selectors:
    return Selectors(target, source) if direction == "in" else Selectors(source, target)


def _identities(text: str) -> tuple[str | None, str | None]:
    before, mark, dstid = text.rpartition(" dstid ")
    own = before if mark else text
    srcid = own.removeprefix(" srcid ") if own.startswith(" srcid ") else None
    return srcid, dstid if mark else None


def _sides(text: str, port_text: str | None, proto: int) -> tuple[Selector, ...]:
    port = _number(port_text, SERVICES, 65535)
    nets = [parse_network(address) for address in text.strip("{} ").split(", ")]
    if port is None or None in nets:
        return ()
    return tuple(Selector(net, proto, port) for net in nets if net)


def _number(text: str | None, names: Mapping[str, int], top: int) -> int | None:
    """A protocol or port by number or known name; 0 where none is printed."""
    if text is None:
        return 0
    if not (text.isascii() and text.isdigit() and len(text) <= len(str(top))):
        return names.get(text)
    return int(text) if int(text) <= top else None


def _grouped(table: Iterable[str]) -> list[tuple[str, list[str]]]:
    """Each line that begins a record, and the tab-indented ones below it; those without one stand under an empty."""
    groups: list[tuple[str, list[str]]] = []
    for line in table:
        if line.startswith("\t"):
            if not groups:
                groups.append(("", []))
            groups[-1][1].append(line)
        elif line not in _NOT_A_RECORD:
            groups.append((line, []))
    return groups


def _kernel_sa(found: re.Match[str], details: Iterable[str]) -> KernelSa:
    algorithms = found["auth"] or found["enc"] or found["comp"] or found["satype"] in _WITHOUT_ALGORITHMS
    return KernelSa(
        satype=found["satype"],
        mode=None if found["mode"] == "?" else found["mode"],
        src=found["src"],
        dst=found["dst"],
        spi=int(found["spi"], 16),
        enc=found["enc"],
        auth=found["auth"],
        selectors=_set_up_for({line[1]: line[2] for line in map(_detail_line.match, details) if line}),
        larval=not algorithms,
    )


def _set_up_for(details: Mapping[str, str]) -> Selectors | None:
    proto = _detail_proto.match(details.get("protocol", ""))
    direction = details.get("flow_type", "").rpartition(" direction ")[2]
    if proto is None or direction not in ("in", "out"):
        return None
    source = _masked(details.get("src_flow", ""), details.get("src_mask", ""), int(proto[1]))
    target = _masked(details.get("dst_flow", ""), details.get("dst_mask", ""), int(proto[1]))
    return _oriented(direction, source, target) if source and target else None


@lru_cache(maxsize=1 << 13)
def _masked(flow: str, mask: str, proto: int) -> Selector | None:
    """One side of a flow from its address and netmask lines, each with ` port N` after it where there is one."""
    address, bits = _detail_address.match(flow), _mask_bits(mask.partition(" ")[0])
    if address is None or bits is None:
        return None
    net = parse_network(f"{address[1]}/{bits.bit_count()}")
    return Selector(net, proto, int(address[2] or 0)) if net and int(net.netmask) == bits else None


@lru_cache(maxsize=1 << 8)
def _mask_bits(text: str) -> int | None:
    try:
        return int(ip_address(text))
    except ValueError:
        return None
