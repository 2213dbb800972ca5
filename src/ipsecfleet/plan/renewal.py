"""What restart and rekey have in common: pairs of networks, who begins there, and who is left out.

A tunnel that is held is down because somebody wanted it so, and is left out.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from ipsecfleet.model.plan import Target
from ipsecfleet.model.tunnel import End, State, Tunnel
from ipsecfleet.plan.view import View, is_active, strands, target_of

Spis = Mapping[str, frozenset[int]]
"""The SPIs that were live on each gateway at some moment."""


@dataclass(frozen=True, slots=True)
class Strand:
    """One pair of networks of a tunnel: its ends that can be read, and those where `t` and `c` may be sent."""

    tunnel: Tunnel
    ends: tuple[End, ...]
    masters: tuple[End, ...]

    @property
    def live(self) -> bool:
        return any(e.live for e in self.masters)

    @property
    def held(self) -> bool:
        return any(e.listing.held for e in self.ends)

    @property
    def targets(self) -> tuple[Target, ...]:
        return tuple(target_of(self.tunnel, end) for end in self.masters)

    def beginner(self) -> End | None:
        """The end of ours that begins the negotiations, and, where several do, the first that has an SA."""
        able = [e for e in self.masters if is_active(e)]
        return next((e for e in (*(e for e in able if e.live), *able)), None)

    def is_new(self, before: Spis) -> bool:
        """Whether each end has one live SA, and it was not there before."""
        return all(len(e.live) == 1 and not e.spis & before.get(e.gateway, frozenset()) for e in self.masters)


def strands_of(view: View, chosen: Iterable[Tunnel], forced: frozenset[str]) -> list[Strand]:
    """Every pair of networks of the chosen tunnels that is somewhere more than a CARP backup's."""
    found = []
    for tunnel in chosen:
        for ends in strands(tunnel):
            read = tuple(e for e in ends if e.state is not State.UNKNOWN)
            masters = tuple(e for e in read if not view.stands_by(e.gateway, forced))
            found.append(Strand(tunnel, read, masters))
    return [s for s in found if s.masters]


def left_out(strands: Iterable[Strand]) -> Iterable[str]:
    """What is said of held tunnels."""
    for name in dict.fromkeys(s.tunnel.name for s in strands if s.held):
        yield f"{name} is held, and left out; `ipsecfleet up` brings it back"
