"""A real sshd on loopback, listeners that are no sshd, and an environment without keys, agent or ssh_config."""

import getpass
import os
import re
import select
import shutil
import socket
import subprocess
from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager, contextmanager, suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from threading import Thread

import pytest
from servers import free_port, keygen, wait_for

from ipsecfleet.model.fleet import Gateway
from ipsecfleet.transport import Outcome, SshTransport, Visit, failures
from ipsecfleet.transport.contract import Visited
from ipsecfleet.transport.paths import Paths

_CONFIG = """\
ListenAddress 127.0.0.1:{port}
HostKey {home}/host
PidFile none
AuthorizedKeysFile {home}/authorized_keys
StrictModes no
PermitRootLogin yes
PasswordAuthentication no
KbdInteractiveAuthentication no
UsePAM no
LogLevel VERBOSE
MaxStartups {startups}
"""


@dataclass
class Sshd:
    """A running sshd; one identity may log in, as whoever runs the tests."""

    home: Path
    port: int
    host_key: str
    identity: Path
    process: subprocess.Popen[bytes] = field(repr=False)

    @property
    def name(self) -> str:
        return f"[127.0.0.1]:{self.port}"

    @property
    def logins(self) -> int:
        return len(re.findall("Accepted publickey", (self.home / "log").read_text()))

    @property
    def known_hosts(self) -> str:
        return f"{self.name} {self.host_key}\n"

    def gateway(self, name: str = "hub", **changes: object) -> Gateway:
        """This server as a gateway of the inventory."""
        known = self.home / "known_hosts"
        gateway = Gateway(
            name, "127.0.0.1", port=self.port, identity=str(self.identity), known_hosts=str(known), connect_timeout=5
        )
        return replace(gateway, **changes)  # type: ignore[arg-type]


def start_sshd(
    home: Path, identity: Path, more_keys: tuple[str, ...] = (), *, startups: str = "6:100:6", more: str = ""
) -> Sshd:
    program = shutil.which("sshd", path=f"{os.environ.get('PATH', '')}:/usr/sbin:/usr/local/sbin")
    if program is None:
        pytest.fail("sshd is not installed, and these tests are about it: run `make setup`", pytrace=False)
    if os.geteuid() == 0:
        Path("/run/sshd").mkdir(exist_ok=True)
    home.mkdir()
    port = free_port()
    host_key = keygen(home / "host")
    shutil.copy(f"{identity}.pub", home / "authorized_keys")
    for kind in more_keys:
        keygen(home / f"host_{kind}", kind=kind)
    lines = "".join(f"HostKey {home}/host_{kind}\n" for kind in more_keys)
    (home / "config").write_text(_CONFIG.format(port=port, home=home, startups=startups) + lines + more)
    log = home / "log"
    process = subprocess.Popen([program, "-D", "-f", str(home / "config"), "-E", str(log)])
    wait_for(lambda: log.exists() and "Server listening" in log.read_text(), "sshd listens")
    sshd = Sshd(home, port, host_key, identity, process)
    (home / "known_hosts").write_text(sshd.known_hosts)
    return sshd


@pytest.fixture(scope="session")
def identity(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("identity") / "id"
    keygen(path)
    return path


@pytest.fixture(scope="session")
def sshd(tmp_path_factory: pytest.TempPathFactory, identity: Path) -> Iterator[Sshd]:
    server = start_sshd(tmp_path_factory.mktemp("sshd") / "home", identity)
    yield server
    server.process.terminate()
    server.process.wait(5)


@pytest.fixture
def sshd_with(tmp_path: Path, identity: Path) -> Iterator[Callable[..., Sshd]]:
    """Starts another sshd, with host keys of more types, or more of a configuration."""
    servers: list[Sshd] = []

    def start(*kinds: str, **more: str) -> Sshd:
        servers.append(start_sshd(tmp_path / f"sshd{len(servers)}", identity, kinds, **more))
        return servers[-1]

    yield start
    for server in servers:
        server.process.terminate()
        server.process.wait(5)


@pytest.fixture
def jump(sshd_with: Callable[..., Sshd], sshd: Sshd) -> Sshd:
    """A second sshd, whose known_hosts has the first as well."""
    server = sshd_with()
    (server.home / "known_hosts").write_text(server.known_hosts + sshd.known_hosts)
    return server


@pytest.fixture(autouse=True)
def bare_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """No key, agent, ssh_config or known_hosts of whoever runs the tests."""
    home = tmp_path / "home"
    (home / ".ssh").mkdir(parents=True)
    monkeypatch.setenv("HOME", str(home))
    monkeypatch.delenv("SSH_AUTH_SOCK", raising=False)
    return home


@pytest.fixture(params=["fast", "general"])
def path(request: pytest.FixtureRequest) -> str:
    """Which path serves; where the installed paramiko is none that the fast one knows, it is always the general one."""
    return str(request.param)


@dataclass
class Ssh:
    """The whole transport, loaded by the first visit; with the general path alone if that is what is wanted."""

    inner: SshTransport
    path: str

    @property
    def paths(self) -> Paths:
        paths = self.inner._loaded()
        if paths is None:
            raise failures.ending("hub")
        if self.path == "general":
            paths.fast = None
        return paths

    def visit(self, visit: Visit) -> Outcome:
        return self.paths.visit(visit)

    def visit_all(self, visits: Iterable[Visit], *, at_once: int | None = None) -> Iterator[Visited]:
        return self.paths.visit_all(visits, at_once=at_once)

    def close(self) -> None:
        self.inner.close()


@pytest.fixture
def ssh_of(path: str) -> Callable[[], AbstractContextManager[Ssh]]:
    """A transport of one's own."""

    @contextmanager
    def made() -> Iterator[Ssh]:
        with SshTransport() as transport:
            yield Ssh(transport, path)

    return made


@pytest.fixture
def ssh(ssh_of: Callable[[], AbstractContextManager[Ssh]]) -> Iterator[Ssh]:
    with ssh_of() as made:
        yield made


@pytest.fixture
def user() -> str:
    return getpass.getuser()


@dataclass
class Listener:
    """Says one thing to everybody, and counts how many are there at the same time.

    Who hangs up and then connects again must not count twice: all that is there is read before the next is accepted.
    """

    server: socket.socket
    greeting: bytes
    stays: bool
    most: int = 0
    total: int = 0
    _clients: list[socket.socket] = field(default_factory=list)

    @property
    def port(self) -> int:
        return int(self.server.getsockname()[1])

    def serve(self) -> None:
        with suppress(OSError, ValueError):  # the server was closed
            while True:
                ready, _, _ = select.select([self.server, *self._clients], [], [])
                self._clients = [client for client in self._clients if self._is_there(client)]
                if self.server in ready:
                    self._welcome(self.server.accept()[0])

    def _is_there(self, client: socket.socket) -> bool:
        try:
            while client.recv(65536):
                pass
        except BlockingIOError:
            return True
        except ConnectionError:
            pass
        client.close()
        return False

    def _welcome(self, client: socket.socket) -> None:
        client.sendall(self.greeting)
        if not self.stays:
            client.shutdown(socket.SHUT_WR)
        client.setblocking(False)
        self._clients.append(client)
        self.total += 1
        self.most = max(self.most, len(self._clients))


@pytest.fixture
def listen() -> Iterator[Callable[..., Listener]]:
    """Starts listeners; one that stays has no more to say and does not hang up."""
    listeners: list[Listener] = []

    def start(greeting: bytes = b"", *, stays: bool = False) -> Listener:
        listener = Listener(socket.create_server(("127.0.0.1", 0)), greeting, stays)
        listeners.append(listener)
        Thread(target=listener.serve, daemon=True).start()
        return listener

    yield start
    for listener in listeners:
        listener.server.shutdown(socket.SHUT_RDWR)
        for end in (listener.server, *listener._clients):
            end.close()
