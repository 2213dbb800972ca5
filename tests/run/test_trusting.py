"""Which host keys are written down, which are asked about, which refused."""

from collections.abc import Callable
from pathlib import Path

import pytest

from ipsecfleet.errors import Exit, UnreachableError
from ipsecfleet.model.document import Document
from ipsecfleet.model.fleet import Gateway
from ipsecfleet.run.trusting import Trust
from ipsecfleet.transport.known_hosts import REVOKED, HostKey, add_host
from ipsecfleet.transport.trust import ShownKeys


def key(kind: str, secret: str) -> HostKey:
    return HostKey.from_blob(b"".join(len(part).to_bytes(4) + part.encode() for part in (kind, secret)))


OLD, NEW, RSA = key("ssh-ed25519", "old"), key("ssh-ed25519", "new"), key("ssh-rsa", "rsa")


def line(known: HostKey) -> str:
    return f"198.51.100.11 {known.type} {known.base64}"


HUB = Gateway("hub", "198.51.100.11")
DEAD = Gateway("dead", "198.51.100.12")
ANY: frozenset[str] = frozenset()


@pytest.fixture
def known(tmp_path: Path) -> Path:
    return tmp_path / "below" / "known_hosts"


@pytest.fixture
def trust(known: Path) -> Callable[..., Document]:
    def run(
        *shown: HostKey,
        gateways: tuple[Gateway, ...] = (HUB,),
        accept: bool = True,
        fingerprints: frozenset[str] = ANY,
        replace: bool = False,
    ) -> Document:
        def fetch(gateway: Gateway, _timeout: float | None) -> ShownKeys:
            if gateway is DEAD:
                raise UnreachableError("no answer: dead", phase="tcp", obj="dead")
            return ShownKeys(gateway.address, str(known), shown)

        asked = Trust(fingerprints, replace, lambda _gateway, _shown: accept, fetch=fetch)
        return asked.all(gateways, fanout=4)

    return run


def told(document: Document) -> list[str]:
    return [f.subject for f in document.findings or ()]


def test_what_is_accepted_is_written_and_known_afterwards(trust: Callable[..., Document], known: Path) -> None:
    assert told(trust(NEW, OLD)) == ["trusted", "trusted"]
    assert known.read_text().splitlines() == [line(NEW), line(OLD)]
    assert known.stat().st_mode & 0o777 == 0o600
    again = trust(NEW, OLD, accept=False)
    assert (told(again), again.exit_code) == (["known"], Exit.OK)
    assert [path.name for path in known.parent.iterdir()] == ["known_hosts"]


def test_a_server_may_show_more_keys_than_are_known(trust: Callable[..., Document], known: Path) -> None:
    trust(NEW)
    assert told(trust(NEW, RSA)) == ["known"]
    assert "ssh-rsa" not in known.read_text()


def test_what_is_not_accepted_is_not_written(trust: Callable[..., Document], known: Path) -> None:
    document = trust(NEW, accept=False)
    assert (document.exit_code, document.result, document.errors[0].kind) == (Exit.REFUSED, "refused", "declined")
    assert not known.exists()


def test_a_changed_key_is_refused_unless_it_is_to_be_replaced(trust: Callable[..., Document], known: Path) -> None:
    trust(OLD)
    document = trust(NEW)
    assert (document.exit_code, document.errors[0].kind) == (Exit.REFUSED, "changed-key")
    assert document.errors[0].hint == "if you know why: ipsecfleet trust --replace hub"
    assert OLD.base64 in known.read_text()
    assert told(trust(NEW, replace=True)) == ["trusted"]
    assert known.read_text() == f"{line(NEW)}\n"


def test_other_hosts_are_left_alone(trust: Callable[..., Document], known: Path) -> None:
    known.parent.mkdir()
    known.write_text(add_host("# ours\n", "192.0.2.1", [RSA]))
    trust(NEW)
    assert known.read_text() == f"# ours\n192.0.2.1 ssh-rsa {RSA.base64}\n{line(NEW)}\n"


def test_a_fingerprint_is_accepted_without_asking_and_nothing_else(trust: Callable[..., Document], known: Path) -> None:
    wanted = frozenset({NEW.fingerprint})
    assert trust(OLD, fingerprints=wanted).errors[0].kind == "fingerprint"
    assert told(trust(OLD, NEW, accept=False, fingerprints=wanted)) == ["trusted"]
    assert known.read_text() == f"{line(NEW)}\n"


@pytest.mark.parametrize("replace", [False, True])
def test_a_revoked_key_is_never_written(trust: Callable[..., Document], known: Path, replace: bool) -> None:
    known.parent.mkdir()
    known.write_text(f"{REVOKED} * {NEW.type} {NEW.base64}\n")
    document = trust(NEW, replace=replace)
    assert (document.exit_code, document.errors[0].kind) == (Exit.REFUSED, "revoked-key")
    assert known.read_text() == f"{REVOKED} * {NEW.type} {NEW.base64}\n"


def test_who_gave_no_answer_is_told_and_the_others_are_trusted(trust: Callable[..., Document]) -> None:
    document = trust(RSA, gateways=(DEAD, HUB))
    assert (told(document), document.exit_code) == (["trusted"], Exit.UNREACHABLE)
    assert [e.message for e in document.errors] == ["no answer: dead"]
