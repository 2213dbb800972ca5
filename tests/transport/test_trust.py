from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from ipsecfleet.errors import UnreachableError
from ipsecfleet.transport import SshTransport, Visit, add_host, replace_host
from ipsecfleet.transport.trust import fetch_host_keys


@pytest.fixture
def many_keys(sshd_with: Callable[..., Any]) -> Any:
    """A server with a host key of each type; the second word of a public key file is the key."""
    return sshd_with("rsa", "ecdsa")


def test_all_keys_are_shown_without_a_login(many_keys: Any, tmp_path: Path) -> None:
    known = tmp_path / "known"
    shown = fetch_host_keys(many_keys.gateway(known_hosts=str(known), user="nobody-at-all", identity="/none"))
    public = [
        (many_keys.home / name).read_text().split()[:2] for name in ("host.pub", "host_ecdsa.pub", "host_rsa.pub")
    ]
    assert [[key.type, key.base64] for key in shown.keys] == public
    assert (shown.name, shown.file) == (many_keys.name, str(known))
    log = (many_keys.home / "log").read_text()
    assert (many_keys.logins, log.count("Connection from"), "nobody-at-all" in log) == (0, 3, False)


@pytest.mark.parametrize("change", [add_host, replace_host])
def test_what_is_added_is_then_trusted(
    ssh: SshTransport, sshd: Any, tmp_path: Path, change: Callable[..., str]
) -> None:
    known = tmp_path / "known"
    known.write_text(f"{sshd.name} ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIA9zWhr1iNvZBl+Z4q1dfXEBgBWZLyNS3Vmd8i6nbNQY\n")
    gateway = sshd.gateway(known_hosts=str(known))
    shown = fetch_host_keys(gateway)
    known.write_text(change(known.read_text(), shown.name, shown.keys))
    assert ssh.visit(Visit(gateway, "true", b"", deadline_s=5, limit=10)).exit == 0


def test_who_is_not_there_shows_nothing(sshd: Any, listen: Callable[..., Any]) -> None:
    with pytest.raises(UnreachableError, match="silent: hub") as caught:
        fetch_host_keys(sshd.gateway(port=listen(stays=True).port), timeout=0.3)
    assert caught.value.phase == "banner"


def test_a_jump_host_must_be_known_before_one_can_look_beyond_it(sshd: Any, jump: Any) -> None:
    gateway = sshd.gateway(jump=f"localhost:{jump.port}")
    with pytest.raises(UnreachableError, match="unknown host key: jump host localhost offers"):
        fetch_host_keys(gateway)
    known = jump.home / "known_hosts"
    known.write_text(add_host("", f"[localhost]:{jump.port}", fetch_host_keys(jump.gateway()).keys))
    shown = fetch_host_keys(sshd.gateway(jump=f"localhost:{jump.port}", known_hosts=str(known)))
    assert [f"{key.type} {key.base64}" for key in shown.keys] == [sshd.host_key]
