"""Metrics as the textfile collector of node_exporter reads them, and as OpenMetrics has them."""

from prometheus_client.openmetrics import parser as new
from prometheus_client.parser import text_string_to_metric_families as old

from ipsecfleet.model.document import Document, GatewayRow
from ipsecfleet.model.sa import Sa
from ipsecfleet.model.snapshot import Listing
from ipsecfleet.model.tunnel import End, State, Tunnel
from ipsecfleet.render import RENDERERS, Look

NAME = 'odd "name"\\\n\x1b[2J'
SA = Sa(NAME, 2, soft_s=100, hard_s=200, flags=0x3)
END = End("hub-fra1", NAME, State.UP, Listing.ACTIVE, sas=(SA,))
DOCUMENT = Document(
    "show tunnels",
    gateways=(GatewayRow("hub-fra1", "ok", at=900.0), GatewayRow("br-oslo", "unreachable")),
    tunnels=(Tunnel("customer-1", State.UP, (END,)), Tunnel("oslo-fra", State.UNKNOWN, ())),
)


def samples(text: str) -> dict[tuple[str, ...], float]:
    both = [[s for f in parse(text) for s in f.samples] for parse in (new.text_string_to_metric_families, old)]
    assert [(s.name, s.labels, s.value) for s in both[0]] == [(s.name, s.labels, s.value) for s in both[1]]
    return {(s.name, *s.labels.values()): s.value for s in both[0]}


def test_both_readers_find_the_same() -> None:
    told = samples(RENDERERS["metrics"](DOCUMENT, Look(now=1000.0)))
    assert told["ipsecfleet_gateway_answered", "hub-fra1"] == 1
    assert told["ipsecfleet_gateway_answered", "br-oslo"] == 0
    assert told["ipsecfleet_snapshot_age_seconds", "hub-fra1"] == 100
    assert ("ipsecfleet_snapshot_age_seconds", "br-oslo") not in told
    states = {key[2]: value for key, value in told.items() if key[:2] == ("ipsecfleet_tunnel_state", "oslo-fra")}
    assert states == {state.value: float(state is State.UNKNOWN) for state in State}
    ends = {key[0]: value for key, value in told.items() if "hub-fra1" in key and len(key) == 4}
    assert ends == {
        "ipsecfleet_tunnel_sas": 1, "ipsecfleet_tunnel_rekey_seconds": 100, "ipsecfleet_tunnel_expiry_seconds": 200,
    }  # fmt: skip


def test_what_a_gateway_says_cannot_end_a_line() -> None:
    text = RENDERERS["metrics"](DOCUMENT)
    assert "\x1b" not in text
    assert text.count("\n") == len(text.split("\n")) - 1
    assert all(line.startswith(("#", "ipsecfleet_")) for line in text.splitlines())


def test_nothing_is_nothing() -> None:
    assert samples(RENDERERS["metrics"](Document("show tunnels", gateways=(), tunnels=()))) == {}
