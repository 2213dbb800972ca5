"""One answer of the visit program as a neutral snapshot: parts that failed or were cut off become `Unknown`.

A report that is empty and a report that could not be read are different things. So is a table with a line that was not
understood: from then on nothing is known to be absent, so the part is `Unknown` with that line as the reason.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from typing import TypeVar

from ipsecfleet.isakmpd import host, kernel, names, report, status
from ipsecfleet.isakmpd.fifo import CLONED_TAGS
from ipsecfleet.isakmpd.host import HostFacts
from ipsecfleet.isakmpd.status import Sections, Status
from ipsecfleet.isakmpd.visit import Answer
from ipsecfleet.model.net import Selector, Selectors, parse_network, same_address
from ipsecfleet.model.sa import Exchange, Flow, KeptUp, KernelSa, Sa
from ipsecfleet.model.snapshot import Alias, Connection, GatewaySnapshot, Listing, SshPair, Unknown

T = TypeVar("T")

LISTS = {
    "connections": Listing.ACTIVE,
    "passive": Listing.PASSIVE,
    "held": Listing.HELD_ACTIVE,
    "held-passive": Listing.HELD_PASSIVE,
}
"""Sections of the answer and what standing in them means; the daemon's own lists win over ours."""

ADVICE = {
    "missing": "isakmpd does not run there: start it, then run this again",
    "irregular": "remove that file; isakmpd does not start while it is there",
    "no-reader": "isakmpd was killed there: restart it, then run this again",
    "no-answer": "the daemon is busy or hangs: look at it, then run this again",
    "shifted": "let whoever asks the daemon all the time pause, then run this again",
    "busy": "another ipsecfleet is at work there; run this again",
    "held": "another run changes things there: let it end, then run this again",
    "lost": "our run lock expired before all was done there: look what is, then run this again",
    "taken-back": "it was not confirmed in time, so the old text is there again: roll it out once more",
    "too-big": "look at the gateway: no daemon of this fleet has so much to say",
}
"""What to do about a section that did not end well, by its status word."""

BY_HAND = {"flows": "ipsecctl -s flow", "sad": "ipsecctl -v -s sa", "carp": "ifconfig carp"}
"""Sections that are what a command prints."""

AGAIN = "run this again; if it stays so, look at the gateway's disk and load"

NEEDED = (("Phase", "2"), ("ISAKMP-peer", None), ("Configuration", None))
"""What `c NAME` builds from in the connection's own section (recipes.md 2)."""


def snapshot_of(gateway: str, answer: Answer) -> GatewaySnapshot:
    """What one visit found on `gateway`; of a part read twice the last reading counts. Total."""
    facts = _part(answer, "host", host.parse_host)
    sas = _part(answer, "report", _report)
    state = _part(answer, "exchanges", status.parse)
    sections = state.sections if isinstance(state, Status) else Sections()
    connections = _connections(answer, sas, state)
    known = facts if isinstance(facts, HostFacts) else HostFacts()
    return GatewaySnapshot(
        gateway=gateway,
        at=known.time,
        release=known.release,
        daemon=known.daemon_state,
        fifo=known.fifo,
        carp=_part(answer, "carp", host.parse_carp),
        ssh=_ssh(answer.handshake),
        sas=sas,
        connections=connections,
        flows=_part(answer, "flows", _flows),
        kernel=_part(answer, "sad", _kernel),
        exchanges=_exchanges(state.exchanges, sas) if isinstance(state, Status) else state,
        held_peers=_held_peers(answer, sections),
        peer_names=sections.tags("Phase 1") if isinstance(state, Status) else state,
        conf={path: _conf(body) for path, body in answer.conf.items()},
        aliases=_aliases(state, connections) if isinstance(state, Status) else state,
    )


def _part(answer: Answer, name: str, parse: Callable[[bytes], T | Unknown]) -> T | Unknown:
    """The last section of that name, parsed; why not, if it is not there or not ok."""
    section = answer.last(name)
    if section is None:
        return Unknown("not read" if answer.complete else "the answer was cut off")
    if section.status != "ok":
        hint = f"try it there by hand: {BY_HAND[name]}" if name in BY_HAND else ADVICE.get(section.status, AGAIN)
        return Unknown(_why(section.status, section.body), hint)
    return parse(section.body)


def _why(status_word: str, body: bytes) -> str:
    text = body.decode("utf-8", "replace").strip()
    return f"{status_word}: {text}" if text else status_word


def _report(body: bytes) -> tuple[Sa, ...] | Unknown:
    parsed = report.parse(body)
    if parsed.unparsed or not parsed.complete:
        what = "cut off" if not parsed.complete else "garbled"
        return Unknown(f"the report is {what} near {parsed.unparsed[-1][:40]!r}", AGAIN)
    return parsed.sas


def _flows(body: bytes) -> tuple[Flow, ...] | Unknown:
    return _whole(kernel.parse_flows(body))


def _kernel(body: bytes) -> tuple[KernelSa, ...] | Unknown:
    return _whole(kernel.parse_sad(body))


def _whole(parsed: kernel.Parsed[T]) -> tuple[T, ...] | Unknown:
    if parsed.unparsed:
        text = f"ipsecctl printed a line that is not understood: {parsed.unparsed[0][:80]!r}"
        return Unknown(text, "nothing is known to be absent while that line is there; report it")
    return parsed.records


def _names(body: bytes) -> tuple[str, ...]:
    text = body.decode("utf-8", "surrogateescape").strip()
    return tuple(n for n in text.split(",") if n)


def _connections(
    answer: Answer, sas: tuple[Sa, ...] | Unknown, state: Status | Unknown
) -> tuple[Connection, ...] | Unknown:
    """Every connection in a list, then those that only an SA or the keep-up list names."""
    listed: dict[str, Listing] = {}
    for section, listing in LISTS.items():
        part = _part(answer, section, _names)
        if isinstance(part, Unknown):
            return sas if isinstance(sas, Unknown) and answer.last(section) is None else part
        for name in part:
            listed.setdefault(name, listing)
    known = None if isinstance(state, Unknown) else state
    kept = {k.name.lower(): k for k in known.kept_up} if known else {}
    for name in _unlisted(listed, () if isinstance(sas, Unknown) else sas, kept.values()):
        listed[name] = Listing.NONE
    return tuple(_connection(n, where, known, kept.get(n.lower())) for n, where in listed.items())


def _unlisted(listed: Iterable[str], sas: Iterable[Sa], kept: Iterable[KeptUp]) -> tuple[str, ...]:
    known = {n.lower() for n in listed}
    borne = (sa.name for sa in sas if sa.ready and sa.phase == 2 and sa.name is not None)
    found = {n.lower(): n for n in (*(k.name for k in kept), *borne) if not names.is_alias(n)}
    return tuple(n for key, n in found.items() if key not in known)


def _connection(name: str, listing: Listing, state: Status | None, kept: KeptUp | None) -> Connection:
    if state is None:
        return Connection(name, listing, kept_up=kept)
    get = state.sections.get
    phase1 = get(name, "ISAKMP-peer")
    return Connection(
        name=name,
        listing=listing,
        peer=get(phase1, "Address") if phase1 else None,
        phase1=phase1,
        selectors=selectors_of(name, state.sections),
        missing=tuple(_missing(name, phase1, state.sections)),
        kept_up=kept,
        tags=_tags(name, state.sections),
        group=names.group_of(name, state.sections.names()),
    )


def _tags(name: str, sections: Sections) -> tuple[tuple[str, str], ...]:
    """What a second connection like this one would need, in the order in which it is told to the daemon."""
    values = {tag.lower(): value for tag, value in sections.tags(name).items()}
    return tuple((tag, values[tag.lower()]) for tag in CLONED_TAGS if tag.lower() in values)


def _aliases(state: Status, connections: tuple[Connection, ...] | Unknown) -> tuple[Alias, ...]:
    """Every alias of ours that the daemon has in its configuration, or keeps up."""
    known = () if isinstance(connections, Unknown) else connections
    owners = {names.alias_of(c.name): c.name for c in known}
    kept = {k.name for k in state.kept_up}
    configured = set(state.sections.names())
    found = sorted(n for n in kept | configured if names.is_alias(n))
    return tuple(Alias(n, owners.get(n), n in configured, n in kept) for n in found)


def _missing(name: str, phase1: str | None, sections: Sections) -> Iterable[str]:
    """What the daemon lacks to build this connection, as `[SECTION]:TAG`."""
    for tag, value in NEEDED:
        found = sections.get(name, tag)
        if found is None or (value is not None and found != value):
            yield f"[{name}]:{tag}"
    if phase1 is not None:
        if sections.get(phase1, "Phase") != "1":
            yield f"[{phase1}]:Phase"
        if sections.get(phase1, "Address") is None:
            yield f"[{phase1}]:Address"


def selectors_of(name: str, sections: Sections) -> Selectors | None:
    """The networks of a connection as configured; `NAT-ID` is what its flows have in place of `Local-ID`."""
    local = sections.get(name, "NAT-ID") or sections.get(name, "Local-ID")
    remote = sections.get(name, "Remote-ID")
    sides = [_selector(section, sections) if section else None for section in (local, remote)]
    if sides[0] is None or sides[1] is None:
        return names.parse_connection(name)
    return Selectors(sides[0], sides[1])


def _selector(section: str, sections: Sections) -> Selector | None:
    address, network, mask = (sections.get(section, tag) for tag in ("Address", "Network", "Netmask"))
    net = parse_network(address) if address else parse_network(f"{network}/{mask}") if network and mask else None
    proto, port = (sections.get(section, tag) or "0" for tag in ("Protocol", "Port"))
    if net is None or not proto.isdecimal() or not port.isdecimal():
        return None
    return Selector(net, int(proto), int(port))


def _exchanges(exchanges: tuple[Exchange, ...], sas: tuple[Sa, ...] | Unknown) -> tuple[Exchange, ...]:
    """A phase 1 exchange is under way only as long as an SA with its cookie is not ready (groundtruth 1.4)."""
    if isinstance(sas, Unknown):
        return exchanges
    open_cookies = {sa.icookie for sa in sas if sa.phase == 1 and not sa.ready}
    return tuple(
        replace(x, finished=x.finished or x.icookie not in open_cookies) if x.phase == 1 else x for x in exchanges
    )


def _held_peers(answer: Answer, sections: Sections) -> Mapping[str, str | None]:
    """Peers that are remembered and have no entry in `[Phase 1]`; one that somebody loaded again is held no more."""
    remembered = _part(answer, "held-peers", _names)
    if isinstance(remembered, Unknown):
        return {}
    known = [*sections.tags("Phase 1")]
    held = (p for p in remembered if not any(same_address(p, address) for address in known))
    return {p: sections.get("ipsecfleet", f"peer-of-{p}") for p in held}


def _conf(body: bytes | Unknown) -> tuple[tuple[str, str], ...] | Unknown:
    """Pairs of list and connection from the `C rmv [Phase 2]:LIST=NAME` lines that ipsecctl would send."""
    if isinstance(body, Unknown):
        return body
    lines = body.decode("utf-8", "surrogateescape").splitlines()
    removals = (line.removeprefix("C rmv [Phase 2]:") for line in lines if line.startswith("C rmv [Phase 2]:"))
    return tuple((where, name) for where, _, name in (r.partition("=") for r in removals))


def _ssh(handshake: str | None) -> SshPair | None:
    words = (handshake or "").split()
    return SshPair(words[0], words[2]) if len(words) == 4 else None
