"""Transforms, lifetimes, SPIs, keys: what an ipsec.conf says of the cryptography, and means where it says nothing.

Source: authxfs, encxfs, compxfs, groupxfs, parse_xf, parse_life, atospi and parsekey in parse.y of sbin/ipsecctl;
ike_section_p1 and ike_section_p2 in ike.c. A word means the first name of its table that begins with it, so `aes-` is aes-128, and `modp1`
is modp1024.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass

_GROUPS = {
    "none": "none",
    "modp768": "grp1",
    "modp1024": "grp2",
    "modp1536": "grp5",
    "modp2048": "grp14",
    "modp3072": "grp15",
    "modp4096": "grp16",
    "modp6144": "grp17",
    "modp8192": "grp18",
    "ecp256": "grp19",
    "ecp384": "grp20",
    "ecp521": "grp21",
    "ecp192": "grp25",
    "ecp224": "grp26",
    "bp224": "grp27",
    "bp256": "grp28",
    "bp384": "grp29",
    "bp512": "grp30",
}
_GROUP_BY_NUMBER = {number: name for name, number in _GROUPS.items()}
_COUNTER_MODES = ("aes-128-{}", "aes-192-{}", "aes-256-{}")
_AUTHENTICATING = (*(name.format(mode) for mode in ("gcm", "gmac") for name in _COUNTER_MODES), "chacha20-poly1305")
_TABLES = {
    "auth": ("none", "hmac-md5", "hmac-ripemd160", "hmac-sha1", "hmac-sha2-256", "hmac-sha2-384", "hmac-sha2-512"),
    "enc": (
        *("none", "3des-cbc", "aes", "aes-128", "aes-192", "aes-256", "aesctr"),
        *(name.format("ctr") for name in _COUNTER_MODES),
        *_AUTHENTICATING[:-1],
        *("blowfish", "cast128", _AUTHENTICATING[-1], "null"),
    ),
    "comp": ("deflate",),
    "group": tuple(name for pair in _GROUPS.items() for name in pair),
}
KINDS = tuple(_TABLES)

_life = re.compile(r"\s*([+-]?\d{1,9})(.?)", re.ASCII | re.DOTALL)
_UNITS = {"": 1, "m": 60, "h": 3600}
_spi = re.compile(r"0[xX](?P<hex>[0-9A-Fa-f]{1,16})|(?P<oct>0[0-7]{0,22})|(?P<dec>[1-9][0-9]{0,19})")
_BASES = {"hex": 16, "oct": 8, "dec": 10}
_key = re.compile(r"(?:0x)?(?:[0-9A-Fa-f]{2})*.?", re.DOTALL)


@dataclass(frozen=True, slots=True)
class Proposal:
    """The transform of a phase, with ipsecctl's defaults; None where none applies, or the lifetime is isakmpd's."""

    auth: str | None
    enc: str | None
    group: str
    lifetime_s: int | None = None


def find_transform(kind: str, word: str) -> str | None:
    """The transform of that kind that a word means; groups by name, not by number."""
    found = next((name for name in _TABLES[kind] if name.startswith(word)), None)
    return _GROUP_BY_NUMBER.get(found, found) if found is not None else None


def parse_lifetime(word: str) -> int:
    """The seconds of `3600`, `30m` or `2h`; ValueError in the words of ipsecctl, which knows no other unit."""
    match = _life.match(word)
    if match is None:
        raise ValueError(f"invalid time specification: {word}")
    factor = _UNITS.get(match[2].lower())
    if factor is None:
        raise ValueError("invalid time unit")
    return int(match[1]) * factor


def main_mode(chosen: Mapping[str, str], lifetime_s: int | None) -> Proposal:
    """Phase 1 from what was chosen of each kind."""
    auth, enc = chosen.get("auth", "hmac-sha1"), chosen.get("enc", "aes")
    return Proposal(auth, enc, chosen.get("group", "modp3072"), lifetime_s)


def quick_mode(chosen: Mapping[str, str], lifetime_s: int | None, satype: str) -> Proposal:
    """Phase 2 from what was chosen of each kind; ValueError in the words of ipsecctl."""
    if satype not in {"esp", "ah"}:
        raise ValueError(f"illegal satype {satype}")
    enc = None if satype == "ah" else chosen.get("enc", "aes")
    if enc in _AUTHENTICATING and "auth" in chosen:
        raise ValueError(f"authentication is implicit for {enc}")
    auth = None if enc in {*_AUTHENTICATING, "null"} else chosen.get("auth", "hmac-sha2-256")
    return Proposal(auth, enc, chosen.get("group", "modp3072"), lifetime_s)


def parse_spi(text: str) -> int:
    """The SPI as strtoul(3) reads it; 0 is none; ValueError in the words of ipsecctl."""
    match = _spi.fullmatch(text)
    spi = int(match[match.lastgroup], _BASES[match.lastgroup]) if match and match.lastgroup else None
    if spi is None or spi > 0xFFFFFFFF:
        raise ValueError(f"{text} not a valid spi")
    if 1 <= spi <= 255:
        raise ValueError(f"{spi} within reserved spi range")
    return spi


def check_keys(text: str) -> None:
    """Refuse a key, or one for each direction, that is not hexadecimal; ValueError in the words of ipsecctl."""
    if not all(_key.fullmatch(key) for key in text.split(":", 1)):
        raise ValueError("keys need to be specified in hex digits")
