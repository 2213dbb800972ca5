"""The stalled tunnel of the article: put down on every gateway that carries it, and brought back; its neighbours stay."""

import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from cli import Lab, running_lab, side_by_side
from ipsecfleet.lab.scenario import TEST_PSK

pytestmark = pytest.mark.lab

HUBS = {"hub-fra1": "from-172.16.1.0/24-to-192.168.1.0/24", "hub-ams1": "from-172.17.1.0/24-to-192.168.1.0/24"}
"""The connections of peer 10.2.1.1."""

EXAMPLE = Path(__file__).parents[2] / "examples/new-customer.conf"


@pytest.fixture
def fresh(tmp_path: Path) -> Iterator[Lab]:
    """A lab in which no SA is due to be renewed for 80 s of ours."""
    with running_lab(tmp_path / "lab", tmp_path / "home", speed=10) as running:
        yield running


def classic(lab: Lab, gateway: str) -> list[str]:
    fifo = lab.files(gateway) / "run/isakmpd.fifo"
    return [f"echo {line} > {fifo}" for line in (f"t quick {HUBS[gateway]}", "t main peer-10.2.1.1")]


def teardown(name: str) -> list[str]:
    """The lines that `down` sends one gateway."""
    return [
        f"C add [ipsecfleet]:Held-Connections={name}",
        f"C rmv [Phase 2]:Connections={name}",
        f"t quick {name}",
        "C set [ipsecfleet]:peer-of-10.2.1.1=peer-10.2.1.1 force",
        "C add [ipsecfleet]:Held-Peers=10.2.1.1",
        "C rm [Phase 1]:10.2.1.1",
        "t main peer-10.2.1.1",
    ]


def bring_up(name: str) -> list[str]:
    """The lines that `up` sends it."""
    return [
        "C set [Phase 1]:10.2.1.1=peer-10.2.1.1 force",
        "C rmv [ipsecfleet]:Held-Peers=10.2.1.1",
        "C rm [ipsecfleet]:peer-of-10.2.1.1",
        f"C add [Phase 2]:Connections={name}",
        f"C rmv [ipsecfleet]:Held-Connections={name}",
        f"c {name}",
    ]


def of_others(lab: Lab) -> tuple[set[Any], set[Any]]:
    """SPIs and cookies of all ready SAs, and all flows, but those of peer 10.2.1.1; at every gateway."""
    sas, flows = side_by_side(lab.run, [["show", "sas", "-o", "json"], ["show", "flows", "-o", "json"]])
    assert (sas.code, flows.code) == (0, 0)
    ready = [sa for sa in sas.json["sas"] if "ready" in sa["flags"] and sa["dst"] != "10.2.1.1"]
    keys = {
        (
            sa["gateway"],
            sa["name"],
            sa["icookie"],
            sa["rcookie"],
            *((p["spi_in"], p["spi_out"]) for p in sa["protocols"]),
        )
        for sa in ready
    }
    kept = {tuple(flow.values()) for flow in flows.json["flows"] if flow["peer"] != "10.2.1.1"}
    return keys, kept


def states(lab: Lab) -> dict[str, str]:
    shown = lab.run("show", "-p", "10.2.1.1", "-o", "json")
    return {tunnel["tunnel"]: tunnel["state"] for tunnel in shown.json["tunnels"]}


def test_down_everywhere_and_up_again(fresh: Lab) -> None:
    for gateway in HUBS:
        lines = fresh.run("lines", "--peer", "10.2.1.1", "-g", gateway)
        assert (lines.code, lines.out.splitlines(), lines.err) == (0, classic(fresh, gateway), "")

    before, began = of_others(fresh), fresh.mark()
    down = fresh.run("down", "--peer", "10.2.1.1", "--all-gateways", "--yes")
    assert down.code == 0, down
    assert fresh.sent(began) == {gateway: teardown(name) for gateway, name in HUBS.items()}
    assert fresh.flows_gone(began) == dict.fromkeys(HUBS, 2)
    assert [line.split(" since ")[0] for line in down.out.splitlines()[:2]] == [
        "customer-1: down on hub-fra1",
        "customer-1-ams: down on hub-ams1",
    ]
    assert of_others(fresh) == before
    assert states(fresh) == {"customer-1": "held", "customer-1-ams": "held"}

    again, began = fresh.run("down", "--peer", "10.2.1.1", "--all-gateways", "--yes"), fresh.mark()
    assert again.code == 0, again
    assert "customer-1: down already" in again.out
    assert fresh.sent(began) == {}

    up = fresh.run("up", "--peer", "10.2.1.1", "--all-gateways", "--yes")
    assert up.code == 0, up
    assert fresh.sent(began) == {gateway: bring_up(name) for gateway, name in HUBS.items()}
    assert fresh.flows_gone(began) == {}
    assert of_others(fresh) == before
    assert states(fresh) == {"customer-1": "up", "customer-1-ams": "up"}


def test_remove_takes_the_article_s_file_with_its_flow_line_away_and_up_loads_it_again(fresh: Lab) -> None:
    gateway = fresh.files("hub-fra1")
    conf = gateway / "etc/IPsec/customer-1.conf"
    conf.write_text(EXAMPLE.read_text().replace("what-a-mess", TEST_PSK).replace("modp1536", "modp2048"))
    subprocess.run([gateway / "bin/ipsecctl", "-f", conf], check=True)
    before, began, name = of_others(fresh), fresh.mark(), HUBS["hub-fra1"]

    down = fresh.run("down", "-t", "customer-1", "--remove", "--yes")
    assert down.code == 0, down
    assert "removed until the next ipsecctl -f or boot" in down.out
    removed = [f"t {name}", f"C rmv [Phase 2]:Connections={name}", f"C rms [{name}]", f"C rms [phase2-{name}]"]
    assert fresh.sent(began) == {"hub-fra1": [*removed, "t main peer-10.2.1.1"]}
    assert fresh.run("show", "flows", "-t", "customer-1", "-o", "json").json["flows"] == []

    began = fresh.mark()
    up = fresh.run("up", "-t", "customer-1", "--yes")
    assert up.code == 0, up
    assert list(fresh.sent(began)) == ["hub-fra1"]
    assert f"C add [Phase 2]:Connections={name}" in fresh.sent(began)["hub-fra1"]
    assert len(fresh.run("show", "flows", "-t", "customer-1", "-o", "json").json["flows"]) == 2
    assert of_others(fresh) == before
