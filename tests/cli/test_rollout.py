"""rollout and diff in a lab, over real SSH, judged by the gateways' own files and by what the simulators wrote down."""

import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from rollouts import PSK, Sources, had
from watch import outages

from cli import Lab, running_lab

pytestmark = pytest.mark.lab

HUB, OSLO = "10.1.2.2", "10.1.10.2"
FROM_HUB = "from-10.30.0.0/24-to-10.50.0.0/24"
FROM_OSLO = "from-10.50.0.0/24-to-10.30.0.0/24"
QUICK = ("quick auth hmac-sha1 enc aes-256", "quick auth hmac-sha1 enc aes-128")
MAIN = ("main auth hmac-sha1 enc aes-256", "main auth hmac-sha1 enc aes-128")
TERMS = "main auth hmac-sha1 enc aes-256 group modp2048 quick auth hmac-sha1 enc aes-256 group modp2048"


@pytest.fixture
def own(tmp_path: Path) -> Iterator[Lab]:
    with running_lab(tmp_path / "lab", tmp_path / "home", speed=20) as running:
        running.advance(200)
        yield running


@pytest.fixture
def sources(own: Lab, tmp_path: Path) -> Sources:
    return Sources(own, tmp_path / "own")


def lost(lab: Lab, since: float) -> set[tuple[str, str]]:
    """The pairs of networks that had an outage since then, anywhere."""
    events = [event for gateway in lab.gateways for event in lab.events(gateway)]
    return {(local, remote) for (_, local, remote), s in outages(events, since).items() if s}


def now(lab: Lab) -> float:
    return max(float(e["at"]) for g in lab.gateways for e in lab.events(g))


def new_customer(sources: Sources) -> None:
    """A tunnel between two gateways that had none, its key beside the file at one end."""
    here, there = (
        'gateway = "hub-ams1", networks = ["10.41.1.0/24"]',
        'gateway = "br-bergen", networks = ["10.51.1.0/24"]',
    )
    sources.tunnel("bergen-ams", here, there, 'files = { a = "bergen.conf", b = "ams.conf" }')
    passive = f"ike passive esp from 10.41.1.0/24 to 10.51.1.0/24 peer 10.1.10.3 {TERMS} psk $key\n"
    sources.add("hub-ams1", "bergen.conf", passive)
    sources.add("hub-ams1", "bergen.secrets", 'key = "a-new-secret"\n')
    active = f'ike active esp from 10.51.1.0/24 to 10.41.1.0/24 peer 10.1.3.2 {TERMS} psk "a-new-secret"\n'
    sources.add("br-bergen", "ams.conf", active)


def change(sources: Sources, *changes: tuple[str, str]) -> None:
    sources.edit("hub-fra1", "oslo.conf", *changes)
    sources.edit("br-oslo", "fra.conf", *changes)


def test_nothing_is_to_be_done_where_all_is_as_it_should_be(own: Lab, sources: Sources) -> None:
    with own.untouched():
        done = sources.apply()
    assert (done.code, "22 unchanged" in sources.run("rollout", "plan").said) == (0, True), done


def test_one_new_one_changed_one_removed_with_canary_and_waves_and_nobody_else_loses_a_flow(
    own: Lab, sources: Sources
) -> None:
    new_customer(sources)
    change(sources, QUICK)
    sources.drop("customer-10", "hub-fra1", "customer-10.conf")
    began, modes = now(own), (own.files("hub-fra1") / "etc/ipsec.conf").stat().st_mode
    done = sources.apply("--canary", "br-oslo", "--waves", "1,rest", "-o", "json")
    assert done.code == 0, done
    assert PSK not in done.out + done.err
    changed = [(f["gateway"], f["file"].rpartition("/")[2], f["state"]) for f in done.json["files"]]
    assert {row for row in changed if row[2] not in {"unchanged", "foreign"}} == {
        ("hub-fra1", "oslo.conf", "changed"), ("br-oslo", "fra.conf", "changed"),
        ("hub-ams1", "bergen.conf", "added"), ("br-bergen", "ams.conf", "added"),
        ("hub-fra1", "customer-10.conf", "removed"),
    }  # fmt: skip
    order = list(dict.fromkeys(s["tunnel"] for s in done.json["steps"]))
    assert order[0] == "oslo-fra"
    assert {s["state"] for s in done.json["steps"]} == {"done"}
    assert lost(own, began) == {
        ("10.30.0.0/24", "10.50.0.0/24"), ("10.50.0.0/24", "10.30.0.0/24"), ("172.16.10.0/24", "192.168.10.0/24"),
        ("192.168.10.0/24", "172.16.10.0/24"),
    } & lost(own, began)  # fmt: skip
    assert (own.files("hub-fra1") / "etc/ipsec.conf").stat().st_mode == modes
    there = had(own, "hub-ams1", "bergen.conf", "from-10.41.1.0/24-to-10.51.1.0/24", "10.1.10.3")
    assert (there.included, there.listed, there.key) == (True, True, "a-new-secret")
    gone = had(own, "hub-fra1", "customer-10.conf", "from-172.16.10.0/24-to-192.168.10.0/24", "10.2.1.10")
    assert (gone.text, gone.included, gone.listed, gone.sections) == (None, False, False, frozenset())
    assert "aes-128" in str(had(own, "br-oslo", "fra.conf", FROM_OSLO, HUB).text)
    state = sources.run("show", "-t", "oslo-fra,bergen-ams", "-o", "json").json["tunnels"]
    assert [t["state"] for t in state] == ["up", "up"]
    with own.untouched():
        assert sources.apply().code == 0
    kept = [p for p in sources.run.state.rglob("*") if p.is_file()]
    logs = [own.files(gateway) / "log/daemon" for gateway in own.gateways]
    assert len(kept) > 2
    for path in (*kept, *(log for log in logs if log.exists())):
        assert not {s for s in (PSK, "a-new-secret") if s in path.read_text(errors="replace")}, path


def test_a_rollback_brings_the_files_and_tunnels_back_that_were_there_before(own: Lab, sources: Sources) -> None:
    new_customer(sources)
    change(sources, QUICK)
    sources.drop("customer-10", "hub-fra1", "customer-10.conf")
    places = [("hub-fra1", "oslo.conf"), ("br-oslo", "fra.conf"), ("hub-fra1", "customer-10.conf"),
              ("hub-ams1", "bergen.conf"), ("br-bergen", "ams.conf")]  # fmt: skip
    paths = [own.files(gateway) / "etc/IPsec" / name for gateway, name in places]
    before = [path.read_bytes() if path.exists() else None for path in paths]
    assert sources.apply().code == 0
    run = sources.run("runs", "list", "-o", "json").json["runs"][-1]["run"]
    back = sources.run(
        "rollout",
        "rollback",
        run,
        "--force",
        "gateways-touched",
        "--force",
        "wakes-others",
        "--yes",
        "--confirm-within",
        "600s",
    )
    assert back.code == 0, back
    assert [path.read_bytes() if path.exists() else None for path in paths] == before
    assert own.run("show", "-t", "oslo-fra,customer-10", "-o", "json").json["tunnels"][0]["state"] == "up"
    assert had(own, "hub-ams1", "bergen.conf", "from-10.41.1.0/24-to-10.51.1.0/24", "10.1.10.3").listed is False


def test_new_terms_of_phase_1_are_proven_by_a_new_phase_1_and_the_old_ones_are_offered_no_more(
    own: Lab, sources: Sources
) -> None:
    change(sources, MAIN, (PSK, "another-secret"))
    done = sources.apply("-o", "json")
    assert done.code == 0, done
    assert "main" in [s["action"] for s in done.json["steps"]]
    assert "another-secret" not in done.out + done.err
    there = had(own, "hub-fra1", "oslo.conf", FROM_HUB, OSLO)
    assert there.key == "another-secret"
    assert there.main == f"phase1-transform-peer-{OSLO}-PRE_SHARED-SHA-AES128-MODP_2048"
    sas = own.run("show", "sas", "-t", "oslo-fra", "-o", "json").json["sas"]
    assert [s["hard_s"] > 3500 for s in sas if s["phase"] == 1 and s["name"]]
    assert len([s for s in sas if s["phase"] == 1 and s["name"]]) == 2


def test_a_change_at_one_end_alone_that_cannot_come_up_is_taken_back_at_once(own: Lab, sources: Sources) -> None:
    own.advance(200)
    sources.edit("br-oslo", "fra.conf", MAIN, ("10.30.0.0/24", "10.30.9.0/24"))
    done = sources.run("rollout", "plan", "-t", "oslo-fra")
    assert (done.code, "which no rule of it makes" in done.said) == (4, True), done
    sources.edit("br-oslo", "fra.conf", ("10.30.9.0/24", "10.30.0.0/24"))
    before = had(own, "br-oslo", "fra.conf", FROM_OSLO, HUB)
    own.run("lab", "fault", "peer-silent", "10.1.10.2", "--dir", str(own.root))
    sources.edit("br-oslo", "fra.conf", (MAIN[1], MAIN[0]), QUICK)
    sources.edit("hub-fra1", "oslo.conf", QUICK)
    done = sources.apply("--wait", "20s", "-o", "json")
    own.run("lab", "fault", "off", "peer-silent", "--dir", str(own.root))
    assert done.code == 1, done
    assert [s["state"] for s in done.json["steps"] if s["action"] == "rollback"] == ["done", "done"]
    assert had(own, "br-oslo", "fra.conf", FROM_OSLO, HUB) == before


CONFIRMING = """\
import os, signal
from ipsecfleet.cli import main
from ipsecfleet.run.journal import Journal
keep = Journal.tell

def tell(self, event):
    if event.kind == "verdict":
        os.kill(os.getpid(), signal.SIGKILL)
    keep(self, event)

Journal.tell = tell
main()
"""


def test_what_a_dead_run_proved_can_be_confirmed_by_hand(own: Lab, sources: Sources) -> None:
    change(sources, QUICK)
    command = [sys.executable, "-c", CONFIRMING, *sources.words()]
    done = subprocess.run(command, env=sources.run.environment, capture_output=True, check=False, timeout=120)
    assert done.returncode == -signal.SIGKILL
    run = sources.run("runs", "list", "-o", "json").json["runs"][-1]["run"]
    other = sources.apply()
    assert (other.code, f"runs confirm {run}" in other.said) == (4, True), other
    confirmed = sources.run("runs", "confirm", run, "--yes")
    assert (confirmed.code, confirmed.out.count("confirmed")) == (0, 2), confirmed
    assert "aes-128" in str(had(own, "hub-fra1", "oslo.conf", FROM_HUB, OSLO).text)
    assert "nothing of it waits" in sources.run("runs", "confirm", run, "--yes").said
    assert "is a rollout" in sources.run("runs", "resume", run, "--yes").said


def test_after_a_canary_that_failed_no_other_gateway_is_visited(own: Lab, sources: Sources) -> None:
    change(sources, QUICK)
    sources.edit("hub-ams1", "customer-2.conf", QUICK)
    own.run("lab", "fault", "peer-silent", "10.1.10.2", "--dir", str(own.root))
    before = own.mark()
    done = sources.apply("--canary", "br-oslo", "--wait", "20s", "-o", "json")
    own.run("lab", "fault", "off", "peer-silent", "--dir", str(own.root))
    assert done.code == 1, done
    assert "hub-ams1" not in own.sent(before)
    steps = {s["state"] for s in done.json["steps"] if s["tunnel"] == "customer-2"}
    assert (steps, "the canary failed" in str(done.json["errors"])) == ({"skipped"}, True)


def test_what_another_tunnel_of_the_inventory_has_is_never_taken_for_foreign(own: Lab, sources: Sources) -> None:
    with own.untouched():
        plan = sources.run("rollout", "plan", "-t", "oslo-fra", "--remove", "customer-1.conf", "-o", "json")
    assert plan.code == 0, plan
    assert {(f["gateway"], f["state"]) for f in plan.json["files"]} == {
        ("hub-fra1", "unchanged"), ("br-oslo", "unchanged"), ("hub-fra1", "foreign"),
    }  # fmt: skip
    assert "no file of that name is to be removed" in str(plan.json["warnings"])
    unknown = sources.apply("--canary", "br-olso")
    assert (unknown.code, "br-oslo" in unknown.said) == (2, True), unknown


def test_files_only_and_new_files_only(own: Lab, sources: Sources) -> None:
    new_customer(sources)
    change(sources, QUICK)
    with own.untouched():
        assert sources.apply("--no-load", "--only-new").code == 0
    there = had(own, "br-bergen", "ams.conf", "from-10.51.1.0/24-to-10.41.1.0/24", "10.1.3.2")
    assert (there.included, there.listed, "aes-128" in (own.files("br-oslo") / "etc/IPsec/fra.conf").read_text()) == (
        True, False, False,
    )  # fmt: skip
    plan = sources.run("rollout", "plan", "--force", "gateways-touched")
    assert "oslo-fra goes down for about 12 s" in plan.said


def test_all_members_of_a_carp_group_get_the_file(tmp_path: Path) -> None:
    with running_lab(tmp_path / "lab", tmp_path / "home", speed=20, gateways=8) as own:
        own.advance(200)
        sources = Sources(own, tmp_path / "own")
        for member in ("hub-lon1", "hub-lon2"):
            sources.edit(member, "customer-20.conf", QUICK)
        done = sources.apply("-t", "customer-20", "-o", "json")
        assert done.code == 0, done
        texts = [(own.files(m) / "etc/IPsec/customer-20.conf").read_text() for m in ("hub-lon1", "hub-lon2")]
        assert ["aes-128" in text for text in texts] == [True, True]
        confirmed = [s["gateway"] for s in done.json["steps"] if s["action"] == "confirm"]
        assert sorted(confirmed) == ["hub-lon1", "hub-lon2"]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("ike passive esp from 10.30.0.0/24 to\n", "tunnels/hub-fra1/oslo.conf: 1: syntax error"),
        (f'ike passive esp from 10.30.0.0/24 to 10.50.0.0/24 peer {OSLO} {TERMS} psk "two words"\n', "psk holds white space"),
        (f'ike passive esp from 10.30.0.0/24 to 10.50.0.0/24 peer {OSLO} {TERMS} psk "other"\n', "their keys differ"),
        (f'ike passive esp from 172.16.1.0/24 to 192.168.1.0/24 peer {OSLO} {TERMS} psk "{PSK}"\n', "is set up otherwise at"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_refused_before_any_gateway_is_visited(
    own: Lab, sources: Sources, text: str, said: str
) -> None:
    sources.add("hub-fra1", "oslo.conf", text)
    with own.untouched():
        done = sources.apply()
    assert done.code == 4, done
    assert said in done.said
    assert "oslo.conf: 1" in done.said
    assert not sources.run("runs", "list", "-o", "json").json["runs"]


def test_diff_tells_the_columns_apart(own: Lab, sources: Sources) -> None:
    sources.edit("hub-fra1", "oslo.conf", QUICK)
    conf = own.files("hub-fra1") / "etc/ipsec.conf"
    conf.write_text("".join(line for line in conf.read_text().splitlines(True) if "customer-17" not in line))
    own.run("down", "-t", "customer-1", "--yes", "--force", "tunnels-down")
    fifo = own.files("hub-ams1") / "run/isakmpd.fifo"
    fifo.write_bytes(b"C set [peer-10.1.10.2]:Authentication=somebody-elses force\n")
    done = sources.run("diff", "-o", "json")
    assert done.code == 6, done
    rows = {
        (r["gateway"], r["tunnel"]): (r["inventory"], r["deployed"], r["loaded"], r["running"])
        for r in done.json["drift"]
    }
    assert rows["hub-fra1", "oslo-fra"][:3] == ("yes", "other text", "yes")
    assert rows["hub-fra1", "customer-17"][:3] == ("yes", "not included", "yes")
    assert rows["hub-fra1", "customer-1"] == ("yes", "yes", "held", "held")
    assert rows["hub-ams1", "oslo-ams"][:3] == ("yes", "yes", "other key")
    assert rows["br-oslo", "oslo-fra"] == ("yes", "yes", "yes", "up")
    assert ("no", "yes", "yes", "up") in rows.values()
    assert PSK not in done.out
