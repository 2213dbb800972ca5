"""Failing closed: what is dropped while a tunnel is down, where that would hurt, and what ends it.

With its SAs a tunnel loses its flows, and what they matched may leave in clear. A flow of type deny in their place drops
it. The kernel has one flow for the same selectors, whoever loaded it: so it comes right after `t quick`, which takes
away what was loaded before, and the daemon's own flow replaces it when the tunnel is up. It outlives the daemon, not a
boot. A CARP backup gets it as well, since it may be master next.
"""

from collections.abc import Iterable, Sequence

from ipsecfleet.errors import RefusedError
from ipsecfleet.model.condition import Denied
from ipsecfleet.model.net import Selectors
from ipsecfleet.model.plan import Step
from ipsecfleet.model.tunnel import End, Tunnel
from ipsecfleet.plan import steps
from ipsecfleet.plan.neighbours import Neighbours
from ipsecfleet.plan.view import View

UDP = 17
"""The protocol of IKE."""

Pair = tuple[Tunnel, End]


def denied_for(end: End) -> tuple[Selectors, ...]:
    """What is dropped when this end fails closed: what its flows match, or where it has none what they would."""
    own = (end.selectors,) if end.selectors is not None else ()
    return tuple(dict.fromkeys(f.selectors for f in end.flows)) or own


def is_closed(view: View, tunnel: Tunnel) -> bool:
    """Whether all that this tunnel carries is dropped, at every end of ours."""
    looks = ((view.seen(e.gateway), s) for e in tunnel.ends for s in denied_for(e))
    return all(seen is not None and Denied(s).unmet(seen, seen) is None for seen, s in looks)


def close(tunnel: Tunnel, end: End) -> Iterable[Step]:
    """The steps that close one end."""
    return (steps.deny(tunnel.name, end.gateway, selectors) for selectors in denied_for(end))


def unclosable(view: View, neighbours: Neighbours, pairs: Iterable[Pair]) -> Iterable[RefusedError]:
    """A deny flow would take another tunnel's flow away, or shut out IKE with the peer, and `up` with it."""
    for tunnel, end in pairs:
        closing = denied_for(end)
        for other in neighbours.carrying(end.gateway, closing):
            yield _refusal(tunnel, f"{other} has the same networks on {end.gateway}", "take that down as well")
        if any(_has_ike(view, end, selectors) for selectors in closing):
            why = f"its networks have the IKE addresses of {end.gateway} and {end.peer} in them"
            yield _refusal(tunnel, why, "leave --fail-closed out, and block it in pf.conf(5)")


def _has_ike(view: View, end: End, selectors: Selectors) -> bool:
    """Whether these selectors match UDP between the gateway, whose addresses may not be known, and the peer."""
    if end.peer is None or selectors.local.proto not in {0, UDP}:
        return False
    here = view.gateway(end.gateway).addresses or (str(selectors.local.net[0]),)
    return any(selectors.covers(address, end.peer) for address in here)


def _refusal(tunnel: Tunnel, why: str, hint: str) -> RefusedError:
    return RefusedError(f"{tunnel.name} cannot fail closed: {why}", kind="fail-closed", obj=tunnel.name, hint=hint)


def let_out(work: Sequence[Tunnel]) -> tuple[Step, ...]:
    """The steps that end it, for what stays down."""
    return tuple(steps.let_out(t.name, e.gateway, s) for t, e, s in _dropped(work))


def notes(work: Sequence[Tunnel], *, opened: bool) -> Iterable[str]:
    """What becomes of dropped traffic when these tunnels are brought up; `opened` where they stay down."""
    fate = "leaves in clear if it stays down" if opened else "stays dropped until it is up; --open ends that"
    for tunnel, end, s in _dropped(work):
        yield f"{tunnel.name} on {end.gateway}: traffic between {s.local} and {s.remote} {fate}"


def _dropped(work: Sequence[Tunnel]) -> Iterable[tuple[Tunnel, End, Selectors]]:
    denying = ((t, e, f) for t in work for e in t.ends for f in e.flows if f.type == "deny")
    return dict.fromkeys((t, e, f.selectors) for t, e, f in denying)
