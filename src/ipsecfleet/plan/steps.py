"""The steps that plans are made of, each with what must hold before it, what proves it, and what undoes it."""

from collections.abc import Iterable, Sequence

from ipsecfleet.isakmpd.names import alias_of
from ipsecfleet.model.condition import (
    AliasGone,
    AliasIdle,
    Buildable,
    Condition,
    CookiesGone,
    Denied,
    Gone,
    Listed,
    PeerKnown,
    SoleHolder,
    Tagged,
)
from ipsecfleet.model.net import Selectors
from ipsecfleet.model.plan import Action, Step, Undo
from ipsecfleet.model.snapshot import Listing
from ipsecfleet.model.tunnel import End

HELD_FORM = {Listing.ACTIVE: Listing.HELD_ACTIVE, Listing.PASSIVE: Listing.HELD_PASSIVE}
ORIGIN = {held: origin for origin, held in HELD_FORM.items()}
FILE_LISTING = {"Connections": Listing.ACTIVE, "Passive-Connections": Listing.PASSIVE}

Needs = tuple[Condition, ...]


def relists(step: Step) -> bool:
    """Whether this changes a list of the daemon's, which arms its re-initialisation 5 s later."""
    relisting = step.action in {Action.HOLD, Action.RELEASE} and step.connection is not None
    return relisting or step.action in {Action.LOAD, Action.UNLOAD}


def hold(tunnel: str, end: End) -> Step:
    """Off the list it stands in, and remembered."""
    name = str(end.connection)
    return Step(
        gateway=end.gateway,
        tunnel=tunnel,
        action=Action.HOLD,
        needs=(Listed(name, end.listing),),
        proof=(Listed(name, HELD_FORM[end.listing]),),
        undo=Undo(Action.RELEASE, "back on the list it stood in"),
        connection=name,
        listing=end.listing,
    )


def release(tunnel: str, end: End) -> Step:
    """Back on the list it was taken off."""
    name = str(end.connection)
    return Step(
        gateway=end.gateway,
        tunnel=tunnel,
        action=Action.RELEASE,
        needs=(Listed(name, end.listing),),
        proof=(Listed(name, ORIGIN[end.listing]),),
        undo=Undo(Action.HOLD, "off that list again"),
        connection=name,
        listing=ORIGIN[end.listing],
    )


def quick(tunnel: str, end: End, name: str, needs: Needs, undo: Undo) -> Step:
    """The live SAs of that name go."""
    return Step(
        gateway=end.gateway,
        tunnel=tunnel,
        action=Action.QUICK,
        needs=needs,
        proof=(Gone(name),),
        undo=undo,
        connection=name,
        peer=end.peer,
    )


def connect(tunnel: str, end: End, needs: Needs) -> tuple[Step, ...]:
    """Negotiate now; a connection that is kept up waits for its next check, so it is taken off that list first."""
    name = str(end.connection)
    begin = Step(
        gateway=end.gateway,
        tunnel=tunnel,
        action=Action.CONNECT,
        needs=(*needs, Buildable(name)),
        proof=(),
        undo=Undo(Action.QUICK, "down again"),
        connection=name,
        peer=end.peer,
    )
    negotiating = any(x.ours and not x.finished for x in end.exchanges)
    if not end.kept_up or negotiating:
        return (begin,)
    sole = (SoleHolder(name, end.peer),) if end.peer is not None else ()
    return (quick(tunnel, end, name, (*needs, *sole), Undo(Action.CONNECT, "on the keep-up list again")), begin)


def main(tunnel: str, end: End, name: str, needs: Needs) -> Step:
    """The ready phase 1 SAs of that name go."""
    return Step(
        gateway=end.gateway,
        tunnel=tunnel,
        action=Action.MAIN,
        needs=needs,
        proof=(CookiesGone(name),),
        undo=Undo(None, "phase 1 comes with the next negotiation"),
        phase1=name,
        peer=end.peer,
    )


def peer_off(tunnel: str, gateway: str, address: str, phase1: str) -> Step:
    """The peer's entry in `[Phase 1]` goes, and is remembered."""
    return Step(
        gateway=gateway,
        tunnel=tunnel,
        action=Action.PEER_OFF,
        needs=(PeerKnown(address, known=True),),
        proof=(PeerKnown(address, known=False),),
        undo=Undo(Action.RELEASE, "its entry back in [Phase 1]"),
        phase1=phase1,
        peer=address,
    )


def peer_back(tunnel: str, gateway: str, address: str, phase1: str | None) -> Step:
    """The peer's entry in `[Phase 1]` as it was."""
    return Step(
        gateway=gateway,
        tunnel=tunnel,
        action=Action.RELEASE,
        needs=(),
        proof=(PeerKnown(address, known=True),),
        undo=Undo(Action.PEER_OFF, "its entry away again"),
        phase1=phase1,
        peer=address,
    )


def load(tunnel: str, gateway: str, path: str, names: Iterable[tuple[str, str]]) -> Step:
    """What ipsecctl makes of the file, in the daemon; `names` are pairs of list and connection."""
    listed = tuple(Listed(name, FILE_LISTING[where]) for where, name in names if where in FILE_LISTING)
    undo = Undo(Action.UNLOAD, "the same file, unloaded")
    return Step(gateway, tunnel, Action.LOAD, needs=(), proof=listed, undo=undo, file=path)


def unload(tunnel: str, gateway: str, path: str, ends: Sequence[End], needs: Needs) -> Step:
    """What ipsecctl makes of the file, out of the daemon; `ends` are those whose connections it makes."""
    gone = (Gone(str(e.connection)) for e in ends)
    unlisted = tuple(Listed(str(e.connection), Listing.NONE) for e in ends if not e.listing.held)
    undo = Undo(Action.LOAD, "the same file, loaded again")
    return Step(gateway, tunnel, Action.UNLOAD, needs=needs, proof=(*gone, *unlisted), undo=undo, file=path)


def overlap(tunnel: str, end: End, tags: tuple[tuple[str, str], ...], needs: Needs) -> tuple[Step, Step]:
    """A second SA under an alias beside the first, and at the re-initialisation a third under the connection's own name."""
    name = str(end.connection)
    alias = alias_of(name)
    clone = Step(
        gateway=end.gateway,
        tunnel=tunnel,
        action=Action.CLONE,
        needs=(Tagged(name, tags), Buildable(name), Listed(name, Listing.ACTIVE)),
        proof=(),
        undo=Undo(Action.UNCLONE, "the alias removed"),
        connection=name,
        alias=alias,
        tags=tags,
    )
    begin = Step(
        gateway=end.gateway,
        tunnel=tunnel,
        action=Action.OVERLAP,
        needs=needs,
        proof=(),
        undo=Undo(None, "keys that are new stay"),
        connection=name,
        peer=end.peer,
        alias=alias,
    )
    return clone, begin


def unclone(tunnel: str, gateway: str, alias: str) -> Step:
    """The section of an alias by which nothing lives goes."""
    return Step(
        gateway=gateway,
        tunnel=tunnel,
        action=Action.UNCLONE,
        needs=(AliasIdle(alias),),
        proof=(AliasGone(alias),),
        undo=Undo(None, "made anew by the next rekey"),
        alias=alias,
    )


def deny(tunnel: str, gateway: str, selectors: Selectors) -> Step:
    """What these selectors match is dropped. After `t quick`: the daemon's flow is the same object in the kernel."""
    return Step(
        gateway=gateway,
        tunnel=tunnel,
        action=Action.DENY,
        needs=(),
        proof=(Denied(selectors),),
        undo=Undo(Action.OPEN, "the deny flow goes again"),
        selectors=selectors,
    )


def let_out(tunnel: str, gateway: str, selectors: Selectors) -> Step:
    """The deny flow goes. It must be there: any delete of these selectors takes the daemon's flow as well."""
    return Step(
        gateway=gateway,
        tunnel=tunnel,
        action=Action.OPEN,
        needs=(Denied(selectors),),
        proof=(Denied(selectors, there=False),),
        undo=Undo(Action.DENY, "dropped again"),
        selectors=selectors,
    )
