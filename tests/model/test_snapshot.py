from facts import seen

from ipsecfleet.errors import UnreachableError
from ipsecfleet.model.snapshot import Snapshot, Unknown

DEAD = UnreachableError("no answer: hub", phase="tcp", obj="hub")


def test_a_fresh_look_replaces_what_was_known_of_a_gateway_either_way() -> None:
    old = Snapshot({"hub": seen(), "branch": seen()}, {})
    gone = old.updated(Snapshot({}, {"hub": DEAD}))
    assert (set(gone.gateways), set(gone.failed)) == ({"branch"}, {"hub"})
    back = gone.updated(Snapshot({"hub": seen()}, {}))
    assert (set(back.gateways), set(back.failed)) == ({"branch", "hub"}, set())


def test_the_parts_that_were_not_read_and_not_the_carp_role() -> None:
    gateway = seen(carp=Unknown("no ifconfig"), flows=Unknown("failed"), exchanges=Unknown("not read"))
    assert [(part, unknown.why) for part, unknown in gateway.unknown] == [("flows", "failed")]
