"""The pipes of child processes that asyncio types as optional."""

import asyncio
from typing import TypeVar

Pipe = TypeVar("Pipe", asyncio.StreamReader, asyncio.StreamWriter)


def pipe(stream: Pipe | None) -> Pipe:
    """A pipe that was asked for."""
    if stream is None:
        raise AssertionError("a process was started without its pipes")
    return stream
