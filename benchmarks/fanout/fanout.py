"""A visit to many gateways: ipsecfleet beside its peers, interleaved, over namespaces with real delay.

    sudo .venv/bin/python benchmarks/fanout/fanout.py [ROUNDS]

It makes network namespaces and TUN devices (network.py), and removes them again. Each client does one visit to each
host: the peers `cat` a report of 20 KB, ipsecfleet its whole visit of `show sas`, with program and request. A figure is
the median of the rounds; the order turns with each. `show sas` is the product itself: the inventory is read, and 57 SAs of
each gateway are parsed and printed, which no peer does; so the ratios are those of the visit.
"""

import os
import platform
import shutil
import subprocess
import sys
import tempfile
from collections import defaultdict
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))

from answer import NONCE, VERBS, write_answers
from measure import Run, measured, middle
from network import CLIENT, DEAD, DROPPED, FAST, REAL, REFUSED, SILENT, Network, inside, network

from ipsecfleet.isakmpd.visit import Call, Request

HERE = Path(__file__).parent
ROOT = HERE.parents[1]
BIN = ROOT / ".venv/bin"
PYINFRA = ROOT / ".venv-bench/bin/pyinfra"
DEADLINE = 5
US, PRODUCT = "ipsecfleet", "ipsecfleet show sas"
SLOW = ("ansible -m raw", "pyinfra")
COUNTS = (1, 10, 100, 400)

SSH_CONFIG = """\
Host *
 User root
 IdentityFile {home}/id
 UserKnownHostsFile {home}/known_hosts
 GlobalKnownHostsFile /dev/null
 KexAlgorithms curve25519-sha256
 ConnectTimeout 5
 ControlMaster no
"""


@dataclass(frozen=True)
class Client:
    """How a client is called for some hosts, and how its right answers are counted in what it prints."""

    name: str
    command: Callable[[list[str], Path], list[str]]
    count: Callable[[bytes], int]


def _script(name: str) -> Callable[[list[str], Path], list[str]]:
    path = HERE / "clients" / name
    return lambda hosts, home: [str(BIN / "python"), str(path), ",".join(hosts), str(home), "cat report"]


def _last_number(output: bytes) -> int:
    return int(output.split()[-1]) if output.split() else 0


def _reports(output: bytes) -> int:
    """Reports in what a tool prints: each has as many lines that begin an SA."""
    return round(output.count(b"SA name: ") / REPORT_SAS) if REPORT_SAS else 0


REPORT_SAS = 0

CLIENTS = (
    Client(US, _script("visit_all.py"), _last_number),
    Client(
        PRODUCT,
        lambda hosts, home: [str(BIN / "ipsecfleet"), "show", "sas", "-i", str(home / f"fleet-{len(hosts)}"), "-o", "plain"],
        lambda output: len({line.split(b"\t")[0] for line in output.splitlines()[1:]}),
    ),
    Client("asyncssh", _script("asyncssh_gather.py"), _last_number),
    Client("paramiko pool", _script("paramiko_pool.py"), _last_number),
    Client("fabric group", _script("fabric_group.py"), _last_number),
    Client(
        "clush",
        lambda hosts, home: ["clush", "-f", str(len(hosts)), "-o", f"-F {home}/ssh_config", "-w", ",".join(hosts), "cat report"],
        _reports,
    ),
    Client(
        "pssh",
        lambda hosts, home: [
            "parallel-ssh", "-i", "-p", str(len(hosts)), "-t", "60", "-x", f"-F {home}/ssh_config", "-H", " ".join(hosts), "cat report",
        ],
        _reports,
    ),
    Client(
        "pyinfra",
        lambda hosts, home: [
            "sh", "-c", 'exec "$@" 2>&1', "sh", str(PYINFRA), "-y", "--parallel", str(len(hosts)), "--ssh-user", "root",
            "--ssh-key", f"{home}/id", f"{home}/hosts{len(hosts)}.py", "exec", "--", "cat report",
        ],
        _reports,
    ),
    Client(
        "ansible -m raw",
        lambda hosts, _home: ["ansible", "all", "-i", ",".join(hosts) + ",", "-f", str(len(hosts)), "-m", "raw", "-a", "cat report"],
        _reports,
    ),
)  # fmt: skip


@dataclass
class Bench:
    """One run of everything; lines of the tables in the order in which they were measured."""

    net: Network
    rounds: int

    def environment(self) -> dict[str, str]:
        """No key, agent or configuration of whoever runs this."""
        return {
            "HOME": str(self.net.home), "PATH": os.environ["PATH"], "ANSIBLE_SSH_ARGS": f"-F {self.net.home}/ssh_config",
            "ANSIBLE_HOST_KEY_CHECKING": "true", "LANG": "C.UTF-8",
        }  # fmt: skip

    def run(self, client: Client, hosts: list[str]) -> Run:
        """One run of one client."""
        return measured(inside(CLIENT, *client.command(hosts, self.net.home)), client.count, self.environment())

    def compared(self, clients: list[Client], hosts: list[str]) -> dict[str, Run]:
        """All clients, interleaved; the slowest once."""
        runs: dict[str, list[Run]] = defaultdict(list)
        for number in range(self.rounds):
            for client in clients if number % 2 else reversed(clients):
                if number and client.name in SLOW:
                    continue
                runs[client.name].append(self.run(client, hosts))
        return {client.name: middle(runs[client.name]) for client in clients}

    def inventory(self, hosts: list[str]) -> None:
        """An inventory of these hosts, for the product, and one for pyinfra."""
        folder = self.net.home / f"fleet-{len(hosts)}"
        folder.mkdir(exist_ok=True)
        head = f'schema = 1\nfleet = "bench"\n[defaults]\nuser = "root"\nprivilege = "none"\nidentity = "{self.net.home}/id"\n'
        body = "".join(f'[gateway.g{n}]\naddress = "{host}"\n' for n, host in enumerate(hosts))
        known = f'known_hosts = "{self.net.home}/known_hosts"\n'
        (folder / "inventory.toml").write_text(head + known + body)
        (self.net.home / f"hosts{len(hosts)}.py").write_text(f"hosts = {hosts!r}\n")


def fanout(bench: Bench) -> Iterator[str]:
    """N gateways on the cheap server, at both round trip times."""
    for rtt in (50, 0):
        bench.net.through(rtt_ms=rtt)
        tables = {}
        for count in COUNTS:
            hosts = bench.net.hosts(FAST, count)
            bench.inventory(hosts)
            say(f"{count} gateways, {rtt} ms")
            tables[count] = bench.compared(list(CLIENTS), hosts)
        yield f"\n### Cheap server, round trip {rtt} ms\n"
        yield "| client | " + " | ".join(f"N={n}: wall s, CPU ms each, MB" for n in COUNTS) + " | CPU ms for one more |"
        yield "|---|" + "---|" * (len(COUNTS) + 1)
        for client in CLIENTS:
            cells = [_cell(tables[n][client.name], n) for n in COUNTS]
            yield f"| {client.name} | " + " | ".join(cells) + f" | {_marginal(tables, client.name):.2f} |"
        if rtt:
            yield from _ratios(tables)


def _cell(run: Run, count: int) -> str:
    wrong = f", **{count - run.right} wrong**" if run.right != count else ""
    return f"{run.wall:.2f}, {run.cpu * 1000 / count:.1f}, {run.peak / 1e6:.0f}{wrong}"


def _marginal(tables: dict[int, dict[str, Run]], name: str) -> float:
    """Milliseconds of processor time that one gateway more takes, from the middle N to the largest."""
    few, many = COUNTS[-2:]
    return (tables[many][name].cpu - tables[few][name].cpu) * 1000 / (many - few)


def _ratios(tables: dict[int, dict[str, Run]]) -> Iterator[str]:
    yield "\n| ratio, at 50 ms | is | to be at most |\n|---|---|---|"
    for count in COUNTS[-2:]:
        for other, most in (("asyncssh", 0.75), ("fabric group", 0.55), ("pssh", 0.45), ("clush", 0.45)):
            ratio = tables[count][US].wall / tables[count][other].wall
            yield f"| wall, N={count}, {US} / {other} | {ratio:.2f} | {most} |"
    for other, most in (("asyncssh", 0.65), ("paramiko pool", 0.25), ("pssh", 0.1), ("clush", 0.1)):
        ratio = _marginal(tables, US) / _marginal(tables, other)
        yield f"| CPU for one more, {US} / {other} | {ratio:.2f} | {most} |"


def one_by_real_sshd(bench: Bench) -> Iterator[str]:
    """One gateway on OpenSSH's sshd: the same visit by ssh itself, whose kex is named."""
    bench.net.through(rtt_ms=50)
    home, hosts = bench.net.home, bench.net.hosts(REAL, 1)
    call = Call.of(Request(NONCE, VERBS), "none")
    (home / "stdin").write_bytes(call.stdin)
    say("1 gateway on sshd, 20 times")
    ours, theirs = [], []
    ssh = inside(CLIENT, "ssh", "-F", home / "ssh_config", hosts[0], call.command)
    for _ in range(20):
        ours.append(bench.run(CLIENTS[0], hosts))
        theirs.append(measured(ssh, lambda out: out.count(b" done "), bench.environment(), home / "stdin"))
    yield "\n### One gateway on OpenSSH's sshd, round trip 50 ms, median of 20\n"
    yield "| client | wall s | CPU ms | right |\n|---|---|---|---|"
    for name, runs in ((US, ours), ("ssh, curve25519-sha256", theirs)):
        run = middle(runs)
        yield f"| {name} | {run.wall:.3f} | {run.cpu * 1000:.0f} | {run.right} |"
    yield f"\nipsecfleet / ssh: {middle(ours).wall / middle(theirs).wall:.2f}, to be at most 1.00"


def many_by_real_sshd(bench: Bench) -> Iterator[str]:
    """Twenty on OpenSSH's sshd, whose own work is most of the time on one machine."""
    bench.net.through(rtt_ms=50)
    say("20 gateways on sshd")
    hosts = bench.net.hosts(REAL, 20)
    ours = Client(US, _script("visit_all.py"), _last_number)
    path = bench.net.home / "report"
    theirs = [
        Client(c.name, _with(c.command, f"cat {path}"), c.count)
        for c in CLIENTS
        if c.name in {"asyncssh", "fabric group", "pssh"}
    ]
    table = bench.compared([ours, *theirs], hosts)
    yield "\n### 20 gateways on OpenSSH's sshd, round trip 50 ms: most is the servers' own work\n"
    yield "| client | wall s, CPU ms each, MB |\n|---|---|"
    for name, run in table.items():
        yield f"| {name} | {_cell(run, 20)} |"


def _with(command: Callable[[list[str], Path], list[str]], said: str) -> Callable[[list[str], Path], list[str]]:
    return lambda hosts, home: [said if word == "cat report" else word for word in command(hosts, home)]


def dead(bench: Bench) -> Iterator[str]:
    """Five of a hundred dead, in each of three ways; every client waits 5 s for one that does not answer."""
    bench.net.through(rtt_ms=50)
    chosen = [c for c in CLIENTS if c.name in {US, "asyncssh", "paramiko pool", "fabric group", "clush", "pssh"}]
    yield f"\n### 5 of 100 dead, round trip 50 ms, deadline {DEADLINE} s\n"
    yield (
        "| client | "
        + " | ".join(f"{how}: wall s, right" for how in ("refused", "silent", "dropped"))
        + " |\n|---|---|---|---|"
    )
    rows: dict[str, list[str]] = defaultdict(list)
    for how, addresses in (("refused", REFUSED), ("silent", SILENT), ("dropped", DROPPED)):
        say(f"5 of 100 {how}")
        hosts = [*bench.net.hosts(FAST, 95), *addresses]
        for client in chosen:
            run = bench.run(client, hosts)
            rows[client.name].append(f"{run.wall:.2f}, {run.right}")
    for name, cells in rows.items():
        yield f"| {name} | " + " | ".join(cells) + " |"


def long_known_hosts(bench: Bench) -> Iterator[str]:
    """Twenty gateways, whose keys stand behind 5,000 others."""
    bench.net.through(rtt_ms=50)
    say("known_hosts of 5,000 lines")
    home = bench.net.home
    known = home / "known_hosts"
    short = known.read_text()
    key = (home / "host.pub").read_text().split()[1]
    known.write_text("".join(f"198.18.{n // 250}.{n % 250} ssh-ed25519 {key}\n" for n in range(5000)) + short)
    try:
        chosen = [c for c in CLIENTS if c.name in {US, "asyncssh", "paramiko pool", "pssh"}]
        table = bench.compared(chosen, bench.net.hosts(FAST, 20))
    finally:
        known.write_text(short)
    yield "\n### 20 gateways, known_hosts of 5,000 lines more, round trip 50 ms\n"
    yield "| client | wall s, CPU ms each, MB |\n|---|---|"
    for name, run in table.items():
        yield f"| {name} | {_cell(run, 20)} |"


def memory(bench: Bench) -> Iterator[str]:
    """A thousand gateways, 20 KB each: the product with all formats that have something for each."""
    bench.net.through(rtt_ms=50)
    say("memory of 1,000 gateways")
    hosts = bench.net.hosts(FAST, 1000)
    bench.inventory(hosts)
    folder = bench.net.home / "fleet-1000"
    yield "\n### Memory of 1,000 gateways of 20 KB, round trip 50 ms\n"
    yield "| command | wall s | peak MB | right |\n|---|---|---|---|"
    for words in (("show", "sas", "-o", "ndjson"), ("show", "sas", "-o", "plain"), ("show", "gateways")):
        command = inside(CLIENT, BIN / "ipsecfleet", *words, "-i", folder)
        run = measured(command, lambda out: len(out.splitlines()), bench.environment())
        yield f"| ipsecfleet {' '.join(words)} | {run.wall:.2f} | {run.peak / 1e6:.0f} | {run.right} lines |"
    run = bench.run(CLIENTS[0], hosts)
    yield f"| {US} as a library | {run.wall:.2f} | {run.peak / 1e6:.0f} | {run.right} |"


def say(text: str) -> None:
    """What is going on, for whoever waits."""
    print(f"  {text}", file=sys.stderr, flush=True)


def versions() -> Iterator[str]:
    """What was compared, on what."""
    ours = ("ipsecfleet", "paramiko", "fabric", "asyncssh", "cryptography", "typer")
    yield ", ".join(f"{name} {version(name)}" for name in ours)
    tools = {"OpenSSH": ["ssh", "-V"], "clush": ["clush", "--version"], "pssh": ["parallel-ssh", "--version"],
             "pyinfra": [str(PYINFRA), "--version"], "ansible": ["ansible", "--version"], "go": ["go", "version"]}  # fmt: skip
    for name, command in tools.items():
        said = subprocess.run(command, capture_output=True, text=True, check=False)
        yield f"{name}: {(said.stdout or said.stderr).splitlines()[0]}"
    yield f"Python {platform.python_version()}, {platform.system()} {platform.release()}, {os.cpu_count()} cores"


def main() -> None:
    """Set up, measure, print, take down."""
    if os.geteuid() or not Path("/dev/net/tun").exists():
        sys.exit("this makes network namespaces and TUN devices: run it as root, where there is /dev/net/tun")
    subprocess.run(["sh", HERE / "clients/setup.sh"], check=True)
    rounds = int(sys.argv[1]) if len(sys.argv) > 1 else 3
    home = Path(tempfile.mkdtemp(prefix="ipsecfleet-bench-"))
    try:
        say("namespaces, TUN devices and servers; all is taken down at the end")
        write_answers(home)
        global REPORT_SAS  # noqa: PLW0603
        REPORT_SAS = (home / "report").read_bytes().count(b"SA name: ")
        (home / ".ssh").mkdir()
        (home / "ssh_config").write_text(SSH_CONFIG.format(home=home))
        shutil.copy(home / "ssh_config", home / ".ssh/config")
        with network(home) as net:
            every = [*net.hosts(FAST, 1000), *net.hosts(REAL, 100), *net.hosts(DEAD, 1), *SILENT, *DROPPED, *REFUSED]
            key = " ".join((home / "host.pub").read_text().split()[:2])
            (home / "known_hosts").write_text("".join(f"{host} {key}\n" for host in every))
            (home / ".ssh/known_hosts").write_text((home / "known_hosts").read_text())
            bench = Bench(net, rounds)
            for part in (fanout, one_by_real_sshd, many_by_real_sshd, dead, long_known_hosts, memory):
                for line in part(bench):
                    print(line, flush=True)
        print("\n" + "\n".join(f"- {line}" for line in versions()))
    finally:
        shutil.rmtree(home, ignore_errors=True)


if __name__ == "__main__":
    main()
