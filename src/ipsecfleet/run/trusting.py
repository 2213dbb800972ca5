"""trust: show the host keys of gateways, and write those that are accepted into known_hosts."""

import os
import tempfile
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from operator import itemgetter
from pathlib import Path

from ipsecfleet.errors import Exit, IpsecfleetError, RefusedError, foremost
from ipsecfleet.model.document import Document, Finding
from ipsecfleet.model.fleet import Gateway
from ipsecfleet.transport.crew import fan_out
from ipsecfleet.transport.known_hosts import REVOKED, HostKey, add_host, read_known_hosts, replace_host
from ipsecfleet.transport.trust import ShownKeys, fetch_host_keys


@dataclass(frozen=True, slots=True)
class Trust:
    """What was asked for: `fingerprints` that may be accepted without asking, and whether a changed key may go.

    `fetch` shows the keys of a gateway within so many seconds.
    """

    fingerprints: frozenset[str]
    replace: bool
    accept: Callable[[str, ShownKeys], bool]
    timeout: float | None = None
    dry_run: bool = False
    fetch: Callable[[Gateway, float | None], ShownKeys] = fetch_host_keys
    findings: list[Finding] = field(default_factory=list)

    def all(self, gateways: Iterable[Gateway], fanout: int | None) -> Document:
        """One gateway after the other is asked about; their keys are fetched side by side."""
        errors: list[IpsecfleetError] = []
        codes: list[Exit] = []
        fetched = fan_out(gateways, lambda g: self.fetch(g, self.timeout), limit=fanout)
        for name, keys in sorted(((gateway.name, shown) for gateway, shown in fetched), key=itemgetter(0)):
            try:
                if isinstance(keys, Exception):
                    raise keys
                self._one(name, keys)
            except IpsecfleetError as error:
                errors.append(error)
                codes.append(error.exit_code)
        code = foremost(codes)
        return Document("trust", code, code.word, findings=tuple(self.findings), errors=tuple(errors))

    def _one(self, gateway: str, shown: ShownKeys) -> None:
        """Write the accepted keys of one gateway down; say what is so already."""
        if self.fingerprints:
            self._matching(gateway, shown)
        entries = read_known_hosts([shown.file]).lookup(shown.name)
        revoked = next((k for k in entries if k.marker == REVOKED and k.key in shown.keys), None)
        if revoked is not None:
            text = f"{gateway} shows a key that is revoked: {revoked.key} in {shown.file}"
            raise RefusedError(text, kind="revoked-key", obj=gateway, hint="do not connect: find out who has that key")
        known = {k.key for k in entries if not k.marker}
        if known and known <= set(shown.keys):
            self.findings.append(Finding(gateway, "info", "known", f"{shown.keys[0]} in {shown.file}"))
            return
        if known and not self.replace:
            old, new = next(iter(known)), shown.keys[0]
            raise RefusedError(
                f"the host key of {gateway} changed: {shown.file} has {old}, it shows {new}",
                kind="changed-key",
                obj=gateway,
                hint=f"if you know why: ipsecfleet trust --replace {gateway}",
            )
        if self.dry_run:
            self.findings.extend(Finding(gateway, "info", "shown", str(key)) for key in shown.keys)
            return
        accepted = self._accepted(gateway, shown)
        _write(Path(shown.file), shown.name, accepted, replace=bool(known))
        for key in accepted:
            self.findings.append(Finding(gateway, "info", "trusted", f"{key} in {shown.file}"))

    def _accepted(self, gateway: str, shown: ShownKeys) -> tuple[HostKey, ...]:
        if self.fingerprints:
            return self._matching(gateway, shown)
        if not self.accept(gateway, shown):
            raise RefusedError(f"the host key of {gateway} was not accepted", kind="declined", obj=gateway)
        return shown.keys

    def _matching(self, gateway: str, shown: ShownKeys) -> tuple[HostKey, ...]:
        """The keys whose fingerprints were given; without any it is not the machine that was meant."""
        matching = tuple(k for k in shown.keys if k.fingerprint in self.fingerprints)
        if not matching:
            raise RefusedError(
                f"{gateway} shows none of the fingerprints given, but {', '.join(map(str, shown.keys))}",
                kind="fingerprint",
                obj=gateway,
                hint="compare it with ssh-keygen -lf /etc/ssh/ssh_host_ed25519_key.pub on the gateway",
            )
        return matching


def _write(path: Path, name: str, keys: Iterable[HostKey], *, replace: bool) -> None:
    """Replace the known_hosts file as a whole, so that a reader never sees half of it."""
    text = path.read_text(encoding="utf-8", errors="surrogateescape") if path.exists() else ""
    text = (replace_host if replace else add_host)(text, name, keys)
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=".known_hosts-")
    with os.fdopen(handle, "w", encoding="utf-8", errors="surrogateescape") as file:
        file.write(text)
    Path(temporary).replace(path)
