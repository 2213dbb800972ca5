"""What must not lead a diagnosis astray: looks in the middle of things, neighbours' negotiations, old lines of a log.

A verdict that is wrong is worse than none: somebody acts by it at 03:00.
"""

import os
import random
from collections import Counter

import pytest
from fleets import BACK, HERE, HUB, N1, PEER, THERE, carp, customers, pair
from simworld import PSK, SimFleet
from stories import BRANCH, OTHER_HERE, OTHER_THERE, STORIES, again, only

from ipsecfleet.errors import Exit, UnreachableError
from ipsecfleet.model.diagnosis import Cause, Diagnosis
from ipsecfleet.plan.diagnose import diagnose

WHO = (("hub", "branch"), ("hub",), ("branch",))
TOLD = [(name, who) for name, (_, cause) in STORIES.items() if cause is not None for who in WHO]
SOAK = bool(os.environ.get("IPSECFLEET_SOAK"))
SECOND = "10.1.2.3"


def loads(sim: SimFleet, gateway: str, mode: str, here: str, there: str, peer: str, more: str = "") -> None:
    """Load the rule of `oslo` as it is written here."""
    text = f'ike {mode} esp from {here} to {there} {peer} quick group none {more} psk "{PSK}"\n'
    sim.files[gateway] = {"/etc/IPsec/oslo.conf": text}
    sim.ipsecctl(gateway, "-f", "/etc/IPsec/oslo.conf")


def unnamed(sim: SimFleet) -> dict[str, Diagnosis]:
    """What is said where no inventory names a tunnel."""
    sim.specs.clear()
    return {d.tunnel: d for d in sim.diagnose().diagnoses or ()}


@pytest.mark.parametrize("who", WHO)
def test_a_tunnel_that_is_left_alone_is_well_all_its_life(who: tuple[str, ...]) -> None:
    """Of about half of all rekeys the passive end's soft timeout comes first, which means nothing (groundtruth 4)."""
    sim = only(pair(), who)
    for _ in range(65):
        assert sim.diagnosis("oslo").well, (sim.world.now, sim.diagnosis("oslo"))
        sim.settle(39)


MOMENTS = range(0, 420, 7)


def test_at_no_moment_another_cause_is_named(tally: Counter[str]) -> None:
    """Whenever somebody looks: before, in and after an attempt, the verdict is the story's, or none."""
    chance = random.Random("moments")
    for story, who in TOLD:
        sim = only(STORIES[story][0](), who)
        if sim.parts:
            continue
        causes = {STORIES[story][1], sim.diagnosis("oslo").cause, None}
        asked = MOMENTS if SOAK else [chance.choice(MOMENTS)]
        began = sim.world.now
        for moment in asked:
            sim.settle(began + moment - sim.world.now)
            found = sim.diagnosis("oslo")
            assert found.cause in causes, (story, who, moment, found)
            tally[f"moments of stories, of {len(TOLD) * len(MOMENTS)}"] += 1


@pytest.mark.parametrize("who", WHO)
def test_a_negotiation_on_a_slow_line_is_not_judged(who: tuple[str, ...]) -> None:
    sim = pair()
    sim.settle(130)
    sim.fifo("hub", f"t quick {N1}", f"t main peer-{BRANCH}")
    sim.settle(2)
    sim.world.network.route = lambda _packet: 0.3
    for gateway in ("hub", "branch"):
        sim.daemon(gateway).slowness = 1
    sim = only(sim, who)
    sim.fifo("hub", f"c {N1}")
    sim.settle(0.4)
    while not (found := sim.diagnosis("oslo")).well:
        assert found.cause is None, found
        sim.settle(0.05)


def test_another_customers_attempt_makes_a_refusal_no_older() -> None:
    """The daemon's timers do not say whose they are: of two exchanges neither's age is known but within limits."""
    sim = STORIES["the branch has other networks"][0]()
    sim.rule("hub", "active", "172.16.9.0/24", "192.168.9.0/24", "10.2.9.1", file="silent")
    sim.settle(12)
    found = sim.diagnosis("oslo")
    assert found.cause is Cause.NETWORKS_UNKNOWN, found
    assert any(" to 48 s ago" in e.text for e in found.evidence), found


def test_a_stray_cookie_does_not_hide_the_refusal() -> None:
    sim = STORIES["the branch has other networks"][0]()
    sim.told.append(("hub", sim.world.now - 1, f"isakmpd[1]: message_recv: invalid cookie(s) {'1' * 16} {'2' * 16}"))
    sim.told.append(("hub", sim.world.now - 1, f"isakmpd[1]: dropped message from {BRANCH} port 500 due to notification type INVALID_COOKIE"))  # fmt: skip
    assert sim.diagnosis("oslo").cause is Cause.NETWORKS_UNKNOWN


class TestRoadWarriors:
    """A rule without a peer: nothing locks its peers out, they bear its name, and it needs no address."""

    def fleet(self, there: str, far: str) -> SimFleet:
        sim = SimFleet()
        sim.gateway("hub", HUB)
        sim.peer(PEER)
        sim.rule("hub", "passive", HERE, there, "", file="anybody")
        sim.rule(f"peer {PEER}", "active", far, HERE, HUB)
        sim.settle(10)
        return sim

    def test_nobody_there_is_well(self) -> None:
        sim = self.fleet(THERE, "192.168.77.0/24")
        assert sim.diagnose().exit_code is Exit.OK

    def test_one_that_is_there_has_no_neighbours_name(self) -> None:
        sim = self.fleet("0.0.0.0/0", "10.8.0.5")
        assert sim.diagnose().exit_code is Exit.OK

    def test_one_that_the_inventory_names_is_not_called_unloaded(self) -> None:
        sim = self.fleet(THERE, THERE)
        sim.tunnel("oslo", ("hub", HERE), (PEER, THERE))
        assert sim.diagnosis("oslo").well
        sim.daemon(f"peer {PEER}").fifo(f"t quick {BACK}\n".encode())
        sim.settle(5)
        assert sim.diagnosis("oslo").cause is None


class TestCarp:
    """A member that is not master does not count as long as another one is."""

    def pair_of_ours(self, *, key: str = PSK, backup_first: bool = False) -> SimFleet:
        sim = SimFleet()
        sim.gateway("hub", HUB)
        sim.carp_pair("fra", "203.0.113.1", "fra1", "fra2")
        for member in ("fra1", "fra2"):
            sim.rule(member, "passive", THERE, HERE, HUB, file="oslo")
            if key != PSK:
                sim.fifo(member, f"C set [peer-{HUB}]:Authentication={key} force")
        sim.fifo("fra2", "M passive")
        sim.rule("hub", "active", HERE, THERE, "203.0.113.1", file="oslo")
        sim.tunnel("oslo", ("hub", HERE), ("fra", THERE))
        if backup_first:
            sim.gateways.sort(key=lambda g: g.name == "fra1")
        sim.settle(40)
        return sim

    @pytest.mark.parametrize("lost", ["daemon", "gateway"])
    def test_a_backup_that_is_dead_is_not_the_matter(self, lost: str) -> None:
        for key, cause in ((PSK, None), ("another", Cause.WRONG_PSK)):
            sim = self.pair_of_ours(key=key)
            if lost == "daemon":
                sim.daemon("fra2").kill()
            else:
                sim.dead["fra2"] = UnreachableError("no answer: fra2", phase="tcp", obj="fra2")
            found = sim.diagnosis("oslo")
            assert (found.cause, found.well) == (cause, cause is None), found

    @pytest.mark.parametrize("backup_first", [False, True])
    def test_where_no_inventory_names_it(self, *, backup_first: bool) -> None:
        sim = self.pair_of_ours(backup_first=backup_first)
        sim.specs.clear()
        assert sim.diagnose().exit_code is Exit.OK
        found = unnamed(self.pair_of_ours(key="another", backup_first=backup_first))
        assert {d.cause for d in found.values()} == {Cause.WRONG_PSK}, found

    def test_the_address_is_that_of_the_group(self) -> None:
        sim = carp()
        sim.fifo("fra1", f"t quick {N1}", f"t main peer-{PEER}")
        sim.settle(5)
        sim.world.cut(PEER)
        sim.settle(120)
        sim.fifo("fra1", f"c {N1}")
        sim.settle(40)
        assert any("no packet from 203.0.113.1" in s.tells for s in sim.diagnosis("customer-1").open)

    def test_where_a_member_was_not_read_none_is_known_to_be_master(self) -> None:
        sim = carp()
        sim.role("fra1", "BACKUP")
        assert sim.diagnosis("customer-1").cause is Cause.PASSIVE_MODE
        sim.dead["fra1"] = UnreachableError("no answer: fra1", phase="tcp", obj="fra1")
        assert sim.diagnosis("customer-1").cause is None


class TestSecondAddress:
    """A gateway with two IKE addresses is known to its peer by the one that its rule names."""

    def fleet(self, *, branch: tuple[str, str] = (THERE, HERE), ids: str = "") -> SimFleet:
        sim = SimFleet()
        sim.gateway("hub", HUB, SECOND)
        sim.gateway("branch", BRANCH)
        loads(sim, "branch", "passive", *branch, f"peer {SECOND}", ids)
        loads(sim, "hub", "active", HERE, THERE, f"local {SECOND} peer {BRANCH}")
        sim.tunnel("oslo", ("hub", HERE), ("branch", THERE))
        return sim

    def test_it_is_no_wrong_identity(self) -> None:
        sim = self.fleet(ids=f"dstid {SECOND}")
        sim.world.network.route = lambda p: None if p.mode == "main" and p.step == 6 else 0.0003
        sim.settle(40)
        found = sim.diagnosis("oslo")
        assert found.cause is Cause.OUR_SIDE_SILENT, found
        assert "branch has made phase 1" in found.verdict

    def test_what_was_taken_off_is_not_called_unloaded(self) -> None:
        sim = self.fleet()
        sim.settle(10)
        sim.fifo("branch", f"C rmv [Phase 2]:Passive-Connections={BACK}", f"t quick {BACK}")
        sim.settle(80)
        assert sim.diagnosis("oslo").cause is Cause.TAKEN_OFF

    def test_what_has_other_networks_is_not_called_unloaded(self) -> None:
        sim = self.fleet(branch=(OTHER_THERE, OTHER_HERE))
        sim.settle(40)
        assert sim.diagnosis("oslo").cause is Cause.NETWORKS_UNKNOWN


class TestLockOut:
    """Only a phase 1 that the peer began and we answered locks a new one out, and one attempt alone (groundtruth 2.3)."""

    @pytest.mark.parametrize("lost", [(HUB, BRANCH), (HUB,)])
    def test_our_own_attempt_locks_nobody_out(self, lost: tuple[str, ...]) -> None:
        sim = pair("active", "active")
        sim.fifo("hub", f"t quick {N1}", f"t main peer-{BRANCH}")
        sim.fifo("branch", f"t quick {BACK}", f"t main peer-{HUB}")
        sim.settle(3)
        sim.world.network.route = lambda packet: None if packet.src in lost else 0.0003
        sim.settle(150)
        sim.fifo("hub", f"c {N1}")
        sim.fifo("branch", f"c {BACK}")
        sim.settle(40)
        assert sim.diagnosis("oslo").cause is Cause.PEER_SILENT

    def test_whether_a_peer_tries_is_not_known(self) -> None:
        sim = pair()
        sim.settle(40)
        sim.daemon("hub").terminate()
        sim.settle(20)
        found = only(sim, ["branch"]).diagnosis("oslo")
        assert (found.cause, found.open[0].cause) == (None, Cause.LOCK_OUT.value), found

    def test_what_was_given_up_long_ago_makes_no_row(self) -> None:
        sim = pair()
        long_ago = f"isakmpd[1]: transport_send_messages: giving up on exchange peer-{BRANCH}, no response from peer {BRANCH}:500"
        sim.told.append(("hub", sim.world.now - 900, long_ago))
        sim.fifo("hub", f"t quick {N1}", f"t main peer-{BRANCH}", f"c {N1}")
        sim.settle(60)
        assert sim.diagnosis("oslo").cause is Cause.LOCK_OUT
        sim.world.network.route = lambda _packet: None
        while sim.diagnosis("oslo").cause is Cause.LOCK_OUT:
            sim.settle(2)
        found = sim.diagnosis("oslo")
        assert (found.cause, [s.cause for s in found.open][-1]) == (None, "a lock-out that is over"), found


def test_a_key_that_was_mended_is_not_blamed_while_its_phase_1_stands() -> None:
    """A daemon without -v does not say that it is done, but its phase 1 is younger than the refusal."""
    sim = again(pair(), ("branch", f"C set [peer-{HUB}]:Authentication=another force"))
    sim.fifo("branch", f"C set [peer-{HUB}]:Authentication={PSK} force")
    sim.settle(100)
    assert sim.state("oslo") == "up"
    sim.fifo("hub", f"t quick {N1}")
    sim.settle(3)
    sim.told[:] = [entry for entry in sim.told if " done" not in entry[2]]
    found = only(sim, ["branch"]).diagnosis("oslo")
    assert found.cause is None, found


def test_a_proposal_that_is_refused_over_a_phase_1_is_one_of_phase_2() -> None:
    sim = pair()
    sim.settle(60)
    sim.fifo("hub", f"t quick {N1}")
    sim.settle(5)
    for text in ("message_negotiate_sa: no compatible proposal found", f"dropped message from {HUB} port 500 due to notification type NO_PROPOSAL_CHOSEN"):  # fmt: skip
        sim.told.append(("branch", sim.world.now - 2, f"isakmpd[1]: {text}"))
    assert only(sim, ["branch"]).diagnosis("oslo").cause is Cause.PHASE2_REFUSED


@pytest.mark.parametrize("who", WHO[::2])
def test_a_refusal_without_a_reason_is_no_lost_answer(who: tuple[str, ...]) -> None:
    """It is quoted; what made it cannot be told."""
    sim = only(STORIES["nothing from the branch gets to the hub"][0](), who)
    refused = f"dropped message from {HUB} port 500 due to notification type ATTRIBUTES_NOT_SUPPORTED"
    sim.told.append(("branch", sim.world.now - 20, f"isakmpd[1]: {refused}"))
    found = sim.diagnosis("oslo")
    assert found.cause is None, found
    assert refused in [e.quote for e in found.evidence], found


def test_a_check_that_had_to_wait_is_no_passive_mode() -> None:
    """Somebody's ipsecctl -f sets the checks anew while the last attempt still stands in their way (groundtruth 1.4)."""
    sim = only(STORIES["the branch is unplugged"][0](), ["hub"])
    sim.settle(5)
    sim.rule("hub", "passive", "172.16.9.0/24", "192.168.9.0/24", PEER, file="other")
    sim.settle(15)
    for _ in range(10):
        assert sim.diagnosis("oslo", wait_s=15.0).cause is not Cause.PASSIVE_MODE


class TestUnread:
    """What was not read is not known to be absent."""

    @pytest.mark.parametrize("lost", ["log", "exchanges", "files"])
    def test_without_a_part_no_other_cause_is_named(self, lost: str, tally: Counter[str]) -> None:
        chance = random.Random(lost)
        for story, who in TOLD if SOAK else chance.sample(TOLD, 25):
            sim = only(STORIES[story][0](), who)
            known = {STORIES[story][1], sim.diagnosis("oslo").cause, None} | WIDER.get(story, set())
            for gateway in who:
                sim.parts[gateway, lost] = ("failed", b"it could not be read")
            found = sim.diagnosis("oslo")
            assert found.cause in known, (story, who, found)
            tally[f"stories without {lost}, of {len(TOLD)}"] += 1

    def test_a_snapshot_has_no_confs(self) -> None:
        sim = STORIES["somebody took it off the branch's list"][0]()
        view, tunnel = sim.view(), sim.tunnel_now("oslo")
        (found,) = diagnose(view, tunnel, {})
        assert found.cause is None, found


WIDER: dict[str, set[Cause]] = {
    "somebody took it off the branch's list": {Cause.NETWORKS_UNKNOWN},
    "the conf is unloaded at the branch": {Cause.NETWORKS_UNKNOWN},
    "the daemon of the branch was started without its conf": {Cause.STALE},
    "that of the hub was": {Cause.STALE},
}
"""What is true of it as well, and all that can be said where it was not read what a daemon is configured with."""


def test_each_pair_of_networks_has_its_own_state() -> None:
    sim = SimFleet()
    sim.gateway("hub", HUB)
    sim.gateway("branch", BRANCH)
    for there in (THERE, "192.168.2.0/24"):
        sim.rule("branch", "passive", there, HERE, HUB, file="oslo")
        sim.rule("hub", "active", HERE, there, BRANCH, file="oslo")
    sim.tunnel("oslo", ("hub", HERE), ("branch", f"{THERE},192.168.2.0/24"))
    sim.settle(20)
    sim.world.network.drop_deletes = True
    sim.fifo("hub", f"t quick from-{HERE}-to-192.168.2.0/24")
    sim.settle(5)
    found = sim.diagnose(tunnels=["oslo"]).diagnoses or ()
    assert [(d.state.value, d.cause) for d in found] == [("up", None), ("black-hole", Cause.BLACK_HOLE)], found


def test_networks_of_ipv6_are_recognised() -> None:
    ours, theirs = "fd00:1::2", "fd00:2::2"
    sim = SimFleet()
    sim.gateway("hub", ours)
    sim.gateway("branch", theirs)
    sim.rule("branch", "passive", "2001:db8:2::/64", "2001:db8:77::/64", ours, file="oslo")
    sim.rule("hub", "active", "2001:db8:1::/64", "2001:db8:3::/64", theirs, file="oslo")
    sim.tunnel("oslo", ("hub", "2001:db8:1::/64"), ("branch", "2001:db8:3::/64"))
    sim.settle(40)
    assert sim.diagnosis("oslo").cause is Cause.NETWORKS_UNKNOWN


def test_a_whole_gateway_s_tunnels_are_down_at_once() -> None:
    """The names of all of them are asked for in one visit."""
    sim = customers(254)
    sim.daemon("hub").terminate()
    sim.settle(2)
    sim.daemon("hub").start()
    sim.settle(5)
    document = sim.diagnose()
    assert {d.cause for d in document.diagnoses or ()} == {Cause.NOT_LOADED}
    assert len(document.diagnoses or ()) == 254


class TestWhoTookItOff:
    """A line of ours counts as long as no later one gave it back."""

    @pytest.mark.parametrize("earlier", ["restart", "down and up"])
    def test_what_was_given_back_is_not_blamed(self, earlier: str) -> None:
        sim = pair()
        sim.settle(130)
        if earlier == "restart":
            sim.restart(tunnels=["oslo"])
        else:
            sim.down(tunnels=["oslo"])
            sim.up(tunnels=["oslo"])
        sim.settle(30)
        sim.fifo("hub", f"t quick {N1}")
        sim.settle(20)
        found = sim.diagnosis("oslo")
        assert found.cause is Cause.TAKEN_OFF
        assert any("somebody else" in e.text for e in found.evidence), found


def test_advice_about_a_tunnel_that_no_inventory_names_can_be_typed() -> None:
    sim = STORIES['somebody said "t quick" at the hub'][0]()
    found = unnamed(sim)[N1]
    assert found.next == (f"ipsecfleet up -t {N1} -g hub -g branch",)
    assert sim.up(tunnels=[N1], gateways=["hub", "branch"]).exit_code is Exit.OK


def test_a_daemon_of_ours_that_is_dead_is_found_without_an_inventory() -> None:
    sim = STORIES["the branch is unplugged"][0]()
    sim.daemon("branch").kill()
    sim.parts["branch", "host"] = ("ok", f"time {sim.world.now}\nfifo missing\npid none\n".encode())
    assert unnamed(sim)[N1].cause is Cause.DAEMON_DEAD
