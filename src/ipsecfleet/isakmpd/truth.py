"""The truth about the ends of tunnels on one gateway, drawn from everything the gateway said.

Names prove little (groundtruth 1.2, 1.4, 1.5): tunnels with equal networks share one, a responder that finds no entry
for both networks takes the first with the same local network, and what is under negotiation has none. So an SA belongs
to a connection by its peer and its networks *as values*. The networks of an SA are what the kernel was told for its
SPIs (`ipsecctl -v -s sa`); where the kernel did not say, the SA's name is believed as long as its peer is the one the
connection has, and else the one connection of that peer with the same local network. An SA that fits no connection is
an end of its own, so that nothing is lost.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TypeVar

from ipsecfleet.isakmpd.names import parse_connection
from ipsecfleet.model.net import Selectors, same_address
from ipsecfleet.model.sa import Exchange, Flow, KernelSa, Sa
from ipsecfleet.model.snapshot import Connection, GatewaySnapshot, Listing, Unknown
from ipsecfleet.model.tunnel import End, State

T = TypeVar("T")


def ends(
    seen: GatewaySnapshot, *, peers: Mapping[Selectors, Sequence[str]] | None = None, backup: bool = False
) -> tuple[End, ...]:
    """Every end on this gateway, in the order of its lists, then what stands in none.

    `peers` is what the inventory knows of the peer behind given networks, used where the daemon did not say.
    A gateway whose SAs or lists could not be read gives its connections, if any, as `unknown`.
    """
    sas = _known(seen.sas)
    kernel = _known(seen.kernel)
    drafts = [_Draft.of(c) for c in _known(seen.connections)]
    networks = _networks_by_spi(kernel)
    for draft in drafts:
        draft.learn_peer(sas, networks, _known(seen.flows), peers or {})
    for sa in sas:
        if sa.phase == 2 and sa.name is not None and sa.ready:
            _owner(drafts, sa, _networks_of(sa, networks)).sas.append(sa)
    return tuple(_judge(draft, seen, drafts, backup=backup) for draft in drafts)


def absent(seen: GatewaySnapshot, networks: Selectors, peers: Sequence[str], *, backup: bool = False) -> End:
    """The end of a tunnel that this gateway's daemon knows nothing of; its kernel may still carry it."""
    draft = _Draft(Connection("", Listing.NONE), _known_as(seen, peers), networks)
    end = replace(_judge(draft, seen, [draft], backup=backup), connection=None)
    return replace(end, note="the daemon knows no such connection") if end.state is State.DOWN else end


def _known_as(seen: GatewaySnapshot, addresses: Sequence[str]) -> str | None:
    """By which of its addresses a peer is known here: by its SAs, else by its phase 1; the first, where by none."""
    tabled = () if isinstance(seen.peer_names, Unknown) else seen.peer_names
    for known in ({sa.dst for sa in _known(seen.sas)}, tabled):
        found = next((a for a in addresses if any(same_address(a, k) for k in known)), None)
        if found is not None:
            return found
    return addresses[0] if addresses else None


@dataclass(slots=True)
class _Draft:
    """An end in the making: a connection and the SAs found to be its own."""

    connection: Connection
    peer: str | None
    selectors: Selectors | None
    sas: list[Sa] = field(default_factory=list)

    @classmethod
    def of(cls, connection: Connection) -> "_Draft":
        return cls(connection, connection.peer, connection.selectors or parse_connection(connection.name))

    def named(self, sa: Sa) -> bool:
        """Whether the SA bears this connection's name; the daemon compares without regard to case."""
        return (sa.name or "").lower() == self.connection.name.lower()

    def learn_peer(
        self,
        sas: Iterable[Sa],
        networks: Mapping[int, Selectors],
        flows: Iterable[Flow],
        peers: Mapping[Selectors, Sequence[str]],
    ) -> None:
        """Fill in the peer from, in this order, an SA of these networks, a flow of them, the inventory."""
        if self.peer is not None or self.selectors is None:
            return
        by_sa = {sa.dst for sa in sas if sa.live and self.named(sa) and _networks_of(sa, networks) == self.selectors}
        by_flow = {f.peer for f in flows if f.selectors == self.selectors and f.type != "deny"}
        by_name = {sa.dst for sa in sas if sa.live and self.named(sa)}
        for found in (by_sa, by_flow, set(peers.get(self.selectors, ())), by_name):
            if len(found - {None}) == 1:
                self.peer = next(iter(found - {None}))
                return

    def may_own(self, sa: Sa) -> bool:
        return self.peer is None or same_address(self.peer, sa.dst)


def _owner(drafts: list[_Draft], sa: Sa, networks: Selectors | None) -> _Draft:
    """The end an SA belongs to; a new one is added when it fits none."""
    candidates = [d for d in drafts if d.may_own(sa)]
    if networks is not None:
        fitting = [d for d in candidates if d.selectors == networks] or _translated(candidates, sa, networks)
        fitting.sort(key=lambda d: not d.named(sa))
    else:
        fitting = [d for d in candidates if d.named(sa)] or _by_local_network(drafts, candidates, sa)
    if fitting:
        return fitting[0]
    own = _Draft(Connection(str(sa.name), Listing.NONE), sa.dst, networks)
    drafts.append(own)
    return own


def _translated(candidates: list[_Draft], sa: Sa, networks: Selectors) -> list[_Draft]:
    """A connection with `from A (NAT) to B`: its name has A, its flows and SAs have the translated network."""
    for draft in candidates:
        if draft.named(sa) and draft.selectors is not None and draft.selectors.remote == networks.remote:
            draft.selectors = networks
            return [draft]
    return []


def _by_local_network(drafts: list[_Draft], candidates: list[_Draft], sa: Sa) -> list[_Draft]:
    """The one connection of the SA's peer behind the local network of the name that the SA bears, if it is one."""
    bearers = [d.selectors.local for d in drafts if d.named(sa) and d.selectors is not None]
    there = [d for d in candidates if d.peer is not None and d.selectors is not None and d.selectors.local in bearers]
    return there if len(there) == 1 else []


def _judge(draft: _Draft, seen: GatewaySnapshot, drafts: Sequence[_Draft], *, backup: bool) -> End:
    connection = draft.connection
    end = End(
        gateway=seen.gateway,
        connection=connection.name,
        state=State.UNKNOWN,
        listing=connection.listing,
        peer=draft.peer,
        selectors=draft.selectors,
        sas=tuple(draft.sas),
        flows=_flows_of(draft, _known(seen.flows)),
        missing=connection.missing,
        kept_up=connection.kept_up is not None,
    )
    end = replace(end, phase1_sas=_phase1_of(end, _known(seen.sas)))
    end = replace(end, phase1=connection.phase1 or _phase1_name(end))
    end = replace(end, exchanges=_exchanges_of(end, connection, seen))
    state, note = _state(end, seen, sole=_sole(draft, drafts), backup=backup)
    return replace(end, state=state, note=note)


def _state(end: End, seen: GatewaySnapshot, *, sole: bool, backup: bool) -> tuple[State, str]:
    """The first state that applies, in the order of DESIGN 4, and what its word does not say."""
    if seen.unknown:
        return State.UNKNOWN, seen.unknown[0][1].why
    if backup:
        return State.BACKUP, ""
    if len(end.live) > 1:
        return State.DUPLICATE, f"{len(end.live)} live SAs"
    stale = _stale(end, seen, sole=sole)
    if stale:
        return State.STALE, stale
    negotiating = [x for x in end.exchanges if not x.finished]
    if end.live:
        rekeying = any(x.ours and x.phase == 2 for x in negotiating)
        return (State.REKEYING if rekeying else State.UP), _fading(end)
    if end.listing.held:
        return State.HELD, "the peer keeps trying" if negotiating else ""
    if negotiating:
        return State.HALF_UP, _stage(negotiating[0])
    return State.DOWN, ""


def _stale(end: End, seen: GatewaySnapshot, *, sole: bool) -> str:
    """How the daemon and its kernel disagree about this end, or nothing."""
    flows = [f for f in end.flows if f.type != "deny"]
    bound = [sa for sa in end.live if not sa.flags & 0x400 and end.selectors is not None]
    if bound and not flows:
        return "live SA without flow"
    kernel = _known(seen.kernel)
    if any(sa.spis - {k.spi for k in kernel} for sa in end.live):
        return "the kernel has no such SA"
    if not end.sas and any(_orphan(k, end, seen, sole=sole) for k in kernel):
        return "the kernel has an SA that the daemon does not know"
    if not end.sas and any(f.peer is not None for f in flows):
        return "the kernel has a flow that the daemon does not know"
    return ""


def _orphan(kernel: KernelSa, end: End, seen: GatewaySnapshot, *, sole: bool) -> bool:
    """Whether this kernel SA is the end's and stands in no block of the report."""
    if kernel.larval or any(kernel.spi in sa.spis for sa in _known(seen.sas)):
        return False
    mine = kernel.selectors == end.selectors if kernel.selectors is not None else sole
    return mine and end.peer is not None and (same_address(kernel.src, end.peer) or same_address(kernel.dst, end.peer))


def _fading(end: End) -> str:
    left = [sa.hard_s for sa in end.live if sa.fading and sa.hard_s is not None]
    return f"gone in {left[0]} s unless its peer renews it" if left else ""


def _stage(exchange: Exchange) -> str:
    who = "we began" if exchange.ours else "the peer began"
    until = f", ends in {exchange.ends_in_s} s" if exchange.ends_in_s is not None else ""
    return f"phase {exchange.phase}, {who}{until}"


def _exchanges_of(end: End, connection: Connection, seen: GatewaySnapshot) -> tuple[Exchange, ...]:
    """Negotiations for this end: phase 2 by its name, phase 1 by the name of its peer's.

    Where the daemon's own table was not read, an unnamed SA with the same peer stands for one; two half-up tunnels of
    one peer cannot be told apart that way (groundtruth 1.4).
    """
    if isinstance(seen.exchanges, Unknown):
        return tuple(_guess(sa) for sa in _known(seen.sas) if sa.name is None and same_address(sa.dst, end.peer))
    wanted = {n.lower() for n in (connection.name, end.phase1) if n}
    return tuple(x for x in seen.exchanges if (x.name or "").lower() in wanted or _theirs(x, end))


def _theirs(exchange: Exchange, end: End) -> bool:
    """An exchange that nobody named, with this end's peer."""
    return exchange.name is None and same_address(exchange.peer, end.peer)


def _guess(sa: Sa) -> Exchange:
    ours = any(p.spi_in is not None and p.spi_out is None for p in sa.protocols) or sa.rcookie == "0" * 16
    return Exchange(None, sa.phase, ours, 0, sa.icookie or "", sa.rcookie or "", peer=sa.dst)


def _flows_of(draft: _Draft, flows: Iterable[Flow]) -> tuple[Flow, ...]:
    if draft.selectors is None:
        return ()
    ours = (f for f in flows if f.selectors == draft.selectors)
    return tuple(f for f in ours if draft.peer is None or f.peer is None or same_address(f.peer, draft.peer))


def _phase1_of(end: End, sas: Iterable[Sa]) -> tuple[Sa, ...]:
    """The ready phase 1 SAs with this end's addresses (a phase 1 belongs to a phase 2 by equal src and dst)."""
    sources = {sa.src for sa in end.sas}
    with_peer = (sa for sa in sas if sa.phase == 1 and sa.ready and same_address(sa.dst, end.peer))
    return tuple(sa for sa in with_peer if not sources or sa.src in sources)


def _phase1_name(end: End) -> str | None:
    names = {sa.name for sa in end.phase1_sas if sa.name is not None and not sa.replaced}
    return names.pop() if len(names) == 1 else None


def _sole(draft: _Draft, drafts: Sequence[_Draft]) -> bool:
    """Whether no other connection here has the same peer."""
    return draft.peer is not None and sum(same_address(d.peer, draft.peer) for d in drafts) == 1


def _networks_by_spi(kernel: Iterable[KernelSa]) -> dict[int, Selectors]:
    return {k.spi: k.selectors for k in kernel if k.selectors is not None}


def _networks_of(sa: Sa, networks: Mapping[int, Selectors]) -> Selectors | None:
    return next((networks[spi] for spi in sorted(sa.spis) if spi in networks), None)


def _known(part: tuple[T, ...] | Unknown) -> tuple[T, ...]:
    return () if isinstance(part, Unknown) else part
