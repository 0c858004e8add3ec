"""Termination messages: what is written is read, and nothing is too long for the kubelet."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from volary.common import outcome
from volary.common.outcome import Outcome, Tensor
from volary.common.reasons import Reason


@given(st.builds(Outcome, reason=st.sampled_from(Reason), message=st.text(max_size=200), size=st.integers(0, 2**60)))
def test_round_trip(said: Outcome) -> None:
    assert outcome.parse(said.dump()) == said


@given(st.text(st.characters(codec="utf-8"), min_size=1, max_size=40))
def test_long_outcomes_fit(word: str) -> None:
    tensors = tuple(Tensor(name=word, datatype="FP32", shape=(-1, 64)) for _ in range(500))
    said = Outcome(reason=Reason.CRASHED, message=word * 4000, inputs=tensors, outputs=tensors)
    assert len(said.dump().encode()) <= outcome.LIMIT
    assert outcome.parse(said.dump()) is not None


def test_lone_surrogates_are_replaced() -> None:
    assert outcome.parse(Outcome(reason=Reason.CRASHED, message="a\udcffb").dump()) == Outcome(reason=Reason.CRASHED, message="a?b")


@pytest.mark.parametrize("text", ["", "null", "[]", "Segmentation fault", '{"reason": "Nonsense"}', '{"message": "no reason"}'])
def test_what_is_not_ours(text: str) -> None:
    assert outcome.parse(text) is None


def test_newer_fields_are_ignored() -> None:
    assert outcome.parse('{"reason": "Crashed", "newer": 1}') == Outcome(reason=Reason.CRASHED)
