"""Informational exchanges: DELETE, and dead peer detection (isakmpd ipsec.c, dpd.c).

A DELETE counts only under a phase 1 that both ends have. Dead peer detection runs where `[General]:DPD-check-interval`
is set when a phase 1 becomes ready (`ike dynamic` sets it to 5): a probe per interval, and after five without an answer
the phase 1 and every phase 2 of the same identities go, without a DELETE.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from ipsecfleet.lab.daemon.packets import DeletePhase1, DeleteSpi, Packet, Probe
from ipsecfleet.lab.daemon.sas import Flag, Sa

if TYPE_CHECKING:
    from ipsecfleet.lab.daemon.process import Process

MAX_UNANSWERED = 5
_PROTO_NUMBER = {"esp": 3, "ah": 2}


class Informational:
    """What is said beside negotiations."""

    def __init__(self, process: Process) -> None:
        self._process = process
        self._unanswered: dict[Sa, int] = {}

    def receive(self, packet: Packet) -> None:
        phase1 = self._process.sas.phase1_of(packet.cookies)
        if phase1 is None:
            self._process.invalid_cookies(packet)
            return
        match packet.body:
            case DeletePhase1():
                self._delete(phase1, phase1)
            case DeleteSpi(spi):
                self._delete_spi(phase1, spi)
            case Probe(ack=True):
                self._unanswered[phase1] = 0
            case Probe():
                self._probe(phase1, ack=True)
            case _:
                pass

    def watch(self, phase1: Sa) -> None:
        """Start probing the peer of a new phase 1, if that is configured."""
        interval = self._process.config.number("General", "DPD-check-interval", 0)
        if interval > 0:
            phase1.flags |= Flag.DPD
            self._unanswered[phase1] = 0
            self._process.after(interval, lambda: self._check(phase1, interval))

    def _check(self, phase1: Sa, interval: int) -> None:
        if phase1 not in self._process.sas:
            self._unanswered.pop(phase1, None)
        elif self._unanswered[phase1] >= MAX_UNANSWERED:
            self._bury(phase1)
        else:
            self._unanswered[phase1] += 1
            self._probe(phase1, ack=False)
            self._process.after(interval, lambda: self._check(phase1, interval))

    def _bury(self, phase1: Sa) -> None:
        del self._unanswered[phase1]
        ids = (phase1.local_id, phase1.remote_id)
        for sa in self._process.sas:
            if sa is phase1 or (sa.phase == 2 and sa.ready and (sa.local_id, sa.remote_id) == ids):
                self._process.lifecycle.delete(sa, notify=False)

    def _probe(self, phase1: Sa, *, ack: bool) -> None:
        msgid = self._process.chance.msgid()
        self._process.send(Packet(phase1.local, phase1.remote, "info", 1, *phase1.cookies, msgid, Probe(ack)))

    def _delete_spi(self, phase1: Sa, spi: int) -> None:
        gone = self._process.sas.first(
            lambda sa: sa.phase == 2 and sa.ready and sa.remote == phase1.remote and sa.spi_out == spi
        )
        if gone:
            self._delete(gone, phase1)

    def _delete(self, sa: Sa, phase1: Sa) -> None:
        proto = _PROTO_NUMBER[sa.suite.protocol] if sa.suite else 1
        initiator, responder = self._process.phase1_ids(phase1)
        self._process.log(
            f"isakmpd: Peer {sa.remote} made us delete live SA {sa.name} for proto {proto}, "
            f"initiator id: {initiator}, responder id: {responder}"
        )
        self._process.lifecycle.delete(sa, notify=False)
