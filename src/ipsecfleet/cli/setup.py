"""Verbs that set things up: inventory, trust, completion, lab."""

import sys
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ipsecfleet.cli import completing
from ipsecfleet.cli.app import app, group, verb
from ipsecfleet.cli.options import seconds
from ipsecfleet.cli.session import Session, read_text
from ipsecfleet.errors import OperatorError

if TYPE_CHECKING:
    from ipsecfleet.lab import LabInfo
    from ipsecfleet.model.document import Document, GatewayName
    from ipsecfleet.model.fleet import Fleet
    from ipsecfleet.transport.trust import ShownKeys

inventory_app = group("inventory", "Check the inventory, list what is in it, or make one to begin with.")
lab_app = group("lab", "Simulated gateways on loopback: real SSH, a real FIFO, a faithful isakmpd.")
app.add_typer(inventory_app)
app.add_typer(lab_app)

Dir = Annotated[Path, typer.Option("--dir", metavar="DIR", help="Where the lab lives.")]
LAB = Path("lab")
TUNNELS = "tunnels"


@verb(inventory_app, "check")
def inventory_check(session: Session) -> "Document":
    """Validate the inventory whole; all errors at once."""
    from ipsecfleet.cli.inventories import find

    path = find(session.options.inventory)
    if path is None:
        raise OperatorError("there is no inventory to check", kind="inventory", hint="name one by -i")
    fleet = session.fleet
    if (path.parent / TUNNELS).is_dir():
        from ipsecfleet.cli.tunnels import check_files

        return check_files(fleet, path)
    text = f"{len(fleet.gateways)} gateways and {len(fleet.tunnels)} tunnels, no error"
    return _facts("inventory check", [(str(path), text)])


@verb(inventory_app, "list")
def inventory_list(session: Session) -> "Document":
    """List the gateways of the inventory."""
    from ipsecfleet.model.document import Document

    return Document("inventory list", inventory=_listed(session.fleet))


def _listed(fleet: "Fleet") -> "tuple[GatewayName, ...]":
    from ipsecfleet.model.document import GatewayName

    return tuple(GatewayName(g.name, g.address, g.groups, g.carp.group if g.carp else None) for g in fleet.gateways)


@verb(inventory_app, "import")
def inventory_import(
    _session: Session,
    what: Annotated[str, typer.Argument(metavar="ansible", help="What the file is: ansible.")],
    file: Annotated[Path, typer.Argument(metavar="FILE", help="What ansible-inventory --list printed; - is stdin.")],
) -> "Document":
    """Print an inventory to begin with, made from what there is."""
    from ipsecfleet.inventory import parse
    from ipsecfleet.inventory.ansible import from_ansible
    from ipsecfleet.model.document import Document

    if what != "ansible":
        raise OperatorError(f"import {what!r}: there is ansible", kind="usage", obj="inventory import")
    text = from_ansible(sys.stdin.read() if str(file) == "-" else read_text(file), str(file))
    return Document("inventory import", inventory=_listed(parse(text, source=f"what {file} means")), text=text)


@verb(app, "trust")
def trust(
    session: Session,
    gateways: Annotated[list[str], typer.Argument(metavar="GATEWAY...", help="Gateway, or user@host[:port].")],
    fingerprint: Annotated[
        list[str] | None, typer.Option("--fingerprint", metavar="SHA256:...", help="Accept this key without asking.")
    ] = None,
    replace: Annotated[bool, typer.Option("--replace", help="Also where another key is known.")] = False,
) -> "Document":
    """Show the host keys of gateways, ask, and write them into known_hosts."""
    from ipsecfleet.inventory import Selection, resolve_gateways
    from ipsecfleet.run.trusting import Trust

    if not (fingerprint or session.options.yes or session.asks or session.dry):
        hint = "give --fingerprint SHA256:..., as ssh-keygen -lf prints it on the gateway"
        raise OperatorError("trust asks, and there is no terminal to ask on", kind="usage", obj="trust", hint=hint)
    if session.options.yes and not fingerprint:
        hint = "give --fingerprint SHA256:..., which somebody read on the gateway"
        raise OperatorError("trust takes no --yes: a key is accepted by its fingerprint", kind="usage", hint=hint)
    chosen = resolve_gateways(session.fleet, Selection.of(gateways=gateways), default_all=False)
    timeout = seconds(session.options.connect_timeout, None, "--connect-timeout")
    job = Trust(frozenset(fingerprint or ()), replace, _ask_about, timeout, session.dry)
    return job.all(chosen, session.options.fanout)


def _ask_about(gateway: str, shown: "ShownKeys") -> bool:
    from ipsecfleet.render import visible

    sys.stderr.write(f"{visible(gateway)} shows\n")
    for key in shown.keys:
        sys.stderr.write(f"  {visible(str(key))}\n")
    sys.stderr.write("Is that the fingerprint that ssh-keygen -l prints there? [y/N] ")
    sys.stderr.flush()
    return sys.stdin.readline().strip().lower() in {"y", "yes"}


@verb(app, "completion")
def completion(
    session: Session,
    shell: Annotated[
        str, typer.Argument(metavar="bash|zsh|fish|ksh", autocompletion=completing.among(*completing.SHELLS))
    ],
) -> "Document":
    """Print what a shell reads in to complete our words and the names of the inventory."""
    from ipsecfleet.model.document import Document

    root = typer.main.get_command(app)
    return Document("completion", text=completing.script(shell, root, lambda: session.fleet))


@verb(lab_app, "up")
def lab_up(
    _session: Session,
    gateways: Annotated[int, typer.Option("--gateways", metavar="N", min=3, help="How many.")] = 6,
    speed: Annotated[float, typer.Option("--speed", metavar="K", min=0.1, help="Time runs K times faster.")] = 1.0,
    seed: Annotated[int, typer.Option("--seed", metavar="N", help="What chance draws from.")] = 0,
    tunnels: Annotated[
        int | None, typer.Option("--tunnels", metavar="N", help="A plain fleet of so many between the gateways.")
    ] = None,
    directory: Dir = LAB,
) -> "Document":
    """Start a lab; returns when all its gateways answer."""
    from ipsecfleet import lab

    return _told("lab up", lab.up(directory, gateways=gateways, speed=speed, seed=seed, tunnels=tunnels))


@verb(lab_app, "down")
def lab_down(_session: Session, directory: Dir = LAB) -> "Document":
    """End a lab."""
    from ipsecfleet import lab

    return _told("lab down", lab.down(directory))


@verb(lab_app, "status")
def lab_status(_session: Session, directory: Dir = LAB) -> "Document":
    """Say what a lab is at."""
    from ipsecfleet import lab

    return _told("lab status", lab.status(directory))


@verb(lab_app, "fault")
def lab_fault(
    _session: Session,
    words: Annotated[
        list[str],
        typer.Argument(
            metavar="NAME [ADDR]|off [NAME]|list",
            help="A fault of the lab; off ends it, or all.",
            autocompletion=completing.faults,
        ),
    ],
    gateway: Annotated[str | None, typer.Option("-g", "--gateway", metavar="NAME", help="Only there.")] = None,
    directory: Dir = LAB,
) -> "Document":
    """Switch a fault on or off, or list what there is."""
    from ipsecfleet import lab

    if words == ["list"]:
        return _facts("lab fault", lab.faults())
    return _told("lab fault", lab.fault(directory, " ".join(words), gateway))


@verb(lab_app, "advance")
def lab_advance(
    _session: Session, time: Annotated[str, typer.Argument(metavar="TIME", help="Such as 600s.")], directory: Dir = LAB
) -> "Document":
    """Move a lab's time forward."""
    from ipsecfleet import lab

    return _told("lab advance", lab.advance(directory, seconds(time, 0.0, "TIME") or 0.0))


@verb(lab_app, "simulate")
def lab_simulate(
    _session: Session,
    gateways: Annotated[int, typer.Option("--gateways", metavar="N", min=1, help="How many.")] = 10,
    tunnels: Annotated[int, typer.Option("--tunnels", metavar="N", min=1, help="How many.")] = 500,
    lifetime: Annotated[str, typer.Option("--lifetime", metavar="TIME", help="Of an SA.")] = "20m",
    cost: Annotated[float, typer.Option("--cost", metavar="MS", min=0.001, help="Of one computation.")] = 100.0,
    gap: Annotated[str, typer.Option("--gap", metavar="TIME", help="Between two of one machine.")] = "5s",
    cycles: Annotated[int, typer.Option("--cycles", metavar="N", min=1, help="The start and those after it.")] = 4,
    seed: Annotated[int, typer.Option("--seed", metavar="N", help="What chance draws from.")] = 1,
) -> "Document":
    """Compare ways to start a fleet, in a queue model: all at once, with sleeps, by our schedule."""
    from ipsecfleet.cli.simulate import compare

    life, pause = seconds(lifetime, 0.0, "--lifetime") or 0.0, seconds(gap, 0.0, "--gap") or 0.0
    if life <= 0:
        raise OperatorError(f"--lifetime {lifetime!r} is no time at all", kind="usage", obj="--lifetime")
    return compare(gateways, tunnels, life, cost / 1000, pause, cycles, seed)


def _told(command: str, info: "LabInfo") -> "Document":
    """A lab's state: what it is at, its faults, and the inventory to use."""
    running = f", {len(info.ports)} gateways, time {info.speed:g} times as fast" if info.state == "running" else ""
    facts = [("lab", f"{info.state}{running}"), *(("fault", name) for name in info.faults)]
    if info.state == "running":
        facts.append(("inventory", f"-i {info.inventory}"))
    return _facts(command, facts)


def _facts(command: str, facts: Iterable[tuple[str, str]]) -> "Document":
    """Something to know, by subject; none of it is a fault."""
    from ipsecfleet.model.document import Document, Finding

    return Document(command, findings=tuple(Finding(None, "info", subject, text) for subject, text in facts))
