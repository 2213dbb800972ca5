"""A visit by the general path: open the link, run the command."""

from collections.abc import Callable
from threading import Thread

from ipsecfleet.errors import GatewayError
from ipsecfleet.transport import failures
from ipsecfleet.transport.contract import Outcome, Visit, Visited
from ipsecfleet.transport.credentials import Credentials
from ipsecfleet.transport.general.channel import Command, StaleError
from ipsecfleet.transport.general.links import Link, Links
from ipsecfleet.transport.general.opening import hang_up
from ipsecfleet.transport.route import Resolver
from ipsecfleet.transport.side_by_side import SideBySide


class GeneralPath(SideBySide):
    """Implements `Transport` for every gateway: jump hosts shared, agents, proxy commands, old servers."""

    def __init__(self, resolver: Resolver, credentials: Credentials) -> None:
        self.links = Links(credentials)
        self._resolver = resolver

    def start(self, visit: Visit, done: Callable[[Visited], object]) -> None:
        """Have a visit done on a thread of its own."""
        Thread(target=lambda: done((visit, self._result(visit))), name="ipsecfleet-visit", daemon=True).start()

    def visit(self, visit: Visit) -> Outcome:
        """See `Transport.visit`."""
        link = self.links.to(self._resolver.route(visit.gateway))
        try:
            return _run(visit, link)
        except GatewayError as error:
            error.obj = visit.gateway.name
            raise

    def _result(self, visit: Visit) -> Outcome | Exception:
        try:
            return self.visit(visit)
        except Exception as error:  # noqa: BLE001  handed to whoever takes the results
            return error

    def close(self) -> None:
        """End every connection."""
        self.links.close()


def _run(visit: Visit, link: Link) -> Outcome:
    """A kept connection may have died since; the command, which has not been sent then, gets a new one."""
    while True:
        connection, fresh = link.connection()
        try:
            return Command(visit).run(connection.transport, link.route.timeout)
        except StaleError as error:
            hang_up(connection)
            if fresh:
                raise failures.no_channel(visit) from error
        except GatewayError:
            hang_up(connection)
            raise
