import pytest
from facts import N1, N2, OTHER, PEER, flows, nets, phase1, sa, seen

from ipsecfleet.model.condition import (
    Buildable,
    Condition,
    CookiesGone,
    Denied,
    Gone,
    Listed,
    PeerKnown,
    Role,
    SoleHolder,
)  # fmt: skip
from ipsecfleet.model.snapshot import Connection, GatewaySnapshot, Listing, Unknown

EVERY = [
    Gone(N1),
    CookiesGone(f"peer-{PEER}"),
    Listed(N1, Listing.ACTIVE),
    SoleHolder(N1, PEER),
    Role("carp0"),
    Buildable(N1),
    PeerKnown(PEER, known=True),
    PeerKnown(PEER, known=False),
    Denied(nets(N1)),
    Denied(nets(N1), there=False),
]
BETWEEN = "172.16.1.0/24 to 192.168.1.0/24 on hub"


@pytest.mark.parametrize("condition", EVERY)
def test_what_could_not_be_read_meets_nothing(condition: Condition) -> None:
    unread = GatewaySnapshot("hub", carp=Unknown("no ifconfig"))
    why = condition.unmet(unread, unread)
    assert why is not None
    assert "hub" in why


@pytest.mark.parametrize(
    ("condition", "parts", "why"),
    [
        (EVERY[0], {"sas": (sa(flags=0xB),)}, None),
        (EVERY[0], {"sas": (sa(N2),)}, "SPI 0x00000010 is still live on hub"),
        (EVERY[1], {"sas": (phase1(flags=0x0),)}, None),
        (EVERY[1], {"sas": (phase1(),)}, f"phase 1 {'a' * 16} is still there on hub"),
        (EVERY[2], {}, None),
        (Listed(N1, Listing.HELD_ACTIVE), {}, f"{N1} on hub is listed as active, not as held-active"),
        (Listed(N1.upper(), Listing.ACTIVE), {}, f"{N1.upper()} on hub is listed as none, not as active"),
        (EVERY[3], {"sas": (sa(N1.upper()), sa(peer=OTHER, flags=0x9))}, None),
        (EVERY[3], {"sas": (sa(N1.upper(), peer=OTHER),)}, f"{N1} on hub is now also the name of an SA with {OTHER}"),
        (EVERY[4], {"carp": {"carp0": "master"}}, None),
        (EVERY[4], {"carp": {"carp0": "backup"}}, "carp0 on hub is backup, not master"),
        (EVERY[4], {"carp": {}}, "carp0 on hub is absent, not master"),
        (EVERY[5], {}, None),
        (EVERY[5], {"connections": (Connection(N1, Listing.ACTIVE, missing=(f"[{N1}]:Phase",)),)},
         f"hub lacks [{N1}]:Phase to build {N1}"),
        (EVERY[5], {"connections": (Connection(N1, Listing.ACTIVE),)}, f"hub did not say what it would build {N1} from"),
        (EVERY[5], {"connections": ()}, f"hub did not say what it would build {N1} from"),
        (EVERY[6], {"peer_names": {"2001:DB8::1": "p", PEER: "peer"}}, None),
        (EVERY[6], {}, f"[Phase 1] of hub lacks an entry for {PEER}"),
        (EVERY[7], {"peer_names": {PEER: "peer"}}, f"[Phase 1] of hub has an entry for {PEER}"),
        (EVERY[8], {"flows": flows(type="deny")}, None),
        (EVERY[8], {"flows": flows(type="deny")[:1]}, f"there is no deny flow from {BETWEEN}"),
        (EVERY[8], {"flows": flows(type="deny")[:1] + flows()[1:]}, f"a require flow is there from {BETWEEN}"),
        (EVERY[8], {"flows": ()}, f"there is no deny flow from {BETWEEN}"),
        (EVERY[9], {"flows": flows()}, None),
        (EVERY[9], {"flows": flows(type="deny")[:1]}, f"the deny flow from {BETWEEN} is still there"),
    ],
)  # fmt: skip
def test_what_meets_a_condition(condition: Condition, parts: dict[str, object], why: str | None) -> None:
    assert condition.unmet(seen(**parts), seen(sas=(sa(), phase1()))) == why
