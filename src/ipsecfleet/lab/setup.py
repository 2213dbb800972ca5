"""What is on disk before a lab runs: conf files, stand-ins, keys, known_hosts, inventory."""

import shutil
from collections.abc import Mapping
from importlib.resources import as_file, files
from pathlib import Path

import asyncssh

from ipsecfleet.lab import inventory
from ipsecfleet.lab.files import create_private
from ipsecfleet.lab.layout import GatewayDir, LabDir
from ipsecfleet.lab.scenario import Machine, Scenario, rule
from ipsecfleet.lab.server import HOST, Server


def lay_out(scenario: Scenario, lab: LabDir) -> None:
    """The directories and files of all gateways, as new ones."""
    lab.clear()
    for machine in scenario.gateways:
        place = lab.gateway(machine.name)
        for directory in (place.run, place.conf_dir, place.bin, place.log, place.faults):
            directory.mkdir(parents=True)
        _write_conf(scenario, machine, place)
        _write_sources(scenario, machine, lab.tunnels / machine.name)
        _install_standins(place.bin)


def make_key(path: Path) -> asyncssh.SSHKey:
    """A new ed25519 key pair, its private half at `path`."""
    key = asyncssh.generate_private_key("ssh-ed25519", comment="ipsecfleet lab")
    create_private(path, key.export_private_key())
    path.with_suffix(".pub").write_bytes(key.export_public_key())
    return key


def write_fleet(scenario: Scenario, lab: LabDir, speed: float, servers: Mapping[str, Server]) -> None:
    """What ipsecfleet needs to reach the lab: known_hosts and inventory."""
    lab.known_hosts.write_text("".join(f"[{HOST}]:{server.port} {server.public_key}\n" for server in servers.values()))
    ports = {name: server.port for name, server in servers.items()}
    lab.inventory.write_text(inventory.text(scenario, lab, ports, speed))


def _write_conf(scenario: Scenario, machine: Machine, place: GatewayDir) -> None:
    """One file per tunnel, and an ipsec.conf that includes them."""
    includes = []
    for _, near, far in scenario.rules(machine):
        path = place.conf_dir / near.file
        create_private(path, rule(near, far).encode())
        includes.append(f'include "{path}"\n')
    create_private(place.conf, "".join(includes).encode())
    if machine.carp:
        (place.etc / "carp").write_text(_carp_interface(machine))


def _write_sources(scenario: Scenario, machine: Machine, folder: Path) -> None:
    """What the inventory has for a gateway: the files of the tunnels that it lists."""
    for tunnel, near, far in scenario.rules(machine):
        if tunnel.listed:
            folder.mkdir(parents=True, exist_ok=True)
            create_private(folder / near.file, rule(near, far).encode())


def _carp_interface(machine: Machine) -> str:
    """The CARP interface as ifconfig(8) shows it."""
    member = machine.carp
    if member is None:
        return ""
    state, skew = ("MASTER", 0) if member.master else ("BACKUP", 100)
    return (
        f"{member.interface}: flags=8843<UP,BROADCAST,RUNNING,SIMPLEX,MULTICAST> mtu 1500\n"
        "\tlladdr 00:00:5e:00:01:01\n\tindex 5 priority 15 llprio 3\n"
        f"\tcarp: {state} carpdev em0 vhid 1 advbase 1 advskew {skew}\n"
        f"\tgroups: carp\n\tstatus: {state.lower()}\n"
        f"\tinet {member.vip} netmask 0xffffff00 broadcast {member.vip.rpartition('.')[0]}.255\n"
    )


def _install_standins(place: Path) -> None:
    with as_file(files("ipsecfleet.lab") / "standins") as standins:
        for standin in standins.iterdir():
            shutil.copyfile(standin, place / standin.name)
            (place / standin.name).chmod(0o755)
