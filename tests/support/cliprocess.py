"""ipsecfleet as its own process, as an operator without settings runs it."""

import json
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any


@dataclass(frozen=True)
class Ran:
    """What a command said."""

    code: int
    out: str
    err: str

    @property
    def document(self) -> Any:
        return json.loads(self.out)


@dataclass(frozen=True)
class Operator:
    """Somebody with a home, an inventory and a known_hosts beside it."""

    home: Path
    inventory: Path

    @property
    def known_hosts(self) -> Path:
        return self.inventory.with_name("known_hosts")

    def __call__(self, *words: str) -> Ran:
        """Run ipsecfleet; nobody answers its questions."""
        done = subprocess.run(
            [sys.executable, "-m", "ipsecfleet", "-i", str(self.inventory), *words],
            env={"HOME": str(self.home), "PATH": os.environ["PATH"], "USER": "tester"},
            cwd=self.home,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        return Ran(done.returncode, done.stdout, done.stderr)
