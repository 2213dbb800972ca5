"""A running isakmpd: everything it forgets when it ends (isakmpd isakmpd.c, exchange.c).

The parts share this object: configuration, SAs, exchanges, connections and the three kinds of exchange. It gives them
time, chance, network, log and kernel, all through the single thread of the daemon.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from ipsecfleet.lab.daemon.clock import Thread
from ipsecfleet.lab.daemon.config import Config
from ipsecfleet.lab.daemon.connections import Connections
from ipsecfleet.lab.daemon.exchanges import Exchanges
from ipsecfleet.lab.daemon.fifo import LineBuffer
from ipsecfleet.lab.daemon.informational import Informational
from ipsecfleet.lab.daemon.lifecycle import Lifecycle
from ipsecfleet.lab.daemon.mainmode import MainMode
from ipsecfleet.lab.daemon.quickmode import QuickMode
from ipsecfleet.lab.daemon.sas import SaTable
from ipsecfleet.model.secret import Secret

if TYPE_CHECKING:
    from ipsecfleet.lab.daemon.clock import Action, Clock, Timer
    from ipsecfleet.lab.daemon.daemon import Daemon
    from ipsecfleet.lab.daemon.network import Network
    from ipsecfleet.lab.daemon.packets import Mode, Packet
    from ipsecfleet.lab.daemon.sas import Sa


class Process:
    """The memory of one run of the daemon on `host`."""

    def __init__(self, host: Daemon, clock: Clock, network: Network) -> None:
        self.host = host
        self.clock = clock
        self.kernel = host.kernel
        self.chance = host.chance
        self.thread = Thread(clock)
        self.config = Config()
        self.lines = LineBuffer()
        self.sas = SaTable()
        self.exchanges = Exchanges(self)
        self.lifecycle = Lifecycle(self)
        self.connections = Connections(self)
        self.main = MainMode(self)
        self.quick = QuickMode(self)
        self.informational = Informational(self)
        self.active = True
        self.levels = [0] * 11
        self._network = network
        self._receivers: dict[Mode, MainMode | QuickMode | Informational] = {
            "main": self.main,
            "quick": self.quick,
            "info": self.informational,
        }

    def after(self, seconds: float, action: Action) -> Timer:
        """Do `action` in the thread, `seconds` from now or when it is free."""
        return self.clock.after(seconds, lambda: self.thread.post(action))

    def compute(self, seconds: float, then: Action) -> None:
        """Keep the thread busy with keys for `seconds` of a fast machine, then go on with `then`."""
        self.thread.compute(seconds * self.host.slowness, then)

    def send(self, packet: Packet) -> None:
        self._network.send(packet)

    def receive(self, packet: Packet) -> None:
        self.thread.post(lambda: self._receivers[packet.mode].receive(packet))

    def log(self, text: str) -> None:
        self.event("log", text=text)

    def event(self, kind: str, **facts: object) -> None:
        self.host.event(kind, **facts)

    def establish(self, name: str, *, renewing: bool = False) -> None:
        """Negotiate the section `name`, unless that is under way; a phase 2 waits for its phase 1."""
        phase = self.config.number(name, "Phase", 0)
        if not self.active or self.exchanges.running(name, phase):
            return
        if phase == 1:
            self.main.begin(name, renewing=renewing)
        elif phase == 2:
            self._establish_phase2(name)
        else:
            self.log(f'exchange_establish: peer "{name}" does not have a correct phase ({phase})')

    def crash(self) -> None:
        """A use after free: the daemon is gone, the kernel keeps what it has."""
        self.host.crash()

    def dropped(self, packet: Packet, notification: str) -> None:
        self.log(f"dropped message from {packet.src} port 500 due to notification type {notification}")

    def invalid_cookies(self, packet: Packet) -> None:
        self.log(f"message_recv: invalid cookie(s) {packet.icookie} {packet.rcookie}")
        self.dropped(packet, "INVALID_COOKIE")

    def local_address(self, peer: str, remote: str) -> str | None:
        """Our address towards `remote`: what the section says, else our first of the same family."""
        configured = self.config.get(peer, "Local-address")
        same_family = (a for a in self.host.addresses if (":" in a) == (":" in remote))
        return configured or next(same_family, None)

    def psk(self, peer: str, remote: str) -> Secret:
        """The key shared with `remote`, or a wrong one while that fault is switched on."""
        key = self.config.get(peer, "Authentication") or ""
        return Secret(f"{key} wrong" if remote in self.host.faults.wrong_psk else key)

    def tag(self, sa: Sa) -> str | None:
        """The pf tag of a phase 2 SA; `$id` is the peer's identity with its type."""
        tag = self.config.get(sa.name or "", "PF-Tag")
        if tag is None or sa.remote_id is None:
            return tag
        text = sa.remote_id.text
        kind = ("ipv6" if ":" in text else "ipv4") if "/" in str(sa.remote_id) else "fqdn"
        return tag.replace("$id", f"{kind}/{text}")

    def phase1_ids(self, sa: Sa) -> tuple[str, str]:
        """The initiator's and the responder's identity of a phase 1."""
        ours, theirs = (identity.text if identity else "" for identity in (sa.local_id, sa.remote_id))
        return (ours, theirs) if sa.initiator else (theirs, ours)

    def _establish_phase2(self, name: str) -> None:
        peer = self.config.get(name, "ISAKMP-peer")
        if peer is None:
            self.log(f'exchange_establish: No ISAKMP-peer given for "{name}"')
        elif phase1 := self.sas.named(peer, 1):
            self.quick.begin(name, phase1)
        elif self.config.number(peer, "Phase", 0) != 1:
            self.log(f"exchange_establish: [{name}]:ISAKMP-peer's ({peer}) phase is not 1")
        else:
            self._await_phase1(name, peer)

    def _await_phase1(self, name: str, peer: str) -> None:
        exchange = self.exchanges.running(peer, 1) or self.main.begin(peer, renewing=False)
        if exchange and name not in exchange.waiting:
            exchange.waiting.append(name)
