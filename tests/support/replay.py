"""The recorded input of a capture, fed to simulated daemons on a virtual clock; what they show is kept for comparison.

Inputs taken from the capture besides the commands: soft timeouts (drawn by chance), signals and cut links that the
transcript tells in words, and the order of negotiations that cross (DESIGN.md, section 9).
"""

from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass, field

from transcript import Block, Entry, Load, Look, Remark, Write, blocks, read

from ipsecfleet.lab.daemon import Daemon, Kernel, SeededChance, World, show_all, show_sas
from ipsecfleet.lab.daemon.packets import Packet

CROSSING = 0.002
RACE = 0.1
EPOCH = 1_795_449_180.0
ADDRESSES = {f"gw{n}": (f"10.2.{n}.1", f"fd00:2::{n}") for n in range(1, 19)}

TOLD_IN_WORDS: dict[str, list[tuple[float, Callable[[World], None]]]] = {
    "d04-c-on-active": [(25.50, lambda world: world.gateways["gw9"].sighup())],
    "d05-passive-side-fading-60s": [(12.65, lambda world: world.gateways["gw6"].kill())],
    "f05-sigterm-sigkill": [
        (13.74, lambda world: world.gateways["gw15"].terminate()),
        (24.46, lambda world: world.gateways["gw15"].start()),
        (40.90, lambda world: world.gateways["gw15"].kill()),
    ],
    "r07-overlap-with-a-silent-peer": [(9.70, lambda world: world.cut("10.2.2.1"))],
}
"""Signals and cut links; their moments stand in the logs beside the transcript, or between two of its lines."""

LOST: dict[str, Callable[[Packet, float], bool]] = {
    # gw6 was still within its old exchange when gw5 tried again 120 s later: its log has no line for that message
    "b07-phase1-id-mismatch": lambda packet, at: packet.step == 1 and 137 < at < 139
}
"""First messages that crossed the end of the peer's old exchange."""


class RecordedChance(SeededChance):
    """Draws soft timeouts as they were recorded, by machine, name and moment; the rest is seeded."""

    def __init__(self, looks: list[Look]) -> None:
        super().__init__(1)
        self.now: Callable[[], float] = lambda: 0.0
        self._draws: dict[tuple[str, str], list[tuple[float, bool, bool, float]]] = defaultdict(list)
        seen: set[tuple[str, tuple[str, ...]]] = set()
        shown = [block for look in looks for block in look.blocks]
        self._clones = {frozenset(block.spis) for block in shown if block.name.startswith("ipsecfleet-rekey")}
        for look in looks:
            for block in look.blocks:
                if block.soft is not None and block.lifetime and (look.gateway, block.spis) not in seen:
                    seen.add((look.gateway, block.spis))
                    self._remember(look, block)
        for draws in self._draws.values():
            draws.sort()

    def soft(self, machine: str, name: str, lifetime: int) -> float:
        draws = self._draws[machine, name]
        near = [draw for draw in draws if -0.15 < self.now() - draw[0] < 1.15]
        if not near:
            return super().soft(machine, name, lifetime)
        draws.remove(near[0])
        return near[0][3] - self.now()

    def _remember(self, look: Look, block: Block) -> None:
        born = look.at + (block.hard or 0) - (block.lifetime or 0)
        due = look.at + (block.soft or 0) + 0.5
        order = (round(born, 1), not block.flags & 8, frozenset(block.spis) in self._clones)
        self._draws[look.gateway, block.name].append((*order, due))


@dataclass
class Moment:
    """What a gateway showed from `at` on."""

    at: float
    blocks: tuple[Block, ...]
    kernel: str


@dataclass
class Replay:
    """A finished replay: all moments, results and log lines by gateway."""

    name: str
    entries: list[Entry]
    world: World
    moments: dict[str, list[Moment]] = field(default_factory=lambda: defaultdict(list))
    results: dict[str, list[tuple[float, bytes]]] = field(default_factory=lambda: defaultdict(list))
    log: dict[str, list[tuple[float, str]]] = field(default_factory=lambda: defaultdict(list))
    reports: dict[str, list[tuple[float, str]]] = field(default_factory=lambda: defaultdict(list))
    counts: dict[str, list[tuple[float, int, int]]] = field(default_factory=lambda: defaultdict(list))
    verbose: dict[str, list[tuple[float, str]]] = field(default_factory=lambda: defaultdict(list))
    changed: set[str] = field(default_factory=set)

    @property
    def looks(self) -> list[Look]:
        return [entry for entry in self.entries if isinstance(entry, Look)]

    @property
    def subject(self) -> str:
        """The gateway that the capture is about: the first one written to."""
        return next(entry.gateway for entry in self.entries if isinstance(entry, Write))

    def lasting(self, gateway: str, start: float, end: float) -> list[Moment]:
        """What the gateway showed for a second or more between `start` and `end`."""
        moments = self.moments[gateway]
        ends = [moment.at for moment in moments[1:]] + [float("inf")]
        return [m for m, until in zip(moments, ends, strict=True) if min(end, until) - max(start, m.at) >= 1]

    def around(self, gateway: str, at: float, slack: float) -> list[Moment]:
        """The moment `at` first, then those within `slack` of it, nearest first."""
        moments = self.moments[gateway]
        before = [moment for moment in moments if moment.at <= at - slack][-1:]
        near = [moment for moment in moments if abs(moment.at - at) <= slack]
        now = [moment for moment in before + near if moment.at <= at][-1:]
        return now + sorted((m for m in before + near if m not in now), key=lambda m: abs(m.at - at))


@dataclass
class RecordingFiles:
    replay: Replay
    gateway: str

    def write_result(self, content: bytes) -> None:
        self.replay.results[self.gateway].append((self.replay.world.now - EPOCH, content))

    def write_report(self, content: bytes) -> None:
        self.replay.reports[self.gateway].append((self.replay.world.now - EPOCH, content.decode("latin-1")))


def replay(name: str) -> Replay:
    """Feed the capture `name` to simulated daemons, until 8 s after its end."""
    entries = read(name)
    chance = RecordedChance([entry for entry in entries if isinstance(entry, Look)])
    world = World(start=EPOCH, chance=chance)
    chance.now = lambda: world.now - EPOCH
    done = Replay(name, entries, world)
    _machines(done)
    _schedule(done)
    _route(done)
    _run(done)
    return done


def play(name: str, world: World) -> float:
    """Let happen in a world that has the machines of the capture `name` what was done to them, and when; its end."""
    done = Replay(name, read(name), world)
    _schedule(done)
    _route(done)
    return EPOCH + max(entry.at for entry in done.entries)


def _machines(done: Replay) -> None:
    for gateway in sorted({entry.gateway for entry in done.entries if entry.gateway}):
        done.world.gateway(gateway, ADDRESSES[gateway]).files = RecordingFiles(done, gateway)

    def hear(event: dict[str, object]) -> None:
        gateway = str(event["gateway"])
        kernel = done.world.gateways[gateway].kernel if gateway in done.world.gateways else None
        if kernel:
            done.counts[gateway].append((done.world.now - EPOCH, len(kernel.flows), _mature(kernel)))
        if event["event"] == "log" and "level" not in event:
            done.log[gateway].append((done.world.now - EPOCH, str(event["text"])))
        done.changed.add(gateway)

    done.world.on_event(hear)


def _schedule(done: Replay) -> None:
    loads = [entry for entry in done.entries if isinstance(entry, Load)]
    for entry in done.entries:
        if isinstance(entry, Load):
            _feed(done, entry.gateway, _load_moment(entry, loads), entry.lines)
        elif isinstance(entry, Write):
            _feed(done, entry.gateway, entry.at, _terminated(done.name, entry))
        elif isinstance(entry, Remark) and "connection_report" in entry.text:
            done.world.at(EPOCH + entry.at - 0.3, done.world.gateways[done.subject].sigusr1)
    for at, action in TOLD_IN_WORDS.get(done.name, ()):
        done.world.at(EPOCH + at, lambda action=action: action(done.world))  # type: ignore[misc]


def _feed(done: Replay, gateway: str, at: float, data: bytes) -> None:
    daemon: Daemon = done.world.gateways[gateway]
    done.world.at(EPOCH + at, lambda: daemon.fifo(data))


def _terminated(name: str, write: Write) -> bytes:
    """What was written; the transcript shows the last newline in some captures, and tells in words where it lacked."""
    without = name == "f01-fifo-basics" and (write.at, write.data) in ((12.20, b"S"), (13.01, b"t quick x"))
    return write.data if without or write.data.endswith(b"\n") else write.data + b"\n"


def _active(load: Load) -> bool:
    return b"C add [Phase 2]:Connections=" in load.lines


def _load_moment(load: Load, loads: list[Load]) -> float:
    """Two ends loaded within 0.1 s race 5 s later, with one outcome in every capture: a passive end is ready before
    the active end asks; of two active ends the one loaded last begins, and the other finds its phase 1 under way.
    """
    index = loads.index(load)
    earlier = [other.at for other in loads[:index] if _active(other) and load.at - other.at < RACE]
    later = [other.at for other in loads[index + 1 :] if _active(other) and other.at - load.at < RACE]
    if _active(load):
        return max(later) + CROSSING if later else load.at
    return min(earlier) - CROSSING if earlier else load.at


def _crossed_alike(looks: list[Look]) -> bool:
    """Whether both ends marked the same one of two crossing SAs as replaced, at their first look."""
    first: dict[str, Look] = {}
    for look in looks:
        first.setdefault(look.gateway, look)
    gone = [{frozenset(b.spis) for b in look.blocks if b.phase == "2" and b.flags & 8} for look in first.values()]
    return len(gone) == 2 and bool(gone[0] & gone[1])


def _route(done: Replay) -> None:
    usual = done.world.network.route
    lost = LOST.get(done.name, lambda _packet, _at: False)
    late = _crossed_alike(done.looks)
    delayed: set[str] = set()

    def route(packet: Packet) -> float | None:
        if lost(packet, done.world.now - EPOCH):
            return None
        if late and packet.mode == "quick" and packet.step == 1 and not delayed:
            delayed.add(packet.src)
            return 0.02
        return usual(packet)

    done.world.network.route = route


def _run(done: Replay) -> None:
    end = EPOCH + max(entry.at for entry in done.entries) + 8
    done.changed.update(done.world.gateways)
    _note(done)
    while (due := done.world.next_event()) is not None and due <= end:
        done.world.advance(due)
        _note(done)
    done.world.advance(end)


def _mature(kernel: Kernel) -> int:
    return sum(sa.lifetime is not None for sa in kernel.sas)


def _note(done: Replay) -> None:
    now = done.world.now - EPOCH
    for gateway in done.changed:
        daemon = done.world.gateways[gateway]
        shown = blocks(daemon.report().decode("latin-1"))
        done.moments[gateway].append(Moment(now, shown, show_all(daemon.kernel)))
        done.verbose[gateway].append((now, show_sas(daemon.kernel, verbose=True)))
    done.changed.clear()
