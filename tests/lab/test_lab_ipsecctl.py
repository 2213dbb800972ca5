"""The stand-in for ipsecctl(8), held against every recorded conf file and its FIFO lines."""

from pathlib import Path

import pytest

from ipsecfleet.lab.daemon import Kernel, World
from ipsecfleet.lab.ipsecctl import Outcome, ipsecctl

CAPTURES = Path(__file__).parent.parent / "data" / "captures"
RECORDED = sorted(CAPTURES.glob("*/*.fifo-lines"))
RULE = 'ike esp from 10.1.0.0/16 to 10.2.0.0/16 peer 192.0.2.2 psk "s"\n'


def _kernel() -> Kernel:
    return World().gateway("x", ["192.0.2.1"]).kernel


def _run(*arguments: str, hostname: str = "x.example.com", **files: str) -> Outcome:
    def read(path: str) -> str:
        try:
            return files[path]
        except KeyError:
            raise FileNotFoundError(2, "No such file or directory", path) from None

    return ipsecctl(arguments, kernel=_kernel(), hostname=hostname, read=read)


@pytest.mark.parametrize("recorded", RECORDED, ids=lambda path: f"{path.parent.name}/{path.name}")
def test_fifo_lines_are_byte_for_byte_those_of_the_real_one(recorded: Path) -> None:
    number, _, name = recorded.name.partition("-")
    delete = name.endswith("-d.fifo-lines")
    conf = recorded.parent / f"{int(number) - 1:03}-{name.removesuffix('-d.fifo-lines').removesuffix('.fifo-lines')}"
    hostname = f"{name.partition('-')[0]}.lab.test"
    done = _run("-dnv" if delete else "-nv", "-f", "conf", hostname=hostname, conf=conf.read_text())
    assert done.stdout == recorded.read_text()
    assert (done.status, done.stderr, done.writes) == (0, "", [])


def test_there_are_recorded_lines() -> None:
    assert len(RECORDED) == 111


def test_one_write_per_expanded_rule() -> None:
    done = _run("-f", "conf", conf='A = "{ 10.1.0.0/16, 10.3.0.0/16 }"\n' + RULE.replace("10.1.0.0/16", "$A"))
    assert [write.splitlines()[-1].decode() for write in done.writes] == [
        "C add [Phase 2]:Connections=from-10.1.0.0/16-to-10.2.0.0/16",
        "C add [Phase 2]:Connections=from-10.3.0.0/16-to-10.2.0.0/16",
    ]


def test_included_files_are_read_and_missing_ones_refuse_all() -> None:
    main = 'include "one"\ninclude "two"\n'
    assert len(_run("-f", "main", main=main, one=RULE, two=RULE.replace("10.1", "10.9")).writes) == 2
    done = _run("-f", "main", main=main, one=RULE)
    assert done.writes == []
    assert done.stderr.startswith("main: 2: failed to include file two\n")
    assert done.status == 1


def test_delete_writes_the_four_lines() -> None:
    name = "from-10.1.0.0/16-to-10.2.0.0/16"
    assert _run("-d", "-f", "conf", conf=RULE).writes == [
        f"t {name}\nC rmv [Phase 2]:Connections={name}\nC rms [{name}]\nC rms [phase2-{name}]\n".encode()
    ]


@pytest.mark.parametrize(
    ("conf", "message"),
    [
        ("ike nonsense\n", "conf: 1: syntax error"),
        ("\nike esp from $x to 10.2.0.0/16\n", "conf: 2: macro 'x' not defined"),
        ("ike esp from 10.1.0.0/16 to 2001:db8::/64\n", "conf: 1: rule expands to no valid combination"),
        ("ike esp from 10.1.0.0/16 to 10.2.0.0/16 quick lifetime 60s\n", "ipsecctl: invalid time unit"),
        ("ike esp from 10.1.0.0/16 to 10.2.0.0/16 main enc aes enc aes\n", "conf: 1: enc already set"),
        ("flow esp from 10.1.0.0/16 to nowhere\n", "conf: 1: could not parse host specification"),
    ],
)
def test_a_wrong_file_is_refused_with_its_line(conf: str, message: str) -> None:
    done = _run("-f", "conf", conf=conf)
    assert done.stderr.startswith(message)
    assert done.stderr.endswith("ipsecctl: Syntax error in config file: ipsec rules not loaded\n")
    assert (done.status, done.writes) == (1, [])


def test_a_missing_file_and_a_wrong_option() -> None:
    assert _run("-f", "conf").stderr.startswith("ipsecctl: pushfile: conf: No such file or directory\n")
    assert _run("operand").stderr.startswith("usage: ipsecctl ")
    assert _run("-s", "nonsense").status == 1


def test_flows_print_both_directions() -> None:
    done = _run("-nv", "-f", "conf", conf="flow esp from 192.0.2.1 to 192.0.2.2\n")
    assert done.stdout == (
        "flow esp out from 192.0.2.1 to 192.0.2.2 peer 192.0.2.2 type require\n"
        "flow esp in from 192.0.2.2 to 192.0.2.1 peer 192.0.2.2 type require\n"
    )
