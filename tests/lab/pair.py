"""Two simulated gateways with one tunnel between them, for tests that tell their own story."""

import re
from dataclasses import dataclass, field

from ipsecfleet.lab.daemon import Daemon, World
from ipsecfleet.lab.ipsecctl import IkeRule, load_lines, parse_rules

CRYPTO = "main auth hmac-sha1 enc aes-256 group {group}{life} quick auth hmac-sha1 enc aes-256 group {group}{life2}"
HERE, THERE = "10.2.1.1", "10.2.2.1"
NAME = "from-172.16.1.0/24-to-192.168.1.0/24"
MIRROR = "from-192.168.1.0/24-to-172.16.1.0/24"
UP = 6.0


def rule(
    mode: str, source: str, destination: str, peer: str = "", life: str = "", life2: str = "", group: str = "modp1536"
) -> str:
    crypto = CRYPTO.format(group=group, life=life and f" lifetime {life}", life2=life2 and f" lifetime {life2}")
    return f'ike {mode} esp from {source} to {destination} {peer and f"peer {peer}"} {crypto} psk "s3cret"\n'


def load(daemon: Daemon, conf: str) -> None:
    for item in parse_rules(conf, read=str, hostname=f"{daemon.name}.example.com"):
        assert isinstance(item, IkeRule)
        daemon.load_rules(line.encode() for line in load_lines(item))


@dataclass
class Pair:
    """`a` is active and `b` passive unless told otherwise; loaded together, up at `UP`."""

    mode_a: str = "active"
    mode_b: str = "passive"
    life: str = ""
    life2: str = ""
    peer_of_b: str = HERE
    group: str = "modp1536"
    seed: int = 1
    world: World = field(init=False)
    events: list[dict[str, object]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.world = World(self.seed)
        self.world.on_event(self.events.append)
        self.a = self.world.gateway("a", [HERE])
        self.b = self.world.gateway("b", [THERE])
        self.load_both()

    def load_both(self) -> None:
        self.load_b()
        self.load_a()

    def load_a(self) -> None:
        shape = ("172.16.1.0/24", "192.168.1.0/24", THERE, self.life, self.life2, self.group)
        load(self.a, rule(self.mode_a, *shape))

    def load_b(self) -> None:
        shape = ("192.168.1.0/24", "172.16.1.0/24", self.peer_of_b, self.life, self.life2, self.group)
        load(self.b, rule(self.mode_b, *shape))

    def up(self) -> "Pair":
        self.world.advance(UP)
        assert (live(self.a), live(self.b)) == ([NAME], [MIRROR])
        return self

    def wait(self, seconds: float) -> None:
        self.world.advance(self.world.now + seconds)

    def wait_until_live(self, limit: float) -> float:
        """Seconds until `a` has a live SA; `limit` if that does not come."""
        start = self.world.now
        while not live(self.a) and self.world.now < start + limit:
            self.wait(0.1)
        return round(self.world.now - start, 1)

    def logged(self, gateway: str) -> list[str]:
        return [str(e["text"]) for e in self.events if e["event"] == "log" and e["gateway"] == gateway]


def shown(daemon: Daemon) -> list[tuple[str, str, int]]:
    """(name, phase, flags) of every SA, sorted."""
    return sorted(
        (name, phase, int(flags, 16))
        for name, phase, flags in re.findall(
            r"SA name: (\S+) \(Phase (\S+)\)\n.*?Flags 0x(\w{8})", daemon.report().decode(), re.DOTALL
        )
    )


def live(daemon: Daemon) -> list[str]:
    """The names of live phase 2 SAs."""
    return [name for name, phase, flags in shown(daemon) if phase == "2" and flags & 1 and not flags & 8]
