"""check: everything that would hurt, looked for on each gateway; nothing is changed anywhere."""

from collections.abc import Sequence
from dataclasses import replace

from ipsecfleet.errors import Exit, GatewayError, foremost
from ipsecfleet.inventory.select import resolve_gateways
from ipsecfleet.isakmpd.check import findings
from ipsecfleet.isakmpd.verbs import Files
from ipsecfleet.model.document import Document, Finding
from ipsecfleet.model.fleet import Gateway
from ipsecfleet.plan.files import conf_paths
from ipsecfleet.run.probe import STARE
from ipsecfleet.run.reading import Reading, Seen, tell_each
from ipsecfleet.run.scope import gateway_row


def check(reading: Reading) -> Document:
    """Everything that `check` finds on the selected gateways."""
    gateways = resolve_gateways(reading.fleet, reading.selection, default_all=True)
    reading.prober.keep = True
    tell_each(reading, lambda gateway, seen: _checked(reading, [(gateway, seen)]))
    snapshot = reading.prober.look(gateways, (*STARE, Files()))
    named = {gateway.name: gateway for gateway in gateways}
    document = _checked(reading, [(gateway, snapshot.looks[name]) for name, gateway in named.items()])
    bad = any(f.severity != "info" for f in document.findings or ())
    code = foremost([Exit.UNREACHABLE if snapshot.failed else Exit.OK, Exit.FINDINGS if bad else Exit.OK])
    return replace(document, exit_code=code, result=code.word, errors=tuple(snapshot.failed.values()))


def _checked(reading: Reading, looks: Sequence[tuple[Gateway, Seen]]) -> Document:
    """Gateways, those that answered first, and their findings."""
    found = tuple(f for gateway, seen in looks for f in _found(reading, gateway, seen))
    in_order = sorted(looks, key=lambda look: isinstance(look[1], GatewayError))
    return Document("check", gateways=tuple(gateway_row(*look) for look in in_order), findings=found)


def _found(reading: Reading, gateway: Gateway, seen: Seen) -> tuple[Finding, ...]:
    """What there is to say of one gateway; one that could not be visited is a problem itself."""
    if isinstance(seen, GatewayError):
        return (Finding(gateway.name, "problem", seen.phase, seen.message, seen.hint),)
    return findings(gateway, reading.prober.answers[gateway.name], seen, conf_paths(reading.fleet, gateway))
