"""What `check` finds on a gateway that reads and writes well otherwise: things that hurt at the next boot or reload."""

from collections.abc import Iterable, Sequence
from stat import S_IRWXO, S_IWGRP, S_IXGRP

from ipsecfleet.isakmpd import host, names
from ipsecfleet.isakmpd.host import ConfFile, ConfFiles, HostFacts
from ipsecfleet.isakmpd.install import HELP
from ipsecfleet.isakmpd.visit import Answer, digest
from ipsecfleet.model.document import Finding
from ipsecfleet.model.fleet import Gateway
from ipsecfleet.model.snapshot import GatewaySnapshot, Unknown

FIFO_FAULTS = {
    "missing": ("there is no isakmpd.fifo, so isakmpd does not run", "start it: rcctl start isakmpd"),
    "irregular": ("isakmpd.fifo is not a FIFO; isakmpd does not start while it is there", "remove that file"),
    "no-reader": ("nobody reads isakmpd.fifo, so isakmpd does not run", "start it: rcctl restart isakmpd"),
}

LEVELS = {
    "none": "none: the login is root's",
    "doas": "doas: the account may run perl as root, so it is as good as root",
    "restricted": "restricted: the installed visit program is this version's",
}
"""What each privilege comes to."""


def findings(gateway: Gateway, answer: Answer, seen: GatewaySnapshot, conf_files: Sequence[str]) -> tuple[Finding, ...]:
    """Everything found, problems and warnings beside what is well; `conf_files` are the inventory's for this gateway."""
    section = answer.last("host")
    facts = host.parse_host(section.body) if section is not None else HostFacts()
    every = (
        *_level(gateway, facts, seen),
        *_daemon(gateway, facts, seen),
        *_carp(gateway, seen),
        *_aliases(seen),
        *_conf(gateway, answer, conf_files),
    )
    return tuple(every)


def _finding(seen: str, severity: str, subject: str, text: str, hint: str = "") -> Finding:
    return Finding(seen, severity, subject, text, hint)


def _level(gateway: Gateway, facts: HostFacts, seen: GatewaySnapshot) -> Iterable[Finding]:
    name = gateway.name
    yield _finding(name, "info", "login", f"visit program ran, {seen.release or 'unknown'}")
    if gateway.privilege == "restricted" and facts.sha256 != digest():
        told = facts.sha256 or "not told"
        text = f"restricted: the installed visit program is not this version's, its sha256 is {told}"
        yield _finding(name, "problem", "level", text, HELP)
    else:
        yield _finding(name, "info", "level", LEVELS[gateway.privilege])


def _daemon(gateway: Gateway, facts: HostFacts, seen: GatewaySnapshot) -> Iterable[Finding]:
    name = gateway.name
    if seen.fifo in FIFO_FAULTS:
        text, hint = FIFO_FAULTS[seen.fifo]
        yield _finding(name, "problem", "fifo", text, hint)
    if seen.daemon == "stale":
        yield _finding(name, "problem", "pid", "isakmpd.pid names a process that is not isakmpd", "rcctl check isakmpd")
    if seen.daemon == "none":
        yield _finding(
            name, "problem", "pid", "there is no isakmpd.pid, so isakmpd does not run", "rcctl check isakmpd"
        )
    causes: dict[Unknown, str] = {}
    for part, unknown in seen.unknown:
        causes.setdefault(unknown, part)
    for unknown, part in causes.items():
        yield _finding(name, "problem", part, f"could not be read: {unknown.why}", unknown.hint)
    if facts.fifo_mode is not None and facts.fifo_mode & 0o077:
        yield _finding(name, "problem", "fifo", f"isakmpd.fifo has mode {facts.fifo_mode:04o}", "chmod 0600 it")


def _carp(gateway: Gateway, seen: GatewaySnapshot) -> Iterable[Finding]:
    if gateway.carp is None:
        return
    if isinstance(seen.carp, Unknown):
        yield _finding(gateway.name, "problem", "carp", f"the role could not be read: {seen.carp.why}")
        return
    role = seen.carp.get(gateway.carp.interface)
    if role is None:
        text = f"the inventory names {gateway.carp.interface}, the gateway has no such interface"
        yield _finding(gateway.name, "problem", "carp", text, "correct carp.interface in the inventory")
    else:
        severity = "info" if role in {"master", "backup"} else "warning"
        yield _finding(gateway.name, severity, "carp", f"{gateway.carp.interface} is {role}")


def _aliases(seen: GatewaySnapshot) -> Iterable[Finding]:
    """What an interrupted rekey left."""
    sas = () if isinstance(seen.sas, Unknown) else seen.sas
    live = {sa.name for sa in sas if sa.live and sa.name is not None and names.is_alias(sa.name)}
    known = {a.name: a for a in (() if isinstance(seen.aliases, Unknown) else seen.aliases)}
    for name in sorted(live | known.keys()):
        of = f" of {known[name].connection}" if name in known and known[name].connection else ""
        how = "live" if name in live else "kept up" if known[name].kept_up else "in the daemon's configuration"
        hint = "ipsecfleet rekey --clean, once nothing lives by it"
        yield _finding(seen.gateway, "warning", "alias", f"{name}{of} is {how}: left by an interrupted rekey", hint)


def _conf(gateway: Gateway, answer: Answer, conf_files: Sequence[str]) -> Iterable[Finding]:
    section = answer.last("files")
    if section is None or not section.ok:
        why = section.body.decode("utf-8", "replace").strip() if section is not None else "not read"
        yield _finding(gateway.name, "warning", "conf", f"{gateway.paths.etc}/ipsec.conf could not be read: {why}")
        return
    files = host.parse_files(section.body)
    for number, file in enumerate(files.files):
        yield from _file(gateway, file, top=number == 0)
    yield from _includes(gateway, files, conf_files)


def _file(gateway: Gateway, file: ConfFile, *, top: bool) -> Iterable[Finding]:
    """Ipsecctl refuses a top file that others may touch, and never looks at those it includes (ipsecctl.md 2)."""
    loose = file.mode & (S_IWGRP | S_IXGRP | S_IRWXO)
    if loose:
        what = "ipsecctl refuses it" if top else "it holds keys, and ipsecctl does not check included files"
        text = f"{file.path} has mode {file.mode & 0o7777:04o}: {what}"
        yield _finding(gateway.name, "problem", "mode", text, f"chmod 0600 {file.path}")
    if file.uid != 0 and gateway.paths.etc == "/etc":
        yield _finding(gateway.name, "problem", "owner", f"{file.path} belongs to uid {file.uid}, not to root")


def _includes(gateway: Gateway, files: ConfFiles, conf_files: Sequence[str]) -> Iterable[Finding]:
    there = {file.path for file in files.files}
    for path in files.includes:
        if path not in there:
            yield _finding(gateway.name, "problem", "include", f"ipsec.conf includes {path}, which is not there")
    for path in conf_files:
        if path not in files.includes:
            text = f"ipsec.conf does not include {path}: its tunnel is gone after the next boot"
            yield _finding(gateway.name, "warning", "include", text, f'add the line: include "{path}"')
