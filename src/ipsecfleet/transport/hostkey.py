"""Whether a host key is the one we know. Nothing is ever added on the way: `ipsecfleet trust` does that, on request.

fabric accepts any host key unless it is given another policy; every handshake of ours asks a `Trust`.
"""

from typing import Protocol

from ipsecfleet.errors import UnreachableError
from ipsecfleet.transport.failures import unreachable
from ipsecfleet.transport.known_hosts import CERT_AUTHORITY, REVOKED, HostKey, KnownKey
from ipsecfleet.transport.route import Route


class Trust(Protocol):
    """Decides on the host key of one handshake; `key_types` limits what the server may show, empty for no limit."""

    @property
    def key_types(self) -> tuple[str, ...]: ...

    def judge(self, shown: HostKey) -> None:
        """Raise `UnreachableError` unless the key is to be trusted."""

    def no_such_type(self) -> UnreachableError | None:
        """The error when the server has none of these types, None if that says nothing about trust."""


class KnownKeys:
    """Trusts the keys that known_hosts gives to a host, unless revoked."""

    def __init__(self, route: Route, known: tuple[KnownKey, ...]) -> None:
        self._route = route
        self._known = known
        self._trusted = [entry for entry in known if not entry.marker]

    @property
    def key_types(self) -> tuple[str, ...]:
        return tuple(dict.fromkeys(entry.key.type for entry in self._trusted))

    def judge(self, shown: HostKey) -> None:
        """Raise for a revoked, an unknown or a changed key."""
        revoked = next((entry for entry in self._known if entry.marker == REVOKED and entry.key == shown), None)
        if revoked is not None:
            message = f"revoked host key: {self._route.name} shows {shown}, revoked at {revoked.place}"
            raise unreachable(self._route, "hostkey", message, "do not connect: this key is known to be compromised")
        if not self._trusted:
            raise self._unknown(shown)
        if all(entry.key != shown for entry in self._trusted):
            entry = next((entry for entry in self._trusted if entry.key.type == shown.type), self._trusted[0])
            raise self._changed(f"offers {shown}, expected {entry.key} ({entry.place})")

    def no_such_type(self) -> UnreachableError | None:
        """A host that had keys and shows none of their types has changed."""
        if not self._trusted:
            return None
        return self._changed("no longer offers " + ", ".join(f"{entry.key} ({entry.place})" for entry in self._trusted))

    def _unknown(self, shown: HostKey) -> UnreachableError:
        authority = any(entry.marker == CERT_AUTHORITY for entry in self._known)
        note = " (known by its certificate authority only, which is not checked here)" if authority else ""
        hint = f"add it with `ipsecfleet trust {_operand(self._route)}`"
        return unreachable(self._route, "hostkey", f"unknown host key: {self._route.name} offers {shown}{note}", hint)

    def _changed(self, what: str) -> UnreachableError:
        hint = (
            f"somebody may be in between; if the change is known, `ipsecfleet trust --replace {_operand(self._route)}`"
        )
        return unreachable(self._route, "hostkey", f"changed host key: {self._route.name} {what}", hint)


def _operand(route: Route) -> str:
    return route.name.removeprefix("jump host ")
