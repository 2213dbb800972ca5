"""A world of gateways on one virtual clock: nothing happens but by `advance`."""

from collections.abc import Callable, Sequence

from ipsecfleet.lab.daemon.chance import Chance, SeededChance
from ipsecfleet.lab.daemon.clock import Clock, Timer
from ipsecfleet.lab.daemon.daemon import Daemon, Surroundings
from ipsecfleet.lab.daemon.network import Network

LATENCY = 0.0003
EventListener = Callable[[dict[str, object]], None]


class World:
    """Clock, network and machines; equal seeds and equal input give equal histories."""

    def __init__(
        self, seed: int = 0, start: float = 0.0, *, chance: Chance | None = None, latency: float = LATENCY
    ) -> None:
        self._clock = Clock(start)
        self._listeners: list[EventListener] = []
        self.network = Network(self._clock, latency)
        self._around = Surroundings(self._clock, self.network, chance or SeededChance(seed), self._tell)
        self.gateways: dict[str, Daemon] = {}

    @property
    def now(self) -> float:
        return self._clock.now

    def gateway(self, name: str, addresses: Sequence[str]) -> Daemon:
        """A new machine with a running daemon."""
        self.gateways[name] = Daemon(name, addresses, self._around)
        return self.gateways[name]

    def at(self, moment: float, action: Callable[[], None]) -> Timer:
        """Let `action` happen at `moment`, among everything else."""
        return self._clock.at(moment, action)

    def advance(self, to: float) -> None:
        """Let happen, in order, everything that is due up to `to`."""
        self._clock.run_until(to)

    def next_event(self) -> float | None:
        """The moment of the next thing to happen, or None."""
        return self._clock.next_due()

    def cut(self, address: str) -> None:
        """Nothing from or to this IKE address arrives until `restore`."""
        self.network.cut(address)

    def restore(self, address: str) -> None:
        self.network.restore(address)

    def on_event(self, listener: EventListener) -> None:
        """Tell `listener` of every FIFO line, log line, SA, flow and exchange, with `at`, `gateway` and `event`."""
        self._listeners.append(listener)

    def _tell(self, event: dict[str, object]) -> None:
        for listener in self._listeners:
            listener(event)
