"""`ipsecctl -s flow`, `-s sa` and `-s all`, from the simulated kernel (ipsecctl.c, pfkdump.c).

An empty table is empty output, but for `-s all`, which has titles. The identities of a flow are ours and the peer's in
both directions.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ipsecfleet.lab.daemon.kernel import Kernel, KernelSa
    from ipsecfleet.model.net import Selector
    from ipsecfleet.model.sa import Flow

PROTOCOLS = {
    1: "icmp", 2: "igmp", 4: "ipencap", 6: "tcp", 17: "udp", 41: "ipv6", 47: "gre", 50: "esp", 51: "ah",
    58: "ipv6-icmp", 89: "ospf", 97: "etherip", 112: "carp", 132: "sctp", 137: "mpls-in-ip", 240: "pfsync",
}  # fmt: skip
"""The part of /etc/protocols that people use in flows."""

SERVICES = {
    22: "ssh", 25: "smtp", 53: "domain", 67: "bootps", 80: "http", 123: "ntp", 161: "snmp", 179: "bgp",
    443: "https", 500: "isakmp", 514: "syslog", 636: "ldaps", 993: "imaps", 2049: "nfsd",
}  # fmt: skip
"""The part of /etc/services that people use in flows."""


def show_flows(kernel: Kernel) -> str:
    """`ipsecctl -s flow`."""
    return "".join(f"{show_flow(flow)}\n" for flow in kernel.flows)


def show_sas(kernel: Kernel, *, verbose: bool = False) -> str:
    """`ipsecctl -s sa`, or `-v -s sa`."""
    return "".join(_verbose(sa) if verbose else f"{_sa(sa)}\n" for sa in kernel.sas)


def show_all(kernel: Kernel) -> str:
    """`ipsecctl -s all`."""
    flows, sas = show_flows(kernel) or "No flows\n", show_sas(kernel) or "No entries\n"
    return f"FLOWS:\n{flows}\nSAD:\n{sas}"


def show_flow(flow: Flow) -> str:
    """One flow as `ipsecctl -s flow` and `-v` print it."""
    ends = (flow.selectors.local, flow.selectors.remote)
    source, destination = ends if flow.direction == "out" else ends[::-1]
    proto = source.proto or destination.proto
    words = [
        f"flow {flow.satype} {flow.direction}",
        f"proto {PROTOCOLS.get(proto, str(proto))}" if proto else "",
        f"from {_end(source)} to {_end(destination)}",
        *(f"{word} {value}" if value else "" for word, value in _attributes(flow)),
        f"type {flow.type}",
    ]
    return " ".join(word for word in words if word)


def _attributes(flow: Flow) -> tuple[tuple[str, str | None], ...]:
    return ("local", flow.local_address), ("peer", flow.peer), ("srcid", flow.srcid), ("dstid", flow.dstid)


def _end(selector: Selector) -> str:
    net = selector.net
    text = str(net.network_address if net.prefixlen == net.max_prefixlen else net)
    return f"{text} port {SERVICES.get(selector.port, str(selector.port))}" if selector.port else text


def _sa(sa: KernelSa) -> str:
    algorithms = "".join(f" {word} {name}" for word, name in (("auth", sa.auth), ("enc", sa.enc)) if name)
    return f"{sa.satype} {sa.mode} from {sa.src} to {sa.dst} spi 0x{sa.spi:08x}{algorithms}"


def _verbose(sa: KernelSa) -> str:
    extensions = "".join(f"\t{line}\n" for line in _extensions(sa))
    return f"{_sa(sa)}\n{extensions}\tcounter: \n\n\treplay: rpl 0\n"


def _extensions(sa: KernelSa) -> Iterator[str]:
    auth = f" auth {sa.auth}" if sa.auth else ""
    enc = f" enc {_cipher(sa.enc)}" if sa.enc else ""
    flags = "0x4<tunnel>" if sa.mode == "tunnel" else "0x0<>"
    yield f"sa: spi 0x{sa.spi:08x}{auth}{enc}"
    yield f"\tstate {'mature' if sa.lifetime else 'larval'} replay {16 if sa.lifetime else 0} flags {flags}"
    yield f"lifetime_cur: alloc 0 bytes 0 add {int(sa.added)} first 0"
    if sa.lifetime:
        yield f"lifetime_hard: alloc 0 bytes 0 add {sa.lifetime} first 0"
        yield f"lifetime_soft: alloc 0 bytes 0 add {sa.soft} first 0"
    yield f"address_src: {sa.src}"
    yield f"address_dst: {sa.dst}"
    if sa.lifetime:
        yield f"identity_src: {_identity(sa.srcid)}"
        yield f"identity_dst: {_identity(sa.dstid)}"
    yield from _selectors(sa)
    if sa.tag:
        yield f"tag: {sa.tag}"


def _selectors(sa: KernelSa) -> Iterator[str]:
    if sa.selectors is None:
        return
    ends = (sa.selectors.local, sa.selectors.remote)
    source, destination = ends if sa.outgoing else ends[::-1]
    yield f"src_mask: {source.net.netmask}"
    yield f"dst_mask: {destination.net.netmask}"
    yield f"protocol: proto {source.proto or destination.proto} flags 0"
    yield f"flow_type: type use direction {'out' if sa.outgoing else 'in'}"
    yield f"src_flow: {_address(source)}"
    yield f"dst_flow: {_address(destination)}"


def _address(selector: Selector) -> str:
    port = f" port {selector.port}" if selector.port else ""
    return f"{selector.net.network_address}{port}"


def _identity(text: str) -> str:
    return f"type {'prefix' if '/' in text else 'fqdn'} id 0: {text}"


def _cipher(enc: str) -> str:
    return "aes" if enc.startswith("aes-") and enc.count("-") == 1 else enc
