"""Every recorded capture, replayed: the simulator shows what the real daemon showed. There is no list of exceptions."""

from collections import Counter

import pytest
from checks import CHECKS
from comparison import Correspondence
from replay import replay
from transcript import CAPTURES

NAMES = sorted(path.name for path in CAPTURES.iterdir())


@pytest.mark.parametrize("name", NAMES)
def test_capture_replays_without_deviation(name: str) -> None:
    done, numbers = replay(name), Correspondence()
    verdicts = [(check.__name__, verdict) for check in CHECKS for verdict in check(done, numbers)]
    compared = Counter(check for check, _ in verdicts)
    print(f"{name}: compared {dict(compared)}")  # noqa: T201  how much was compared is part of the proof
    assert [f"{check}: {why}" for check, why in verdicts if why is not None] == []
    assert compared.total() > 0


def test_all_captures_are_there() -> None:
    assert len(NAMES) == 52
