import gzip

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ipsecfleet.errors import OperatorError, RefusedError
from ipsecfleet.isakmpd import verbs, visit
from ipsecfleet.model.snapshot import Unknown

NONCE = "0123456789abcdef"
HANDSHAKE = b"ipsecfleet 192.0.2.7 50022 198.51.100.11 22\n"


def framed(*sections: tuple[str, str, bytes]) -> bytes:
    body = b"".join(f"{NONCE} {name} {status} {len(body)}\n".encode() + body + b"\n" for name, status, body in sections)
    return HANDSHAKE + f"ipsecfleet 1 {NONCE}\n".encode() + body + f"{NONCE} done {len(sections)}\n".encode()


section = st.tuples(
    st.sampled_from(["host", "report", "held-passive", "conf"]),
    st.sampled_from(["ok", "no-answer", "shifted"]),
    st.one_of(st.binary(max_size=60), st.sampled_from([f"{NONCE} done 1\n".encode(), framed()])),
)


def test_a_request_as_the_program_reads_it() -> None:
    asked = (
        verbs.Host(), verbs.Report(), verbs.Exchanges(only_if_needed=True), verbs.Exchanges(), verbs.Flows(),
        verbs.Sad(), verbs.ConfNames("/etc/IPsec/a.conf"), verbs.Files(), verbs.Write(("t quick a", "c a")),
        verbs.Load("/etc/IPsec/a.conf.new"), verbs.Unload("/etc/IPsec/a.conf"),
        verbs.Lock(60), verbs.Lock(600, take=True), verbs.Unlock(),
    )  # fmt: skip
    request = visit.Request(NONCE, asked, bin="/lab/bin", who="20261123-203144-ab12 alice@laptop", deadline=12.5)
    assert request.encode().decode() == (
        f"ipsecfleet 1 {NONCE}\n"
        "run /var/run\netc /etc\nbin /lab/bin\nwho 20261123-203144-ab12 alice@laptop\npack 14000\ndeadline 12.500\n"
        "\n"
        "host\nreport\nexchanges?\nexchanges\nflows\nsad\nconf /etc/IPsec/a.conf\nfiles\n"
        "write 2\nt quick a\nc a\nload /etc/IPsec/a.conf.new\nunload /etc/IPsec/a.conf\n"
        "lock 60\nlock 600 take\nunlock\n"
        "end\n"
    )


@pytest.mark.parametrize(
    "request_",
    [
        visit.Request("not-hex", ()),
        visit.Request(NONCE, (), run="var/run"),
        visit.Request(NONCE, (), etc="/etc/../root"),
        visit.Request(NONCE, (), bin="/tmp/a b"),
        visit.Request(NONCE, (), who="run\nhost"),
        visit.Request(NONCE, (), who="run"),
        visit.Request(NONCE, (verbs.Lock(60),)),
        visit.Request(NONCE, (verbs.ConfNames("/etc/a\nT"),)),
        visit.Request(NONCE, (verbs.Load("-d"),)),
    ],
)
def test_what_the_program_would_call_malformed_is_refused_here(request_: visit.Request) -> None:
    with pytest.raises(RefusedError):
        request_.encode()


@pytest.mark.parametrize("lines", [(), ("T",), ("t quick a\nT",), (f"t quick {'n' * 200}",) * 3])
def test_a_write_that_is_not_one_write_of_ours_cannot_be_made(lines: tuple[str, ...]) -> None:
    with pytest.raises(RefusedError):
        verbs.Write(lines)


@pytest.mark.parametrize("seconds", [-1, 0, 601])
def test_a_lock_that_the_program_would_not_take_cannot_be_made(seconds: int) -> None:
    with pytest.raises(RefusedError):
        verbs.Lock(seconds)


def test_who_has_the_lock_is_read_from_its_section() -> None:
    body = b"20261123-203144-ab12 alice@laptop 12 48"
    assert visit.holder(body) == visit.Holder("20261123-203144-ab12", "alice@laptop", 12, 48)


@pytest.mark.parametrize(
    "body", [b"", b"R1 12 48", b"R1 a@b 12", b"R1 a@b 12 48\n", b"R1 a@b -1 48", b"R1 \x1b[2J 1 2"]
)
def test_a_holder_that_is_not_understood_is_none(body: bytes) -> None:
    assert visit.holder(body) is None


@given(st.binary())
def test_any_bytes_are_a_holder_or_none(body: bytes) -> None:
    found = visit.holder(body)
    assert found is None or f"{found.run} {found.who}".encode() in body


@given(st.lists(section, max_size=5))
def test_an_answer_comes_back_as_it_was_framed(sections: list[tuple[str, str, bytes]]) -> None:
    answer = visit.decode(framed(*sections), NONCE)
    assert answer == visit.Answer(
        tuple(visit.Section(*s) for s in sections), complete=True, handshake="192.0.2.7 50022 198.51.100.11 22"
    )


@given(st.lists(section, max_size=4), st.data())
def test_an_answer_that_was_cut_off_anywhere_is_not_complete(
    sections: list[tuple[str, str, bytes]], data: st.DataObject
) -> None:
    whole = framed(*sections)
    cut = data.draw(st.integers(0, len(whole) - 1))
    answer = visit.decode(whole[:cut], NONCE)
    assert not answer.complete
    assert answer.sections == tuple(visit.Section(*s) for s in sections)[: len(answer.sections)]


@given(st.one_of(st.binary(), st.binary().map(lambda noise: framed(("host", "ok", noise)) + noise)))
def test_any_bytes_are_an_answer(stdout: bytes) -> None:
    answer = visit.decode(stdout, NONCE)
    assert len(answer.unparsed) <= len(stdout)


@given(st.binary(max_size=50).filter(lambda noise: b"ipsecfleet" not in noise))
def test_noise_around_an_answer_is_kept_as_unparsed(noise: bytes) -> None:
    answer = visit.decode(noise + b"\n" + framed(("host", "ok", b"x")) + noise, NONCE)
    assert answer.complete
    assert answer.handshake == "192.0.2.7 50022 198.51.100.11 22"
    assert answer.unparsed == noise + b"\n" + noise


def test_a_handshake_alone_means_that_the_program_did_not_run() -> None:
    answer = visit.decode(HANDSHAKE, NONCE)
    assert answer.handshake == "192.0.2.7 50022 198.51.100.11 22"
    assert not answer.complete
    assert visit.decode(b"", NONCE).handshake is None
    assert visit.decode(b"ipsecfleet \n", NONCE).handshake == ""


def test_a_wrong_count_or_nonce_is_not_complete() -> None:
    assert not visit.decode(framed().replace(b"done 0", b"done 1"), NONCE).complete
    assert visit.decode(framed(("host", "ok", b"")), NONCE[::-1]).sections == ()


def test_each_conf_section_belongs_to_its_file() -> None:
    asked = (verbs.Host(), verbs.ConfNames("/a"), verbs.ConfNames("/b"), verbs.ConfNames("/c"))
    stdout = framed(("host", "ok", b""), ("conf", "ok", b"t n\n"), ("conf", "failed", b"exit 1: x"))
    answer = visit.decode(stdout, NONCE, asked)
    assert answer.conf == {"/a": b"t n\n", "/b": Unknown("failed: exit 1: x"), "/c": Unknown("not read")}


def test_of_a_part_read_twice_the_last_counts() -> None:
    answer = visit.decode(framed(("report", "shifted", b"a"), ("report", "ok", b"b")), NONCE)
    assert answer.last("report") == visit.Section("report", "ok", b"b")
    assert answer.last("flows") is None


@pytest.mark.parametrize(
    ("privilege", "runs"),
    [
        ("doas", "doas -n /usr/bin/perl -T -"),
        ("none", "/usr/bin/perl -T -"),
        ("restricted", "doas -n /usr/local/libexec/ipsecfleet-visit"),
    ],
)
def test_the_remote_command(privilege: str, runs: str) -> None:
    assert visit.remote_command(privilege) == f"/bin/sh -c 'echo \"ipsecfleet $SSH_CONNECTION\"; exec {runs}'"


@pytest.mark.parametrize(
    ("privilege", "permits"),
    [("doas", "cmd /usr/bin/perl args -T -"), ("restricted", "cmd /usr/local/libexec/ipsecfleet-visit args")],
)
def test_the_rule_of_doas_conf(privilege: str, permits: str) -> None:
    assert visit.doas_rule(privilege, "ops") == f"permit nopass ops as root {permits}"


def test_an_unknown_privilege_is_the_operators_mistake() -> None:
    with pytest.raises(OperatorError):
        visit.remote_command("sudo")


def test_the_program_ends_where_the_request_begins() -> None:
    assert visit.program().startswith(b"#!/usr/bin/perl -T\n")
    assert visit.program().endswith(b"\n__END__\n")


def test_an_answer_of_too_many_sections_is_not_whole() -> None:
    many = visit.MOST_SECTIONS + 1
    answer = f"ipsecfleet\nipsecfleet 1 {NONCE}\n" + f"{NONCE} flows ok 0\n\n" * many + f"{NONCE} done {many}\n"
    decoded = visit.decode(answer.encode(), NONCE)
    assert (len(decoded.sections), decoded.complete) == (visit.MOST_SECTIONS, False)


def test_what_is_sent_unpacks_to_program_and_request_in_one_flight() -> None:
    request = visit.Request(NONCE, (verbs.Flows(),))
    packed, plain = visit.Call.of(request, "doas"), visit.Call.of(request, "doas", plain=True)
    assert gzip.decompress(packed.stdin) == plain.stdin == visit.sent_program() + request.encode()
    assert "/usr/bin/gzip -dc | exec doas -n /usr/bin/perl -T -'" in packed.command
    assert len(packed.stdin) < 17_000
    assert visit.Call.of(request, "restricted").stdin == request.encode()


def test_a_packed_section_is_as_it_was() -> None:
    body = b"SA name: " * 5000
    answer = visit.decode(framed(("report", "packed", gzip.compress(body))), NONCE)
    assert answer.sections == (visit.Section("report", "ok", body),)


def test_sections_unpack_to_so_much_and_no_more(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(visit, "MOST_UNPACKED", 1000)
    bomb = gzip.compress(bytes(10**7))
    answer = visit.decode(
        framed(("a", "packed", gzip.compress(b"x" * 900)), ("b", "packed", bomb), ("c", "packed", bomb)), NONCE
    )
    assert [(s.name, s.status) for s in answer.sections] == [("a", "ok"), ("b", "too-big"), ("c", "too-big")]


@given(st.binary(max_size=60), st.integers(0, 40))
def test_whatever_a_packed_section_is_made_of_it_is_some_section(noise: bytes, cut: int) -> None:
    for body in (noise, gzip.compress(noise)[:cut], gzip.compress(noise) + noise):
        (section,) = visit.decode(framed(("report", "packed", body)), NONCE).sections
        assert section.status in {"ok", "failed", "too-big"}
