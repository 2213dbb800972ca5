"""What is negotiated: phase 1 transforms, phase 2 suites, identities and networks, read from the configuration.

As responder the daemon compares phase 1 strictly with its own transforms (ike_phase_1.c, attribute_unacceptable) but,
under -K, copies any phase 2 suite of the initiator. Costs are seconds of one Diffie-Hellman operation with exponents
of full length, as measured on an EPYC core.
"""

from dataclasses import dataclass
from ipaddress import ip_address

from ipsecfleet.lab.daemon.config import Config
from ipsecfleet.model.net import Selector, Selectors, parse_network

DH_SECONDS = {
    "MODP_768": 0.00015, "MODP_1024": 0.00029, "MODP_1536": 0.0009, "MODP_2048": 0.002, "MODP_3072": 0.0063,
    "MODP_4096": 0.0149, "MODP_6144": 0.049, "MODP_8192": 0.119,
    "ECP_192": 0.0001, "ECP_224": 0.0001, "ECP_256": 0.0001, "ECP_384": 0.0012, "ECP_521": 0.0006,
    "BP_224": 0.0006, "BP_256": 0.0008, "BP_384": 0.0016, "BP_512": 0.003,
}  # fmt: skip
"""Seconds of one operation by group; a phase 1, and a phase 2 with PFS, take two at each end."""

LIFE_MAIN_MODE = "3600,60:86400"
LIFE_QUICK_MODE = "1200,60:86400"
_MODES = {"TUNNEL": "tunnel", "TRANSPORT": "transport"}
_AUTH = {
    "HMAC_MD5": ("HMAC-MD5", "hmac-md5", 16),
    "HMAC_SHA": ("HMAC-SHA1", "hmac-sha1", 20),
    "HMAC_RIPEMD": ("HMAC-RIPEMD-160", "hmac-ripemd160", 20),
    "HMAC_SHA2_256": ("HMAC-SHA2-256", "hmac-sha2-256", 32),
    "HMAC_SHA2_384": ("HMAC-SHA2-384", "hmac-sha2-384", 48),
    "HMAC_SHA2_512": ("HMAC-SHA2-512", "hmac-sha2-512", 64),
}
_AH_AUTH = {"MD5": "HMAC_MD5", "SHA": "HMAC_SHA", "RIPEMD": "HMAC_RIPEMD"}
_ENC = {
    "3DES": ("3DES", 192, 0),
    "AES": ("AES (CBC)", 128, 0),
    "AES_CTR": ("AES (CTR)", 128, 4),
    "AES_GCM_16": ("AES (GCM)", 128, 4),
    "AES_GMAC": ("AES (GMAC)", 128, 4),
    "BLOWFISH": ("Blowfish", 128, 0),
    "CAST": ("Cast-128", 128, 0),
    "NULL": ("unknown (11)", 0, 0),
}


@dataclass(frozen=True, slots=True)
class Span:
    """A number on offer and the range accepted: `128,128:256`, or one exact number."""

    offer: int
    least: int
    most: int

    @classmethod
    def parse(cls, text: str) -> "Span":
        offer, _, limits = text.partition(",")
        least, _, most = (limits or f"{offer}:{offer}").partition(":")
        return cls(_number(offer), _number(least), _number(most or least))

    def accepts(self, number: int) -> bool:
        return self.least <= number <= self.most

    def __str__(self) -> str:
        exact = self.offer == self.least == self.most
        return f"{self.offer}" if exact else f"{self.offer},{self.least}:{self.most}"


@dataclass(frozen=True, slots=True)
class Transform:
    """A phase 1 transform: attributes that must be equal, and two that must be within a range."""

    exact: tuple[tuple[str, str], ...]
    key_length: Span | None
    life: Span

    @property
    def group(self) -> str:
        return dict(self.exact)["GROUP_DESCRIPTION"]

    def objection(self, offered: "Transform") -> str | None:
        """What `attribute_unacceptable` says of an offer, or None if it is acceptable."""
        for (tag, expected), (_, got) in zip(self.exact, offered.exact, strict=True):
            if got != expected:
                return f"{tag}: got {got}, expected {expected}"
        if not self.life.accepts(offered.life.offer):
            return f"LIFE_DURATION: got {offered.life.offer},  expected {self.life}"
        if self.key_length and offered.key_length and not self.key_length.accepts(offered.key_length.offer):
            return f"KEY_LENGTH: got {offered.key_length.offer}, expected {self.key_length.offer}"
        return None


@dataclass(frozen=True, slots=True)
class Suite:
    """A phase 2 suite of one protocol, `esp` or `ah`; lifetime in seconds, keys in bytes."""

    protocol: str
    mode: str
    enc: str | None
    enc_bits: int
    auth: str | None
    group: str | None
    lifetime: int

    @property
    def enc_title(self) -> str:
        return _ENC[self.enc or ""][0] if self.enc in _ENC else "unknown (0)"

    @property
    def enc_bytes(self) -> int:
        return self.enc_bits // 8 + (_ENC[self.enc][2] if self.enc in _ENC else 0)

    @property
    def auth_title(self) -> str:
        return _AUTH[self.auth][0] if self.auth in _AUTH else "none"

    @property
    def auth_bytes(self) -> int:
        return _AUTH[self.auth][2] if self.auth in _AUTH else 0

    @property
    def kernel_auth(self) -> str | None:
        return _AUTH[self.auth][1] if self.auth in _AUTH else None

    @property
    def kernel_enc(self) -> str | None:
        """The cipher as ipsecctl(8) names it: `aes` is 128 bits."""
        match self.enc:
            case "AES":
                return "aes" if self.enc_bits == 128 else f"aes-{self.enc_bits}"
            case "AES_CTR":
                return "aesctr" if self.enc_bits == 128 else f"aes-{self.enc_bits}-ctr"
            case "AES_GCM_16" | "AES_GMAC":
                return f"aes-{self.enc_bits}-{self.enc.split('_')[1].lower()}"
            case "3DES" | "CAST":
                return {"3DES": "3des-cbc", "CAST": "cast128"}[self.enc]
        return self.enc.lower() if self.enc else None


@dataclass(frozen=True, slots=True)
class Identity:
    """A phase 1 identity: an address, or a name."""

    text: str

    def __str__(self) -> str:
        """As a flow shows it: an address with its full length, a name bare."""
        try:
            return f"{self.text}/{ip_address(self.text).max_prefixlen}"
        except ValueError:
            return self.text


def id_text(selector: Selector) -> str:
    """A phase 2 identity as log and report show it: an address, or network and mask."""
    net = selector.net
    return str(net.network_address) if net.prefixlen == net.max_prefixlen else f"{net.network_address}/{net.netmask}"


def phase1_transforms(config: Config, peer: str) -> tuple[Transform, ...]:
    """The transforms of the phase 1 section `peer`; the built-in one where it has none."""
    section = config.get(peer, "Configuration") or ""
    names = config.items(section, "Transforms")
    return tuple(_transform(config, name) for name in names) or (_transform(config, ""),)


def phase2_suite(config: Config, connection: str) -> Suite:
    """The suite that the connection proposes."""
    section = config.get(connection, "Configuration") or ""
    suite = config.get(section, "Suites") or ""
    protocol = config.get(suite, "Protocols") or ""
    name = config.get(protocol, "Transforms") or ""
    ah = config.get(protocol, "PROTOCOL_ID") == "IPSEC_AH"
    transform = config.get(name, "TRANSFORM_ID") or "3DES"
    auth = config.get(name, "AUTHENTICATION_ALGORITHM")
    enc = None if ah else transform
    return Suite(
        protocol="ah" if ah else "esp",
        mode=_MODES.get(config.get(name, "ENCAPSULATION_MODE") or "", "tunnel"),
        enc=enc,
        enc_bits=_key_bits(config, name, enc),
        auth=auth or (_AH_AUTH.get(transform, f"HMAC_{transform}") if ah else None),
        group=config.get(name, "GROUP_DESCRIPTION"),
        lifetime=_life(config, name, LIFE_QUICK_MODE).offer,
    )


def selectors(config: Config, connection: str) -> Selectors | None:
    """The networks of a connection, or None where an ID is missing or makes no sense."""
    local = _selector(config, config.get(connection, "Local-ID"))
    remote = _selector(config, config.get(connection, "Remote-ID"))
    return Selectors(local, remote) if local and remote else None


def own_identity(config: Config, peer: str, address: str) -> Identity:
    """Who we say we are: what the peer's section has as `ID`, else our address."""
    return expected_identity(config, peer, "ID") or Identity(address)


def expected_identity(config: Config, peer: str, tag: str = "Remote-ID") -> Identity | None:
    """Who the peer has to be, or None where anybody may."""
    section = config.get(peer, tag)
    if section is None:
        return None
    text = config.get(section, "Name") or config.get(section, "Address")
    return Identity(text) if text else None


def _transform(config: Config, name: str) -> Transform:
    built_in = {
        "ENCRYPTION_ALGORITHM": "3DES_CBC",
        "HASH_ALGORITHM": "SHA",
        "AUTHENTICATION_METHOD": "PRE_SHARED",
        "GROUP_DESCRIPTION": "MODP_1024",
    }
    exact = tuple((tag, config.get(name, tag) or default) for tag, default in built_in.items())
    length = config.get(name, "KEY_LENGTH")
    return Transform(exact, Span.parse(length) if length else None, _life(config, name, LIFE_MAIN_MODE))


def _life(config: Config, transform: str, default: str) -> Span:
    section = config.get(transform, "Life") or ""
    return Span.parse(config.get(section, "LIFE_DURATION") or default)


def _key_bits(config: Config, transform: str, enc: str | None) -> int:
    if enc is None:
        return 0
    length = config.get(transform, "KEY_LENGTH")
    return Span.parse(length).offer if length else _ENC.get(enc, ("", 0, 0))[1]


def _selector(config: Config, section: str | None) -> Selector | None:
    if section is None:
        return None
    address = config.get(section, "Address")
    network = config.get(section, "Network")
    text = address or _with_mask(network or "", config.get(section, "Netmask") or "")
    net = parse_network(text)
    if net is None:
        return None
    return Selector(net, config.number(section, "Protocol", 0), config.number(section, "Port", 0))


def _with_mask(network: str, mask: str) -> str:
    if ":" not in mask:
        return f"{network}/{mask}"
    try:
        return f"{network}/{int(ip_address(mask)).bit_count()}"
    except ValueError:
        return ""


def _number(text: str) -> int:
    return int(text) if text.isdecimal() else 0
