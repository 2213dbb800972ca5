"""diagnose: both ends of the selected tunnels, what they show and what their logs say; nothing of a tunnel is changed.

A first look tells which tunnels are meant and where their other ends are; the second one asks these gateways for all
that a verdict needs, their logs filtered by the peers and names that the first one found. With `wait_s` between them
two looks are compared, which shows what a daemon leaves undone; and one class of its debugging can be raised meanwhile.
The gateway puts it back by itself, whatever becomes of us; here only its word for that is looked for.
"""

import secrets
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from ipsecfleet.errors import Exit, GatewayError, foremost
from ipsecfleet.isakmpd import host, notices, status
from ipsecfleet.isakmpd.deployed import stored_of
from ipsecfleet.isakmpd.snapshot import selectors_of, snapshot_of
from ipsecfleet.isakmpd.status import Sections
from ipsecfleet.isakmpd.terms import Terms, terms_of
from ipsecfleet.isakmpd.verbs import DEBUG_CLASSES, Debug, Files, Log, Stored, Verb, log_word
from ipsecfleet.isakmpd.visit import Answer
from ipsecfleet.model.document import Document
from ipsecfleet.model.fleet import Gateway
from ipsecfleet.model.notice import Kind
from ipsecfleet.model.notice import Log as Told
from ipsecfleet.model.snapshot import GatewaySnapshot, Snapshot, Unknown
from ipsecfleet.model.tunnel import Tunnel
from ipsecfleet.plan.diagnose import RECENT_S, Witness, diagnose
from ipsecfleet.plan.files import conf_path
from ipsecfleet.plan.view import View
from ipsecfleet.run.probe import STARE
from ipsecfleet.run.reading import Reading, document_of
from ipsecfleet.run.scope import DIAGNOSING, Scope, of_saved, survey

LOOKS_KEPT = 20
"""How many looks a new one can be compared with."""

SETTLED_S = 2.0
"""How long after its time a level is put back."""


@dataclass(frozen=True, slots=True)
class Question:
    """How far back logs are read, how long is waited between two looks, and what is raised meanwhile; in seconds."""

    since_s: float
    wait_s: float = 0.0
    debug: Debug | None = None
    sleep: Callable[[float], None] = lambda _seconds: None


def diagnosis(reading: Reading, question: Question, earlier: list[Snapshot] | None = None) -> Document:
    """What is the matter with the selected tunnels; looks are compared with those `earlier`, and join them."""
    if reading.snapshot is not None:
        scope = of_saved(reading.fleet, reading.selection, reading.snapshot)
        return _document(reading, scope, _meant(reading, scope), {})
    scope = survey(reading.prober, reading.fleet, reading.selection, STARE, DIAGNOSING)
    meant = _meant(reading, scope)
    gateways = _concerned(scope, meant)
    raised = _raise(reading, question, gateways)
    if question.wait_s and gateways:
        question.sleep(question.wait_s + (SETTLED_S * scope.view.fleet.time_scale if question.debug else 0.0))
    view, witnesses = _closer(reading, question, scope, meant, gateways)
    looks = [] if earlier is None else earlier
    witnesses = _compared(witnesses, [*looks, scope.view.snapshot])
    looks[:] = [*looks[-LOOKS_KEPT:], view.snapshot]
    logs = {r.gateway: witnesses[r.gateway].log if r.gateway in witnesses else Unknown("not read") for r in raised}
    document = _document(reading, replace(scope, view=view), meant, witnesses)
    back = (e for r in raised if question.debug for e in _put_back(question.debug, r, logs[r.gateway]))
    ill = any(not d.well for d in document.diagnoses or ())
    unread = (e for name, w in witnesses.items() if ill for e in _log_troubles(name, w, view))
    return replace(document, warnings=(*back, *unread))


def _meant(reading: Reading, scope: Scope) -> list[Tunnel]:
    """The tunnels that are selected by name, or else those that are not well."""
    named = reading.selection.names_tunnels
    return [t for t in scope.chosen if named or not all(d.well for d in diagnose(scope.view, t, {}))]


def _log_troubles(gateway: str, witness: Witness, view: View) -> Iterator[GatewayError]:
    """That a log could not be read, or does not reach back as far as the last attempts."""
    seen, log = view.seen(gateway), witness.log
    if isinstance(log, Unknown):
        text, hint = f"the log of {gateway} could not be read: {log.why}", "what it would say is not known"
        yield GatewayError(text, kind="log", obj=gateway, hint=hint)
    elif seen is not None and seen.at is not None and log.begins > seen.at - RECENT_S / view.fleet.time_scale:
        text = f"the log of {gateway} begins {seen.at - log.begins:.0f} s ago, after the last attempts may have been"
        yield GatewayError(text, kind="log", obj=gateway, hint="run this again later")


def _concerned(scope: Scope, meant: Iterable[Tunnel]) -> list[Gateway]:
    """The gateways that answered and have an end of these tunnels, or are the peer of one."""
    view, ends = scope.view, [e for t in meant for e in t.ends]
    names = {e.gateway for e in ends} | {g.name for e in ends for g in view.at(e.peer)}
    return [g for g in scope.gateways if g.name in names and g.name in view.snapshot.gateways]


@dataclass(frozen=True, slots=True)
class Raised:
    """What became of raising a class at one gateway: its level before, None where that was not told; or why not."""

    gateway: str
    before: int | None = None
    error: GatewayError | None = None


def _raise(reading: Reading, question: Question, gateways: Sequence[Gateway]) -> tuple[Raised, ...]:
    """Raise a class of debugging everywhere."""
    if question.debug is None:
        return ()
    asked = (question.debug,)
    return tuple(_raised(g, answer) for g, answer in reading.prober.visit_all(gateways, lambda _gateway: asked))


def _raised(gateway: Gateway, answer: Answer | GatewayError) -> Raised:
    if isinstance(answer, GatewayError):
        return Raised(gateway.name, error=answer)
    section = answer.last("debug")
    said = section.body.decode("utf-8", "replace") if section is not None else "not done"
    if section is None or not section.ok:
        text = f"no debugging on {gateway.name}: {said}"
        return Raised(gateway.name, error=GatewayError(text, kind="debug", obj=gateway.name))
    return Raised(gateway.name, int(said) if said.isdecimal() else None)


def _put_back(debug: Debug, raised: Raised, log: Told | Unknown) -> Iterator[GatewayError]:
    """Why it failed; and where the log does not say that the level is what it was, a warning."""
    if raised.error is not None:
        yield raised.error
        if raised.error.kind == "debug":
            return
    number = DEBUG_CLASSES[debug.name][0]
    levels = () if isinstance(log, Unknown) else [n.details for n in log.notices if n.kind is Kind.LEVEL]
    mine = [d for d in levels if d[-1] == str(number)]
    if not mine or (len(mine[-1]) > 1 and mine[-1][0] != str(debug.level)):
        text = f"that {debug.name} on {raised.gateway} is back at its level was not seen in its log"
        hint = f'it is put back by the gateway itself; by hand: "D {number} {raised.before or 0}" into its isakmpd.fifo'
        yield GatewayError(text, kind="debug", obj=raised.gateway, hint=hint)


def _closer(
    reading: Reading, question: Question, scope: Scope, meant: Sequence[Tunnel], gateways: Sequence[Gateway]
) -> tuple[View, dict[str, Witness]]:
    """A second look at the gateways that matter, with their logs and conf files."""
    key = secrets.token_hex(16)
    back_s = max(1, round((question.since_s + question.wait_s) / scope.view.fleet.time_scale))
    asked = {g.name: _questions(scope.view, meant, g, back_s) for g in gateways}
    snapshot, witnesses = scope.view.snapshot, {}
    for gateway, answer in reading.prober.visit_all(gateways, lambda g: asked[g.name], key):
        if isinstance(answer, GatewayError):
            snapshot = snapshot.updated(Snapshot(failed={gateway.name: answer}))
            continue
        looked = snapshot_of(gateway.name, answer)
        snapshot = snapshot.updated(Snapshot({gateway.name: looked}))
        witnesses[gateway.name] = _witness(answer, asked[gateway.name], back_s, looked)
    return View.of(scope.view.fleet, snapshot), witnesses


def _questions(view: View, meant: Iterable[Tunnel], gateway: Gateway, back_s: int) -> tuple[Verb, ...]:
    paths = {conf_path(view, t, e) for t in meant for e in t.ends if e.gateway == gateway.name}
    files = sorted(p for p in paths if p is not None)
    words = {w for t in meant for w in _words(view, t, gateway)} | set(files)
    known = tuple(sorted(filter(log_word.fullmatch, words)))
    return (*STARE, Files(), *map(Stored, files), Log(back_s, known))


def _words(view: View, tunnel: Tunnel, gateway: Gateway) -> Iterator[str]:
    """The peers and names by which a gateway's log can speak of a tunnel."""
    for end in tunnel.ends:
        if end.gateway == gateway.name:
            yield from filter(None, (end.peer, end.connection, end.phase1))
        elif gateway in view.at(end.peer):
            there = view.gateway(end.gateway)
            yield from (*there.ike, *([there.carp.vip] if there.carp is not None else ()))


def _witness(answer: Answer, asked: Sequence[Verb], back_s: int, looked: GatewaySnapshot) -> Witness:
    log, told, included = answer.last("log"), answer.last("exchanges"), answer.last("files")
    body = told.body if told is not None and told.ok else b""
    state, keys = status.parse(body), status.key_hashes(body)
    get = state.sections.get
    configured = {n: selectors_of(n, state.sections) for n in state.sections.names() if get(n, "Phase") == "2"}
    return Witness(
        log=_log(log.status, log.body, back_s, looked) if log is not None else Unknown("not read"),
        terms=_terms(state.sections, keys),
        configured=configured if body else None,
        files=stored_of(answer, asked),
        includes=host.parse_files(included.body).includes if included is not None and included.ok else (),
        reinit_in_s=state.reinit_in_s,
    )


def _log(word: str, body: bytes, back_s: int, looked: GatewaySnapshot) -> Told | Unknown:
    if word != "ok":
        return Unknown(f"{word}: {body.decode('utf-8', 'replace').strip()}")
    return notices.parse(body, back_s, looked.at)


def _terms(sections: Sections, keys: Mapping[str, str]) -> Mapping[str, Terms]:
    phase1s = {name.lower(): name for name in sections.tags("Phase 1").values() if name}
    return {key: terms_of(sections, name, keys) for key, name in phase1s.items()}


def _compared(witnesses: Mapping[str, Witness], looks: Sequence[Snapshot]) -> dict[str, Witness]:
    had = {name: tuple(s.gateways[name] for s in looks if name in s.gateways) for name in witnesses}
    return {name: replace(w, earlier=had[name]) for name, w in witnesses.items()}


def _document(reading: Reading, scope: Scope, tunnels: Iterable[Tunnel], witnesses: Mapping[str, Witness]) -> Document:
    meant = frozenset(t.name for t in tunnels)
    found = tuple(d for t in scope.view.tunnels if t.name in meant for d in diagnose(scope.view, t, witnesses))
    document = document_of("diagnose", scope, reading.selection)
    code = foremost([document.exit_code, *([Exit.FINDINGS] if any(not d.well for d in found) else [])])
    return replace(document, diagnoses=found, exit_code=code, result=code.word)
