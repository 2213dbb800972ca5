"""Security associations, flows and exchanges as isakmpd(8) and ipsecctl(8) report them, in neutral words."""

from dataclasses import dataclass
from enum import StrEnum

from ipsecfleet.model.net import Selectors

FLAG_WORDS: dict[int, str] = {
    0x001: "ready",
    0x002: "stayalive",
    0x004: "ondemand",
    0x008: "replaced",
    0x010: "fading",
    0x020: "active-only",
    0x040: "ikecfg",
    0x080: "dpd",
    0x100: "nat-t",
    0x200: "nat-t-keepalive",
    0x400: "iface",
}
"""The bits of an SA's flags and their words (isakmpd sa.h)."""


class Role(StrEnum):
    """The daemon's word for who began a phase 1; true only once the SA is ready."""

    INITIATOR = "initiator"
    RESPONDER = "responder"


@dataclass(frozen=True, slots=True)
class Protocol:
    """One protocol of a phase 2 SA: SPIs as numbers, out = the peer's, in = ours; key lengths in bytes."""

    transform: str
    spi_out: int | None = None
    spi_in: int | None = None
    enc: str | None = None
    enc_key_bytes: int | None = None
    auth: str | None = None
    auth_key_bytes: int | None = None


@dataclass(frozen=True, slots=True)
class Sa:
    """One block of the daemon's report; lifetimes in seconds and kilobytes, `soft_s`/`hard_s` what is left of them.

    `name` is None while the SA is under negotiation; `src` is our end's IKE address, `dst` the peer's.
    """

    name: str | None
    phase: int
    role: Role | None = None
    src: str | None = None
    dst: str | None = None
    lifetime_s: int | None = None
    lifetime_kb: int | None = None
    soft_s: int | None = None
    hard_s: int | None = None
    flags: int = 0
    icookie: str | None = None
    rcookie: str | None = None
    protocols: tuple[Protocol, ...] = ()

    @property
    def ready(self) -> bool:
        return bool(self.flags & 0x1)

    @property
    def replaced(self) -> bool:
        return bool(self.flags & 0x8)

    @property
    def fading(self) -> bool:
        return bool(self.flags & 0x10)

    @property
    def stayalive(self) -> bool:
        return bool(self.flags & 0x2)

    @property
    def age_s(self) -> int | None:
        """How long ago it was negotiated, in seconds; None where its lifetime is not told."""
        return None if self.lifetime_s is None or self.hard_s is None else self.lifetime_s - self.hard_s

    @property
    def begun_by_us(self) -> bool:
        """Whether this is a phase 1 that stands, and this gateway began it."""
        return self.phase == 1 and self.ready and not self.replaced and self.role is Role.INITIATOR

    @property
    def live(self) -> bool:
        """Named, ready and not replaced: what carries traffic and what `t` reaches."""
        return self.name is not None and self.ready and not self.replaced

    @property
    def spis(self) -> frozenset[int]:
        """All SPIs of this SA, both directions."""
        return frozenset(s for p in self.protocols for s in (p.spi_in, p.spi_out) if s is not None)

    @property
    def flag_words(self) -> tuple[str, ...]:
        """The flags in words, lowest bit first; an unknown bit as `0x…`."""
        bits = (1 << n for n in range(32))
        return tuple(FLAG_WORDS.get(bit, f"{bit:#x}") for bit in bits if self.flags & bit)


@dataclass(frozen=True, slots=True)
class Flow:
    """One kernel policy, local and remote as this gateway sees them; `type` is require, use, deny, bypass, …"""

    satype: str
    direction: str
    selectors: Selectors
    peer: str | None
    type: str
    local_address: str | None = None
    srcid: str | None = None
    dstid: str | None = None


@dataclass(frozen=True, slots=True)
class KernelSa:
    """One SA of the kernel; `selectors` are the networks it was set up for, local and remote, where the kernel tells."""

    satype: str
    mode: str | None
    src: str
    dst: str
    spi: int
    enc: str | None = None
    auth: str | None = None
    selectors: Selectors | None = None
    larval: bool = False


@dataclass(frozen=True, slots=True)
class Exchange:
    """A negotiation the daemon has on its table; `ours` if we began it.

    A finished one lingers until 120 s after its start (`finished`); it carries what locks a new phase 1 out. It ends in
    `ends_in_s` seconds at the latest and in `ends_after_s` at the earliest; None where the daemon does not tell.
    """

    name: str | None
    phase: int
    ours: bool
    step: int
    icookie: str
    rcookie: str
    msgid: str = "00000000"
    finished: bool = False
    ends_in_s: int | None = None
    ends_after_s: int | None = None
    peer: str | None = None


@dataclass(frozen=True, slots=True)
class KeptUp:
    """One entry of the daemon's keep-up list, and the seconds until it is checked next."""

    name: str
    next_check_s: int
