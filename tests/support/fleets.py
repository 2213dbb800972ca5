"""Small simulated fleets that many tests begin with; every tunnel is up when they are handed out."""

from simworld import ROOMY, SimFleet

from ipsecfleet.model.fleet import Limits

HUB, PEER = "10.1.2.2", "10.2.1.1"
HERE, THERE = "172.16.1.0/24", "192.168.1.0/24"
N1 = f"from-{HERE}-to-{THERE}"
BACK = f"from-{THERE}-to-{HERE}"
HELD = "C add [ipsecfleet]:Held-Connections="


def name(n: int, local: int | None = None) -> str:
    return f"from-172.16.{n if local is None else local}.0/24-to-192.168.{n}.0/24"


def customers(
    count: int, mode: str = "active", *, limits: Limits = ROOMY, local: int | None = None, peer: str = "", **hub: object
) -> SimFleet:
    """`hub` with tunnels to foreign peers; `local` gives them one network here, `peer` one peer there."""
    sim = SimFleet(limits=limits)
    sim.gateway("hub", HUB, **hub)
    for n in range(1, count + 1):
        there = peer or f"10.2.{n}.1"
        if f"peer {there}" not in sim.world.gateways:
            sim.peer(there)
        here = f"172.16.{n if local is None else local}.0/24"
        far = "active" if mode == "passive" else "passive"
        sim.rule(f"peer {there}", far, f"192.168.{n}.0/24", here, HUB)
        sim.rule("hub", mode, here, f"192.168.{n}.0/24", there, file=f"customer-{n}")
        sim.tunnel(f"customer-{n}", ("hub", here), (there, f"192.168.{n}.0/24"))
    sim.settle()
    return sim


def pair(hub: str = "active", branch: str = "passive", **more: object) -> SimFleet:
    """`oslo` between `hub` and `branch`, both ours."""
    sim = SimFleet()
    sim.gateway("hub", HUB, **more)
    sim.gateway("branch", "10.1.9.2", **more)
    sim.rule("branch", branch, THERE, HERE, HUB, file="oslo")
    sim.rule("hub", hub, HERE, THERE, "10.1.9.2", file="oslo")
    sim.tunnel("oslo", ("hub", HERE), ("branch", THERE))
    sim.settle()
    return sim


def star(branches: int, limits: Limits = ROOMY) -> SimFleet:
    """`hub` and branches, all ours."""
    sim = SimFleet(limits=limits)
    sim.gateway("hub", HUB)
    for n in range(1, branches + 1):
        sim.gateway(f"branch-{n}", f"10.1.9.{n}")
        sim.rule(f"branch-{n}", "passive", f"192.168.{n}.0/24", f"172.16.{n}.0/24", HUB, file=f"tunnel-{n}")
        sim.rule("hub", "active", f"172.16.{n}.0/24", f"192.168.{n}.0/24", f"10.1.9.{n}", file=f"tunnel-{n}")
        sim.tunnel(f"tunnel-{n}", ("hub", f"172.16.{n}.0/24"), (f"branch-{n}", f"192.168.{n}.0/24"))
    sim.settle()
    return sim


def carp(mode: str = "active") -> SimFleet:
    """`customer-1` at a CARP pair: `fra1` is master, `fra2` backup and passive as sasyncd(8) leaves it."""
    sim = SimFleet()
    sim.carp_pair("fra", "203.0.113.1", "fra1", "fra2")
    sim.peer(PEER)
    sim.rule(f"peer {PEER}", "active" if mode == "passive" else "passive", THERE, HERE, "203.0.113.1")
    for member in ("fra1", "fra2"):
        sim.rule(member, mode, HERE, THERE, PEER, file="customer-1")
    sim.fifo("fra2", "M passive")
    sim.tunnel("customer-1", ("fra", HERE), (PEER, THERE))
    sim.settle()
    return sim
