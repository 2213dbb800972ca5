"""Laws of the reader of conf files: it is total, and how a rule is laid out does not matter."""

from hypothesis import example, given, settings
from hypothesis import strategies as st

from ipsecfleet.isakmpd.conf import Conf, ConfError, mask, parse
from ipsecfleet.isakmpd.conf.lexer import KEYWORDS
from ipsecfleet.isakmpd.names import parse_connection, parse_phase1

WORDS = [
    *sorted(KEYWORDS),
    *("10.0.0.1", "10.0.0.2/32", "10.1/16", "3ffe::1", "3ffe::/24", "em0", "10", "-1", "4096", "0x1000:0x2000", "30m"),
    *(
        "modp1024",
        "aes-128-gcm",
        "hmac-sha1",
        "tcp",
        "ssh",
        "sec0",
        "a@b",
        "a = 'any'",
        "b = '{ 10.0.0.1 }'",
        "$a",
        "$b",
    ),
    *(
        "{",
        "}",
        "(",
        ")",
        ",",
        "/",
        "=",
        '"a b"',
        "'",
        '"',
        "#",
        "\\\n",
        "\n",
        "\t",
        "\0",
        "\r",
        "ä",
        "\ud800",
        "include 'x'",
    ),
]
RULE_WORDS = st.sampled_from(["ike", "flow", "esp", "tcpmd5", "a =", "include"])
SOUP = st.builds(
    lambda first, rest: " ".join([*first, *rest]) + "\n",
    st.lists(RULE_WORDS, max_size=1),
    st.lists(st.sampled_from(WORDS), max_size=25),
)


def read(text: str, included: str = "") -> Conf | None:
    try:
        return parse(text, path="x", include=lambda path: included if path == "x" else None)
    except ConfError:
        return None


@settings(max_examples=300)
@given(st.text() | SOUP, st.text() | SOUP)
@example("include 'x'\n", "include 'x'\n")
@example("$", "")
@example("a = '", "")
@example("\\", "")
def test_any_text_is_read_or_refused(text: str, included: str) -> None:
    conf = read(text, included)
    if conf is not None:
        for span in conf.secrets_in("x"):
            assert 0 <= span.start < span.end <= max(len(text), len(included))
        mask(text, conf.secrets)


V4 = st.tuples(st.integers(0, 255), st.integers(0, 255), st.integers(0, 32)).map(lambda n: f"10.{n[0]}.{n[1]}.0/{n[2]}")
V6 = st.tuples(st.integers(1, 0xFFFF), st.integers(0, 127)).map(lambda n: f"3ffe:{n[0]:x}::/{n[1]}")
SIDES = st.lists(V4 | V6, min_size=1, max_size=4)
GAPS = st.sampled_from([" ", "\t", " \\\n", "\\\n\t", " \\\n \\\n "])
COMMAS = st.sampled_from([",", " ", ", "])


def names(text: str) -> list[str]:
    conf = read(text)
    return [rule.connection for rule in conf.rules] if conf else []


@given(SIDES, SIDES, COMMAS, st.booleans())
def test_names_are_the_pairs_of_one_family_in_order(
    sources: list[str], targets: list[str], comma: str, macros: bool
) -> None:
    source, target = (f"{{ {comma.join(side)} }}" for side in (sources, targets))
    pairs = [(one, two) for one in sources for two in targets if (":" in one) == (":" in two)]
    text = f"ike from {source} to {target}\n"
    if macros:
        text = f'us = "{source}"\nthem = "{target}"\nike from $us to $them\n'
    assert names(text) == [f"from-{one}-to-{two}" for one, two in pairs]


@given(SIDES, SIDES, GAPS, st.booleans())
def test_layout_and_order_of_the_ends_do_not_matter(
    sources: list[str], targets: list[str], gap: str, swapped: bool
) -> None:
    ends = [["from", "{", *sources, "}"], ["to", "{", *targets, "}"]]
    words = [word for end in (reversed(ends) if swapped else ends) for word in end]
    plain = " ".join(["ike", *ends[0], *ends[1], "peer", "10.2.1.1", "\n"])
    assert names(gap.join(["ike", *words, "peer", "10.2.1.1", "\n"])) == names(plain)


@given(SIDES, SIDES)
def test_a_rule_is_read_back_from_its_names(sources: list[str], targets: list[str]) -> None:
    conf = read(f"ike from {{ {' '.join(sources)} }} to {{ {' '.join(targets)} }} peer 10.2.1.1 local 10.0.0.1\n")
    for rule in conf.rules if conf else ():
        assert rule.selectors == parse_connection(rule.connection) is not None
        assert (rule.peer, rule.local) == parse_phase1(rule.phase1) == ("10.2.1.1", "10.0.0.1")
