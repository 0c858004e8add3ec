"""Durations in the spelling of Kubernetes people."""

from __future__ import annotations

from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from volary.common import durations


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("0s", 0), ("1s", 1), ("90s", 90), ("2m", 120), ("1h", 3600), ("1h30m", 5400), ("1h1s", 3601), ("01m", 60), ("99999h", 359_996_400)],
)
def test_parse(text: str, seconds: int) -> None:
    assert durations.parse(text) == timedelta(seconds=seconds)


@pytest.mark.parametrize("text", ["", "5", "s", "5 s", "1m5", "5s1m", "1.5m", "-5m", "500ms", "1d", "5m\n", "٣s", "1234567s"])
def test_what_is_no_duration(text: str) -> None:
    with pytest.raises(ValueError, match="30s, 2m or 1h30m"):
        durations.parse(text)


@pytest.mark.parametrize(
    ("seconds", "text"), [(0, "0s"), (59, "59s"), (60, "1m"), (5400, "1h30m"), (3601, "1h1s"), (-3, "0s"), (0.4, "0s")]
)
def test_show(seconds: float, text: str) -> None:
    assert durations.show(timedelta(seconds=seconds)) == text


@given(st.integers(0, 99_999 * 3600))
def test_round_trip(seconds: int) -> None:
    duration = timedelta(seconds=seconds)
    assert durations.parse(durations.show(duration)) == duration
