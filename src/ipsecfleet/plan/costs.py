"""What one negotiation costs, by the group of its key computation.

Milliseconds of one Diffie-Hellman operation as isakmpd does it, measured on a fast machine (groundtruth.md 8); each side
does two for a phase 1, and two for a phase 2 with perfect forward secrecy. A small gateway is up to fifteen times slower.
"""

OPERATION_MS = {
    "none": 0.0, "modp768": 0.2, "modp1024": 0.29, "modp1536": 0.9, "modp2048": 2.0, "modp3072": 6.3, "modp4096": 14.9,
    "modp6144": 49.0, "modp8192": 119.0, "ecp256": 0.1, "ecp384": 1.2, "ecp521": 0.6,
}  # fmt: skip

USUAL = "modp3072"
"""ipsecctl's group where a rule names none, taken also where it is not known."""

SMALL_GATEWAY = 15.0
"""How much slower the smallest gateways are."""

OPERATIONS = 4
"""Two at each side, one after the other."""


def weight(group: str | None) -> float:
    """The cost of one negotiation, in those of the usual group."""
    return OPERATION_MS.get(group or USUAL, OPERATION_MS[USUAL]) / OPERATION_MS[USUAL]


def lasts_s(group: str | None) -> float:
    """How long both sides of a negotiation compute, in seconds, on small gateways."""
    return weight(group) * OPERATION_MS[USUAL] * OPERATIONS * SMALL_GATEWAY / 1000
