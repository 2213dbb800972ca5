"""The classic lines: what an operator would paste into the FIFO to tear tunnels down by hand.

Quick before main, because a phase 2 DELETE needs phase 1; each name once, as the report spells it; none for what is
REPLACED or has no name. `t main` stands there only if every tunnel of that phase 1 is meant.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from ipsecfleet.errors import RefusedError
from ipsecfleet.isakmpd import fifo
from ipsecfleet.model.net import same_address
from ipsecfleet.model.sa import Sa
from ipsecfleet.model.tunnel import End, State


@dataclass(frozen=True, slots=True)
class Classic:
    """The lines for one gateway, and the names left out of them because others bear them too."""

    lines: tuple[str, ...]
    refused: tuple[RefusedError, ...] = ()


def classic_lines(chosen: Sequence[End], every: Sequence[End], sas: Sequence[Sa], forced: frozenset[str]) -> Classic:
    """The lines for the `chosen` ends among `every` end of a gateway with these SAs."""
    lines: list[str] = []
    refused: list[RefusedError] = []
    others = [e for e in every if e not in chosen]
    for name in dict.fromkeys(str(sa.name) for e in chosen for sa in e.live):
        holders = [e for e in others if any(_same(sa.name, name) for sa in e.live)]
        if holders and "shared-name" not in forced:
            refused.append(_shared(name, holders[0]))
        else:
            _add(lines, refused, fifo.quick, name)
    for name in _mains(chosen, others, sas):
        _add(lines, refused, fifo.main, name)
    return Classic(tuple(lines), tuple(refused))


def _add(lines: list[str], refused: list[RefusedError], form: Callable[[str], str], name: str) -> None:
    """The line with that name, or why the daemon cannot be told it."""
    try:
        lines.append(form(name))
    except RefusedError as error:
        refused.append(error)


def of_report(sas: Sequence[Sa], peer: str, forced: frozenset[str]) -> Classic:
    """The lines for one peer from a saved report alone, where an SA belongs to the peer it is with."""
    ends = [_end(sa) for sa in sas if sa.live and sa.phase == 2]
    return classic_lines([e for e in ends if same_address(e.peer, peer)], ends, sas, forced)


def _end(sa: Sa) -> End:
    return End("", sa.name, State.UP, peer=sa.dst, sas=(sa,))


def _mains(chosen: Sequence[End], others: Sequence[End], sas: Iterable[Sa]) -> list[str]:
    """The name of each phase 1 all of whose tunnels are chosen, and whose name no other peer's phase 1 bears."""
    ready = [sa for sa in sas if sa.phase == 1 and sa.ready and not sa.replaced and sa.name is not None]
    mine = [sa for sa in ready if any(same_address(sa.dst, e.peer) for e in chosen)]
    names = []
    for name in dict.fromkeys(str(sa.name) for sa in mine):
        with_peers = [sa.dst for sa in ready if _same(sa.name, name)]
        needed = any(same_address(e.peer, dst) and e.live for e in others for dst in with_peers)
        foreign = any(not any(same_address(dst, e.peer) for e in chosen) for dst in with_peers)
        if not needed and not foreign:
            names.append(name)
    return names


def _same(one: str | None, other: str) -> bool:
    return (one or "").lower() == other.lower()


def _shared(name: str, holder: End) -> RefusedError:
    return RefusedError(
        f"{name} is also the name of an SA with {holder.peer}, so t quick would take that down too",
        kind="shared-name",
        force="shared-name",
        obj=name,
        hint="--force shared-name prints it all the same",
    )
