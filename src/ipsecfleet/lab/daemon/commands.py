"""What each FIFO command does (isakmpd ui.c). Success is silent; failure is one line of the log."""

from __future__ import annotations

from functools import singledispatch
from typing import TYPE_CHECKING

from ipsecfleet.lab.daemon import fifo
from ipsecfleet.lab.daemon.render import render_report
from ipsecfleet.lab.daemon.state import render_state

if TYPE_CHECKING:
    from ipsecfleet.lab.daemon.process import Process
    from ipsecfleet.lab.daemon.sas import Sa

_LISTS = ("connections", "passive-connections")


@singledispatch
def execute(command: object, process: Process) -> None:  # noqa: ARG001  the registered ones need it
    """Do what the command says, now."""
    raise TypeError(command)


@execute.register(fifo.Report)
def _report(_command: fifo.Report, process: Process) -> None:
    process.host.files.write_result(render_report(process.sas, process.clock.now))


@execute.register(fifo.Get)
def _get(command: fifo.Get, process: Process) -> None:
    value = process.config.get(command.section, command.tag)
    process.host.files.write_result(b"" if value is None else f"{value}\n".encode("latin-1"))


@execute.register(fifo.Change)
def _change(command: fifo.Change, process: Process) -> None:
    config, section, tag = process.config, command.section, command.tag
    match command.verb:
        case "set":
            if not config.set(section, tag, command.value, force=command.force):
                process.log(f"conf_set_now: duplicate tag [{section}]:{tag}, ignoring...")
        case "add":
            config.add(section, tag, command.value)
        case "rmv":
            config.remove_value(section, tag, command.value)
        case "rm":
            config.remove(section, tag)
        case "rms":
            config.remove_section(section)
    if command.verb in ("set", "add", "rmv") and section.lower() == "phase 2" and tag.lower() in _LISTS:
        process.connections.arm()


@execute.register(fifo.Teardown)
def _teardown(command: fifo.Teardown, process: Process) -> None:
    if command.phase == 2:
        process.connections.leave(command.name)
    while sa := process.sas.named(command.name, command.phase):
        process.lifecycle.delete(sa, notify=True)


@execute.register(fifo.TeardownAll)
def _teardown_all(_command: fifo.TeardownAll, process: Process) -> None:
    for sa in process.sas:
        if sa.phase == 2:
            process.connections.leave(sa.name or "")
            _free(sa, process)


@execute.register(fifo.Delete)
def _delete(command: fifo.Delete, process: Process) -> None:
    wanted = (command.cookies, command.msgid)
    sa = process.sas.first(lambda sa: ("".join(sa.cookies), sa.msgid) == wanted)
    if sa:
        _free(sa, process)
    else:
        process.log(f'ui_delete: command "d {command.cookies} {command.msgid:08x}" found no SA')


@execute.register(fifo.Connect)
def _connect(command: fifo.Connect, process: Process) -> None:
    process.connections.keep_up(command.name)


@execute.register(fifo.SetMode)
def _set_mode(command: fifo.SetMode, process: Process) -> None:
    process.active = command.active


@execute.register(fifo.Debug)
def _debug(command: fifo.Debug, process: Process) -> None:
    if command.level is None:
        process.levels = [0] * len(process.levels)
    elif command.log_class is None:
        for number in range(len(process.levels)):
            _set_level(process, number, command.level)
    elif command.log_class < len(process.levels):
        _set_level(process, command.log_class, command.level)
    else:
        process.log(f"log_debug_cmd: invalid debugging class {command.log_class}")


@execute.register(fifo.Capture)
def _capture(command: fifo.Capture, process: Process) -> None:
    starting = f'log_packet_init: starting IKE packet capture to file "{command.path}"'
    process.log(starting if command.on else "log_packet_stop: stopped capture")


@execute.register(fifo.Quit)
def _quit(_command: fifo.Quit, process: Process) -> None:
    process.host.terminate()


@execute.register(fifo.Reinitialise)
def _reinitialise(_command: fifo.Reinitialise, process: Process) -> None:
    reinitialise(process)


@execute.register(fifo.LogReport)
def _log_report(_command: fifo.LogReport, process: Process) -> None:
    for line in render_state(process).splitlines():
        process.event("log", text=line, level="alert")


@execute.register(fifo.Malformed)
def _complain(command: fifo.Malformed, process: Process) -> None:
    process.log(command.complaint)


def reinitialise(process: Process) -> None:
    """`R` or SIGHUP, where there is no isakmpd.conf: what was fed through the FIFO survives."""
    process.log("isakmpd: reinitializing daemon")
    process.connections.reinitialise()
    if process.config.get("General", "Renegotiate-on-HUP"):
        for sa in process.sas:
            if sa.phase == 2 and sa.ready:
                process.lifecycle.soft_expire(sa)


def _free(sa: Sa, process: Process) -> None:
    if sa.ready:
        process.lifecycle.delete(sa, notify=True)
    else:
        process.exchanges.poison(sa)
        process.lifecycle.discard(sa)


def _set_level(process: Process, number: int, level: int) -> None:
    was, process.levels[number] = process.levels[number], level
    if was != level:
        process.log(f"log_debug_cmd: log level changed from {was} to {level} for class {number}")
