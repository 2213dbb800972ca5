"""The daemon's answer to `S`, byte for byte (isakmpd sa.c, sa_dump_all).

A half-open SA is unnamed, has no lifetimes, and calls itself Responder whoever began; an initiator that has heard
nothing yet shows no transport. A half-open phase 2 shows its own SPI at the initiator, and nothing at all at a
responder that refused it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

    from ipsecfleet.lab.daemon.proposals import Suite
    from ipsecfleet.lab.daemon.sas import Sa


def render_report(sas: Iterable[Sa], now: float) -> bytes:
    """All SAs, a blank line after each; nothing at all if there is none."""
    return "".join(_block(sa, now) + "\n" for sa in sas).encode("latin-1")


def _block(sa: Sa, now: float) -> str:
    name = sa.name or "<unnamed>"
    role = ("1/Initiator" if sa.initiator else "1/Responder") if sa.phase == 1 else "2"
    transport = f"src: {sa.local} dst: {sa.remote}" if sa.heard else "<no transport>"
    lines = [f"SA name: {name} (Phase {role})", transport, *_times(sa, now), f"Flags 0x{sa.flags:08x}"]
    body = [f"icookie {sa.icookie} rcookie {sa.rcookie}"] if sa.phase == 1 else _phase2(sa)
    return "".join(f"{line}\n" for line in lines + body)


def _times(sa: Sa, now: float) -> list[str]:
    lines = [f"Lifetime: {sa.lifetime} seconds"] if sa.lifetime else []
    if sa.soft:
        left = sa.soft.due - now
        lines.append(f"Soft timeout in {int(left)} seconds" if left >= 0 else "<no soft timeout>")
    if sa.hard:
        left = sa.hard.due - now
        lines.append(f"Hard timeout in {int(left)} seconds" if left >= 0 else "No hard timeout>")
    return lines


def _phase2(sa: Sa) -> list[str]:
    if sa.suite is None:
        return []
    spis = [
        f"SPI {index} not defined." if spi is None else f"SPI {index}: {spi:08x} "
        for index, spi in enumerate((sa.spi_out, sa.spi_in))
    ]
    return spis + (_ah(sa.suite, sa) if sa.suite.protocol == "ah" else _esp(sa.suite, sa))


def _esp(suite: Suite, sa: Sa) -> list[str]:
    known = sa.ready
    return [
        "Transform: IPsec ESP",
        f"Encryption key length: {suite.enc_bytes if known else 0}",
        f"Authentication key length: {suite.auth_bytes if known else 0}",
        f"Encryption algorithm: {suite.enc_title if known else 'unknown (0)'}",
        f"Authentication algorithm: {suite.auth_title if known else 'none'}",
    ]


def _ah(suite: Suite, sa: Sa) -> list[str]:
    return [
        "Transform: IPsec AH",
        "Encryption not used.",
        f"Authentication key length: {suite.auth_bytes if sa.ready else -1}",
        f"Authentication algorithm: {suite.auth_title if sa.ready else 'unknown (0)'}",
    ]
