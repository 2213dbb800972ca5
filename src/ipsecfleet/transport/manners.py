"""How servers are treated, by every path.

sshd drops parallel logins (MaxStartups 10:30:100) and locks out an address after a few failed ones
(PerSourcePenalties): few handshakes at a time with one address, and through one jump host; those who waited for an
attempt share its failure; a refused login or host key stays refused for the run, for asking again does not heal it.
"""

HANDSHAKES = 4
"""How many handshakes at a time with one address."""

LASTING = frozenset({"hostkey", "auth"})
"""The phases whose failures stay."""
