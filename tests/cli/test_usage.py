"""What the operator got wrong: exit 2 before anything is contacted, and a hint; what matches nothing: exit 5."""

from pathlib import Path

import pytest

from cli import Lab, Operator, Ran, side_by_side

pytestmark = pytest.mark.lab

HOSTILE = {
    "a\nb": r"a\nb",
    "a b": "a b",
    "a;reboot": "a;reboot",
    "$(reboot)": "$(reboot)",
    "a\x1b[2Jb": r"a\x1b[2Jb",
    "x" * 201: "x" * 201,
}
"""Names that are none, and how they are shown."""


def refuse(lab: Lab, commands: dict[tuple[str, ...], tuple[str, ...]], code: int = 2) -> list[Ran]:
    """Each command ends with this code, says these words on stderr and nothing on stdout, and contacts nobody."""
    asked = {gateway: lab.events(gateway) for gateway in lab.gateways}
    ran = side_by_side(lab.run, [*commands])
    for one, words in zip(ran, commands.values(), strict=True):
        assert (one.code, one.out) == (code, ""), one
        assert not [word for word in words if word not in one.said], one
    fifo = {g: [e for e in lab.events(g)[len(asked[g]) :] if e["event"] == "fifo"] for g in asked}
    assert not any(fifo.values())
    return ran


@pytest.mark.parametrize("name", HOSTILE, ids=ascii)
def test_a_name_that_is_none_is_shown_and_never_sent(lab: Lab, name: str) -> None:
    shown = HOSTILE[name]
    ran = refuse(
        lab,
        {
            ("down", "--yes", "-t", name): ("no tunnel", shown),
            ("down", "--yes", "-A", "-p", name): (shown[:60], "is no IP address", "a peer is one literal address"),
            ("down", "--yes", "-t", "customer-1", "-g", name): ("no gateway", shown, "known: br-bergen"),
        },
    )
    assert not [one for one in ran if "\x1b" in one.err]


@pytest.mark.parametrize("name", [name for name in HOSTILE if name != "x" * 201], ids=ascii)
def test_a_conf_file_with_a_name_that_is_none(alone: Operator, tmp_path: Path, name: str) -> None:
    path = tmp_path / "odd.conf"
    path.write_text(f"ike esp from 10.0.0.0/24 to 10.1.0.0/24 peer {name}\n")
    ran = alone("names", str(path))
    assert (ran.code, ran.out) == (2, "")
    assert f"{path}: " in ran.said
    assert "\x1b" not in ran.err


def test_a_file_with_an_odd_name_that_is_not_there(alone: Operator) -> None:
    ran = alone("names", "/nowhere/a\x1b[2Jb\nc.conf")
    assert (ran.code, ran.out) == (2, "")
    assert r"cannot read /nowhere/a\x1b[2Jb\x0ac.conf: No such file or directory" in ran.said


def test_a_slip_in_a_name_is_answered_with_the_nearest(lab: Lab) -> None:
    refuse(
        lab,
        {
            ("show", "-g", "hub-far1"): ("no gateway hub-far1", "did you mean hub-fra1?"),
            ("down", "--yes", "-A", "-t", "custmer-1"): ("no tunnel custmer-1", "did you mean customer-1?"),
            ("show", "-G", "hubs"): ("hubs", "did you mean hub?"),
            ("shwo",): ("no such command 'shwo'", "did you mean 'show'?"),
            ("show", "--peeer", "10.2.1.1"): ("no such option: --peeer", "ipsecfleet show --help"),
        },
    )


def test_down_says_what_it_takes_down_and_where(lab: Lab) -> None:
    refuse(
        lab,
        {
            ("down", "--yes"): ("down which tunnels?", "name them by -p or -t; all are -t '*'"),
            ("down", "--yes", "-A"): ("down which tunnels?",),
            ("down", "--yes", "-p", "10.2.1.1"): ("down on which gateways?", "name them by -g, -G or -A"),
            ("lines", "-A"): ("lines of which tunnels?", "-p or -t"),
            ("up", "--yes"): ("up which tunnels?", "-t, -p, -g, -G or -A"),
        },
    )


def test_without_a_terminal_a_change_needs_yes(lab: Lab) -> None:
    hint = "give --yes, or --dry-run to see the plan"
    refuse(
        lab,
        {
            ("down", "-t", "customer-1"): ("down asks before it changes something", "no terminal", hint),
            ("up", "-t", "customer-1"): ("up asks before it changes something", "no terminal", hint),
            ("trust", "hub-fra1"): ("trust asks, and there is no terminal", "--fingerprint SHA256:..."),
        },
    )


def test_options_that_make_no_sense(lab: Lab) -> None:
    refuse(
        lab,
        {
            ("down", "-t", "customer-1", "--once", "--remove", "--yes"): (
                "--once, --hold and --remove exclude each other",
            ),
            ("show", "-o", "xml"): ("--output 'xml' is none of table, plain, json",),
            ("down", "-t", "customer-1", "--force", "everything"): ("--force 'everything' is none of tunnels-down,",),
            ("show", "--timeout", "soon"): ("--timeout", "durations are 90, 90s, 5m or 8h"),
            ("show", "-f", "0"): ("'--fanout'", "greater than or equal to 1"),
            ("show", "cables"): ("show 'cables': there are tunnels, sas, flows, gateways",),
        },
    )


def test_an_inventory_that_is_not_there(alone: Operator) -> None:
    ran = alone("-i", "/nowhere/fleet.toml", "show")
    assert (ran.code, ran.out) == (2, "")
    assert "there is no inventory at /nowhere/fleet.toml" in ran.said
    assert "name an inventory.toml" in ran.said


def test_a_peer_that_nobody_has(lab: Lab) -> None:
    verbs = (("show",), ("lines",), ("down", "--yes", "-A"), ("up", "--yes", "-A"))
    with lab.untouched():
        ran = side_by_side(lab.run, [[*verb, "--peer", "10.2.1.2"] for verb in verbs])
    for one in ran:
        assert one.code == 5, one
        assert "nothing matches 10.2.1.2" in one.said
        assert "ipsecfleet show tunnels" in one.said
