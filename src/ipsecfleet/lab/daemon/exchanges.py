"""Negotiations under way, and why they block each other (isakmpd exchange.c, transport.c).

* One exchange of a name and phase at a time: who wants a second one waits for the first.
* The initiator sends at 0, 7, 16 and 27 s; with the fourth sending it says that it gives up. The exchange and its
  unnamed SAs stay all the same until `[General]:Exchange-max-time` (120 s) after its start.
* Whoever sent the last message keeps the finished exchange until then, to be able to repeat it. In phase 1 that is the
  responder, who meanwhile ignores any new phase 1 of the same peer: the lock-out.
* `T` and `d` free an SA that its exchange still refers to; when the exchange goes, the daemon crashes.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING

from ipsecfleet.lab.daemon.packets import NO_COOKIE, Body, Mode, Packet

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ipsecfleet.lab.daemon.clock import Action, Timer
    from ipsecfleet.lab.daemon.process import Process
    from ipsecfleet.lab.daemon.proposals import Transform
    from ipsecfleet.lab.daemon.sas import Sa

WAITS = (7, 9, 11)
MAX_TIME = 120


@dataclass(eq=False, slots=True)
class Exchange:
    """One negotiation; `step` is the number of the last message sent or received."""

    phase: int
    name: str | None
    policy: str
    initiator: bool
    local: str
    remote: str
    icookie: str
    rcookie: str = NO_COOKIE
    msgid: int = 0
    step: int = 0
    sas: list[Sa] = field(default_factory=list)
    waiting: list[str] = field(default_factory=list)
    transform: Transform | None = None
    finished: bool = False
    poisoned: bool = False
    last_sent: Packet | None = None
    last_received: Packet | None = None
    resend: Timer | None = None
    expiry: Timer | None = None

    @property
    def sa(self) -> Sa:
        return self.sas[-1]

    def called(self, name: str, phase: int) -> bool:
        return self.phase == phase and self.name is not None and self.name.lower() == name.lower()

    def owns(self, packet: Packet) -> bool:
        """Whether a packet belongs here; the first message has no responder's cookie, nor has its sender."""
        same = (self.icookie, self.msgid, self.remote) == (packet.icookie, packet.msgid, packet.src)
        return same and (packet.step == 1 or self.rcookie in (packet.rcookie, NO_COOKIE))


class Exchanges:
    """All exchanges of a daemon."""

    def __init__(self, process: Process) -> None:
        self._process = process
        self._all: list[Exchange] = []

    def __iter__(self) -> Iterator[Exchange]:
        return iter(list(self._all))

    def open(self, exchange: Exchange) -> Exchange:
        """Put a new exchange on the table, for its limited time."""
        seconds = self._process.config.number("General", "Exchange-max-time", MAX_TIME)
        exchange.expiry = self._process.after(seconds, lambda: self.drop(exchange))
        self._all.append(exchange)
        self._process.event("exchange-start", phase=exchange.phase, name=exchange.name, ours=exchange.initiator)
        return exchange

    def running(self, name: str, phase: int) -> Exchange | None:
        return next((e for e in self._all if e.called(name, phase) and not e.finished), None)

    def locks_out(self, name: str) -> bool:
        """Whether a phase 1 of that name is beyond its first message, finished or not."""
        return any(e.called(name, 1) and e.step > 1 for e in self._all)

    def of(self, packet: Packet) -> Exchange | None:
        """The exchange a packet belongs to."""
        return next((exchange for exchange in self._all if exchange.owns(packet)), None)

    def send(self, exchange: Exchange, step: int, body: Body, *, last: bool = False) -> None:
        """Say `body`; the initiator repeats it until an answer comes."""
        mode: Mode = "main" if exchange.phase == 1 else "quick"
        cookies = (exchange.icookie, exchange.rcookie)
        packet = Packet(exchange.local, exchange.remote, mode, step, *cookies, exchange.msgid, body)
        exchange.step, exchange.last_sent = step, packet
        self._quiet(exchange)
        if exchange.initiator and not last:
            self._transmit(exchange, packet, 0)
        else:
            self._process.send(packet)

    def answered(self, exchange: Exchange, packet: Packet) -> None:
        """`packet` is the answer waited for: stop repeating the question."""
        self._quiet(exchange)
        exchange.step, exchange.last_received = packet.step, packet

    def repeated(self, exchange: Exchange, packet: Packet) -> bool:
        """Whether `packet` was answered before; the answer goes out once more."""
        if packet != exchange.last_received:
            return False
        if exchange.last_sent:
            self._process.send(exchange.last_sent)
        return True

    def compute(self, exchange: Exchange, seconds: float, then: Action) -> None:
        """Compute keys, then go on, unless the exchange has come to its end meanwhile."""

        def go_on() -> None:
            if exchange in self._all and not exchange.finished:
                then()

        self._process.compute(seconds, go_on)

    def finish(self, exchange: Exchange, *, lingers: bool) -> None:
        """The exchange is complete; who `lingers` has sent the last message."""
        self._quiet(exchange)
        exchange.finished = True
        self._process.event("exchange-end", phase=exchange.phase, name=exchange.name, done=True)
        self._clear(exchange)
        if not lingers:
            self._forget(exchange)

    def drop(self, exchange: Exchange) -> None:
        """The time is over: what did not become an SA is gone."""
        self._quiet(exchange)
        self._forget(exchange)
        if not exchange.finished:
            self._process.event("exchange-end", phase=exchange.phase, name=exchange.name, done=False)
            self._clear(exchange)

    def poison(self, sa: Sa) -> None:
        """`sa` was freed under its exchange."""
        for exchange in self._all:
            exchange.poisoned |= sa in exchange.sas and not exchange.finished

    def _transmit(self, exchange: Exchange, packet: Packet, attempt: int) -> None:
        self._process.send(packet)
        if attempt == len(WAITS):
            self._process.log(
                f"transport_send_messages: giving up on exchange {exchange.name}, "
                f"no response from peer {exchange.remote}:500"
            )
            return
        again = partial(self._transmit, exchange, packet, attempt + 1)
        exchange.resend = self._process.after(WAITS[attempt], again)

    def _clear(self, exchange: Exchange) -> None:
        for sa in exchange.sas:
            if not sa.ready:
                self._process.lifecycle.discard(sa)
        if exchange.poisoned:
            self._process.crash()

    def _quiet(self, exchange: Exchange) -> None:
        if exchange.resend:
            exchange.resend.cancel()

    def _forget(self, exchange: Exchange) -> None:
        if exchange.expiry:
            exchange.expiry.cancel()
        if exchange in self._all:
            self._all.remove(exchange)
