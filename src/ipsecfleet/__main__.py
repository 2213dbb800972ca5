"""`python -m ipsecfleet`."""

from ipsecfleet.cli import main

main()
