"""A gateway's directories without a gateway, and the visit program run on them by a real `perl -T -`."""

import gzip
import os
import subprocess
from dataclasses import dataclass
from pathlib import Path

from fake_isakmpd import FakeIsakmpd

from ipsecfleet.isakmpd import verbs, visit
from ipsecfleet.lab.layout import GatewayDir

NONCE = "0123456789abcdef"


@dataclass(frozen=True)
class Gateway(GatewayDir):
    """A gateway's directories, and visits to it."""

    def __post_init__(self) -> None:
        for folder in (self.run, self.etc, self.bin, self.log):
            folder.mkdir()
        self.bin.chmod(0o755)
        self.tool("logger", f'printf "%s\\n" "$*" >> {self.told}')
        self.tool("ifconfig", "echo carp: no such interface >&2; exit 1")

    @property
    def told(self) -> Path:
        return self.root / "told"

    @property
    def logged(self) -> list[str]:
        """What logger(1) was given."""
        return self.told.read_text().splitlines() if self.told.exists() else []

    def tool(self, name: str, script: str) -> None:
        (self.bin / name).write_text(f"#!/bin/sh\n{script}\n")
        (self.bin / name).chmod(0o755)

    def daemon(self, **switches: object) -> FakeIsakmpd:
        return FakeIsakmpd(self.run, **switches)

    def request(
        self, *verbs: verbs.Verb, deadline: float = 10.0, who: str = "R1 alice@laptop", key: str = ""
    ) -> visit.Request:
        places = {place: str(getattr(self, place)) for place in ("run", "etc", "bin", "log")}
        return visit.Request(NONCE, verbs, who=who, deadline=deadline, key=key, **places)

    def asked(self, *verbs: verbs.Verb, **more: object) -> visit.Answer:
        done = fed(visit.sent_program() + self.request(*verbs, **more).encode())
        assert (done.returncode, done.stderr) == (0, b"")
        answer = visit.decode(done.stdout, NONCE, verbs)
        assert answer.complete
        assert answer.unparsed == b""
        return answer

    def only(self, *verbs: verbs.Verb, **more: object) -> tuple[str, str]:
        """Status and body of the last section."""
        last = self.asked(*verbs, **more).sections[-1]
        return last.status, last.body.decode()


def fed(stdin: bytes, command: str = visit.remote_command("none")) -> subprocess.CompletedProcess[bytes]:
    session = {**os.environ, "SSH_CONNECTION": "192.0.2.7 50022 198.51.100.11 22"}
    return subprocess.run(command, shell=True, input=stdin, capture_output=True, env=session, timeout=30, check=False)


def request_in(stdin: bytes) -> str:
    """The request in what a visit sends: behind the program, packed or not, or alone."""
    plain = plain_text(stdin)
    return (plain.partition(b"\n__END__\n")[2] or plain).decode()


def plain_text(stdin: bytes) -> bytes:
    """What a visit sends, unpacked."""
    return gzip.decompress(stdin) if stdin.startswith(b"\x1f\x8b") else stdin
