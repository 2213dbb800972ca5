"""The words of the selecting options, and whether the fleet knows what they name."""

from collections.abc import Iterable
from dataclasses import dataclass
from ipaddress import ip_address

from ipsecfleet.errors import OperatorError
from ipsecfleet.inventory.check import is_loopback
from ipsecfleet.inventory.nearest import suggest
from ipsecfleet.inventory.pattern import Pattern, split_words
from ipsecfleet.inventory.target import FORM, is_target, parse_target
from ipsecfleet.inventory.values import CONNECTION, quoted
from ipsecfleet.model.fleet import Fleet, Gateway
from ipsecfleet.model.tunnel import State

EVERYTHING = "*"
"""As a tunnel: also those that only a daemon knows."""

NO_TUNNELS = "without an inventory a tunnel has its connection's name (from-…-to-…), or is found by --peer"


@dataclass(frozen=True, slots=True)
class Selection:
    """What the selecting options say, checked as far as it can be without an inventory."""

    peers: tuple[str, ...] = ()
    tunnels: tuple[str, ...] = ()
    gateways: tuple[str, ...] = ()
    groups: tuple[str, ...] = ()
    all_gateways: bool = False
    exclude: tuple[str, ...] = ()
    state: tuple[State, ...] = ()

    @classmethod
    def of(  # noqa: PLR0913 one argument for each selecting option
        cls,
        *,
        peers: Iterable[str] = (),
        tunnels: Iterable[str] = (),
        gateways: Iterable[str] = (),
        groups: Iterable[str] = (),
        all_gateways: bool = False,
        exclude: Iterable[str] = (),
        state: Iterable[str] = (),
    ) -> "Selection":
        """The selection that the options' texts mean, commas and repetition alike."""
        return cls(
            peers=tuple(_address(word) for word in split_words("--peer", peers)),
            tunnels=split_words("--tunnel", tunnels),
            gateways=split_words("--gateway", gateways),
            groups=split_words("--group", groups),
            all_gateways=all_gateways,
            exclude=split_words("--exclude", exclude),
            state=tuple(_state(word) for word in split_words("--state", state)),
        )

    @property
    def names_tunnels(self) -> bool:
        """Whether it says which tunnels, and not only where."""
        return bool(self.peers or self.tunnels)

    @property
    def names_gateways(self) -> bool:
        """Whether it says where, and not only which tunnels."""
        return bool(self.gateways or self.groups or self.all_gateways)


def check_words(fleet: Fleet, selection: Selection) -> None:
    """OperatorError, with the name most like it, for a word that names nothing."""
    gateways, tunnels = [g.name for g in fleet.gateways], [t.name for t in fleet.tunnels]
    groups = sorted({group for g in fleet.gateways for group in groups_of(g)})
    for word in selection.gateways:
        if not is_target(word):
            _known("gateway", word, gateways, otherwise=FORM)
    for word in selection.groups:
        _known("group", word, groups)
    for word in selection.tunnels:
        if word != EVERYTHING and not is_connection(word):
            _known("tunnel", word, tunnels, otherwise=NO_TUNNELS)
    for word in selection.exclude:
        if not is_connection(word):
            _known("gateway, group or tunnel", word, [*selection.gateways, *gateways, *groups, *tunnels])


def is_connection(word: str) -> bool:
    """Whether this can be the name of a daemon's connection, which no tunnel of the inventory has."""
    return CONNECTION.fullmatch(word) is not None


def groups_of(gateway: Gateway) -> frozenset[str]:
    """The groups of a gateway; its CARP group is one of them."""
    return frozenset(gateway.groups) | ({gateway.carp.group} if gateway.carp is not None else set())


def all_gateways(fleet: Fleet, selection: Selection) -> tuple[Gateway, ...]:
    """Those of the fleet, then the `user@host` gateways that the selection adds, in the order typed."""
    added = (parse_target(w) for w in selection.gateways if is_target(w) and fleet.gateway(w) is None)
    return fleet.gateways + tuple(_in_real_time(fleet, gateway) for gateway in added)


def _in_real_time(fleet: Fleet, gateway: Gateway) -> Gateway:
    if fleet.time_scale == 1 or is_loopback(gateway.address):
        return gateway
    hint = "leave the lab's inventory out"
    raise OperatorError(f"{gateway.name} is no part of a lab whose time runs faster", hint=hint, kind="usage")


def _known(kind: str, word: str, known: list[str], *, otherwise: str = "") -> None:
    pattern = Pattern.of(word)
    if not any(pattern.matches(name) for name in known):
        hint = (suggest(word, known) if known else otherwise) or "see what there is: ipsecfleet show"
        raise OperatorError(
            f"no {kind} {word if word.isprintable() else quoted(word)}", hint=hint, kind="usage", obj=word
        )


def _address(word: str) -> str:
    try:
        return str(ip_address(word))
    except ValueError:
        hint = "a peer is one literal address, never a network or the beginning of one"
        raise OperatorError(f"{quoted(word)} is no IP address", hint=hint, kind="usage", obj=word) from None


def _state(word: str) -> State:
    try:
        return State(word)
    except ValueError:
        hint = suggest(word, State)
        raise OperatorError(f"no state {quoted(word)}", hint=hint, kind="usage", obj=word) from None
