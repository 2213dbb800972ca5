"""One end of a tunnel at a gateway of ours: what it shows and what its log says, with questions that rules ask of it.

The initiator of a negotiation never learns why it fails; the responder says it in its log, once (groundtruth 1.4). So
the sides are asked for different things: the one that begins for its exchange and how far that came, the other for a
refusal. An exchange is known by its cookie at both ends, which tells a message that never arrived from an answer that
did not. How old it is, is told within limits where the daemon has several (isakmpd.status).

A refusal counts as long as attempts like that one can still be the last: they come every 120 s, and begin with the
check after that.
"""

from collections.abc import Container, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property

from ipsecfleet.isakmpd.deployed import Deployed, Meaning
from ipsecfleet.isakmpd.terms import Terms, terms_of
from ipsecfleet.model.net import Selectors, parse_network, same_address
from ipsecfleet.model.notice import Kind, Log, Notice
from ipsecfleet.model.sa import Exchange, Sa
from ipsecfleet.model.snapshot import Connection, GatewaySnapshot, Unknown
from ipsecfleet.model.tunnel import End

ATTEMPT_S = 120
"""As long as an exchange is there, whether it succeeded or not (Exchange-max-time)."""

CHECK_S = 60
"""How often the daemon looks what it keeps up (Check-interval; 30 where a rule is dynamic)."""

ANSWERED_WITHIN_S = 7
"""A message is sent again after that time, so an attempt that is older was not answered."""

RECENT_S = ATTEMPT_S + CHECK_S + 30
"""How old the refusal of an attempt can be while there is no newer attempt."""

REFUSALS = frozenset({
    Kind.NO_PROPOSAL, Kind.UNREADABLE, Kind.WRONG_ID, Kind.NO_KEY, Kind.UNKNOWN_NETWORKS, Kind.POLICY, Kind.UNKNOWN_COOKIE,
})  # fmt: skip
"""What says why a message was refused."""

GIVEN_UP_S, GIVEN_UP_AFTER_S = 20, 45
"""An attempt is given up after 27 to 40 s; so much it is at least and at most."""

NO_COOKIE = "0" * 16
LOG_SIZE = 199
"""Characters after which the daemon cuts a line of its log."""


@dataclass(frozen=True, slots=True)
class Witness:
    """What a gateway told beside its snapshot; `terms` by phase 1 in lower case, `files` by path.

    `configured` has what the daemon could build a connection from, by name, also where it stands in no list, and is None
    where that was not read; its lists are built anew in `reinit_in_s`, if somebody has just changed them. `earlier` are looks
    before this one, oldest first.
    """

    log: Log | Unknown = field(default_factory=lambda: Unknown("not read"))
    terms: Mapping[str, Terms] = field(default_factory=dict)
    files: Mapping[str, Deployed | Unknown | None] = field(default_factory=dict)
    includes: tuple[str, ...] = ()
    earlier: tuple[GatewaySnapshot, ...] = ()
    configured: Mapping[str, Selectors | None] | None = None
    reinit_in_s: int | None = None


@dataclass(frozen=True)
class Side:
    """One end of a tunnel at a gateway of ours.

    `addresses` are those of its own that the peer may see; `scale` is how much faster its time runs than the clock of its
    log.
    """

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
    def own_address(self) -> str | None:
        """Our own address as the peer sees it; None where it may be one of several."""
        used = {sa.src for sa in self.sas if sa.src is not None and same_address(sa.dst, self.end.peer)}
        local = self.terms.local_address if self.terms is not None else None
        known = used or ({local} if local is not None else set(self.addresses))
        return next(iter(known)) if len(known) == 1 else None

    @property
    def address(self) -> str:
        """The same in words."""
        return self.own_address or " or ".join(self.addresses) or "us"

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
    def has_entry(self) -> bool:
        """Whether `[Phase 1]` has an entry for the peer's very address, without which nothing locks it out."""
        return any(same_address(a, self.end.peer) for a in self._peer_names)

    @property
    def terms(self) -> Terms | None:
        """The terms of the phase 1 that the daemon has."""
        return self.witness.terms.get((self.phase1 or "").lower())

    @property
    def configured(self) -> str | None:
        """What the daemon calls this end in its configuration, whether it stands in a list or not."""
        known = (n for n, s in (self.witness.configured or {}).items() if s is not None and s == self.end.selectors)
        return self.end.connection or next(known, None)

    @property
    def unconfigured(self) -> bool:
        """Whether its configuration was read, and has nothing for this end."""
        return self.configured is None and self.witness.configured is not None

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
        cookies = {sa.icookie for sa in self.sas if sa.phase == 1 and same_address(sa.dst, self.end.peer)}
        return tuple(x for x in self.seen.exchanges if self._has(x, cookies))

    def _has(self, exchange: Exchange, cookies: Container[str | None]) -> bool:
        name = (exchange.name or "").lower()
        if exchange.phase == 1:
            mine = same_address(exchange.peer, self.end.peer) or exchange.icookie in cookies
            return mine or (name != "" and name == (self.phase1 or "").lower())
        return name == (self.end.connection or "").lower() if name else exchange.icookie in cookies

    @property
    def sas(self) -> tuple[Sa, ...]:
        """Every SA of its gateway."""
        return () if isinstance(self.seen.sas, Unknown) else self.seen.sas

    @property
    def tells(self) -> bool:
        """Whether the daemon said what it negotiates."""
        return not isinstance(self.seen.exchanges, Unknown)

    def trying(self, phase: int | None = None) -> Exchange | None:
        """What it began and has not finished; the phase 2 if there is one, and the phase 1 that it needs stands."""
        stand = {sa.icookie for sa in self.sas if sa.phase == 1 and sa.ready}
        found = [x for x in self.exchanges if x.ours and not x.finished and phase in {None, x.phase}]
        usable = [x for x in found if x.phase == 1 or x.icookie in stand]
        return max(usable or found, key=lambda x: x.phase, default=None)

    def answering(self) -> Exchange | None:
        """What the peer began and this end has not finished."""
        return next((x for x in self.exchanges if not x.ours and not x.finished), None)

    def locking(self) -> Exchange | None:
        """The phase 1 for whose sake a new one of the peer is ignored: one that the peer began, and we answered."""
        if not self.has_entry:
            return None
        answered = (x for x in self.exchanges if x.phase == 1 and not x.ours and (x.finished or x.step > 1))
        return next(answered, None)

    def youngest_s(self, exchange: Exchange) -> float:
        """How old an exchange is at least, by its timer, by an earlier look that had it, and by its being given up."""
        by_timer = ATTEMPT_S - (ATTEMPT_S if exchange.ends_in_s is None else exchange.ends_in_s)
        seen_s = max((self.before_s(look) for look in self.witness.earlier if _has(look, exchange)), default=0.0)
        return max(by_timer, seen_s, GIVEN_UP_S if self._given_up(exchange, by_timer) else 0)

    def before_s(self, look: GatewaySnapshot) -> float:
        """How long ago an earlier look was, in seconds of the gateway's time."""
        return (self.seen.at - look.at) * self.scale if self.seen.at is not None and look.at is not None else 0.0

    def oldest_s(self, exchange: Exchange) -> float:
        """How old an exchange can be at most."""
        return ATTEMPT_S - (exchange.ends_after_s or 0)

    def _given_up(self, exchange: Exchange, youngest_s: float) -> bool:
        """Whether the log says that it got no answer, and cannot mean the attempt before it, which was over by then."""
        name = (exchange.name or "").lower()
        told = next((n for n in self.notices(Kind.UNANSWERED) if n.details[0].lower() == name), None)
        return told is not None and self.age_s(told) < youngest_s + ATTEMPT_S - GIVEN_UP_AFTER_S

    @property
    def young(self) -> tuple[Exchange, ...]:
        """What was begun so short a time ago that it may still go on, and may be seen in one part of a look alone."""
        return tuple(x for x in self.exchanges if self.youngest_s(x) < ANSWERED_WITHIN_S) if self.tells else ()

    def has_cookie(self, icookie: str) -> bool:
        """Whether it has heard of that phase 1."""
        tables = () if isinstance(self.seen.exchanges, Unknown) else self.seen.exchanges
        return icookie in {*(sa.icookie for sa in self.sas), *(x.icookie for x in tables)}

    def half_open(self) -> tuple[Sa, ...]:
        """What the report has without a name with this peer."""
        return tuple(sa for sa in self.sas if sa.name is None and same_address(sa.dst, self.end.peer))

    @property
    def connections(self) -> tuple[Connection, ...]:
        """Everything that its gateway has for any peer."""
        return () if isinstance(self.seen.connections, Unknown) else self.seen.connections

    def siblings(self) -> tuple[Connection, ...]:
        """Connections with the same peer that have other networks."""
        own = self.end.selectors
        return tuple(
            c for c in self.connections if same_address(c.peer, self.end.peer) and c.selectors not in {own, None}
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
        if notice.kind is Kind.PHASE2_DONE and self.siblings():
            return False  # it names the peer alone
        if notice.kind is Kind.DELETED:
            return notice.details[0].lower() in {(n or "").lower() for n in (self.end.connection, self.phase1)}
        words = {w.lower() for w in (self.end.connection, self.phase1, self.path) if w}
        return same_address(notice.about, self.end.peer) or (notice.about or "").lower() in words

    def _alone_half_open(self) -> bool:
        """Whether a phase 1 with this peer is half-open, and none with anybody else."""
        peers = [sa.dst for sa in self.sas if sa.name is None and sa.phase == 1]
        return bool(peers) and all(same_address(peer, self.end.peer) for peer in peers)

    def _is_ours(self, notice: Notice) -> bool:
        """Whether networks that a peer proposed are those of this end, which the peer sees the other way round.

        In a line that the daemon has cut off the second one is not whole.
        """
        networks = self.end.selectors
        if networks is None:
            return True
        theirs, ours = map(parse_network, notice.details)
        cut = len(notice.text) >= LOG_SIZE
        return theirs in {None, networks.remote.net} and (cut or ours in {None, networks.local.net})

    def refusals(self, within_s: float = RECENT_S) -> Iterator[Notice]:
        """The reasons for which it refused its peer, newest first."""
        return (n for n in self.notices(*REFUSALS) if self.age_s(n) <= within_s)

    def silent_since(self, exchange: Exchange) -> bool:
        """Whether its log was read as far back as that exchange can have begun, and refuses nothing since."""
        if self.log is None or self.seen.at is None:
            return False
        oldest_s = self.oldest_s(exchange) + 1
        refused = (n for n in self.notices(*REFUSALS, Kind.REFUSED) if self.age_s(n) <= oldest_s)
        return (self.seen.at - self.log.reaches) * self.scale >= oldest_s and next(refused, None) is None

    def says_why(self, refusal: Notice) -> bool:
        """Whether its log has the reason of a refusal beside it, of whomever it was."""
        log = self.log.notices if self.log else ()
        return any(n.kind in REFUSALS and abs(n.at - refusal.at) <= 1 for n in log)

    def with_it(self, reason: Notice) -> tuple[Notice, ...]:
        """A refusal and the lines that belong to it: the attributes before, the type of the refusal after it."""
        log = self.log.notices if self.log else ()
        near = (n for n in log if abs(n.at - reason.at) <= 1 and self._concerns(n))
        wanted = {reason.kind, Kind.REFUSED, *([Kind.ATTRIBUTE] if reason.kind is Kind.NO_PROPOSAL else [])}
        lines = {n.text: n for n in near if n.kind in wanted and not _artefact(reason, n)}
        return tuple(lines.values())


def _has(look: GatewaySnapshot, exchange: Exchange) -> bool:
    """Whether that exchange was there at another look."""
    known = () if isinstance(look.exchanges, Unknown) else look.exchanges
    return any((x.icookie, x.msgid) == (exchange.icookie, exchange.msgid) for x in known)


def _artefact(reason: Notice, notice: Notice) -> bool:
    """A phase 2 refused for its networks is refused for its missing group, too, where it is sent again."""
    return reason.kind is Kind.UNKNOWN_NETWORKS and notice.details == ("NO_PROPOSAL_CHOSEN",)
