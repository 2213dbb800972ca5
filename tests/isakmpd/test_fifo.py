from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ipsecfleet.errors import RefusedError
from ipsecfleet.isakmpd import fifo

NAME = "from-172.16.1.0/24-to-192.168.1.0/24"
ALPHABET = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._:/=%+@-"

RENDERED = {
    fifo.quick(NAME): f"t quick {NAME}",
    fifo.main("peer-10.2.1.1"): "t main peer-10.2.1.1",
    fifo.connect(NAME): f"c {NAME}",
    fifo.list_add("Phase 2", "Connections", NAME): f"C add [Phase 2]:Connections={NAME}",
    fifo.list_remove("Phase 2", "Passive-Connections", NAME): f"C rmv [Phase 2]:Passive-Connections={NAME}",
    fifo.list_add(
        "ipsecfleet", "Held-Passive-Connections", NAME
    ): f"C add [ipsecfleet]:Held-Passive-Connections={NAME}",
    fifo.list_add("ipsecfleet", "Held-Peers", "2001:db8::1"): "C add [ipsecfleet]:Held-Peers=2001:db8::1",
    fifo.set_peer("10.2.1.1", "peer-10.2.1.1"): "C set [Phase 1]:10.2.1.1=peer-10.2.1.1 force",
    fifo.remove_peer("10.2.1.1"): "C rm [Phase 1]:10.2.1.1",
    fifo.remember_peer("fe80::1%em0", "peer-x"): "C set [ipsecfleet]:peer-of-fe80::1%em0=peer-x force",
    fifo.forget_peer("10.2.1.1"): "C rm [ipsecfleet]:peer-of-10.2.1.1",
    fifo.clone_tag(
        "ipsecfleet-rekey-0123abcd", "PF-Tag", "vpn1"
    ): "C set [ipsecfleet-rekey-0123abcd]:PF-Tag=vpn1 force",
    fifo.remove_clone("ipsecfleet-rekey-0123abcd"): "C rms [ipsecfleet-rekey-0123abcd]",
}

HOSTILE = [
    "", "S", "T", "Q", "R", "r", "D A 99", "p on", "M passive", "d 00 -", "Test", "t", "t quick", "c",
    "t 10.2.1.1", f"t {NAME}", f"t  quick {NAME}", f" t quick {NAME}", f"t quick {NAME} ", f"t quick {NAME}\r",
    f"t quick {NAME}\nT", f"t quick {NAME}\n", "t quick a;b", "t quick $(reboot)", "t quick a`b`", "t quick a'b",
    "t quick \x1b[2J", "t quick a\0b", "t quick a,b", "t quick é", f"t quick {'n' * 201}",
    "C get [Phase 2]:Connections", "C get [peer-10.2.1.1]:Authentication", "C set [Phase 2]:Connections=a force",
    "C rm [Phase 2]:Connections", "C rms [Phase 2]", "C rms [peer-10.2.1.1]", "C add [General]:Listen-on=a",
    "C set [Phase 1]:Default=peer-a force", "C rm [Phase 1]:Default", "C rm [Phase 1]:10.2.1", "C rm [Phase 1]:beef",
    "C set [Phase 1]:10.2.1.1=peer-a", "C set [Phase 1]:10.2.1.1=peer a force", "C rm [Phase 1]:10.2.1.1 ",
    "C add [ipsecfleet]:Held-Peers=a", "C add [ipsecfleet]:fence=a", "C set [ipsecfleet]:fence=a force",
    "C set [ipsecfleet-rekey-0123ABCD]:Phase=2 force", "C set [ipsecfleet-rekey-0123abcd]:Authentication=x force",
    "C rms [ipsecfleet-rekey-0123abcd]x", "C rms [ipsecfleet]", "c [x]", "t main a]b",
]  # fmt: skip


@pytest.mark.parametrize(("line", "text"), RENDERED.items())
def test_a_constructor_renders_its_exact_line(line: str, text: str) -> None:
    assert line == text
    fifo.validate(line)
    fifo.validate(line.encode())


@pytest.mark.parametrize("line", HOSTILE)
@pytest.mark.parametrize("kind", [str, str.encode])
def test_everything_else_is_refused_and_shown_escaped(line: str, kind: Callable[[str], bytes | str]) -> None:
    with pytest.raises(RefusedError) as refused:
        fifo.validate(kind(line))
    assert refused.value.kind == "bad-name"
    assert refused.value.force == ""
    assert str(refused.value).isascii()
    assert all(c.isprintable() for c in refused.value.message)


@pytest.mark.parametrize("name", ["a\nT", "a b", "", "n" * 201, "a\x1b[31m", "x;y"])
def test_no_constructor_takes_a_bad_name(name: str) -> None:
    for make in (fifo.quick, fifo.main, fifo.connect):
        with pytest.raises(RefusedError):
            make(name)


@given(st.text(alphabet=ALPHABET, min_size=1, max_size=200))
def test_a_name_of_the_alphabet_is_a_name(name: str) -> None:
    assert fifo.quick(name) == f"t quick {name}"


@given(st.text())
def test_a_valid_line_is_printable_and_harmless_by_its_first_byte(text: str) -> None:
    for line in (text, f"t quick {text}", f"C rm [Phase 1]:{text}"):
        try:
            fifo.validate(line)
        except RefusedError:
            continue
        assert line[0] in "tcC"
        assert line.isascii()
        assert line.isprintable()


@given(st.lists(st.text(alphabet=ALPHABET, min_size=1, max_size=200).map(fifo.quick)))
def test_one_write_is_1_to_512_bytes_of_lines(lines: list[str]) -> None:
    if 0 < sum(len(f"{line}\n") for line in lines) <= 512:
        fifo.validate_write(lines)
    else:
        with pytest.raises(RefusedError, match="bytes are not one write"):
            fifo.validate_write(lines)


def test_one_write_reaches_the_limit_exactly() -> None:
    lines = (fifo.quick("n" * 200), fifo.quick("n" * 200), fifo.quick("n" * 85))
    assert fifo.size(lines) == fifo.PIPE_BUF
    fifo.validate_write(lines)
    with pytest.raises(RefusedError):
        fifo.validate_write((*lines[:2], fifo.quick("n" * 86)))


def test_one_write_has_lines_of_the_closed_set_only() -> None:
    with pytest.raises(RefusedError):
        fifo.validate_write(("t quick a", "T"))
