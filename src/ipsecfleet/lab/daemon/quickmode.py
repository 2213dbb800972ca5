"""Quick mode: phase 2 in three messages (isakmpd ike_quick_mode.c, pf_key_v2.c).

The initiator calls it after its connection. The responder looks for the proposed networks in its passive list, and, as
a road warrior's would not be found there, then for the local network alone: so its name can be a neighbour's. What
matches nothing is dropped with a line in the log; every repetition of such a proposal adds one more unnamed SA to the
same exchange. STAYALIVE is what we began ourselves or keep up by name; its phase 1 gets it too.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from ipsecfleet.lab.daemon.exchanges import Exchange
from ipsecfleet.lab.daemon.packets import Confirmation, Packet, Proposal
from ipsecfleet.lab.daemon.proposals import DH_SECONDS, id_text, phase2_suite, selectors
from ipsecfleet.lab.daemon.sas import Flag, Sa

if TYPE_CHECKING:
    from collections.abc import Callable

    from ipsecfleet.lab.daemon.process import Process
    from ipsecfleet.lab.daemon.proposals import Suite

_WITHOUT_GROUP = "responder_recv_HASH_SA_NONCE: KEY_EXCH payload without a group desc. attribute"


class QuickMode:
    """Phase 2 at one end."""

    def __init__(self, process: Process) -> None:
        self._process = process

    def begin(self, name: str, phase1: Sa) -> None:
        """Propose the connection `name` to the peer of `phase1`."""
        config = self._process.config
        networks = selectors(config, name)
        if networks is None:
            self._process.log(f'initiator_send_HASH_SA_NONCE: section [{name}] has no usable "Local-ID" or "Remote-ID"')
            return
        exchange = self._open(name, phase1, self._process.chance.msgid(), initiator=True)
        sa = self._add_sa(exchange, phase1)
        sa.suite, sa.selectors = phase2_suite(config, name), networks
        sa.spi_in = self._reserve(sa, sa.suite)
        proposal = Proposal(sa.suite, sa.spi_in, networks)
        self._compute(exchange, sa, lambda: self._process.exchanges.send(exchange, 1, proposal))

    def receive(self, packet: Packet) -> None:
        phase1 = self._process.sas.phase1_of(packet.cookies)
        exchange = self._process.exchanges.of(packet)
        if phase1 is None:
            self._process.invalid_cookies(packet)
        elif exchange and self._process.exchanges.repeated(exchange, packet):
            pass
        elif isinstance(packet.body, Proposal) and packet.step == 1:
            self._respond(packet, packet.body, phase1, exchange)
        elif exchange and packet.step == exchange.step + 1:
            self._advance(exchange, packet)

    def _open(self, name: str | None, phase1: Sa, msgid: int, *, initiator: bool) -> Exchange:
        policy = self._process.config.get(name, "Configuration") if name else None
        exchange = Exchange(2, name, policy or "", initiator, phase1.local, phase1.remote, *phase1.cookies, msgid)
        return self._process.exchanges.open(exchange)

    def _add_sa(self, exchange: Exchange, phase1: Sa) -> Sa:
        sa = Sa(2, exchange.local, exchange.remote, exchange.icookie, exchange.rcookie, exchange.msgid)
        sa.local_id, sa.remote_id = phase1.local_id, phase1.remote_id
        exchange.sas.append(self._process.sas.add(sa))
        return sa

    def _reserve(self, sa: Sa, suite: Suite) -> int:
        spi = self._process.chance.spi()
        self._process.kernel.reserve(suite.protocol, sa.remote, sa.local, spi)
        return spi

    def _compute(self, exchange: Exchange, sa: Sa, then: Callable[[], None]) -> None:
        seconds = DH_SECONDS.get(sa.suite.group or "", 0) if sa.suite else 0
        self._process.exchanges.compute(exchange, seconds, then)

    def _respond(self, packet: Packet, proposal: Proposal, phase1: Sa, exchange: Exchange | None) -> None:
        exchange = exchange or self._open(None, phase1, packet.msgid, initiator=False)
        self._add_sa(exchange, phase1)
        exchange.sas[0].lifetime = proposal.suite.lifetime
        for _ in exchange.sas[1:]:
            self._process.log(_WITHOUT_GROUP)
            self._process.dropped(packet, "NO_PROPOSAL_CHOSEN")
        refused = self._process.host.faults.refuses_phase2(packet.src)
        name = None if refused else self._process.connections.passive_name(proposal.selectors.mirrored())
        if name is None:
            self._refuse(packet, proposal)
        else:
            exchange.name, exchange.policy = name, self._process.config.get(name, "Configuration") or ""
            self._process.exchanges.answered(exchange, packet)
            self._accept(exchange, exchange.sa, proposal)

    def _accept(self, exchange: Exchange, sa: Sa, proposal: Proposal) -> None:
        sa.suite, sa.selectors, sa.spi_out = proposal.suite, proposal.selectors.mirrored(), proposal.spi
        sa.lifetime = proposal.suite.lifetime
        sa.spi_in = self._reserve(sa, sa.suite)
        answer = Proposal(sa.suite, sa.spi_in, sa.selectors)
        self._compute(exchange, sa, lambda: self._answer(exchange, sa, answer))

    def _answer(self, exchange: Exchange, sa: Sa, answer: Proposal) -> None:
        self._process.exchanges.send(exchange, 2, answer)
        self._compute(exchange, sa, lambda: None)

    def _refuse(self, packet: Packet, proposal: Proposal) -> None:
        theirs, ours = id_text(proposal.selectors.local), id_text(proposal.selectors.remote)
        self._process.log(
            "responder_recv_HASH_SA_NONCE: peer proposed invalid phase 2 IDs: "
            f"initiator id {theirs}, responder id {ours}"
        )
        self._process.dropped(packet, "INVALID_ID_INFORMATION")

    def _advance(self, exchange: Exchange, packet: Packet) -> None:
        self._process.exchanges.answered(exchange, packet)
        if isinstance(packet.body, Proposal):
            exchange.sa.spi_out, exchange.sa.lifetime = packet.body.spi, packet.body.suite.lifetime
            self._compute(exchange, exchange.sa, lambda: self._complete(exchange))
        else:
            self._complete(exchange)

    def _complete(self, exchange: Exchange) -> None:
        sa, ours, name = exchange.sa, exchange.initiator, exchange.name or ""
        if ours:
            self._process.exchanges.send(exchange, 3, Confirmation(), last=True)
        self._process.lifecycle.ready(sa, name, initiator=ours)
        if ours or self._process.connections.keeps_up(name):
            self._stay_alive(sa)
        done = "quick mode done" if ours else "quick mode done (as responder)"
        self._process.log(f"isakmpd: {done}: src: {sa.local} dst: {sa.remote}")
        self._process.exchanges.finish(exchange, lingers=ours)

    def _stay_alive(self, sa: Sa) -> None:
        sa.flags |= Flag.STAYALIVE
        phase1 = self._process.sas.phase1_of(sa.cookies)
        if phase1:
            phase1.flags |= Flag.STAYALIVE
