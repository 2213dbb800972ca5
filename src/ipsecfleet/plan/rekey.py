"""rekey: new keys for a tunnel whose flows are never missing, by overlap (recipes.md 4).

Beside the SA of a connection a second one is negotiated under an alias, which replaces it; the re-initialisation that is
armed by the same write forgets the alias 5 s later, finds no live SA under the connection's own name, and negotiates a
third. No line of it tears anything down, and after the one write nothing of ours is needed any more: whatever happens
to us then, the daemon goes on to the end. The alias's section is removed when all is seen to be done.

It is done where the connection stands in `Connections`; where only a foreign peer has it there, nothing of ours can
rekey it, and a restart would be an outage: refused. Two key computations at each side; one tunnel at a time at a
gateway, because each write puts the re-initialisation off. Of foreign peers one goes first, alone.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from itertools import chain

from ipsecfleet.errors import RefusedError
from ipsecfleet.isakmpd.fifo import cloneable
from ipsecfleet.isakmpd.names import alias_of
from ipsecfleet.model.plan import Plan, Step, Wave
from ipsecfleet.model.snapshot import Alias, Listing, Unknown
from ipsecfleet.model.tunnel import End, Tunnel
from ipsecfleet.plan import refuse, steps
from ipsecfleet.plan.renewal import Spis, Strand, left_out, strands_of
from ipsecfleet.plan.stagger import ATTEMPT_S, Job, Pace, gap_s, lasts_s, machines_of, negotiations
from ipsecfleet.plan.up import REINIT_S
from ipsecfleet.plan.view import View

ALONE = 1
"""How many tunnels are rekeyed at one machine at a time, whatever it bears (recipes.md 4)."""

SETTLE_S = 2.0
"""Before the last look."""


@dataclass(frozen=True, slots=True)
class RekeyOptions:
    """What the operator asked for; with `clean` only what interrupted rekeys left is removed."""

    clean: bool = False
    wait_s: float = 60.0
    pace: Pace = field(default_factory=Pace)
    forced: frozenset[str] = frozenset()


def plan_rekey(view: View, chosen: Sequence[Tunnel], options: RekeyOptions, before: Spis | None = None) -> Plan:
    """What rekeys `chosen`; pure and deterministic. What has new SAs since `before` is done already."""
    if options.clean:
        return _clean(view, chosen)
    strands = strands_of(view, chosen, options.forced)
    work = [s for s in strands if not s.held and not (before is not None and s.is_new(before))]
    rekeying = _Rekey(view, work, options)
    begun, times = negotiations(rekeying.jobs(), replace(options.pace, at_each=ALONE), view)
    return Plan(
        verb="rekey",
        negotiations=begun,
        at_once=options.pace.at_once,
        at_each=ALONE,
        targets=tuple(chain.from_iterable(s.targets for s in work)),
        already=tuple(dict.fromkeys(s.tunnel.name for s in strands if s not in work and not s.held)),
        refusals=refuse.without(rekeying.refusals(), options.forced),
        notes=tuple(dict.fromkeys([*left_out(strands), *rekeying.notes(), *times.notes])),
        settle_s=SETTLE_S if begun else 0.0,
        finally_=tuple(dict.fromkeys([*rekeying.uncloned(), *_leftovers(view, (s.tunnel for s in strands))])),
    )


class _Rekey:
    """One planning of `rekey`; `strands` are those that get new keys."""

    def __init__(self, view: View, strands: Sequence[Strand], options: RekeyOptions) -> None:
        self.view = view
        self.strands = strands
        self.options = options
        self.at = {id(s): end for s in strands if (end := self._able(s)) is not None}

    def _able(self, strand: Strand) -> End | None:
        """The end where it can be done."""
        able = [e for e in strand.masters if e.listing is Listing.ACTIVE and e.connection is not None and e.live]
        return able[0] if able and not any(self._uncloneable(able[0])) else None

    def jobs(self) -> list[Job]:
        """One for each strand; of those with foreign peers the first, and the others after it."""
        pairs = [(s, self.at[id(s)]) for s in self.strands if id(s) in self.at]
        jobs = [self._job(strand, end) for strand, end in pairs]
        foreign = [i for i, (_, end) in enumerate(pairs) if not self.view.ours(end.peer)]
        for i in foreign[1:]:
            first = jobs[foreign[0]]
            wait_s = first.lasts_s + first.gap_s
            jobs[i] = replace(jobs[i], after=first.tunnel, wait_s=wait_s, why=f"{first.tunnel} goes first")
        return jobs

    def _job(self, strand: Strand, end: End) -> Job:
        machines = machines_of(strand.tunnel, end)
        role = self.view.as_master(end.gateway, self.options.forced)
        return Job(
            tunnel=strand.tunnel.name,
            steps=steps.overlap(strand.tunnel.name, end, self.view.connection(end).tags or (), role),
            targets=strand.targets,
            machines=machines,
            lasts_s=REINIT_S + lasts_s(self.view, end),
            least_s=REINIT_S,
            gap_s=gap_s(self.view, machines),
            limit_s=ATTEMPT_S,
        )

    def uncloned(self) -> Iterable[Step]:
        ends = ((s.tunnel.name, self.at[id(s)]) for s in self.strands if id(s) in self.at)
        return (steps.unclone(name, end.gateway, alias_of(str(end.connection))) for name, end in ends)

    def _uncloneable(self, end: End) -> Iterable[str]:
        """Why no second connection can be made that is like this one: its SAs would not be like it either."""
        tags = self.view.connection(end).tags
        if tags is None or end.missing is None:
            yield f"{end.gateway} did not say what it is built from"
        elif end.missing:
            yield f"{end.gateway} lacks {end.missing[0]} to build it from"
        else:
            yield from (f"its {tag} on {end.gateway} cannot be cloned" for tag, v in tags if not cloneable(v))

    def refusals(self) -> Iterable[RefusedError]:
        tunnels = list(dict.fromkeys(s.tunnel for s in self.strands))
        yield from refuse.other_end(self.view, tunnels)
        yield from refuse.carp_backup(self.view, tunnels)
        for strand in self.strands:
            if id(strand) not in self.at:
                yield self._unable(strand)
        for gateway, names in self._touched().items():
            yield from refuse.wakes_others(self.view, gateway, names)

    def _unable(self, strand: Strand) -> RefusedError:
        name = strand.tunnel.name
        hint = f"-x {name} leaves it out"
        if not strand.live:
            text = f"{name} is {strand.tunnel.state.value}, so there is nothing to rekey"
            return RefusedError(text, kind="not-up", obj=name, hint=f"ipsecfleet up -t {name}; {hint}")
        active = [e for e in strand.masters if e.listing is Listing.ACTIVE]
        if active:
            why = next((w for e in active for w in self._uncloneable(e)), f"{active[0].gateway} has no SA of it")
            return RefusedError(f"{name}: {why}", kind="not-cloneable", obj=name, hint=hint)
        end = strand.masters[0]
        why = "only the other end begins it" if end.listing is Listing.PASSIVE else f"{end.gateway} has it in no list"
        text = f"{name}: {why}, so it cannot be rekeyed without an outage"
        return RefusedError(text, kind="other-begins", obj=name, hint=f"rekey it at the other end; {hint}")

    def _touched(self) -> dict[str, frozenset[str]]:
        """The connections of this run on each gateway whose re-initialisation is armed."""
        gateways = sorted({end.gateway for end in self.at.values()})
        ends = [e for s in self.strands for e in s.ends]
        return {g: frozenset(str(e.connection) for e in ends if e.gateway == g) for g in gateways}

    def notes(self) -> Iterable[str]:
        for gateway, names in self._touched().items():
            yield from refuse.reinit_notes(self.view, gateway, names)


def _clean(view: View, chosen: Sequence[Tunnel]) -> Plan:
    """Remove the aliases of the chosen tunnels, and on their gateways those of no connection that is known."""
    removals = tuple(dict.fromkeys([*_leftovers(view, chosen), *_orphans(view, chosen)]))
    return Plan(verb="rekey", waves=(Wave(removals, why="left by interrupted rekeys"),) if removals else ())


def _leftovers(view: View, tunnels: Iterable[Tunnel]) -> Iterable[Step]:
    for tunnel in tunnels:
        for end in tunnel.ends:
            mine = (a for a in _aliases(view, end.gateway) if a.configured and a.connection == end.connection)
            yield from (steps.unclone(tunnel.name, end.gateway, a.name) for a in mine if end.connection is not None)


def _orphans(view: View, chosen: Iterable[Tunnel]) -> Iterable[Step]:
    for gateway in sorted({e.gateway for t in chosen for e in t.ends}):
        lost = (a for a in _aliases(view, gateway) if a.configured and a.connection is None)
        yield from (steps.unclone(a.name, gateway, a.name) for a in lost)


def _aliases(view: View, gateway: str) -> tuple[Alias, ...]:
    seen = view.seen(gateway)
    return () if seen is None or isinstance(seen.aliases, Unknown) else seen.aliases
