"""The network between daemons: addresses, a latency, and links that can be cut."""

from collections.abc import Callable

from ipsecfleet.lab.daemon.clock import Clock
from ipsecfleet.lab.daemon.packets import DeletePhase1, DeleteSpi, Packet

Receiver = Callable[[Packet], None]
Route = Callable[[Packet], float | None]


class Network:
    """Delivers packets to addresses; `route` says after how many seconds a packet arrives, None that it is lost.

    Nothing gets to or from an address that is `silent`, nothing from one that is `mute`, nothing to one that is `deaf`.
    """

    def __init__(self, clock: Clock, latency: float) -> None:
        self._clock = clock
        self._receivers: dict[str, Receiver] = {}
        self.silent: set[str] = set()
        self.mute: set[str] = set()
        self.deaf: set[str] = set()
        self.drop_deletes = False
        self.route: Route = lambda _packet: latency

    def attach(self, address: str, receiver: Receiver) -> None:
        self._receivers[address] = receiver

    def cut(self, address: str) -> None:
        """Nothing from or to `address` arrives any more: a silent peer."""
        self.silent.add(address)

    def restore(self, address: str) -> None:
        self.silent.discard(address)

    def send(self, packet: Packet) -> None:
        """Deliver `packet` when its time has come, unless it is lost on the way."""
        seconds = self.route(packet)
        if seconds is not None and not self._lost(packet):
            self._clock.after(seconds, lambda: self._deliver(packet))

    def _lost(self, packet: Packet) -> bool:
        dropped = self.drop_deletes and isinstance(packet.body, DeleteSpi | DeletePhase1)
        one_way = packet.src in self.mute or packet.dst in self.deaf
        return dropped or one_way or bool(self.silent & {packet.src, packet.dst})

    def _deliver(self, packet: Packet) -> None:
        if packet.dst in self._receivers and not self._lost(packet):
            self._receivers[packet.dst](packet)
