"""The default fleet and its inventory, of any size."""

import tomllib
from collections import Counter
from pathlib import Path

import pytest

from ipsecfleet import inventory as product
from ipsecfleet.lab import inventory
from ipsecfleet.lab.layout import LabDir
from ipsecfleet.lab.scenario import CARP_FROM, Scenario, connection, default, rule

SIZES = (1, 2, 3, 6, CARP_FROM, 60, 300)
LAB = LabDir(Path("/somewhere/lab"))


def written(scenario: Scenario, speed: float = 20) -> str:
    ports = {machine.name: 2200 + number for number, machine in enumerate(scenario.gateways)}
    return inventory.text(scenario, LAB, ports, speed)


@pytest.mark.parametrize("size", SIZES)
def test_there_are_as_many_gateways_as_asked_for_and_none_twice(size: int) -> None:
    scenario = default(size)
    assert len(scenario.gateways) == size
    for values in ([m.name for m in scenario.machines], [m.address for m in scenario.machines]):
        assert len(set(values)) == len(values)


@pytest.mark.parametrize("size", SIZES)
def test_no_machine_has_one_name_or_one_file_for_two_tunnels(size: int) -> None:
    scenario = default(size)
    for machine in scenario.machines:
        rules = scenario.rules(machine)
        assert rules
        assert len({connection(near, far) for _, near, far in rules}) == len(rules)
        assert len({near.file for _, near, _ in rules}) == len(rules)


@pytest.mark.parametrize("size", SIZES)
def test_each_tunnel_has_one_active_end(size: int) -> None:
    assert all(tunnel.a.active != tunnel.b.active for tunnel in default(size).tunnels)


def test_the_oddities_are_there() -> None:
    scenario = default(6)
    gateways = [machine.address for machine in scenario.gateways]
    peers = {machine.address for machine in scenario.machines if not machine.ours}
    assert {"10.2.1.1", "10.2.1.10", "10.2.1.17", "110.2.1.1"} <= peers
    names = Counter(connection(t.a, t.b) for t in scenario.tunnels if t.a.address in gateways)
    assert names["from-172.16.1.0/24-to-192.168.1.0/24"] == 2
    assert len({t.a.address for t in scenario.tunnels if t.b.address == "10.2.1.1"}) == 2
    behind = Counter((t.a.address, t.a.network) for t in scenario.tunnels if not t.a.active)
    assert behind["10.1.3.2", "172.16.4.0/24"] == 2
    odd = [(t.name, t.refused, t.by_c, t.listed) for t in scenario.tunnels if t.refused or t.by_c or not t.listed]
    assert odd == [
        ("old-router", False, False, False),
        ("customer-6", True, False, True),
        ("customer-8", False, True, True),
    ]


def test_a_rule_is_a_line_of_ipsec_conf() -> None:
    _, near, far = default(1).rules(default(1).gateways[0])[0]
    assert rule(near, far) == (
        "ike active esp from 172.16.1.0/24 to 192.168.1.0/24 peer 10.2.1.1 "
        "main auth hmac-sha1 enc aes-256 group modp2048 quick auth hmac-sha1 enc aes-256 group modp2048 "
        'psk "lab-psk-for-tests-only"\n'
    )


@pytest.mark.parametrize("size", SIZES)
def test_the_inventory_is_what_the_product_reads(size: int) -> None:
    scenario = default(size)
    fleet = product.parse(written(scenario), source="/somewhere/lab/inventory.toml")
    assert [gateway.name for gateway in fleet.gateways] == [machine.name for machine in scenario.gateways]
    assert [tunnel.name for tunnel in fleet.tunnels] == [tunnel.name for tunnel in scenario.tunnels if tunnel.listed]
    assert fleet.time_scale == 20
    assert all(fleet.addresses(tunnel.a) and fleet.addresses(tunnel.b) for tunnel in fleet.tunnels)


@pytest.mark.parametrize("speed", [0.5, 1, 2.5, 1000])
def test_the_inventory_tells_the_speed(speed: float) -> None:
    assert product.parse(written(default(1), speed)).time_scale == speed


def test_the_inventory_tells_where_a_gateway_keeps_its_files() -> None:
    hub = tomllib.loads(written(default(3)))["gateway"]["hub-fra1"]
    root = "/somewhere/lab/gateways/hub-fra1"
    assert hub["paths"] == {"run": f"{root}/run", "etc": f"{root}/etc", "bin": f"{root}/bin", "log": f"{root}/log"}
    assert (hub["address"], hub["port"], hub["conf_dir"]) == ("127.0.0.1", 2200, f"{root}/etc/IPsec")


def test_a_large_fleet_has_a_carp_pair() -> None:
    document = tomllib.loads(written(default(CARP_FROM)))
    carp = {"group": "lon", "interface": "carp0", "vip": "10.1.4.1"}
    assert [g.get("carp") for g in document["gateway"].values()] == [None] * (CARP_FROM - 2) + [carp, carp]
    assert {t["name"]: t["a"].get("carp") for t in document["tunnel"]}["customer-20"] == "lon"
