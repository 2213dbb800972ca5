"""The inventory.toml of a lab: complete, but for the tunnels that only a daemon knows."""

from collections.abc import Iterator, Mapping

from ipsecfleet.lab.layout import LabDir
from ipsecfleet.lab.scenario import CarpMember, End, Machine, Scenario, Tunnel

USER = "ipsecops"


def text(scenario: Scenario, lab: LabDir, ports: Mapping[str, int], speed: float) -> str:
    """The file's text; `ports` has the SSH port of each gateway."""
    blocks = [_head(lab, speed), *(_gateway(machine, lab, ports[machine.name]) for machine in scenario.gateways)]
    blocks += [_tunnel(tunnel, scenario) for tunnel in scenario.tunnels if tunnel.listed]
    return "\n".join(blocks)


def _head(lab: LabDir, speed: float) -> str:
    return f"""\
# written by "ipsecfleet lab up"; gateways of this file are simulated
schema = 1
fleet = "lab"
time_scale = {speed:g}

[defaults]
user = "{USER}"
privilege = "doas"
known_hosts = "{lab.known_hosts.name}"
identity = "{lab.identity}"

[limits]
max_gateways_touched = "50%"
"""


def _gateway(machine: Machine, lab: LabDir, port: int) -> str:
    files = lab.gateway(machine.name)
    lines = [
        f"[gateway.{machine.name}]",
        'address = "127.0.0.1"',
        f"port = {port}",
        f"ike = {_strings(machine.address)}",
        f"groups = {_strings(*machine.groups)}",
        f'conf_dir = "{files.conf_dir}"',
        f'paths = {{ run = "{files.run}", etc = "{files.etc}", bin = "{files.bin}", log = "{files.log}" }}',
    ]
    return "\n".join([*lines, *_carp(machine.carp), ""])


def _carp(member: CarpMember | None) -> Iterator[str]:
    if member:
        yield f'carp = {{ group = "{member.group}", interface = "{member.interface}", vip = "{member.vip}" }}'


def _tunnel(tunnel: Tunnel, scenario: Scenario) -> str:
    a, b = tunnel.a, tunnel.b
    lines = ["[[tunnel]]", f'name = "{tunnel.name}"', f"a = {_end(a, scenario)}", f"b = {_end(b, scenario)}"]
    return "\n".join([*lines, *_files(tunnel), ""])


def _end(end: End, scenario: Scenario) -> str:
    owner = next((machine for machine in scenario.gateways if machine.address == end.address), None)
    return f"{{ {_owner(end, owner)}, networks = {_strings(end.network)} }}"


def _owner(end: End, owner: Machine | None) -> str:
    if owner is None:
        return f'peer = "{end.address}"'
    return f'carp = "{owner.carp.group}"' if owner.carp else f'gateway = "{owner.name}"'


def _files(tunnel: Tunnel) -> Iterator[str]:
    """The conf files' names where they are not the tunnel's."""
    if (tunnel.a.file, tunnel.b.file) != (f"{tunnel.name}.conf",) * 2:
        yield f'files = {{ a = "{tunnel.a.file}", b = "{tunnel.b.file}" }}'


def _strings(*words: str) -> str:
    return "[" + ", ".join(f'"{word}"' for word in words) + "]"
