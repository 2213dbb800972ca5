"""A running lab: the world, its gateways with their SSH servers, and what the lab's ear is asked.

At the start every daemon reads its files as at boot; then virtual time passes until all tunnels are up and their
phase 1 is older than the 120 s during which a responder would ignore a new one (groundtruth 2.3).
"""

import asyncio
import json
import os
import time
from collections.abc import Sequence
from pathlib import Path

import asyncssh

from ipsecfleet.errors import IpsecfleetError, OperatorError
from ipsecfleet.lab import command, control, setup
from ipsecfleet.lab.daemon import Daemon, Kernel, World
from ipsecfleet.lab.driver import Driver
from ipsecfleet.lab.faults import Station
from ipsecfleet.lab.host import Host
from ipsecfleet.lab.inventory import USER
from ipsecfleet.lab.layout import GatewayDir, LabDir
from ipsecfleet.lab.scenario import Machine, Scenario, connection, rule
from ipsecfleet.lab.server import Account, Server
from ipsecfleet.lab.switchboard import Switchboard

REINITIALISED, SETTLED = 6.0, 200.0


class Simulation:
    """Everything that lives in the lab's process; `ended` is set when it shall end."""

    def __init__(self, lab: LabDir, scenario: Scenario, speed: float, seed: int) -> None:
        self.ended = asyncio.Event()
        self._lab = lab
        self._scenario = scenario
        self._speed = speed
        self._world = World(seed, time.time() - SETTLED)
        self._world.on_event(self._tell)
        self._driver = Driver(self._world, speed)
        self._stations: dict[str, Station] = {}
        self._faults = Switchboard(self._world, self._stations)
        self._ear: asyncio.AbstractServer | None = None

    async def start(self) -> None:
        """Write the files, start daemons and servers, let the tunnels come up, and listen."""
        setup.lay_out(self._scenario, self._lab)
        await self._start_machines()
        await self._settle()
        await self._open_servers()
        self._ear = await control.listen(self._lab.socket, self._answer)

    async def stop(self) -> None:
        """End servers and monitors."""
        if self._ear:
            self._ear.close()
        self._driver.stop()
        for station in self._stations.values():
            await station.server.close()
            station.host.stop()

    async def _start_machines(self) -> None:
        client = setup.make_key(self._lab.identity)
        for machine in self._scenario.machines:
            daemon = self._world.gateway(machine.name, [machine.address])
            if machine.ours:
                self._stations[machine.name] = self._station(machine, daemon, client)
            else:
                daemon.fifo(_rules(self._scenario, machine, daemon.kernel))
        await asyncio.gather(*(station.host.start() for station in self._stations.values()))

    def _station(self, machine: Machine, daemon: Daemon, client: asyncssh.SSHKey) -> Station:
        place = self._lab.gateway(machine.name)
        host = Host(place, daemon, self._driver, lambda host: self._boot(machine, host))
        if machine.carp and not machine.carp.master:
            host.kernel = self._daemon(machine.carp.vip).kernel
        account = Account(USER, client, _environment(place), place.root)
        key = asyncssh.generate_private_key("ssh-ed25519")
        return Station(host, Server(key, account, lambda: "frozen" in host.flags))

    def _boot(self, machine: Machine, host: Host) -> None:
        """What rc(8) and sasyncd(8) tell a daemon that has just started."""
        done = command.run(["-f", str(host.files.conf)], host.kernel, host.files.root, "")
        host.feed(b"".join(done.writes))
        if machine.carp and not machine.carp.master:
            host.feed(b"M passive\n")

    async def _settle(self) -> None:
        """Let the tunnels come up; take those that live by `c` off their list, and let peers refuse that do."""
        by_c = [(self._daemon(t.a.address), connection(t.a, t.b).encode()) for t in self._scenario.tunnels if t.by_c]
        for tunnel in self._scenario.tunnels:
            if tunnel.refused:
                await self._faults.switch(["stalled", tunnel.b.address], None)
        for daemon, name in by_c:
            daemon.fifo(b"C rmv [Phase 2]:Connections=%s\n" % name)
        self._jump(REINITIALISED)
        for daemon, name in by_c:
            daemon.fifo(b"c %s\n" % name)
        self._jump(SETTLED - REINITIALISED)
        self._demand_tunnels()
        self._driver.start()

    def _demand_tunnels(self) -> None:
        """A lab whose tunnels are not up is not one."""
        for tunnel in self._scenario.tunnels:
            name = f"SA name: {connection(tunnel.a, tunnel.b)} (Phase 2)".encode()
            if not tunnel.refused and name not in self._daemon(tunnel.a.address).report():
                raise RuntimeError(f"{tunnel.name} did not come up")

    async def _open_servers(self) -> None:
        for station in self._stations.values():
            await station.server.open()
        setup.write_fleet(self._scenario, self._lab, self._speed, {n: s.server for n, s in self._stations.items()})

    async def _answer(self, words: list[bytes]) -> Sequence[bytes]:
        """One request of a stand-in or of `ipsecfleet lab`: an exit status, output, complaints, and FIFO lines."""
        try:
            return await self._obey([word.decode(errors="replace") for word in words])
        except IpsecfleetError as error:
            return [str(int(error.exit_code)).encode(), b"", str(error).encode()]

    async def _obey(self, words: list[str]) -> Sequence[bytes]:
        match words:
            case ["ipsecctl", gateway, cwd, stdin, *args]:
                self._driver.catch_up()
                done = command.run(args, self._stations[gateway].host.kernel, Path(cwd), stdin)
                return [b"%d" % done.status, done.stdout.encode("latin-1"), done.stderr.encode(), *done.writes]
            case ["down"]:
                self.ended.set()
            case ["advance", seconds]:
                self._jump(float(seconds))
            case ["fault", gateway, *what]:
                await self._faults.switch(what, gateway or None)
            case ["status"]:
                pass
            case _:
                raise OperatorError(f"the lab does not understand: {' '.join(words)}")
        return [b"0", json.dumps(self._status()).encode()]

    def _jump(self, seconds: float) -> None:
        """Let so much time pass at once, and what stands in the logs be older by that."""
        for station in self._stations.values():
            station.host.age_log(seconds / self._speed)
        self._driver.jump(seconds)

    def _daemon(self, address: str) -> Daemon:
        return next(daemon for daemon in self._world.gateways.values() if address in daemon.addresses)

    def _status(self) -> dict[str, object]:
        return {
            "pid": os.getpid(),
            "speed": self._speed,
            "moment": self._driver.moment,
            "faults": self._faults.active,
            "gateways": {name: station.server.port for name, station in self._stations.items()},
        }

    def _tell(self, event: dict[str, object]) -> None:
        if station := self._stations.get(str(event["gateway"])):
            station.host.heed(event)


def _environment(place: GatewayDir) -> dict[str, str]:
    return {
        "PATH": f"{place.bin}:/usr/bin:/bin",
        "HOME": str(place.root),
        "USER": USER,
        "LOGNAME": USER,
        "SHELL": "/bin/sh",
    }


def _rules(scenario: Scenario, machine: Machine, kernel: Kernel) -> bytes:
    """The FIFO lines of an outside peer, which has no files."""
    text = "".join(rule(near, far) for _, near, far in scenario.rules(machine))
    done = command.run(["-f", "-"], kernel, Path("/"), text)
    return b"".join(done.writes)
