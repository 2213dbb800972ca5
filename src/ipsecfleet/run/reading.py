"""show and lines: survey and tell; nothing is changed anywhere."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TypeVar

from ipsecfleet.errors import Exit, GatewayError, IpsecfleetError, RefusedError, foremost
from ipsecfleet.inventory.select import resolve_gateways
from ipsecfleet.inventory.words import Selection
from ipsecfleet.isakmpd.classic import classic_lines
from ipsecfleet.isakmpd.verbs import Flows, Host, Report, Verb
from ipsecfleet.model.document import Document, FlowRow, LineRow, SaRow
from ipsecfleet.model.fleet import Fleet, Gateway
from ipsecfleet.model.net import same_address
from ipsecfleet.model.sa import Sa
from ipsecfleet.model.snapshot import PARTS, GatewaySnapshot, Snapshot, Unknown
from ipsecfleet.run.probe import GLANCE, STARE, Prober, in_order
from ipsecfleet.run.scope import (
    READING,
    Scope,
    gateway_row,
    gateway_rows,
    matches_nothing,
    of_saved,
    survey,
    troubles,
    unreachable_codes,
)

T = TypeVar("T")
Seen = GatewaySnapshot | GatewayError


@dataclass(frozen=True, slots=True)
class Reading:
    """What a reading verb works with; `snapshot` stands in for the gateways where one was saved.

    `tell` hears what one gateway has to say, as soon as that is certain: the document's share of it.
    """

    fleet: Fleet
    selection: Selection
    prober: Prober
    snapshot: Snapshot | None = None
    tell: Callable[[Document], None] | None = None


def show(reading: Reading, what: str) -> Document:
    """`what` is tunnels, sas, flows or gateways."""
    narrow = _narrow(reading.selection)
    if not narrow and what != "tunnels" and reading.snapshot is None:
        return _show_each(reading, what)
    if not (narrow and what in {"sas", "flows"}):  # else what is shown of one gateway depends on the others
        tell_each(reading, lambda gateway, seen: _share(what, gateway, seen))
    scope = scope_of(reading)
    document = document_of(f"show {what}", scope, reading.selection)
    match what:
        case "tunnels":
            return replace(document, tunnels=scope.chosen)
        case "sas":
            return replace(document, sas=tuple(_sas(scope, reading.selection, narrow=narrow)))
        case "flows":
            return replace(document, flows=tuple(_flows(scope, narrow=narrow)))
        case _:
            return document


def lines(reading: Reading, forced: frozenset[str]) -> Document:
    """The classic lines of the selected tunnels, gateway by gateway."""
    scope = scope_of(reading)
    document = document_of("lines", scope, reading.selection)
    rows: list[LineRow] = []
    refused: list[IpsecfleetError] = []
    for name, seen in scope.view.snapshot.gateways.items():
        chosen = [e for t in scope.chosen for e in t.ends if e.gateway == name]
        if not chosen:
            continue
        if seen.fifo is not None and seen.fifo != "fifo":
            refused.append(_no_fifo(name, seen.fifo))
            continue
        made = classic_lines(chosen, [e for _, e in scope.view.ends_on(name)], scope.view.sas(name), forced)
        fifo = f"{scope.view.gateway(name).paths.run}/isakmpd.fifo"
        rows += [LineRow(name, line, fifo) for line in made.lines]
        refused += made.refused
    code = foremost([document.exit_code, *([Exit.REFUSED] if refused else [])])
    errors = (*document.errors, *refused)
    return replace(document, lines=tuple(rows), errors=errors, exit_code=code, result=code.word)


def _share(what: str, gateway: Gateway, seen: Seen) -> Document:
    """What `show` says of one gateway where nothing is selected by tunnels."""
    parts = None if isinstance(seen, GatewayError) else seen
    sas = (SaRow(gateway.name, sa) for sa in (_known(parts.sas) if parts else ()))
    flows = (FlowRow(gateway.name, flow) for flow in (_known(parts.flows) if parts else ()))
    return Document(
        f"show {what}",
        gateways=(gateway_row(gateway, seen),),
        sas=tuple(sas) if what == "sas" else None,
        flows=tuple(flows) if what == "flows" else None,
    )


def tell_each(reading: Reading, share: Callable[[Gateway, Seen], Document]) -> None:
    """Let each gateway's share of the document be told as it arrives."""
    tell, heard = reading.tell, reading.prober.arrived
    if tell is None:
        return
    gateways = {g.name: g for g in resolve_gateways(reading.fleet, reading.selection, default_all=True)}

    def arrived(name: str, seen: Seen) -> None:
        tell(share(gateways[name], seen))
        heard(name, seen)

    reading.prober.arrived = arrived


def scope_of(reading: Reading, verbs: Sequence[Verb] | None = None) -> Scope:
    """What the reading is about, seen by these verbs where it is not saved."""
    if reading.snapshot is not None:
        return of_saved(reading.fleet, reading.selection, reading.snapshot)
    asked = verbs or (STARE if reading.prober.keep else GLANCE)
    return survey(reading.prober, reading.fleet, reading.selection, asked, READING)


_ASKED: Mapping[str, tuple[tuple[Verb, ...], tuple[str, ...]]] = {
    "sas": ((Host(), Report()), ("sas",)),
    "flows": ((Host(), Flows()), ("flows",)),
}
"""What each gateway is asked for what is shown of it alone, and the parts of its snapshot that this makes known."""


def _show_each(reading: Reading, what: str) -> Document:
    """What each gateway says by itself: of its answer no more is kept than is shown, and what is told is not kept."""
    gateways = {g.name: g for g in resolve_gateways(reading.fleet, reading.selection, default_all=True)}
    verbs, parts = _ASKED.get(what, (GLANCE, PARTS)) if not reading.prober.keep else (STARE, PARTS)
    shares: dict[str, Document] = {}
    looks: dict[str, Seen] = {}
    for name, look in reading.prober.looks(gateways.values(), lambda _gateway: verbs):
        seen = look if isinstance(look, GatewayError) else look.only(parts)
        share = _share(what, gateways[name], seen)
        if reading.tell is not None:
            reading.tell(share)
        else:
            shares[name] = share
        looks[name] = seen if isinstance(seen, GatewayError) else seen.without_parts()
    scope = of_saved(reading.fleet, reading.selection, in_order(gateways, looks.items()), tunnels=False)
    told = [shares[name] for name in gateways if name in shares]
    return replace(
        document_of(f"show {what}", scope, reading.selection),
        sas=tuple(row for share in told for row in share.sas or ()) if what == "sas" else None,
        flows=tuple(row for share in told for row in share.flows or ()) if what == "flows" else None,
    )


def document_of(command: str, scope: Scope, selection: Selection) -> Document:
    """What every reading verb says: who answered, who did not, and whether anything was meant at all."""
    dark = unreachable_codes(scope, selection)
    nothing = _narrow(selection) and not scope.chosen
    code = foremost([*dark, *([Exit.NOTHING] if nothing else [])])
    errors = (*troubles(scope), *([matches_nothing(selection)] if code is Exit.NOTHING else []))
    return Document(command, code, code.word, gateways=gateway_rows(scope), errors=errors)


def _narrow(selection: Selection) -> bool:
    return bool(selection.names_tunnels or selection.state)


def _sas(scope: Scope, selection: Selection, *, narrow: bool) -> Iterable[SaRow]:
    """All SAs, or those of the chosen tunnels, and with a peer what has no name yet."""
    for name in scope.view.snapshot.gateways:
        mine = [e for t in scope.chosen for e in t.ends if e.gateway == name]
        belonging = {id(sa) for e in mine for sa in (*e.sas, *e.phase1_sas)}
        for sa in scope.view.sas(name):
            if not narrow or id(sa) in belonging or (sa.name is None and _of_peer(sa, selection)):
                yield SaRow(name, sa)


def _of_peer(sa: Sa, selection: Selection) -> bool:
    return any(same_address(sa.dst, peer) for peer in selection.peers)


def _flows(scope: Scope, *, narrow: bool) -> Iterable[FlowRow]:
    for name, seen in scope.view.snapshot.gateways.items():
        chosen = [f for t in scope.chosen for e in t.ends if e.gateway == name for f in e.flows]
        yield from (FlowRow(name, f) for f in (chosen if narrow else _known(seen.flows)))


def _known(part: tuple[T, ...] | Unknown) -> tuple[T, ...]:
    return () if isinstance(part, Unknown) else part


def _no_fifo(gateway: str, state: str) -> RefusedError:
    return RefusedError(
        f"no lines for {gateway}: its isakmpd.fifo is {state}",
        kind="no-fifo",
        obj=gateway,
        hint="pasting them would leave a regular file there, with which isakmpd does not start",
    )
