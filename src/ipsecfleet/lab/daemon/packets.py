"""What daemons say to each other: main mode in six messages, quick mode in three, and informational ones.

Nothing is encrypted; a pre-shared key travels as the proof that its owner knows it. `step` counts messages from one.
"""

from dataclasses import dataclass
from typing import Literal

from ipsecfleet.lab.daemon.proposals import Identity, Suite, Transform
from ipsecfleet.model.net import Selectors
from ipsecfleet.model.secret import Secret

Mode = Literal["main", "quick", "info"]


@dataclass(frozen=True, slots=True)
class Offer:
    """Main mode 1: the transforms the initiator accepts; 2: the one chosen."""

    transforms: tuple[Transform, ...]


@dataclass(frozen=True, slots=True)
class KeyShare:
    """Main mode 3 and 4."""


@dataclass(frozen=True, slots=True)
class Proof:
    """Main mode 5 and 6: who the sender is, and the key that proves it."""

    identity: Identity
    psk: Secret


@dataclass(frozen=True, slots=True)
class Proposal:
    """Quick mode 1 and 2: the suite, the sender's SPI, and the networks as the sender sees them."""

    suite: Suite
    spi: int
    selectors: Selectors


@dataclass(frozen=True, slots=True)
class Confirmation:
    """Quick mode 3."""


@dataclass(frozen=True, slots=True)
class DeleteSpi:
    """The phase 2 SA whose incoming SPI at the sender is `spi` is gone."""

    spi: int


@dataclass(frozen=True, slots=True)
class DeletePhase1:
    """The phase 1 SA of this packet's cookies is gone."""


@dataclass(frozen=True, slots=True)
class Probe:
    """Dead peer detection: R-U-THERE, or its ACK."""

    ack: bool


Body = Offer | KeyShare | Proof | Proposal | Confirmation | DeleteSpi | DeletePhase1 | Probe
NO_COOKIE = "0" * 16


@dataclass(frozen=True, slots=True)
class Packet:
    """One datagram between two IKE addresses."""

    src: str
    dst: str
    mode: Mode
    step: int
    icookie: str
    rcookie: str
    msgid: int
    body: Body

    @property
    def cookies(self) -> tuple[str, str]:
        return self.icookie, self.rcookie
