"""Simulated gateways on loopback: a faithful isakmpd with a real FIFO behind a real SSH server."""

from ipsecfleet.lab.api import LabInfo, advance, down, fault, faults, status, up

__all__ = ["LabInfo", "advance", "down", "fault", "faults", "status", "up"]
