"""Conf files changed by the visit program: what leaves of them, the one rename that decides, and what a watcher does."""

import os
import re
import time
from collections import Counter
from pathlib import Path

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from servers import wait_for
from visits import Gateway, fed

from ipsecfleet.isakmpd import verbs, visit
from ipsecfleet.isakmpd.deployed import armed_of, kept_of, shown, stored_of
from ipsecfleet.isakmpd.verbs import Arm, Armed, Confirm, Kept, Load, Lock, Put, Stored, TakeBack, Unload, Verb
from ipsecfleet.isakmpd.visit import keyed
from ipsecfleet.model.secret import Secret
from ipsecfleet.model.snapshot import Unknown

SOAK = bool(os.environ.get("IPSECFLEET_SOAK"))
GROUPS, RACES = (10, 30) if SOAK else (1, 1)
"""So many races within a millisecond, in groups that are run beside each other."""
KEY = "0123456789abcdef0123456789abcdef"
LOCK = Lock(600)
OLD = 'ike esp from 172.16.1.0/24 to 192.168.1.0/24 peer 10.2.1.1 psk "old"\n'
NEW = OLD.replace("old", "new")
SECRET = "what-a-mess"


@pytest.fixture
def gateway(tmp_path: Path) -> Gateway:
    """One with a conf file, an ipsec.conf that includes it, and an ipsecctl that writes down how it was called."""
    gateway = Gateway(tmp_path)
    gateway.conf_dir.mkdir()
    gateway.conf.write_text(f'include "{conf(gateway)}"\n')
    gateway.conf.chmod(0o640)
    conf(gateway).write_text(OLD)
    conf(gateway).chmod(0o600)
    gateway.tool("ipsecctl", f'case "$*" in *-n*) ;; *) echo "$*" >> {gateway.run}/called;; esac')
    return gateway


def conf(gateway: Gateway) -> Path:
    return gateway.conf_dir / "x.conf"


def called(gateway: Gateway) -> list[str]:
    path = gateway.run / "called"
    return path.read_text().splitlines() if path.exists() else []


def stage(gateway: Gateway, kind: str = "change", seconds: float = 30.0, **more: float) -> tuple[Verb, ...]:
    path = str(conf(gateway))
    put = (Put(path, Secret(NEW)),) if kind in {"change", "add"} else ()
    return (LOCK, *put, Arm(kind, path, seconds, **more))


def statuses(gateway: Gateway, *verbs: Verb) -> list[str]:
    return [s.status for s in gateway.asked(*verbs).sections]


def gone(gateway: Gateway) -> bool:
    return not (gateway.run / "ipsecfleet/armed").exists()


# --- what leaves


MASKED = [
    f'psk "{SECRET}"', f"psk {SECRET}", f"psk\t'{SECRET}'", f'key = "{SECRET}"', f"key={SECRET}", f"# psk {SECRET}",
    f"#key = {SECRET}", f"$word {SECRET}", f'$word "{SECRET}"', f"authkey 0x{SECRET}", f"enckey {SECRET}:{SECRET}",
    f'ike from a to b psk "{SECRET}" tag "x"', f"psk \\\n{SECRET}", f'p\\\nsk "{SECRET}"', f'psk "a\n{SECRET}"',
    f"é psk {SECRET}", f'é$é "{SECRET}"',
]  # fmt: skip


@pytest.mark.parametrize("text", MASKED)
def test_a_key_does_not_leave_its_file(gateway: Gateway, text: str) -> None:
    conf(gateway).write_text(text + "\n")
    verbs = (Stored(str(conf(gateway))),)
    answer = gateway.asked(*verbs, key=KEY)
    assert SECRET.encode() not in b"".join(s.body for s in answer.sections)
    assert SECRET not in "\n".join(shown(text + "\n"))


words = st.sampled_from(
    [
        "psk",
        "$a",
        "a",
        "=",
        '"',
        "'",
        "\\",
        "\n",
        " ",
        "\t",
        "#",
        "ike",
        "peer",
        "10.2.1.1",
        "é",
        "x",
        "include",
        '"y"',
        "{",
    ]
)


@settings(max_examples=400 if SOAK else 60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(words, max_size=14).map("".join))
@example("")
@example("\n\n")
@example("ike esp from $here to $there peer $peer main $auth enc aes $word\n")
def test_a_text_is_shown_alike_here_and_there(gateway: Gateway, text: str) -> None:
    path = conf(gateway)
    path.write_bytes(text.encode())
    verbs = (Stored(str(path)),)
    there = stored_of(gateway.asked(*verbs, key=KEY), verbs)[str(path)]
    assert there is not None
    assert not isinstance(there, Unknown)
    assert (there.shown, there.digest) == (shown(text), keyed(KEY, text))


def test_what_a_file_means_comes_with_hashes_for_keys(gateway: Gateway) -> None:
    said = f'key = "{SECRET}"\nC set [peer-a]:Authentication={SECRET} force\nC set [peer-a]:Address=10.2.1.1 force\n'
    gateway.tool("ipsecctl", f"cat <<'EOF'\n{said}C set [x]:Secret={SECRET} force\nEOF")
    answer = gateway.asked(Stored(str(conf(gateway))), key=KEY)
    hashed = keyed(KEY, SECRET)
    assert answer.sections[-1].body.decode() == (
        f"C set [peer-a]:Authentication={hashed}\nC set [peer-a]:Address=10.2.1.1\n"
    )
    assert [s.status for s in gateway.asked(Stored(str(conf(gateway)))).sections] == ["invalid"]


# --- what decides


def test_the_watcher_of_a_confirmed_change_leaves_the_next_one_alone(gateway: Gateway) -> None:
    path = str(conf(gateway))
    gateway.asked(*stage(gateway, seconds=0.4))
    assert gateway.only(LOCK, Confirm(path))[0] == "ok"
    gateway.asked(LOCK, Put(path, Secret(OLD)), Arm("change", path, 30.0))
    time.sleep(0.6)
    assert gateway.only(LOCK, Confirm(path))[0] == "ok"
    assert conf(gateway).read_text() == OLD


def test_a_change_is_confirmed_by_a_rename_and_its_watcher_ends(gateway: Gateway) -> None:
    assert statuses(gateway, *stage(gateway, seconds=0.6)) == ["ok"] * 3
    assert conf(gateway).read_text() == OLD
    armed = armed_of(gateway.asked(Armed()))
    assert armed is not None
    assert (armed.run, armed.kind, armed.file) == ("R1", "change", str(conf(gateway)))
    assert gateway.only(LOCK, Confirm(str(conf(gateway))))[0] == "ok"
    time.sleep(0.8)
    assert conf(gateway).read_text() == NEW
    assert conf(gateway).stat().st_mode & 0o777 == 0o600
    assert called(gateway) == []
    assert kept_of(gateway.asked(Kept("R1"))) == (("change", "x.conf"),)
    assert gateway.only(LOCK, Confirm(str(conf(gateway)))) == ("ok", "already")


def test_what_is_not_confirmed_is_taken_back_also_when_nothing_was_loaded(gateway: Gateway) -> None:
    gateway.asked(*stage(gateway, seconds=0.3))
    wait_for(lambda: gone(gateway), "it is taken back")
    assert (conf(gateway).read_text(), called(gateway)) == (OLD, [])
    assert sorted(p.name for p in gateway.conf_dir.iterdir()) == ["x.conf"]
    assert gateway.only(LOCK, Confirm(str(conf(gateway))))[0] == "taken-back"
    assert kept_of(gateway.asked(Kept("R1"))) == ()


@pytest.mark.parametrize("kind", ["change", "add", "remove"])
def test_what_was_begun_is_unloaded_and_the_old_is_loaded(gateway: Gateway, kind: str) -> None:
    path, before = conf(gateway), gateway.conf.read_text()
    if kind == "add":
        path.unlink()
        gateway.conf.write_text(before := "# nothing\n")
    with gateway.daemon():
        gateway.asked(*stage(gateway, kind))
        new = f"{path}.new" if kind == "change" else str(path)
        steps = {
            "change": (Unload(str(path), str(path)), Load(new, str(path))),
            "add": (Load(new, str(path)),),
            "remove": (Unload(str(path), str(path)),),
        }[kind]
        assert set(statuses(gateway, LOCK, *steps)) == {"ok"}
        done = called(gateway)
        assert gateway.only(LOCK, TakeBack(str(path)), deadline=5.0)[0] == "ok"
    back = {
        "change": [f"-d -f {path}.rejected", f"-f {path}"], "add": [f"-d -f {path}"], "remove": [f"-f {path}"],
    }[kind]  # fmt: skip
    assert called(gateway)[len(done) :] == back
    assert gateway.conf.read_text() == before
    assert path.exists() == (kind != "add")
    assert [*gateway.etc.glob("*.new"), *gateway.etc.glob("*.rejected")] == []


@pytest.mark.parametrize("kind", ["change", "add", "remove"])
def test_of_two_watchers_one_takes_it_back_and_the_other_leaves_it_alone(gateway: Gateway, kind: str) -> None:
    path = conf(gateway)
    if kind == "add":
        path.unlink()
        gateway.conf.write_text("")
    gateway.tool("logger", 'case "$*" in *"roll back"*won*) sleep 0.8;; esac')
    with gateway.daemon():
        gateway.asked(*stage(gateway, kind, seconds=0.8))
        load = {
            "change": Load(f"{path}.new", str(path)),
            "add": Load(str(path), str(path)),
            "remove": Unload(str(path), str(path)),
        }
        gateway.asked(LOCK, load[kind])
        assert gateway.only(LOCK, TakeBack(str(path)), deadline=8.0)[0] == "ok"
        time.sleep(1.0)
    done = {"change": [f"-d -f {path}.rejected", f"-f {path}"], "add": [f"-d -f {path}"], "remove": [f"-f {path}"]}
    assert called(gateway)[1:] == done[kind]


@pytest.mark.parametrize(("kind", "left"), [("add", True), ("remove", False)])
def test_an_added_or_removed_file_is_decided_by_ipsec_conf(gateway: Gateway, kind: str, left: bool) -> None:
    path = conf(gateway)
    if kind == "add":
        path.unlink()
        gateway.conf.write_text("# no newline")
    gateway.asked(*stage(gateway, kind))
    assert path.exists()
    assert gateway.only(LOCK, Confirm(str(path)))[0] == "ok"
    assert (path.exists(), f'include "{path}"\n' in gateway.conf.read_text()) == (left, left)
    assert gateway.conf.stat().st_mode & 0o777 == 0o640


def test_a_confirmation_that_is_killed_in_its_middle_is_finished_by_the_watcher(gateway: Gateway) -> None:
    path = conf(gateway)
    gateway.asked(*stage(gateway, "remove", seconds=0.5))
    (gateway.etc / "ipsec.conf.new").rename(gateway.conf)
    wait_for(lambda: gone(gateway), "the watcher ends it")
    assert (path.exists(), gateway.conf.read_text(), called(gateway)) == (False, "", [])
    assert kept_of(gateway.asked(Kept("R1"))) == (("remove", "x.conf"),)


def test_a_visit_that_is_killed_while_it_arms_leaves_somebody_to_take_it_back(gateway: Gateway) -> None:
    gateway.tool("ipsecctl", "kill -KILL $PPID")
    request = gateway.request(*stage(gateway, seconds=0.5))
    assert fed(visit.program() + request.encode()).returncode != 0
    assert not gone(gateway)
    wait_for(lambda: gone(gateway), "it is taken back")
    assert (conf(gateway).read_text(), [p.name for p in gateway.conf_dir.iterdir()]) == (OLD, ["x.conf"])


def test_another_run_is_kept_out_while_a_change_waits(gateway: Gateway) -> None:
    gateway.asked(*stage(gateway), verbs.Unlock())
    status, body = gateway.only(Lock(30), who="R2 bob@desk")
    assert (status, body.split()[:2]) == ("held", ["R1", "alice@laptop"])
    assert statuses(gateway, LOCK, Arm("change", str(conf(gateway)), 5.0)) == ["ok", "busy"]


def test_a_text_that_ipsecctl_refuses_is_not_armed_for_long(gateway: Gateway) -> None:
    gateway.tool("ipsecctl", f'echo "x.conf: 1: syntax error near \\"{SECRET}\\"" >&2; exit 1')
    answer = gateway.asked(*stage(gateway))
    assert (answer.sections[-1].status, SECRET.encode() in answer.sections[-1].body) == ("failed", False)
    assert gateway.only(LOCK, TakeBack(str(conf(gateway))), deadline=5.0)[0] == "ok"
    assert (conf(gateway).read_text(), gone(gateway)) == (OLD, True)


def test_after_a_boot_nothing_is_confirmed_that_is_not_loaded(gateway: Gateway) -> None:
    gateway.asked(*stage(gateway))
    for path in (gateway.run / "ipsecfleet").iterdir():
        path.unlink()
    assert gateway.only(LOCK, Confirm(str(conf(gateway))))[0] == "taken-back"
    assert conf(gateway).read_text() == OLD
    with gateway.daemon():
        assert gateway.only(LOCK, Load(f"{conf(gateway)}.new", str(conf(gateway))))[0] == "taken-back"
    assert called(gateway) == []


@pytest.mark.parametrize("_group", range(GROUPS))
def test_races_of_confirmation_and_expiry_have_one_winner_each(
    gateway: Gateway, tally: Counter[str], _group: int
) -> None:
    """Both at the rename within a millisecond, by their own logs; the beginning of the one is steered to meet the other."""
    path, close, tries, lead = str(conf(gateway)), 0, 0, 0.06
    while close < RACES:
        tries += 1
        assert tries < 300 * RACES
        before, logged = conf(gateway).read_text(), len(gateway.logged)
        text = OLD if "new" in before else NEW
        began = time.monotonic()
        gateway.asked(LOCK, Put(path, Secret(text)), Arm("change", path, 0.2))
        time.sleep(max(0.0, 0.2 - lead - (time.monotonic() - began) + 0.03))
        status = gateway.only(LOCK, Confirm(path))[0]
        wait_for(lambda: gone(gateway), "it is decided")
        time.sleep(0.02)
        told = _at(gateway.logged[logged:])
        assert [won for won, _ in told.values()].count("won") == 1, gateway.logged[logged:]
        assert conf(gateway).read_text() == (text if status == "ok" else before)
        lead += 0.002 if status == "taken-back" else -0.002
        close += len(told) == 2 and abs(told["confirm"][1] - told["roll back"][1]) <= 0.001
    tally["races within a millisecond, one winner each"] += close
    tally["races tried for them"] += tries


def _at(logged: list[str]) -> dict[str, tuple[str, float]]:
    """Who won or lost the rename, and when."""
    found = (re.search(r"(confirm|roll back) \S+: (won|lost) at ([\d.]+)", line) for line in logged)
    return {f[1]: (f[2], float(f[3])) for f in found if f}
