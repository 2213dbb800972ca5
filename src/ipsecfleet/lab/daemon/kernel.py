"""The kernel's side: policies and SAs, which outlive the daemon.

There is one policy per direction and selector, whatever its type or owner: the last writer wins, any delete removes it
(sys/net/pfkeyv2.c). An SPI reserved for a negotiation is a larval SA, gone after 60 seconds if nothing comes of it. At
the end of its lifetime an SA goes, daemon or not; its flows stay if nobody takes them out.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace

from ipsecfleet.lab.daemon.clock import Clock, Timer
from ipsecfleet.model.net import Selectors
from ipsecfleet.model.sa import Flow

LARVAL_SECONDS = 60
SOFT_SHARE = 0.9


@dataclass(frozen=True, slots=True)
class KernelSa:
    """One SA of the SAD; `added` is the moment it was set up, `lifetime` in seconds. Larval without `lifetime`."""

    satype: str
    mode: str
    src: str
    dst: str
    spi: int
    outgoing: bool
    added: float
    auth: str | None = None
    enc: str | None = None
    lifetime: int | None = None
    selectors: Selectors | None = None
    srcid: str = ""
    dstid: str = ""
    tag: str | None = None

    @property
    def soft(self) -> int:
        return int((self.lifetime or 0) * SOFT_SHARE)


FlowKey = tuple[str, Selectors]
Listener = Callable[[str, Flow | KernelSa], None]


class Kernel:
    """SPD and SAD of one machine; `listener` hears of every flow and mature SA that comes or goes."""

    def __init__(self, clock: Clock, listener: Listener) -> None:
        self._clock = clock
        self._listener = listener
        self._flows: dict[FlowKey, Flow] = {}
        self._sas: dict[int, KernelSa] = {}
        self._expiries: dict[int, Timer] = {}

    @property
    def flows(self) -> list[Flow]:
        """Inbound before outbound, each in the order they came."""
        return sorted(self._flows.values(), key=lambda flow: flow.direction)

    @property
    def sas(self) -> list[KernelSa]:
        """By SPI."""
        return [self._sas[spi] for spi in sorted(self._sas)]

    def add_flow(self, flow: Flow) -> None:
        self._flows[flow.direction, flow.selectors] = flow
        self._listener("flow-add", flow)

    def delete_flow(self, flow: Flow) -> bool:
        """Remove what has the direction and selectors of `flow`; False if there is none (ESRCH)."""
        gone = self._flows.pop((flow.direction, flow.selectors), None)
        if gone:
            self._listener("flow-delete", gone)
        return gone is not None

    def reserve(self, satype: str, src: str, dst: str, spi: int) -> None:
        """A larval SA (SADB_GETSPI)."""
        self._sas[spi] = KernelSa(satype, "transport", src, dst, spi, outgoing=False, added=self._clock.now)
        self._expire_after(spi, LARVAL_SECONDS)

    def add_sa(self, sa: KernelSa) -> None:
        self._sas[sa.spi] = replace(sa, added=self._clock.now)
        self._expire_after(sa.spi, sa.lifetime or LARVAL_SECONDS)
        self._listener("sa-add", sa)

    def delete_sa(self, spi: int) -> None:
        if timer := self._expiries.pop(spi, None):
            timer.cancel()
        gone = self._sas.pop(spi, None)
        if gone and gone.lifetime:
            self._listener("sa-delete", gone)

    def flush(self) -> None:
        """`ipsecctl -F`: everything goes; the daemon is not told."""
        for flow in self.flows:
            self.delete_flow(flow)
        for sa in self.sas:
            self.delete_sa(sa.spi)

    def _expire_after(self, spi: int, seconds: float) -> None:
        if timer := self._expiries.get(spi):
            timer.cancel()
        self._expiries[spi] = self._clock.after(seconds, lambda: self.delete_sa(spi))
