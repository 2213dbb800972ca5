"""What a fresh look proves of the targets of a run: proven, not yet, or not at all, and what to do once more.

Pure: the engine looks, this judges, the engine acts or waits. Nothing is called proven that the last snapshot does not
show. Seconds are the gateway's.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from itertools import chain

from ipsecfleet.isakmpd.names import is_alias
from ipsecfleet.model.condition import Condition, Gone, Role, SoleHolder
from ipsecfleet.model.net import same_address
from ipsecfleet.model.plan import Action, Plan, Step, Target, Undo
from ipsecfleet.model.sa import Exchange, Sa
from ipsecfleet.model.snapshot import Unknown
from ipsecfleet.model.tunnel import End, State
from ipsecfleet.plan import steps
from ipsecfleet.plan.view import View

EXCHANGE_S = 125.0
"""An exchange is dead 120 s after its start (Exchange-max-time); five more to see it gone."""

MOST_REPEATS = 2
"""One for what came back before the re-initialisation, one for a negotiation that completed late."""


class Word(StrEnum):
    """A verdict in one word."""

    PROVEN = "proven"
    PENDING = "pending"
    FAILED = "failed"


@dataclass(frozen=True, slots=True)
class Verdict:
    """What a look says of one target; `again` are steps to repeat, `hint` what the operator can do.

    `doubtful` is what the parts of one look, read one after the other, can show without being so.
    """

    target: Target
    word: Word
    text: str = ""
    hint: str = ""
    again: tuple[Step, ...] = ()
    doubtful: bool = False


@dataclass(frozen=True, slots=True)
class Patience:
    """What may still be waited for; `elapsed_s` since the last change, `wait` False for --no-wait.

    `suspects` are the cookies of phase 1 negotiations that were under way at the first look: what began later was not
    begun for a tunnel that is held. `repeated` are the teardowns that were repeated already, and `doubted` the
    targets of which the look before was doubtful, both by gateway and tunnel. `before` has the SPIs that were live on
    each gateway when the run began to change it, `renewed` those of a target when its negotiation began.
    """

    elapsed_s: float
    wait: bool = True
    suspects: frozenset[str] | None = None
    repeated: tuple[tuple[str, str], ...] = ()
    doubted: frozenset[tuple[str, str]] = frozenset()
    before: Mapping[str, frozenset[int]] = field(default_factory=dict)
    renewed: Mapping[Target, frozenset[int]] = field(default_factory=dict)

    def suspects_of(self, exchanges: Iterable[Exchange]) -> list[Exchange]:
        """The negotiations of ours that may still bring a held tunnel up."""
        running = [x for x in exchanges if x.ours and not x.finished]
        return [x for x in running if x.phase == 2 or self.suspects is None or x.icookie in self.suspects]


def judge(plan: Plan, view: View, patience: Patience, targets: Sequence[Target] | None = None) -> tuple[Verdict, ...]:
    """One verdict for each target of the plan, or for some of them; pending as long as something may still change."""
    return tuple(_judge(plan, view, target, patience) for target in (plan.targets if targets is None else targets))


def _judge(plan: Plan, view: View, target: Target, patience: Patience) -> Verdict:
    match plan.verb:
        case "down":
            return _down(plan, view, target, patience)
        case "up":
            return _up(view, target)
    match target.expect:
        case "gone":
            return _down(plan, view, target, patience)
        case "up":
            return _beside(view, target)
    return _renewed(view, target, patience)


def _beside(view: View, target: Target) -> Verdict:
    """What was up and is not of the run."""
    end = find_end(view, target)
    if end is None or not end.live:
        return Verdict(target, Word.PENDING, f"it was up on {target.gateway} before, and is not of this run")
    return Verdict(target, Word.PROVEN)


def find_end(view: View, target: Target) -> End | None:
    """The end a target is about, as the view has it now, under whatever name."""
    tunnel = view.tunnel(target.tunnel)
    ends = [e for e in (tunnel.ends if tunnel is not None else ()) if e.gateway == target.gateway]
    ends += [e for _, e in view.ends_on(target.gateway) if e not in ends and same_address(e.peer, target.peer)]
    exact = (e for e in ends if e.selectors == target.selectors and e.selectors is not None)
    named = (e for e in ends if e.connection == target.connection)
    return next(chain(exact, named), None)


def _down(plan: Plan, view: View, target: Target, patience: Patience) -> Verdict:
    seen = view.seen(target.gateway)
    if seen is None or seen.unknown:
        failed = view.snapshot.failed.get(target.gateway)
        why = failed.message if failed is not None else seen.unknown[0][1].why if seen is not None else "not visited"
        return Verdict(target, Word.FAILED, f"{target.gateway} could not be read after the change: {why}")
    end = find_end(view, target)
    back = _back(view, target)
    if back:
        return _came_back(plan, target, end, back[0], patience)
    flows = [f for f in end.flows if f.type != "deny"] if end is not None else []
    if flows:
        word = Word.FAILED if (target.gateway, target.tunnel) in patience.doubted else Word.PENDING
        lost = target.connection is None or (end is not None and not end.sas)
        hint = "the daemon knows nothing of it: bring it up, then take it down" if lost else ""
        return Verdict(target, word, f"a {flows[0].type} flow is still there on {target.gateway}", hint, doubtful=True)
    late = _late_phase1(plan, target, end)
    if late:
        return _once_more(target, late, patience, f"phase 1 with {target.peer} was completed late on {target.gateway}")
    unread = view.unnamed(target.gateway)
    if unread is not None:
        return _unnamed(target, unread, patience)
    running = patience.suspects_of(end.exchanges) if end is not None else []
    if running:
        return _negotiating(target, [x.ends_in_s for x in running], patience)
    closing = _closing(plan, target)
    unclosed = next(filter(None, (p.unmet(seen, seen) for s in closing for p in s.proof)), None)
    if unclosed is not None:
        return _once_more(target, closing, patience, unclosed)
    if patience.elapsed_s < plan.look_again_s:
        left = plan.look_again_s - patience.elapsed_s
        return Verdict(target, Word.PENDING, f"waiting {left:.0f} s for the next attempt of {target.peer}")
    return Verdict(target, Word.PROVEN, _leftovers(end))


def _back(view: View, target: Target) -> list[Sa]:
    """Live SAs of the target, by peer and networks, under any name."""
    ends = [e for _, e in view.ends_on(target.gateway)]
    named = target.connection is not None
    mine = [e for e in ends if e.selectors == target.selectors or (named and e.connection == target.connection)]
    return [sa for e in mine if target.peer is None or same_address(e.peer, target.peer) for sa in e.live]


def _came_back(plan: Plan, target: Target, end: End | None, sa: Sa, patience: Patience) -> Verdict:
    """A live SA after the teardown: once more `t quick` under its own name, never under a neighbour's."""
    name = str(sa.name)
    if sa.spis & patience.before.get(target.gateway, frozenset()):
        return Verdict(target, Word.FAILED, f"its SA is still live on {target.gateway} as {name}")
    if name.lower() != str(target.connection).lower():
        return Verdict(
            target,
            Word.FAILED,
            f"{target.peer} is back on {target.gateway} under the neighbour's name {name}",
            "hold all tunnels of that peer, or --force shared-name",
        )
    quick = Step(
        gateway=target.gateway,
        tunnel=target.tunnel,
        action=Action.QUICK,
        needs=_needs_of_quick(plan, target),
        proof=(Gone(name),),
        undo=Undo(None, "it had come back by itself"),
        connection=name,
        peer=target.peer,
    )
    again = (quick, *_closing(plan, target), *_late_phase1(plan, target, end))
    return _once_more(target, again, patience, f"{name} came back on {target.gateway}")


def _closing(plan: Plan, target: Target) -> tuple[Step, ...]:
    """The deny flows that this end was to get: its flows gone once more, they are gone as well."""
    mine = (s for s in plan.steps if (s.gateway, s.tunnel) == (target.gateway, target.tunnel))
    return tuple(s for s in mine if s.action is Action.DENY)


def _once_more(target: Target, again: tuple[Step, ...], patience: Patience, what: str) -> Verdict:
    if patience.repeated.count((target.gateway, target.tunnel)) >= MOST_REPEATS:
        return Verdict(target, Word.FAILED, f"{what} after {MOST_REPEATS} more tries")
    return Verdict(target, Word.PENDING, f"{what}; once more", again=again)


def _late_phase1(plan: Plan, target: Target, end: End | None) -> tuple[Step, ...]:
    """`t main` for a phase 1 that came up although the peer's entry is gone: the peer could return by it."""
    gone = (s for s in plan.steps if s.action is Action.PEER_OFF and s.gateway == target.gateway)
    if end is None or not any(same_address(s.peer, target.peer) for s in gone):
        return ()
    names = dict.fromkeys(sa.name for sa in end.phase1_sas if sa.name is not None and not sa.replaced)
    needs = tuple(n for n in _needs_of_quick(plan, target) if isinstance(n, Role))
    return tuple(steps.main(target.tunnel, end, name, needs) for name in names)


def _needs_of_quick(plan: Plan, target: Target) -> tuple[Condition, ...]:
    """What the plan's own teardown of this end needs; without one, that the name is nobody else's."""
    mine = (s for s in plan.steps if (s.gateway, s.connection) == (target.gateway, target.connection))
    planned = next((s.needs for s in mine if s.action is Action.QUICK), None)
    sole = (SoleHolder(str(target.connection), target.peer),) if target.peer is not None else ()
    return sole if planned is None else planned


def _negotiating(target: Target, ends_in: Iterable[int | None], patience: Patience) -> Verdict:
    left = max(120 if s is None else s for s in ends_in)
    text = f"a negotiation of ours on {target.gateway} may still complete for {left} s"
    if not patience.wait:
        return Verdict(target, Word.FAILED, f"{text}; --no-wait", "look again then: ipsecfleet show tunnels")
    if patience.elapsed_s > EXCHANGE_S:
        return Verdict(target, Word.FAILED, f"{text}, longer than it should")
    return Verdict(target, Word.PENDING, text)


def _unnamed(target: Target, unread: Unknown, patience: Patience) -> Verdict:
    """Something is negotiated there, and the daemon's table that would name it was not read; it may be this tunnel."""
    word = Word.PENDING if patience.wait and patience.elapsed_s <= EXCHANGE_S else Word.FAILED
    return Verdict(target, word, f"what {target.gateway} negotiates could not be read: {unread.why}", unread.hint)


def _leftovers(end: End | None) -> str:
    old = [sa.hard_s for sa in end.sas if sa.replaced and sa.hard_s is not None] if end is not None else []
    return f"{len(old)} replaced SA(s) expire within {max(old)} s" if old else ""


def _up(view: View, target: Target) -> Verdict:
    end = find_end(view, target)
    if end is None or end.state is State.UNKNOWN:
        return Verdict(target, Word.PENDING, f"{target.gateway} cannot be read")
    if len(end.live) != 1:
        return Verdict(target, Word.PENDING, _why_not_up(view, end))
    sa = end.live[0]
    if end.connection is not None and str(sa.name).lower() != end.connection.lower():
        return Verdict(target, Word.FAILED, f"it came up under the neighbour's name {sa.name} on {target.gateway}")
    if not any(f.type in {"require", "use"} for f in end.flows) and end.selectors is not None:
        return Verdict(target, Word.PENDING, f"no flow on {target.gateway} yet")
    if any(f.type == "deny" for f in end.flows):
        return Verdict(target, Word.PENDING, f"a deny flow is still there on {target.gateway}")
    mirror = _unmirrored(view, target, sa)
    if mirror:
        return Verdict(target, Word.PENDING, mirror, "take it down, then bring it up")
    return Verdict(target, Word.PROVEN, " ".join(f"{p.spi_in or 0:#010x}" for p in sa.protocols))


def _renewed(view: View, target: Target, patience: Patience) -> Verdict:
    """Up, and by an SA that was not there before."""
    verdict, end = _up(view, target), find_end(view, target)
    if end is not None and any(is_alias(str(sa.name)) for sa in end.live):
        return Verdict(target, Word.PENDING, f"{target.gateway} has it under an alias, and renews it within 6 s")
    before = patience.renewed.get(target, patience.before.get(target.gateway, frozenset()))
    old = sorted(end.spis & before) if end is not None else []
    if verdict.word is Word.FAILED or not old:
        return verdict
    return Verdict(target, Word.PENDING, f"the SA of before, SPI {old[0]:#010x}, is still live on {target.gateway}")


def _unmirrored(view: View, target: Target, sa: Sa) -> str:
    """Why the other end, where it is ours, does not have the same SA; nothing where it has or is not ours."""
    tunnel = view.tunnel(target.tunnel)
    others = [e for e in (tunnel.ends if tunnel else ()) if e.gateway != target.gateway and e.state is not State.BACKUP]
    others = [e for e in others if e.selectors and target.selectors == e.selectors.mirrored()]
    outgoing = {p.spi_out for p in sa.protocols}
    if not others or any(outgoing & {p.spi_in for p in o.protocols} for e in others for o in e.live):
        return ""
    return f"{others[0].gateway} does not have the same SA yet"


def _why_not_up(view: View, end: End) -> str:
    """What is missing, and when the daemon tries next, as far as it said."""
    if len(end.live) > 1:
        return f"{len(end.live)} live SAs on {end.gateway}"
    running = [x for x in end.exchanges if not x.finished]
    if running:
        left = running[0].ends_in_s
        until = f"; a new attempt is possible in {left} s" if left is not None else ""
        return f"phase {running[0].phase} is being negotiated on {end.gateway}{until}"
    seen = view.seen(end.gateway)
    connections = seen.connections if seen is not None and isinstance(seen.connections, tuple) else ()
    due = next((c.kept_up.next_check_s for c in connections if c.name == end.connection and c.kept_up), None)
    if due is not None:
        return f"no SA on {end.gateway}; its next attempt is due in {due} s"
    return f"no SA on {end.gateway}; the peer must begin, it tries every 60 s"
