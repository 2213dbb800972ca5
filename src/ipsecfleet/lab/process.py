"""The background process of a lab: `python -m ipsecfleet.lab.process DIR GATEWAYS SPEED SEED TUNNELS`, 0 for the
default fleet.

It detaches itself, holds DIR/lab.pid locked for as long as it lives (so that nobody takes another process for it), says
`ready` on its standard output when all gateways listen, and goes on with DIR/lab.log for output. What kills it stands
there too.
"""

import asyncio
import fcntl
import logging
import os
import resource
import signal
import sys
from pathlib import Path

from ipsecfleet.lab import scenario
from ipsecfleet.lab.layout import LabDir
from ipsecfleet.lab.simulation import Simulation


def main(directory: str, gateways: str, speed: str, seed: str, tunnels: str) -> None:
    """Run a lab until it is told to end."""
    if os.fork():
        os._exit(0)
    os.umask(0o022)
    logging.basicConfig(format="%(asctime)s %(name)s: %(message)s")
    lab = LabDir(Path(directory))
    hold(lab)
    plain = scenario.between(int(gateways), int(tunnels)) if int(tunnels) else None
    asyncio.run(_run(Simulation(lab, plain or scenario.default(int(gateways)), float(speed), int(seed))))
    lab.remove_run()


def hold(lab: LabDir) -> None:
    """Lock the pid file until this process is gone; OSError if another one has it."""
    lock = os.open(lab.pid, os.O_RDWR | os.O_CREAT, 0o644)
    fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    os.ftruncate(lock, 0)
    os.write(lock, b"%d\n" % os.getpid())


async def _run(simulation: Simulation) -> None:
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, simulation.ended.set)
    _allow_many_files()
    try:
        await simulation.start()
        _say_ready()
        await simulation.ended.wait()
    finally:
        await simulation.stop()


def _allow_many_files() -> None:
    """A gateway takes some six descriptors, and more while it is visited."""
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))


def _say_ready() -> None:
    """Tell who waits, and let go of his pipe."""
    os.write(1, b"ready\n")
    os.dup2(2, 1)


if __name__ == "__main__":
    main(*sys.argv[1:])
