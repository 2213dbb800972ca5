"""Files written as daemons and installers write them."""

import os
from pathlib import Path


def overwrite(path: Path, content: bytes, mode: int) -> None:
    """Truncate and write in place; a new file gets `mode`, an old one keeps its own."""
    _write(path, content, os.O_TRUNC, mode)


def create_private(path: Path, content: bytes) -> None:
    """A new file that nobody else may read, from its first moment on."""
    path.unlink(missing_ok=True)
    _write(path, content, os.O_EXCL, 0o600)


def _write(path: Path, content: bytes, how: int, mode: int) -> None:
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | how, mode), "wb") as file:
        file.write(content)
