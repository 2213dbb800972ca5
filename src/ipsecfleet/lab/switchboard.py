"""Which faults are switched on, and where."""

from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import partial

from ipsecfleet.errors import OperatorError
from ipsecfleet.lab.daemon import World
from ipsecfleet.lab.faults import GATEWAY_FAULTS, PEER_FAULTS, GatewayFault, Station


@dataclass(frozen=True, slots=True)
class Active:
    """A fault and the gateway or the peer's address that has it."""

    fault: str
    where: str

    def __str__(self) -> str:
        return f"{self.fault} {self.where}"


class Switchboard:
    """Switches faults by name; those of a gateway at all of them unless one is named."""

    def __init__(self, world: World, stations: Mapping[str, Station]) -> None:
        self._world = world
        self._stations = stations
        self._active: dict[Active, Callable[[], Awaitable[None]]] = {}

    @property
    def active(self) -> list[str]:
        """What is switched on, as it can be read."""
        return sorted(str(active) for active in self._active)

    async def switch(self, words: list[str], gateway: str | None) -> None:
        """`FAULT`, `FAULT ADDRESS`, `off`, or `off FAULT [ADDRESS]`; an unknown word is the operator's error."""
        stations = self._named(gateway)
        match words:
            case ["off", *what]:
                await self._off(what, gateway)
            case [name] if fault := GATEWAY_FAULTS.get(name):
                await self._on(name, fault, {where: s for where, s in stations.items() if fault.concerns(s)})
            case [name, address] if name in PEER_FAULTS and gateway is None:
                self._on_peer(name, address)
            case _:
                raise OperatorError(f"no such fault: {' '.join(words)}", hint=HINT, kind="fault")

    async def _on(self, name: str, fault: GatewayFault, stations: Mapping[str, Station]) -> None:
        if not stations:
            raise OperatorError(f"{name} concerns no gateway here", hint=f"it means: {fault.means}", kind="fault")
        for where, station in stations.items():
            await fault.on(station)
            if fault.off:
                self._active[Active(name, where)] = partial(fault.off, station)

    def _on_peer(self, name: str, address: str) -> None:
        if not any(address in daemon.addresses for daemon in self._world.gateways.values()):
            raise OperatorError(f"no such peer: {address}", hint="the addresses stand in the inventory", kind="fault")
        fault = PEER_FAULTS[name]
        fault.on(self._world, address)

        async def off() -> None:
            fault.off(self._world, address)

        self._active[Active(name, address)] = off

    async def _off(self, what: list[str], gateway: str | None) -> None:
        fault, address = [*what, "", ""][:2]
        where = gateway or address
        for active in list(self._active):
            if fault in ("", active.fault) and where in ("", active.where):
                await self._active.pop(active)()

    def _named(self, gateway: str | None) -> Mapping[str, Station]:
        if gateway is None:
            return self._stations
        if gateway not in self._stations:
            raise OperatorError(
                f"no such gateway: {gateway}", hint=f"there are {', '.join(self._stations)}", obj=gateway
            )
        return {gateway: self._stations[gateway]}


def described() -> Iterable[tuple[str, str]]:
    """Every fault as it is called, with what it means."""
    yield from ((name, fault.means) for name, fault in GATEWAY_FAULTS.items())
    yield from ((f"{name} ADDRESS", fault.means) for name, fault in PEER_FAULTS.items())


HINT = f"there are {', '.join(name for name, _ in described())}; or off"
