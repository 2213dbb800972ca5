"""Conf files of an inventory taken together: each mistake by itself, and a fleet without any."""

import pytest

from ipsecfleet.inventory import parse
from ipsecfleet.isakmpd import conf
from ipsecfleet.plan.lint import lint

FLEET = """
schema = 1
[gateway.hub]
address = "198.51.100.1"
ike = ["10.1.2.2"]
[gateway.oslo]
address = "198.51.100.2"
ike = ["10.1.9.2"]
[[tunnel]]
name = "oslo-hub"
a = { gateway = "hub", networks = ["172.16.0.0/16"] }
b = { gateway = "oslo", networks = ["10.31.0.0/16"] }
files = { a = "oslo.conf", b = "hub.conf" }
[[tunnel]]
name = "customer-1"
a = { gateway = "hub", networks = ["172.16.1.0/24"] }
b = { peer = "10.2.1.1", networks = ["192.168.1.0/24"] }
[[tunnel]]
name = "customer-2"
a = { gateway = "hub", networks = ["172.16.2.0/24"] }
b = { peer = "10.2.1.1", networks = ["192.168.2.0/24"] }
"""
AT_HUB = 'ike active esp from 172.16.0.0/16 to 10.31.0.0/16 peer 10.1.9.2 psk "one"\n'
AT_OSLO = 'ike passive esp from 10.31.0.0/16 to 172.16.0.0/16 peer 10.1.2.2 psk "one"\n'
FIRST = 'ike passive esp from 172.16.1.0/24 to 192.168.1.0/24 peer 10.2.1.1 psk "two"\n'
SECOND = 'ike passive esp from 172.16.2.0/24 to 192.168.2.0/24 peer 10.2.1.1 psk "two"\n'
N1 = "from-172.16.1.0/24-to-192.168.1.0/24"
HERE, THERE = "hmac-sha2-256 aes-128 modp3072", "hmac-sha2-256 aes-256 modp3072"
QUICK = f"oslo.conf: 1 and hub.conf: 1: quick is {HERE} here and {THERE} there"
FILES = {"oslo.conf": AT_HUB, "hub.conf": AT_OSLO, "customer-1.conf": FIRST, "customer-2.conf": SECOND}


def found(**changed: str) -> list[tuple[str, str]]:
    """What is said when these files (`_` for `-`, without `.conf`) are others."""
    files = FILES | {f"{name.replace('_', '-')}.conf": text for name, text in changed.items()}
    parsed = {name: conf.parse(text, path=name, include=lambda _: None) for name, text in files.items()}
    confs = {("oslo" if name == "hub.conf" else "hub", name): parsed[name] for name in parsed}
    return [(f.severity, f.text) for f in lint(parse(FLEET), confs)]


def test_a_fleet_without_a_mistake() -> None:
    assert found() == []


@pytest.mark.parametrize(
    ("changed", "severity", "text"),
    [
        ({"customer_2": SECOND.replace("two", "other")}, "problem", "customer-2.conf: 1: peer-10.2.1.1 psk mismatch"),
        (
            {"customer_2": SECOND.replace("psk", "srcid a.example psk")},
            "problem",
            "customer-2.conf: 1: peer-10.2.1.1 srcid mismatch",
        ),
        (
            {"customer_1": FIRST.replace("two", "t wo"), "customer_2": SECOND.replace("two", "t wo")},
            "problem",
            "customer-1.conf: 1: psk holds white space, isakmpd cuts it there",
        ),
        (
            {"customer_2": SECOND + FIRST.replace("peer 10.2.1.1", "peer 10.2.9.9")},
            "problem",
            f"customer-2.conf: 2: {N1} is set up otherwise at customer-1.conf: 1, the last one stays",
        ),
        (
            {"customer_1": FIRST.replace("192.168.1.0", "192.168.9.0")},
            "problem",
            "customer-1.conf: customer-1 is from 172.16.1.0/24 to 192.168.1.0/24, which no rule of it makes",
        ),
        (
            {"hub": AT_OSLO.replace("10.1.2.2", "10.1.2.3")},
            "problem",
            "hub.conf: 1: its peer is 10.1.2.3, the inventory has 10.1.2.2 for oslo-hub",
        ),
        ({"hub": AT_OSLO.replace("one", "two")}, "problem", "oslo.conf: 1 and hub.conf: 1: their keys differ"),
        ({"hub": AT_OSLO.replace("psk", "quick enc aes-256 psk")}, "problem", QUICK),
        (
            {"hub": AT_OSLO.replace("psk", "main lifetime 2h psk")},
            "warning",
            "oslo.conf: 1 and hub.conf: 1: the lifetimes of main differ",
        ),
        ({"hub": AT_OSLO.replace("esp", "ah")}, "problem", "oslo.conf: 1 and hub.conf: 1: esp tunnel is not ah tunnel"),
        (
            {"oslo": AT_HUB.replace("active", "passive")},
            "problem",
            "oslo.conf: 1 and hub.conf: 1: both are passive, so nobody begins",
        ),
        (
            {"hub": AT_OSLO.replace("passive", "active")},
            "warning",
            "oslo.conf: 1 and hub.conf: 1: both begin, which makes two SAs of one tunnel; let one be passive",
        ),
        (
            {"oslo": AT_HUB.replace("active", "dynamic")},
            "warning",
            "oslo.conf: 1: ike dynamic changes the check interval and dead peer detection of the whole daemon, for good",
        ),
        (
            {"customer_1": FIRST.replace("psk", "quick enc 3des group modp1024 psk")},
            "warning",
            "customer-1.conf: 1: quick has modp1024, 3des-cbc, which is weak",
        ),
        (
            {"customer_1": "".join(FIRST.replace("172.16.1.", f"172.16.{n}.") for n in range(1, 6))},
            "warning",
            "all 7 tunnels live equally long, so what began together is renewed together",
        ),
    ],
)
def test_each_mistake(changed: dict[str, str], severity: str, text: str) -> None:
    assert (severity, text) in found(**changed)


def test_aes_meets_aes_128() -> None:
    assert found(hub=AT_OSLO.replace("psk", "quick enc aes-128 psk")) == []


def test_no_finding_has_a_key_in_it() -> None:
    said = str(found(hub=AT_OSLO.replace("one", "very-secret"), customer_1=FIRST.replace("two", "very secret")))
    assert "very" not in said
