from hypothesis import given
from hypothesis import strategies as st

from ipsecfleet.render.fold import folded, without
from ipsecfleet.render.layout import Row

NAMES = st.sampled_from([f"gw{n}" for n in range(6)])
ROWS = st.lists(
    st.builds(lambda n, s, t: Row((n, s), t.format(n)), NAMES, st.sampled_from("ab"), st.sampled_from(["{}: x", "y"]))
)


@given(ROWS)
def test_every_row_is_told_once_under_its_name(rows: list[Row]) -> None:
    told = [(name, row.cells[1]) for row in folded(rows) for name in str(row.cells[0]).split(", ")]
    assert sorted(told) == sorted((str(row.cells[0]), row.cells[1]) for row in dict.fromkeys(rows))


@given(ROWS)
def test_no_two_rows_are_left_that_say_the_same(rows: list[Row]) -> None:
    said = [(row.cells[1], without(str(row.cells[0]), row.tail or "")) for row in folded(rows)]
    assert len(set(said)) == len(said)


def test_a_row_that_is_alone_stays_as_it_is() -> None:
    rows = [Row(("gw1", "a"), "gw1: x"), Row(("gw1", "b"), "gw1: x"), Row((None, "a"), "y")]
    assert folded(rows) == rows


def test_what_names_another_gateway_is_not_the_same() -> None:
    rows = [Row(("gw1", "a"), "gw1: via gw9"), Row(("gw11", "a"), "gw11: via gw8")]
    assert folded(rows) == rows
    assert without("gw1", "gw1: gw11 and gw1.example") == "gw11 and gw1.example"
