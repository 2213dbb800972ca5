"""Machines that are none: network namespaces with servers in them, joined to the client's by a long line.

    bench-cl   the client           10.70.0.1 (long line), 10.70.1.1 (short line)
    bench-rt   in between           the long line is two TUN devices, joined by delay.go
    bench-fs   server.go            10.77.0.0/16, every address of it, port 22
    bench-sv   sshd                 10.78.0.0/16
    bench-rf   nobody               10.79.0.0/16: 10.79.1.x accepts and is silent, 10.79.2.x drops, the others refuse

Everything is taken down again at the end, also after ^C.
"""

import os
import shutil
import subprocess
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

HERE = Path(__file__).parent
CLIENT, ROUTER, FAST, REAL, DEAD = (f"bench-{name}" for name in ("cl", "rt", "fs", "sv", "rf"))
NETS = {FAST: "10.77.0.0/16", REAL: "10.78.0.0/16", DEAD: "10.79.0.0/16"}
SILENT = tuple(f"10.79.1.{n}" for n in range(1, 6))
DROPPED = tuple(f"10.79.2.{n}" for n in range(1, 6))
REFUSED = tuple(f"10.79.3.{n}" for n in range(1, 6))
ONE_WAY_MS = 25
GO = {**os.environ, "GO111MODULE": "off", "GOPATH": "/usr/share/gocode", "GOFLAGS": ""}

SSHD = """\
Port 22
HostKey {home}/host
PidFile none
AuthorizedKeysFile {home}/id.pub
StrictModes no
PermitRootLogin yes
PasswordAuthentication no
KbdInteractiveAuthentication no
UsePAM no
MaxStartups 1000
"""


class Network:
    """The namespaces, once they are up; `home` has keys, known_hosts and what the servers answer."""

    def __init__(self, home: Path) -> None:
        self.home = home
        self.rtt_ms = 0

    def through(self, *, rtt_ms: int) -> None:
        """Send what the client sends over the long line or the short one."""
        way = ("dev", "long", "src", "10.70.0.1") if rtt_ms else ("via", "10.70.1.2", "src", "10.70.1.1")
        _ip(CLIENT, "route", "replace", "default", *way)
        self.rtt_ms = rtt_ms

    def hosts(self, namespace: str, count: int) -> list[str]:
        """So many addresses of a namespace."""
        base = NETS[namespace].rsplit(".", 2)[0]
        return [f"{base}.{n // 250}.{n % 250 + 1}" for n in range(count)]


@contextmanager
def network(home: Path) -> Iterator[Network]:
    """Everything up; and down again, whatever happens."""
    with ExitStack() as down:
        for name in (CLIENT, ROUTER, FAST, REAL, DEAD):
            _namespace(name, down)
        _build(home)
        _short_line()
        for number, (name, net) in enumerate(NETS.items()):
            _behind_router(name, net, number)
        delay = _start(down, None, home / "delay", CLIENT, "long", ROUTER, "long", str(ONE_WAY_MS))
        delay.stdout.readline()
        for name, address in ((CLIENT, "10.70.0.1/30"), (ROUTER, "10.70.0.2/30")):
            _ip(name, "addr", "add", address, "dev", "long")
            _ip(name, "link", "set", "long", "up", "txqueuelen", "10000")
        _keys(home)
        _dead(down)
        _start(down, FAST, home / "server", ":22", *(home / n for n in ("host", "id.pub", "report", "answer")))
        Path("/run/sshd").mkdir(exist_ok=True)
        (home / "sshd_config").write_text(SSHD.format(home=home))
        sshd = (shutil.which("sshd", path="/usr/sbin"), "-D", "-f", home / "sshd_config")
        _start(down, REAL, "prlimit", "--nofile=4096", *sshd)  # each child closes as many as it might have
        made = Network(home)
        for rtt in (0, 2 * ONE_WAY_MS):
            made.through(rtt_ms=rtt)
            for server in (FAST, REAL):
                _wait_for(made.hosts(server, 1)[0])
        yield made


def inside(namespace: str, *command: object) -> list[str]:
    """A command line that runs in a namespace."""
    return ["ip", "netns", "exec", namespace, *map(str, command)]


def _ip(namespace: str | None, *words: str) -> None:
    subprocess.run(["ip", *(["-n", namespace] if namespace else []), *words], check=True, capture_output=True)


def _namespace(name: str, down: ExitStack) -> None:
    with suppress(subprocess.CalledProcessError):  # of a run that was killed
        _ip(None, "netns", "del", name)
    _ip(None, "netns", "add", name)
    down.callback(subprocess.run, ["ip", "netns", "del", name], check=False)
    _ip(name, "link", "set", "lo", "up")
    subprocess.run(inside(name, "sysctl", "-qw", "net.ipv4.ip_forward=1"), check=True)


def _build(home: Path) -> None:
    for name in ("server", "delay"):
        subprocess.run(["go", "build", "-o", home / name, HERE / f"{name}.go"], env=GO, check=True)


def _joined(one: str, two: str, name: str, addresses: tuple[str, str]) -> None:
    _ip(one, "link", "add", name, "type", "veth", "peer", "name", name, "netns", two)
    for namespace, address in zip((one, two), addresses, strict=True):
        _ip(namespace, "addr", "add", address, "dev", name)
        _ip(namespace, "link", "set", name, "up")


def _short_line() -> None:
    _joined(CLIENT, ROUTER, "short", ("10.70.1.1/30", "10.70.1.2/30"))


def _behind_router(name: str, net: str, number: int) -> None:
    _joined(ROUTER, name, f"to-{name[-2:]}", (f"10.70.{10 + number}.1/30", f"10.70.{10 + number}.2/30"))
    _ip(ROUTER, "route", "add", net, "via", f"10.70.{10 + number}.2")
    _ip(name, "route", "add", "default", "via", f"10.70.{10 + number}.1")
    _ip(name, "route", "add", "local", net, "dev", "lo")


def _start(down: ExitStack, namespace: str | None, *command: object) -> subprocess.Popen[str]:
    words = inside(namespace, *command) if namespace else list(map(str, command))
    process = subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
    down.callback(_stop, process)
    return process


def _stop(process: subprocess.Popen[str]) -> None:
    process.terminate()
    process.wait(5)
    process.stdout.close()


def _keys(home: Path) -> None:
    for name in ("host", "id"):
        subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "", "-f", home / name], check=True)


def _dead(down: ExitStack) -> None:
    """Silent ones accept and say nothing; what goes to dropped ones is lost."""
    _ip(DEAD, "route", "add", "blackhole", "10.79.2.0/24", "table", "local")
    script = "import socket, time\nheld = [socket.create_server((a, 22)) for a in {!r}]\nprint('up', flush=True)\ntime.sleep(1e6)"
    _start(down, DEAD, "python3", "-c", script.format(SILENT)).stdout.readline()


def _wait_for(address: str) -> None:
    """Until a server answers; asked from the client's namespace."""
    script = f"import socket; socket.create_connection(({address!r}, 22), 1).recv(4)"
    for _ in range(50):
        if not subprocess.run(inside(CLIENT, "python3", "-c", script), capture_output=True, check=False).returncode:
            return
        time.sleep(0.1)
    raise TimeoutError(f"nobody answers at {address}")
