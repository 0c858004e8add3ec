"""Answers as bins: the same answer is the same bin, and nothing a model says breaks it."""

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from volary.bundle.manifest import Tensor
from volary.bundle.tensors import Datatype
from volary.serving import bins


def tensor(datatype: Datatype, *shape: int) -> Tensor:
    return Tensor(name="y", datatype=datatype, shape=shape)


SCORE = tensor(Datatype.FP32, -1)


@pytest.mark.parametrize(
    ("output", "answer", "name"),
    [
        (tensor(Datatype.FP32, -1, 3), np.array([[0.1, 0.7, 0.2], [0.9, 0.1, 0.0]], np.float32), "1"),
        (tensor(Datatype.FP16, -1, 20), np.eye(20, dtype=np.float16)[17:], "1"),
        (tensor(Datatype.FP32, -1, 5, 3), np.zeros((1, 5, 3), np.float32), "0"),
        (tensor(Datatype.FP32, -1, 1), np.array([[0.83]], np.float32), "<=0.9"),
        (SCORE, np.array([0.5], np.float32), "<=0.5"),
        (SCORE, np.array([-7.0], np.float32), "<=-1"),
        (SCORE, np.array([2e9], np.float32), ">100000"),
        (SCORE, np.array([np.inf], np.float32), ">100000"),
        (SCORE, np.array([np.nan], np.float32), "NaN"),
        (tensor(Datatype.FP64), np.array(12.5), "<=100"),
        (tensor(Datatype.INT64, -1), np.array([18]), "2"),
        (tensor(Datatype.INT32, -1), np.array([-1], np.int32), "15"),
        (tensor(Datatype.BOOL, -1), np.array([True]), "1"),
    ],
)
def test_the_first_item_of_an_answer_says_its_bin(output: Tensor, answer: Any, name: str) -> None:
    assert bins.names(output)[bins.binning(output)(answer)] == name


def test_equal_words_are_one_bin() -> None:
    find = bins.binning(tensor(Datatype.BYTES, -1))
    words = ["cat", "dog", "Möwe", ""]
    assert [find(np.array([word], object)) for word in words] == [find(np.array([word], object)) for word in words]


def test_there_are_sixteen_of_every_kind() -> None:
    assert len(set(bins.names(SCORE))) == bins.COUNT
    assert len(set(bins.names(tensor(Datatype.INT64, -1)))) == bins.COUNT


@given(st.floats(width=32) | st.integers(-(2**62), 2**62) | st.booleans() | st.text(max_size=5))
def test_every_answer_has_a_bin(value: Any) -> None:
    kinds = {float: Datatype.FP32, int: Datatype.INT64, bool: Datatype.BOOL, str: Datatype.BYTES}
    output = tensor(kinds[type(value)], -1)
    array = np.array([value], object if isinstance(value, str) else None)
    assert 0 <= bins.binning(output)(array) < bins.COUNT
