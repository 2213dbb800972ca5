"""The faults a lab can have, by name: what they do to a gateway or to a peer, and how they end.

A fault of a gateway is switched on at one or at all of them; a fault of a peer has its address as operand.
"""

import os
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace

from ipsecfleet.lab.daemon import Daemon, World
from ipsecfleet.lab.files import overwrite
from ipsecfleet.lab.host import Host, ignored
from ipsecfleet.lab.scenario import TEST_PSK
from ipsecfleet.lab.server import Server

BUSY_SECONDS = 4.0
LOCKED_SECONDS = 600.0
LOCKED_BY = b"20261123-101500-0000 somebody@elsewhere"
HUGE = 66 << 20
ASKING = (b"S\n", b"C get ", b"C set [ipsecfleet]:fence=")
"""How what only asks begins."""


@dataclass(frozen=True, slots=True)
class Station:
    """A gateway as faults see it."""

    host: Host
    server: Server


@dataclass(frozen=True, slots=True)
class GatewayFault:
    """`on` and `off` at one gateway that it `concerns`; without `off` it is over by itself."""

    means: str
    on: Callable[[Station], Awaitable[None]]
    off: Callable[[Station], Awaitable[None]] | None = None
    concerns: Callable[[Station], bool] = lambda _station: True


@dataclass(frozen=True, slots=True)
class PeerFault:
    """`on` and `off` for a peer's address."""

    means: str
    on: Callable[[World, str], None]
    off: Callable[[World, str], None]


def truncated(report: bytes) -> bytes:
    """The first two thirds."""
    return report[: len(report) * 2 // 3]


def garbled(report: bytes) -> bytes:
    """A report with a terminal escape for a name, flags that are none, and bytes that are no text."""
    blocks = report.replace(b"Flags 0x", b"Flags 0y", 1).replace(b"SPI 0: ", b"SPI 0: \xff\xfe", 1)
    return blocks + b"SA name: \x1b]0;owned\x07\x1b[2J (Phase 2)\nsrc: \x00 dst: $(reboot)\n\n"


def huge(report: bytes) -> bytes:
    """The report again and again until it is larger than anybody reads."""
    return report * (HUGE // max(1, len(report)) + 1)


def _marked(name: str, means: str) -> GatewayFault:
    """A fault that a stand-in sees by a file."""

    async def on(station: Station) -> None:
        (station.host.files.faults / name).touch()

    async def off(station: Station) -> None:
        (station.host.files.faults / name).unlink(missing_ok=True)

    return GatewayFault(means, on, off)


def _flagged(flag: str, means: str) -> GatewayFault:
    """A fault that the host itself knows by a flag."""

    async def on(station: Station) -> None:
        station.host.flags.add(flag)

    async def off(station: Station) -> None:
        station.host.flags.discard(flag)

    return GatewayFault(means, on, off)


def _spoiled(spoil: Callable[[bytes], bytes], means: str) -> GatewayFault:
    """A fault of the reports that `S` writes."""

    async def on(station: Station) -> None:
        station.host.spoil = spoil

    async def off(station: Station) -> None:
        if station.host.spoil is spoil:
            station.host.spoil = None

    return GatewayFault(means, on, off)


def _in_carp_group(station: Station) -> bool:
    return (station.host.files.etc / "carp").exists()


async def _die(station: Station) -> None:
    station.host.daemon.kill()
    station.host.vanish()


async def _leave_a_file(station: Station) -> None:
    await _die(station)
    station.host.files.fifo.write_bytes(b"S\n")


async def _kill(station: Station) -> None:
    station.host.abandon()
    station.host.daemon.kill()


async def _restart(station: Station) -> None:
    if not station.host.daemon.running:
        await station.host.start()


async def _start_again(station: Station) -> None:
    await _kill(station)
    await station.host.start()


async def _load(station: Station) -> None:
    station.host.load()


async def _cut_at_change(station: Station) -> None:
    """When the next line that changes something has come out of the FIFO, all connections are gone."""

    def heard(data: bytes) -> None:
        if not data.startswith(ASKING):
            station.host.heard = ignored
            station.server.drop()

    station.host.heard = heard


async def _hang_up(station: Station) -> None:
    station.server.drop()


async def _cut_no_more(station: Station) -> None:
    station.host.heard = ignored


async def _compute(station: Station) -> None:
    station.host.compute(BUSY_SECONDS)


async def _lock(station: Station) -> None:
    """As the visit program does, by the same clock."""
    now = os.times().elapsed
    lock = station.host.files.run_lock
    lock.parent.mkdir(mode=0o700, exist_ok=True)
    overwrite(lock, b"%b %.2f %.2f\n" % (LOCKED_BY, now, now + LOCKED_SECONDS), 0o600)


async def _unlock(station: Station) -> None:
    lock = station.host.files.run_lock
    if lock.exists() and lock.read_bytes().startswith(LOCKED_BY):
        lock.unlink()


async def _reboot(station: Station) -> None:
    """Memory and /var/run are gone, rc(8) starts the daemon and loads ipsec.conf, sshd(8) comes last (host.md 4)."""
    await _kill(station)
    station.host.forget()
    await station.host.start()
    await station.server.restart()


async def _close(station: Station) -> None:
    await station.server.close()


async def _open(station: Station) -> None:
    await station.server.open()


def _refuse(world: World, address: str) -> None:
    for daemon in _at(world, address):
        daemon.faults.refuse_phase2.add("*")


def _accept(world: World, address: str) -> None:
    for daemon in _at(world, address):
        daemon.faults.refuse_phase2.discard("*")


def _at(world: World, address: str) -> list[Daemon]:
    return [daemon for daemon in world.gateways.values() if address in daemon.addresses]


def _misset(means: str, begins: str, values: dict[str, str], also: bytes = b"") -> PeerFault:
    """A fault in the configuration of a peer, which lets go of all its SAs, so that it counts at the next attempt."""
    were: dict[str, dict[tuple[str, str], str | None]] = {}

    def on(world: World, address: str) -> None:
        for daemon in _at(world, address):
            daemon.fifo(also)
            were.setdefault(daemon.name, daemon.misset(begins, values))
            daemon.let_go()

    def off(world: World, address: str) -> None:
        for daemon in _at(world, address):
            daemon.reset(were.pop(daemon.name, {}))

    return PeerFault(means, on, off)


async def _be_passive(station: Station) -> None:
    station.host.feed(b"M passive\n")


async def _be_active(station: Station) -> None:
    station.host.feed(b"M active\n")


async def _leak(station: Station) -> None:
    """What isakmpd(8) logs of a malformed line, and of `r` (isakmpd.md 12)."""
    station.host.feed(f"C set [peer-x]:Authentication {TEST_PSK}\nr\n".encode())


GATEWAY_FAULTS = {
    "doas-refused": _marked("doas-refused", "doas permits nothing"),
    "carp-backup": replace(_marked("carp-backup", "the carp interface says BACKUP"), concerns=_in_carp_group),
    "daemon-dead": GatewayFault("isakmpd has ended: no FIFO, no pid file, a stale result", _die, _restart),
    "fifo-regular": GatewayFault(
        "isakmpd has ended, and a regular file is where its FIFO was", _leave_a_file, _restart
    ),
    "fifo-no-reader": GatewayFault("isakmpd was killed: FIFO and pid file are there, nobody reads", _kill, _restart),
    "busy": GatewayFault(f"isakmpd computes keys for {BUSY_SECONDS:g} s, once", _compute),
    "reboot": GatewayFault("the gateway boots: kernel and /var/run are empty, isakmpd reads ipsec.conf, once", _reboot),
    "daemon-restart": GatewayFault("isakmpd is killed and started, and reads ipsec.conf, once", _start_again),
    "reload": GatewayFault("somebody runs ipsecctl -f /etc/ipsec.conf, once", _load),
    "line-cut": GatewayFault("all connections end at the next change, when it is made", _cut_at_change, _cut_no_more),
    "hang-up": GatewayFault("all connections end, once", _hang_up),
    "passive-mode": GatewayFault("isakmpd begins nothing, and answers", _be_passive, _be_active),
    "key-in-log": GatewayFault("the log of isakmpd has a key in it, more than once", _leak),
    "disk-full": _marked("disk-full", "/var is full: no lock, result or report can be written"),
    "lock-held": GatewayFault(f"somebody else's run has the run lock, for {LOCKED_SECONDS:g} s", _lock, _unlock),
    "frozen": _flagged("frozen", "the SSH server accepts commands and never answers"),
    "ssh-refused": GatewayFault("nobody listens on the SSH port", _close, _open),
    "second-writer": _flagged("second-writer", "somebody else's S comes into the middle of each visit"),
    "second-writer-once": _flagged("second-writer-once", "somebody else's S comes into the middle of the next visit"),
    "report-garbled": _spoiled(garbled, "the daemon's report holds what no daemon writes"),
    "report-truncated": _spoiled(truncated, "the daemon's report ends in its middle"),
    "report-huge": _spoiled(huge, "the daemon's report is larger than anybody reads"),
}

NOBODY = "nobody.example.com"
"""An identity that no peer of a lab has."""

IDENTITY = f"C set [id-{NOBODY}]:ID-type=FQDN force\nC set [id-{NOBODY}]:Name={NOBODY} force\n".encode()

PEER_FAULTS = {
    "peer-deaf": PeerFault(
        "nothing gets to the peer", lambda w, a: w.network.deaf.add(a), lambda w, a: w.network.deaf.discard(a)
    ),
    "peer-mute": PeerFault(
        "nothing comes from the peer", lambda w, a: w.network.mute.add(a), lambda w, a: w.network.mute.discard(a)
    ),
    "wrong-psk": _misset("the peer has another key", "peer-", {"Authentication": "another-key"}),
    "wrong-id": _misset("the peer expects another identity", "peer-", {"Remote-ID": f"id-{NOBODY}"}, IDENTITY),
    "wrong-proposal": _misset(
        "the peer accepts another hash in phase 1", "phase1-transform-", {"HASH_ALGORITHM": "MD5"}
    ),
    "peer-silent": PeerFault("the peer neither hears nor answers", World.cut, World.restore),
    "stalled": PeerFault("the peer refuses phase 2, so that its tunnels stay half-up", _refuse, _accept),
}
