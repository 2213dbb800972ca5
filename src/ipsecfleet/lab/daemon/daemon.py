"""One gateway's isakmpd as its surroundings see it: a FIFO, signals, two files, a kernel that outlives it.

All input waits for the daemon's thread. A daemon that is started again has forgotten everything fed through the FIFO.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol

from ipsecfleet.lab.daemon import fifo
from ipsecfleet.lab.daemon.commands import execute, reinitialise
from ipsecfleet.lab.daemon.kernel import Kernel, KernelSa
from ipsecfleet.lab.daemon.process import Process
from ipsecfleet.lab.daemon.render import render_report
from ipsecfleet.lab.daemon.state import render_state, stamp

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from ipsecfleet.lab.daemon.chance import Chance
    from ipsecfleet.lab.daemon.clock import Clock
    from ipsecfleet.lab.daemon.network import Network
    from ipsecfleet.lab.daemon.packets import Packet
    from ipsecfleet.model.sa import Flow


class Files(Protocol):
    """Where the daemon writes: isakmpd.result (`S`, `C get`) and isakmpd.report (SIGUSR1), each time the whole file."""

    def write_result(self, content: bytes) -> None: ...

    def write_report(self, content: bytes) -> None: ...


@dataclass
class MemoryFiles:
    """Files that keep what was written last; None until then."""

    result: bytes | None = None
    report: bytes | None = None

    def write_result(self, content: bytes) -> None:
        self.result = content

    def write_report(self, content: bytes) -> None:
        self.report = content


@dataclass
class Faults:
    """What goes wrong at this end, by peer address: a key that does not fit, every phase 2 proposal refused."""

    wrong_psk: set[str] = field(default_factory=set)
    refuse_phase2: set[str] = field(default_factory=set)

    def refuses_phase2(self, peer: str) -> bool:
        return peer in self.refuse_phase2 or "*" in self.refuse_phase2


@dataclass(frozen=True)
class Surroundings:
    """What a daemon shares with all others; `listener` hears of every event."""

    clock: Clock
    network: Network
    chance: Chance
    listener: Callable[[dict[str, object]], None]


class Daemon:
    """isakmpd on one machine, and that machine's kernel; running from the start.

    `slowness` multiplies the cost of key computation (1 is a server, 10 a small gateway).
    """

    def __init__(self, name: str, addresses: Sequence[str], around: Surroundings) -> None:
        self.name = name
        self.addresses = tuple(addresses)
        self.chance = around.chance
        self.files: Files = MemoryFiles()
        self.faults = Faults()
        self.slowness = 1.0
        self.crashed = False
        self._around = around
        self.kernel = Kernel(around.clock, self._kernel_event)
        self._process: Process | None = None
        for address in self.addresses:
            around.network.attach(address, self._receive)
        self.start()

    @property
    def running(self) -> bool:
        return self._process is not None

    def start(self) -> None:
        """Start with an empty memory; nothing if it runs."""
        if self._process is None:
            self.crashed = False
            self._process = Process(self, self._around.clock, self._around.network)
            self.event("log", text="isakmpd: starting [priv]")

    def terminate(self) -> None:
        """SIGTERM or `Q`: tell all peers, remove all SAs, end."""
        self._post(self._shut_down)

    def kill(self) -> None:
        """SIGKILL: the daemon is gone, peers and kernel know nothing of it."""
        if self._process:
            self._process.thread.stop()
            self._process = None
            self.event("end")

    def crash(self) -> None:
        """What `T` or `d` on a half-up SA leads to."""
        self.crashed = True
        self.kill()

    def fifo(self, data: bytes) -> None:
        """Bytes as they were read from the FIFO; lost if nobody runs."""
        if self._process:
            for line in self._process.lines.feed(data):
                self._post_line(line)

    def load_rules(self, lines: Iterable[bytes]) -> None:
        """FIFO lines without their newlines, as ipsecctl(8) writes them."""
        self.fifo(b"".join(line + b"\n" for line in lines))

    def sighup(self) -> None:
        """Build both connection lists anew, and with `Renegotiate-on-HUP` renew every phase 2."""
        self._post(self._hang_up)

    def sigusr1(self) -> None:
        """Write the state, configuration and keys included, to the report file."""
        self._post(self._write_state)

    def misset(self, begins: str, values: dict[str, str]) -> dict[tuple[str, str], str | None]:
        """Set tags of every section whose name begins so, as a wrong conf would have; what they were."""
        if self._process is None:
            return {}
        config = self._process.config
        found = [(section, tag) for section, _ in config.dump() if section.startswith(begins) for tag in values]
        were = {(section, tag): config.get(section, tag) for section, tag in found}
        for section, tag in found:
            config.set(section, tag, values[tag], force=True)
        return were

    def reset(self, were: dict[tuple[str, str], str | None]) -> None:
        """Set tags to what they were."""
        if self._process is None:
            return
        for (section, tag), value in were.items():
            if value is None:
                self._process.config.remove(section, tag)
            else:
                self._process.config.set(section, tag, value, force=True)

    def let_go(self) -> None:
        """Tear every SA down that has a name, phase 2 first, and tell the peers."""
        for sa in sorted(self._process.sas, key=lambda sa: -sa.phase) if self._process else ():
            if sa.ready and self._process:
                self._process.lifecycle.delete(sa, notify=True)

    def busy(self, seconds: float) -> None:
        """Keep the single thread occupied: commands wait for so long."""
        if self._process:
            self._process.thread.compute(seconds, lambda: None)

    def report(self) -> bytes:
        """What `S` would write now; for onlookers, not for gateways."""
        return render_report(self._process.sas, self._around.clock.now) if self._process else b""

    def event(self, kind: str, **facts: object) -> None:
        self._around.listener({"at": self._around.clock.now, "gateway": self.name, "event": kind, **facts})

    def _post_line(self, line: bytes) -> None:
        process = self._process

        def read() -> None:
            if process:
                self.event("fifo", line=line.decode("latin-1"))
                execute(fifo.parse(line), process)

        self._post(read)

    def _post(self, job: Callable[[], None]) -> None:
        if self._process:
            self._process.thread.post(job)

    def _receive(self, packet: Packet) -> None:
        if self._process:
            self._process.receive(packet)

    def _hang_up(self) -> None:
        if self._process:
            self.event("log", text="SIGHUP received")
            reinitialise(self._process)

    def _write_state(self) -> None:
        if self._process:
            self.event("log", text="SIGUSR1 received")
            self.files.write_report(stamp(render_state(self._process), self._around.clock.now))

    def _shut_down(self) -> None:
        if self._process is None:
            return
        self.event("log", text="isakmpd: shutting down...")
        for sa in sorted(self._process.sas, key=lambda sa: -sa.phase):
            if sa.ready:
                self._process.lifecycle.delete(sa, notify=True)
        self._process.compute(0, self._exit)

    def _exit(self) -> None:
        self.event("log", text="isakmpd: exit")
        self.kill()

    def _kernel_event(self, kind: str, thing: Flow | KernelSa) -> None:
        if isinstance(thing, KernelSa):
            self.event(kind, spi=thing.spi, src=thing.src, dst=thing.dst)
        else:
            local, remote = thing.selectors.local, thing.selectors.remote
            self.event(kind, direction=thing.direction, local=str(local), remote=str(remote), peer=thing.peer,
                       type=thing.type)  # fmt: skip
