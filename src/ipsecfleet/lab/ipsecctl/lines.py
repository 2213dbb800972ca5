"""The FIFO lines of one `ike` rule: what `-f` writes, and the four of `-d` (ipsecctl ike.c)."""

from collections.abc import Iterator
from ipaddress import ip_address, ip_network

from ipsecfleet.lab.ipsecctl.rules import Host, IkeRule, Transforms

_HASHES = {
    "hmac-md5": "MD5", "hmac-ripemd160": "RIPEMD", "hmac-sha1": "SHA",
    "hmac-sha2-256": "SHA2_256", "hmac-sha2-384": "SHA2_384", "hmac-sha2-512": "SHA2_512",
}  # fmt: skip
_GROUPS = {
    "modp768": "MODP_768", "modp1024": "MODP_1024", "modp1536": "MODP_1536", "modp2048": "MODP_2048",
    "modp3072": "MODP_3072", "modp4096": "MODP_4096", "modp6144": "MODP_6144", "modp8192": "MODP_8192",
    "ecp256": "ECP_256", "ecp384": "ECP_384", "ecp521": "ECP_521", "ecp192": "ECP_192", "ecp224": "ECP_224",
    "bp224": "BP_224", "bp256": "BP_256", "bp384": "BP_384", "bp512": "BP_512",
    "grp1": "MODP_768", "grp2": "MODP_1024", "grp5": "MODP_1536", "grp14": "MODP_2048", "grp15": "MODP_3072",
    "grp16": "MODP_4096", "grp17": "MODP_6144", "grp18": "MODP_8192", "grp19": "ECP_256", "grp20": "ECP_384",
    "grp21": "ECP_521", "grp25": "ECP_192", "grp26": "ECP_224", "grp27": "BP_224", "grp28": "BP_256",
    "grp29": "BP_384", "grp30": "BP_512",
}  # fmt: skip
_CIPHERS = {
    "3des": ("3DES", ""), "3des-cbc": ("3DES", ""), "cast128": ("CAST", ""), "null": ("NULL", ""),
    "blowfish": ("BLOWFISH", "128,96:192"), "aes": ("AES", "128,128:256"), "aesctr": ("AES_CTR", "128,128:128"),
    **{f"aes-{bits}": ("AES", f"{bits},{bits}:{bits}") for bits in (128, 192, 256)},
    **{f"aes-{bits}-ctr": ("AES_CTR", f"{bits},{bits}:{bits}") for bits in (128, 192, 256)},
    **{f"aes-{bits}-gcm": ("AES_GCM_16", f"{bits},{bits}:{bits}") for bits in (128, 192, 256)},
    **{f"aes-{bits}-gmac": ("AES_GMAC", f"{bits},{bits}:{bits}") for bits in (128, 192, 256)},
}  # fmt: skip
_WITHOUT_AUTH = ("AES_GCM_16", "AES_GMAC", "NULL")


def phase1_name(rule: IkeRule) -> str:
    """`peer-ADDR`, with `-local-ADDR` where the rule has one; `peer-default` without a peer."""
    if rule.peer is None:
        return "peer-default"
    return f"peer-{rule.peer}-local-{rule.local}" if rule.local else f"peer-{rule.peer}"


def connection_name(rule: IkeRule) -> str:
    """`from-A-to-B`, with protocol and ports."""
    return f"{_end_name('from', rule.source, rule.proto)}-{_end_name('to', rule.destination, rule.proto)}"


def load_lines(rule: IkeRule) -> list[str]:
    """What `ipsecctl -f` writes to the FIFO, without newlines."""
    return [*_general(rule), *_phase1(rule), *_phase2(rule), *_ends(rule), f"C add {_listed(rule)}"]


def unload_lines(rule: IkeRule) -> list[str]:
    """What `ipsecctl -d -f` writes."""
    name = connection_name(rule)
    return [f"t {name}", f"C rmv {_listed(rule)}", f"C rms [{name}]", f"C rms [phase2-{name}]"]


def _set(section: str, tag: str, value: object) -> str:
    return f"C set [{section}]:{tag}={value} force"


def _listed(rule: IkeRule) -> str:
    passive = "Passive-" if rule.mode == "passive" else ""
    return f"[Phase 2]:{passive}Connections={connection_name(rule)}"


def _end_name(word: str, host: Host, proto: int) -> str:
    return f"{word}-{host.text}" + (f"={proto}" if proto else "") + (f":{host.port}" if host.port else "")


def _general(rule: IkeRule) -> Iterator[str]:
    if rule.mode == "dynamic":
        yield _set("General", "Check-interval", 30)
        yield _set("General", "DPD-check-interval", 5)


def _phase1(rule: IkeRule) -> Iterator[str]:
    name = phase1_name(rule)
    yield _set("Phase 1", rule.peer or "Default", name)
    yield _set(name, "Phase", 1)
    if rule.peer:
        yield _set(name, "Address", rule.peer)
    if rule.local:
        yield _set(name, "Local-address", rule.local)
    if rule.psk is not None:
        yield _set(name, "Authentication", rule.psk.reveal())
    yield _set(name, "Configuration", f"phase1-{name}")
    yield _set(f"phase1-{name}", "EXCHANGE_TYPE", "AGGRESSIVE" if rule.aggressive else "ID_PROT")
    yield from _phase1_transform(rule, name)
    yield from _identity(name, "ID", rule.srcid)
    yield from _identity(name, "Remote-ID", rule.dstid)


def _phase1_transform(rule: IkeRule, name: str) -> Iterator[str]:
    method = "RSA_SIG" if rule.psk is None else "PRE_SHARED"
    digest = _HASHES[rule.main.auth or "hmac-sha1"]
    cipher, length = _CIPHERS[rule.main.enc or "aes"]
    group = _GROUPS[rule.main.group or "modp3072"]
    transform = f"phase1-transform-{name}-{method}-{digest}-{cipher}{_bits(length)}-{group}"
    yield f"C add [phase1-{name}]:Transforms={transform} force"
    yield _set(transform, "AUTHENTICATION_METHOD", method)
    yield _set(transform, "HASH_ALGORITHM", digest)
    yield _set(transform, "ENCRYPTION_ALGORITHM", f"{cipher}_CBC")
    if length:
        yield _set(transform, "KEY_LENGTH", length)
    yield _set(transform, "GROUP_DESCRIPTION", group)
    yield from _life(transform, rule.main, "LIFE_MAIN_MODE")


def _identity(peer: str, tag: str, identity: str | None) -> Iterator[str]:
    if identity is None:
        return
    kind, value = _identity_type(identity)
    yield _set(peer, tag, f"id-{identity}")
    yield _set(f"id-{identity}", "ID-type", kind)
    yield _set(f"id-{identity}", value, identity)


def _identity_type(identity: str) -> tuple[str, str]:
    try:
        return f"IPV{ip_address(identity).version}_ADDR", "Address"
    except ValueError:
        return ("USER_FQDN" if "@" in identity else "FQDN"), "Name"


def _phase2(rule: IkeRule) -> Iterator[str]:
    name = connection_name(rule)
    transform, attributes = _phase2_transform(rule, name)
    yield _set(name, "Phase", 2)
    yield _set(name, "ISAKMP-peer", phase1_name(rule))
    yield _set(name, "Configuration", f"phase2-{name}")
    yield _set(name, "Local-ID", _end_name("from", rule.source, rule.proto))
    yield _set(name, "Remote-ID", _end_name("to", rule.destination, rule.proto))
    if rule.tag:
        yield _set(name, "PF-Tag", rule.tag)
    yield _set(f"phase2-{name}", "EXCHANGE_TYPE", "QUICK_MODE")
    yield _set(f"phase2-{name}", "Suites", f"phase2-suite-{name}")
    yield _set(f"phase2-suite-{name}", "Protocols", f"phase2-protocol-{name}")
    yield _set(f"phase2-protocol-{name}", "PROTOCOL_ID", f"IPSEC_{rule.protocol.upper()}")
    yield _set(f"phase2-protocol-{name}", "Transforms", transform)
    yield from attributes


def _phase2_transform(rule: IkeRule, name: str) -> tuple[str, list[str]]:
    ah = rule.protocol == "ah"
    cipher, length = ("", "") if ah else _CIPHERS[rule.quick.enc or "aes"]
    bare = cipher in _WITHOUT_AUTH or rule.quick.auth == "none"
    digest = "" if bare and not ah else _HASHES[rule.quick.auth or "hmac-sha2-256"]
    group = "" if rule.quick.group == "none" else _GROUPS[rule.quick.group or "modp3072"]
    mode = "TUNNEL" if rule.tunnel else "TRANSPORT"
    parts = (f"{cipher}{_bits(length)}" or "NONE", digest or "NONE", group or "NONE", mode)
    transform = f"phase2-transform-{name}-{'-'.join(parts)}"
    attributes = {
        "TRANSFORM_ID": cipher or digest,
        "KEY_LENGTH": length,
        "ENCAPSULATION_MODE": mode,
        "AUTHENTICATION_ALGORITHM": f"HMAC_{digest}" if digest else "",
        "GROUP_DESCRIPTION": group,
    }
    lines = [_set(transform, tag, value) for tag, value in attributes.items() if value]
    return transform, lines + list(_life(transform, rule.quick, "LIFE_QUICK_MODE"))


def _life(transform: str, transforms: Transforms, default: str) -> Iterator[str]:
    if transforms.lifetime is None:
        yield _set(transform, "Life", default)
        return
    yield _set(transform, "Life", f"{transform}-life")
    yield _set(f"{transform}-life", "LIFE_TYPE", "SECONDS")
    yield _set(f"{transform}-life", "LIFE_DURATION", transforms.lifetime)


def _bits(length: str) -> str:
    return length.partition(",")[0]


def _ends(rule: IkeRule) -> Iterator[str]:
    ends = (("from", rule.source), ("to", rule.destination))
    names = [_end_name(word, host, rule.proto) for word, host in ends]
    for name, (_, host) in zip(names, ends, strict=True):
        yield from _end(name, host)
    if rule.proto:
        yield from (_set(name, "Protocol", rule.proto) for name in names)
    yield from (_set(name, "Port", host.port) for name, (_, host) in zip(names, ends, strict=True) if host.port)


def _end(name: str, host: Host) -> Iterator[str]:
    version = 6 if host.v6 else 4
    if not host.is_network:
        yield _set(name, "ID-type", f"IPV{version}_ADDR")
        yield _set(name, "Address", host.text)
        return
    address, _, length = host.text.partition("/")
    mask = ip_network(f"{address}/{length}", strict=False).netmask
    yield _set(name, "ID-type", f"IPV{version}_ADDR_SUBNET")
    yield _set(name, "Network", address)
    yield _set(name, "Netmask", mask)
