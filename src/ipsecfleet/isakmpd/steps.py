"""The lines and verbs that carry a step of a plan out: the one place where an action becomes the daemon's language.

Lists of ours (`[ipsecfleet]:Held-…`) live in the daemon's own configuration: adding to them arms nothing, and they die
with what they describe (recipes.md 5). What must be remembered is written before what it describes is taken away.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType

from ipsecfleet.isakmpd import fifo
from ipsecfleet.isakmpd.verbs import (
    Arm,
    Confirm,
    Deny,
    Load,
    Open,
    Put,
    Restore,
    TakeBack,
    Unload,
    Verb,
    Write,
    flow_rule,
)
from ipsecfleet.model.plan import Action, Drop, Staging, Step
from ipsecfleet.model.secret import Secret
from ipsecfleet.model.snapshot import Listing

Texts = Mapping[tuple[str, str], Secret]
"""The new texts of conf files, by gateway and path; a plan does not hold them."""

NO_TEXTS: Texts = MappingProxyType({})

DAEMON_LIST = {Listing.ACTIVE: "Connections", Listing.PASSIVE: "Passive-Connections"}
HELD_LIST = {Listing.ACTIVE: "Held-Connections", Listing.PASSIVE: "Held-Passive-Connections"}


@dataclass(frozen=True, slots=True)
class Batch:
    """Steps that reach the gateway together: by writes of at most 512 bytes, one if that will do, or by other verbs."""

    steps: tuple[Step, ...]
    verbs: tuple[Verb, ...]


def batches(steps: Sequence[Step], texts: Texts = NO_TEXTS) -> tuple[Batch, ...]:
    """The verbs that carry steps out, in their order, in as few writes as keep each step's lines together."""
    done: list[Batch] = []
    for step in steps:
        lines = lines_of(step)
        last = done[-1] if done else None
        written = last.verbs[0].commands if last is not None and isinstance(last.verbs[0], Write) else ()
        if last is not None and written and len(last.verbs) == 1 and lines and _fit((*written, *lines)):
            done[-1] = Batch((*last.steps, step), (Write((*written, *lines)),))
        else:
            done.append(Batch((step,), _writes(lines) if lines else tuple(_on_files(step, texts))))
    return tuple(done)


def _writes(lines: Sequence[str]) -> tuple[Verb, ...]:
    """As many lines in each write as fit; only those of a clone may need several (recipes.md 4)."""
    writes: list[tuple[str, ...]] = [()]
    for line in lines:
        if writes[-1] and not _fit((*writes[-1], line)):
            writes.append(())
        writes[-1] += (line,)
    return tuple(map(Write, writes))


def _fit(lines: Sequence[str]) -> bool:
    return fifo.size(lines) <= fifo.PIPE_BUF


def _on_files(step: Step, texts: Texts) -> Sequence[Verb]:
    """The verbs of a step that does not write to the FIFO itself."""
    path = str(step.file)
    match step.action:
        case Action.DENY | Action.OPEN if step.selectors is not None:
            return (Deny(step.selectors) if step.action is Action.DENY else Open(step.selectors),)
        case Action.STAGE if step.staging is not None:
            return (*_new_text(step, step.staging, texts), _arm(path, step.staging))
        case Action.CONFIRM:
            return (Confirm(path),)
        case Action.ROLLBACK:
            return (TakeBack(path),)
    of = step.changes
    return (Load(path, of) if step.action is Action.LOAD else Unload(path, of),)


def _new_text(step: Step, staging: Staging, texts: Texts) -> Sequence[Verb]:
    path = str(step.file)
    if staging.kind not in {"add", "change"}:
        return ()
    return (Restore(staging.from_run, path) if staging.from_run else Put(path, texts[step.gateway, path]),)


def _arm(path: str, staging: Staging) -> Verb:
    return Arm(staging.kind, path, staging.confirm_s, staging.delay_s, tuple(map(_drop_line, staging.drops)))


def _drop_line(drop: Drop) -> str:
    if drop.peer is not None:
        return fifo.remove_peer(drop.peer)
    phase1 = str(drop.phase1)
    return fifo.drop_transforms(phase1) if drop.tag is None else fifo.drop_tag(phase1, drop.tag)


def command_of(step: Step) -> str | None:
    """What a step runs, as an operator would type it, or None for one that writes to the FIFO."""
    if step.action in {Action.STAGE, Action.CONFIRM, Action.ROLLBACK}:
        return _on_disk(step)
    delete = "-d " if step.action in {Action.UNLOAD, Action.OPEN} else ""
    if step.selectors is not None:
        return f"echo {flow_rule(step.selectors)} | ipsecctl {delete}-f -"
    return f"ipsecctl {delete}-f {step.file}" if step.action in {Action.LOAD, Action.UNLOAD} else None


def _on_disk(step: Step) -> str:
    """The command that tells most of a step that only changes files; a change is decided by one rename (visit.pl)."""
    kind = step.staging.kind if step.staging is not None else "change"
    decides = step.file if kind == "change" else "/etc/ipsec.conf"
    if step.action is Action.STAGE:
        return f"ipsecctl -n -f {decides}.new"
    return f"mv {decides}.new {decides}" + (".rejected" if step.action is Action.ROLLBACK else "")


def lines_of(step: Step) -> tuple[str, ...]:
    """The FIFO lines of a step, in order; none for one that runs ipsecctl. A bad name raises RefusedError."""
    name, phase1, peer = str(step.connection), str(step.phase1), str(step.peer)
    match step.action:
        case Action.HOLD:
            remember = fifo.list_add("ipsecfleet", HELD_LIST[step.listing], name)
            return (remember, fifo.list_remove("Phase 2", DAEMON_LIST[step.listing], name))
        case Action.RELEASE if step.connection is not None:
            restore = fifo.list_add("Phase 2", DAEMON_LIST[step.listing], name)
            return (restore, fifo.list_remove("ipsecfleet", HELD_LIST[step.listing], name))
        case Action.RELEASE:
            forget = (fifo.list_remove("ipsecfleet", "Held-Peers", peer), fifo.forget_peer(peer))
            return (fifo.set_peer(peer, phase1), *forget)
        case Action.PEER_OFF:
            remember = fifo.list_add("ipsecfleet", "Held-Peers", peer)
            return (fifo.remember_peer(peer, phase1), remember, fifo.remove_peer(peer))
        case Action.QUICK:
            return (fifo.quick(name),)
        case Action.MAIN:
            return (fifo.main(phase1),)
        case Action.CONNECT:
            return (fifo.connect(name),)
        case Action.CLONE | Action.OVERLAP | Action.UNCLONE:
            return _alias_lines(step, str(step.alias))
        case Action.FORGET:
            return tuple(map(_drop_line, step.drops))
    return ()


def _alias_lines(step: Step, alias: str) -> tuple[str, ...]:
    """The lines of a rekey by overlap (recipes.md 4). The second line of an overlap must not go without the first."""
    if step.action is Action.CLONE:
        return tuple(fifo.clone_tag(alias, tag, value) for tag, value in step.tags)
    if step.action is Action.OVERLAP:
        arming = fifo.list_add("Phase 2", DAEMON_LIST[Listing.ACTIVE], str(step.connection))
        return (arming, fifo.connect(alias))
    return (fifo.remove_clone(alias),)
