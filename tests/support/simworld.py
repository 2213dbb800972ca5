"""A fleet in memory: simulated daemons on a virtual clock behind a transport that answers visits as the program does.

The whole path from the engine down to the daemon runs without a process, a socket or a second of real time. The real
visit program and real SSH are held to the same scenarios by the tests marked `lab` and `openssh`.
"""

import math
import re
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from ipaddress import ip_network
from operator import itemgetter
from pathlib import Path
from syslog import stamped
from tempfile import TemporaryDirectory
from threading import RLock

from visits import Gateway as Place
from visits import request_in

from ipsecfleet.errors import GatewayError
from ipsecfleet.inventory.words import Selection
from ipsecfleet.isakmpd import saved
from ipsecfleet.isakmpd.verbs import Log
from ipsecfleet.isakmpd.visit import keyed
from ipsecfleet.lab.daemon import Daemon, World, show_flows, show_sas
from ipsecfleet.lab.ipsecctl import ipsecctl
from ipsecfleet.model.diagnosis import Diagnosis
from ipsecfleet.model.document import Document
from ipsecfleet.model.fleet import Carp, Fleet, Gateway, Limit, Limits, TunnelEnd, TunnelSpec
from ipsecfleet.model.tunnel import End, Tunnel
from ipsecfleet.plan.down import DownOptions
from ipsecfleet.plan.rekey import RekeyOptions
from ipsecfleet.plan.restart import RestartOptions
from ipsecfleet.plan.up import UpOptions
from ipsecfleet.plan.view import View
from ipsecfleet.run import changes
from ipsecfleet.run.carrying import Run
from ipsecfleet.run.diagnosing import Question, diagnosis
from ipsecfleet.run.probe import Prober
from ipsecfleet.run.reading import Reading
from ipsecfleet.transport import FakeTransport, Outcome, Visit
from ipsecfleet.transport.crew import Crew, Item, Result

PSK = "test-psk-never-to-be-seen"
KEYS = re.compile(r"(Authentication=\t?)(\S+)")
LISTS = {
    "connections": "[Phase 2]:Connections",
    "passive": "[Phase 2]:Passive-Connections",
    "held": "[ipsecfleet]:Held-Connections",
    "held-passive": "[ipsecfleet]:Held-Passive-Connections",
    "held-peers": "[ipsecfleet]:Held-Peers",
}
ROOMY = Limits(Limit(100, percent=True), Limit(100, percent=True))


CHANGES = ("lock", "write", "load", "unload", "deny", "open")


@dataclass(frozen=True)
class RunLock:
    """Who has a gateway's run lock, since when and until when by the world's clock."""

    run: str
    who: str
    since: float
    until: float


class SimClock:
    """The world's own time; sleeping lets it pass."""

    def __init__(self, world: World) -> None:
        self._world = world

    def now(self) -> float:
        return self._world.now

    def elapsed(self) -> float:
        return self._world.now

    def sleep(self, seconds: float) -> None:
        self._world.advance(self._world.now + max(0.0, seconds))

    def attend(self, crew: Crew[Item, Result], seconds: float) -> tuple[Item, Result | Exception] | None:
        """A visit takes no time but what it lets pass itself; time passes while there is none."""
        while crew.busy:
            done = crew.take()
            if done is not None:
                return done
        self.sleep(seconds)
        return None


@dataclass
class SimFleet:
    """Machines, tunnels and what the inventory knows of them.

    `dead` gateways raise in every visit, those in `fails_to_act` in visits that change something; `parts` has what a
    gateway answers in place of a section; `before_visit` is told of every visit and whether it changes something. The
    line of a visit, by its number, is `cut`: before it, in it (the first change is made, no more) or after it.
    """

    world: World = field(default_factory=lambda: World(seed=7, start=1_795_000_000.0))
    gateways: list[Gateway] = field(default_factory=list)
    specs: list[TunnelSpec] = field(default_factory=list)
    limits: Limits = ROOMY
    files: dict[str, dict[str, str]] = field(default_factory=dict)
    carp: dict[str, str] = field(default_factory=dict)
    ssh: dict[str, str] = field(default_factory=dict)
    dead: dict[str, Exception] = field(default_factory=dict)
    fails_to_act: dict[str, Exception] = field(default_factory=dict)
    parts: dict[tuple[str, str], tuple[str, bytes]] = field(default_factory=dict)
    before_visit: Callable[[str, bool], None] = lambda _name, _changing: None
    cut: dict[int, str] = field(default_factory=dict)
    visits: int = 0
    clocks: dict[str, float] = field(default_factory=dict)
    sent: dict[str, list[str]] = field(default_factory=dict)
    run_locks: dict[str, RunLock] = field(default_factory=dict)
    lock: RLock = field(default_factory=RLock)
    told: list[tuple[str, float, str]] = field(default_factory=list)
    key: str = ""
    events: list[dict[str, object]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.world.on_event(self.events.append)

    def gateway(self, name: str, *addresses: str, **more: object) -> Daemon:
        """A machine of ours."""
        self.gateways.append(Gateway(name, "192.0.2.1", ike=addresses, **more))
        return self.world.gateway(name, addresses)

    def carp_pair(self, group: str, vip: str, *members: str) -> None:
        """The members of a CARP group; the first is master and answers to the shared address."""
        for number, name in enumerate(members):
            own = f"10.99.0.{number + 1}"
            self.gateways.append(Gateway(name, "192.0.2.1", ike=(own,), carp=Carp(group, "carp0", vip)))
            self.world.gateway(name, [vip, own] if number == 0 else [own])
            self.role(name, "MASTER" if number == 0 else "BACKUP")

    def role(self, name: str, role: str) -> None:
        self.carp[name] = f"carp0: flags=8843<UP> mtu 1500\n\tcarp: {role} carpdev em0 vhid 1\n"

    def peer(self, address: str) -> Daemon:
        """A machine of somebody else."""
        return self.world.gateway(f"peer {address}", [address])

    def rule(self, machine: str, mode: str, here: str, there: str, peer: str, file: str = "") -> None:
        """Load one ike rule on a machine, as ipsecctl -f does, and keep it in a conf file."""
        to = f"peer {peer} " if peer else ""
        text = f'ike {mode} esp from {here} to {there} {to}quick group none psk "{PSK}"\n'
        files = self.files.setdefault(machine, {})
        path = f"/etc/IPsec/{file or f'{peer}-{len(files)}'}.conf"
        files[path] = files.get(path, "") + text
        self.ipsecctl(machine, "-f", path)

    def restart_daemon(self, name: str) -> None:
        """The daemon is killed and started: kernel and peers know nothing of it, and its configuration is gone."""
        self.daemon(name).kill()
        self.daemon(name).start()

    def load_all(self, name: str) -> None:
        """ipsecctl -f of every conf file, as at boot or by a colleague."""
        for path in [p for p in self.files.get(name, {}) if p != "-"]:
            self.ipsecctl(name, "-f", path)

    def reboot(self, name: str) -> None:
        """Memory and /var/run are gone, and the conf files are loaded."""
        self.daemon(name).kill()
        self.daemon(name).kernel.flush()
        self.run_locks.pop(name, None)
        self.daemon(name).start()
        self.load_all(name)

    def tunnel(self, name: str, a: tuple[str, str], b: tuple[str, str]) -> None:
        """Tell the inventory of a tunnel: (gateway, CARP group or peer, networks) at each end."""
        self.specs.append(TunnelSpec(name, self._end(*a), self._end(*b)))

    def _end(self, where: str, networks: str) -> TunnelEnd:
        end = TunnelEnd(networks=tuple(map(ip_network, networks.split(","))))
        if any(g.carp is not None and g.carp.group == where for g in self.gateways):
            return replace(end, carp=where)
        return replace(end, gateway=where) if any(g.name == where for g in self.gateways) else replace(end, peer=where)

    @property
    def fleet(self) -> Fleet:
        return Fleet("sim", tuple(self.gateways), tuple(self.specs), self.limits)

    def settle(self, seconds: float = 8.0) -> None:
        self.world.advance(self.world.now + seconds)

    def daemon(self, name: str) -> Daemon:
        return self.world.gateways[name]

    def spis(self, name: str) -> list[str]:
        """The kernel's SAs, to compare before and after."""
        return sorted(show_sas(self.daemon(name).kernel).splitlines())

    def flows(self, name: str) -> list[str]:
        return sorted(show_flows(self.daemon(name).kernel).splitlines())

    def prober(self) -> Prober:
        return Prober(FakeTransport(self._answer), who="20261123-203144-ab12 tests@sim", fanout=0, keep=True)

    def run(self, selection: Selection, **more: object) -> Run:
        clock = SimClock(self.world)
        settings = {"run_id": "sim", "ask": lambda _plan: True, **more}
        return Run(self.fleet, selection, self.prober(), clock, **settings)

    def down(
        self, *, options: DownOptions | None = None, run: dict[str, object] | None = None, **words: object
    ) -> Document:
        return changes.change(self.run(Selection.of(**words), **(run or {})), options or DownOptions())

    def up(
        self,
        *,
        options: UpOptions | None = None,
        up_s: float = 75.0,
        run: dict[str, object] | None = None,
        **words: object,
    ) -> Document:
        asked = replace(options or UpOptions(), wait_s=up_s)
        return changes.change(self.run(Selection.of(**words), **(run or {})), asked)

    def restart(
        self, *, options: RestartOptions | None = None, run: dict[str, object] | None = None, **words: object
    ) -> Document:
        return changes.change(self.run(Selection.of(**words), **(run or {})), options or RestartOptions())

    def rekey(
        self, *, options: RekeyOptions | None = None, run: dict[str, object] | None = None, **words: object
    ) -> Document:
        return changes.change(self.run(Selection.of(**words), **(run or {})), options or RekeyOptions())

    def diagnose(self, *, since_s: float = 1800.0, wait_s: float = 0.0, **words: object) -> Document:
        reading = Reading(self.fleet, Selection.of(**words), self.prober())
        return diagnosis(reading, Question(since_s, wait_s, sleep=self.settle))

    def diagnosis(self, name: str, **more: object) -> Diagnosis:
        """What is said of one tunnel."""
        (found,) = self.diagnose(tunnels=[name], **more).diagnoses or ()
        return found

    def view(self) -> View:
        return View.of(self.fleet, self.prober().look(self.gateways))

    def tunnel_now(self, name: str) -> Tunnel:
        found = self.view().tunnel(name)
        assert found is not None, name
        return found

    def state(self, name: str) -> str:
        return self.tunnel_now(name).state.value

    def end(self, name: str, gateway: str) -> End:
        return next(e for e in self.tunnel_now(name).ends if e.gateway == gateway)

    def fifo(self, name: str, *lines: str) -> None:
        """What somebody else writes to the FIFO, in one write."""
        self.daemon(name).fifo("".join(f"{line}\n" for line in lines).encode())

    def save(self, names: Sequence[str] = ()) -> str:
        """A snapshot of every gateway as `show --save` writes it."""
        prober = replace(self.prober(), keep=True)
        looked = prober.look([g for g in self.gateways if not names or g.name in names])
        return saved.encode(prober.answers, looked.failed)

    def ipsecctl(self, machine: str, *words: str) -> tuple[int, str]:
        def read(path: str) -> str:
            if path not in self.files.get(machine, {}):
                raise FileNotFoundError(2, "No such file or directory", path)
            return self.files[machine][path]

        daemon = self.daemon(machine)
        done = ipsecctl(list(words), kernel=daemon.kernel, hostname=machine, read=read)
        for write in done.writes:
            daemon.fifo(write)
        return done.status, done.stdout + done.stderr

    def _answer(self, visit: Visit) -> Outcome:
        name = visit.gateway.name
        request = request_in(visit.stdin).splitlines()
        changing = any(line.startswith(("write ", "load ", "unload ", "deny ", "open ")) for line in request)
        self.before_visit(name, changing)
        for error in (self.dead.get(name), self.fails_to_act.get(name) if changing else None):
            if error is not None:
                raise error
        self.visits += 1
        cut = self.cut.get(self.visits, "")
        if cut == "before":
            raise _lost(name)
        with self.lock:
            nonce = request[0].split()[2]
            who = next(line.removeprefix("who ") for line in request if line.startswith("who "))
            self.key = next((line.removeprefix("key ") for line in request if line.startswith("key ")), "")
            body = self._sections(name, nonce, who, _until_cut(request[request.index("") + 1 :], cut))
        if cut:
            raise _lost(name)
        pair = self.ssh.get(name, "198.51.100.200 40000 192.0.2.1 22")
        out = f"ipsecfleet {pair}\nipsecfleet 1 {nonce}\n".encode() + body
        return Outcome(out, b"", 0, 0.05)

    def _sections(self, name: str, nonce: str, who: str, verbs: list[str]) -> bytes:
        parts: list[tuple[str, str, bytes]] = []
        halted = False
        lines = iter(verbs[:-1])
        for verb in lines:
            word, _, rest = verb.partition(" ")
            commands = [next(lines) for _ in range(int(rest.split()[-1]))] if word in {"write", "log"} else []
            if word in CHANGES and halted:
                done = [(word, "skipped", b"another part of this visit did not go well")]
            elif word in CHANGES or word == "unlock":
                done = [self._change(name, who, word, rest, commands)]
            elif word == "log":
                done = [self._logged(name, int(rest.split()[0]), commands)]
            else:
                done = self._verb(name, word, rest)
            done = [(n, *self.parts.get((name, n), (s, b))) for n, s, b in done]
            halted |= word in CHANGES and done[0][1] != "ok"
            parts += done
        framed = b"".join(f"{nonce} {n} {s} {len(b)}\n".encode() + b + b"\n" for n, s, b in parts)
        return framed + f"{nonce} done {len(parts)}\n".encode()

    def held_by(self, name: str) -> RunLock | None:
        """Who has the gateway's run lock now."""
        lock = self.run_locks.get(name)
        return lock if lock is not None and lock.until > self.world.now else None

    def _change(self, name: str, who: str, word: str, rest: str, commands: list[str]) -> tuple[str, str, bytes]:
        match word:
            case "lock":
                return self._lock(name, who, rest)
            case "unlock":
                return self._unlock(name, who)
            case _ if not self._is_ours(name, who):
                return (word, "lost", b"the run lock is not ours")
            case "write":
                self.told.append((name, self.world.now, f"ipsecfleet: {who}: {'; '.join(commands)}"))
                return self._write(name, commands)
        path = "-" if word in {"deny", "open"} else rest
        self.files.setdefault(name, {})["-"] = f"flow esp {rest} type deny\n"
        status, text = self.ipsecctl(name, *(["-d"] if word in {"unload", "open"} else []), "-f", path)
        self.sent.setdefault(name, []).append(verb_line(word, rest))
        self.settle(0.02)
        return (word, "failed" if status else "ok", text.encode())

    def _lock(self, name: str, who: str, rest: str) -> tuple[str, str, bytes]:
        run, by = who.split()
        seconds, *take = rest.split()
        now, held = self.world.now, self.held_by(name)
        ours = held is not None and held.run == run
        if held and not ours and not take:
            left = math.ceil(held.until - now)
            return ("lock", "held", f"{held.run} {held.who} {now - held.since:.0f} {left}".encode())
        self.run_locks[name] = RunLock(run, by, held.since if held and ours else now, now + int(seconds))
        return ("lock", "ok", f"took {held.run} {held.who}".encode() if held and not ours else b"")

    def _unlock(self, name: str, who: str) -> tuple[str, str, bytes]:
        if self._is_ours(name, who):
            del self.run_locks[name]
        return ("unlock", "ok", b"")

    def _is_ours(self, name: str, who: str) -> bool:
        held = self.held_by(name)
        return held is not None and who.startswith(f"{held.run} ")

    def _write(self, name: str, commands: list[str]) -> tuple[str, str, bytes]:
        data = "".join(f"{line}\n" for line in commands).encode()
        assert len(data) <= 512
        if not self.daemon(name).running or (name, "write") in self.parts:
            return ("write", "missing", b"no isakmpd.fifo")
        self.sent.setdefault(name, []).extend(commands)
        self._fifo(name, data)
        return ("write", "ok", str(len(data)).encode())

    def _fifo(self, name: str, data: bytes) -> None:
        self.daemon(name).fifo(data)
        self.settle(0.02)

    def _verb(self, name: str, word: str, rest: str) -> list[tuple[str, str, bytes]]:
        daemon = self.daemon(name)
        match word:
            case "host":
                facts = f"time {self.world.now + self.clocks.get(name, 0.0)}\nrelease OpenBSD 7.6\nfifo fifo\npid 4711\n".encode()
                return [("host", "ok", facts), ("carp", "ok", self.carp.get(name, "").encode())]
            case "report":
                if not daemon.running:
                    return [("report", "missing", b"no isakmpd.fifo")]
                return [
                    ("report", "ok", self.ask(name, "S")),
                    *((n, "ok", self.ask(name, f"C get {w}")) for n, w in LISTS.items()),
                ]
            case "exchanges" | "exchanges?":
                daemon.sigusr1()
                self.settle(0.02)
                return [
                    ("exchanges", "ok", self._hashed((daemon.files.report or b"").decode("latin-1")).encode("latin-1"))
                ]
            case "flows":
                return [("flows", "ok", show_flows(daemon.kernel).encode())]
            case "sad":
                return [("sad", "ok", show_sas(daemon.kernel, verbose=True).encode())]
            case "files":
                included = "".join(f"include {path}\n" for path in self.files.get(name, {}) if path != "-")
                return [("files", "ok", included.encode())]
            case "stored":
                return self._stored(name, rest)
            case "conf":
                status, text = self.ipsecctl(name, "-d", "-n", "-v", "-f", rest)
                return [("conf", "failed" if status else "ok", text.encode())]
        raise AssertionError(word)

    def _hashed(self, text: str) -> str:
        """The same with hashes in place of keys, where the visit has something to hash with."""
        return KEYS.sub(lambda found: found[1] + (keyed(self.key, found[2]) if self.key else found[2]), text)

    def _stored(self, name: str, path: str) -> list[tuple[str, str, bytes]]:
        text = self.files.get(name, {}).get(path)
        if text is None:
            return [("stored", "missing", b"no such file")]
        _, lines = self.ipsecctl(name, "-n", "-v", "-f", path)
        means = "".join(
            f"{line.removesuffix(' force')}\n" for line in self._hashed(lines.replace(" force", "")).splitlines()
        )
        return [
            ("stored", "ok", f"0600 0 0 {keyed(self.key, text)}\n***\n".encode()),
            ("meaning", "ok", "".join(f"{line}\n" for line in means.splitlines() if line.startswith("C ")).encode()),
        ]

    def _logged(self, name: str, seconds: int, words: Sequence[str]) -> tuple[str, str, bytes]:
        """What the real visit program lets out of what the daemon has told and what visits left."""
        lines = [
            (e["at"], f"isakmpd[4711]: {str(e['text']).removesuffix(' [priv]')}")
            for e in self.events
            if e["gateway"] == name and e["event"] == "log"
        ]
        lines += [(at, text) for there, at, text in self.told if there == name]
        shift = time.time() - self.world.now
        with TemporaryDirectory() as folder:
            place = Place(Path(folder))
            ages = [(self.world.now - at, text) for at, text in sorted(lines, key=itemgetter(0))]
            place.daemon_log.write_text(stamped([(ages[0][0], "x[1]: y"), *ages]) if ages else "")
            status, body = place.only(Log(seconds, tuple(words)))
        moments = re.compile(r"^(from )?(\d+)", re.MULTILINE)
        return ("log", status, moments.sub(lambda m: f"{m[1] or ''}{int(m[2]) - shift:.0f}", body).encode())

    def ask(self, name: str, command: str) -> bytes:
        self.daemon(name).files.result = None
        self._fifo(name, f"{command}\n".encode())
        return self.daemon(name).files.result or b""


def _lost(name: str) -> GatewayError:
    return GatewayError(f"connection lost: {name} hung up while the command ran", obj=name)


def _until_cut(verbs: list[str], cut: str) -> list[str]:
    """The verbs of a visit that is cut off in its middle: up to the first change, and that."""
    if cut != "in":
        return verbs
    first = next((i for i, verb in enumerate(verbs) if verb.split(" ")[0] in CHANGES), 0)
    count = int(verbs[first].split(" ")[1]) if verbs[first].startswith("write ") else 0
    return [*verbs[: first + count + 1], "end"]


def verb_line(word: str, path: str) -> str:
    if word in {"deny", "open"}:
        return f"{word} {path}"
    return f"ipsecctl {'-d ' if word == 'unload' else ''}-f {path}"
