"""Main mode: phase 1 in six messages (isakmpd ike_main_mode.c, ike_phase_1.c, exchange.c).

The initiator's name of it is the section asked for; the responder's is `[Phase 1]:ADDRESS`, else `[Phase 1]:Default`,
else the built-in one. A known address is not answered while an exchange of that name is beyond its first message.
A wrong proposal, key or identity is dropped by the responder with a line in its log; the initiator never learns why.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from ipsecfleet.lab.daemon.exchanges import Exchange
from ipsecfleet.lab.daemon.packets import NO_COOKIE, KeyShare, Offer, Packet, Proof
from ipsecfleet.lab.daemon.proposals import DH_SECONDS, expected_identity, own_identity, phase1_transforms
from ipsecfleet.lab.daemon.sas import Flag, Sa

if TYPE_CHECKING:
    from collections.abc import Callable

    from ipsecfleet.lab.daemon.process import Process
    from ipsecfleet.lab.daemon.proposals import Transform

BUILT_IN = "Default-phase-1"


class MainMode:
    """Phase 1 at one end."""

    def __init__(self, process: Process) -> None:
        self._process = process

    def begin(self, name: str, *, renewing: bool) -> Exchange | None:
        """Start a phase 1 of the section `name`; one that renews another shows STAYALIVE at once."""
        remote = self._process.config.get(name, "Address")
        local = self._process.local_address(name, remote) if remote else None
        if remote is None or local is None:
            self._process.log(f'exchange_establish: transport "udp" for peer "{name}" could not be created')
            return None
        exchange = self._open(name, (local, remote), (self._process.chance.cookie(), NO_COOKIE), initiator=True)
        exchange.sa.flags = Flag.STAYALIVE if renewing else Flag(0)
        exchange.sa.heard = False
        self._process.exchanges.send(exchange, 1, Offer(phase1_transforms(self._process.config, name)))
        return exchange

    def receive(self, packet: Packet) -> None:
        exchange = self._process.exchanges.of(packet)
        if exchange is None:
            if packet.step == 1:
                self._respond(packet)
            else:
                self._process.invalid_cookies(packet)
        elif not self._process.exchanges.repeated(exchange, packet) and packet.step == exchange.step + 1:
            self._advance(exchange, packet)

    def _open(self, name: str, ends: tuple[str, str], cookies: tuple[str, str], *, initiator: bool) -> Exchange:
        policy = self._process.config.get(name, "Configuration") or ""
        exchange = Exchange(1, name, policy, initiator, *ends, *cookies)
        exchange.sas.append(self._process.sas.add(Sa(1, *ends, *cookies)))
        return self._process.exchanges.open(exchange)

    def _respond(self, packet: Packet) -> None:
        config = self._process.config
        name = config.get("Phase 1", packet.src)
        if name and self._process.exchanges.locks_out(name):
            return
        name = name or config.get("Phase 1", "Default") or BUILT_IN
        cookies = (packet.icookie, self._process.chance.cookie())
        exchange = self._open(name, (packet.dst, packet.src), cookies, initiator=False)
        exchange.step = packet.step
        transform = self._choose(packet, name)
        if transform:
            self._agree(exchange, transform)
            self._process.exchanges.answered(exchange, packet)
            self._process.exchanges.send(exchange, 2, Offer((transform,)))

    def _choose(self, packet: Packet, name: str) -> Transform | None:
        offered = packet.body.transforms if isinstance(packet.body, Offer) else ()
        for offer in offered:
            for ours in phase1_transforms(self._process.config, name):
                objection = ours.objection(offer)
                if objection is None:
                    return offer
                self._process.log(f"attribute_unacceptable: {objection}")
        self._process.log("message_negotiate_sa: no compatible proposal found")
        self._process.dropped(packet, "NO_PROPOSAL_CHOSEN")
        return None

    def _advance(self, exchange: Exchange, packet: Packet) -> None:
        if isinstance(packet.body, Proof) and not self._proven(exchange, packet, packet.body):
            return
        self._process.exchanges.answered(exchange, packet)
        match packet.body:
            case Offer((chosen,)):
                self._learn(exchange, packet, chosen)
                self._compute(exchange, 1, lambda: self._process.exchanges.send(exchange, 3, KeyShare()))
            case KeyShare() if packet.step == 3:
                self._compute(exchange, 2, lambda: self._process.exchanges.send(exchange, 4, KeyShare()))
            case KeyShare():
                self._compute(exchange, 1, lambda: self._process.exchanges.send(exchange, 5, self._proof(exchange)))
            case Proof() if packet.step == 5:
                self._process.exchanges.send(exchange, 6, self._proof(exchange), last=True)
                self._complete(exchange, packet.body)
            case Proof():
                self._complete(exchange, packet.body)
            case _:
                pass

    def _learn(self, exchange: Exchange, packet: Packet, chosen: Transform) -> None:
        exchange.rcookie = exchange.sa.rcookie = packet.rcookie
        exchange.sa.heard = True
        self._agree(exchange, chosen)

    def _agree(self, exchange: Exchange, transform: Transform) -> None:
        exchange.transform = transform
        exchange.sa.lifetime = transform.life.offer

    def _compute(self, exchange: Exchange, operations: int, then: Callable[[], None]) -> None:
        group = exchange.transform.group if exchange.transform else ""
        self._process.exchanges.compute(exchange, operations * DH_SECONDS.get(group, 0), then)

    def _proof(self, exchange: Exchange) -> Proof:
        name = exchange.name or ""
        identity = own_identity(self._process.config, name, exchange.local)
        return Proof(identity, self._process.psk(name, exchange.remote))

    def _proven(self, exchange: Exchange, packet: Packet, proof: Proof) -> bool:
        name = exchange.name or ""
        if proof.psk != self._process.psk(name, exchange.remote):
            self._process.log("message_parse_payloads: reserved field non-zero: 5a")
            self._process.dropped(packet, "PAYLOAD_MALFORMED")
            return False
        expected = expected_identity(self._process.config, name)
        if expected and expected != proof.identity:
            self._process.log(f"ike_phase_1_recv_ID: received remote ID other than expected {expected.text}")
            return False
        return True

    def _complete(self, exchange: Exchange, proof: Proof) -> None:
        sa, ours = exchange.sa, exchange.initiator
        sa.local_id = own_identity(self._process.config, exchange.name or "", exchange.local)
        sa.remote_id = proof.identity
        self._process.lifecycle.ready(sa, exchange.name or "", initiator=ours)
        initiator, responder = self._process.phase1_ids(sa)
        self._process.log(
            f"isakmpd: phase 1 done{'' if ours else ' (as responder)'}: "
            f"initiator id {initiator}, responder id {responder}, src: {sa.local} dst: {sa.remote}"
        )
        self._process.informational.watch(sa)
        self._process.exchanges.finish(exchange, lingers=not ours)
        for name in exchange.waiting:
            self._process.establish(name)
