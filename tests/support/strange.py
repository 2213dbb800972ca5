"""A paramiko in which one private name is another, as a later release might have it; all else is as it was.

python tests/support/strange.py DIR     makes it in DIR, to be put first in PYTHONPATH
"""

import shutil
import sys
from pathlib import Path

import paramiko

NAME, OTHER = "_parse_newkeys", "_took_newkeys"
WARNING = "is not one that the fast path knows; all goes by the general path, more slowly"


def make(folder: Path) -> Path:
    """The copy; its parent belongs in PYTHONPATH."""
    copy = folder / "paramiko"
    shutil.rmtree(copy, ignore_errors=True)
    shutil.copytree(Path(paramiko.__file__).parent, copy, ignore=shutil.ignore_patterns("__pycache__"))
    changed = 0
    for path in copy.glob("*.py"):
        text = path.read_text()
        changed += text.count(NAME)
        path.write_text(text.replace(NAME, OTHER))
    if changed < 2:
        raise ValueError(f"paramiko has no {NAME} to rename")
    return folder


def without_warning(err: str) -> str:
    """What a command said besides the one warning that it must have given if it went over SSH."""
    lines = err.splitlines(keepends=True)
    left = [line for line in lines if WARNING not in line]
    if len(lines) - len(left) > 1:
        raise ValueError(f"warned more than once: {err}")
    return "".join(left)


if __name__ == "__main__":
    make(Path(sys.argv[1]))
