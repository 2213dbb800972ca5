"""Against a real sshd: what a visit does when all is well, and how it fails when it is not."""

import os
import signal
import socket
import subprocess
import sys
import textwrap
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor, as_completed
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from servers import wait_for

from ipsecfleet.errors import Exit, GatewayError, UnreachableError
from ipsecfleet.model.fleet import Gateway
from ipsecfleet.transport import Outcome, SshTransport, Visit
from ipsecfleet.transport.manners import HANDSHAKES

MEGABYTE = 1 << 20


def visit(
    transport: SshTransport, gateway: Gateway, command: str = "true", stdin: bytes = b"", **options: Any
) -> Outcome:
    return transport.visit(Visit(gateway, command, stdin, **{"deadline_s": 5, "limit": 4 * MEGABYTE} | options))


def failure(transport: SshTransport, gateway: Gateway, command: str = "true", **options: Any) -> GatewayError:
    with pytest.raises(GatewayError) as caught:
        visit(transport, gateway, command, **options)
    assert caught.value.obj == gateway.name
    assert caught.value.hint
    return caught.value


def unreached(transport: SshTransport, gateway: Gateway, phase: str) -> UnreachableError:
    error = failure(transport, gateway, "touch $HOME/started")
    assert isinstance(error, UnreachableError)
    assert (error.phase, error.exit_code) == (phase, Exit.UNREACHABLE)
    assert not Path("~/started").expanduser().exists()
    return error


def socket_of(transport: SshTransport, gateway: Gateway) -> socket.socket:
    paths = transport.paths
    route = paths.general._resolver.route(gateway)
    if paths.fast is not None and route in paths.fast._ways:
        return paths.fast._ways[route]._line._sock
    return paths.general.links.to(route).connection()[0].transport.sock


# When all is well.


def test_a_megabyte_goes_in_and_out(ssh: SshTransport, sshd: Any) -> None:
    sent = os.urandom(MEGABYTE)
    outcome = visit(ssh, sshd.gateway(), "cat; echo done >&2", sent)
    assert (outcome.stdout == sent, outcome.stderr, outcome.exit) == (True, b"done\n", 0)


def test_much_on_stderr_blocks_nothing(ssh: SshTransport, sshd: Any) -> None:
    command = "head -c 3000000 /dev/zero >&2; cat | wc -c"
    outcome = visit(ssh, sshd.gateway(), command, b"x" * 3_000_000)
    assert (len(outcome.stderr), outcome.stdout.strip()) == (3_000_000, b"3000000")


def test_a_command_that_reads_nothing_leaves_the_rest_unsent(ssh: SshTransport, sshd: Any) -> None:
    command = 'echo "ipsecfleet $SSH_CONNECTION"; echo "doas: Operation not permitted" >&2; exit 1'
    outcome = visit(ssh, sshd.gateway(), command, b"x" * 8 * MEGABYTE)
    assert outcome.exit == 1
    assert outcome.stdout.startswith(b"ipsecfleet 127.0.0.1 ")
    assert outcome.stdout.count(b"\n") == 1
    assert outcome.stderr == b"doas: Operation not permitted\n"


def test_the_end_of_stdin_is_told(ssh: SshTransport, sshd: Any) -> None:
    assert visit(ssh, sshd.gateway(), "cat; echo end").stdout == b"end\n"


def test_a_command_ended_by_a_signal_has_no_exit_status(ssh: SshTransport, sshd: Any) -> None:
    assert visit(ssh, sshd.gateway(), "kill -9 $$").exit is None


def test_visits_share_one_connection(ssh: SshTransport, sshd: Any) -> None:
    before = sshd.logins
    sessions = {visit(ssh, sshd.gateway(), "echo $PPID").stdout for _ in range(3)}
    assert (len(sessions), sshd.logins - before) == (1, 1)


def test_visits_at_the_same_time_share_one_connection(ssh: SshTransport, sshd: Any) -> None:
    before = sshd.logins
    with ThreadPoolExecutor(6) as pool:
        outcomes = list(pool.map(lambda n: visit(ssh, sshd.gateway(), f"echo {n}; cat", b"x" * n).stdout, range(6)))
    assert outcomes == [b"%d\n" % n + b"x" * n for n in range(6)]
    assert sshd.logins - before == 1


def test_small_packets_are_not_held_back(ssh: SshTransport, sshd: Any) -> None:
    visit(ssh, sshd.gateway())
    assert socket_of(ssh, sshd.gateway()).getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)


def let_it_notice(transport: SshTransport, gateway: Gateway) -> None:
    """The fast path sees by itself that a connection has died, before the next visit; the other one at that visit."""
    fast = transport.paths.fast
    if fast is not None:
        way = fast._ways[transport.paths.general._resolver.route(gateway)]
        wait_for(lambda: way._line is None, "the fast path lets go of the connection")


def test_a_server_that_died_between_visits_is_logged_in_to_again(ssh: SshTransport, sshd: Any) -> None:
    first = int(visit(ssh, sshd.gateway(), "echo $PPID").stdout)
    os.kill(first, signal.SIGKILL)
    let_it_notice(ssh, sshd.gateway())
    assert int(visit(ssh, sshd.gateway(), "echo $PPID").stdout) != first


def test_a_server_that_dies_just_before_a_visit_ends_it_or_is_logged_in_to_again(ssh: SshTransport, sshd: Any) -> None:
    """Whichever is noticed first: a visit always ends, and a command that may have run is not repeated."""
    for _ in range(10):
        first = int(visit(ssh, sshd.gateway(), "echo $PPID").stdout)
        os.kill(first, signal.SIGKILL)
        with suppress(GatewayError):
            assert int(visit(ssh, sshd.gateway(), "echo $PPID", deadline_s=2).stdout) != first


def test_a_server_that_froze_between_visits_is_logged_in_to_again(
    ssh: SshTransport, sshd: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("ipsecfleet.transport.fast.line.ASKED_EVERY_S", 0.2)
    gateway = sshd.gateway(connect_timeout=1)
    first = int(visit(ssh, gateway, "echo $PPID").stdout)
    os.kill(first, signal.SIGSTOP)
    try:
        let_it_notice(ssh, gateway)
        assert int(visit(ssh, gateway, "echo $PPID").stdout) != first
    finally:
        os.kill(first, signal.SIGKILL)


def test_ssh_config_says_what_the_inventory_leaves_open(sshd: Any, bare_home: Path, user: str) -> None:
    (bare_home / ".ssh/config").write_text("Include conf.d/*\nHost *\n  User nobody-at-all\n")
    (bare_home / ".ssh/conf.d").mkdir()
    (bare_home / ".ssh/conf.d/hub").write_text(
        f"Host hub\n HostName 127.0.0.1\n Port {sshd.port}\n User {user}\n"
        f"IdentityFile {sshd.identity}\n HostKeyAlias a\n"
    )
    (bare_home / ".ssh/known_hosts").write_text(f"a {sshd.host_key}\n")
    with SshTransport() as transport:
        assert visit(transport, Gateway("hub", "hub"), "echo hello").stdout == b"hello\n"
        refused = failure(
            transport, Gateway("other", "127.0.0.1", port=sshd.port, known_hosts=f"{sshd.home}/known_hosts")
        )
        assert "no key to log in with" in refused.message


# Host keys.


def test_an_unknown_host_key_is_refused_before_the_login(ssh: SshTransport, sshd: Any, tmp_path: Path) -> None:
    before = sshd.logins
    error = unreached(ssh, sshd.gateway(known_hosts=str(tmp_path / "none")), "hostkey")
    assert error.message.startswith("unknown host key: hub offers ed25519 SHA256:")
    assert error.hint == "add it with `ipsecfleet trust hub`"
    assert sshd.logins == before


def test_a_changed_host_key_names_the_line_and_both_keys(ssh: SshTransport, sshd: Any, tmp_path: Path) -> None:
    other = "AAAAC3NzaC1lZDI1NTE5AAAAIA9zWhr1iNvZBl+Z4q1dfXEBgBWZLyNS3Vmd8i6nbNQY"
    known = tmp_path / "known"
    known.write_text(f"# one\n{sshd.name} ssh-ed25519 {other}\n")
    error = unreached(ssh, sshd.gateway(known_hosts=str(known)), "hostkey")
    assert error.message.startswith("changed host key: hub offers ed25519 SHA256:")
    assert error.message.endswith(f"({known}:2)")
    assert error.message.count("SHA256:") == 2
    assert "`ipsecfleet trust --replace hub`" in error.hint


def test_a_host_that_no_longer_shows_a_key_of_the_known_type_has_changed(
    ssh: SshTransport, sshd: Any, tmp_path: Path
) -> None:
    known = tmp_path / "known"
    known.write_text(f"{sshd.name} ssh-rsa AAAAB3NzaC1yc2EAAAADAQABAAAAQQ==\n")
    error = unreached(ssh, sshd.gateway(known_hosts=str(known)), "hostkey")
    assert error.message.startswith("changed host key: hub no longer offers rsa SHA256:")


def test_a_server_is_asked_for_the_key_that_is_known_of_it(
    ssh: SshTransport, sshd_with: Callable[..., Any], tmp_path: Path
) -> None:
    server, known = sshd_with("ecdsa"), tmp_path / "known"
    known.write_text(f"{server.name} {(server.home / 'host_ecdsa.pub').read_text()}")
    assert visit(ssh, server.gateway(known_hosts=str(known))).exit == 0


def test_a_revoked_host_key_is_refused_though_it_is_known(ssh: SshTransport, sshd: Any, tmp_path: Path) -> None:
    known = tmp_path / "known"
    known.write_text(f"{sshd.known_hosts}@revoked * {sshd.host_key}\n")
    error = unreached(ssh, sshd.gateway(known_hosts=str(known)), "hostkey")
    assert error.message.startswith("revoked host key: hub shows ed25519 SHA256:")
    assert error.message.endswith(f"revoked at {known}:2")


# Users and keys.


def test_a_wrong_key_is_named_and_not_tried_again(ssh: SshTransport, sshd: Any, tmp_path: Path, user: str) -> None:
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", tmp_path / "wrong"], check=True)
    gateway = sshd.gateway(identity=str(tmp_path / "wrong"))
    log = sshd.home / "log"
    error = unreached(ssh, gateway, "auth")
    assert f"login refused: {user}@hub (127.0.0.1 port {sshd.port}) with ed25519 SHA256:" in error.message
    assert error.message.endswith(f"from {tmp_path}/wrong")
    attempts = log.read_text().count("Connection from")
    assert unreached(ssh, gateway, "auth").message == error.message
    assert log.read_text().count("Connection from") == attempts


def test_a_wrong_user_is_named(ssh: SshTransport, sshd: Any) -> None:
    assert "login refused: nobody-at-all@hub " in unreached(ssh, sshd.gateway(user="nobody-at-all"), "auth").message


@pytest.mark.parametrize(
    ("file", "message"),
    [
        ("missing", "no such key: {}/missing"),
        ("text", "key {}/text cannot be used: "),
        ("locked", "key {}/locked cannot be used: it is encrypted and no agent holds it"),
    ],
)
def test_a_key_that_cannot_be_used_costs_no_connection(
    ssh: SshTransport, sshd: Any, tmp_path: Path, file: str, message: str
) -> None:
    (tmp_path / "text").write_text("no key\n")
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "secret", "-f", tmp_path / "locked"], check=True)
    log = sshd.home / "log"
    attempts = log.read_text().count("Connection from")
    error = unreached(ssh, sshd.gateway(identity=str(tmp_path / file)), "auth")
    assert error.message.startswith(message.format(tmp_path))
    assert log.read_text().count("Connection from") == attempts


@pytest.fixture
def agent(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    path = tmp_path / "agent"
    process = subprocess.Popen(["ssh-agent", "-D", "-a", str(path)], stdout=subprocess.DEVNULL)
    monkeypatch.setenv("SSH_AUTH_SOCK", str(path))
    wait_for(path.exists, "the agent starts")
    yield
    process.terminate()
    process.wait(5)


def test_the_agent_opens_an_encrypted_key_and_stands_in_for_none(
    ssh: SshTransport, sshd: Any, agent: None, tmp_path: Path
) -> None:
    locked = tmp_path / "locked"
    locked.write_bytes(sshd.identity.read_bytes())
    locked.chmod(0o600)
    (tmp_path / "locked.pub").write_text(sshd.identity.with_name("id.pub").read_text())
    subprocess.run(["ssh-add", "-q", locked], check=True)
    subprocess.run(["ssh-keygen", "-q", "-p", "-P", "", "-N", "secret", "-f", locked], check=True, capture_output=True)
    assert visit(ssh, sshd.gateway(identity=str(locked))).exit == 0
    assert visit(ssh, sshd.gateway(identity=None)).exit == 0


# Servers that are none, or no longer.


def test_a_refused_connection(ssh: SshTransport, sshd: Any) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    error = unreached(ssh, sshd.gateway(port=port), "tcp")
    assert error.message == f"connection refused: hub (127.0.0.1 port {port})"


def test_a_name_that_does_not_resolve(ssh: SshTransport, sshd: Any) -> None:
    error = unreached(ssh, sshd.gateway(address="hub.invalid"), "tcp")
    assert error.message.startswith("no such host: hub (hub.invalid port ")


def test_a_port_that_never_speaks(ssh: SshTransport, sshd: Any, listen: Callable[..., Any]) -> None:
    began = time.monotonic()
    error = unreached(ssh, sshd.gateway(port=listen(stays=True).port, connect_timeout=0.3), "banner")
    assert error.message.startswith("silent: hub ")
    assert error.message.endswith("then no ssh banner within 0.3 s")
    assert time.monotonic() - began < 0.3 + 1


def test_a_server_that_greets_and_then_falls_silent(ssh: SshTransport, sshd: Any, listen: Callable[..., Any]) -> None:
    listener = listen(b"SSH-2.0-OpenSSH_9.9\r\n", stays=True)
    error = unreached(ssh, sshd.gateway(port=listener.port, connect_timeout=0.3), "kex")
    assert error.message.endswith("then no key exchange within 0.3 s")


def test_a_server_that_is_no_sshd(
    ssh: SshTransport, sshd: Any, listen: Callable[..., Any], capfd: pytest.CaptureFixture[str]
) -> None:
    listener = listen(b"220 \x1b[2Jmail ready\r\n" * 101)
    error = unreached(ssh, sshd.gateway(port=listener.port), "banner")
    assert error.message.startswith("not ssh: hub ")
    assert r'said "220 \x1b[2Jmail ready"' in error.message
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize("said", [b"", b"Not allowed at this time\r\n", b"Exceeded MaxStartups\r\n"])
def test_a_server_that_hangs_up_before_its_banner_may_punish_us(
    ssh: SshTransport, sshd: Any, listen: Callable[..., Any], said: bytes
) -> None:
    error = unreached(ssh, sshd.gateway(port=listen(said).port), "banner")
    assert error.message.startswith("turned away: hub ")
    assert said.decode().strip() in error.message
    assert "PerSourcePenalties" in error.hint


def test_a_session_frozen_in_the_middle_of_a_command(ssh: SshTransport, sshd: Any, tmp_path: Path) -> None:
    gateway = sshd.gateway()
    pid = int(visit(ssh, gateway, "echo $PPID").stdout)
    began = time.monotonic()
    try:
        error = failure(
            ssh,
            gateway,
            "cat > /dev/null",
            stdin=b"x" * 16 * MEGABYTE,
            deadline_s=0.5,
            on_started=lambda: os.kill(pid, signal.SIGSTOP),
        )
    finally:
        os.kill(pid, signal.SIGKILL)
    assert time.monotonic() - began < 0.5 + 1
    assert not isinstance(error, UnreachableError)
    assert (error.phase, error.exit_code) == ("command", Exit.FAILED)
    assert error.message.startswith("no end: the command on hub ran over 0.5 s")


def test_a_connection_lost_in_the_middle_of_a_command_is_not_a_reason_to_repeat_it(
    ssh: SshTransport, sshd: Any, tmp_path: Path
) -> None:
    counter = tmp_path / "runs"
    error = failure(ssh, sshd.gateway(), f"echo ran >> {counter}; kill -9 $PPID; exec cat")
    assert (type(error), error.phase) == (GatewayError, "command")
    assert error.message == "connection lost: hub hung up while the command ran"
    assert counter.read_text() == "ran\n"


def test_a_frozen_server_keeps_no_process_from_its_end(sshd: Any) -> None:
    script = f"""
        import os, signal
        from ipsecfleet.errors import GatewayError
        from ipsecfleet.model.fleet import Gateway, Paths
        from ipsecfleet.transport import SshTransport, Visit
        gateway = {sshd.gateway()!r}
        transport = SshTransport()
        pid = int(transport.visit(Visit(gateway, "echo $PPID", b"", deadline_s=5, limit=100)).stdout)
        print(pid, flush=True)
        try:
            transport.visit(Visit(gateway, "cat", b"x" * {8 * MEGABYTE}, deadline_s=0.3, limit=100,
                                  on_started=lambda: os.kill(pid, signal.SIGSTOP)))
        except GatewayError as error:
            print(error.phase)
    """
    command = [sys.executable, "-c", textwrap.dedent(script)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=8, check=False)
    pid, phase = done.stdout.split()
    with suppress(ProcessLookupError):
        os.kill(int(pid), signal.SIGKILL)
    assert (phase, done.returncode, done.stderr) == ("command", 0, "")


def test_output_without_end_is_cut_off_in_little_memory(sshd: Any) -> None:
    """Both streams at once, as fast as the server can: what is kept is the limit, and no more is read."""
    script = f"""
        import resource
        from ipsecfleet.errors import GatewayError
        from ipsecfleet.transport import SshTransport, Visit
        from ipsecfleet.model.fleet import Gateway, Paths
        gateway = {sshd.gateway()!r}
        transport = SshTransport()
        transport.visit(Visit(gateway, "true", b"", deadline_s=5, limit=100))
        used = lambda: resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        before = used()
        try:
            transport.visit(Visit(gateway, "yes & yes >&2", b"", deadline_s=20, limit={4 * MEGABYTE}))
        except GatewayError as error:
            print(used() - before, error.message)
    """
    command = [sys.executable, "-c", textwrap.dedent(script)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=30, check=False)
    grown, _, message = done.stdout.strip().partition(" ")
    assert message == f"too much output: hub sent more than {4 * MEGABYTE} bytes"
    assert int(grown) < 32 << 10


# Jump hosts.


def through(jump: Any, sshd: Any, bare_home: Path) -> str:
    (bare_home / ".ssh/config").write_text(
        f"Host bastion\n HostName 127.0.0.1\n Port {jump.port}\n IdentityFile {jump.identity}\n"
        "Host via-*\n ProxyJump bastion\n"
    )
    return str(jump.home / "known_hosts")


def test_a_jump_host_is_logged_in_to_once_for_all(ssh: SshTransport, sshd: Any, jump: Any, bare_home: Path) -> None:
    known = through(jump, sshd, bare_home)
    gateways = [sshd.gateway(f"hub{n}", jump="bastion", known_hosts=known) for n in range(12)]
    before = sshd.logins
    with ThreadPoolExecutor(12) as pool:
        outcomes = list(pool.map(lambda gateway: visit(ssh, gateway, "echo $PPID"), gateways))
    assert len({outcome.stdout for outcome in outcomes}) == 12
    assert (jump.logins, sshd.logins - before) == (1, 12)


def test_ssh_config_names_jump_hosts_too(ssh: SshTransport, sshd: Any, jump: Any, bare_home: Path) -> None:
    known = through(jump, sshd, bare_home)
    with (bare_home / ".ssh/config").open("a") as config:
        config.write(" HostName 127.0.0.1\n")
    assert visit(ssh, sshd.gateway(address="via-bastion", known_hosts=known)).exit == 0
    assert jump.logins == 1


def test_a_proxy_command_is_a_way_too_and_ends_with_the_run(ssh: SshTransport, sshd: Any, bare_home: Path) -> None:
    script = """
        import os, socket, sys, threading
        server = socket.create_connection(("127.0.0.1", int(sys.argv[1])))
        def copy(read, write):
            while data := read(65536):
                write(data)
        threading.Thread(target=copy, args=(lambda n: os.read(0, n), server.sendall), daemon=True).start()
        copy(server.recv, lambda data: os.write(1, data))
    """
    (bare_home / "proxy.py").write_text(textwrap.dedent(script))
    (bare_home / ".ssh/config").write_text(f"Host 127.0.0.1\n ProxyCommand {sys.executable} {bare_home}/proxy.py %p\n")
    assert visit(ssh, sshd.gateway(), "echo hello").stdout == b"hello\n"
    process = socket_of(ssh, sshd.gateway()).process
    assert process.poll() is None
    ssh.close()
    assert process.wait(5) == -signal.SIGHUP


def test_a_proxy_command_that_fails_is_named(
    ssh: SshTransport, sshd: Any, bare_home: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    (bare_home / ".ssh/config").write_text("Host 127.0.0.1\n ProxyCommand echo %h:%p %r >&2; exit 1\n")
    error = unreached(ssh, sshd.gateway(user="alice"), "banner")
    assert error.message.startswith("no way through: the ProxyCommand of hub ")
    assert f"127.0.0.1:{sshd.port} alice" in error.hint
    assert capfd.readouterr() == ("", "")


def test_four_handshakes_at_a_time_through_a_jump_host(
    ssh: SshTransport, sshd: Any, jump: Any, bare_home: Path, listen: Callable[..., Any]
) -> None:
    known = through(jump, sshd, bare_home)
    silent = [listen(stays=True), listen(stays=True)]
    gateways = [
        sshd.gateway(f"g{n}", jump="bastion", known_hosts=known, port=silent[n % 2].port, connect_timeout=1)
        for n in range(10)
    ]
    with ThreadPoolExecutor(10) as pool:
        visits = [pool.submit(failure, ssh, gateway) for gateway in gateways]
        first = next(as_completed(visits)).result()
        begun = sum(listener.total for listener in silent)
        assert HANDSHAKES <= begun <= HANDSHAKES + sum(visit.done() for visit in visits)
        ssh.close()
    assert (first.phase, jump.logins) == ("banner", 1)


def test_four_handshakes_at_a_time_with_one_address(ssh: SshTransport, sshd: Any, listen: Callable[..., Any]) -> None:
    silent = listen(stays=True)
    gateways = [sshd.gateway(f"g{n}", port=silent.port, connect_timeout=0.3) for n in range(10)]
    with ThreadPoolExecutor(10) as pool:
        list(pool.map(lambda gateway: failure(ssh, gateway), gateways))
    assert (silent.total, silent.most) == (10, HANDSHAKES)


def test_the_failure_of_a_jump_host_is_shared(
    ssh: SshTransport, sshd: Any, jump: Any, bare_home: Path, tmp_path: Path
) -> None:
    through(jump, sshd, bare_home)
    gateways = [sshd.gateway(f"hub{n}", jump="bastion") for n in range(6)]
    with ThreadPoolExecutor(6) as pool:
        errors = list(pool.map(lambda gateway: failure(ssh, gateway), gateways))
    assert {(error.phase, error.hint) for error in errors} == {("hostkey", "add it with `ipsecfleet trust bastion`")}
    assert errors[0].message.startswith("unknown host key: jump host bastion offers ed25519 ")
    assert (jump.home / "log").read_text().count("Connection from") == 1


def test_a_jump_host_that_cannot_go_on(ssh: SshTransport, sshd: Any, jump: Any, bare_home: Path) -> None:
    known = through(jump, sshd, bare_home)
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    error = unreached(ssh, sshd.gateway(jump="bastion", known_hosts=known, port=port), "tcp")
    assert error.message.startswith(
        f"no way through: jump host bastion cannot connect to hub (127.0.0.1 port {port}): "
    )


# The end.


def test_nothing_is_visited_after_the_end(sshd: Any) -> None:
    transport = SshTransport()
    visit(transport, sshd.gateway())
    transport.close()
    with pytest.raises(UnreachableError, match="the run is ending"):
        visit(transport, sshd.gateway())


def test_the_end_ends_a_visit_under_way(sshd: Any) -> None:
    transport = SshTransport()
    error = failure(transport, sshd.gateway(), "exec sleep 5", on_started=transport.close)
    assert (error.phase, type(error)) == ("command", GatewayError)


def test_fabric_and_paramiko_are_not_loaded_before_a_visit() -> None:
    loaded = "bool({'fabric', 'paramiko'} & set(sys.modules))"
    script = f"import sys, ipsecfleet.transport as t; t.SshTransport(); sys.exit({loaded})"
    assert subprocess.run([sys.executable, "-c", script], check=False).returncode == 0
