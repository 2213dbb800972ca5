"""One gateway of four answers as an adversary chooses: its own row may fail, and nothing else.

`branch-1` frames its answers rightly, with the nonce of the request, and fills them with what it likes: what another
gateway would have said, odd names, absurd numbers, escapes, sections twice, thousandfold or of another name; or it
breaks the frames. The honest gateways may get no line that they would not have got were it dead, honest or not ours.

Or it lies so well that its answers are whole: it is itself but for some words, such as SPIs, peers, networks and
connections of another gateway in the place of its own, in all it says or from its second or third visit on.

`make test` plays a seeded sample; `make soak` plays more.
"""

import os
import random
import re
from collections import Counter
from collections.abc import Callable
from dataclasses import replace

import pytest
from fleets import star
from simworld import SimClock, SimFleet
from visits import request_in

from ipsecfleet.errors import RefusedError
from ipsecfleet.inventory.words import Selection
from ipsecfleet.isakmpd import fifo
from ipsecfleet.isakmpd.visit import decode
from ipsecfleet.model.document import Document
from ipsecfleet.plan.down import DownOptions
from ipsecfleet.plan.up import UpOptions
from ipsecfleet.render import RENDERERS, errors_text
from ipsecfleet.run import changes, checking, reading
from ipsecfleet.run.changes import Run
from ipsecfleet.run.probe import Prober
from ipsecfleet.run.reading import Reading
from ipsecfleet.transport import FakeTransport, Outcome, Visit

SAMPLE = 25
OWN_FILE = re.compile(r"ipsecctl -f /etc/IPsec/tunnel-\d\.conf")
"""What a gateway is told that says it knows nothing of its tunnel: the file that the inventory has there."""
RUNS = 400 if os.environ.get("IPSECFLEET_SOAK") else SAMPLE
HOSTILE = "branch-1"
HONEST = ("hub", "branch-2", "branch-3")
SECTIONS = (
    "host", "carp", "report", "connections", "passive", "held", "held-passive", "held-peers",
    "exchanges", "flows", "sad", "write", "conf", "files", "done",
)  # fmt: skip
ODD = (
    b"\x1b[2J\x1b]0;owned\x07", b"\xff\xfe\x80", b"\x00", b"\r", b"\xe2\x80\xae", b"9" * 5000, b"-1", b"nan", b"1e999",
    b"0x", b"/etc/passwd", b"t main peer-10.1.9.2", b"from-0.0.0.0/0-to-0.0.0.0/0", b"10.1.9.2", b"\n", b" ", b",",
)  # fmt: skip

Answers = Callable[[Visit], Outcome]


class Adversary:
    """Answers for `HOSTILE`; everybody else answers as the simulated machines do."""

    def __init__(self, sim: SimFleet, chance: random.Random) -> None:
        self._sim = sim
        self._chance = chance

    def __call__(self, visit: Visit) -> Outcome:
        if visit.gateway.name != HOSTILE:
            return self._sim._answer(visit)
        request = request_in(visit.stdin).splitlines()
        nonce, verbs = request[0].split()[2], request[request.index("") + 1 :]
        head = self._bytes(b"ipsecfleet 198.51.100.200 40000 192.0.2.1 22")
        body = self._framed(nonce.encode(), self._parts(verbs))
        return Outcome(head + f"\nipsecfleet 1 {nonce}\n".encode() + body, self._bytes(b"doas: no"), 0, 0.05)

    def _parts(self, verbs: list[str]) -> list[tuple[bytes, bytes, bytes]]:
        """What somebody, itself or another, would say to the reading verbs; then spoiled, shuffled and repeated."""
        someone = self._chance.choice([HOSTILE, *HONEST])
        said = [p for verb in verbs for p in self._said(someone, verb)]
        parts = [(n.encode(), s.encode(), self._bytes(b)) for n, s, b in said]
        match self._chance.randrange(8):
            case 0:
                self._chance.shuffle(parts)
            case 1:
                parts += parts[::-1]
            case 2:
                parts *= 500
            case 3:
                parts = [(self._chance.choice(SECTIONS).encode(), s, b) for _, s, b in parts]
            case 4:
                parts = [(n, self._chance.choice([b"ok", b"failed", b"busy", b"zz"]), b) for n, _, b in parts]
        return parts

    def _said(self, someone: str, verb: str) -> list[tuple[str, str, bytes]]:
        word, _, rest = verb.partition(" ")
        if word in {"host", "report", "exchanges", "exchanges?", "flows", "sad", "conf"}:
            return self._sim._verb(someone, word, rest) if word != "conf" else [("conf", "ok", b"t quick x")]
        return [(word, "ok", b"1")] if word in {"write", "load", "unload", "files"} else []

    def _bytes(self, body: bytes) -> bytes:
        """The text as it is, or with pieces of it replaced."""
        for _ in range(self._chance.choice([0, 0, 1, 3, 20])):
            words = body.split(self._chance.choice([b" ", b"\n", b"."]))
            words[self._chance.randrange(len(words))] = self._chance.choice(ODD)
            body = self._chance.choice([b" ", b"\n", b"."]).join(words)
        return body

    def _framed(self, nonce: bytes, parts: list[tuple[bytes, bytes, bytes]]) -> bytes:
        """Mostly right frames; else a length that lies, a part that is cut off, or a wrong count."""
        lie = self._chance.choice([0, 0, 0, 0, 0, 1, -1, 10**8])
        framed = b"".join(b"%b %b %b %d\n%b\n" % (nonce, n, s, max(0, len(b) + lie), b) for n, s, b in parts)
        count = len(parts) + self._chance.choice([0, 0, 0, 0, 0, 0, 1])
        whole = framed + b"%b done %d\n" % (nonce, count)
        return whole if self._chance.random() < 0.9 else whole[: self._chance.randrange(len(whole))]


class Liar:
    """`HOSTILE` answers as it is, with some words changed, in every section in the same way, from some visit on."""

    def __init__(self, sim: SimFleet, chance: random.Random) -> None:
        self._sim = sim
        self._left = chance.choice([0, 0, 1, 2])
        words = [self._words(name) for name in (HOSTILE, chance.choice(HONEST))]
        kinds = chance.sample(range(len(words[0])), chance.randint(1, 3))
        self._lies = dict(pair for kind in kinds for pair in zip(words[0][kind], words[1][kind], strict=False))

    def _words(self, name: str) -> list[list[bytes]]:
        """The SPIs, addresses, networks and connections of a gateway, as its report and its kernel spell them."""
        said = b"".join(body for verb in ("report", "flows", "sad") for _, _, body in self._sim._verb(name, verb, ""))
        forms = (rb"\b[0-9a-f]{8}\b", rb"\b10\.[0-9.]+\b", rb"\b(?:172|192)\.[0-9./]+", rb"\bfrom-[^ \n,]+")
        return [sorted(set(re.findall(form, said))) for form in forms]

    def __call__(self, visit: Visit) -> Outcome:
        outcome = self._sim._answer(visit)
        if visit.gateway.name != HOSTILE:
            return outcome
        self._left -= 1
        return outcome if self._left >= 0 else replace(outcome, stdout=self._lied(outcome.stdout))

    def _lied(self, said: bytes) -> bytes:
        """The same sections, whole, with other words."""
        head, banner, rest = said.partition(b"\nipsecfleet 1 ")
        nonce = rest.partition(b"\n")[0]
        sections = decode(said, nonce.decode()).sections
        told = [(s.name.encode(), s.status.encode(), self._changed(s.body)) for s in sections]
        body = b"".join(b"%b %b %b %d\n%b\n" % (nonce, n, s, len(b), b) for n, s, b in told)
        return head + banner + nonce + b"\n" + body + b"%b done %d\n" % (nonce, len(told))

    def _changed(self, body: bytes) -> bytes:
        if not self._lies:
            return body
        return re.sub(b"|".join(map(re.escape, sorted(self._lies, reverse=True))), lambda m: self._lies[m[0]], body)


Enemy = type[Adversary] | type[Liar]


def prober(answers: Answers) -> Prober:
    return Prober(FakeTransport(answers), who="20261123-203144-ab12 tests@sim", fanout=1)


def played(verb: str, sim: SimFleet, answers: Answers) -> Document:
    """One run of everything."""
    every = Selection.of(tunnels=["*"], all_gateways=True)
    look = Reading(sim.fleet, Selection.of(all_gateways=True), prober(answers))
    run = Run(sim.fleet, every, prober(answers), SimClock(sim.world), run_id="sim", ask=lambda _plan: True)
    match verb:
        case "down":
            return changes.change(run, DownOptions())
        case "up":
            return changes.change(run, UpOptions(wait_s=20.0))
        case "lines":
            return reading.lines(look, frozenset())
        case "check":
            return checking.check(look)
        case _:
            return reading.show(look, verb)


def before(verb: str, *, known: bool = True) -> SimFleet:
    """Tunnels that are up, or for `up` down; `known` to the inventory, or to the daemons alone."""
    sim = star(3)
    if verb == "up":
        sim.down(tunnels=["*"])
        sim.sent.clear()
    if not known:
        sim.specs.clear()
    return sim


def sent(sim: SimFleet) -> dict[str, set[str]]:
    return {name: set(sim.sent.get(name, ())) for name in HONEST}


@pytest.fixture(scope="module")
def allowed() -> dict[tuple[str, bool], dict[str, set[str]]]:
    """By verb, inventory and honest gateway, the lines that it gets when the hostile one is honest, dead or not ours."""
    return {(verb, known): _allowed(verb, known) for verb in ("down", "up") for known in (True, False)}


def _allowed(verb: str, known: bool) -> dict[str, set[str]]:
    honest, dead = before(verb, known=known), before(verb, known=known)
    played(verb, honest, honest._answer)
    foreign = before(verb, known=False)
    foreign.gateways = [g for g in foreign.gateways if g.name != HOSTILE]
    played(verb, foreign, foreign._answer)
    played(verb, dead, lambda visit: _dead(dead, visit))
    return {name: sent(honest)[name] | sent(dead)[name] | sent(foreign)[name] for name in HONEST}


def _dead(sim: SimFleet, visit: Visit) -> Outcome:
    return Outcome(b"", b"", 255, 0.05) if visit.gateway.name == HOSTILE else sim._answer(visit)


def is_safe(document: Document) -> None:
    """No format holds a byte that a terminal obeys."""
    texts = [render(document) for render in RENDERERS.values()]
    texts += [errors_text([*document.errors, *document.warnings], 80)]
    assert all(c.isprintable() or c in "\n\t" for text in texts for c in text)


@pytest.mark.parametrize("seed", range(RUNS))
@pytest.mark.parametrize("verb", ["tunnels", "sas", "flows", "gateways", "lines", "check"])
def test_reading_survives_a_hostile_gateway(verb: str, seed: int, tally: Counter[str]) -> None:
    tally[f"{verb}, of {RUNS}; make test plays {SAMPLE}"] += 1
    sim = before(verb)
    document = played(verb, sim, Adversary(sim, random.Random(seed)))
    is_safe(document)
    assert sim.sent == {}
    assert {g.gateway for g in document.gateways if g.state == "ok"} >= set(HONEST)


@pytest.mark.parametrize("seed", range(RUNS))
@pytest.mark.parametrize("enemy", [Adversary, Liar])
@pytest.mark.parametrize("known", [True, False], ids=["inventory", "daemons"])
@pytest.mark.parametrize("verb", ["down", "up"])
def test_no_honest_gateway_gets_a_line_of_a_hostile_one(
    verb: str,
    known: bool,
    enemy: Enemy,
    seed: int,
    allowed: dict[tuple[str, bool], dict[str, set[str]]],
    tally: Counter[str],
) -> None:
    tally[f"{verb}, {enemy.__name__}, of {RUNS}; make test plays {SAMPLE}"] += 1
    sim = before(verb, known=known)
    try:
        document = played(verb, sim, enemy(sim, random.Random(seed)))
    except RefusedError:
        tally[f"{verb}, {enemy.__name__} refused"] += 1
    else:
        tally[f"{verb}, {enemy.__name__} {document.result}"] += 1
        is_safe(document)
    for name, lines in sent(sim).items():
        assert lines <= allowed[verb, known][name], name
    for line in (line for lines in sim.sent.values() for line in lines):
        if not OWN_FILE.fullmatch(line):
            fifo.validate_write((line,))
