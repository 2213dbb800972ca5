from fnmatch import fnmatchcase

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ipsecfleet.errors import OperatorError
from ipsecfleet.inventory import Selection, default_fleet, suggest
from ipsecfleet.inventory.pattern import Pattern, split_words
from ipsecfleet.inventory.target import parse_target
from ipsecfleet.model.tunnel import State


@given(st.integers(0, 120), st.integers(0, 30), st.integers(0, 160), st.booleans())
def test_a_range_is_its_numbers(first: int, length: int, number: int, padded: bool) -> None:
    width = 3 if padded else 1
    pattern = Pattern.of(f"gw[{first:0{width}}-{first + length}]x")
    assert pattern.matches(f"gw{number:0{width}}x") == (first <= number <= first + length)
    assert not pattern.matches(f"gw{number:05}x")


@pytest.mark.parametrize(
    ("text", "yes", "no"),
    [
        ("gw[01-40]", ["gw01", "gw09", "gw40"], ["gw1", "gw41", "gw001", "gw", "xgw01", "gw01\n"]),
        ("gw[8-12]", ["gw8", "gw12"], ["gw08", "gw13"]),
        ("gw[1-3,7]-[01-02]", ["gw2-01", "gw7-02"], ["gw4-01", "gw7-2"]),
        ("gw[12]", ["gw1", "gw2"], ["gw12"]),
        ("gw[!12]", ["gw3", "gw^"], ["gw1"]),
        ("gw[^]", ["gw^"], ["gwa"]),
        ("gw.1", ["gw.1"], ["gwx1"]),
        ("hub-*", ["hub-fra1", "hub-"], ["hub", "my-hub-fra1"]),
        ("[x", ["[x"], ["x"]),
    ],
)
def test_patterns(text: str, yes: list[str], no: list[str]) -> None:
    assert [n for n in yes if not Pattern.of(text).matches(n)] == []
    assert [n for n in no if Pattern.of(text).matches(n)] == []


@pytest.mark.parametrize("text", ["gw[40-01]", "gw[0-99999]", "gw[1-2-3]", "gw[1234567890-1]", "gw[z-a]"])
def test_what_is_no_pattern(text: str) -> None:
    with pytest.raises(OperatorError, match="is no name or pattern") as caught:
        Pattern.of(text)
    assert "gw[01-40]" in caught.value.hint


@given(st.text(alphabet="ab*?.", max_size=8), st.text(alphabet="ab.", max_size=8))
def test_wildcards_are_those_of_the_shell(pattern: str, name: str) -> None:
    assert Pattern.of(pattern).matches(name) == fnmatchcase(name, pattern)


@given(st.text(max_size=30), st.text(max_size=30))
def test_patterns_are_total_and_mean_themselves(text: str, name: str) -> None:
    try:
        pattern = Pattern.of(text)
    except OperatorError:
        return
    pattern.matches(name)
    assert pattern.matches(text)


def test_words_are_split_at_commas_outside_brackets() -> None:
    assert split_words("-g", ["a,b", "gw[1-3,7],c", "a"]) == ("a", "b", "gw[1-3,7]", "c")


@pytest.mark.parametrize("text", ["", " ", "a,", ",a", "a,,b"])
def test_an_empty_word_never_widens_a_selection(text: str) -> None:
    with pytest.raises(OperatorError, match="--gateway has an empty name"):
        Selection.of(gateways=[text])


def test_the_options_of_a_selection() -> None:
    selection = Selection.of(peers=["10.2.1.1,2001:DB8::1"], state=["up", "half-up"], all_gateways=True)
    assert selection.peers == ("10.2.1.1", "2001:db8::1")
    assert selection.state == (State.UP, State.HALF_UP)
    assert (selection.names_tunnels, selection.names_gateways) == (True, True)
    assert (Selection().names_tunnels, Selection().names_gateways) == (False, False)


@pytest.mark.parametrize("peer", ["10.2.1", "10.2.1.1/32", "10.2.1.*", "peer-10.2.1.1", "10.2.1.01", "host"])
def test_a_peer_is_one_literal_address(peer: str) -> None:
    with pytest.raises(OperatorError, match="is no IP address") as caught:
        Selection.of(peers=[peer])
    assert "never a network" in caught.value.hint


def test_a_state_has_a_nearest_match() -> None:
    with pytest.raises(OperatorError, match="no state 'halfup'") as caught:
        Selection.of(state=["halfup"])
    assert caught.value.hint == "did you mean half-up?"


def test_suggestions() -> None:
    assert suggest("hub-fra3", ["hub-fra1", "br-oslo"]) == "did you mean hub-fra1?"
    assert suggest("x", ["b", "a"]) == "known: a, b"
    assert suggest("x", []) == ""
    assert suggest("x", map(str, range(100))) == ""


@pytest.mark.parametrize(
    ("word", "user", "address", "port"),
    [
        ("ops@198.51.100.11", "ops", "198.51.100.11", None),
        ("ops@hub.example.net:2222", "ops", "hub.example.net", 2222),
        ("ops@[2001:DB8::1]", "ops", "2001:db8::1", None),
        ("ops@[2001:db8::1]:22", "ops", "2001:db8::1", 22),
    ],
)
def test_gateways_without_an_inventory(word: str, user: str, address: str, port: int | None) -> None:
    (gateway,) = default_fleet([word, word]).gateways
    assert (gateway.name, gateway.user, gateway.address, gateway.port) == (word, user, address, port)
    assert gateway.known_hosts is None


@pytest.mark.parametrize(
    "word",
    [
        *("host", "@host", "ops@", "a@b@c", "-oX@host", "ops@-host", "ops@host\n", "ops@ho st", "gw[01-40]"),
        *("ops@2001:db8::1", "ops@[host]", "ops@198.51.100.311", "ops@host:0", "ops@host:65536", "ops@host:x"),
    ],
)
def test_what_is_no_gateway(word: str) -> None:
    with pytest.raises(OperatorError, match="is no gateway") as caught:
        default_fleet([word])
    assert "user@host" in caught.value.hint


@given(st.text(max_size=30) | st.text(alphabet="a@[]:1.-", max_size=20))
def test_targets_are_total(word: str) -> None:
    try:
        gateway = parse_target(word)
    except OperatorError:
        return
    assert gateway.name == word
    assert f"{gateway.user}@" == word[: len(gateway.user or "") + 1]
