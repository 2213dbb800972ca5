"""What one gateway has, made by hand: SAs, flows and lists in few words."""

from ipsecfleet.isakmpd.names import parse_connection
from ipsecfleet.model.net import Selectors
from ipsecfleet.model.sa import Flow, KernelSa, Protocol, Role, Sa
from ipsecfleet.model.snapshot import Connection, GatewaySnapshot, Listing

OURS, PEER, OTHER = "10.1.2.2", "10.2.1.1", "10.2.7.1"
N1 = "from-172.16.1.0/24-to-192.168.1.0/24"
N2 = "from-172.16.1.0/24-to-192.168.2.0/24"


def nets(name: str) -> Selectors:
    found = parse_connection(name)
    assert found is not None
    return found


def sa(name: str | None = N1, spi: int = 0x10, *, peer: str = PEER, flags: int = 0x3, hard: int | None = 900) -> Sa:
    """A phase 2 SA; its SPIs are `spi` out and `spi` + 1 in."""
    return Sa(name, 2, src=OURS, dst=peer, flags=flags, hard_s=hard, protocols=(Protocol("esp", spi, spi + 1),))


def phase1(peer: str = PEER, *, name: str | None = None, flags: int = 0x3, role: Role = Role.INITIATOR) -> Sa:
    name = f"peer-{peer}" if name is None else name
    return Sa(name, 1, role, OURS, peer, flags=flags, icookie="a" * 16, rcookie="b" * 16)


def flows(name: str = N1, *, peer: str = PEER, type: str = "require") -> tuple[Flow, ...]:  # noqa: A002  a flow has one
    return tuple(Flow("esp", direction, nets(name), peer, type) for direction in ("in", "out"))


def kernel(spi: int = 0x10, name: str | None = N1, *, peer: str = PEER) -> tuple[KernelSa, ...]:
    """Both kernel SAs of an SA; `name` is what they were set up for, None where the kernel does not say."""
    selectors = nets(name) if name is not None else None
    pair = ((OURS, peer, spi), (peer, OURS, spi + 1))
    return tuple(KernelSa("esp", "tunnel", src, dst, s, selectors=selectors) for src, dst, s in pair)


def seen(**parts: object) -> GatewaySnapshot:
    """A gateway that is read whole, and has one active connection if nothing else is said."""
    whole: dict[str, object] = {
        "at": 1_795_000_000.0,
        "sas": (),
        "connections": (Connection(N1, Listing.ACTIVE, PEER, missing=()),),
        "flows": (),
        "kernel": (),
        "exchanges": (),
        "peer_names": {},
    }
    return GatewaySnapshot("hub", **(whole | parts))  # type: ignore[arg-type]
