"""Which gateways a command visits, and which of those that gave no answer matter."""

import pytest
from fleets import HERE, HUB, N1, PEER, carp, customers, pair, star
from simworld import SimFleet

from ipsecfleet.errors import Exit, GatewayError, OperatorError, UnreachableError
from ipsecfleet.inventory.words import Selection
from ipsecfleet.run.probe import GLANCE, STARE
from ipsecfleet.run.scope import CHANGING, READING, Scope, gateway_rows, of_saved, survey, unreachable_codes
from ipsecfleet.transport import FakeTransport


def look(sim: SimFleet, *, reading: bool = False, **words: object) -> tuple[Scope, list[str]]:
    """The scope, and who was visited."""
    prober = sim.prober()
    asked = (GLANCE, READING) if reading else (STARE, CHANGING)
    scope = survey(prober, sim.fleet, Selection.of(**words), *asked)
    assert isinstance(prober.transport, FakeTransport)
    return scope, [v.gateway.name for v in prober.transport.visits]


def dead(sim: SimFleet, *names: str) -> None:
    for name in names:
        sim.dead[name] = UnreachableError(f"no answer: {name}", phase="tcp", obj=name)


def codes(sim: SimFleet, *, every_member: bool = False, reading: bool = True, **words: object) -> list[Exit]:
    scope, _ = look(sim, reading=reading, **words)
    return unreachable_codes(scope, Selection.of(**words), every_member=every_member)


def test_the_other_end_of_a_selected_tunnel_is_visited() -> None:
    sim = star(3)
    assert look(sim, tunnels=["tunnel-2"])[1] == ["hub", "branch-2"]
    assert look(sim, peers=["10.1.9.3"], gateways=["hub"])[1] == ["hub", "branch-3"]
    assert look(sim, tunnels=["tunnel-2"], exclude=["hub"])[1] == ["branch-2"]


def test_readers_visit_what_was_named_alone() -> None:
    assert look(star(3), reading=True, gateways=["hub"])[1] == ["hub"]
    assert look(star(2), reading=True)[1] == ["hub", "branch-1", "branch-2"]


def test_an_other_end_that_only_the_daemons_tell_of_is_visited_as_soon_as_they_have() -> None:
    sim = star(3)
    sim.specs.clear()
    scope, visited = look(sim, peers=["10.1.9.3"], gateways=["hub"])
    assert visited == ["hub", "branch-3"]
    assert [{e.gateway for e in t.ends} for t in scope.chosen] == [{"hub", "branch-3"}]


@pytest.mark.parametrize("word", ["branch-3", "branch-*", "branches"])
def test_an_other_end_that_is_excluded_is_not(word: str) -> None:
    sim = SimFleet()
    sim.gateway("hub", HUB)
    sim.gateway("branch-3", "10.1.9.3", groups=("branches",))
    sim.rule("branch-3", "passive", "192.168.3.0/24", HERE, HUB)
    sim.rule("hub", "active", HERE, "192.168.3.0/24", "10.1.9.3")
    sim.settle()
    assert look(sim, peers=["10.1.9.3"], gateways=["hub"], exclude=[word])[1] == ["hub"]


def test_all_carp_members_of_a_tunnel_are_visited() -> None:
    assert look(carp(), tunnels=["customer-1"], gateways=["fra1"])[1] == ["fra1", "fra2"]


def test_a_gateway_outside_the_inventory() -> None:
    sim = customers(1)
    with pytest.raises(OperatorError, match="no gateways are named"):
        look(sim, peers=[PEER])


def test_who_gave_no_answer_matters() -> None:
    sim = star(2)
    dead(sim, "branch-2")
    assert codes(sim) == [Exit.UNREACHABLE]
    assert codes(sim, peers=["10.1.9.2"]) == [Exit.UNREACHABLE]
    assert codes(sim, tunnels=["tunnel-2"]) == [Exit.UNREACHABLE]


def test_it_does_not_where_the_inventory_puts_no_end_of_the_tunnel_there() -> None:
    sim = star(2)
    dead(sim, "branch-2")
    assert codes(sim, tunnels=["tunnel-1"], all_gateways=True) == []
    assert codes(sim, tunnels=[f"from-{HERE}-to-192.168.1.0/24"], all_gateways=True) == []


def test_nor_where_another_member_answered_as_master() -> None:
    sim = carp()
    dead(sim, "fra2")
    assert codes(sim, tunnels=["customer-1"]) == []
    assert codes(sim, tunnels=["customer-1"], every_member=True) == [Exit.UNREACHABLE]
    sim.dead.clear()
    dead(sim, "fra1")
    assert codes(sim, tunnels=["customer-1"]) == [Exit.UNREACHABLE]


def test_a_part_that_was_not_read_counts_as_no_answer() -> None:
    sim = pair()
    sim.parts["branch", "flows"] = ("failed", b"not permitted")
    assert codes(sim) == [Exit.UNREACHABLE]
    assert codes(sim, gateways=["hub"]) == []


def test_rows_those_that_answered_first() -> None:
    sim = pair()
    dead(sim, "hub")
    sim.parts["branch", "flows"] = ("failed", b"not permitted")
    scope, _ = look(sim, reading=True)
    assert [(r.gateway, r.state, r.phase, r.error) for r in gateway_rows(scope)] == [
        ("branch", "failed", "command", "flows: failed: not permitted"),
        ("hub", "unreachable", "tcp", "no answer: hub"),
    ]
    sim.dead["hub"] = GatewayError("doas on hub refused", kind="doas", obj="hub")
    assert gateway_rows(look(sim, reading=True)[0])[-1].state == "failed"


def test_a_saved_snapshot_needs_no_gateway() -> None:
    sim = pair()
    snapshot = sim.view().snapshot
    scope = of_saved(sim.fleet, Selection.of(tunnels=["oslo"]), snapshot)
    assert ([t.name for t in scope.chosen], [g.name for g in scope.gateways]) == (["oslo"], ["hub", "branch"])
    assert [t.name for t in of_saved(sim.fleet, Selection.of(tunnels=[N1]), snapshot).chosen] == ["oslo"]
