"""The lab's pre-shared key comes out nowhere: not on a screen, in a file, in a log, on the wire, in a traceback."""

import base64
import re
import shutil
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path

import pytest
from visits import plain_text, request_in

from cli import Lab, Operator, Ran, running_lab, side_by_side
from ipsecfleet.cli.inventories import load_fleet
from ipsecfleet.isakmpd.verbs import ConfNames, Files
from ipsecfleet.isakmpd.visit import decode
from ipsecfleet.lab.scenario import TEST_PSK
from ipsecfleet.run.probe import STARE, Prober
from ipsecfleet.transport import SshTransport
from ipsecfleet.transport.contract import Outcome, Visit, Visited

pytestmark = pytest.mark.lab

TUNNEL = ("-t", "customer-1")
WRITING = "write,writev,pwrite64,pwritev,sendto,sendmsg,sendmmsg,execve,rename,open,openat,mkdir,unlink"
STRING = re.compile(rb'"((?:\\x[0-9a-f]{2})*)"')


def forms(secret: bytes) -> set[bytes]:
    """The secret as it is, and in base64 (at any offset), hex and percent-encoding."""
    encoded = {base64.b64encode(b"\0" * n + secret)[4 * (n > 0) : -4].rstrip(b"=") for n in range(3)}
    hexadecimal, percent = secret.hex().encode(), "".join(f"%{byte:02x}" for byte in secret).encode()
    return {secret, hexadecimal, hexadecimal.upper(), percent, percent.upper(), *encoded}


FORMS = forms(TEST_PSK.encode())


def clean(*texts: bytes) -> bool:
    """Whether the key is in none of these, and not in all of them one after the other."""
    return not [form for form in FORMS for text in (*texts, b"".join(texts)) if form in text]


def files_of(*folders: Path) -> list[Path]:
    return [path for folder in folders for path in folder.rglob("*") if path.is_file()]


def bytes_of(paths: Iterable[Path]) -> list[bytes]:
    return [path.read_bytes() for path in paths]


def said(ran: Iterable[Ran]) -> list[bytes]:
    return [text.encode() for one in ran for text in (one.out, one.err)]


@pytest.fixture(scope="module")
def own(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    """A lab whose tunnels have been up for a while."""
    folder = tmp_path_factory.mktemp("own")
    with running_lab(folder / "lab", folder / "home") as running:
        yield running
        left = [*(path for path in files_of(folder / "lab/gateways") if "run" in path.parts), *_logs(running)]
        assert left
        assert clean(*bytes_of(left))


def _logs(lab: Lab) -> list[Path]:
    """What the gateways' system logs got."""
    return [*lab.root.glob("gateways/*/log/*")]


def test_this_would_find_it(tmp_path: Path) -> None:
    for n in range(3):
        assert not clean(b"x" * n + TEST_PSK.encode())
        assert not clean(base64.b64encode(b"x" * n + TEST_PSK.encode() + b"yz"))
    assert not clean(f"PSK={TEST_PSK.encode().hex()}".encode())
    assert not clean(TEST_PSK[:9].encode(), TEST_PSK[9:].encode())
    assert clean(b"lab-psk-for-tests")


@dataclass
class Traced:
    """An operator each of whose processes is watched by strace."""

    run: Operator
    folder: Path
    count: int = 0

    def __call__(self, *words: str) -> Ran:
        self.count += 1
        trace = ("strace", "-f", "--seccomp-bpf", "-qq", "-s", "1000000", "-xx", "-e", f"trace={WRITING}", "-o")
        return replace(self.run, wrapper=(*trace, str(self.folder / str(self.count))))(*words)

    def written(self) -> list[bytes]:
        """What all of them gave to the kernel."""
        texts = (text for trace in bytes_of(sorted(self.folder.iterdir())) for text in STRING.findall(trace))
        return [bytes.fromhex(text.replace(rb"\x", b"").decode()) for text in texts]


def test_no_process_writes_it_at_any_time(own: Lab, tmp_path: Path) -> None:
    if shutil.which("strace") is None:
        pytest.fail("strace is not installed, and this test is about it: run `make setup`", pytrace=False)
    (tmp_path / "traces").mkdir()
    traced, kept = Traced(own.run, tmp_path / "traces"), tmp_path / "kept.json"
    ran = [
        traced("show", "-v", "--save", str(kept)),
        traced("down", *TUNNEL, "-v", "--yes"),
        traced("up", *TUNNEL, "-v", "--yes", "-o", "json"),
    ]
    assert [one.code for one in ran] == [0, 0, 0], ran
    written = traced.written()
    for known in (b"customer-1: down on hub-fra1", str(kept).encode(), b'"command": "up"'):
        assert any(known in text for text in written)
    assert clean(*written, *said(ran), kept.read_bytes())


def test_no_output_of_a_run_or_of_a_failure_has_it(own: Lab, tmp_path: Path) -> None:
    conf = own.files("br-oslo") / "etc/IPsec/ams.conf"
    whole = conf.read_text()
    broken = ('psk "', 'esp psk psk "')
    verbs = [["show", "sas", "-v"], ["show", "-v", "-o", "json"], ["check", "-v"], ["check", "-o", "json"]]
    with own.fault("second-writer", "br-turku"), own.fault("report-garbled", "hub-ams1"):
        ran = side_by_side(own.run, verbs)
    ran.append(own.run("down", *TUNNEL, "--remove", "-n", "-v"))
    conf.write_text(whole.replace(*broken))
    try:
        remove = own.run("down", "-t", "oslo-ams", "--remove", "--yes", "-v")
    finally:
        conf.write_text(whole)
    names = Operator(tmp_path)("names", str(_spoiled(tmp_path, whole)))
    assert remove.code not in {0, 70}, remove
    assert names.code == 2, names
    state = files_of(own.run.state) if own.run.state.exists() else []
    assert clean(*said([*ran, remove, names]), *bytes_of(state))


def _spoiled(folder: Path, conf: str) -> Path:
    """A conf file with a slip right before its key."""
    path = folder / "spoiled.conf"
    path.write_text(conf.replace('psk "', 'psk psk "'))
    return path


def test_a_traceback_shows_no_values(tmp_path: Path) -> None:
    run = Operator(tmp_path, settings={"PSK": TEST_PSK})
    ran = run.crashing("crash")
    reports = bytes_of(files_of(run.state))
    assert ran.code == 70, ran
    assert b"RuntimeError: this is broken" in reports[0]
    assert clean(*said([ran]), *reports)


@dataclass
class Recorder:
    """A transport that keeps what goes over it, in clear."""

    inner: SshTransport
    passed: list[bytes] = field(default_factory=list)

    def visit(self, visit: Visit) -> Outcome:
        raise NotImplementedError

    def visit_all(self, visits: Iterable[Visit], *, at_once: int | None = None) -> Iterator[Visited]:
        for visit, outcome in self.inner.visit_all(visits, at_once=at_once):
            assert isinstance(outcome, Outcome)
            answer = decode(outcome.stdout, request_in(visit.stdin).split()[2])
            assert answer.complete
            self.passed += [visit.command.encode(), plain_text(visit.stdin), outcome.stdout, outcome.stderr]
            self.passed += [section.body for section in answer.sections]  # some were packed
            yield visit, outcome

    def close(self) -> None:
        self.inner.close()


def test_no_gateway_answers_it(own: Lab) -> None:
    """Whatever is asked: lists, the daemon's own state, which holds every key, and conf files."""
    fleet = load_fleet(own.inventory)
    files = {g.name: sorted(map(str, (own.files(g.name) / "etc/IPsec").iterdir())) for g in fleet.gateways}
    assert all(TEST_PSK in Path(path).read_text() for paths in files.values() for path in paths)
    with SshTransport() as ssh:
        recorder = Recorder(ssh)
        prober = Prober(recorder, who="20261123-203144-ab12 tests@lab", fanout=2)
        for gateway in fleet.gateways:
            prober.visit(gateway, (*STARE, Files(), *map(ConfNames, files[gateway.name])))
    passed = b"".join(recorder.passed)
    assert b"SA name: from-172.16.1.0/24-to-192.168.1.0/24" in passed
    assert b"[peer-10.2.1.1]" in passed
    assert clean(*recorder.passed)
