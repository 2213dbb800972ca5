"""Gateways without an inventory: `user@host`, `user@host:port`, `user@[2001:db8::1]:port`."""

import re
from collections.abc import Iterable

from ipsecfleet.errors import OperatorError
from ipsecfleet.inventory import values
from ipsecfleet.model.fleet import Fleet, Gateway

TARGET = re.compile(r"([^@]+)@(?:\[([^][]+)\]|([^][:]+))(?::([0-9]{1,5}))?")
FORM = "a gateway outside the inventory is user@host, user@host:port or user@[2001:db8::1]:port"


def is_target(word: str) -> bool:
    """Whether this is meant as `user@host` and not as a name of the inventory."""
    return "@" in word


def parse_target(word: str) -> Gateway:
    """The gateway that `user@host[:port]` means, named by the text as typed; all else as it is without inventory."""
    found = TARGET.fullmatch(word)
    if found is None:
        raise _no_target(word, "is no gateway")
    user, bracketed, host, port = found.groups()
    try:
        return Gateway(
            name=word,
            user=values.user(user),
            address=values.ip(bracketed) if bracketed else values.host(host),
            port=values.whole(1, 65535)(int(port)) if port else None,
        )
    except OperatorError as error:
        raise _no_target(word, f"is no gateway: {error.message}") from None


def default_fleet(names: Iterable[str]) -> Fleet:
    """The fleet of these `user@host[:port]` gateways, each once; all other names need an inventory."""
    return Fleet(gateways=tuple(parse_target(name) for name in dict.fromkeys(names)))


def _no_target(word: str, why: str) -> OperatorError:
    return OperatorError(f"{values.quoted(word)} {why}", hint=FORM, kind="usage", obj=word)
