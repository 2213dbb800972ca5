"""The inventory: a TOML text becomes a Fleet, and the words of the command line become gateways and tunnels of it."""

from ipsecfleet.inventory.load import parse
from ipsecfleet.inventory.nearest import suggest
from ipsecfleet.inventory.problems import InventoryError
from ipsecfleet.inventory.select import other_ends, pick, resolve_gateways
from ipsecfleet.inventory.target import default_fleet
from ipsecfleet.inventory.values import parse_duration
from ipsecfleet.inventory.words import Selection

__all__ = [
    "InventoryError",
    "Selection",
    "default_fleet",
    "other_ends",
    "parse",
    "parse_duration",
    "pick",
    "resolve_gateways",
    "suggest",
]
