from facts import N1, N2, OTHER, PEER, phase1, sa

from ipsecfleet.isakmpd.classic import Classic, of_report
from ipsecfleet.model.sa import Sa

NONE: frozenset[str] = frozenset()


def lines(*sas: Sa, peer: str = PEER, forced: frozenset[str] = NONE) -> Classic:
    return of_report(sas, peer, forced)


def test_quick_before_main_and_each_name_once() -> None:
    made = lines(phase1(), sa(), sa(N2, 0x20), sa(spi=0x30))
    assert made.lines == (f"t quick {N1}", f"t quick {N2}", f"t main peer-{PEER}")


def test_none_for_what_is_replaced_half_up_or_of_another_peer() -> None:
    made = lines(sa(flags=0xB), sa(None, flags=0x0), sa(N2, peer=OTHER), phase1(OTHER))
    assert made.lines == ()


def test_names_are_spelled_as_the_report_does() -> None:
    assert lines(sa(N1.upper())).lines == (f"t quick {N1.upper()}",)


def test_a_name_that_another_peer_bears_too_is_refused_unless_forced() -> None:
    sas = (sa(), sa(N1.upper(), 0x20, peer=OTHER), phase1())
    made = lines(*sas)
    assert made.lines == (f"t main peer-{PEER}",)
    assert [r.force for r in made.refused] == ["shared-name"]
    assert lines(*sas, forced=frozenset({"shared-name"})).lines == (f"t quick {N1}", f"t main peer-{PEER}")


def test_no_main_whose_name_another_peers_phase_1_bears() -> None:
    """Rules without a peer: everybody's phase 1 is `peer-default`."""
    sas = (sa(), phase1(name="peer-default"), phase1(OTHER, name="peer-default"))
    assert lines(*sas).lines == (f"t quick {N1}",)


def test_an_address_is_never_a_prefix() -> None:
    assert lines(sa(peer="10.2.1.10"), peer=PEER).lines == ()
