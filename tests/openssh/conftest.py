"""One gateway of a lab, reached by OpenSSH's own sshd instead of the lab's."""

import re
import shutil
from collections.abc import Callable, Iterator
from hashlib import sha256
from pathlib import Path

import pytest
import realssh

from cli import Operator
from ipsecfleet.lab import api as lab
from ipsecfleet.lab.layout import GatewayDir, LabDir

SPEED = 10
OWN_COPIES = ("passwd", "shadow", "group", "doas.conf")


def machine_etc() -> dict[str, str]:
    """Digests of what this machine has in the files that the namespace changes for itself."""
    paths = [Path("/etc") / name for name in OWN_COPIES]
    return {path.name: sha256(path.read_bytes()).hexdigest() for path in paths if path.exists()}


@pytest.fixture(scope="session")
def etc_before() -> dict[str, str]:
    return machine_etc()


@pytest.fixture
def etc_now() -> Callable[[], dict[str, str]]:
    return machine_etc


@pytest.fixture(scope="session")
def simulated(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LabDir]:
    """A lab of one gateway, for its daemon and its files."""
    if lacking := realssh.missing():
        pytest.fail(lacking, pytrace=False)
    directory = LabDir(tmp_path_factory.mktemp("lab"))
    try:
        lab.up(directory.root, gateways=1, speed=SPEED)
        yield directory
    finally:
        lab.down(directory.root)


@pytest.fixture(scope="session")
def server(
    tmp_path_factory: pytest.TempPathFactory, simulated: LabDir, etc_before: dict[str, str]
) -> Iterator[realssh.RealSsh]:
    authorized = simulated.identity.with_suffix(".pub").read_text()
    home = tmp_path_factory.mktemp("openssh") / "sshd"
    with realssh.running(home, authorized, simulated.gateway("hub-fra1").root) as sshd:
        yield sshd


@pytest.fixture
def sshd(server: realssh.RealSsh) -> Iterator[realssh.RealSsh]:
    """The server, with the doas.conf that we recommend, and afterwards without anybody's session."""
    server.doas(realssh.PERMIT)
    yield server
    server.end_sessions()


@pytest.fixture
def gateway(simulated: LabDir) -> GatewayDir:
    """The gateway's files."""
    return simulated.gateway("hub-fra1")


@pytest.fixture
def ipsecfleet(tmp_path: Path, simulated: LabDir, sshd: realssh.RealSsh) -> Operator:
    """The command, with the lab's inventory, but for the port and the host key."""
    inventory = tmp_path / "fleet" / "inventory.toml"
    inventory.parent.mkdir()
    port = lab.status(simulated.root).ports["hub-fra1"]
    inventory.write_text(simulated.inventory.read_text().replace(f"port = {port}\n", f"port = {sshd.port}\n"))
    shutil.copy(sshd.known_hosts, inventory.with_name("known_hosts"))
    return Operator(tmp_path).with_inventory(inventory)


@pytest.fixture
def installed(ipsecfleet: Operator, sshd: realssh.RealSsh) -> Iterator[dict[str, list[str]]]:
    """The visit program, installed as `check --install-help` says; what that says, by subject."""
    said: dict[str, list[str]] = {}
    for finding in ipsecfleet("check", "--install-help", "-o", "json").json["findings"]:
        said.setdefault(finding["subject"], []).append(finding["text"])
    _, source, target = said["copy it"][0].split()
    shutil.copy(source, sshd.root / "run" / realssh.USER / target.partition(":")[2])
    sshd.as_root("; ".join(said["as root"]))
    sshd.doas(said["doas.conf"][0].replace("USER", realssh.USER) + "\n")
    yield said
    sshd.as_root("rm -rf /usr/local/libexec")


@pytest.fixture
def restricted(ipsecfleet: Operator) -> Operator:
    """The command, with an inventory in which the gateway is restricted, and where OpenBSD has its files."""
    inventory = ipsecfleet.home / "fleet/inventory.toml"
    text = inventory.read_text().replace('privilege = "doas"', 'privilege = "restricted"')
    inventory.write_text(re.sub(r"^(conf_dir|paths) = .*\n", "", text, flags=re.MULTILINE))
    return ipsecfleet
