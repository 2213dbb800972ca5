"""The fast path, and the general one for whatever it does not serve; what `SshTransport` is once it is loaded."""

from collections.abc import Callable
from contextlib import suppress
from functools import partial

from ipsecfleet.transport.contract import Outcome, Visit, Visited
from ipsecfleet.transport.credentials import Credentials
from ipsecfleet.transport.fast.engine import fits
from ipsecfleet.transport.fast.line import UnfitError
from ipsecfleet.transport.fast.pool import FastPath
from ipsecfleet.transport.general.visiting import GeneralPath
from ipsecfleet.transport.route import Resolver
from ipsecfleet.transport.side_by_side import SideBySide


class Paths(SideBySide):
    """Implements `Transport`; both ways share what they know of routes, keys and hosts."""

    def __init__(self, resolver: Resolver, *, keep: bool, warn: Callable[[str], object]) -> None:
        credentials = Credentials()
        self.general = GeneralPath(resolver, credentials)
        self.fast = FastPath(resolver, credentials, keep=keep) if fits() else None
        if self.fast is None:
            warn(_unknown_paramiko())

    def visit(self, visit: Visit) -> Outcome:
        """See `Transport.visit`."""
        if self.fast is not None:
            with suppress(UnfitError):
                return self.fast.visit(visit)
        return self.general.visit(visit)

    def start(self, visit: Visit, done: Callable[[Visited], object]) -> None:
        """Have a visit done the fast way if that is possible."""
        try:
            if self.fast is not None:
                self.fast.start(visit, partial(self._done, done))
                return
        except UnfitError:
            pass
        self.general.start(visit, done)

    def _done(self, done: Callable[[Visited], object], visited: Visited) -> None:
        visit, result = visited
        if isinstance(result, UnfitError):
            self.general.start(visit, done)
        else:
            done(visited)

    def close(self) -> None:
        """End every connection."""
        if self.fast is not None:
            self.fast.close()
        self.general.close()


def _unknown_paramiko() -> str:
    from paramiko import __version__  # noqa: PLC0415  for the words alone

    return f"paramiko {__version__} is not one that the fast path knows; all goes by the general path, more slowly"
