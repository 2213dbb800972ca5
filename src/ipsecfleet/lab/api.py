"""The lab as `ipsecfleet lab` sees it: start, end, ask, switch faults, move time."""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal, TextIO

from ipsecfleet.errors import IpsecfleetError, OperatorError
from ipsecfleet.lab import control
from ipsecfleet.lab.layout import LabDir

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

MOST_GATEWAYS = 500
MOST_TUNNELS = 5000
FEWEST_ENDS = 2
START = 120.0
FAREWELL = 5.0
MOST_SECONDS = 30 * 86_400
PATH_BYTES = re.compile(r"[A-Za-z0-9._/-]+")


@dataclass(frozen=True, slots=True)
class LabInfo:
    """A lab: `moment` is its time as seconds of the epoch, `ports` the SSH port of each gateway, `faults` as switched."""

    directory: Path
    inventory: Path
    state: Literal["running", "down", "crashed"]
    pid: int | None = None
    speed: float = 1.0
    moment: float | None = None
    ports: dict[str, int] = field(default_factory=dict)
    faults: tuple[str, ...] = ()


def up(directory: Path, *, gateways: int = 6, speed: float = 1.0, seed: int = 0, tunnels: int | None = None) -> LabInfo:
    """Start a lab in `directory`; returns when all its gateways answer on SSH.

    With `tunnels` it is a plain fleet of so many between its gateways, without foreign peers.
    """
    lab = _lab(directory)
    _check(lab, gateways, speed, tunnels)
    lab.root.mkdir(parents=True, exist_ok=True)
    _start(lab, gateways, speed, seed, tunnels)
    info = status(directory)
    for name, port in info.ports.items():
        _greet(name, port)
    return info


def down(directory: Path) -> LabInfo:
    """End the lab in `directory` and remove its run directories; nothing if there is none."""
    lab = _lab(directory)
    if pid := _pid(lab):
        _end(lab, pid)
    lab.remove_run()
    return LabInfo(lab.root, lab.inventory, "down")


def status(directory: Path) -> LabInfo:
    """What the lab in `directory` is doing, running or not."""
    lab = _lab(directory)
    if _pid(lab) is None:
        return LabInfo(lab.root, lab.inventory, "crashed" if lab.pid.exists() else "down")
    return _ask(lab, "status")


def fault(directory: Path, name: str, gateway: str | None = None) -> LabInfo:
    """Switch a fault on at one or all gateways (`doas-refused`, `peer-silent 10.2.1.1`), or `off` again."""
    return _ask(_lab(directory), "fault", gateway or "", *name.split())


def faults() -> tuple[tuple[str, str], ...]:
    """Every fault as it is called, with what it means."""
    from ipsecfleet.lab.switchboard import described  # noqa: PLC0415  brings asyncssh along, which takes its time

    return tuple(described())


def advance(directory: Path, seconds: float) -> LabInfo:
    """Let so many seconds of the lab's time pass at once."""
    if not 0 <= seconds <= MOST_SECONDS:
        raise OperatorError(f"cannot advance by {seconds:g} s", hint=f"from 0 to {MOST_SECONDS} seconds", kind="lab")
    return _ask(_lab(directory), "advance", str(seconds))


def _lab(directory: Path) -> LabDir:
    return LabDir(directory.absolute())


def _check(lab: LabDir, gateways: int, speed: float, tunnels: int | None) -> None:
    """Refuse what cannot become a lab, above all a directory that is somebody's."""
    if not PATH_BYTES.fullmatch(str(lab.root)):
        raise OperatorError(
            f"unusable directory: {lab.root}", hint="a lab's path has letters, digits, . _ / and - only"
        )
    if not 1 <= gateways <= MOST_GATEWAYS:
        raise OperatorError(f"cannot simulate {gateways} gateways", hint=f"from 1 to {MOST_GATEWAYS}")
    if tunnels is not None and not 1 <= tunnels <= MOST_TUNNELS:
        raise OperatorError(f"cannot simulate {tunnels} tunnels", hint=f"from 1 to {MOST_TUNNELS}")
    if tunnels is not None and gateways < FEWEST_ENDS:
        raise OperatorError("tunnels need two gateways", hint="--gateways 2 at least")
    if not 0 < speed <= 1000:
        raise OperatorError(f"cannot run at speed {speed:g}", hint="more than 0, at most 1000")
    if _pid(lab):
        raise OperatorError(f"a lab is running in {lab.root}", hint=f'end it by "ipsecfleet lab down --dir {lab.root}"')
    if lab.root.exists() and any(lab.root.iterdir()) and not lab.log.exists():
        raise OperatorError(f"{lab.root} is not empty, and no lab's", hint="name another directory")


def _start(lab: LabDir, gateways: int, speed: float, seed: int, tunnels: int | None) -> None:
    words = (lab.root, gateways, speed, seed, tunnels or 0)
    command = [sys.executable, "-m", "ipsecfleet.lab.process", *map(str, words)]
    with lab.log.open("wb") as log, subprocess.Popen(  # noqa: S603  our own interpreter
        command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=log, cwd=lab.root, start_new_session=True
    ) as launcher:  # fmt: skip
        try:
            said, _ = launcher.communicate(timeout=START)
        except subprocess.TimeoutExpired as error:
            os.killpg(launcher.pid, signal.SIGKILL)
            raise IpsecfleetError(
                f"the lab in {lab.root} was not ready within {START:g} s",
                hint="simulate fewer gateways, or free the machine",
            ) from error
    if said != b"ready\n":
        raise IpsecfleetError(f"the lab in {lab.root} did not start: {_last_words(lab)}", hint=f"read {lab.log}")


def _last_words(lab: LabDir) -> str:
    lines = lab.log.read_text(errors="replace").split("\n") if lab.log.exists() else []
    return next((line for line in reversed(lines) if line.strip()), "it left no word")


def _pid(lab: LabDir) -> int | None:
    """The lab's process, if it lives."""
    with contextlib.suppress(FileNotFoundError), lab.pid.open() as file:
        return int(file.read() or 0) if _locked(file) else None
    return None


def _locked(file: TextIO) -> bool:
    """Whether the lab's process lives: then it holds its pid file locked, unlinked or not."""
    try:
        fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    fcntl.flock(file, fcntl.LOCK_UN)
    return False


def _ask(lab: LabDir, *words: str) -> LabInfo:
    if _pid(lab) is None:
        crashed = f"it crashed: {_last_words(lab)}; " if lab.pid.exists() else ""
        raise OperatorError(f"no lab is running in {lab.root}", hint=f'{crashed}start one by "ipsecfleet lab up"')
    try:
        status, *texts = control.ask(lab.socket, *words)
    except (OSError, ValueError) as error:
        raise IpsecfleetError(f"the lab in {lab.root} does not answer", hint=f"read {lab.log}") from error
    if status != b"0":
        message, _, hint = texts[-1].decode(errors="replace").partition("\n")
        raise OperatorError(message, hint=hint, kind="lab")
    return _info(lab, json.loads(texts[0]))


def _info(lab: LabDir, told: dict[str, Any]) -> LabInfo:
    return LabInfo(
        lab.root, lab.inventory, "running", told["pid"], told["speed"], told["moment"], told["gateways"],
        tuple(told["faults"]),
    )  # fmt: skip


def _greet(name: str, port: int) -> None:
    """Wait for the server's banner."""
    with socket.create_connection(("127.0.0.1", port), timeout=10) as connection:
        if not connection.recv(64).startswith(b"SSH-2.0-"):
            raise IpsecfleetError(f"{name} does not answer on port {port}", hint="read lab.log")


def _end(lab: LabDir, pid: int) -> None:
    """Ask the process to end, then demand it."""
    pleas: tuple[Callable[[], object], ...] = (
        lambda: control.ask(lab.socket, "down"),
        lambda: os.kill(pid, signal.SIGTERM),
        lambda: os.kill(pid, signal.SIGKILL),
    )
    with contextlib.suppress(FileNotFoundError), lab.pid.open() as file:
        for plea in pleas:
            with contextlib.suppress(OSError):
                plea()
            if _ends(file):
                return
    if not lab.pid.exists():  # it was ending by itself
        return
    raise IpsecfleetError(f"process {pid} of the lab in {lab.root} does not end")


def _ends(file: TextIO) -> bool:
    """Whether the process ends within some seconds."""
    until = time.monotonic() + FAREWELL
    while (alive := _locked(file)) and time.monotonic() < until:
        time.sleep(0.01)
    return not alive
