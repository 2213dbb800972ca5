"""What a gateway wrote is bytes of any kind: text here is UTF-8 with every other byte kept as a surrogate escape."""


def text(raw: bytes) -> str:
    """The bytes as text; `octets` gives the same bytes back."""
    return raw.decode("utf-8", "surrogateescape")


def octets(written: str) -> bytes:
    """The bytes that `text` was made of."""
    return written.encode("utf-8", "surrogateescape")


def lines(raw: bytes) -> list[str]:
    """The lines without their newlines; only a newline ends one, and the last may be empty."""
    return text(raw).split("\n")
