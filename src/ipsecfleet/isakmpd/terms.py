"""On which terms a phase 1 is negotiated: its transforms, its identities, its key as a hash; and why two do not meet.

Source: ike_phase_1.c (attribute_unacceptable), isakmpd.md 10, ipsecctl.md 8. A responder takes the first transform on
offer that fits one of its own: four attributes must be equal, the key's length and the lifetime within what is accepted.
They are compared in the order in which the daemon does, which tells of the first one only that does not fit.
A side without an identity of its own goes by its address; one that expects none takes any.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import product

from ipsecfleet.isakmpd.status import Sections

EXACT = ("ENCRYPTION_ALGORITHM", "HASH_ALGORITHM", "AUTHENTICATION_METHOD", "GROUP_DESCRIPTION")
RANGED = ("LIFE_DURATION", "KEY_LENGTH")

_BUILT_IN_LIFE = {"life_main_mode": "3600,60:86400"}

Transform = Mapping[str, str]
"""The attributes of one transform, as they are configured."""


@dataclass(frozen=True, slots=True)
class Objection:
    """The first attribute that does not fit: what is offered, and what is accepted."""

    attribute: str
    offered: str
    accepted: str


@dataclass(frozen=True, slots=True)
class Terms:
    """The terms of one phase 1; `key` is a hash, `own_id` and `expected_id` are None where the address is meant.

    `local_address` is the one that a conf names, if one does.
    """

    phase1: str
    transforms: tuple[Transform, ...] = ()
    own_id: str | None = None
    expected_id: str | None = None
    key: str | None = None
    local_address: str | None = None

    def objections(self, offer: "Terms") -> tuple[Objection, ...]:
        """Why none of the transforms on offer fits one of these; empty if one does, or where either side is not known."""
        if not self.transforms or not offer.transforms:
            return ()
        found = [_objection(theirs, ours) for theirs, ours in product(offer.transforms, self.transforms)]
        return () if None in found else tuple(dict.fromkeys(filter(None, found)))


def terms_of(sections: Sections, phase1: str, keys: Mapping[str, str] | None = None) -> Terms:
    """What a daemon's configuration, or a conf file, has for a phase 1; `keys` are hashes by section in lower case."""
    policy = sections.get(phase1, "Configuration")
    names = (sections.get(policy, "Transforms") or "").split(",") if policy else []
    return Terms(
        phase1,
        tuple(filter(None, (_transform(sections, name) for name in names if name))),
        _identity(sections, sections.get(phase1, "ID")),
        _identity(sections, sections.get(phase1, "Remote-ID")),
        (keys or {}).get(phase1.lower()),
        sections.get(phase1, "Local-address"),
    )


def _transform(sections: Sections, name: str) -> Transform:
    found = {tag: sections.get(name, tag) for tag in (*EXACT, "KEY_LENGTH")}
    life = sections.get(name, "Life")
    found["LIFE_DURATION"] = sections.get(life, "LIFE_DURATION") or _BUILT_IN_LIFE.get(life.lower()) if life else None
    return {tag: value for tag, value in found.items() if value is not None}


def _identity(sections: Sections, section: str | None) -> str | None:
    if section is None:
        return None
    network = sections.get(section, "Network")
    return sections.get(section, "Name") or sections.get(section, "Address") or network or section


def _objection(offered: Transform, accepted: Transform) -> Objection | None:
    for tag in EXACT:
        if offered.get(tag) != accepted.get(tag):
            return Objection(tag, offered.get(tag, "none"), accepted.get(tag, "none"))
    for tag in RANGED:
        there, here = offered.get(tag), accepted.get(tag)
        if there is not None and here is not None and not _within(there, here):
            return Objection(tag, there.partition(",")[0], here)
    return None


def _within(offered: str, accepted: str) -> bool:
    """Whether the number on offer, `3600` or `3600,60:86400`, is one that is accepted; an unknown form is not judged."""
    number, _, limits = accepted.partition(",")
    least, _, most = (limits or f"{number}:{number}").partition(":")
    words = (offered.partition(",")[0], least, most or least)
    if not all(word.isdecimal() for word in words):
        return True
    wanted, low, high = map(int, words)
    return low <= wanted <= high
