"""What the daemon writes into isakmpd.report at SIGUSR1, as far as the visit program lets it out.

Source: exchange.c, connection.c, timer.c, conf.c and log.c; transcripts b01 to b09, c09. Four kinds of lines are read here:

    exchange_report: 0x55f250211f50 peer-10.2.77.77 phase1-peer-10.2.77.77 policy initiator phase 1 doi 1 exchange 2 step 1
    exchange_report: icookie f9546c6a1bca50a7 rcookie 0000000000000000
    exchange_report: msgid 00000000
    connection_report: connection from-172.16.1.0/24-to-192.168.1.0/24 next check 45 seconds
    connection_report: passive connection from-172.16.1.0/24-to-192.168.1.0/24 local_id: …, remote_id: …
    timer_report: event exchange_free_aux(0x55f2502106f0) scheduled in 105 seconds
    timer_report: event ui_conn_reinit(0x55e2c9061db0) scheduled in 3 seconds
    [peer-10.2.2.1]
    Address=	10.2.2.1

The file itself ends with the whole configuration, keys included. So whatever is not one of these lines is passed over
and never kept, not even as unparsed, and of the configuration only the tags below are taken, also if a file comes
here unfiltered, with the stamp `142606.181696 Report> ` before each line.

The daemon cuts every line after 199 bytes. A value that may have been cut is known to be there and no more (`C get` has
it whole). An exchange whose line was cut before its role and step counts as ours and unfinished, so that it is waited for. A policy
can point to memory that was freed and be any bytes.

Main mode takes six messages, quick mode three, and `step` counts them: an exchange that has counted all of its
messages is finished, and lingers until 120 s after it began to answer retransmissions. The timers do not say whose
they are: one exchange and one timer belong together; of several the first and the last are told for each; with fewer
timers than exchanges, nothing.
"""

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from ipsecfleet.isakmpd.octets import lines, octets
from ipsecfleet.model.sa import Exchange, KeptUp

_TAGS = frozenset({
    "isakmp-peer", "address", "local-address", "phase", "configuration", "local-id", "remote-id", "nat-id", "pf-tag",
    "flags", "interface", "connections", "passive-connections", "id", "id-type", "name", "network", "netmask", "protocol",
    "port", "transforms", "authentication_method", "hash_algorithm", "encryption_algorithm", "key_length",
    "group_description", "life", "life_duration",
})  # fmt: skip
_OPEN_SECTIONS = frozenset({"phase 1", "ipsecfleet"})
_KEY = "authentication"

_MESSAGES = {1: 4, 2: 6, 3: 3, 4: 3, 5: 1, 6: 2, 32: 3, 33: 2}
"""How many messages an exchange takes, by its type; 2 is main mode, 4 aggressive, 32 quick."""

_CUT = 199

_stamp = re.compile(rb"^[0-9]{6}\.[0-9]{1,6} Report> ", re.MULTILINE)
_ours = re.compile(r"exchange_report: |connection_report: |timer_report: event (?:exchange_free_aux|ui_conn_reinit)\(")
_begun = re.compile(r"^exchange_report: !?0x[0-9a-f]+ (?P<name>[^ \n]+) (?P<policy>.*)$", re.MULTILINE)
_cookies = re.compile(r"^exchange_report: icookie (?P<i>[0-9a-f]{16}) rcookie (?P<r>[0-9a-f]{16})$", re.MULTILINE)
_msgid = re.compile(r"^exchange_report: msgid (?P<id>[0-9a-f]{8})(?: .*)?$", re.MULTILINE)
_progress = re.compile(
    r"policy (?P<role>initiator|responder) phase (?P<phase>[12])"
    r" doi [0-9]{1,5} exchange (?P<type>[0-9]{1,3}) step (?P<step>[0-9]{1,5})$"
)
_kept_up = re.compile(r"connection_report: connection (?P<name>.+) next check (?P<in>-?[0-9]{1,10}) seconds$")
_passive = re.compile(r"connection_report: passive connection (?P<name>.+?) local_id: ")
_timer = re.compile(r"timer_report: event exchange_free_aux\([^)]*\) scheduled in (?P<in>-?[0-9]{1,10}) seconds$")
_reinit = re.compile(r"timer_report: event ui_conn_reinit\([^)]*\) scheduled in (?P<in>-?[0-9]{1,10}) seconds$")
_hashed = re.compile(r"Authentication=\t([0-9a-f]{64})")
_known = (_begun, _cookies, _msgid, _kept_up, _passive, _timer, _reinit)


@dataclass(frozen=True, slots=True)
class Sections:
    """What was let out of the daemon's configuration. Names of sections and tags compare without regard to case."""

    _values: Mapping[str, Mapping[str, tuple[str, str]]] = field(default_factory=dict)

    def get(self, section: str, tag: str) -> str | None:
        """The value of one tag, if it is whole."""
        return self._values.get(section.lower(), {}).get(tag.lower(), ("", None))[1] or None

    def tags(self, section: str) -> Mapping[str, str]:
        """All tags of one section as they are spelled, with their values; one that was cut is empty."""
        return dict(self._values.get(section.lower(), {}).values())

    def names(self) -> Iterable[str]:
        """Every section that there is, in lower case."""
        return self._values.keys()


@dataclass(frozen=True, slots=True)
class Status:
    """Running exchanges, the true keep-up list, the passive list, the configuration let out, lines not understood.

    `reinit_in_s` is when the lists are built anew, if somebody has just changed them.
    """

    exchanges: tuple[Exchange, ...] = ()
    kept_up: tuple[KeptUp, ...] = ()
    passive: tuple[str, ...] = ()
    sections: Sections = field(default_factory=Sections)
    unparsed: tuple[bytes, ...] = ()
    reinit_in_s: int | None = None


def parse(data: bytes) -> Status:
    """The report, filtered or raw."""
    written = lines(_stamp.sub(b"", data))
    ours = [line for line in written if _ours.match(line)]
    sections = _sections(written)
    return Status(
        exchanges=tuple(_exchanges(ours, sections)),
        kept_up=tuple(KeptUp(found["name"], int(found["in"])) for found in _all(_kept_up, ours)),
        passive=tuple(found["name"] for found in _all(_passive, ours)),
        sections=sections,
        unparsed=tuple(octets(line) for line in ours if not any(known.match(line) for known in _known)),
        reinit_in_s=next((int(found["in"]) for found in _all(_reinit, ours)), None),
    )


def key_hashes(data: bytes) -> Mapping[str, str]:
    """The hash of each phase 1's key, by its section in lower case, where a visit was given something to hash with."""
    found: dict[str, str] = {}
    section = ""
    for line in lines(_stamp.sub(b"", data)):
        if line.startswith("["):
            section = line[1:-1].lower()
        elif (hashed := _hashed.fullmatch(line)) is not None:
            found.setdefault(section, hashed[1])
    return found


def _all(pattern: re.Pattern[str], ours: Iterable[str]) -> Iterator[re.Match[str]]:
    return filter(None, map(pattern.match, ours))


def _exchanges(ours: Sequence[str], sections: Sections) -> Iterator[Exchange]:
    drafts = list(_by_exchange(line for line in ours if line.startswith("exchange_report: ")))
    timers = [int(found["in"]) for found in _all(_timer, ours)]
    ends = (min(timers), max(timers)) if drafts and len(timers) >= len(drafts) else (None, None)
    return (_exchange(draft, ends, sections) for draft in drafts)


def _by_exchange(reported: Iterable[str]) -> Iterator[str]:
    """The lines of one exchange after the other; an exchange ends with its msgid or where the next one begins."""
    group: list[str] = []
    for line in reported:
        if group and (_begun.match(line) or _msgid.match(group[-1])):
            yield "\n".join(group)
            group = []
        group.append(line)
    if group:
        yield "\n".join(group)


def _exchange(draft: str, ends: tuple[int | None, int | None], sections: Sections) -> Exchange:
    begun, cookies, msgid = _begun.search(draft), _cookies.search(draft), _msgid.search(draft)
    progress = _progress.search(begun["policy"]) if begun else None
    name = begun["name"] if begun and begun["name"] != "<unnamed>" else None
    message = msgid["id"] if msgid else "0" * 8
    phase = int(progress["phase"]) if progress else 1 if message == "0" * 8 else 2
    step = int(progress["step"]) if progress else 0
    return Exchange(
        name=name,
        phase=phase,
        ours=progress is None or progress["role"] == "initiator",
        step=step,
        icookie=cookies["i"] if cookies else "0" * 16,
        rcookie=cookies["r"] if cookies else "0" * 16,
        msgid=message,
        finished=progress is not None and step >= _MESSAGES.get(int(progress["type"]), step + 1),
        ends_after_s=ends[0],
        ends_in_s=ends[1],
        peer=_peer(name, phase, sections),
    )


def _peer(name: str | None, phase: int, sections: Sections) -> str | None:
    owner = sections.get(name or "", "ISAKMP-peer") if phase == 2 else name
    return sections.get(owner or "", "Address")


def _sections(written: Iterable[str]) -> Sections:
    values: dict[str, dict[str, tuple[str, str]]] = {}
    section = ""
    for line in written:
        if line.startswith("["):
            section = line[1:-1].lower() if line.endswith("]") else ""
            if section:
                values.setdefault(section, {})
        elif section and (pair := _pair(line, section)):
            values.setdefault(section, {}).setdefault(pair[0].lower(), pair)
    return Sections(values)


def _pair(line: str, section: str) -> tuple[str, str] | None:
    """A tag and its value, if it is one of those we take, and whole."""
    tag, mark, value = line.partition("=\t")
    taken = tag.lower() in _TAGS or (section in _OPEN_SECTIONS and tag.lower() != _KEY)
    return (tag, value if len(octets(line)) < _CUT else "") if mark and taken else None
