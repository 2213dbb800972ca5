"""A visit over SSH: find the way, open the link, run the command; what `SshTransport` does once it is loaded."""

import logging
from functools import cache

from ipsecfleet.errors import GatewayError
from ipsecfleet.model.fleet import Gateway
from ipsecfleet.transport.channel import Command, StaleError
from ipsecfleet.transport.contract import Outcome
from ipsecfleet.transport.links import Link, Links
from ipsecfleet.transport.opening import hang_up
from ipsecfleet.transport.route import Resolver


class Visitor:
    """Runs commands on gateways over links that it keeps."""

    def __init__(self, ssh_config: str | None, known_hosts: tuple[str, ...], timeout: float | None) -> None:
        silence_paramiko()
        self.route = cache(Resolver(ssh_config, known_hosts, timeout).route)
        self.links = Links()

    def visit(self, gateway: Gateway, command: Command) -> Outcome:
        """Run a command, once."""
        try:
            return _run(command, self.links.to(self.route(gateway)))
        except GatewayError as error:
            error.obj = gateway.name
            raise


def _run(command: Command, link: Link) -> Outcome:
    """A kept connection may have died since; the command, which has not been sent then, gets a new one."""
    while True:
        connection, fresh = link.connection()
        try:
            return command.run(connection.transport, link.route.timeout)
        except StaleError as error:
            hang_up(connection)
            if fresh:
                raise command.no_channel() from error
        except GatewayError:
            hang_up(connection)
            raise


def silence_paramiko() -> None:
    """Its logger prints tracebacks to stderr when nobody has configured one; what happened is in our errors."""
    logger = logging.getLogger("paramiko")
    logger.addHandler(logging.NullHandler())
    logger.propagate = False
    logger.setLevel(logging.CRITICAL + 1)
