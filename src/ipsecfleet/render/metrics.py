"""`metrics`: OpenMetrics text for the textfile collector of node_exporter, of `show gateways` and `show tunnels`.

Only gauges: the collector reads Prometheus's older format too, which knows no state sets. A state is one sample for each
word, 1 for the one that is and 0 for the others, so that an alert needs no regular expression. What is not known has no
sample.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

from ipsecfleet.model.document import Document
from ipsecfleet.model.tunnel import End, State, Tunnel
from ipsecfleet.render.escape import visible
from ipsecfleet.render.human import DEFAULT, Look, number
from ipsecfleet.render.records import carrying

Labels = Mapping[str, str]
Sample = tuple[Labels, float | None]


@dataclass(frozen=True, slots=True)
class Family:
    """Samples of one name, and what it means."""

    name: str
    means: str
    samples: Iterable[Sample]


def render(document: Document, look: Look = DEFAULT) -> str:
    """Everything that the document has of tunnels and gateways."""
    families = (*_of_gateways(document, look), *_of_tunnels(document))
    return "".join(line for family in families for line in _lines(family)) + "# EOF\n"


def _of_gateways(document: Document, look: Look) -> Iterator[Family]:
    rows = document.gateways or ()
    answered = ((_gateway(r.gateway), float(r.state == "ok")) for r in rows)
    yield Family("ipsecfleet_gateway_answered", "Whether the gateway gave a whole answer.", answered)
    if look.now is not None:
        ages = ((_gateway(r.gateway), None if r.at is None else max(0.0, look.now - r.at)) for r in rows)
        yield Family("ipsecfleet_snapshot_age_seconds", "How old what is told of the gateway is.", ages)


def _of_tunnels(document: Document) -> Iterator[Family]:
    tunnels = document.tunnels or ()
    if document.tunnels is None:
        return
    states = (({"tunnel": t.name, "state": s.value}, float(t.state is s)) for t in tunnels for s in State)
    yield Family("ipsecfleet_tunnel_state", "1 for the state that the tunnel is in.", states)
    ends = [(t, e) for t in tunnels for e in t.ends]
    sas = ((_end(t, e), float(len(e.sas))) for t, e in ends)
    yield Family("ipsecfleet_tunnel_sas", "Phase 2 SAs of this end, replaced ones among them.", sas)
    rekeys = ((_end(t, e), _rekey(e)) for t, e in ends)
    yield Family("ipsecfleet_tunnel_rekey_seconds", "Until this end renews its SA.", rekeys)
    left = ((_end(t, e), _left(e)) for t, e in ends)
    yield Family("ipsecfleet_tunnel_expiry_seconds", "Until the SA of this end is gone if nobody renews it.", left)


def _gateway(name: str) -> Labels:
    return {"gateway": name}


def _end(tunnel: Tunnel, end: End) -> Labels:
    return {"tunnel": tunnel.name, "gateway": end.gateway, "connection": end.connection or ""}


def _rekey(end: End) -> float | None:
    sa = carrying(end)
    return sa.soft_s if sa is not None and sa.stayalive else None


def _left(end: End) -> float | None:
    sa = carrying(end)
    return sa.hard_s if sa is not None else None


def _lines(family: Family) -> Iterator[str]:
    yield f"# TYPE {family.name} gauge\n"
    yield f"# HELP {family.name} {family.means}\n"
    for labels, value in family.samples:
        if value is not None:
            words = ",".join(f'{name}="{_escaped(text)}"' for name, text in labels.items())
            yield f"{family.name}{{{words}}} {number(value)}\n"


def _escaped(text: str) -> str:
    return visible(text).replace("\\", "\\\\").replace('"', '\\"')
