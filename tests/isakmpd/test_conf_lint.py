import pytest

from ipsecfleet.isakmpd.conf import parse

RULE = "ike from 10.0.0.0/8 to 11.0.0.0/8 peer 10.2.1.1"


def warnings(text: str) -> list[str]:
    return [str(warning) for warning in parse(text, path="x", include=lambda _: None).warnings]


@pytest.mark.parametrize(
    ("clauses", "told"),
    [
        ("psk ''", "psk is empty"),
        (f"psk '{'ä' * 100}b'", "psk is longer than 200 bytes, isakmpd cuts it"),
        ("psk 'a b'", "psk holds white space, isakmpd cuts it there"),
        ("psk 0x12g4", "psk begins with 0x and is not hexadecimal"),
        ("srcid 'a b'", "srcid is not one word of at most 197 bytes, isakmpd cuts or refuses it"),
        ("dstid a]", "dstid is not one word of at most 197 bytes, isakmpd cuts or refuses it"),
        (f"dstid {'a' * 198}", "dstid is not one word of at most 197 bytes, isakmpd cuts or refuses it"),
        ("tag ''", "tag is not one word of at most 200 bytes, isakmpd cuts or refuses it"),
    ],
)
def test_values_that_the_daemon_does_not_take_whole(clauses: str, told: str) -> None:
    assert warnings(f"\n{RULE} {clauses}\n") == [f"x: 2: {told}"]


@pytest.mark.parametrize(
    "clauses", [f"psk '{'ä' * 100}'", "psk 0x1234", "psk '#,=]$é'", f"srcid {'a' * 197}", 'psk "it\'s" tag t-$id']
)
def test_values_that_it_does(clauses: str) -> None:
    assert warnings(f"{RULE} {clauses}\n") == []


def test_a_warning_is_told_once_for_all_rules_of_a_line() -> None:
    assert len(warnings("ike from { 10.0.0.0/8 12.0.0.0/8 } to 11.0.0.0/8 psk 'a b'\n")) == 1


@pytest.mark.parametrize(
    ("first", "second", "told"),
    [
        ("local 10.0.0.1", "", "local mismatch"),
        ("psk a", "", "phase 1 auth mismatch"),
        ("psk a", "psk b", "psk mismatch"),
        ("main psk a", "aggressive psk a", "phase 1 mode mismatch"),
        ("srcid a", "srcid b", "srcid mismatch"),
        ("", "dstid b", "dstid mismatch"),
    ],
)
def test_what_rules_of_the_default_peer_say_differently(first: str, second: str, told: str) -> None:
    text = f"ike from 10.0.0.0/8 to 11.0.0.0/8 {first}\nike from 12.0.0.0/8 to 13.0.0.0/8 {second}\n"
    assert warnings(text) == [f"x: 2: default peer {told}"]


def test_what_rules_of_one_peer_say_differently() -> None:
    other = RULE.replace("10.0.0.0", "12.0.0.0")
    assert warnings(f"{RULE} psk a\n{other} psk b\n") == ["x: 2: peer-10.2.1.1 psk mismatch"]
    assert warnings(f"{RULE} psk a\n{other} psk a\n") == []


@pytest.mark.parametrize("other", [RULE.replace("2.1.1", "2.1.2"), RULE.replace("ike", "ike ah"), f"{RULE} tag a"])
def test_rules_that_share_a_name_and_differ(other: str) -> None:
    name = "from-10.0.0.0/8-to-11.0.0.0/8"
    assert warnings(f"{RULE}\n{other}\n") == [f"x: 2: {name} is set up otherwise at x: 1, the last one stays"]


def test_the_same_rule_twice_is_no_finding() -> None:
    assert warnings(f"{RULE}\n{RULE}\n") == []
