"""paramiko, imported for as little as it takes and without a voice.

It imports invoke, a third of its own time, for one thing: `Match exec` in ssh_config. So it gets a stand-in that loads
invoke when that is asked of it. Its logger prints tracebacks to stderr where nobody has configured one; what happened is
in our errors.
"""

import importlib
import logging
import sys
from threading import Lock
from types import ModuleType
from typing import Any

_lock = Lock()


class _Later(ModuleType):
    """Stands for a module until something of it is needed."""

    def __getattr__(self, name: str) -> Any:
        return getattr(importlib.import_module(self.__name__), name)


def load() -> None:
    """Import paramiko; to be called before anything else of it is."""
    with _lock:
        deferred = "invoke" not in sys.modules
        if deferred:
            sys.modules["invoke"] = _Later("invoke")
        try:
            import paramiko  # noqa: F401, PLC0415  this is where it is loaded
        finally:
            if deferred:
                del sys.modules["invoke"]
    logger = logging.getLogger("paramiko")
    if not logger.handlers:
        logger.addHandler(logging.NullHandler())
    logger.propagate = False
    logger.setLevel(logging.CRITICAL + 1)
