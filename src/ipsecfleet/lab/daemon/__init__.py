r"""isakmpd(8) simulated in-process, on a virtual clock and without any I/O.

    world = World(seed=1, start=1_700_000_000.0)
    hub = world.gateway("hub", ["10.1.2.2"])        # a running daemon
    hub.files = FilesOnDisk(...)                    # where S, C get and SIGUSR1 write
    hub.fifo(b"S\n")                                # bytes as read from the FIFO
    world.advance(world.now + 5)                    # let happen what is due
    show_flows(hub.kernel), show_sas(hub.kernel, verbose=True), show_all(hub.kernel)

A driver in real time sleeps until `next_event()`, then calls `advance` with the moment it is. Faults: `world.cut` and
`restore`, `world.network.drop_deletes`, and per daemon `faults.wrong_psk`, `faults.refuse_phase2`, `busy`, `slowness`.
"""

from ipsecfleet.lab.daemon.chance import Chance, SeededChance
from ipsecfleet.lab.daemon.daemon import Daemon, Faults, Files, MemoryFiles
from ipsecfleet.lab.daemon.kernel import Kernel, KernelSa
from ipsecfleet.lab.daemon.show import show_all, show_flows, show_sas
from ipsecfleet.lab.daemon.world import World

__all__ = [
    "Chance",
    "Daemon",
    "Faults",
    "Files",
    "Kernel",
    "KernelSa",
    "MemoryFiles",
    "SeededChance",
    "World",
    "show_all",
    "show_flows",
    "show_sas",
]
