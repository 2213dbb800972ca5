"""What a rollout is about, as it is: two visits, and what follows from them.

The first tells what is on the disk, loaded and running; the second what ipsecctl there makes of the texts that differ.
Texts are compared by hashes under a key that is made for one survey and kept nowhere.
"""

import secrets
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import chain
from types import MappingProxyType

from ipsecfleet.errors import GatewayError, RefusedError
from ipsecfleet.inventory.select import other_ends, pick, resolve_gateways
from ipsecfleet.inventory.words import Selection
from ipsecfleet.isakmpd import host, status, visit
from ipsecfleet.isakmpd.deployed import Meaning, armed_of, shown, stored_of, tried_of
from ipsecfleet.isakmpd.snapshot import snapshot_of
from ipsecfleet.isakmpd.verbs import Armed, Files, Stored, Try, Verb
from ipsecfleet.isakmpd.visit import Answer
from ipsecfleet.model.fleet import Gateway
from ipsecfleet.model.plan import Plan, Wave
from ipsecfleet.model.snapshot import GatewaySnapshot, Snapshot, Unknown
from ipsecfleet.model.source import Source
from ipsecfleet.plan.deploy import Comparison, Facts, RolloutOptions, Wanted, compare, unwanted
from ipsecfleet.plan.files import files_of, path_at
from ipsecfleet.plan.rollout import at_once, plan_round, touched
from ipsecfleet.plan.up import REINIT_S
from ipsecfleet.plan.view import View
from ipsecfleet.plan.waves import Change, grouped, in_rounds, in_waves
from ipsecfleet.run.carrying import Run
from ipsecfleet.run.probe import STARE

Sources = Mapping[tuple[str, str], Source]
"""The conf files of the inventory, by gateway and name there."""

Rounds = tuple[tuple[Change, ...], ...]
Meant = Mapping[str, Mapping[str, Meaning | Unknown]]

NOTHING_KNOWN: Meant = MappingProxyType({})


@dataclass(frozen=True, slots=True)
class Surveyed:
    """`wanted` and `facts` by gateway, and what follows from both.

    `keys` are the hashes of the keys that each daemon has, by the phase 1.
    """

    view: View
    gateways: tuple[Gateway, ...]
    wanted: Mapping[tuple[str, str], Wanted]
    facts: Mapping[str, Facts]
    keys: Mapping[str, Mapping[str, str]]
    comparison: Comparison
    changes: tuple[Change, ...]
    waves: tuple[Rounds, ...]
    plan: Plan


@dataclass(frozen=True, slots=True)
class Survey:
    """One survey for one rollout; `key` is what is hashed with, `meant` what wanted texts mean that are not ours."""

    run: Run
    gateways: tuple[Gateway, ...]
    options: RolloutOptions
    key: str = field(default_factory=lambda: secrets.token_hex(16), repr=False)
    meant: Meant = field(default_factory=lambda: NOTHING_KNOWN)

    def of_sources(self, sources: Sources) -> Surveyed:
        """What the inventory has for these gateways, as far as the selection goes."""
        chosen = self._chosen(sources)
        return self.of({at: self._wanted(source) for at, source in chosen.items()})

    def of(self, wanted: Mapping[tuple[str, str], Wanted]) -> Surveyed:
        """Visit, compare, and put what changes in order."""
        reading = {g.name: _reading(g, wanted) for g in self.gateways}
        first = visited(self.run, self.gateways, lambda g: reading[g.name], self.key)
        view = View.of(self.run.fleet, _snapshot(first))
        answered = {name: a for name, a in first.items() if isinstance(a, Answer)}
        facts = {name: _facts(a, reading[name], self.meant.get(name, {})) for name, a in answered.items()}
        facts |= self._looked_closer(wanted, facts)
        comparison = compare(view, wanted, facts, self.options)
        changes = grouped(view, comparison.changes)
        most = at_once(view, self.options.forced)
        waves = tuple(in_rounds(w, most) for w in in_waves(changes, self.options.canary, self.options.waves))
        keys = {name: _keys(answer) for name, answer in answered.items()}
        refusals = (*comparison.refusals, *self._armed(facts))
        plan = _whole(view, waves, self.options, replace(comparison, refusals=refusals))
        return Surveyed(view, self.gateways, wanted, facts, keys, comparison, changes, waves, plan)

    def _wanted(self, source: Source) -> Wanted:
        text = source.text.reveal()
        return Wanted(visit.keyed(self.key, text), shown(text), source)

    def _chosen(self, sources: Sources) -> dict[tuple[str, str], Source]:
        """The files that the selection means, by gateway and path."""
        fleet, selection = self.run.fleet, self.run.selection
        if selection.names_tunnels:
            blank = Snapshot({g.name: GatewaySnapshot(g.name) for g in self.gateways})
            names = {t.name for t in pick(View.of(fleet, blank).tunnels, fleet, selection)}
            fleet = replace(fleet, tunnels=tuple(t for t in fleet.tunnels if t.name in names))
        return {
            (g.name, path_at(g, name)): sources[g.name, name]
            for g in self.gateways
            for name in files_of(fleet, g)
            if (g.name, name) in sources
        }

    def _looked_closer(self, wanted: Mapping[tuple[str, str], Wanted], facts: Mapping[str, Facts]) -> dict[str, Facts]:
        """What ipsecctl makes of new texts, and the files that are there without being wanted, where they are to go."""
        closer = {name: self._closer(name, wanted, fact) for name, fact in facts.items()}
        verbs = {name: asked for name, asked in closer.items() if asked}
        gateways = [g for g in self.gateways if g.name in verbs]
        answers = all_of(visited(self.run, gateways, lambda g: [v for _, v in verbs[g.name]], self.key))
        return {name: _with(facts[name], answer, verbs[name]) for name, answer in answers.items()}

    def _closer(self, name: str, wanted: Mapping[tuple[str, str], Wanted], fact: Facts) -> list[tuple[str, Verb]]:
        """Paths, and what is asked of each."""
        here = next(g for g in self.gateways if g.name == name)
        foreign = unwanted(self.run.fleet, here, fact, self.options) if self.options.remove else []
        asked: list[tuple[str, Verb]] = [(p, Stored(p)) for p in foreign if (name, p) not in wanted]
        for (gateway, path), want in wanted.items():
            same = getattr(fact.stored.get(path), "digest", None) == want.digest
            if gateway == name and want.source is not None and not same:
                asked.append((path, Try(want.source.text)))
        return asked

    def _armed(self, facts: Mapping[str, Facts]) -> Iterable[RefusedError]:
        for name, fact in facts.items():
            if fact.armed is not None and fact.armed.run != self.run.run_id:
                text = f"{fact.armed.file} on {name} waits for the confirmation of run {fact.armed.run}"
                keeps = f"ipsecfleet runs confirm {fact.armed.run} keeps it"
                hint = f"it is taken back within {fact.armed.left_s} s; {keeps}"
                yield RefusedError(text, kind="lock", obj=name, hint=hint)


def survey(run: Run, sources: Sources, options: RolloutOptions) -> Surveyed:
    """The gateways of the selection and the far ends of their tunnels against the inventory."""
    if options.canary:
        first = resolve_gateways(run.fleet, Selection.of(gateways=options.canary), default_all=False)
        options = replace(options, canary=tuple(g.name for g in first))
    gateways = resolve_gateways(run.fleet, run.selection, default_all=True)
    gateways += other_ends(run.fleet, run.selection, gateways)
    return Survey(run, gateways, options).of_sources(sources)


def visited(
    run: Run, gateways: Iterable[Gateway], verbs: Callable[[Gateway], Sequence[Verb]], key: str = ""
) -> dict[str, Answer | GatewayError]:
    """What every gateway answers to its own verbs."""
    return {gateway.name: answer for gateway, answer in run.prober.visit_all(gateways, verbs, key)}


def all_of(answers: Mapping[str, Answer | GatewayError]) -> dict[str, Answer]:
    """Every answer; the first error if there is one."""
    for answer in answers.values():
        if isinstance(answer, GatewayError):
            raise answer
    return {name: a for name, a in answers.items() if isinstance(a, Answer)}


def _snapshot(answers: Mapping[str, Answer | GatewayError]) -> Snapshot:
    seen = {name: snapshot_of(name, a) for name, a in answers.items() if isinstance(a, Answer)}
    return Snapshot(seen, {name: a for name, a in answers.items() if isinstance(a, GatewayError)})


def _reading(gateway: Gateway, wanted: Iterable[tuple[str, str]]) -> tuple[Verb, ...]:
    return (*STARE, Files(), Armed(), *(Stored(path) for name, path in wanted if name == gateway.name))


def _facts(answer: Answer, verbs: Sequence[Verb], meant: Mapping[str, Meaning | Unknown]) -> Facts:
    files = answer.last("files")
    includes = host.parse_files(files.body).includes if files is not None and files.ok else ()
    return Facts(tuple(includes), stored_of(answer, verbs), meant, armed_of(answer))


def _with(fact: Facts, answer: Answer, asked: Sequence[tuple[str, Verb]]) -> Facts:
    verbs = [verb for _, verb in asked]
    new = [path for path, verb in asked if isinstance(verb, Try)]
    tried = dict(zip(new, tried_of(answer, verbs), strict=True))
    return replace(fact, stored={**fact.stored, **stored_of(answer, verbs)}, tried={**fact.tried, **tried})


def _keys(answer: Answer) -> Mapping[str, str]:
    state = answer.last("exchanges")
    return status.key_hashes(state.body) if state is not None and state.ok else {}


def _whole(view: View, waves: Sequence[Rounds], options: RolloutOptions, comparison: Comparison) -> Plan:
    """All rounds as one plan, to be shown and kept: as they would be if they began now."""
    rounds = [plan_round(view, r, options, pause_s=REINIT_S if n else 0.0) for n, r in enumerate(chain(*waves))]
    steps = [(*p.waves, *([Wave(p.finally_, why="where it is proven")] if p.finally_ else [])) for p in rounds]
    changes = list(chain.from_iterable(chain(*waves)))
    refusals = (*comparison.refusals, *chain.from_iterable(p.refusals for p in rounds))
    refusals += tuple(r for r in touched(view, changes) if r.force not in options.forced)
    return Plan(
        verb="rollout",
        waves=tuple(chain.from_iterable(steps)),
        targets=tuple(chain.from_iterable(p.targets for p in rounds)),
        refusals=tuple(dict.fromkeys(refusals)),
        notes=tuple(dict.fromkeys([*comparison.notes, *chain.from_iterable(p.notes for p in rounds)])),
        otherwise=tuple(chain.from_iterable(p.otherwise for p in rounds)),
        together=tuple(chain.from_iterable(p.together for p in rounds)),
        takes_back=True,
    )
