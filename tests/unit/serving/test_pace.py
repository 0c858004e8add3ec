"""Which requests run in the event loop."""

import pytest

from volary.serving.pace import QUICK, SLOW, Pace

_QUICK = QUICK / 2
_HICCUP = (QUICK + SLOW) / 2
_SLOW = SLOW * 2


@pytest.mark.parametrize(
    ("history", "quick", "not_quick"),
    [
        ([], [], [0, 100]),
        ([(100, _QUICK)], [0, 100], [101]),
        ([(100, _QUICK), (50, _QUICK)], [100], [101]),
        ([(100, _QUICK), (100, _HICCUP)], [99], [100]),
        ([(100, _QUICK), (100, _HICCUP), (100, _QUICK)], [100], [101]),
        ([(100, _SLOW), (100, _QUICK)], [99], [100]),
        ([(100, _SLOW), (200, _QUICK)], [99], [100, 200]),
    ],
)
def test_learns(history: list[tuple[int, float]], quick: list[int], not_quick: list[int]) -> None:
    pace = Pace()
    for size, seconds in history:
        pace.learn(size, seconds)
    assert [size for size in (*quick, *not_quick) if pace.is_quick(size)] == quick
