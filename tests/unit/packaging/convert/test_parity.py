"""How far two models are from each other."""

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.unit.packaging import models
from tests.unit.packaging.convert import trained
from volary.bundle.manifest import Tensor
from volary.bundle.tensors import Datatype
from volary.common.errors import Refused
from volary.common.reasons import Reason
from volary.packaging import convert, onnx
from volary.packaging.convert import parity
from volary.packaging.convert.parity import Parity

OUTPUTS = (Tensor(name="y", datatype=Datatype.FP32, shape=(-1,)),)
NAN, INF = float("nan"), float("inf")


def measure(before: Any, after: Any, allowed: float = 1e-3) -> Parity:
    return parity.measure(lambda _: [before], lambda _: [after], OUTPUTS, [{"x": np.zeros((2, 1))}], generated=False, allowed=allowed)


def floats(*values: float) -> Any:
    return np.array(values, np.float32)


@pytest.mark.parametrize(
    ("before", "after", "absolute", "relative"),
    [
        (floats(1, 2), floats(1, 2), 0.0, 0.0),
        (floats(-8, 0), floats(-8, 4), 4.0, 0.5),  # of the largest |before|, whatever its place
        (floats(0, 0), floats(0, 0.25), 0.25, 0.25),  # without a scale the difference itself
        (floats(NAN, INF, 2), floats(NAN, INF, 3), 1.0, 0.5),
        (np.array([1.0, 2.0]), floats(1, 2), 0.0, 0.0),
        (np.array([1, 2, 3, 4]), np.array([1, 2, 3, 5]), 1.0, 0.25),
        (np.array(["a", "b"], object), np.array([b"a", b"c"], object), 1.0, 0.5),
        (np.array([True, False]), np.array([True, False]), 0.0, 0.0),
        (np.array([0.0, 1.0]), np.array([0, 1]), 0.0, 0.0),  # a classifier of labels that are written as floats
        (floats(), floats(), 0.0, 0.0),
    ],
)
def test_the_deviation(before: Any, after: Any, absolute: float, relative: float) -> None:
    found = measure(before, after, allowed=1.0)
    assert (found.worst.absolute, found.worst.relative) == (absolute, relative)
    assert found.samples == 2


@pytest.mark.parametrize(
    ("before", "after"),
    [
        (floats(1), floats(1.01)),
        (floats(1), floats(NAN)),
        (floats(NAN), floats(1)),
        (floats(1), floats(INF)),
        (floats(1, 1), floats(1)),
        (np.array([1]), np.array([2])),
    ],
)
def test_another_answer_is_refused(before: Any, after: Any) -> None:
    with pytest.raises(Refused) as caught:
        measure(before, after)
    assert caught.value.reason is Reason.DEVIATION_TOO_HIGH


def test_an_output_that_is_not_a_number_is_found_beside_one_that_agrees() -> None:
    two = (*OUTPUTS, Tensor(name="z", datatype=Datatype.FP32, shape=(-1,)))
    with pytest.raises(Refused, match="output 'z' by nan"):
        parity.measure(lambda _: [floats(1), floats(1)], lambda _: [floats(1), floats(NAN)], two, [{}], generated=False, allowed=1)


def test_other_outputs_are_refused() -> None:
    with pytest.raises(Refused, match=r"the outputs \['z'\], the converted model with \['y'\]"):
        parity.measure(lambda _: {"z": floats(1)}, lambda _: [floats(1)], OUTPUTS, [{}], generated=False, allowed=1)
    with pytest.raises(Refused, match="the outputs 2, the converted"):
        parity.measure(lambda _: [floats(1)] * 2, lambda _: [floats(1)], OUTPUTS, [{}], generated=False, allowed=1)


@given(st.lists(st.floats(-1e6, 1e6, width=32), min_size=1), st.floats(0, 1e-3))
def test_a_model_that_is_off_by_a_share_of_its_scale_deviates_by_that_share(values: list[float], share: float) -> None:
    before = np.array(values, np.float64)
    found = measure(before, before + share * np.max(np.abs(before)), allowed=1.0)
    assert found.worst.relative <= share * (1 + 1e-6) + 1e-12


def test_a_list_and_a_column_are_the_same_answer_and_part_of_the_outputs_may_be_compared() -> None:
    two = (*OUTPUTS, Tensor(name="scores", datatype=Datatype.FP32, shape=(-1, 3)))
    found = parity.measure(
        lambda _: {"y": floats(1, 2)}, lambda _: [floats(1, 2)[:, np.newaxis], floats(9)], two, [{}], generated=True, allowed=0
    )
    assert str(found) == "max abs 0.0e+00, relative 0.0e+00, 1 generated samples, 1 of 2 outputs"


def test_inputs_are_made_up_the_same_way_each_time() -> None:
    schema = (
        Tensor(name="a", datatype=Datatype.FP32, shape=(-1, 3, -1)),
        Tensor(name="b", datatype=Datatype.INT64, shape=(4,)),
        Tensor(name="c", datatype=Datatype.BOOL, shape=()),
    )
    first, second = parity.generate(schema), parity.generate(schema)
    assert [{name: (array.shape, array.dtype.name) for name, array in each.items()} for each in first] == [
        {"a": ((2, 3, 8), "float32"), "b": ((4,), "int64"), "c": ((), "bool")}
    ] * len(first)
    np.testing.assert_equal(first, second)


def test_text_cannot_be_made_up() -> None:
    assert parity.generate((Tensor(name="t", datatype=Datatype.BYTES, shape=(-1,)),)) == []


def test_a_conversion_that_changes_the_answers_is_refused(tmp_path: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """A converter with a fault: it writes y = 2 x for whatever it gets."""
    import skl2onnx  # type: ignore[import-untyped] # it has no types
    from sklearn.preprocessing import StandardScaler  # type: ignore[import-untyped] # as above

    wrong = models.double(tmp_path / "wrong.onnx", ["batch", 64])
    assert onnx.inspect(wrong).inputs[0].name == "x"
    monkeypatch.setattr(skl2onnx, "to_onnx", lambda *_, **__: __import__("onnx").load(wrong))
    with pytest.raises(Refused, match=r"output 'y' by .* of its scale; 0\.001 is allowed \(--max-deviation\)") as caught:
        convert.prepare(convert.sklearn(StandardScaler().fit(trained.digits()[0]), trained.digits()[0][:9]), tmp_path)
    assert caught.value.reason is Reason.DEVIATION_TOO_HIGH
