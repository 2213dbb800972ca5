"""What can be the matter with a tunnel, each as a simulated fleet in which just that has happened.

`oslo` is between `hub`, which begins, and `branch`, which answers; with one end ours alone, the other is somebody's.
"""

import re
from collections.abc import Callable, Iterable
from dataclasses import replace
from ipaddress import ip_network

from fleets import BACK, HERE, HUB, N1, THERE, carp, pair
from simworld import PSK, SimFleet

from ipsecfleet.errors import UnreachableError
from ipsecfleet.model.diagnosis import Cause
from ipsecfleet.model.fleet import TunnelEnd

BRANCH = "10.1.9.2"
OTHER_HERE, OTHER_THERE = "10.60.0.0/16", "10.50.0.0/16"
P_BRANCH, P_HUB = f"peer-{BRANCH}", f"peer-{HUB}"
ADDRESSES = {"hub": HUB, "branch": BRANCH}

Story = Callable[[], SimFleet]


def again(sim: SimFleet, *meanwhile: tuple[str, str], wait_s: float = 40.0) -> SimFleet:
    """Tear both phases down, do that, and let the hub begin again where no old phase 1 keeps it out."""
    sim.fifo("hub", f"t quick {N1}", f"t main {P_BRANCH}")
    sim.settle(5)
    for gateway, line in meanwhile:
        sim.fifo(gateway, line)
    sim.settle(120)
    sim.fifo("hub", f"c {N1}")
    sim.settle(wait_s)
    return sim


def with_rules(hub: str, branch: str, *, hub_ids: str = "", branch_ids: str = "") -> SimFleet:
    """The pair with these transforms of phase 1 and identities, since it was loaded."""
    sim = SimFleet()
    sim.gateway("hub", HUB)
    sim.gateway("branch", BRANCH)
    for gateway, mode, here, there, peer, main, ids in (
        ("branch", "passive", THERE, HERE, HUB, branch, branch_ids),
        ("hub", "active", HERE, THERE, BRANCH, hub, hub_ids),
    ):
        text = f'ike {mode} esp from {here} to {there} peer {peer} {main} quick group none {ids} psk "{PSK}"\n'
        sim.files[gateway] = {"/etc/IPsec/oslo.conf": text}
        sim.ipsecctl(gateway, "-f", "/etc/IPsec/oslo.conf")
    sim.tunnel("oslo", ("hub", HERE), ("branch", THERE))
    sim.settle(40)
    return sim


def one_way(source: str) -> SimFleet:
    sim = pair()
    sim.world.network.route = lambda packet: None if packet.src == source and sim.world.now > lost_from else 0.0003
    lost_from = sim.world.now + 60
    return again(sim)


def silent() -> SimFleet:
    """The branch's machine is unplugged, and forgets what it had."""
    sim = pair()
    again_at = sim.world.now
    sim.fifo("hub", f"t quick {N1}", f"t main {P_BRANCH}")
    sim.settle(5)
    sim.world.cut(BRANCH)
    sim.settle(120)
    sim.fifo("hub", f"c {N1}")
    sim.settle(40)
    assert sim.world.now > again_at
    return sim


def other_networks() -> SimFleet:
    sim = SimFleet()
    sim.gateway("hub", HUB)
    sim.gateway("branch", BRANCH)
    sim.rule("branch", "passive", OTHER_THERE, OTHER_HERE, HUB, file="oslo")
    sim.rule("hub", "active", HERE, THERE, BRANCH, file="oslo")
    sim.tunnel("oslo", ("hub", HERE), ("branch", THERE))
    sim.settle(40)
    return sim


def refused() -> SimFleet:
    sim = pair()
    sim.daemon("branch").faults.refuse_phase2.add("*")
    sim.fifo("hub", f"t quick {N1}")
    sim.fifo("hub", f"c {N1}")
    sim.settle(40)
    return sim


def lost_phase1() -> SimFleet:
    sim = pair()
    sim.settle(130)
    sim.world.network.drop_deletes = True
    sim.fifo("branch", f"t quick {BACK}", f"t main {P_HUB}")
    sim.settle(3)
    sim.fifo("hub", f"t quick {N1}")
    sim.fifo("hub", f"c {N1}")
    sim.settle(20)
    sim.world.network.drop_deletes = False
    return sim


def unloaded() -> SimFleet:
    sim = pair()
    sim.ipsecctl("branch", "-d", "-f", "/etc/IPsec/oslo.conf")
    sim.settle(70)
    return sim


def not_reloaded(gateway: str) -> SimFleet:
    """The daemon was started again without its conf, and no SA is left anywhere."""
    sim = again(pair(), wait_s=0.0)
    sim.fifo("hub", f"t quick {N1}", f"t main {P_BRANCH}")
    sim.settle(2)
    sim.restart_daemon(gateway)
    sim.settle(70)
    return sim


def without_peer_entry() -> SimFleet:
    return again(pair(), ("branch", f"C rm [Phase 1]:{HUB}"))


def by(*lines: str, gateway: str = "hub", wait_s: float = 20.0) -> SimFleet:
    sim = pair()
    sim.fifo(gateway, *lines)
    sim.settle(wait_s)
    return sim


def held() -> SimFleet:
    sim = pair()
    sim.down(tunnels=["oslo"])
    sim.settle(20)
    return sim


def half_dead() -> SimFleet:
    """Both begin, and one tears its live SA down: the other still has the first (c11)."""
    sim = pair("active", "active")
    sim.fifo("hub", f"t quick {N1}")
    sim.settle(2)
    return sim


def main_before_quick() -> SimFleet:
    """The phase 1 goes first, so that the peer never hears that phase 2 has gone (c04, c06b)."""
    sim = pair()
    sim.fifo("hub", f"t main {P_BRANCH}")
    sim.settle(1)
    sim.fifo("hub", f"t quick {N1}")
    sim.settle(5)
    return sim


def locked_out() -> SimFleet:
    sim = pair()
    sim.fifo("hub", f"t quick {N1}", f"t main {P_BRANCH}", f"c {N1}")
    sim.settle(10)
    return sim


def restarted() -> SimFleet:
    """A daemon that was killed and started with its conf: its kernel has what it does not know."""
    sim = pair()
    sim.restart_daemon("branch")
    sim.load_all("branch")
    sim.settle(7)
    return sim


def passive_mode() -> SimFleet:
    sim = pair()
    sim.fifo("hub", "M passive")
    sim.fifo("branch", f"t quick {BACK}")
    sim.settle(70)
    return sim


def neighbour() -> SimFleet:
    """The branch has another tunnel with the same local network, and not this one any more."""
    sim = pair()
    sim.rule("branch", "passive", THERE, "172.16.77.0/24", "10.9.9.9", file="other")
    sim.settle(6)
    sim.fifo("branch", f"C rmv [Phase 2]:Passive-Connections={BACK}", f"t quick {BACK}")
    sim.settle(6)
    sim.fifo("hub", f"t quick {N1}")
    sim.fifo("hub", f"c {N1}")
    sim.settle(5)
    return sim


def fading() -> SimFleet:
    """The hub became passive while it was up, and its soft timeout is over."""
    sim = pair()
    sim.fifo("hub", "M passive")
    sim.settle(1150)
    return sim


def unrenewed() -> SimFleet:
    sim = pair()
    sim.world.network.route = lambda packet: None if packet.src == HUB else 0.0003
    sim.settle(1150)
    return sim


def dead(section: bytes, status: str) -> SimFleet:
    sim = pair()
    sim.parts["branch", "host"] = ("ok", b"time %d\n" % sim.world.now + section)
    sim.parts["branch", "report"] = (status, b"the daemon did not answer in time")
    return sim


def doubled() -> SimFleet:
    """Both reports have the SA a second time, with other SPIs."""
    sim = pair()
    for gateway, spis in (("hub", (b"12345671", b"12345672")), ("branch", (b"12345672", b"12345671"))):
        report = sim.ask(gateway, "S")
        block = next(b for b in report.split(b"\n\n") if b"(Phase 2)" in b)
        for number, spi in enumerate(spis):
            block = re.sub(b"SPI %d: \\w+" % number, b"SPI %d: %b" % (number, spi), block)
        sim.parts[gateway, "report"] = ("ok", report + block + b"\n\n")
    return sim


def unreachable() -> SimFleet:
    sim = pair()
    sim.dead["branch"] = UnreachableError("no answer: branch", phase="tcp", obj="branch")
    return sim


def carp_backups() -> SimFleet:
    sim = carp()
    sim.role("fra1", "BACKUP")
    return sim


HASHES = "main auth hmac-sha2-256 enc aes-256 group modp2048"
PLAIN = "main auth hmac-sha1 enc aes-256 group modp2048"

STORIES: dict[str, tuple[Story, Cause | None]] = {
    "it is up": (pair, None),
    "the daemon of the branch does not run": (lambda: dead(b"fifo missing\npid none\n", "missing"), Cause.DAEMON_DEAD),
    "that of the branch computes keys": (lambda: dead(b"fifo fifo\npid 4711\n", "no-answer"), Cause.DAEMON_BUSY),
    "that of the branch was killed": (lambda: dead(b"fifo no-reader\npid stale\n", "no-reader"), Cause.FIFO_BROKEN),
    "a file is where the branch's FIFO was": (lambda: dead(b"fifo irregular\npid none\n", "irregular"), Cause.FIFO_BROKEN),
    "the branch cannot be visited": (unreachable, None),
    "the branch is unplugged": (silent, Cause.PEER_SILENT),
    "nothing from the hub gets to the branch": (lambda: one_way(HUB), Cause.PEER_SILENT),
    "nothing from the branch gets to the hub": (lambda: one_way(BRANCH), Cause.OUR_SIDE_SILENT),
    "hashes of phase 1 differ": (lambda: with_rules(PLAIN, HASHES), Cause.PHASE1_PROPOSAL),
    "lifetimes of phase 1 differ": (
        lambda: with_rules(f"{PLAIN} lifetime 1h", f"{PLAIN} lifetime 2h"), Cause.PHASE1_PROPOSAL
    ),
    "the branch has another key": (
        lambda: again(pair(), ("branch", f"C set [{P_HUB}]:Authentication=another force")), Cause.WRONG_PSK
    ),
    "the branch expects another identity": (
        lambda: with_rules(PLAIN, PLAIN, hub_ids="srcid east.example.com", branch_ids="dstid nobody.example.com"),
        Cause.ID_MISMATCH,
    ),
    "the branch has other networks": (other_networks, Cause.NETWORKS_UNKNOWN),
    "the branch refuses phase 2": (refused, Cause.PHASE2_REFUSED),
    "the branch has lost its phase 1": (lost_phase1, Cause.PHASE2_REFUSED),
    "the conf is unloaded at the branch": (unloaded, Cause.NOT_LOADED),
    "the daemon of the branch was started without its conf": (lambda: not_reloaded("branch"), Cause.NOT_LOADED),
    "that of the hub was": (lambda: not_reloaded("hub"), Cause.NOT_LOADED),
    "the branch has no entry for the hub's address": (without_peer_entry, Cause.NOT_LOADED),
    'somebody said "t quick" at the hub': (lambda: by(f"t quick {N1}"), Cause.TAKEN_OFF),
    "somebody took it off the hub's list": (
        lambda: by(f"C rmv [Phase 2]:Connections={N1}", f"t quick {N1}"), Cause.TAKEN_OFF
    ),
    "somebody took it off the branch's list": (
        lambda: by(f"C rmv [Phase 2]:Passive-Connections={BACK}", f"t quick {BACK}", gateway="branch", wait_s=80.0),
        Cause.TAKEN_OFF,
    ),
    "it is held": (held, Cause.HELD),
    "both ends begin": (lambda: pair("active", "active"), Cause.BOTH_ACTIVE),
    'both begin, and the hub said "t quick"': (half_dead, Cause.BLACK_HOLE),
    'the hub said "t main" before "t quick"': (main_before_quick, Cause.BLACK_HOLE),
    "both ends have two live SAs": (doubled, Cause.DUPLICATE),
    "the hub tore both phases down, and began again at once": (locked_out, Cause.LOCK_OUT),
    "the daemon of the branch was killed, and loaded": (restarted, Cause.STALE),
    "the hub is in passive mode": (passive_mode, Cause.PASSIVE_MODE),
    "the branch has it under another name": (neighbour, Cause.NEIGHBOURS_NAME),
    "nothing from the hub gets to the branch since it was up": (unrenewed, Cause.PEER_SILENT),
    "both ends answer only": (lambda: pair("passive", "passive"), Cause.NOBODY_RENEWS),
    "the hub became passive, and it expires": (fading, Cause.NOBODY_RENEWS),
}  # fmt: skip
"""Each story, and what a verdict by both ends must say; None is nothing, or not decided."""


def only(sim: SimFleet, names: Iterable[str]) -> SimFleet:
    """The same fleet where no other gateway is ours."""
    ours = set(names)
    sim.gateways = [g for g in sim.gateways if g.name in ours]
    sim.specs = [replace(s, a=_seen(s.a, ours), b=_seen(s.b, ours)) for s in sim.specs]
    return sim


def _seen(end: TunnelEnd, ours: set[str]) -> TunnelEnd:
    if end.gateway is None or end.gateway in ours:
        return end
    return TunnelEnd(peer=ADDRESSES[end.gateway], networks=tuple(ip_network(n) for n in end.networks))
