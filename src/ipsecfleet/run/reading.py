"""show, lines and check: survey and tell; nothing is changed anywhere."""

from collections.abc import Iterable
from dataclasses import dataclass, replace

from ipsecfleet.errors import Exit, IpsecfleetError, RefusedError, foremost
from ipsecfleet.inventory.select import resolve_gateways
from ipsecfleet.inventory.words import Selection
from ipsecfleet.isakmpd.check import findings
from ipsecfleet.isakmpd.classic import classic_lines
from ipsecfleet.isakmpd.visit import Files
from ipsecfleet.model.document import Document, Finding, FlowRow, LineRow, SaRow
from ipsecfleet.model.fleet import Fleet, Gateway
from ipsecfleet.model.net import same_address
from ipsecfleet.model.sa import Sa
from ipsecfleet.model.snapshot import Snapshot, Unknown
from ipsecfleet.plan.files import conf_path
from ipsecfleet.run.probe import GLANCE, STARE, Prober
from ipsecfleet.run.scope import Scope, gateway_rows, matches_nothing, of_saved, survey, troubles, unreachable_codes


@dataclass(frozen=True, slots=True)
class Reading:
    """What a reading verb works with; `snapshot` stands in for the gateways where one was saved."""

    fleet: Fleet
    selection: Selection
    prober: Prober
    snapshot: Snapshot | None = None


def show(reading: Reading, what: str) -> Document:
    """`what` is tunnels, sas, flows or gateways."""
    scope = _scope(reading)
    document = _document(f"show {what}", scope, reading.selection)
    narrow = _narrow(reading.selection)
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
    scope = _scope(reading)
    document = _document("lines", scope, reading.selection)
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


def check(reading: Reading) -> Document:
    """Everything that `check` finds on the selected gateways."""
    gateways = resolve_gateways(reading.fleet, reading.selection, default_all=True)
    reading.prober.keep = True
    snapshot = reading.prober.look(gateways, (*STARE, Files()))
    scope = of_saved(reading.fleet, Selection(), snapshot)
    found = tuple(f for gateway in gateways for f in _found(reading.prober, scope, gateway))
    bad = any(f.severity != "info" for f in found)
    code = foremost([Exit.UNREACHABLE if snapshot.failed else Exit.OK, Exit.FINDINGS if bad else Exit.OK])
    errors = tuple(snapshot.failed.values())
    return Document("check", code, code.word, gateways=gateway_rows(scope), findings=found, errors=errors)


def _found(prober: Prober, scope: Scope, gateway: Gateway) -> tuple[Finding, ...]:
    """What there is to say of one gateway; one that could not be visited is a problem itself."""
    error = scope.view.snapshot.failed.get(gateway.name)
    if error is not None:
        return (Finding(gateway.name, "problem", error.phase, error.message, error.hint),)
    seen = scope.view.snapshot.gateways[gateway.name]
    return findings(gateway, prober.answers[gateway.name], seen, _conf_files(scope, gateway))


def _scope(reading: Reading) -> Scope:
    if reading.snapshot is not None:
        return of_saved(reading.fleet, reading.selection, reading.snapshot)
    verbs = STARE if reading.prober.keep else GLANCE
    return survey(reading.prober, reading.fleet, reading.selection, verbs=verbs, reading=True)


def _document(command: str, scope: Scope, selection: Selection) -> Document:
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
        every = () if isinstance(seen.flows, Unknown) else seen.flows
        yield from (FlowRow(name, f) for f in (chosen if narrow else every))


def _no_fifo(gateway: str, state: str) -> RefusedError:
    return RefusedError(
        f"no lines for {gateway}: its isakmpd.fifo is {state}",
        kind="no-fifo",
        obj=gateway,
        hint="pasting them would leave a regular file there, with which isakmpd does not start",
    )


def _conf_files(scope: Scope, gateway: Gateway) -> tuple[str, ...]:
    """The conf files that the inventory has on this gateway."""
    mine = ((t, e) for t in scope.view.tunnels if t.known for e in t.ends if e.gateway == gateway.name)
    return tuple(dict.fromkeys(p for t, e in mine if (p := conf_path(scope.view, t, e)) is not None))
