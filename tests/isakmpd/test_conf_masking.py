import pytest
from hypothesis import given
from hypothesis import strategies as st

from ipsecfleet.isakmpd.conf import Span, mask, parse

RULE = "ike from 10.0.0.1 to 10.0.0.2 "


def masked(text: str, included: str = "") -> tuple[str, str]:
    conf = parse(text, path="x.conf", include={"inc": included}.get)
    return mask(text, conf.secrets_in("x.conf")), mask(included, conf.secrets_in("inc"))


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        (f"{RULE}psk hush\n", f"{RULE}psk ***\n"),
        (f"{RULE}psk 'hush hush' tag a\n", f"{RULE}psk '***' tag a\n"),
        (f'k = "hush"\n{RULE}psk $k\n', f'k = "***"\n{RULE}psk $k\n'),
        (f"k = hush\nl = $k\n{RULE}psk $l\n", f"k = ***\nl = $k\n{RULE}psk $l\n"),
        (
            f"a = hush\nb = $a $a\nc = \"'x\"\n{RULE}psk $c $a'\n",
            f"a = hush\nb = $a $a\nc = \"'***\"\n{RULE}psk $c***'\n",
        ),
        (f'k = "psk hush"\n{RULE}$k\n', f'k = "psk ***"\n{RULE}$k\n'),
        (f'k = "us"\n{RULE}psk $k.h\n', f'k = "***"\n{RULE}psk $k***\n'),
        (f"k = old\nk = new\n{RULE}psk $k\n", f"k = old\nk = ***\n{RULE}psk $k\n"),
        (f"k = other\n{RULE}psk hush tag $k\n", f"k = other\n{RULE}psk *** tag $k\n"),
        (f'{RULE}psk "hu\\"sh\nhush"\n', f'{RULE}psk "***\\***\n***"\n'),
        (f"# {RULE}psk hush tag a\n#psk 'hush\n", f"# {RULE}psk *** tag a\n#psk '***\n"),
        (
            "esp from 10.0.0.1 to 10.0.0.2 spi 4096 authkey 0xaa:0xbb enckey cc bundle a\n",
            "esp from 10.0.0.1 to 10.0.0.2 spi 4096 authkey *** enckey *** bundle a\n",
        ),
        (
            "tcpmd5 from 10.0.0.1 to 10.0.0.2 spi 4096 authkey file '/etc/key'\n",
            "tcpmd5 from 10.0.0.1 to 10.0.0.2 spi 4096 authkey file '/etc/key'\n",
        ),
        (f"{RULE}psk ''\n", f"{RULE}psk ''\n"),
    ],
)
def test_every_secret_is_masked_where_it_was_written(text: str, shown: str) -> None:
    assert masked(text)[0] == shown


def test_a_secret_is_masked_in_the_file_that_defines_it() -> None:
    text, included = f'include "inc"\n{RULE}psk $k\n', "\nk = hush\n"
    assert masked(text, included) == (text, "\nk = ***\n")
    (span,) = parse(text, path="x.conf", include={"inc": included}.get).secrets
    assert span == Span("inc", 2, 5, 9)


def test_a_file_that_is_included_twice_has_its_secrets_once() -> None:
    text = 'include "inc"\ninclude "inc"\n'
    assert len(parse(text, path="x.conf", include={"inc": f"{RULE}psk hush\n"}.get).secrets) == 1


def test_spans_that_touch_or_overlap_make_one_mask() -> None:
    spans = [Span("x", 1, 3, 5), Span("x", 1, 0, 2), Span("x", 1, 1, 3), Span("x", 1, 7, 9)]
    assert mask("abcdefghi", spans) == "***fg***"


def test_the_key_is_a_secret_in_the_rule() -> None:
    conf = parse(f"{RULE}psk hush\n", path="x.conf", include=lambda _: None)
    assert "hush" not in repr(conf)


QUOTED = st.text(st.characters(exclude_characters="\\\"'\n\0"), min_size=1, max_size=30).map("<{}>".format)
BARE = st.from_regex(r"[a-z0-9:_*][a-z0-9$%&+.;?@^|~-]{5,20}[.]", fullmatch=True)


@given(QUOTED)
def test_no_quoted_key_is_seen_directly_or_through_a_macro(key: str) -> None:
    assert masked(f"{RULE}psk '{key}'\n")[0] == f"{RULE}psk '***'\n"
    assert masked(f"""k = "'{key}'"\n{RULE}psk $k\n""")[0] == f"""k = "'***'"\n{RULE}psk $k\n"""


@given(BARE, st.integers(1, 9))
def test_no_key_is_seen_however_many_macros_it_came_through(key: str, macros: int) -> None:
    chain = "".join(f"m{n} = $m{n - 1}\n" for n in range(1, macros))
    rest = f"{chain}{RULE}psk $m{macros - 1}\n"
    assert masked(f"m0 = {key}\n{rest}")[0] == f"m0 = ***\n{rest}"
