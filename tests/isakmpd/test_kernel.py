import re
from ipaddress import ip_network
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ipsecfleet.isakmpd.kernel import Parsed, parse_all, parse_flows, parse_sad
from ipsecfleet.model.net import Selector, Selectors
from ipsecfleet.model.sa import Flow, KernelSa

DATA = Path(__file__).parents[1] / "data" / "kernel"
RECORDED = sorted(DATA.glob("*ipsecctl-sa.txt"))


def selectors(local: str, remote: str, proto: int = 0, ports: tuple[int, int] = (0, 0)) -> Selectors:
    here, there = (ip_network(text) for text in (local, remote))
    return Selectors(Selector(here, proto, ports[0]), Selector(there, proto, ports[1]))


@pytest.mark.parametrize("path", RECORDED, ids=lambda path: path.stem)
def test_every_recorded_table_is_read_whole(path: Path) -> None:
    data = path.read_bytes()
    tables = parse_all(data)
    assert tables.flows.unparsed == tables.sad.unparsed == ()
    assert [flow.direction for flow in tables.flows.records] == re.findall(
        r"^flow \w+ (in|out)", data.decode(), re.MULTILINE
    )
    assert [f"{sa.spi:#010x}" for sa in tables.sad.records] == re.findall(r" spi (0x\w+)", data.decode())


@pytest.mark.parametrize("path", RECORDED, ids=lambda path: path.stem)
def test_both_directions_of_a_tunnel_are_the_same_networks_as_this_gateway_sees_them(path: Path) -> None:
    flows = parse_all(path.read_bytes()).flows.records
    inward = {flow.selectors for flow in flows if flow.direction == "in"}
    assert inward == {flow.selectors for flow in flows if flow.direction == "out"}
    assert not inward & {one.mirrored() for one in inward}


FLOWS = {
    "flow esp in from 192.168.1.0/24 to 172.16.1.0/24 peer 10.2.1.1 srcid 10.1.2.2/32 dstid 10.2.1.1/32 type require": Flow(
        "esp",
        "in",
        selectors("172.16.1.0/24", "192.168.1.0/24"),
        "10.2.1.1",
        "require",
        srcid="10.1.2.2/32",
        dstid="10.2.1.1/32",
    ),
    "flow ah in proto udp from 2.2.2.2 to 1.1.1.1 port ntp peer 2.2.2.2 type require": Flow(
        "ah", "in", selectors("1.1.1.1", "2.2.2.2", 17, (123, 0)), "2.2.2.2", "require"
    ),
    "flow esp out proto tcp from 172.16.1.0/24 to 192.168.1.0/24 port https peer 10.2.2.1 type require": Flow(
        "esp", "out", selectors("172.16.1.0/24", "192.168.1.0/24", 6, (0, 443)), "10.2.2.1", "require"
    ),
    "flow esp out proto 200 from 10.0.0.1 port 65535 to 10.0.0.2 type deny": Flow(
        "esp", "out", selectors("10.0.0.1", "10.0.0.2", 200, (65535, 0)), None, "deny"
    ),
    "flow esp out proto carp from 10.0.0.1 to 10.0.0.2 type bypass": Flow(
        "esp", "out", selectors("10.0.0.1", "10.0.0.2", 112), None, "bypass"
    ),
    "flow esp out from 0.0.0.0/0 to 3ffe:2::1 peer 3ffe:2::1 type use": Flow(
        "esp", "out", selectors("0.0.0.0/0", "3ffe:2::1"), "3ffe:2::1", "use"
    ),
    "flow esp in from 10.1.2.0/24 to 10.1.1.0/24 local 192.0.2.1 peer 198.51.100.7 srcid FQDN/gw1 dstid FQDN/gw2 type require": Flow(
        "esp",
        "in",
        selectors("10.1.1.0/24", "10.1.2.0/24"),
        "198.51.100.7",
        "require",
        "192.0.2.1",
        "FQDN/gw1",
        "FQDN/gw2",
    ),
    "flow esp out from 10.0.0.1 to 10.0.0.2 peer 10.0.0.2 srcid C=SE, O=A B type peer 1.1.1.1 dstid me type deny type require": Flow(
        "esp",
        "out",
        selectors("10.0.0.1", "10.0.0.2"),
        "10.0.0.2",
        "require",
        srcid="C=SE, O=A B type peer 1.1.1.1",
        dstid="me type deny",
    ),
    "flow esp out from 10.0.0.1 to 10.0.0.2 srcid caf\udce9 type ?": Flow(
        "esp", "out", selectors("10.0.0.1", "10.0.0.2"), None, "?", srcid="caf\udce9"
    ),
    "flow ? in from 10.0.0.1 to 10.0.0.2 dstid only type dontacq": Flow(
        "?", "in", selectors("10.0.0.2", "10.0.0.1"), None, "dontacq", dstid="only"
    ),
    "@12 flow esp out from 10.0.0.1 to 10.0.0.2 type acquire": Flow(
        "esp", "out", selectors("10.0.0.1", "10.0.0.2"), None, "acquire"
    ),
}


@pytest.mark.parametrize("line", FLOWS)
def test_a_flow(line: str) -> None:
    assert parse_flows(f"{line}\n".encode(errors="surrogateescape")) == Parsed((FLOWS[line],))


UNREADABLE_FLOWS = [
    "flow esp out proto no-such-protocol from 10.0.0.1 to 10.0.0.2 type require",
    "flow esp out proto tcp from 10.0.0.1 port no-such-service to 10.0.0.2 type require",
    "flow esp out proto 256 from 10.0.0.1 to 10.0.0.2 type require",
    "flow esp out proto tcp from 10.0.0.1 port 65536 to 10.0.0.2 type require",
    "flow esp out proto ² from 10.0.0.1 to 10.0.0.2 type require",
    "flow esp out from ? to 10.0.0.2 type require",
    "flow esp ? from 10.0.0.1 to 10.0.0.2 type require",
    "flow esp out from { 10.0.0.1, 10.0.0.2 } to { 10.1.0.1, 10.1.0.2 } type require",
    "flow esp out from {  } to 10.0.0.2 type require",
    "flow esp out from 10.0.0.1/33 to 10.0.0.2 type require",
    "flow esp out from 10.0.0.1 to 10.0.0.2",
    "ipsecctl: ipsecctl_get_rules: sysctl: Cannot allocate memory",
]


@pytest.mark.parametrize("line", UNREADABLE_FLOWS)
def test_a_flow_that_is_not_read_for_certain_is_not_lost(line: str) -> None:
    assert parse_flows(f"{line}\n".encode()) == Parsed((), (line.encode(),))


def test_braces_stand_for_several_flows_while_one_side_has_one_network() -> None:
    line = b"@0,1 flow esp in from { 10.2.0.0/16, 10.3.0.0/16 } to { 10.1.0.0/16 } peer 192.0.2.1 type require\n"
    assert [flow.selectors for flow in parse_flows(line).records] == [
        selectors("10.1.0.0/16", "10.2.0.0/16"),
        selectors("10.1.0.0/16", "10.3.0.0/16"),
    ]


SAS = {
    "esp tunnel from 10.1.2.2 to 10.2.1.1 spi 0x60096bb7 auth hmac-sha1 enc aes-256": KernelSa(
        "esp", "tunnel", "10.1.2.2", "10.2.1.1", 0x60096BB7, enc="aes-256", auth="hmac-sha1"
    ),
    "ah transport from 3ffe::1 to 3ffe::8 spi 0x1eadbeef auth hmac-sha2-256": KernelSa(
        "ah", "transport", "3ffe::1", "3ffe::8", 0x1EADBEEF, auth="hmac-sha2-256"
    ),
    "esp tunnel from 192.0.2.1 to 198.51.100.7 spi 0x0badf00d enc aes-128-gcm": KernelSa(
        "esp", "tunnel", "192.0.2.1", "198.51.100.7", 0x0BADF00D, enc="aes-128-gcm"
    ),
    "esp transport from 10.2.1.1 to 10.1.2.2 spi 0x3c1d9e02": KernelSa(
        "esp", "transport", "10.2.1.1", "10.1.2.2", 0x3C1D9E02, larval=True
    ),
    "ipcomp tunnel from 1.1.1.1 to 2.2.2.2 spi 0x00001000 comp deflate": KernelSa(
        "ipcomp", "tunnel", "1.1.1.1", "2.2.2.2", 0x1000
    ),
    "ipip from 3ffe::1 to 3ffe::2 spi 0x0a000001": KernelSa("ipip", None, "3ffe::1", "3ffe::2", 0x0A000001),
    "tcpmd5 from 1.1.1.1 to 2.2.2.2 spi 0x00002000": KernelSa("tcpmd5", None, "1.1.1.1", "2.2.2.2", 0x2000),
    "@0 esp ? from ? to 2.2.2.2 spi 0x00002000 enc null": KernelSa("esp", None, "?", "2.2.2.2", 0x2000, enc="null"),
}


@pytest.mark.parametrize("line", SAS)
def test_a_kernel_sa(line: str) -> None:
    assert parse_sad(f"{line}\n".encode()) == Parsed((SAS[line],))


def test_a_bundle_is_no_sa_and_nothing_unknown() -> None:
    line = b"[bundle ipip to 2.2.2.2 spi 0x1a000000 with ipcomp to 2.2.2.2 spi 0x00002a00]\n"
    assert parse_sad(line) == Parsed()


@pytest.mark.parametrize("name", ["before", "after"])
def test_verbose_sas_tell_the_networks_they_were_set_up_for(name: str) -> None:
    found = parse_sad((DATA / f"r15-clone-without-pf-tag--verbose-{name}.txt").read_bytes())
    assert found.unparsed == ()
    assert {sa.selectors for sa in found.records} == {selectors("172.16.1.0/24", "192.168.1.0/24")}


VERBOSE = """\
esp tunnel from 2001:db8::2 to 2001:db8::1 spi 0x00001234 auth hmac-sha1 enc aes-256
\tidentity_src: type fqdn id 0: liar
\tsrc_flow: 10.66.66.66
\tsrc_mask: {src_mask}
\tdst_mask: ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff
\tprotocol: proto 6 flags 0
\tflow_type: type use direction {direction}
\tsrc_flow: 2001:db8:2:: port 443
\tdst_flow: 2001:db8:1::5
\ttag: x
"""


def test_verbose_selectors_have_protocol_and_ports_and_the_last_line_of_a_kind_counts() -> None:
    text = VERBOSE.format(direction="in", src_mask="ffff:ffff:ffff:: port 65535")
    (sa,) = parse_sad(text.encode()).records
    assert sa.selectors == selectors("2001:db8:1::5/128", "2001:db8:2::/48", 6, (0, 443))


@pytest.mark.parametrize(
    ("direction", "src_mask"), [("unknown", "ffff::"), ("out", "ffff:0:ffff::"), ("out", "255.0.0.0"), ("out", "<any>")]
)
def test_verbose_selectors_that_are_no_networks_are_left_out(direction: str, src_mask: str) -> None:
    text = VERBOSE.format(direction=direction, src_mask=src_mask)
    assert [sa.selectors for sa in parse_sad(text.encode()).records] == [None]


def test_keys_are_never_kept() -> None:
    text = (
        "tcpmd5 from 1.1.1.1 to 2.2.2.2 spi 0x00002000 authkey 0xdeadbeef\n"
        "esp tunnel from 1.1.1.1 to 2.2.2.2 spi 0x00002001 enc aes \\\n\tauthkey 0xdeadbeef \\\n\tenckey 0xdeadbeef\n"
        "\tkey_auth: bits 32: deadbeef\n"
    )
    orphan = "\tkey_auth: bits 32: deadbeef\n"
    assert len(parse_sad(text.encode()).records) == 2
    assert "deadbeef" not in repr(parse_sad(text.encode()))
    assert parse_sad(orphan.encode()) == Parsed((), (b"",))


def test_an_empty_table_is_empty() -> None:
    assert parse_flows(b"") == Parsed()
    assert parse_sad(b"") == Parsed()
    tables = parse_all(b"FLOWS:\nNo flows\n\nSAD:\nNo entries\n")
    assert (tables.flows, tables.sad) == (Parsed(), Parsed())


@pytest.mark.parametrize("data", [b"", b"FLOWS:\nNo flows\n", b"ipsecctl_show: sysctl: Operation not permitted\n"])
def test_a_table_without_its_title_is_not_an_empty_table(data: bytes) -> None:
    assert parse_all(data).sad.unparsed


words = st.sampled_from(
    [*" ".join([*FLOWS, *UNREADABLE_FLOWS, *SAS]).split(" "), *VERBOSE.split(" "), "\n", "\t", "SAD:\n", "FLOWS:\n"]
)
tables = st.lists(words, max_size=60).map(lambda found: " ".join(found).encode(errors="surrogateescape"))


@given(st.binary() | tables)
def test_any_bytes_give_tables(data: bytes) -> None:
    parse_all(data)
    parse_sad(data)
    lines = [line for line in data.split(b"\n") if line not in {b"", b"FLOWS:", b"No flows", b"SAD:", b"No entries"}]
    found = parse_flows(data)
    assert len(lines) <= len(found.records) + len(found.unparsed)
    assert set(found.unparsed) <= set(lines)
