import json
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta, timezone
from importlib.resources import files
from typing import Any

import pytest
from jsonschema import Draft202012Validator

from ipsecfleet.errors import Exit, GatewayError, OperatorError, RefusedError, UnreachableError
from ipsecfleet.model.diagnosis import Cause, Diagnosis, EndFacts, Evidence, Strength, Suspect
from ipsecfleet.model.document import (
    CourseRow,
    Document,
    DriftRow,
    EventRow,
    FileRow,
    Finding,
    FlowRow,
    ForecastRow,
    GatewayName,
    GatewayRow,
    LineRow,
    NameRow,
    RunRow,
    SaRow,
    StepRow,
    TunnelResult,
)
from ipsecfleet.model.net import Selector, Selectors, parse_network
from ipsecfleet.model.sa import Flow, Protocol, Role, Sa
from ipsecfleet.model.snapshot import Listing
from ipsecfleet.model.tunnel import End, State, Tunnel
from ipsecfleet.render import RENDERERS, Look, errors_text, gateway_lines, results_text, summary_line
from ipsecfleet.render.plain import PRINCIPAL

CET = timezone(timedelta(hours=1), "CET")
Golden = Callable[[str, str], None]
AT = 1795402931.25
SUFFIX = {"table": "txt", "plain": "tsv", "json": "json", "ndjson": "ndjson", "metrics": "prom"}
MEASURED = ("tunnels", "gateways")
SCHEMA = json.loads((files("ipsecfleet.render") / "schema.json").read_text())


def selectors(local: str, remote: str, proto: int = 0, port: int = 0) -> Selectors:
    return Selectors(Selector(parse_network(local), proto), Selector(parse_network(remote), proto, port))


ESP = Protocol("esp", 0x0A1B2C3D, 0x60096BB7, "AES (CBC)", 32, "HMAC-SHA1", 20)


def sa(name: str, peer: str = "10.2.1.1", **more: Any) -> Sa:
    whole = Sa(name, 2, None, "10.1.2.2", peer, 1200, None, 1040, 1199, 0x3, protocols=(ESP,))
    return replace(whole, **more)


def end(gateway: str, pair: str, peer: str, state: State = State.UP, **more: Any) -> End:
    local, remote = pair.split()
    name = f"from-{local}-to-{remote}"
    sas = (sa(name, peer),) if state is State.UP else ()
    both = selectors(local, remote)
    return replace(End(gateway, name, state, Listing.ACTIVE, f"peer-{peer}", peer, both, sas=sas), **more)


def ok(gateway: str, carp: str | None = None) -> GatewayRow:
    return GatewayRow(gateway, "ok", release="OpenBSD 7.6", level="doas", carp=carp, at=AT)


UNREACHABLE = GatewayRow(
    "br-quito", "unreachable", "tcp", "connection refused", "is sshd running, and is the address right?"
)

DEAD = tuple(f"br-{n:03}" for n in range(40))

TUNNELS = (
    Tunnel("customer-1", State.UP, (end("hub-fra1", "172.16.1.0/24 192.168.1.0/24", "10.2.1.1"),)),
    Tunnel(
        "oslo-fra",
        State.BLACK_HOLE,
        (
            end("hub-fra1", "172.16.0.0/16 10.31.0.0/16", "10.31.0.1"),
            end("hub-fra2", "172.16.0.0/16 10.31.0.0/16", "10.31.0.1", State.BACKUP),
            end("br-oslo", "10.31.0.0/16 172.16.0.0/16", "203.0.113.1"),
        ),
        note="hub-fra1 sends with SPI 0x0a1b2c3d, which br-oslo does not have",
    ),
    Tunnel(
        "customer-2",
        State.HALF_UP,
        (
            end(
                "hub-fra1",
                "172.16.2.0/24 192.168.2.0/24",
                "10.2.2.1",
                State.HALF_UP,
                note="phase 1, we began, ends in 74 s",
            ),
        ),
    ),
    Tunnel(
        "customer-3",
        State.UP,
        (
            end(
                "hub-fra1",
                "172.16.3.0/24 192.168.3.0/24",
                "10.2.3.1",
                sas=(sa("from-172.16.3.0/24-to-192.168.3.0/24", soft_s=None, hard_s=101, flags=0x11),),
                note="gone in 101 s unless its peer renews it",
            ),
        ),
    ),
    Tunnel(
        "customer-4",
        State.DOWN,
        (
            end(
                "hub-fra1", "172.16.4.0/24 192.168.4.0/24", "10.2.4.1", State.DOWN, missing=("[peer-10.2.4.1]:Address",)
            ),
        ),
    ),
    Tunnel("customer-5", State.UNKNOWN, (End("br-quito", None, State.UNKNOWN, note="connection refused"),)),
    Tunnel(
        "from-2001:db8:1::/64-to-2001:db8:2::/64",
        State.HELD,
        (end("hub-fra1", "2001:db8:1::/64 2001:db8:2::/64", "2001:db8::2:1", State.HELD),),
        known=False,
    ),
    Tunnel("customer-6", State.UNKNOWN, (), note="no gateway of it was looked at"),
)


ILL = (
    Diagnosis(
        "oslo-fra",
        State.HALF_UP,
        Cause.WRONG_PSK,
        "br-oslo cannot read what 203.0.113.1 encrypts: their pre-shared keys differ",
        (
            Evidence(Strength.SEEN, "its log", "br-oslo", AT, "message_parse_payloads: reserved field non-zero: 70"),
            Evidence(Strength.SEEN, "its key is not that of hub-fra1, by their hashes", "br-oslo"),
            Evidence(Strength.FOLLOWS, "no attempt can succeed"),
        ),
        next=("ipsecfleet diff -t oslo-fra", "ipsecfleet rollout plan -t oslo-fra"),
        ends=(
            EndFacts(
                "hub-fra1",
                "half-up",
                "Connections",
                "half-open, we began, step 5, ends in 74 s",
                "none",
                "none",
                "not as loaded: key, dstid",
                "in 14 s",
            ),
            EndFacts("br-oslo", "half-up", "Passive-Connections", "half-open, the peer began, step 4", "none", "none"),
        ),
    ),
    Diagnosis(
        "customer-2",
        State.HALF_UP,
        None,
        "phase 1 with 10.2.2.1 stands, and phase 2 is not answered",
        (Evidence(Strength.SEEN, "phase 2 is not answered (step 1) 19 s ago\x1b[2J", "hub-fra1"),),
        (
            Suspect(
                "networks unknown to the responder",
                'its log: "peer proposed invalid phase 2 IDs: initiator id 172.16.2.0/255.255.255.0"',
            ),
            Suspect("phase 2 refused", "its log: NO_PROPOSAL_CHOSEN"),
        ),
        ("ipsecfleet diagnose -t customer-2 --watch 30",),
        tuple(EndFacts(name, "half-up", "Connections") for name in ("hub-fra1", "hub-fra2", "hub-fra3")),
    ),
    Diagnosis("customer-1", State.UP, None, "it is up, and nothing is the matter", well=True),
)


def numbered(number: int) -> Tunnel:
    state = {17: State.HALF_UP, 63: State.DOWN, 64: State.HELD}.get(number, State.UP)
    net = f"{number // 256}.{number % 256}"
    return Tunnel(
        f"customer-{number}",
        state,
        (end("hub-fra1", f"172.{net}.0/24 10.{net}.0/24", f"198.51.100.{number % 254 + 1}", state),),
    )


HOSTILE = "from-\x1b[31mred\x07-to-\u202eevil\udcff"
PHASE1 = Sa(
    "peer-10.2.1.1",
    1,
    Role.INITIATOR,
    "10.1.2.2",
    "10.2.1.1",
    3600,
    None,
    3066,
    3599,
    0x3,
    "85e565efcfe30efa",
    "f17e8c9448435cce",
)
AH = Protocol("ah", 0x0000BEEF, 0x00C0FFEE, None, None, "HMAC-SHA2-256", 32)
SAS = (
    SaRow("hub-fra1", PHASE1),
    SaRow("hub-fra1", sa("from-172.16.1.0/24-to-192.168.1.0/24")),
    SaRow("hub-fra1", sa("from-172.16.1.0/24-to-192.168.1.0/24", soft_s=None, hard_s=96, flags=0x801B)),
    SaRow(
        "hub-fra1", Sa(None, 1, Role.RESPONDER, "10.1.2.2", "10.2.2.1", icookie="85e565efcfe30efa", rcookie="0" * 16)
    ),
    SaRow("br-oslo", sa("from-10.31.0.5=17-to-172.16.0.5=17:53", peer="203.0.113.1", protocols=(ESP, AH))),
    SaRow(
        "br-oslo",
        sa("from-2001:db8:1::/64-to-2001:db8:2::/64", peer="2001:db8:ffff::2:1", src="2001:db8:ffff::1:1", flags=0x1),
    ),
)


def flow(direction: str, chosen: Selectors, peer: str | None, kind: str = "require") -> Flow:
    return Flow("esp", direction, chosen, peer, kind)


FLOWS = (
    FlowRow("hub-fra1", flow("in", selectors("172.16.1.0/24", "192.168.1.0/24"), "10.2.1.1")),
    FlowRow("hub-fra1", flow("out", selectors("172.16.1.0/24", "192.168.1.0/24"), "10.2.1.1")),
    FlowRow("br-oslo", flow("out", selectors("10.31.0.5/32", "172.16.0.5/32", 17, 53), "203.0.113.1")),
    FlowRow("br-oslo", flow("out", selectors("2001:db8:1::/64", "2001:db8:2::/64", 99), "2001:db8:ffff::2:1")),
    FlowRow("br-oslo", flow("in", selectors("10.31.9.0/24", "172.16.9.0/24"), None, "deny")),
)

HOLD = (
    "C rmv [Phase 2]:Connections=from-172.16.1.0/24-to-192.168.1.0/24",
    "C add [ipsecfleet]:Held-Connections=from-172.16.1.0/24-to-192.168.1.0/24",
)
STEPS = (
    StepRow("hub-fra1", "customer-1", "hold", HOLD, 0.0, "proven", "in list held-active", AT),
    StepRow(
        "hub-fra1",
        "customer-1",
        "quick",
        ("t quick from-172.16.1.0/24-to-192.168.1.0/24",),
        0.0,
        "unproven",
        "SPI 0x60096bb7 is still live on hub-fra1",
        AT,
    ),
    StepRow("hub-fra1", "customer-1", "main", ("t main peer-10.2.1.1",), 6.5, "skipped"),
    StepRow("br-oslo", "oslo-fra", "load", (), 3605.0, "planned"),
)

LINES = (
    LineRow("hub-fra1", "t quick from-172.16.1.0/24-to-192.168.1.0/24"),
    LineRow("hub-fra1", "t main peer-10.2.1.1"),
)
REFUSED = GatewayError("hub-c: doas refused", phase="auth", hint="see docs/safety", obj="hub-c")
DOCUMENTS = {
    "tunnels": Document(
        "show tunnels",
        Exit.UNREACHABLE,
        "unreachable",
        tunnels=TUNNELS,
        gateways=(ok("hub-fra1", carp="master"), ok("hub-fra2", carp="backup"), ok("br-oslo"), UNREACHABLE),
        errors=(UnreachableError("br-quito: connection refused", phase="tcp", obj="br-quito", kind="unreachable"),),
    ),
    "tunnels-200": Document("show tunnels", tunnels=tuple(map(numbered, range(1, 201)))),
    "tunnels-of-the-daemon": Document(
        "show tunnels",
        tunnels=tuple(
            Tunnel(f"from-172.16.{n}.0/24-to-192.168.{n}.0/24", State.UP, (each,), known=False)
            for n in (1, 2, 13)
            for each in (end("hub-fra1", f"172.16.{n}.0/24 192.168.{n}.0/24", f"10.2.{n}.1"),)
        ),
    ),
    "tunnels-none": Document("show tunnels", Exit.NOTHING, "nothing", tunnels=(), gateways=(ok("hub-fra1"),)),
    "tunnels-unreachable": Document("show", Exit.UNREACHABLE, "unreachable", tunnels=(), gateways=(UNREACHABLE,)),
    "hostile": Document(
        "show tunnels",
        tunnels=(
            Tunnel("customer-1", State.UP, (end("hub-fra1", "172.16.1.0/24 192.168.1.0/24", "10.2.1.1"),)),
            Tunnel(HOSTILE, State.DOWN, (End("gw\ttab", HOSTILE, State.DOWN, note="line\nbreak\x9b2J"),), known=False),
            Tunnel(
                f"a-name-{'x' * 100}",
                State.DOWN,
                (End("hub-fra1", f"from-{'9' * 190}", State.DOWN, peer=" 10.2.1.1 "),),
            ),
        ),
        warnings=(OperatorError(f"{HOSTILE} is no name", obj=HOSTILE, kind="name"),),
    ),
    "sas": Document("show sas", sas=SAS),
    "sas-from-file": Document("show sas", sas=tuple(SaRow(None, r.sa) for r in SAS[:2])),
    "sas-none": Document("show sas", sas=(), gateways=(ok("hub-fra1"), UNREACHABLE)),
    "flows": Document("show flows", flows=FLOWS),
    "gateways": Document(
        "show gateways",
        gateways=(
            ok("hub-fra1", carp="carp0 master"),
            ok("br-oslo"),
            UNREACHABLE,
            GatewayRow("br-lima", "failed", "command", "doas refused", "permit ipsecops in doas.conf", at=1e300),
        ),
    ),
    "gateways-many": Document(
        "show gateways",
        Exit.UNREACHABLE,
        "unreachable",
        gateways=(
            ok("hub-fra1"),
            ok("hub-fra2"),
            replace(ok("br-lima"), at=AT + 60),
            *(replace(UNREACHABLE, gateway=n, hint=f"ssh {n} says more") for n in DEAD),
        ),
    ),
    "findings-many": Document(
        "check",
        Exit.UNREACHABLE,
        "unreachable",
        gateways=tuple(replace(UNREACHABLE, gateway=n) for n in DEAD),
        findings=tuple(
            f
            for n in DEAD
            for f in (
                Finding(n, "problem", "tcp", f"{n}: connection refused", f"ssh {n} says more"),
                *([Finding(n, "info", "level", "restricted")] if n < "br-003" else []),
            )
        ),
    ),
    "steps": Document("runs show", Exit.FAILED, "unproven", run="20261123-030211-a1b2", steps=STEPS),
    "lines": Document("lines", lines=LINES),
    "lines-several": Document(
        "lines",
        lines=(
            *LINES,
            LineRow("br-oslo", "t quick from-10.31.0.0/16-to-172.16.0.0/16", "/tmp/lab/run/isakmpd.fifo"),
            LineRow("br-oslo", HOLD[0]),
            LineRow("br-oslo", "t quick $(reboot)\x1b"),
        ),
    ),
    "lines-none": Document("lines", Exit.NOTHING, "nothing", lines=()),
    "names": Document(
        "names",
        names=(
            NameRow("customer-1.conf", 1, "Connections", "from-172.16.1.0/24-to-192.168.1.0/24", "peer-10.2.1.1"),
            NameRow("v6.conf", 12, "Passive-Connections", "from-2001:db8:1::/64-to-2001:db8:2::/64", "peer-default"),
        ),
    ),
    "findings": Document(
        "check",
        Exit.FINDINGS,
        "findings",
        findings=(
            Finding("hub-fra1", "problem", "fifo", "/var/run/isakmpd.fifo is no FIFO", "restart isakmpd by rcctl"),
            Finding("hub-fra1", "warning", "mode", "/etc/IPsec/customer-1.conf can be read by everybody (0644)"),
            Finding("br-oslo", "info", "level", "restricted"),
            Finding(None, "warning", "inventory", "customer-9 has no end on any gateway"),
        ),
    ),
    "diagnoses": Document(
        "diagnose", Exit.FINDINGS, "findings", gateways=(ok("hub-fra1"), ok("br-oslo")), diagnoses=ILL
    ),
    "inventory": Document(
        "inventory list",
        inventory=(
            GatewayName("hub-fra1", "198.51.100.11", ("hub", "eu"), "fra"),
            GatewayName("br-oslo", "2001:db8::31"),
        ),
    ),
    "runs": Document(
        "runs list",
        runs=(
            RunRow("20261123-030200-ab12", "down", "ok", AT, AT + 9, ("customer-1",), {"proven": 4}),
            RunRow("20261123-031500-cd34", "up", "interrupted", AT, AT + 2, ("oslo-fra", "customer-2"), {}, torn=True),
        ),
    ),
    "events": Document(
        "runs show",
        run="20261123-030200-ab12",
        runs=(
            RunRow(
                "20261123-030200-ab12", "down", "interrupted", AT, AT + 2, ("customer-1",), {"proven": 1}, torn=True
            ),
        ),
        events=(
            EventRow(AT, "began", "down of customer-1: 2 steps", action="down", state="20261123-030200-ab12"),
            EventRow(AT + 1, "sending", "hold from-172.16.1.0/24-to-192.168.1.0/24", "hub-fra1"),
            EventRow(
                AT + 2,
                "step",
                "hold from-172.16.1.0/24-to-192.168.1.0/24: proven",
                "hub-fra1",
                "customer-1",
                "hold",
                "proven",
            ),
            EventRow(AT + 3, "bug", "Traceback", "hub-fra1"),
        ),
    ),
    "forecast": Document(
        "forecast",
        gateways=(GatewayRow("hub-fra1", "ok"), GatewayRow("br-oslo", "ok")),
        forecast=(
            ForecastRow(None, False, 10.0, 3, 61.0, AT + 61, 2.3, ("customer-1", "oslo-fra"), (0, 3, 1)),
            ForecastRow("hub-fra1", False, 10.0, 6, 61.0, AT + 61, 6.0, tuple(f"customer-{n}" for n in range(6)), (6,)),
            ForecastRow("hub-fra1", True, 10.0, 1, 5.0, AT + 5, 1.0, ("customer-1",), (1, 1, 0)),
            ForecastRow("br-oslo", False, 10.0, 0),
        ),
    ),
    "courses": Document(
        "lab simulate",
        courses=(
            CourseRow("all at once", (167, 22, 19), 83.0, 15.4, 374.0, 202),
            CourseRow("one each 1 s", (10, 18, 19), 0.0, 0.0, None, 0),
        ),
    ),
    "files": Document(
        "rollout plan",
        gateways=(GatewayRow("hub-fra1", "ok"), GatewayRow("br-oslo", "ok")),
        files=(
            FileRow(
                "hub-fra1", "/etc/IPsec/oslo.conf", "changed", ("oslo-fra",), ("-ike psk ***", "+ike tag x psk ***")
            ),
            FileRow("hub-fra1", "/etc/IPsec/new.conf", "added", ("new",), ("+key = ***", "+ike psk $key")),
            FileRow("br-oslo", "/etc/IPsec/old.conf", "foreign"),
            FileRow("br-oslo", "/etc/IPsec/fra.conf", "unchanged", ("oslo-fra",)),
        ),
    ),
    "drift": Document(
        "diff",
        Exit.FINDINGS,
        "findings",
        gateways=(GatewayRow("hub-fra1", "ok"),),
        drift=(
            DriftRow(
                "hub-fra1",
                "customer-1",
                "from-172.16.1.0/24-to-192.168.1.0/24",
                "customer-1.conf",
                "yes",
                "other text",
                "other key",
                "up",
                differs=True,
            ),
            DriftRow("hub-fra1", "customer-2", "from-sec0-to-sec0", None, "no", "no", "yes", "up", differs=True),
            DriftRow("hub-fra1", "oslo-fra", "from-a-to-b", "oslo.conf", "yes", "yes", "yes", "up", differs=False),
        ),
    ),
    "failure": Document(
        "down",
        Exit.REFUSED,
        "refused",
        errors=(
            RefusedError("7 of 40 tunnels would go down, 4 may", force="tunnels-down", kind="tunnels-down"),
            REFUSED,
        ),
    ),
}
CASES = [(name, form) for name in DOCUMENTS for form in RENDERERS if form != "metrics" or name in MEASURED]


@pytest.mark.parametrize(("name", "form"), CASES)
def test_golden(name: str, form: str, golden: Golden) -> None:
    golden(f"{name}.{SUFFIX[form]}", RENDERERS[form](DOCUMENTS[name], Look(tz=CET)))


@pytest.mark.parametrize("name", ["tunnels", "sas", "flows"])
def test_golden_wide(name: str, golden: Golden) -> None:
    golden(f"{name}-wide.txt", RENDERERS["table"](DOCUMENTS[name], Look(width=132, tz=CET)))


@pytest.mark.parametrize("name", ["tunnels", "steps"])
def test_golden_color(name: str, golden: Golden) -> None:
    golden(f"{name}-color.txt", RENDERERS["table"](DOCUMENTS[name], Look(tz=CET, color=True)))


def test_schema_is_one() -> None:
    Draft202012Validator.check_schema(SCHEMA)


@pytest.mark.parametrize("name", DOCUMENTS)
def test_json_is_one_valid_object(name: str) -> None:
    text = RENDERERS["json"](DOCUMENTS[name])
    Draft202012Validator(SCHEMA).validate(json.loads(text))
    assert text.isascii()


@pytest.mark.parametrize("name", DOCUMENTS)
def test_ndjson_is_valid_line_by_line_and_says_what_json_says_once(name: str) -> None:
    lines = [json.loads(line) for line in RENDERERS["ndjson"](DOCUMENTS[name]).splitlines()]
    line_of_it = Draft202012Validator(SCHEMA).evolve(schema=SCHEMA["$defs"]["ndjson"])
    for line in lines:
        line_of_it.validate(line)
    *gateways, last = lines
    said = last["summary"]
    for line in gateways:
        said.setdefault("gateways", []).append(line.pop("gateway"))
        for array, records in line.items():
            said.setdefault(array, []).extend(records)
    whole = json.loads(RENDERERS["json"](DOCUMENTS[name]))
    assert {k: sorted(map(str, v)) if isinstance(v, list) else v for k, v in said.items() if v != []} == {
        k: sorted(map(str, v)) if isinstance(v, list) else v for k, v in whole.items() if v != []
    }


def test_a_gateway_that_was_told_has_no_second_line() -> None:
    document = DOCUMENTS["sas-none"]
    (line,) = gateway_lines(document, {"hub-fra1"}).splitlines()
    assert json.loads(line)["gateway"]["gateway"] == "br-quito"
    assert "hub-fra1" not in summary_line(document)


@pytest.mark.parametrize("line", [{}, {"sas": []}, {"gateway": None}, {"summary": {}}])
def test_the_schema_of_a_line_is_strict(line: dict[str, object]) -> None:
    line_of_it = Draft202012Validator(SCHEMA).evolve(schema=SCHEMA["$defs"]["ndjson"])
    assert not line_of_it.is_valid(line)
    whole = json.loads(summary_line(Document("show")))
    assert line_of_it.is_valid(whole)
    assert not line_of_it.is_valid(whole | {"sas": []})


@pytest.mark.parametrize(
    "change",
    [
        {"extra": 1},
        {"exit_code": 4},
        {"result": "refused"},
        {"tunnels": [{"tunnel": "x", "state": "up", "ends": [], "more": 1}]},
        {"tunnels": [{"tunnel": "x", "state": "sideways", "ends": []}]},
        {"lines": [{"gateway": None}]},
    ],
)
def test_schema_is_strict(change: dict[str, object]) -> None:
    value = json.loads(RENDERERS["json"](Document("show")))
    validator = Draft202012Validator(SCHEMA)
    assert validator.is_valid(value)
    assert not validator.is_valid(value | change)


def test_plain_has_the_columns_of_the_schema_in_order() -> None:
    defs = SCHEMA["$defs"]
    for array, columns in PRINCIPAL.items():
        own = defs[SCHEMA["properties"][array]["items"]["$ref"].rpartition("/")[2]]["properties"]
        assert columns.own == tuple(k for k in own if k != columns.inside)
        if columns.inside:
            assert columns.nested == tuple(defs[columns.inside.removesuffix("s")]["properties"])


def test_every_array_of_the_schema_has_a_golden() -> None:
    arrays = {k for k, v in SCHEMA["properties"].items() if v.get("type") == "array"}
    covered = {k for d in DOCUMENTS.values() for k, v in json.loads(RENDERERS["json"](d)).items() if v}
    assert arrays <= covered


RESULTS = (
    TunnelResult(
        "customer-1",
        True,
        'customer-1: down on hub-fra1 since 03:02:11, flows gone; held until "up", a reload or a boot; '
        "10.2.1.1 keeps trying",
    ),
    TunnelResult("customer-2", False, "customer-2: SPI 0x60096bb7 is still live on hub-fra1"),
    TunnelResult("oslo-fra", True, "oslo-fra: down on hub-fra1, br-oslo since 03:02:12, flows gone"),
)


@pytest.mark.parametrize(("name", "results"), [("one", RESULTS[:1]), ("several", RESULTS)])
def test_golden_results(name: str, results: tuple[TunnelResult, ...], golden: Golden) -> None:
    golden(f"results-{name}.txt", results_text(Document("down", results=results)))


def test_a_run_that_has_ended_shows_its_results() -> None:
    document = Document("down", steps=STEPS, results=RESULTS)
    assert RENDERERS["table"](document) == results_text(document)


def refused(gateway: str) -> UnreachableError:
    return UnreachableError(
        f"{gateway}: connection refused", phase="tcp", obj=gateway, hint=f"ssh {gateway} says more", kind="unreachable"
    )


ERRORS = (
    refused("hub-a"),
    refused("hub-b"),
    UnreachableError("hub-d: no banner within 5 s", phase="banner", obj="hub-d", kind="unreachable"),
    RefusedError("oslo-fra carries our own session to br-oslo", force="own-session", obj="oslo-fra"),
    REFUSED,
    refused("hub-c"),
    OperatorError(f"{HOSTILE} is no name", obj=HOSTILE),
)


def test_golden_errors(golden: Golden) -> None:
    golden("errors.txt", errors_text(ERRORS))


def test_golden_many_dead_gateways(golden: Golden) -> None:
    dead = tuple(refused(f"br-{n:03}") for n in range(40))
    golden("errors-many.txt", errors_text(dead))
    assert all(f"br-{n:03}" in errors_text(dead) for n in range(40))


def test_golden_warnings(golden: Golden) -> None:
    golden("warnings.txt", errors_text(DOCUMENTS["hostile"].warnings, word="warning"))


def test_no_errors_no_text() -> None:
    assert not errors_text(())
