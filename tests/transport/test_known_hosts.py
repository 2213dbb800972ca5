import subprocess
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ipsecfleet.errors import OperatorError
from ipsecfleet.transport import HostKey, add_host, replace_host
from ipsecfleet.transport.known_hosts import KnownHosts, host_key_name, read_known_hosts

ED25519 = HostKey("ssh-ed25519", "AAAAC3NzaC1lZDI1NTE5AAAAIBoBaW9LvdbLvGCgJpKqTzMzBEQjcDJdBRoDvZ5LEfRp")
OTHER = HostKey("ssh-ed25519", "AAAAC3NzaC1lZDI1NTE5AAAAIA9zWhr1iNvZBl+Z4q1dfXEBgBWZLyNS3Vmd8i6nbNQY")
RSA = HostKey("ssh-rsa", "AAAAB3NzaC1yc2EAAAADAQABAAAAQQ==")

NAMES = st.sampled_from(["hub", "hub.example", "10.0.0.1", "[hub]:2222", "::1"])
KEYS = st.lists(st.sampled_from([ED25519, OTHER, RSA]), min_size=1, max_size=3, unique=True)
LINES = st.lists(
    st.one_of(
        st.text(),
        st.builds("{} {} {}".format, NAMES, st.just(ED25519.type), st.just(ED25519.base64)),
        st.builds("{},*.x {} {}".format, NAMES, st.just(RSA.type), st.just(RSA.base64)),
        st.builds("@revoked {} {} {}".format, NAMES, st.just(OTHER.type), st.just(OTHER.base64)),
    ),
    max_size=8,
).map("\n".join)


def found(text: str, name: str) -> list[tuple[HostKey, str, str]]:
    return [tuple(entry) for entry in KnownHosts([("kh", text)]).lookup(name)]


def line(names: str, key: HostKey = ED25519) -> str:
    return f"{names} {key.type} {key.base64}"


def test_a_line_gives_its_key_to_each_of_its_names_and_knows_its_place() -> None:
    text = f"# hubs\n\n{line('hub,10.0.0.1')} a comment\n{line('[hub]:2222', OTHER)}\n"
    assert found(text, "hub") == found(text, "10.0.0.1") == [(ED25519, "", "kh:3")]
    assert found(text, "[hub]:2222") == [(OTHER, "", "kh:4")]
    assert found(text, "bub") == []


def test_names_are_compared_without_case() -> None:
    assert found(line("HUB"), "hub") == found(line("hub"), "HUB") == [(ED25519, "", "kh:1")]


@pytest.mark.parametrize(
    ("names", "name", "fits"),
    [
        ("*", "hub", True),
        ("*.example", "hub.example", True),
        ("*.example", "hub.example.org", False),
        ("hu?", "hub", True),
        ("hu?", "hu", False),
        ("*.example,!hub.example", "hub.example", False),
        ("*.example,!hub.example", "spoke.example", True),
        ("[*.example]:2222", "[hub.example]:2222", True),
        ("h.b", "hub", False),
        ("hub*,!HUB2", "hub2", False),
    ],
)
def test_patterns(names: str, name: str, fits: bool) -> None:
    assert bool(found(line(names), name)) is fits


def test_markers_are_told() -> None:
    text = f"@revoked * {ED25519.type} {ED25519.base64}\n@cert-authority *.example {line('', RSA).strip()}\n"
    assert found(text, "hub.example") == [(ED25519, "@revoked", "kh:1"), (RSA, "@cert-authority", "kh:2")]


@pytest.mark.parametrize(
    "text",
    [
        "hub",
        "hub ssh-ed25519",
        "hub ssh-ed25519 AAAA!",
        line("hub", HostKey("ssh-rsa", ED25519.base64)),
        "@x " + line("hub"),
    ],
)
def test_what_is_no_known_hosts_line_stands_for_nothing(text: str) -> None:
    assert found(text, "hub") == []


def test_hashed_lines_as_ssh_keygen_writes_them(tmp_path: Path) -> None:
    file = tmp_path / "known_hosts"
    file.write_text(f"{line('hub')}\n{line('[spoke]:2222', OTHER)}\n")
    subprocess.run(["ssh-keygen", "-q", "-H", "-f", file], check=True, capture_output=True)
    text = file.read_text()
    assert "hub" not in text
    assert found(text, "hub") == [(ED25519, "", "kh:1")]
    assert found(text, "[spoke]:2222") == [(OTHER, "", "kh:2")]
    assert found(replace_host(text, "hub", [RSA]), "hub") == [(RSA, "", "kh:2")]


def test_fingerprints_as_ssh_keygen_prints_them(tmp_path: Path) -> None:
    file = tmp_path / "key.pub"
    file.write_text(f"{ED25519.type} {ED25519.base64}\n")
    printed = subprocess.run(["ssh-keygen", "-l", "-f", file], check=True, capture_output=True, text=True).stdout
    assert ED25519.fingerprint in printed.split()
    assert str(ED25519) == f"ed25519 {ED25519.fingerprint}"


def test_a_port_other_than_22_is_part_of_the_name() -> None:
    assert (host_key_name("Hub", 22), host_key_name("10.0.0.1", 2222)) == ("hub", "[10.0.0.1]:2222")


def test_a_file_that_is_missing_is_empty_and_one_that_cannot_be_read_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "known").write_text(line("hub"))
    known = read_known_hosts((str(tmp_path / "none"), str(tmp_path / "known")))
    assert [entry.place for entry in known.lookup("hub")] == [f"{tmp_path}/known:1"]
    with pytest.raises(OperatorError, match="known_hosts cannot be read"):
        read_known_hosts((str(tmp_path),))


@given(LINES, NAMES)
def test_any_text_can_be_read(text: str, name: str) -> None:
    assert all(entry.key.fingerprint for entry in KnownHosts([("kh", text)]).lookup(name))


@given(LINES, NAMES, KEYS)
def test_after_adding_the_keys_are_known_and_adding_again_changes_nothing(
    text: str, name: str, keys: list[HostKey]
) -> None:
    added = add_host(text, name, keys)
    assert added.startswith(text)
    assert set(keys) <= {entry.key for entry in KnownHosts([("", added)]).lookup(name)}
    assert add_host(added, name, keys) == added


@given(LINES, NAMES, NAMES, KEYS)
def test_after_replacing_only_these_keys_stand_and_no_other_host_has_changed(
    text: str, name: str, other: str, keys: list[HostKey]
) -> None:
    replaced = replace_host(text, name, keys)
    plain = [entry.key for entry in KnownHosts([("", replaced)]).lookup(name) if not entry.marker]
    assert set(plain) >= set(keys)
    assert not set(plain) - set(keys) or "*" in text or "?" in text
    if other != name:
        before, after = ([entry[:2] for entry in KnownHosts([("", t)]).lookup(other)] for t in (text, replaced))
        assert before == after


def test_replacing_keeps_the_other_names_of_a_line_and_revocations() -> None:
    text = f"{line('hub,spoke')}\n@revoked hub {line('', OTHER).strip()}\n# end\n"
    replaced = replace_host(text, "hub", [RSA])
    assert replaced == f"{line('spoke')}\n@revoked hub {line('', OTHER).strip()}\n# end\n{line('hub', RSA)}\n"
