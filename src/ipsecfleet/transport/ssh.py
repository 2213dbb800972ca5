"""The transport over SSH. paramiko, 100 ms to import, is loaded by the first visit."""

from collections.abc import Callable, Iterable, Iterator
from threading import Lock
from typing import TYPE_CHECKING, Self

from ipsecfleet.transport import failures
from ipsecfleet.transport.contract import Outcome, Visit, Visited

if TYPE_CHECKING:
    from ipsecfleet.transport.paths import Paths


class SshTransport:
    """Implements `Transport`: one connection per gateway, jump hosts shared, host keys strict.

    `ssh_config` replaces the user's and the system's; `known_hosts` replaces what ssh_config and ssh's defaults say
    (a gateway's own wins); `connect_timeout`, in seconds, replaces every gateway's. With `keep` connections stay open
    for the next visit. `warn` is told, once, when the installed paramiko is not known well enough to be fast.
    """

    def __init__(
        self,
        *,
        known_hosts: tuple[str, ...] = (),
        ssh_config: str | None = None,
        connect_timeout: float | None = None,
        keep: bool = True,
        warn: Callable[[str], object] = lambda _text: None,
    ) -> None:
        self._options = (ssh_config, known_hosts, connect_timeout)
        self._keep = keep
        self._warn = warn
        self._lock = Lock()
        self._paths: Paths | None = None
        self._closed = False

    def visit(self, visit: Visit) -> Outcome:
        """See `Transport.visit`."""
        paths = self._loaded()
        if paths is None:
            raise failures.ending(visit.gateway.name)
        return paths.visit(visit)

    def visit_all(self, visits: Iterable[Visit], *, at_once: int | None = None) -> Iterator[Visited]:
        """See `Transport.visit_all`."""
        paths = self._loaded()
        if paths is None:
            return ((visit, failures.ending(visit.gateway.name)) for visit in visits)
        return paths.visit_all(visits, at_once=at_once)

    def _loaded(self) -> "Paths | None":
        """What does the work, None once it is over."""
        with self._lock:
            if self._paths is None and not self._closed:
                from ipsecfleet.transport.loading import load  # noqa: PLC0415  loads paramiko

                load()
                from ipsecfleet.transport.paths import Paths  # noqa: PLC0415
                from ipsecfleet.transport.route import Resolver  # noqa: PLC0415

                self._paths = Paths(Resolver(*self._options), keep=self._keep, warn=self._warn)
            return None if self._closed else self._paths

    def close(self) -> None:
        """End every connection."""
        with self._lock:
            self._closed = True
        if self._paths is not None:
            self._paths.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()
