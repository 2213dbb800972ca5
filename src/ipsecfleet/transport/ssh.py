"""The transport over SSH. fabric and paramiko, 150 ms to import, are loaded by the first visit."""

from collections.abc import Callable
from threading import Lock
from typing import TYPE_CHECKING, Self

from ipsecfleet.errors import UnreachableError
from ipsecfleet.model.fleet import Gateway
from ipsecfleet.transport.contract import Outcome

if TYPE_CHECKING:
    from ipsecfleet.transport.visiting import Visitor


class SshTransport:
    """Implements `Transport`: one connection per gateway, jump hosts shared, host keys strict.

    `ssh_config` replaces the user's and the system's; `known_hosts` replaces what ssh_config and ssh's defaults say
    (a gateway's own wins); `connect_timeout`, in seconds, replaces every gateway's.
    """

    def __init__(
        self, *, known_hosts: tuple[str, ...] = (), ssh_config: str | None = None, connect_timeout: float | None = None
    ) -> None:
        self._options = (ssh_config, known_hosts, connect_timeout)
        self._lock = Lock()
        self._visitor: Visitor | None = None
        self._closed = False

    def visit(  # noqa: PLR0913  a visit is made of these
        self,
        gateway: Gateway,
        command: str,
        stdin: bytes,
        *,
        deadline_s: float,
        limit: int,
        on_started: Callable[[], object] | None = None,
    ) -> Outcome:
        """See `Transport.visit`."""
        visitor = self._loaded(gateway)
        from ipsecfleet.transport.channel import Command  # noqa: PLC0415  loads paramiko

        job = Command(gateway.name, command, stdin, deadline_s=deadline_s, limit=limit, on_started=on_started)
        return visitor.visit(gateway, job)

    def _loaded(self, gateway: Gateway) -> "Visitor":
        with self._lock:
            if self._closed:
                raise UnreachableError(
                    f"not connected: {gateway.name}: the run is ending", phase="tcp", obj=gateway.name
                )
            if self._visitor is None:
                from ipsecfleet.transport.visiting import Visitor  # noqa: PLC0415  loads fabric

                self._visitor = Visitor(*self._options)
            return self._visitor

    def close(self) -> None:
        """End every connection."""
        with self._lock:
            self._closed = True
        if self._visitor is not None:
            self._visitor.links.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()
