"""What a lab looks like: gateways of ours, peers of others, and the tunnels between them.

It holds on purpose what goes wrong in real fleets: peers whose addresses are prefixes of each other, one name on two
gateways, one peer on two gateways, two customers behind one local network (groundtruth 1.2, transcript r12), a peer
that refuses phase 2 (transcript b09), a tunnel that lives by `c` alone, tunnels that no inventory knows, and from
eight gateways on a CARP pair.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import count, islice

TEST_PSK = "lab-psk-for-tests-only"
"""The pre-shared key of every tunnel of every lab; it protects nothing."""

HUB_FRA, HUB_AMS, CARP_ADDRESS = "10.1.2.2", "10.1.3.2", "10.1.4.1"
CITIES = ("oslo", "bergen", "turku", "gdansk", "porto", "basel", "graz", "lyon", "malmo", "riga", "split", "brno")
CARP_FROM = 8


@dataclass(frozen=True, slots=True)
class CarpMember:
    """A place in a CARP group; the master speaks IKE from `vip`."""

    group: str
    interface: str
    vip: str
    master: bool


@dataclass(frozen=True, slots=True)
class Machine:
    """One isakmpd: a gateway of ours if it has groups, else somebody's peer."""

    name: str
    address: str
    groups: tuple[str, ...] = ()
    carp: CarpMember | None = None

    @property
    def ours(self) -> bool:
        return bool(self.groups)


@dataclass(frozen=True, slots=True)
class End:
    """One end of a tunnel: the machine's IKE address, the network behind it, whether it initiates."""

    address: str
    network: str
    active: bool
    file: str


@dataclass(frozen=True, slots=True)
class Tunnel:
    """Two ends. `listed` in the inventory; `by_c`: in no list of a's daemon, kept up by `c` alone; `refused` by b."""

    name: str
    a: End
    b: End
    listed: bool = True
    by_c: bool = False
    refused: bool = False

    @property
    def ends(self) -> tuple[tuple[End, End], tuple[End, End]]:
        """Each end with its other one."""
        return (self.a, self.b), (self.b, self.a)


@dataclass(frozen=True, slots=True)
class Scenario:
    """All machines and tunnels of a lab."""

    machines: tuple[Machine, ...]
    tunnels: tuple[Tunnel, ...]

    @property
    def gateways(self) -> tuple[Machine, ...]:
        return tuple(machine for machine in self.machines if machine.ours)

    def rules(self, machine: Machine) -> list[tuple[Tunnel, End, End]]:
        """The tunnels that `machine` has a conf file for, its own end first."""
        served = {machine.address, machine.carp.vip if machine.carp else ""}
        return [(tunnel, near, far) for tunnel in self.tunnels for near, far in tunnel.ends if near.address in served]


def rule(near: End, far: End) -> str:
    """The line of ipsec.conf(5) for one end."""
    return (
        f"ike {'active' if near.active else 'passive'} esp from {near.network} to {far.network} peer {far.address} "
        "main auth hmac-sha1 enc aes-256 group modp2048 quick auth hmac-sha1 enc aes-256 group modp2048 "
        f'psk "{TEST_PSK}"\n'
    )


def connection(near: End, far: End) -> str:
    """What ipsecctl(8) calls the connection of that rule."""
    return f"from-{near.network}-to-{far.network}"


def default(gateways: int) -> Scenario:
    """The default fleet of that many gateways: hubs, a CARP pair if it is large enough, and branches."""
    hubs = _hubs()[:gateways]
    pair = _carp_pair() if gateways >= CARP_FROM else ()
    branches = tuple(islice(_branches(), gateways - len(hubs) - len(pair)))
    ours = (*hubs, *branches, *pair)
    addresses = {machine.address for machine in ours}
    tunnels = [tunnel for tunnel in (*_customers(), *_lon_customers()) if tunnel.a.address in addresses]
    tunnels += [
        tunnel for number, branch in enumerate(branches) for tunnel in _spokes(branch, number, with_lon=bool(pair))
    ]
    outside = dict.fromkeys(end.address for tunnel in tunnels for end in (tunnel.a, tunnel.b))
    peers = [Machine(f"peer {address}", address) for address in outside if address not in addresses]
    return Scenario((*ours, *peers), tuple(tunnels))


def between(gateways: int, tunnels: int) -> Scenario:
    """That many tunnels, all ours, between one half of the gateways and the other, each half active in every other."""
    machines = tuple(Machine(f"gw{n + 1}", f"10.1.{n // 250}.{n % 250 + 2}", ("all",)) for n in range(gateways))
    near, far = machines[: gateways // 2], machines[gateways // 2 :]
    pairs = [(near[n % len(near)], far[n // len(near) % len(far)]) for n in range(tunnels)]
    return Scenario(machines, tuple(_between(n, *pair) for n, pair in enumerate(pairs)))


def _between(number: int, one: Machine, other: Machine) -> Tunnel:
    high, low = divmod(number, 250)
    name = f"tunnel-{number + 1}"
    a = End(one.address, f"10.{100 + high}.{low}.0/24", active=number % 2 == 0, file=f"{name}.conf")
    b = End(other.address, f"10.{150 + high}.{low}.0/24", active=number % 2 == 1, file=f"{name}.conf")
    return Tunnel(name, a, b)


def _hubs() -> tuple[Machine, ...]:
    return Machine("hub-fra1", HUB_FRA, ("hub", "eu")), Machine("hub-ams1", HUB_AMS, ("hub", "eu"))


def _carp_pair() -> tuple[Machine, ...]:
    """The master speaks from the shared address; the backup has one of its own, from which nothing is negotiated."""
    return tuple(
        Machine(name, address, ("hub", "uk"), CarpMember("lon", "carp0", CARP_ADDRESS, master))
        for name, address, master in (("hub-lon1", CARP_ADDRESS, True), ("hub-lon2", "10.1.4.3", False))
    )


def _branches() -> Iterator[Machine]:
    for number in count():
        city = CITIES[number] if number < len(CITIES) else f"{number + 1:03}"
        yield Machine(f"br-{city}", f"10.1.{10 + number // 250}.{number % 250 + 2}", ("branch",))


def _customers() -> list[Tunnel]:
    """The tunnels of the two hubs to peers that are not ours."""
    return [
        _customer("customer-1", HUB_FRA, "172.16.1.0/24", "10.2.1.1", "192.168.1.0/24"),
        _customer("customer-10", HUB_FRA, "172.16.10.0/24", "10.2.1.10", "192.168.10.0/24"),
        _passive(_customer("customer-17", HUB_FRA, "172.16.17.0/24", "10.2.1.17", "192.168.17.0/24")),
        _customer("customer-110", HUB_FRA, "172.16.11.0/24", "110.2.1.1", "192.168.11.0/24"),
        replace(_customer("old-router", HUB_FRA, "172.16.99.0/24", "10.2.99.1", "192.168.99.0/24"), listed=False),
        _customer("customer-1-ams", HUB_AMS, "172.17.1.0/24", "10.2.1.1", "192.168.1.0/24"),
        _customer("customer-2", HUB_AMS, "172.16.1.0/24", "10.2.2.1", "192.168.1.0/24"),
        _passive(_customer("customer-4", HUB_AMS, "172.16.4.0/24", "10.2.4.1", "192.168.41.0/24")),
        _passive(_customer("customer-5", HUB_AMS, "172.16.4.0/24", "10.2.5.1", "192.168.42.0/24")),
        replace(_customer("customer-6", HUB_AMS, "172.16.6.0/24", "10.2.6.1", "192.168.6.0/24"), refused=True),
        replace(_customer("customer-8", HUB_AMS, "172.16.8.0/24", "10.2.8.1", "192.168.8.0/24"), by_c=True),
    ]


def _lon_customers() -> list[Tunnel]:
    return [_customer("customer-20", CARP_ADDRESS, "172.16.20.0/24", "10.2.20.1", "192.168.20.0/24")]


def _customer(name: str, hub: str, behind: str, peer: str, network: str) -> Tunnel:
    """A tunnel that the hub keeps up."""
    file = f"{name}.conf"
    return Tunnel(name, End(hub, behind, active=True, file=file), End(peer, network, active=False, file=file))


def _passive(tunnel: Tunnel) -> Tunnel:
    """The same, kept up by the other end."""
    return replace(tunnel, a=replace(tunnel.a, active=False), b=replace(tunnel.b, active=True))


def _spokes(branch: Machine, number: int, *, with_lon: bool) -> list[Tunnel]:
    """The tunnels of one branch: to Frankfurt, every other one also to Amsterdam, the first one also to London."""
    high, low = divmod(number, 250)
    spokes = [_spoke("fra", HUB_FRA, f"10.{30 + high}.{low}.0/24", branch, number)]
    if number % 2 == 0:
        spokes.append(_spoke("ams", HUB_AMS, f"10.{40 + high}.{low}.0/24", branch, number))
    if with_lon and number == 0:
        spokes.append(_spoke("lon", CARP_ADDRESS, "10.60.0.0/24", branch, number))
    return spokes


def _spoke(hub: str, address: str, behind: str, branch: Machine, number: int) -> Tunnel:
    """Kept up by the hub for every other branch, by the branch for the rest."""
    high, low = divmod(number, 250)
    city, by_hub = branch.name.removeprefix("br-"), number % 2 == 1
    near = End(address, behind, active=by_hub, file=f"{city}.conf")
    far = End(branch.address, f"10.{50 + high}.{low}.0/24", active=not by_hub, file=f"{hub}.conf")
    return Tunnel(f"{city}-{hub}", near, far)
