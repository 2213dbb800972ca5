from collections.abc import Callable

import pytest
from fifolines import HOSTILE, RENDERED
from hypothesis import given
from hypothesis import strategies as st

from ipsecfleet.errors import RefusedError
from ipsecfleet.isakmpd import fifo

ALPHABET = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._:/=%+@-"


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
