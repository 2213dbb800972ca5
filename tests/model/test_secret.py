import copy
import json
import logging
import pickle
from dataclasses import asdict, dataclass

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ipsecfleet.model.secret import MASK, Secret


@dataclass(frozen=True)
class Peer:
    address: str
    psk: Secret


def test_every_way_to_print_it_gives_the_mask(caplog: pytest.LogCaptureFixture) -> None:
    psk = Secret("what-a-mess")
    with caplog.at_level(logging.INFO):
        logging.getLogger("test").info("loaded %s %r", psk, Peer("10.2.1.1", psk))
    shown = [str(psk), repr(psk), f"{psk}", f"{psk!r:>12}", "%s" % psk, repr([psk]), repr(asdict(Peer("", psk)))]  # noqa: UP031 - the old way of formatting must mask too
    assert not [text for text in [*shown, caplog.text] if "what-a-mess" in text]
    assert str(psk) == repr(psk) == MASK
    assert f"{psk:>5}" == "  ***"


def test_reveal_is_the_only_way_to_the_value() -> None:
    assert Secret("what-a-mess").reveal() == "what-a-mess"


@given(st.text(), st.text())
def test_secrets_are_equal_as_their_values_are(one: str, other: str) -> None:
    assert (Secret(one) == Secret(other)) == (one == other)
    assert len({Secret(one), Secret(other)}) == len({one, other})


def test_a_secret_equals_no_text() -> None:
    assert Secret("x") != "x"


def test_it_is_copied_as_itself_and_saved_nowhere() -> None:
    psk = Secret("what-a-mess")
    assert copy.deepcopy(psk) is psk
    assert copy.copy(psk) is psk
    for protocol in range(pickle.HIGHEST_PROTOCOL + 1):
        with pytest.raises(TypeError, match="never pickled"):
            pickle.dumps(psk, protocol)
    with pytest.raises(TypeError):
        json.dumps(psk)
