"""diagnose, from a look at both ends to the verdict: every story that can be told of a tunnel, and who tells it."""

import re
from pathlib import Path

import pytest
from fleets import BACK, HUB, N1, PEER, customers, pair
from simworld import PSK, SimFleet
from stories import BRANCH, STORIES, again, only

from ipsecfleet.errors import Exit
from ipsecfleet.model.diagnosis import Cause, Diagnosis, Strength
from ipsecfleet.plan.restart import RestartOptions
from ipsecfleet.render import RENDERERS

WHO = (("hub", "branch"), ("hub",), ("branch",))
HEAD = "| what is the matter | both ends are ours | the hub alone is | the branch alone is |\n|---|---|---|---|\n"
DOCUMENT = Path(__file__).parents[2] / "docs" / "diagnosing.md"
TWO_LOOKS = {"the hub is in passive mode": 70.0, "the branch refuses phase 2": 130.0}
"""What shows only when it is looked at again, after so many seconds."""


def told(name: str, who: tuple[str, ...] = WHO[0]) -> Diagnosis:
    return only(STORIES[name][0](), who).diagnosis("oslo", wait_s=TWO_LOOKS.get(name, 0.0))


def cell(found: Diagnosis) -> str:
    """A verdict in a word, or what it leaves open."""
    if found.well:
        return "well" if "nothing is the matter" in found.verdict else "well at this end"
    left = f"*open:* {'; '.join(s.cause for s in found.open)}" if found.open else ""
    return "; ".join(filter(None, (found.cause.value if found.cause is not None else "", left))) or f"*{found.verdict}*"


@pytest.mark.parametrize("name", STORIES)
def test_the_verdict_by_both_ends(name: str) -> None:
    found = told(name)
    cause = STORIES[name][1]
    assert found.cause == cause, found
    assert found.well is (cause is None and name == "it is up")
    assert found.well or (found.evidence and found.next)
    assert PSK not in str(found)


def follow(sim: SimFleet, line: str) -> None:
    """Do what a diagnosis says must be typed; what only looks is left out."""
    ours = re.fullmatch(r"ipsecfleet (up|down|restart|rekey) -t oslo( --phase both)?", line)
    loads = re.fullmatch(r"on (\w+): doas ipsecctl -f (\S+)", line)
    if loads is not None:
        sim.ipsecctl(loads[1], "-f", loads[2])
        sim.settle(6)
    elif ours is not None:
        more = {"options": RestartOptions(both=True)} if ours[2] else {}
        getattr(sim, ours[1])(tunnels=["oslo"], **more)


CHANGING = re.compile(r"ipsecfleet (?:up|down|restart|rekey) |on \w+: doas ipsecctl")


@pytest.mark.parametrize("name", [n for n, (_, cause) in STORIES.items() if cause is not None])
def test_what_it_says_must_be_typed_helps(name: str) -> None:
    sim = STORIES[name][0]()
    found = sim.diagnosis("oslo", wait_s=TWO_LOOKS.get(name, 0.0))
    lines = [line for line in found.next if CHANGING.match(line)]
    if not lines or sim.parts:
        assert found.cause in ADVISED_OTHERWISE or sim.parts, found.next
        return
    for line in lines:
        follow(sim, line)
    sim.settle(130)
    assert sim.state("oslo") == "up", found.next
    sim.settle(400)
    assert sim.state("oslo") in {"up", "rekeying"}, found.next


ADVISED_OTHERWISE = {
    Cause.PEER_SILENT, Cause.OUR_SIDE_SILENT, Cause.PHASE1_PROPOSAL, Cause.WRONG_PSK, Cause.ID_MISMATCH,
    Cause.NETWORKS_UNKNOWN, Cause.PHASE2_REFUSED, Cause.PASSIVE_MODE, Cause.NEIGHBOURS_NAME, Cause.NOBODY_RENEWS,
}  # fmt: skip
"""What no command mends: it is in a conf, on the line, or at the daemon's own switches."""


def test_every_cause_has_a_story() -> None:
    assert {cause for _, cause in STORIES.values()} == {*Cause, None}


def test_the_table_of_the_manual_is_what_is_said() -> None:
    """A verdict by one end names the cause, leaves it open, or says what that end sees of it; it is never another one."""
    rows = [f"| {name} | {' | '.join(cell(told(name, who)) for who in WHO)} |" for name in STORIES]
    assert HEAD + "\n".join(rows) + "\n" in DOCUMENT.read_text(encoding="utf-8"), "\n" + "\n".join(rows)


@pytest.mark.parametrize(
    ("name", "lines"),
    [
        (
            "hashes of phase 1 differ",
            ["attribute_unacceptable: HASH_ALGORITHM: got SHA, expected SHA2_256", "NO_PROPOSAL_CHOSEN"],
        ),
        ("lifetimes of phase 1 differ", ["attribute_unacceptable: LIFE_DURATION: got 3600,  expected 7200"]),
        ("the branch has another key", ["message_parse_payloads: reserved field non-zero", "PAYLOAD_MALFORMED"]),
        ("the branch expects another identity", ["received remote ID other than expected nobody.example.com"]),
        ("the branch has other networks", ["initiator id 172.16.1.0/255.255.255.0", "INVALID_ID_INFORMATION"]),
        ("the branch has lost its phase 1", ["message_recv: invalid cookie(s)", "INVALID_COOKIE"]),
        ("it is held", ["20261123-203144-ab12 tests@sim: ", f"Held-Connections={N1}"]),
    ],
)
def test_the_lines_of_the_log_are_quoted(name: str, lines: list[str]) -> None:
    quotes = "\n".join(e.quote or "" for e in told(name).evidence if e.strength is Strength.SEEN)
    assert [line for line in lines if line not in quotes] == []


def test_what_a_retransmission_is_refused_for_is_not_quoted() -> None:
    assert "KEY_EXCH" not in str(told("the branch has other networks").evidence)


def test_values_of_both_sides_are_named() -> None:
    assert "HASH_ALGORITHM: hub offers SHA, branch accepts SHA2_256" in told("hashes of phase 1 differ").verdict
    assert (
        "branch expects nobody.example.com of hub, which calls itself east"
        in told("the branch expects another identity").verdict
    )
    has = told("the branch has other networks")
    assert any("it has 10.50.0.0/16 to 10.60.0.0/16" in e.text for e in has.evidence)


@pytest.mark.parametrize("name", [n for n, (_, cause) in STORIES.items() if cause not in {None, Cause.DAEMON_DEAD}])
def test_with_one_end_ours_what_the_other_must_look_for_is_named(name: str) -> None:
    found = told(name, ("hub",))
    if found.cause in {None, Cause.PEER_SILENT} and not found.well:
        assert found.open
        assert all(s.tells for s in found.open)
        cause = STORIES[name][1]
        known = {s.cause for s in found.open}
        there = {
            Cause.PHASE1_PROPOSAL,
            Cause.WRONG_PSK,
            Cause.ID_MISMATCH,
            Cause.NETWORKS_UNKNOWN,
            Cause.PHASE2_REFUSED,
            Cause.LOCK_OUT,
        }
        assert cause not in there or cause.value in known


def test_a_mended_key_is_not_blamed_for_what_comes_after() -> None:
    """The old refusal is still in the log when the next attempt fails for another reason (a false verdict, else)."""
    sim = again(pair(), ("branch", f"C set [peer-{HUB}]:Authentication=another force"))
    sim.fifo("branch", f"C set [peer-{HUB}]:Authentication={PSK} force")
    sim.settle(80)
    sim.world.cut(BRANCH)
    sim.settle(40)
    assert sim.diagnosis("oslo").cause is not Cause.WRONG_PSK


def test_networks_that_were_loaded_since_are_not_called_refused() -> None:
    sim = STORIES["the conf is unloaded at the branch"][0]()
    sim.ipsecctl("branch", "-f", "/etc/IPsec/oslo.conf")
    sim.settle(6)
    found = sim.diagnosis("oslo")
    assert (found.cause, [s.tells for s in found.open][:1]) == (None, ["the next attempt succeeds"]), found


def test_a_proposal_that_is_accepted_since_is_not_called_refused() -> None:
    """The peer is not ours: that a newer attempt of his was answered says it."""
    sim = only(STORIES["hashes of phase 1 differ"][0](), ("branch",))
    sim.daemon("branch").misset("phase1-transform-", {"HASH_ALGORITHM": "SHA"})
    sim.daemon("branch").faults.wrong_psk.add(HUB)
    sim.settle(85)
    assert sim.diagnosis("oslo").cause is not Cause.PHASE1_PROPOSAL


def test_a_pid_file_that_is_stale_is_no_dead_daemon_as_long_as_it_answers() -> None:
    sim = pair()
    sim.parts["branch", "host"] = ("ok", f"time {sim.world.now}\nfifo fifo\npid stale\n".encode())
    assert sim.diagnosis("oslo").well


def test_between_two_attempts_the_last_refusal_counts() -> None:
    """Transcript b07 at 127 s: the initiator has heard nothing yet, the responder has nothing any more."""
    sim = again(pair(), ("branch", f"C set [peer-{HUB}]:Authentication=another force"), wait_s=100.0)
    for _ in range(8):
        sim.settle(5)
        assert sim.diagnosis("oslo").cause is Cause.WRONG_PSK


def test_a_tunnel_that_no_inventory_names_has_both_its_ends_too() -> None:
    sim = STORIES["the branch has other networks"][0]()
    sim.specs.clear()
    found = {d.tunnel: d for d in sim.diagnose(peers=[BRANCH]).diagnoses or ()}
    assert found[N1].cause is Cause.NETWORKS_UNKNOWN


def test_a_log_that_cannot_be_read_leaves_what_follows() -> None:
    sim = again(pair(), ("branch", f"C set [peer-{HUB}]:Authentication=another force"))
    sim.parts["branch", "log"] = ("missing", b"/var/log/daemon: No such file or directory")
    document = sim.diagnose(tunnels=["oslo"])
    (found,) = document.diagnoses or ()
    assert found.cause is Cause.WRONG_PSK
    assert any("by their hashes" in e.text for e in found.evidence)
    unread = "the log of branch could not be read: missing: /var/log/daemon: No such file or directory"
    assert unread in [w.message for w in document.warnings]


def test_what_is_well_is_not_told_unless_it_was_asked_for() -> None:
    sim = customers(3)
    sim.fifo("hub", "t quick from-172.16.2.0/24-to-192.168.2.0/24")
    sim.settle(3)
    document = sim.diagnose()
    assert [d.tunnel for d in document.diagnoses or ()] == ["customer-2"]
    assert document.exit_code is Exit.FINDINGS
    assert sim.diagnose(tunnels=["customer-1"]).exit_code is Exit.OK
    assert sim.diagnose(peers=["10.9.9.9"]).exit_code is Exit.NOTHING


def test_a_gateway_without_a_whole_answer_has_no_witness() -> None:
    sim = pair()
    sim.fifo("hub", f"t quick {N1}")
    sim.settle(2)
    sim.parts["branch", "report"] = ("failed", b"an answer is cut off")
    found = sim.diagnosis("oslo")
    assert found.cause is Cause.TAKEN_OFF
    assert [e.gateway for e in found.ends] == ["hub"]


def test_a_neighbours_negotiation_is_not_this_ones() -> None:
    """Two tunnels of one peer: one is refused, the other torn down by hand."""
    sim = customers(2, peer=PEER)
    sim.daemon(f"peer {PEER}").fifo(b"C rmv [Phase 2]:Passive-Connections=from-192.168.2.0/24-to-172.16.2.0/24\n")
    sim.settle(6)
    sim.fifo("hub", "t quick from-172.16.2.0/24-to-192.168.2.0/24")
    sim.fifo("hub", "c from-172.16.2.0/24-to-192.168.2.0/24", f"t quick {N1}")
    sim.settle(30)
    assert sim.diagnosis("customer-1").cause is Cause.TAKEN_OFF
    refused = sim.diagnosis("customer-2")
    assert refused.cause is None
    assert "phase 2 is not answered" in refused.verdict


def test_moments_are_the_gateways_own() -> None:
    sim = again(pair(), ("branch", f"C set [peer-{HUB}]:Authentication=another force"))
    sim.clocks["branch"] = 0.0
    quotes = [e for e in sim.diagnosis("oslo").evidence if e.quote]
    assert quotes
    assert all(e.at is not None and abs(e.at - sim.world.now) < 200 for e in quotes)


def test_a_verdict_reads_well_at_eighty_columns_and_is_in_every_format() -> None:
    document = STORIES["the branch has another key"][0]().diagnose(tunnels=["oslo"])
    text = RENDERERS["table"](document)
    assert max(map(len, text.splitlines())) <= 80
    assert re.search(r"^  seen +branch: \d\d:\d\d:\d\d message_parse_payloads", text, re.MULTILINE)
    assert all("wrong PSK" in RENDERERS[name](document) for name in ("plain", "json", "ndjson"))


@pytest.mark.parametrize("seed", range(6))
def test_the_daemons_own_dump_says_nothing_of_a_key(seed: int) -> None:
    sim = pair()
    sim.settle(seed * 17.0)
    sim.fifo("hub", "r", f"C set [peer-{BRANCH}]:Authentication {PSK}", f"t quick {N1}")
    sim.fifo("branch", f"t quick {BACK}")
    sim.settle(2)
    assert PSK not in RENDERERS["json"](sim.diagnose(tunnels=["oslo"]))


def test_a_name_that_no_log_can_be_asked_for_stops_nothing() -> None:
    sim = pair()
    sim.fifo("hub", "C add [Phase 2]:Connections=odd#name")
    sim.settle(70)
    assert {d.tunnel: d.cause for d in sim.diagnose().diagnoses or ()} == {"odd#name": Cause.NOT_LOADED}
