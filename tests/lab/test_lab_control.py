"""The lab's ear: rows of words over a unix socket, however deep the directory."""

import asyncio
from collections.abc import Sequence
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from ipsecfleet.lab.control import ask, decode, encode, listen


@given(st.lists(st.binary()))
def test_words_arrive_as_they_were_sent(words: list[bytes]) -> None:
    assert decode(encode(words)) == words


@given(st.binary())
def test_any_bytes_are_some_words(data: bytes) -> None:
    assert data.startswith(encode(decode(data)[:-1]))


def test_a_question_is_answered_from_a_deep_directory(tmp_path: Path) -> None:
    deep = tmp_path / ("d" * 100) / "lab.sock"
    deep.parent.mkdir()

    async def echo(words: list[bytes]) -> Sequence[bytes]:
        return [b"0", *words]

    async def talk() -> list[bytes]:
        server = await listen(deep, echo)
        async with server:
            return await asyncio.to_thread(ask, deep, "status", "two words", "")

    assert asyncio.run(talk()) == [b"0", b"status", b"two words", b""]
