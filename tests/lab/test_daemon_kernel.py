"""The simulated kernel and how it is shown."""

import re

from pair import NAME, Pair

from ipsecfleet.lab.daemon import World, show_all, show_flows, show_sas
from ipsecfleet.lab.ipsecctl import ipsecctl

DENY = "flow esp from 172.16.1.0/24 to 192.168.1.0/24 type deny\n"


def _run(pair: Pair, *arguments: str, conf: str = "") -> str:
    return ipsecctl(arguments, kernel=pair.a.kernel, hostname="a", read=lambda _path: conf).stderr


def test_there_is_one_policy_per_selector_and_the_last_writer_wins() -> None:
    pair = Pair().up()
    assert _run(pair, "-f", "x", conf=DENY) == ""
    assert [flow.type for flow in pair.a.kernel.flows] == ["deny", "deny"]
    pair.a.fifo(f"t quick {NAME}\n".encode())
    assert show_flows(pair.a.kernel) == ""
    assert "PF_KEY failed: No such process" in _run(pair, "-d", "-f", "x", conf=DENY)


def test_a_reserved_spi_is_shown_for_a_minute() -> None:
    pair = Pair()
    pair.b.faults.refuse_phase2.add("*")
    pair.world.advance(10)
    larval = show_sas(pair.a.kernel)
    assert re.fullmatch(r"esp transport from 10\.2\.2\.1 to 10\.2\.1\.1 spi 0x[0-9a-f]{8}\n", larval)
    pair.wait(60)
    assert show_all(pair.a.kernel) == "FLOWS:\nNo flows\n\nSAD:\nNo entries\n"


def test_a_flush_is_not_told_to_the_daemon() -> None:
    pair = Pair().up()
    before = pair.a.report()
    assert _run(pair, "-F") == ""
    assert show_all(pair.a.kernel).startswith("FLOWS:\nNo flows")
    assert pair.a.report() == before


def test_an_empty_kernel_shows_nothing_but_titles() -> None:
    kernel = World().gateway("x", ["192.0.2.1"]).kernel
    assert (show_flows(kernel), show_sas(kernel)) == ("", "")
