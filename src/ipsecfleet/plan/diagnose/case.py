"""One tunnel, and what its gateways say of it: the sides of a case, with questions that rules ask of them.

The initiator of a negotiation never learns why it fails; the responder says it in its log, once (groundtruth 1.4). So
the sides are asked for different things: the one that begins for its exchange and how far that came, the other for a
refusal. An exchange is known by its cookie at both ends, which tells a message that never arrived from an answer that
did not.

A refusal counts as long as attempts like that one can still be the last: they come every 120 s, and begin with the
check after that. Where what it says is not so any more, as two keys that are equal now, it is of the past.
"""

from collections.abc import Container, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property

from ipsecfleet.isakmpd.deployed import Deployed, Meaning
from ipsecfleet.isakmpd.terms import Terms, terms_of
from ipsecfleet.isakmpd.truth import absent
from ipsecfleet.model.net import Selectors, parse_network, same_address
from ipsecfleet.model.notice import Kind, Log, Notice
from ipsecfleet.model.sa import Exchange, Sa
from ipsecfleet.model.snapshot import Connection, GatewaySnapshot, Listing, Snapshot, Unknown
from ipsecfleet.model.tunnel import End, State, Tunnel
from ipsecfleet.plan.files import conf_path
from ipsecfleet.plan.tunnels import addresses_of
from ipsecfleet.plan.view import View, strands

ATTEMPT_S = 120
"""As long as an exchange is there, whether it succeeded or not (Exchange-max-time)."""

CHECK_S = 60
"""How often the daemon looks what it keeps up (Check-interval; 30 where a rule is dynamic)."""

RECENT_S = ATTEMPT_S + CHECK_S + 30
"""How old the refusal of an attempt can be while there is no newer attempt."""

REFUSALS = frozenset({
    Kind.NO_PROPOSAL, Kind.UNREADABLE, Kind.WRONG_ID, Kind.NO_KEY, Kind.UNKNOWN_NETWORKS, Kind.POLICY, Kind.UNKNOWN_COOKIE,
})  # fmt: skip
"""What says why a message was refused."""

NO_COOKIE = "0" * 16
LOG_SIZE = 199
"""Characters after which the daemon cuts a line of its log."""

SEVERAL = 2


@dataclass(frozen=True, slots=True)
class Witness:
    """What a gateway told beside its snapshot; `terms` by phase 1 in lower case, `files` by path.

    `configured` has what the daemon could build a connection from, by name, also where it stands in no list; its lists are
    built anew in `reinit_in_s`, if somebody has just changed them. `before` is an earlier look at it.
    """

    log: Log | Unknown = field(default_factory=lambda: Unknown("not read"))
    terms: Mapping[str, Terms] = field(default_factory=dict)
    files: Mapping[str, Deployed | Unknown | None] = field(default_factory=dict)
    includes: tuple[str, ...] = ()
    before: GatewaySnapshot | None = None
    configured: Mapping[str, Selectors | None] = field(default_factory=dict)
    reinit_in_s: int | None = None


@dataclass(frozen=True)
class Side:
    """One end of a tunnel at a gateway of ours; `scale` is how much faster its time runs than the clock of its log."""

    end: End
    seen: GatewaySnapshot
    connection: Connection
    witness: Witness
    path: str | None = None
    addresses: tuple[str, ...] = ()
    scale: float = 1.0

    @property
    def name(self) -> str:
        return self.end.gateway

    @property
    def peer(self) -> str:
        return self.end.peer or "its peer"

    @property
    def address(self) -> str:
        """Our own address as the peer sees it."""
        used = (sa.src for sa in (*self.end.phase1_sas, *self.end.sas) if sa.src)
        return next(used, next(iter(self.addresses), "us"))

    @property
    def active(self) -> bool:
        """Whether it begins, as far as its lists and its exchanges tell."""
        return self.end.listing.active or self.trying() is not None

    @cached_property
    def phase1(self) -> str | None:
        """What the daemon calls the phase 1 with that peer."""
        if self.end.phase1 is not None:
            return self.end.phase1
        return next((p for a, p in self._peer_names.items() if same_address(a, self.end.peer)), None)

    @property
    def _peer_names(self) -> Mapping[str, str]:
        return {} if isinstance(self.seen.peer_names, Unknown) else self.seen.peer_names

    @property
    def knows_peer(self) -> bool | None:
        """Whether `[Phase 1]` has an entry for the peer, or one for anybody; None where that was not read."""
        if isinstance(self.seen.peer_names, Unknown):
            return None
        return any(same_address(a, self.end.peer) or a.lower() == "default" for a in self._peer_names)

    @property
    def terms(self) -> Terms | None:
        """The terms of the phase 1 that the daemon has."""
        return self.witness.terms.get((self.phase1 or "").lower())

    @property
    def configured(self) -> str | None:
        """What the daemon calls this end in its configuration, whether it stands in a list or not."""
        known = (n for n, s in self.witness.configured.items() if s is not None and s == self.end.selectors)
        return self.end.connection or next(known, None)

    @property
    def meaning(self) -> Meaning | None:
        """What the conf file on the disk means."""
        stored = self.witness.files.get(self.path or "")
        return stored.meaning if isinstance(stored, Deployed) and isinstance(stored.meaning, Meaning) else None

    @property
    def filed(self) -> str | None:
        """The connection of this end in the conf file."""
        meaning = self.meaning
        names = meaning.names if meaning is not None else ()
        return next((n for n in names if meaning and meaning.selectors(n) == self.end.selectors), None)

    @property
    def filed_terms(self) -> Terms | None:
        """The terms of phase 1 by the conf file on the disk."""
        meaning, name = self.meaning, self.filed
        phase1 = meaning.phase1(name) if meaning is not None and name is not None else None
        if meaning is None or phase1 is None:
            return None
        return terms_of(meaning.sections, phase1, meaning.keys)

    @cached_property
    def exchanges(self) -> tuple[Exchange, ...]:
        """Everything that the daemon negotiates, or negotiated lately, with this peer for this end."""
        if isinstance(self.seen.exchanges, Unknown):
            return self.end.exchanges
        cookies = {sa.icookie for sa in self._sas if sa.phase == 1 and same_address(sa.dst, self.end.peer)}
        return tuple(x for x in self.seen.exchanges if self._has(x, cookies))

    def _has(self, exchange: Exchange, cookies: Container[str | None]) -> bool:
        name = (exchange.name or "").lower()
        if exchange.phase == 1:
            mine = same_address(exchange.peer, self.end.peer) or exchange.icookie in cookies
            return mine or (name != "" and name == (self.phase1 or "").lower())
        return name == (self.end.connection or "").lower() if name else exchange.icookie in cookies

    @property
    def _sas(self) -> tuple[Sa, ...]:
        return () if isinstance(self.seen.sas, Unknown) else self.seen.sas

    def trying(self, phase: int | None = None) -> Exchange | None:
        """What it began and has not finished; the phase 2 if there is one, and the phase 1 that it needs stands."""
        stand = {sa.icookie for sa in self._sas if sa.phase == 1 and sa.ready}
        found = [x for x in self.exchanges if x.ours and not x.finished and phase in {None, x.phase}]
        usable = [x for x in found if x.phase == 1 or x.icookie in stand]
        return max(usable or found, key=lambda x: x.phase, default=None)

    def answering(self) -> Exchange | None:
        """What the peer began and this end has not finished."""
        return next((x for x in self.exchanges if not x.ours and not x.finished), None)

    def has_cookie(self, icookie: str) -> bool:
        """Whether it has heard of that phase 1."""
        tables = () if isinstance(self.seen.exchanges, Unknown) else self.seen.exchanges
        return icookie in {*(sa.icookie for sa in self._sas), *(x.icookie for x in tables)}

    def half_open(self) -> tuple[Sa, ...]:
        """What the report has without a name with this peer."""
        return tuple(sa for sa in self._sas if sa.name is None and same_address(sa.dst, self.end.peer))

    def siblings(self) -> tuple[Connection, ...]:
        """Connections with the same peer that have other networks."""
        known = () if isinstance(self.seen.connections, Unknown) else self.seen.connections
        return tuple(
            c
            for c in known
            if same_address(c.peer, self.end.peer) and c.selectors != self.end.selectors and c.selectors
        )

    # --- its log

    @property
    def log(self) -> Log | None:
        return None if isinstance(self.witness.log, Unknown) else self.witness.log

    def age_s(self, notice: Notice) -> float:
        """How long ago something was told, in seconds of the gateway's time."""
        return max(0.0, (self.seen.at or notice.at) - notice.at) * self.scale

    def notices(self, *kinds: Kind) -> Iterator[Notice]:
        """What its log says of this end, newest first."""
        for notice in reversed(self.log.notices if self.log else ()):
            if notice.kind in kinds and self._concerns(notice):
                yield notice

    def _concerns(self, notice: Notice) -> bool:
        if notice.kind in {Kind.LIFE, Kind.LEVEL} or (notice.kind is Kind.DEBUG and notice.about is None):
            return True
        if notice.kind is Kind.WRONG_ID:
            terms = self.terms or self.filed_terms
            return terms.expected_id == notice.details[0] if terms is not None else self._alone_half_open()
        if notice.kind is Kind.UNKNOWN_NETWORKS:
            return same_address(notice.about, self.end.peer) and self._is_ours(notice)
        if notice.kind is Kind.UNANSWERED and same_address(notice.about, self.end.peer):
            names = {(self.end.connection or "").lower(), (self.phase1 or "").lower()}
            return notice.details[0].lower() in names or not (names - {""})
        words = {w.lower() for w in (self.end.connection, self.phase1, self.path) if w}
        return same_address(notice.about, self.end.peer) or (notice.about or "").lower() in words

    def _alone_half_open(self) -> bool:
        """Whether a phase 1 with this peer is half-open, and none with anybody else."""
        peers = [sa.dst for sa in self._sas if sa.name is None and sa.phase == 1]
        return bool(peers) and all(same_address(peer, self.end.peer) for peer in peers)

    def _is_ours(self, notice: Notice) -> bool:
        """Whether networks that a peer proposed are those of this end, which the peer sees the other way round.

        In a line that the daemon has cut off the second one is not whole.
        """
        networks = self.end.selectors
        if networks is None:
            return True
        theirs, ours = map(parse_network, notice.details)
        return theirs == networks.remote.net and (ours == networks.local.net or len(notice.text) >= LOG_SIZE)

    def refusal(self) -> Notice | None:
        """The last reason for which it refused its peer, if that is recent."""
        found = next(self.notices(*REFUSALS), None)
        return found if found is not None and self.age_s(found) <= RECENT_S else None

    def with_it(self, reason: Notice) -> tuple[Notice, ...]:
        """A refusal and the lines that belong to it: the attributes before, the type of the refusal after it."""
        log = self.log.notices if self.log else ()
        near = (n for n in log if abs(n.at - reason.at) <= 1 and self._concerns(n))
        wanted = {reason.kind, Kind.REFUSED, *([Kind.ATTRIBUTE] if reason.kind is Kind.NO_PROPOSAL else [])}
        lines = {n.text: n for n in near if n.kind in wanted and not _artefact(reason, n)}
        return tuple(lines.values())


def _artefact(reason: Notice, notice: Notice) -> bool:
    """A phase 2 refused for its networks is refused for its missing group, too, where it is sent again."""
    return reason.kind is Kind.UNKNOWN_NETWORKS and notice.details == ("NO_PROPOSAL_CHOSEN",)


@dataclass(frozen=True)
class Case:
    """One pair of networks of a tunnel: its sides at gateways of ours that answered, those that did not, and the peer."""

    tunnel: Tunnel
    state: State
    sides: tuple[Side, ...]
    unread: tuple[End, ...] = ()
    note: str = ""

    @cached_property
    def near(self) -> Side | None:
        """The side that begins; of several the one that is at it."""
        begin = [s for s in self.sides if s.active]
        return max(begin, key=lambda s: s.trying() is not None, default=None)

    @cached_property
    def far(self) -> Side | None:
        """The other side, if it is ours and was read."""
        near = self.near
        if near is None:
            return self.sides[0] if len(self.sides) == 1 else None
        return next((s for s in self.sides if s is not near and _faces(s, near)), None)

    @property
    def whole(self) -> bool:
        """Whether both ends are ours and were read."""
        return len(self.sides) > 1


def _faces(one: Side, other: Side) -> bool:
    return one.name != other.name


def cases(view: View, tunnel: Tunnel, witnesses: Mapping[str, Witness]) -> Iterator[Case]:
    """A case for each pair of networks of a tunnel."""
    lost = [e for e in tunnel.ends if e.selectors is None and e.state is State.UNKNOWN]
    groups = [
        (*group, *lost) for group in strands(replace(tunnel, ends=tuple(e for e in tunnel.ends if e not in lost)))
    ]
    for ends in groups or ([tuple(lost)] if lost else []):
        awake = [e for e in ends if e.state is not State.BACKUP] or list(ends)
        read = [e for e in awake if view.seen(e.gateway) is not None and not _silent(view.snapshot, e)]
        sides = [_side(view, tunnel, end, witnesses) for end in read]
        sides += [_side(view, tunnel, end, witnesses) for end in _missing(view, read)]
        states = [e.state for e in awake]
        state = tunnel.state if len(groups) < SEVERAL or len(set(states)) > 1 else states[0]
        yield Case(tunnel, state, tuple(sides), tuple(e for e in awake if e not in read), tunnel.note)


def _silent(snapshot: Snapshot, end: End) -> bool:
    """Whether the gateway's connections are not known at all."""
    seen = snapshot.gateways[end.gateway]
    return isinstance(seen.sas, Unknown) or isinstance(seen.connections, Unknown)


def _missing(view: View, ends: Iterable[End]) -> Iterator[End]:
    """The far end at a gateway of ours whose daemon has no such connection, where no inventory tells of it."""
    known = list(ends)
    if len(known) != 1 or known[0].selectors is None:
        return
    addresses = addresses_of(view.gateway(known[0].gateway))
    for gateway in view.at(known[0].peer):
        seen = view.seen(gateway.name)
        if seen is not None and gateway.name != known[0].gateway and not isinstance(seen.sas, Unknown):
            mirrored = known[0].selectors.mirrored()
            of_nobody = (e for _, e in view.ends_on(gateway.name) if e.selectors == mirrored and e.peer is None)
            yield next(of_nobody, None) or absent(seen, mirrored, addresses)


def _side(view: View, tunnel: Tunnel, end: End, witnesses: Mapping[str, Witness]) -> Side:
    seen = view.snapshot.gateways[end.gateway]
    witness = witnesses.get(end.gateway, Witness())
    listed = view.connection(end) if end.connection is not None else Connection("", Listing.NONE)
    addresses = addresses_of(view.gateway(end.gateway))
    return Side(end, seen, listed, witness, conf_path(view, tunnel, end), addresses, view.fleet.time_scale)
