"""known_hosts, read once in one pass (sshd(8), SSH_KNOWN_HOSTS FILE FORMAT).

A line is `[@revoked|@cert-authority] NAMES KEYTYPE BASE64 [comment]`. NAMES is a list with commas of names, patterns
(`*`, `?`) and exceptions (`!name`), a port other than 22 written `[name]:port`; or one hash, `|1|SALT|HMAC-SHA1`.

Plain names go into a dictionary and a line is taken apart when its host is asked for, so 5,000 lines cost
milliseconds (paramiko's reader compares every line with all lines before it, which takes seconds). A hashed line
costs one HMAC for each host asked for, by its nature; patterns are few and tried one by one.
A line that is no such line stands for nothing, as it does for ssh(1).
"""

import binascii
import hashlib
import hmac
import re
from base64 import b64decode, b64encode
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple, Self

from ipsecfleet.errors import OperatorError

REVOKED = "@revoked"
CERT_AUTHORITY = "@cert-authority"


@dataclass(frozen=True, slots=True)
class HostKey:
    """A public key as a known_hosts line spells it."""

    type: str
    base64: str

    @classmethod
    def from_blob(cls, blob: bytes) -> Self:
        """The key of its wire form, which begins with its type (RFC 4253, 6.6)."""
        return cls(_type_of(blob), b64encode(blob).decode())

    @property
    def kind(self) -> str:
        """The short word for its type: ed25519, ecdsa, rsa."""
        return self.type.removeprefix("ssh-").removeprefix("sk-").split("-")[0]

    @property
    def fingerprint(self) -> str:
        """As ssh-keygen -l prints it."""
        return "SHA256:" + b64encode(hashlib.sha256(b64decode(self.base64)).digest()).decode().rstrip("=")

    def __str__(self) -> str:
        return f"{self.kind} {self.fingerprint}"


class KnownKey(NamedTuple):
    """A key that a line gives to a host; `marker` is empty, or `@revoked` or `@cert-authority`."""

    key: HostKey
    marker: str
    place: str


class _Line(NamedTuple):
    place: tuple[str, int]
    text: str


def host_key_name(host: str, port: int) -> str:
    """The name under which a host stands in known_hosts."""
    return host.lower() if port == 22 else f"[{host.lower()}]:{port}"


class KnownHosts:
    """All lines of some known_hosts files, given as pairs of name and text."""

    def __init__(self, files: Iterable[tuple[str, str]]) -> None:
        self._plain: dict[str, list[_Line]] = {}
        self._hashed: list[tuple[str, _Line]] = []
        self._patterns: list[tuple[str, _Line]] = []
        for source, text in files:
            self._read(source, text)

    def _read(self, source: str, text: str) -> None:
        for number, line in enumerate(text.split("\n"), 1):
            names = _names(line)
            if names:
                self._sort(names, _Line((source, number), line))

    def _sort(self, names: str, line: _Line) -> None:
        if names[0] == "|":
            self._hashed.append((names, line))
        elif "*" in names or "?" in names or "!" in names:
            self._patterns.append((names.lower(), line))
        else:
            for name in names.lower().split(","):
                self._plain.setdefault(name, []).append(line)

    def lookup(self, name: str) -> tuple[KnownKey, ...]:
        """Every key that stands for a host, revoked ones and certificate authorities too, in the files' order."""
        name = name.lower()
        lines = list(self._plain.get(name, ()))
        lines += [line for names, line in self._hashed if hash_matches(names, name)]
        lines += [line for names, line in self._patterns if pattern_matches(names, name)]
        return tuple(key for line in lines if (key := _known_key(line)) is not None)


def read_known_hosts(paths: Iterable[str]) -> KnownHosts:
    """Files by path, `~` allowed; one that is not there is empty."""
    files = [(path, Path(path).expanduser()) for path in paths]
    try:
        texts = [(path, file.read_text("utf-8", "surrogateescape")) for path, file in files if file.exists()]
    except OSError as error:
        raise OperatorError(f"known_hosts cannot be read: {error}", hint="set known_hosts in the inventory") from error
    return KnownHosts(texts)


def _names(line: str) -> str:
    """The names field of a line, empty for a comment or a line that has none."""
    words = line.split(None, 1)
    if not words or words[0].startswith("#"):
        return ""
    if words[0].startswith("@"):
        words = words[1].split(None, 1) if len(words) > 1 else [""]
    return words[0]


def _known_key(line: _Line) -> KnownKey | None:
    words = line.text.split()
    marker = words.pop(0) if words[0].startswith("@") else ""
    if len(words) < 3 or marker not in {"", REVOKED, CERT_AUTHORITY}:
        return None
    key = _host_key(words[1], words[2])
    return None if key is None else KnownKey(key, marker, "{}:{}".format(*line.place))


def _host_key(kind: str, base64: str) -> HostKey | None:
    try:
        blob = b64decode(base64, validate=True)
    except (binascii.Error, ValueError):
        return None
    return HostKey(kind, base64) if _type_of(blob) == kind else None


def _type_of(blob: bytes) -> str:
    length = int.from_bytes(blob[:4], "big")
    return blob[4 : 4 + length].decode("ascii", "replace")


def hash_matches(names: str, name: str) -> bool:
    """Whether a hashed names field `|1|SALT|HASH` stands for a host."""
    try:
        _, version, salt, digest = names.split("|")
        return version == "1" and hmac.digest(b64decode(salt), name.encode(), "sha1") == b64decode(digest)
    except ValueError:
        return False


def pattern_matches(names: str, name: str) -> bool:
    """Whether a names field with patterns stands for a host: some pattern fits and no exception does."""
    patterns = names.split(",")
    if any(_fits(pattern[1:], name) for pattern in patterns if pattern.startswith("!")):
        return False
    return any(_fits(pattern, name) for pattern in patterns)


def _fits(pattern: str, name: str) -> bool:
    return re.fullmatch(re.escape(pattern).replace(r"\*", ".*").replace(r"\?", "."), name, re.DOTALL) is not None


def add_host(text: str, name: str, keys: Iterable[HostKey]) -> str:
    """The text of a known_hosts file with these keys for a host; a key that stands there already is not repeated."""
    known = {entry.key for entry in KnownHosts([("", text)]).lookup(name) if not entry.marker}
    lines = [f"{name} {key.type} {key.base64}\n" for key in keys if key not in known]
    gap = "\n" if text and not text.endswith("\n") else ""
    return text + gap + "".join(lines) if lines else text


def replace_host(text: str, name: str, keys: Iterable[HostKey]) -> str:
    """The text of a known_hosts file with these keys for a host and no other; lines with markers and patterns stay."""
    return add_host("\n".join(_without(text, name.lower())), name, keys)


def _without(text: str, name: str) -> Iterator[str]:
    for line in text.split("\n"):
        names = _names(line)
        if not names or line.lstrip().startswith("@"):
            yield line
        elif names[0] == "|":
            yield from () if hash_matches(names, name) else (line,)
        else:
            kept = ",".join(word for word in names.split(",") if word.lower() != name)
            yield from (line.replace(names, kept, 1),) if kept else ()
