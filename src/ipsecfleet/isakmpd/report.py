r"""The daemon's own report of its SAs: what `S` on the FIFO leaves in isakmpd.result.

Source: sa.c (sa_dump_all and its helpers); transcripts a01 to d05. The file has no header, no count and no end mark:

    block     = name, ends, [lifetime], [soft], [hard], [kilobytes], flags, body, empty line
    body      = cookies (phase 1) | protocols, perhaps none (phase 2) | "<unknown phase>"
    protocol  = SPI 0 (out, the peer's), SPI 1 (in, ours), transform

What surprises: a blank ends every line of a 4-byte SPI. `unknown (5)` as authentication algorithm has no newline, so
the next line, also the empty one, is glued to it. An overdue hard timer reads `No hard timeout>`. A half-open phase 1
says Responder at both ends. The order of the blocks means nothing.

The groups of the two expressions below are taken in their order, by position: a report of a thousand SAs is read in
milliseconds.

A report is kept as its pieces, byte for byte: whole blocks, and rests that no block matches. A file that ends in a
rest was cut off, or is no report; one cut exactly between two blocks shows no trace of it, so completeness is proven
by the fence of the visit, never here.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache

from ipsecfleet.isakmpd.octets import text
from ipsecfleet.model.sa import Protocol, Role, Sa

_ALGORITHM = rb"HMAC-MD5|HMAC-SHA1|HMAC-RIPEMD-160|HMAC-SHA2-256|HMAC-SHA2-384|HMAC-SHA2-512|none"

_PROTOCOL = (
    rb"SPI 0(?:: (?P<out>[0-9a-f]{8} |[0-9a-f]{4})| not defined\.)\n"
    rb"SPI 1(?:: (?P<in>[0-9a-f]{8} |[0-9a-f]{4})| not defined\.)\n"
    rb"(?:Transform: IPsec (?P<transform>ESP|AH)\n"
    rb"(?:Encryption key length: (?:(?P<enc_key>[0-9]{1,10})|-[0-9]{1,10})|Encryption not used\.)\n"
    rb"Authentication key length: (?:(?P<auth_key>[0-9]{1,10})|-[0-9]{1,10})\n"
    rb"(?:Encryption algorithm: (?P<enc>[^\n]+)\n)?"
    rb"Authentication algorithm: (?:(?P<auth>" + _ALGORITHM + rb")\n|(?P<glued>unknown \(-?[0-9]{1,10}\)))"
    rb"|report_proto: invalid proto (?P<number>-?[0-9]{1,10})\n)"
)

_BLOCK = (
    rb"SA name: (?P<name>[^\n]*) \(Phase (?P<phase>-?[0-9]{1,10})(?:/(?P<role>Initiator|Responder))?\)\n"
    rb"(?:src: (?P<src>[^\n ]+) dst: (?P<dst>[^\n ]+)|<no transport>)\n"
    rb"(?:Lifetime: (?P<seconds>[0-9]{1,20}) seconds\n)?"
    rb"(?:Soft timeout in (?P<soft>[0-9]{1,20}) seconds\n|<no soft timeout>\n)?"
    rb"(?:Hard timeout in (?P<hard>[0-9]{1,20}) seconds\n|No hard timeout>\n)?"
    rb"(?:Lifetime: (?P<kilobytes>[0-9]{1,20}) kilobytes\n)?"
    rb"Flags 0x(?P<flags>[0-9a-f]{8})\n"
    rb"(?:icookie (?P<icookie>[0-9a-f]{16}) rcookie (?P<rcookie>[0-9a-f]{16})\n"
    rb"|<unknown phase>\n"
    rb"|(?P<protocols>(?:" + re.sub(rb"\?P<\w+>", rb"?:", _PROTOCOL) + rb")*))"
    rb"\n"
)

_one_protocol = re.compile(_PROTOCOL)
_one_block = re.compile(_BLOCK)
_next_start = re.compile(rb"^SA name: ", re.MULTILINE)

_UNNAMED = b"<unnamed>"
_ROLES = {b"Initiator": Role.INITIATOR, b"Responder": Role.RESPONDER, None: None}
_IPCOMP = 4


@dataclass(frozen=True, slots=True)
class Block:
    """One SA as it was written, and as it was read."""

    raw: bytes
    sa: Sa


@dataclass(frozen=True, slots=True)
class Rest:
    """Bytes that are no block: a block cut off, or foreign matter."""

    raw: bytes


@dataclass(frozen=True, slots=True)
class Report:
    """All pieces of one result file, in their order; nothing is lost."""

    blocks: tuple[Block | Rest, ...] = ()

    @property
    def complete(self) -> bool:
        """Whether the file ends where a block ends; the empty one says that there is no SA."""
        return not self.blocks or isinstance(self.blocks[-1], Block)

    @property
    def unparsed(self) -> tuple[bytes, ...]:
        return tuple(piece.raw for piece in self.blocks if isinstance(piece, Rest))

    @property
    def sas(self) -> tuple[Sa, ...]:
        return tuple(piece.sa for piece in self.blocks if isinstance(piece, Block))


def parse(data: bytes) -> Report:
    """Any bytes as a report; `render` gives the same bytes back."""
    return Report(tuple(_pieces(data)))


def render(report: Report) -> bytes:
    """The file as it was read."""
    return b"".join(piece.raw for piece in report.blocks)


def _pieces(data: bytes) -> Iterator[Block | Rest]:
    at = 0
    while at < len(data):
        if block := _one_block.match(data, at):
            yield Block(block[0], _sa(block))
            at = block.end()
        else:
            start = _next_start.search(data, at + 1)
            end = start.start() if start else len(data)
            yield Rest(data[at:end])
            at = end


def _sa(block: re.Match[bytes]) -> Sa:
    name, phase, role, src, dst, seconds, soft, hard, kilobytes, flags, icookie, rcookie, protocols = block.groups()
    return Sa(
        None if name == _UNNAMED else text(name),
        int(phase),
        _ROLES[role],
        _host(src),
        _host(dst),
        None if seconds is None else int(seconds),
        None if kilobytes is None else int(kilobytes),
        None if soft is None else int(soft),
        None if hard is None else int(hard),
        int(flags, 16),
        _word(icookie),
        _word(rcookie),
        tuple(map(_protocol, _one_protocol.finditer(protocols))) if protocols else (),
    )


def _protocol(found: re.Match[bytes]) -> Protocol:
    out, in_, transform, enc_key, auth_key, enc, auth, glued, number = found.groups()
    return Protocol(
        _transform(transform, number),
        None if out is None else int(out, 16),
        None if in_ is None else int(in_, 16),
        _word(enc),
        None if enc_key is None else int(enc_key),
        _word(auth or glued),
        None if auth_key is None else int(auth_key),
    )


@lru_cache(maxsize=64)
def _transform(word: bytes | None, number: bytes | None) -> str:
    if word:
        return text(word).lower()
    return "ipcomp" if int(number or 0) == _IPCOMP else f"unknown ({int(number or 0)})"


@lru_cache(maxsize=1 << 12)
def _word(raw: bytes | None) -> str | None:
    return None if raw is None else text(raw)


def _host(raw: bytes | None) -> str | None:
    return None if raw == b"<error>" else _word(raw)
