"""The command line: options in, one call, rendered text and an exit code out."""

import sys


def main() -> None:
    """The entry point of `ipsecfleet`."""
    from ipsecfleet.cli.app import run

    sys.exit(run(sys.argv[1:]))
