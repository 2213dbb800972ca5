"""The sections of a visit that tell of the gateway itself: `host`, `carp` and `files`.

`host` and `files` are the visit program's own lines. `carp` is `ifconfig carp` (ifconfig.c, carp(4)): one state per
interface, or one for each virtual host of an interface that balances:

    carp0: flags=8843<UP,BROADCAST,RUNNING,SIMPLEX,MULTICAST> mtu 1500
            carp: MASTER carpdev em0 vhid 1 advbase 1 advskew 0
    carp1: flags=8843<UP,BROADCAST,RUNNING,SIMPLEX,MULTICAST> mtu 1500
            carp: carpdev em0 advbase 1 balancing ip
                    state MASTER vhid 2 advskew 0
                    state BACKUP vhid 3 advskew 100

A member that is master for one virtual host carries its tunnels, so the highest of its states is the interface's.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from ipsecfleet.isakmpd.octets import lines, octets

CarpState = Literal["master", "backup", "init"]

_STATES: dict[str, CarpState] = {"MASTER": "master", "BACKUP": "backup", "INIT": "init"}
_PRECEDENCE = tuple(_STATES.values())

_interface = re.compile(r"([^\s:]+): flags=")
_carp_state = re.compile(r"\s+(?:carp: )?(?:state )?(MASTER|BACKUP|INIT)\b")
_conf_file = re.compile(r"([0-7]{1,7}) ([0-9]{1,10}) ([0-9]{1,10}) ([0-9]{1,18}) (/.*)$")


@dataclass(frozen=True, slots=True)
class HostFacts:
    """What a visit says of its gateway; None where it did not.

    `time` is the gateway's clock in epoch seconds; `fifo` is fifo, missing, irregular or no-reader; `daemon_state` is
    running (then `pid` is known), none or stale; the modes are permission bits; `version` is the visit program's;
    `sha256` is its own where it is installed.
    """

    time: float | None = None
    release: str | None = None
    uid: int | None = None
    fifo: str | None = None
    fifo_mode: int | None = None
    pid: int | None = None
    daemon_state: str | None = None
    result_mode: int | None = None
    version: str | None = None
    sha256: str | None = None


@dataclass(frozen=True, slots=True)
class ConfFile:
    """A configuration file of ipsecctl and who may read it; `mode` is permission bits, `size` bytes."""

    path: str
    mode: int
    uid: int
    gid: int
    size: int


@dataclass(frozen=True, slots=True)
class ConfFiles:
    """ipsec.conf and the files it includes, its include lines in order, and lines not understood."""

    files: tuple[ConfFile, ...] = ()
    includes: tuple[str, ...] = ()
    unparsed: tuple[bytes, ...] = ()


def parse_host(data: bytes) -> HostFacts:
    """The section `host`: lines `KEY VALUE`, of which the first of a key counts."""
    said: dict[str, str] = {}
    for key, _, value in (line.partition(" ") for line in lines(data)):
        said.setdefault(key, value)
    pid = _whole(said.get("pid", ""))
    return HostFacts(
        time=_seconds(said.get("time", "")),
        release=said.get("release") or None,
        uid=_whole(said.get("uid", "")),
        fifo=said.get("fifo") or None,
        fifo_mode=_mode(said.get("fifo-mode", "")),
        pid=pid,
        daemon_state="running" if pid is not None else said.get("pid") or None,
        result_mode=_mode(said.get("result-mode", "")),
        version=said.get("version") or None,
        sha256=said.get("sha256") or None,
    )


def parse_carp(data: bytes) -> Mapping[str, CarpState]:
    """The state of each carp interface; one whose state is not told is left out."""
    states: dict[str, CarpState] = {}
    interface = ""
    for line in lines(data):
        if begun := _interface.match(line):
            interface = begun[1]
        elif interface and (found := _carp_state.match(line)):
            state = _STATES[found[1]]
            states[interface] = min(state, states.get(interface, state), key=_PRECEDENCE.index)
    return states


def parse_files(data: bytes) -> ConfFiles:
    """The section `files`: lines `MODE UID GID SIZE PATH` and `include PATH`."""
    files: list[ConfFile] = []
    includes: list[str] = []
    unparsed: list[bytes] = []
    for line in lines(data):
        if line.startswith("include "):
            includes.append(line.removeprefix("include "))
        elif found := _conf_file.match(line):
            files.append(_file(found))
        elif line:
            unparsed.append(octets(line))
    return ConfFiles(tuple(files), tuple(includes), tuple(unparsed))


def _file(found: re.Match[str]) -> ConfFile:
    mode, uid, gid, size, path = found.groups()
    return ConfFile(path, int(mode, 8) & 0o7777, int(uid), int(gid), int(size))


def _seconds(text: str) -> float | None:
    return float(text) if re.fullmatch(r"[0-9]{1,12}(?:\.[0-9]{1,9})?", text) else None


def _whole(text: str) -> int | None:
    return int(text) if re.fullmatch(r"[0-9]{1,10}", text) else None


def _mode(text: str) -> int | None:
    return int(text, 8) & 0o7777 if re.fullmatch(r"[0-7]{1,7}", text) else None
