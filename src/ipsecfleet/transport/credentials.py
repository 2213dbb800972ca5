"""What a login needs, each read once and shared by all paths: our private keys, and the keys of hosts."""

from functools import partial
from threading import Lock

from ipsecfleet.transport import failures
from ipsecfleet.transport.hostkey import KnownKeys
from ipsecfleet.transport.keys import KeyRing, Offer
from ipsecfleet.transport.known_hosts import KnownHosts, read_known_hosts
from ipsecfleet.transport.route import Route
from ipsecfleet.transport.waiting import OverdueError, within


class Credentials:
    """Keys and known hosts of one run."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._keys = KeyRing()
        self._known_hosts: dict[tuple[str, ...], KnownHosts] = {}

    def file_key(self, route: Route) -> Offer | None:
        """The key of a login that comes from a file and from nowhere else, None if others are needed to tell."""
        return self._keys.file_key(route.identities)

    def offer(self, route: Route) -> Offer:
        """The key of a login; an agent that does not answer has no more time than a server."""
        try:
            return within(route.timeout, partial(self._keys.offer, route.identities), late=Offer.close)
        except OverdueError as error:
            raise failures.no_agent(route) from error

    def trust(self, route: Route) -> KnownKeys:
        """What is known of the host at the end of a route."""
        with self._lock:
            if route.known_hosts not in self._known_hosts:
                self._known_hosts[route.known_hosts] = read_known_hosts(route.known_hosts)
            known = self._known_hosts[route.known_hosts]
        return KnownKeys(route, known.lookup(route.host_key_name))
