from typing import Any

import numpy as np
import onnx
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from onnx import TensorProto, helper, numpy_helper

from tests.unit.packaging.optimise.given import Given
from volary.common.errors import Refused
from volary.common.reasons import Reason
from volary.packaging.optimise.prune import prune, zeroed
from volary.packaging.optimise.result import total

FLOATS = arrays.arrays(
    np.float32,
    arrays.array_shapes(max_dims=4, max_side=5),
    elements=st.floats(-10, 10, width=32, allow_subnormal=False),
)
SHARES = st.floats(0.01, 0.99)


@given(found=st.lists(FLOATS, min_size=1, max_size=4), share=SHARES)
def test_the_share_is_met_within_one_weight(found: list[Any], share: float) -> None:
    everything = np.concatenate([array.ravel() for array in found])
    pruned = np.concatenate([array.ravel() for array in zeroed(found, share)])
    already = int(np.sum(everything == 0))
    zeros = int(np.sum(pruned == 0))
    assert abs(zeros - share * everything.size) <= 1 or zeros == already


@given(found=st.lists(FLOATS, min_size=1, max_size=4), share=SHARES)
def test_the_largest_magnitudes_survive_unchanged(found: list[Any], share: float) -> None:
    before = np.concatenate([array.ravel() for array in found])
    after = np.concatenate([array.ravel() for array in zeroed(found, share)])
    kept = after != 0
    assert np.array_equal(after[kept], before[kept])
    gone = np.abs(before[~kept])
    assert not kept.any() or not gone.size or gone.max() <= np.abs(before[kept]).min()


@given(array=FLOATS, share=SHARES)
def test_shapes_types_and_the_given_arrays_stay(array: Any, share: float) -> None:
    copy = array.copy()
    (found,) = zeroed([array], share)
    assert (found.shape, found.dtype) == (array.shape, array.dtype)
    assert np.array_equal(array, copy)


@pytest.mark.parametrize(
    ("values", "share", "wanted"),
    [
        ([1, -1, 2, 1], 0.5, [0, 0, 2, 1]),
        ([3, -0.5, 0.1, 2], 0.25, [3, -0.5, 0, 2]),
        ([0, 0, 0, 5], 0.5, [0, 0, 0, 5]),
        ([1, 2], 0.1, [1, 2]),
        ([np.nan, 1], 0.5, [np.nan, 0]),
    ],
)
def test_worked_examples(values: list[float], share: float, wanted: list[float]) -> None:
    assert np.array_equal(zeroed([np.array(values, np.float32)], share)[0], np.array(wanted, np.float32), equal_nan=True)


def layered(small: Any, large: Any, **more: Any) -> Any:
    """Two MatMul; the weights of the first are smaller."""
    nodes = [helper.make_node("MatMul", ["x", "small"], ["h"]), helper.make_node("MatMul", ["h", "large"], ["y"])]
    weights = [numpy_helper.from_array(np.asarray(array), name) for name, array in (("small", small), ("large", large))]
    value = helper.make_tensor_value_info
    graph = helper.make_graph(
        nodes, "layers", [value("x", TensorProto.FLOAT, [1, 2])], [value("y", TensorProto.FLOAT, [1, 2])], weights, **more
    )
    return helper.make_model(graph)


SMALL, LARGE = np.array([[0.1, 0.2], [0.3, 0.4]], np.float32), np.array([[1, 2], [3, 4]], np.float32)


def test_globally_the_smaller_layer_goes_first() -> None:
    layers = prune(layered(SMALL, LARGE), 0.5, per_layer=False)
    assert [(layer.name, layer.sparsity) for layer in layers] == [("small", 1.0), ("large", 0.0)]
    assert total(layers).sparsity == 0.5


def test_per_layer_each_has_the_share() -> None:
    model = layered(SMALL, LARGE)
    assert [layer.sparsity for layer in prune(model, 0.5, per_layer=True)] == [0.5, 0.5]
    assert numpy_helper.to_array(model.graph.initializer[1]).tolist() == [[0, 0], [3, 4]]


def test_a_model_without_weights_is_refused() -> None:
    with pytest.raises(Refused, match="no MatMul, Gemm or Conv") as caught:
        prune(layered(SMALL.astype(np.int64), LARGE.astype(np.int64)), 0.5, per_layer=False)
    assert caught.value.reason is Reason.OPTION_INVALID


def test_biases_and_norms_are_left_alone(convolutions: Given) -> None:
    model = onnx.load(convolutions.path)
    before = {tensor.name: tensor.SerializeToString() for tensor in model.graph.initializer}
    layers = prune(model, 0.5, per_layer=False)
    changed = {tensor.name for tensor in model.graph.initializer if tensor.SerializeToString() != before[tensor.name]}
    assert changed == {layer.name for layer in layers} == {"w0", "w3", "d7.w"}


def test_weights_in_branches_and_around_them() -> None:
    value = helper.make_tensor_value_info
    inner = numpy_helper.from_array(LARGE, "inner")
    one = helper.make_graph([helper.make_node("MatMul", ["x", "inner"], ["a"])], "one", [], [value("a", TensorProto.FLOAT, None)], [inner])
    other = helper.make_graph([helper.make_node("MatMul", ["x", "outer"], ["b"])], "other", [], [value("b", TensorProto.FLOAT, None)])
    node = helper.make_node("If", ["which"], ["y"], then_branch=one, else_branch=other)
    inputs = [value("x", TensorProto.FLOAT, [1, 2]), value("which", TensorProto.BOOL, [])]
    outer = numpy_helper.from_array(SMALL, "outer")
    model = helper.make_model(helper.make_graph([node], "g", inputs, [value("y", TensorProto.FLOAT, None)], [outer]))
    assert {layer.name: layer.zeros for layer in prune(model, 0.5, per_layer=True)} == {"inner": 2, "outer": 2}
