"""Which key is offered: one, and no other.

Every refused key counts as a failed login, and a few of them close the gateway to our address for minutes
(sshd_config(5), PerSourcePenalties). So it is the first configured identity that exists; without one, the agent's
first key; without an agent, the first of ssh's own names in ~/.ssh. No password, no prompt: an encrypted identity is
used through the agent, found there by its public half.
"""

from base64 import b64decode
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from threading import Lock

import paramiko
from cryptography.exceptions import UnsupportedAlgorithm
from paramiko.pkey import UnknownKeyType

from ipsecfleet.errors import UnreachableError
from ipsecfleet.transport.known_hosts import HostKey

_DEFAULTS = ("~/.ssh/id_ed25519", "~/.ssh/id_ecdsa", "~/.ssh/id_rsa")


@dataclass(frozen=True, slots=True)
class Offer:
    """The key of one login and where it comes from; an agent's connection is not shared between threads."""

    key: paramiko.PKey
    source: str
    agent: paramiko.Agent | None = None

    def __str__(self) -> str:
        return f"{HostKey.from_blob(self.key.asbytes())} from {self.source}"

    def close(self) -> None:
        """Let the agent go."""
        if self.agent is not None:
            self.agent.close()


class KeyRing:
    """Private keys by path, each read once."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._keys: dict[Path, paramiko.PKey] = {}
        self._offers: dict[tuple[str, ...], Offer | None] = {}

    def offer(self, identities: tuple[str, ...]) -> Offer:
        """The one key for a login."""
        if not identities:
            return _from_agent(None) or self._default()
        path = _first(identities)
        if path is None:
            text = f"no such key: {Path(identities[0]).expanduser()}"
            raise _problem(text, "set identity in the inventory or IdentityFile in ssh_config")
        return self._from_file(path)

    def file_key(self, identities: tuple[str, ...]) -> Offer | None:
        """The same key where it is a file's that can be read; None where an agent has a say, or something is wrong."""
        if identities not in self._offers:
            self._offers[identities] = self._file_offer(identities)
        return self._offers[identities]

    def _file_offer(self, identities: tuple[str, ...]) -> Offer | None:
        path = _first(identities)
        if path is None or not path.exists() or path == _public(path):
            return None
        with suppress(UnreachableError):
            key = self._read(path)
            return Offer(key, str(path)) if key is not None else None
        return None

    def _default(self) -> Offer:
        paths = (Path(path).expanduser() for path in _DEFAULTS)
        path = next((path for path in paths if path.exists()), None)
        if path is None:
            hint = "set identity in the inventory, or add a key to an agent"
            raise _problem("no key to log in with: no identity, no agent, none in ~/.ssh", hint)
        return self._from_file(path)

    def _from_file(self, path: Path) -> Offer:
        private = path.exists() and path != _public(path)
        if private and (key := self._read(path)) is not None:
            return Offer(key, str(path))
        offer = _from_agent(_public_blob(path), str(path))
        if offer is None:
            raise _problem(f"key {path} cannot be used: it is encrypted and no agent holds it", f"ssh-add {path}")
        return offer

    def _read(self, path: Path) -> paramiko.PKey | None:
        """The private key of a file, None when it is encrypted."""
        with self._lock:
            if path not in self._keys:
                try:
                    self._keys[path] = paramiko.PKey.from_path(path)
                except (TypeError, paramiko.PasswordRequiredException):
                    return None
                except (OSError, ValueError, UnsupportedAlgorithm, UnknownKeyType, paramiko.SSHException) as error:
                    raise _problem(
                        f"key {path} cannot be used: {error}", "point identity at a readable private key"
                    ) from error
            return self._keys[path]


def _first(identities: tuple[str, ...]) -> Path | None:
    """The first identity of which there is any half."""
    paths = (Path(path).expanduser() for path in identities)
    return next((path for path in paths if path.exists() or _public(path).exists()), None)


def _from_agent(blob: bytes | None, source: str = "the agent") -> Offer | None:
    """The agent's key of that public half, or its first; an agent that cannot be asked is none."""
    try:
        agent = paramiko.Agent()
    except (OSError, paramiko.SSHException):
        return None
    for key in agent.get_keys():
        if blob is None or key.asbytes() == blob:
            return Offer(key, source, agent)
    agent.close()
    return None


def _public(path: Path) -> Path:
    """The public half of an identity; some are given as that, their private half being in an agent."""
    return path if path.suffix == ".pub" else path.with_name(path.name + ".pub")


def _public_blob(path: Path) -> bytes:
    try:
        return b64decode(_public(path).read_text("utf-8").split()[1])
    except (OSError, ValueError, IndexError):
        return b""


def _problem(message: str, hint: str) -> UnreachableError:
    return UnreachableError(message, phase="auth", hint=hint, kind="unreachable")
