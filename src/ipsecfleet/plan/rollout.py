"""rollout: new texts of conf files onto the gateways, and back by themselves unless what they make is proven.

Of one change (DESIGN 5): the new text is staged beside the old one and the gateway armed to take it back; the old text is
unloaded at the end that begins negotiations first, the new one loaded at the other end first, and 6 s later, after that
one's re-initialisation, at the end that begins. What is proven is confirmed by one rename; what is not is taken back.

What `ipsecctl -d` leaves of a phase 1 would live on beside the new text: its transforms stay offered, and a tag that the
new text does not set stays set (ipsecctl.md 6, 8). So that goes too, where no other connection has this phase 1. New
terms of phase 1 are proven by a new one: `t main`, and not before its responder would answer, 120 s after the last.
"""

from collections.abc import Iterable, Sequence
from dataclasses import replace
from itertools import chain
from typing import TypeVar

from ipsecfleet.errors import RefusedError
from ipsecfleet.isakmpd.deployed import Meaning
from ipsecfleet.model.condition import Condition, SoleHolder
from ipsecfleet.model.plan import Action, Drop, Plan, Staging, Step, Target, Undo, Wave
from ipsecfleet.model.tunnel import End, Tunnel
from ipsecfleet.plan import refuse, steps
from ipsecfleet.plan.deploy import FileChange, RolloutOptions, listed, tunnel_of
from ipsecfleet.plan.up import LOCKOUT_S, REINIT, REINIT_S
from ipsecfleet.plan.view import View, is_active, target_of
from ipsecfleet.plan.waves import Change

T = TypeVar("T")

OUTAGE_S = 2 * REINIT_S
"""How long a tunnel is down that is loaded anew at both ends: 6 s between them, and the re-initialisation of the last."""

MARGIN_S = REINIT_S + 10.0
"""What of the time to confirm is not for looking: the pause between both ends, and what the visits take."""


def plan_round(view: View, changes: Sequence[Change], options: RolloutOptions, *, pause_s: float = 0.0) -> Plan:
    """What carries out changes that have no machine in common, `pause_s` after those before; pure and deterministic."""
    works = [_Work(view, change, options) for change in changes]
    waves = _waves(works, pause_s) if options.load else [Wave(_all(w.stage() for w in works), why="files only")]
    return Plan(
        verb="rollout",
        waves=tuple(w for w in waves if w.steps),
        targets=_all(w.targets() for w in works) if options.load else (),
        bystanders=_all(w.bystanders() for w in works) if options.load else (),
        refusals=refuse.without(chain.from_iterable(w.refusals() for w in works), options.forced),
        notes=tuple(dict.fromkeys(chain.from_iterable(w.notes() for w in works))),
        finally_=_all(w.ends(Action.CONFIRM) for w in works),
        otherwise=_all(w.ends(Action.ROLLBACK) for w in works),
        together=tuple(w.together() for w in works),
        takes_back=True,
    )


def _waves(works: "Sequence[_Work]", pause_s: float) -> list[Wave]:
    young = max((w.wait_s() for w in works), default=0.0)
    why = "the peer's lock-out of 120 s" if young > pause_s else REINIT
    loads_first = _all(w.loads(active=False) for w in works)
    loads_last = _all(w.loads(active=True) for w in works)
    return [
        Wave(_all(w.stage() for w in works), max(young, pause_s), why),
        Wave(_all(w.unloads(active=True) for w in works)),
        Wave(_all(w.unloads(active=False) for w in works)),
        Wave(_all(w.mains() for w in works)),
        Wave(loads_first),
        Wave(loads_last, REINIT_S if loads_first and loads_last else 0.0, REINIT),
    ]


def _all(parts: Iterable[Iterable[T]]) -> tuple[T, ...]:
    return tuple(dict.fromkeys(chain.from_iterable(parts)))


class _Work:
    """The steps of one change."""

    def __init__(self, view: View, change: Change, options: RolloutOptions) -> None:
        self.view = view
        self.change = change
        self.options = options
        self.scale = view.fleet.time_scale

    def _step(self, file: FileChange, action: Action, needs: tuple[Condition, ...] = ()) -> Step:
        undo = Undo(None if action in {Action.CONFIRM, Action.ROLLBACK} else Action.ROLLBACK, "the old text again")
        return Step(file.gateway, self.change.name, action, needs, proof=(), undo=undo, file=file.path)

    def stage(self) -> Iterable[Step]:
        for file in self.change.files:
            delay = REINIT_S / self.scale if self._active(file, file.old) and len(self.change.files) > 1 else 0.0
            drops = tuple(self._drops(file, file.new, file.old)) if self.options.load else ()
            staging = Staging(file.kind, self.options.confirm_s / self.scale, delay, drops, file.from_run)
            yield replace(self._step(file, Action.STAGE), staging=staging)

    def unloads(self, *, active: bool) -> Iterable[Step]:
        """The old text at the ends that begin, or at the others; with what it would leave."""
        for file in self.change.files:
            if file.old is None or file.kind == "include" or self._active(file, file.old) is not active:
                continue
            needs = tuple(SoleHolder(n, p) for n in file.old.names if (p := file.old.peer(n)) is not None)
            yield replace(self._step(file, Action.UNLOAD, needs), changes=file.path)
            drops = tuple(self._drops(file, file.old, file.new))
            if drops:
                yield replace(self._step(file, Action.FORGET), drops=drops)
        for end in self._far_ends(active=active):
            name = str(end.connection)
            sole = (SoleHolder(name, end.peer),) if end.peer is not None else ()
            yield steps.quick(self.change.name, end, name, sole, Undo(Action.CONNECT, "its own next check"))

    def mains(self) -> Iterable[Step]:
        """`t main` at one end, where phase 1 has to be negotiated anew, or is of nobody any more."""
        for file in self._masters():
            for phase1 in self._renewed(file):
                if self._beginner() in {None, file}:
                    role = self.view.as_master(file.gateway, self.options.forced)
                    yield replace(self._step(file, Action.MAIN, role), phase1=phase1)

    def loads(self, *, active: bool) -> Iterable[Step]:
        for file in self.change.files:
            if file.new is None or file.kind == "include" or self._active(file, file.new) is not active:
                continue
            path = f"{file.path}.new" if file.kind == "change" else file.path
            yield replace(self._step(file, Action.LOAD), file=path, changes=file.path)
        if self._stays():
            for end in self._far_ends(active=True) if active else ():
                role = self.view.as_master(end.gateway, self.options.forced)
                yield steps.connect(self.change.name, end, role)[-1]

    def ends(self, action: Action) -> Iterable[Step]:
        for file in self.change.files:
            yield replace(self._step(file, action), staging=Staging(file.kind, 0.0))

    def targets(self) -> Iterable[Target]:
        """What must be there with new SAs, and what must be gone."""
        if self._stays():
            for end in (*self._far_ends(active=True), *self._far_ends(active=False)):
                tunnel = next(t for t in self._tunnels() if end in t.ends)
                yield replace(target_of(tunnel, end), expect="new")
        for file in self._masters():
            if file.kind == "include":
                continue
            for meaning, names, expect in self._expected(file):
                for name in names:
                    yield Target(
                        tunnel=tunnel_of(self.view, file.gateway, meaning, name),
                        gateway=file.gateway,
                        connection=name,
                        peer=meaning.peer(name),
                        selectors=meaning.selectors(name),
                        active=("Connections", name) in meaning.connections,
                        expect=expect,
                    )

    def _expected(self, file: FileChange) -> Iterable[tuple[Meaning, Sequence[str], str]]:
        if file.new is not None:
            yield file.new, file.new.names, "new"
        if file.old is not None:
            kept = file.new.names if file.new is not None else ()
            yield file.old, [n for n in file.old.names if n not in kept], "gone"

    def bystanders(self) -> Iterable[Target]:
        """What is up at these gateways and is not of the change."""
        for file in self._masters():
            for tunnel, end in self.view.ends_on(file.gateway):
                if end.live and end.connection not in file.names:
                    yield replace(target_of(tunnel, end), expect="up")

    def together(self) -> tuple[str, ...]:
        named = (*self.change.tunnels, *(t.tunnel for t in self.targets()), *(t.tunnel for t in self.bystanders()))
        return tuple(dict.fromkeys((self.change.name, *named)))

    def wait_s(self) -> float:
        """Until every phase 1 that has to be negotiated anew is old enough for its responder."""
        ages = (
            sa.lifetime_s - sa.hard_s
            for file in self._masters()
            if file.new is not None
            for phase1 in self._renewed(file)
            for sa in self.view.sas(file.gateway)
            if sa.phase == 1 and sa.name == phase1 and sa.ready and sa.lifetime_s is not None and sa.hard_s is not None
        )
        return max((LOCKOUT_S + 1 - age for age in ages), default=0.0)

    def _far_ends(self, *, active: bool) -> list[End]:
        """Ends of ours whose file stays as it is: they must let go of what they have with the end that changes."""
        if all(f.kind == "include" for f in self.change.files):
            return []
        here = set(self.change.gateways)
        ends = [e for t in self._tunnels() for e in t.ends if e.gateway not in here and e.connection is not None]
        mine = [e for e in ends if not self.view.stands_by(e.gateway, self.options.forced)]
        return [e for e in mine if is_active(e) is active]

    def _stays(self) -> bool:
        """Whether there is a tunnel after it."""
        return any(f.new is not None for f in self.change.files)

    def _masters(self) -> list[FileChange]:
        return [f for f in self.change.files if not self.view.stands_by(f.gateway, self.options.forced)]

    def _beginner(self) -> FileChange | None:
        """The end that begins, of those that are ours."""
        found = (f for f in self._masters() if self._active(f, f.new or f.old))
        return next(found, None)

    def _active(self, file: FileChange, meaning: Meaning | None) -> bool:
        backup = self.view.stands_by(file.gateway, self.options.forced)
        return meaning is not None and meaning.active and not backup

    def _renewed(self, file: FileChange) -> Iterable[str]:
        """The phase 1s of a file that are negotiated on other terms after it, or by nobody, and are no one else's."""
        if file.old is None:
            return
        for phase1 in file.old.phase1s:
            same = file.new is not None and file.new.terms(phase1) == file.old.terms(phase1)
            if not same and not self._shared(file, phase1):
                yield phase1

    def _shared(self, file: FileChange, phase1: str) -> tuple[str, ...]:
        """Connections of others that have this phase 1."""
        there = listed(self.view, file.gateway)
        return tuple(c.name for c in there if c.phase1 == phase1 and c.name not in file.names)

    def _drops(self, file: FileChange, gone: Meaning | None, stays: Meaning | None) -> Iterable[Drop]:
        """What would be left of phase 1 when `gone` is unloaded and `stays` is loaded."""
        if gone is None or file.kind == "include":
            return
        for phase1 in gone.phase1s:
            if self._shared(file, phase1):
                continue
            yield Drop(phase1)
            if stays is None or phase1 not in stays.phase1s:
                peer = gone.sections.get(phase1, "Address")
                yield from () if peer is None else (Drop(peer=peer),)
            elif phase1.startswith("peer-"):
                yield from (Drop(phase1, tag) for tag in gone.tags_lost(phase1, stays))

    def refusals(self) -> Iterable[RefusedError]:
        names = {f.gateway: frozenset(f.names) for f in self.change.files}
        for gateway, mine in names.items() if self.options.load else ():
            yield from refuse.wakes_others(self.view, gateway, mine)
        tunnels = self._tunnels()
        yield from refuse.other_end(self.view, tunnels)
        yield from refuse.carp_backup(self.view, tunnels)
        if self.options.load:
            yield from refuse.own_session(self.view, tunnels, self.view.snapshot.gateways)

    def _tunnels(self) -> list[Tunnel]:
        return [t for t in self.view.tunnels if t.name in self.change.tunnels]

    def notes(self) -> Iterable[str]:
        if not self.options.load:
            return
        for tunnel in self._tunnels():
            if any(e.live for e in tunnel.ends):
                removed = all(f.new is None for f in self.change.files)
                how_long = "for good" if removed else f"for about {OUTAGE_S:.0f} s"
                yield f"{tunnel.name} goes down {how_long}"
        for file in self.change.files:
            yield from refuse.reinit_notes(self.view, file.gateway, frozenset(file.names))
            if file.old is not None:
                yield from self._left(file, file.old)

    def _left(self, file: FileChange, old: Meaning) -> Iterable[str]:
        """What of the old text stays in the daemon."""
        if file.new is None:
            yield f"{file.gateway}: the daemon has the key of {file.name} in memory until it is started again"
            return
        for phase1 in old.phase1s:
            shared = self._shared(file, phase1)
            if shared and file.new.terms(phase1) != old.terms(phase1):
                what = "the old transforms stay offered, and new terms count from its next negotiation"
                yield f"{file.gateway}: {phase1} is also that of {refuse.some(shared)}: {what}"


def at_once(view: View, forced: frozenset[str]) -> int:
    """How many tunnels may be down at one moment (max_tunnels_down); a rollout has no more, so it is not refused."""
    if "tunnels-down" in forced:
        return len(view.tunnels) + 1
    carried = sum(any(e.live for e in t.ends) for t in view.tunnels)
    return view.fleet.limits.max_tunnels_down.of(carried, at_least=1)


def touched(view: View, changes: Sequence[Change]) -> Iterable[RefusedError]:
    """More gateways would be touched than the inventory allows."""
    names = {n for c in changes for n in c.tunnels}
    chosen = [t for t in view.tunnels if t.name in names]
    yield from refuse.gateways_touched(view, frozenset(g for c in changes for g in c.gateways), chosen)
