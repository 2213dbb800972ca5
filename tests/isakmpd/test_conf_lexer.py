import pytest

from ipsecfleet.isakmpd.conf.lexer import END, NUMBER, STRING, ConfError, Lexer, text_of


def tokens(text: str, **macros: str) -> list[tuple[str, str, int]]:
    lexer = Lexer("".join(f"{name} = {value}\n" for name, value in macros.items()) + text, "x.conf")
    for name in macros:
        _, _, value, _ = (lexer.token() for _ in range(4))
        lexer.define(name, value.cells)
    found = []
    while (token := lexer.token()).kind != END:
        found.append((token.kind, token.text, token.place.line - len(macros)))
    return found


def words(text: str, **macros: str) -> list[str]:
    return [text for _, text, _ in tokens(text, **macros)]


@pytest.mark.parametrize("word", ["10.1.2.3", "1h", "3ffe::1", "::1", "_x", "*", "a$b", "a\"b'c", "0x10", "10;", "1-2"])
def test_a_bare_word_is_one_string(word: str) -> None:
    assert tokens(word) == [(STRING, word, 1)]


@pytest.mark.parametrize("sign", [*"(){}<>!=/,;.-+%&@ä\r\0"])
def test_what_begins_no_word_stands_alone(sign: str) -> None:
    assert tokens(sign) == [(sign, sign, 1)]


@pytest.mark.parametrize("after", ["", " ", "\n", ")", ",", "/", "}", "="])
def test_digits_are_a_number_before_a_separator(after: str) -> None:
    assert tokens("10" + after)[0] == (NUMBER, "10", 1)
    assert tokens("-10" + after)[0] == (NUMBER, "-10", 1)


@pytest.mark.parametrize("after", ["(", "{", "#", ".", "a", '"', "!"])
def test_digits_begin_a_word_before_anything_else(after: str) -> None:
    assert tokens("10" + after)[0][0] == STRING


def test_a_minus_without_a_number_stands_alone() -> None:
    assert tokens("-5x") == [("-", "-", 1), (STRING, "5x", 1)]


@pytest.mark.parametrize("number", ["9223372036854775807", "-9223372036854775807", "0" * 30 + "7"])
def test_a_number_fits_64_bits(number: str) -> None:
    assert tokens(number) == [(NUMBER, number, 1)]


@pytest.mark.parametrize(("number", "why"), [("9" * 5000, "large"), ("-9223372036854775809", "small")])
def test_a_number_that_does_not_fit_is_refused(number: str, why: str) -> None:
    with pytest.raises(ConfError, match=f"invalid number: too {why}"):
        tokens(number)


def test_keywords_are_themselves_unless_quoted() -> None:
    assert [kind for kind, _, _ in tokens("ike 'ike' Ike iked")] == ["ike", STRING, STRING, STRING]


@pytest.mark.parametrize(
    ("text", "value"),
    [
        (r'"a b"', "a b"),
        (r"'a\'b'", "a'b"),
        (r'"a\'"b', r"a\'"),
        (r'"a\ \	b"', "a \tb"),
        (r'"a\\b\n"', r"a\\b\n"),
        ('"a\nb"', "ab"),
        ('"a\\\nb"', "ab"),
        ('"$x # {"', "$x # {"),
        ('"ä\r"', "ä\r"),
        ("''", ""),
    ],
)
def test_quotes(text: str, value: str) -> None:
    assert words(text)[0] == value


def test_lines_are_joined_with_nothing_between() -> None:
    assert tokens("a\\\nb \\\n c\n") == [(STRING, "ab", 1), (STRING, "c", 3), ("\n", "\n", 3)]


def test_a_backslash_before_anything_else_is_dropped() -> None:
    assert words(r'a\b \"c d" e\ f \#') == ["ab", "c d", "e", "f"]


def test_a_comment_goes_on_after_a_joined_line() -> None:
    assert tokens("a#b\\\nc\nd") == [(STRING, "a", 1), ("\n", "\n", 2), (STRING, "d", 3)]


def test_comments_are_kept() -> None:
    lexer = Lexer("#one\na # two", "x.conf")
    while lexer.token().kind != END:
        pass
    assert [text_of(comment) for comment in lexer.comments] == ["one", " two"]


@pytest.mark.parametrize(
    ("text", "value", "found"),
    [
        ("$m x", "'a b'", ["a", "b", "x"]),
        ("$m$m", "a", ["a$m"]),
        ("$m.x", "a", ["a.x"]),
        ("{$m}", "'a, b'", ["{", "a", ",", "b", "}"]),
        ("$m/24", "10.0.0.0", ["10.0.0.0", "/", "24"]),
        ("$m 1", "'$m'", ["$", "m", "1"]),
        ("$m", "''", []),
        ("$m$m$m", "''", []),
        ("$m", r"'a\b'", [r"a\b"]),
        ("$m x'", '"\'a"', ["a x"]),
        ("'$m'", "a", ["$m"]),
        ("$m y\n", "'# x'", ["\n"]),
    ],
)
def test_a_macro_is_read_again(text: str, value: str, found: list[str]) -> None:
    assert words(text, m=value) == found


def test_a_macro_stands_on_the_line_of_its_use() -> None:
    assert tokens("\n\n$m", m="a")[-1] == (STRING, "a", 3)


def test_an_included_file_is_read_in_its_place() -> None:
    lexer = Lexer("a\nb", "outer")
    first = lexer.token()
    lexer.enter("inner", "c\nd")
    rest = [lexer.token() for _ in range(6)]
    assert [(token.text, token.place) for token in [first, *rest]] == [
        ("a", ("outer", 1)),
        ("c", ("inner", 1)),
        ("\n", ("inner", 1)),
        ("d", ("inner", 2)),
        ("\n", ("outer", 1)),
        ("b", ("outer", 2)),
        ("", ("outer", 2)),
    ]
