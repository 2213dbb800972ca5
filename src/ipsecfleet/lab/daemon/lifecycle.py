"""How an SA lives: it becomes ready, replaces its elders, softly expires, expires, is deleted (isakmpd sa.c, ipsec.c).

* A new SA marks what it succeeds as REPLACED: a phase 2 every SA with the same flow, a phase 1 the one of the same
  name, role and identities.
* Soft expiry renews an SA that is STAYALIVE and not REPLACED; any other is FADING from then on. Hard expiry deletes.
* Deleting a ready SA tells the peer, if there is a ready phase 1 with it; removes both kernel SAs; and both flows,
  unless the SA was REPLACED.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from ipsecfleet.lab.daemon.kernel import KernelSa
from ipsecfleet.lab.daemon.packets import DeletePhase1, DeleteSpi, Packet
from ipsecfleet.lab.daemon.sas import Flag, Sa
from ipsecfleet.model.sa import Flow

if TYPE_CHECKING:
    from ipsecfleet.lab.daemon.packets import Body
    from ipsecfleet.lab.daemon.process import Process


DELETE_SECONDS = 0.0005
"""An informational message takes so long to make: when both ends expire an SA together, neither hears of it."""


class Lifecycle:
    """Births and deaths of the SAs of one daemon."""

    def __init__(self, process: Process) -> None:
        self._process = process

    def ready(self, sa: Sa, name: str, *, initiator: bool) -> None:
        """The negotiation is complete: `sa` gets its name, succeeds its elders, and is installed."""
        sa.name, sa.initiator = name, initiator
        for elder in self._process.sas:
            if _succeeds(sa, elder):
                elder.flags |= Flag.REPLACED
        sa.flags |= Flag.READY
        self._set_timers(sa)
        self._process.event("sa-ready", **_facts(sa))
        if sa.phase == 2:
            self._install(sa)

    def delete(self, sa: Sa, *, notify: bool) -> None:
        """Remove a ready SA here, and with `notify` at the peer."""
        if notify:
            self._tell_peer(sa)
        self._process.event("sa-gone", **_facts(sa))
        if sa.phase == 2 and not sa.replaced:
            for flow in _flows(sa):
                self._process.kernel.delete_flow(flow)
        self.discard(sa)

    def discard(self, sa: Sa) -> None:
        """Forget an SA and what the kernel has of it."""
        for timer in (sa.soft, sa.hard):
            if timer:
                timer.cancel()
        self._process.sas.remove(sa)
        for spi in (sa.spi_in, sa.spi_out):
            if spi is not None:
                self._process.kernel.delete_sa(spi)

    def soft_expire(self, sa: Sa) -> None:
        if sa.soft:
            sa.soft.cancel()
        sa.soft = None
        self._process.event("sa-soft", **_facts(sa))
        if sa.renewed_by_us and sa.name:
            self._process.establish(sa.name, renewing=True)
        else:
            sa.flags |= Flag.FADING

    def hard_expire(self, sa: Sa) -> None:
        if sa.renewed_by_us and sa.name:
            self._process.establish(sa.name, renewing=True)
        self.delete(sa, notify=True)

    def _set_timers(self, sa: Sa) -> None:
        seconds = self._process.chance.soft(self._process.host.name, sa.name or "", sa.lifetime)
        sa.soft = self._process.after(seconds, lambda: self.soft_expire(sa))
        sa.hard = self._process.after(sa.lifetime, lambda: self.hard_expire(sa))

    def _install(self, sa: Sa) -> None:
        for kernel_sa in _kernel_sas(sa, self._process.tag(sa)):
            self._process.kernel.add_sa(kernel_sa)
        for flow in _flows(sa):
            self._process.kernel.add_flow(flow)

    def _tell_peer(self, sa: Sa) -> None:
        phase1 = self._process.sas.phase1_with(sa.remote) if sa.phase == 2 else sa
        if phase1 is None:
            return
        body: Body = DeletePhase1() if sa.phase == 1 else DeleteSpi(sa.spi_in or 0)
        packet = Packet(sa.local, sa.remote, "info", 1, *phase1.cookies, self._process.chance.msgid(), body)
        self._process.compute(DELETE_SECONDS, lambda: self._process.send(packet))


def _succeeds(new: Sa, old: Sa) -> bool:
    if old is new or old.phase != new.phase or not old.ready or old.replaced:
        return False
    if new.phase == 2:
        return old.selectors == new.selectors
    ids = (old.local_id, old.remote_id) == (new.local_id, new.remote_id)
    return old.called(new.name or "") and old.initiator == new.initiator and ids


def _facts(sa: Sa) -> dict[str, object]:
    """What is told of an SA when something becomes of it; its networks as its flows have them."""
    facts: dict[str, object] = {"phase": sa.phase, "name": sa.name, "peer": sa.remote, "spi": sa.spi_in}
    if sa.selectors is not None:
        facts |= {"local": str(sa.selectors.local), "remote": str(sa.selectors.remote)}
    return facts


def _flows(sa: Sa) -> list[Flow]:
    if sa.selectors is None or sa.suite is None:
        return []
    ids = {"srcid": str(sa.local_id or ""), "dstid": str(sa.remote_id or "")}
    return [
        Flow(sa.suite.protocol, direction, sa.selectors, sa.remote, "require", **ids) for direction in ("out", "in")
    ]


def _kernel_sas(sa: Sa, tag: str | None) -> list[KernelSa]:
    suite = sa.suite
    if suite is None or sa.selectors is None or sa.spi_in is None or sa.spi_out is None:
        return []
    ends = ((sa.remote, sa.local, sa.spi_in, False), (sa.local, sa.remote, sa.spi_out, True))
    ids = {sa.local: str(sa.local_id or ""), sa.remote: str(sa.remote_id or "")}
    return [
        KernelSa(
            suite.protocol, suite.mode, src, dst, spi, outgoing, added=0, auth=suite.kernel_auth,
            enc=suite.kernel_enc, lifetime=sa.lifetime, selectors=sa.selectors,
            srcid=ids[src], dstid=ids[dst], tag=tag,
        )
        for src, dst, spi, outgoing in ends
    ]  # fmt: skip
