"""paramiko, imported for as little as it takes and without a voice.

It imports invoke, a third of its own time, for one thing: `Match exec` in ssh_config. So invoke is loaded when that, or
fabric, first asks it for something (importlib.util.LazyLoader). Its logger prints tracebacks to stderr where nobody has
configured one; what happened is in our errors.
"""

import importlib.util
import logging
import sys


def load() -> None:
    """Import paramiko; to be called before anything else of it is."""
    if "invoke" not in sys.modules:
        _defer("invoke")
    import paramiko  # noqa: F401, PLC0415  this is where it is loaded

    logger = logging.getLogger("paramiko")
    if not logger.handlers:
        logger.addHandler(logging.NullHandler())
    logger.propagate = False
    logger.setLevel(logging.CRITICAL + 1)


def _defer(name: str) -> None:
    """Have a module loaded when it is first asked for something."""
    spec = importlib.util.find_spec(name)
    if spec is None or spec.loader is None:
        return
    spec.loader = importlib.util.LazyLoader(spec.loader)
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    spec.loader.exec_module(module)
