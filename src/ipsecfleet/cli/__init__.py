"""The command line: options in, one call, rendered text and an exit code out."""

import gc
import sys

RARELY = (50_000, 20, 100)
"""How often garbage is looked for: a command is over soon, and what it reads has no circles (a tenth of its time)."""


def main() -> None:
    """The entry point of `ipsecfleet`."""
    from ipsecfleet.cli.app import run

    gc.set_threshold(*RARELY)
    sys.exit(run(sys.argv[1:]))
