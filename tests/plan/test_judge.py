"""What one look says of a target; hand-made looks, because the daemon is seldom so unlucky."""

from dataclasses import replace

import pytest
from facts import N1, N2, OTHER, PEER, flows, kernel, nets, phase1, sa, seen

from ipsecfleet.errors import UnreachableError
from ipsecfleet.model.condition import Role, SoleHolder
from ipsecfleet.model.fleet import Fleet, Gateway
from ipsecfleet.model.plan import Action, Plan, Step, Target, Undo, Wave
from ipsecfleet.model.sa import Exchange, KeptUp, Sa
from ipsecfleet.model.snapshot import Connection, GatewaySnapshot, Listing, Snapshot, Unknown
from ipsecfleet.plan.judge import Patience, Verdict, judge
from ipsecfleet.plan.view import View

TARGET = Target("customer-1", "hub", N1, PEER, nets(N1), active=True)
FLEET = Fleet(gateways=(Gateway("hub", "192.0.2.1"),))
HELD = (Connection(N1, Listing.HELD_ACTIVE, PEER, missing=()),)
DOWN = seen(connections=HELD)
LONG_AGO = Patience(elapsed_s=9.0, before={"hub": frozenset({0x90, 0x91})})


def step(action: Action, *needs: object) -> Step:
    return Step("hub", "customer-1", action, needs, (), Undo(None, "a test"), connection=N1, peer=PEER)  # type: ignore[arg-type]


def down(gateway: GatewaySnapshot, patience: Patience = LONG_AGO, **plan: object) -> Verdict:
    view = View.of(FLEET, Snapshot({"hub": gateway}))
    (verdict,) = judge(Plan("down", targets=(TARGET,), **plan), view, patience)  # type: ignore[arg-type]
    return verdict


def up(gateway: GatewaySnapshot) -> Verdict:
    (verdict,) = judge(Plan("up", targets=(TARGET,)), View.of(FLEET, Snapshot({"hub": gateway})), LONG_AGO)
    return verdict


def words(verdict: Verdict) -> tuple[str, str]:
    return verdict.word.value, verdict.text


def exchange(phase: int = 2, **more: object) -> Exchange:
    name = N1 if phase == 2 else f"peer-{PEER}"
    return Exchange(
        name, phase, **({"ours": True, "step": 1, "icookie": "c" * 16, "rcookie": "0" * 16, "peer": PEER} | more)
    )


def test_nothing_left() -> None:
    assert words(down(DOWN)) == ("proven", "")


def test_what_is_negotiated_and_cannot_be_named_may_be_this_tunnel() -> None:
    begun = Sa(None, 1, icookie="c" * 16, rcookie="0" * 16)
    unread = replace(DOWN, exchanges=Unknown("no-daemon: the pid file is stale"), sas=(begun,))
    text = "what hub negotiates could not be read: no-daemon: the pid file is stale"
    assert words(down(unread)) == ("pending", text)
    assert words(down(unread, Patience(elapsed_s=126.0))) == ("failed", text)
    assert words(down(unread, Patience(elapsed_s=9.0, wait=False))) == ("failed", text)
    assert words(down(replace(unread, sas=()))) == ("proven", "")


def test_what_could_not_be_read_is_not_proven() -> None:
    assert words(down(replace(DOWN, flows=Unknown("failed")))) == (
        "failed", "hub could not be read after the change: failed",
    )  # fmt: skip
    dead = View.of(FLEET, Snapshot({}, {"hub": UnreachableError("no answer: hub")}))
    (verdict,) = judge(Plan("down", targets=(TARGET,)), dead, LONG_AGO)
    assert words(verdict) == ("failed", "hub could not be read after the change: no answer: hub")


def test_a_replaced_leftover_is_told_with_its_expiry() -> None:
    left = replace(DOWN, sas=(sa(flags=0x9, hard=142),), kernel=kernel())
    assert words(down(left)) == ("proven", "1 replaced SA(s) expire within 142 s")


def test_the_sa_that_was_there_is_a_failure() -> None:
    still = replace(DOWN, sas=(sa(spi=0x90),), flows=flows(), kernel=kernel(0x90))
    assert words(down(still)) == ("failed", f"its SA is still live on hub as {N1}")


BACK = replace(DOWN, sas=(sa(), phase1()), flows=flows(), kernel=kernel())


def test_a_new_one_is_torn_down_once_more_and_then_again_and_no_more() -> None:
    verdict = down(BACK)
    assert [(s.action, s.connection, s.needs) for s in verdict.again] == [(Action.QUICK, N1, (SoleHolder(N1, PEER),))]
    assert words(verdict) == ("pending", f"{N1} came back on hub; once more")
    twice = Patience(9.0, repeated=(("hub", "customer-1"),) * 2)
    assert words(down(BACK, twice)) == ("failed", f"{N1} came back on hub after 2 more tries")
    assert down(BACK, Patience(9.0, repeated=(("hub", "customer-1"),) * 3)).word == "failed"


def test_once_more_needs_what_it_needed_the_first_time() -> None:
    verdict = down(BACK, waves=(Wave((step(Action.QUICK, Role("carp0")),)),))
    assert verdict.again[0].needs == (Role("carp0"),)


def test_a_phase_1_that_came_late_goes_too_where_the_peer_was_to_go() -> None:
    """Through it the peer could come back although its entry is gone."""
    off = (Wave((step(Action.PEER_OFF),)),)
    assert [s.action for s in down(BACK, waves=off).again] == [Action.QUICK, Action.MAIN]
    alone = down(replace(DOWN, sas=(phase1(),)), waves=off)
    assert [(s.action, s.phase1) for s in alone.again] == [(Action.MAIN, f"peer-{PEER}")]
    assert down(replace(DOWN, sas=(phase1(),))).word == "proven"


def test_under_a_neighbours_name_it_is_not_torn_down() -> None:
    both = (*HELD, Connection(N2, Listing.PASSIVE, OTHER))
    verdict = down(replace(DOWN, sas=(sa(N2),), flows=flows(), kernel=kernel(), connections=both))
    assert verdict.again == ()
    assert words(verdict) == ("failed", f"{PEER} is back on hub under the neighbour's name {N2}")
    assert verdict.hint == "hold all tunnels of that peer, or --force shared-name"


def test_a_flow_without_an_sa_is_looked_at_twice() -> None:
    """The report is read before the flows: what comes up in between shows a flow alone."""
    stray = replace(DOWN, flows=flows())
    assert (down(stray).word, down(stray).doubtful) == ("pending", True)
    again = Patience(10.0, doubted=frozenset({("hub", "customer-1")}))
    assert words(down(stray, again)) == ("failed", "a require flow is still there on hub")
    assert down(replace(DOWN, flows=flows(type="deny"))).word == "proven"


@pytest.mark.parametrize(
    ("running", "word"),
    [
        (exchange(ends_in_s=70), "pending"),
        (exchange(ours=False), "proven"),
        (exchange(finished=True), "proven"),
        (exchange(1, ends_in_s=70), "pending"),
    ],
)
def test_negotiations_of_ours_are_waited_for(running: Exchange, word: str) -> None:
    gateway = replace(DOWN, exchanges=(running,), connections=(replace(HELD[0], phase1=f"peer-{PEER}"),))
    assert down(gateway).word == word
    if word == "pending":
        assert words(down(gateway)) == ("pending", "a negotiation of ours on hub may still complete for 70 s")
        refused = down(gateway, Patience(9.0, wait=False))
        assert words(refused) == ("failed", "a negotiation of ours on hub may still complete for 70 s; --no-wait")
        assert down(gateway, Patience(126.0)).word == "failed"


def test_a_phase_1_that_began_after_the_first_look_was_not_begun_for_it() -> None:
    gateway = replace(DOWN, exchanges=(exchange(1),), connections=(replace(HELD[0], phase1=f"peer-{PEER}"),))
    assert down(gateway, Patience(9.0, suspects=frozenset())).word == "proven"
    assert down(gateway, Patience(9.0, suspects=frozenset({"c" * 16}))).word == "pending"


def test_the_peers_next_attempt_is_waited_for() -> None:
    assert words(down(DOWN, look_again_s=70.0)) == ("pending", f"waiting 61 s for the next attempt of {PEER}")
    assert down(DOWN, Patience(70.5), look_again_s=70.0).word == "proven"


UP = seen(sas=(sa(),), flows=flows(), kernel=kernel())


def test_up() -> None:
    assert words(up(UP)) == ("proven", "0x00000011")


@pytest.mark.parametrize(
    ("change", "verdict"),
    [
        ({"sas": Unknown("failed")}, ("pending", "hub cannot be read")),
        ({"sas": (sa(), sa(spi=0x20)), "kernel": kernel() + kernel(0x20)}, ("pending", "2 live SAs on hub")),
        ({"flows": ()}, ("pending", "no flow on hub yet")),
        ({"flows": flows(type="deny")}, ("pending", "no flow on hub yet")),
        ({"sas": (sa(N2),)}, ("failed", f"it came up under the neighbour's name {N2} on hub")),
        ({"sas": ()}, ("pending", "no SA on hub; the peer must begin, it tries every 60 s")),
        ({"sas": (), "exchanges": (exchange(ends_in_s=70),)},
         ("pending", "phase 2 is being negotiated on hub; a new attempt is possible in 70 s")),
        ({"sas": (), "connections": (Connection(N1, Listing.ACTIVE, PEER, kept_up=KeptUp(N1, 42)),)},
         ("pending", "no SA on hub; its next attempt is due in 42 s")),
    ],
)  # fmt: skip
def test_not_up_yet_says_what_is_missing_and_when(change: dict[str, object], verdict: tuple[str, str]) -> None:
    assert words(up(replace(UP, **change))) == verdict  # type: ignore[arg-type]


def test_the_other_end_must_have_the_same_sa() -> None:
    fleet = Fleet(
        gateways=(Gateway("hub", "192.0.2.1", ike=("10.1.2.2",)), Gateway("branch", "192.0.2.2", ike=(PEER,)))
    )
    mirror = "from-192.168.1.0/24-to-172.16.1.0/24"
    live = replace(sa(mirror, peer="10.1.2.2"), src=PEER)
    (protocol,) = live.protocols
    same = replace(live, protocols=(replace(protocol, spi_in=0x10, spi_out=0x11),))
    listed = (Connection(mirror, Listing.PASSIVE, "10.1.2.2"),)
    for other, word in (
        (same, "proven"),
        (replace(same, protocols=(replace(protocol, spi_in=5, spi_out=6),)), "pending"),
    ):
        branch = replace(seen(sas=(other,), flows=flows(mirror, peer="10.1.2.2"), connections=listed), gateway="branch")
        view = View.of(fleet, Snapshot({"hub": UP, "branch": branch}))
        (verdict,) = judge(Plan("up", targets=(replace(TARGET, tunnel=view.tunnels[0].name),)), view, LONG_AGO)
        assert verdict.word == word, verdict.text
