"""Magnitude pruning: the weights nearest to 0 become 0 (Han et al. 2015, "Learning both weights and connections").

What is pruned are the constant weights of MatMul, Gemm and Conv. Zeros are stored like any number and multiplied
like any number: a pruned model is smaller only after compression, and not faster on ONNX Runtime's CPU kernels.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
from onnx import TensorProto, numpy_helper

from volary.packaging.optimise import graph as graphs
from volary.packaging.optimise.options import invalid
from volary.packaging.optimise.result import Layer
from volary.packaging.samples import Array

# Which inputs of an operator are weights, where they are constants.
_WEIGHTS: Mapping[str, tuple[int, ...]] = {"MatMul": (0, 1), "Gemm": (0, 1), "Conv": (1,), "ConvTranspose": (1,)}
_FLOATS = (TensorProto.FLOAT, TensorProto.FLOAT16, TensorProto.DOUBLE)


def prune(model: Any, share: float, *, per_layer: bool) -> tuple[Layer, ...]:
    """Zero `share` of the weights in place; what each layer has of zeros then. Raises Refused (OptionInvalid) where there are none."""
    tensors = _weights(model)
    if not tensors:
        invalid(
            "--prune finds no weights: the model has no MatMul, Gemm or Conv with constant floats; --simplify adds those that are computed"
        )
    arrays = [numpy_helper.to_array(tensor) for tensor in tensors]
    pruned = [zeroed([array], share)[0] for array in arrays] if per_layer else zeroed(arrays, share)
    for tensor, array in zip(tensors, pruned, strict=True):
        tensor.CopyFrom(numpy_helper.from_array(array, tensor.name))
    return tuple(Layer(tensor.name, array.size, int(np.sum(array == 0))) for tensor, array in zip(tensors, pruned, strict=True))


def zeroed(arrays: Sequence[Array], share: float) -> list[Array]:
    """Copies of the arrays, in which the `round(share * n)` elements of the smallest magnitude among all n are 0.

    Among equal magnitudes the first ones go, so that the result is one: [1, -1, 2, 1] at 0.5 becomes [0, 0, 2, 1].
    Elements that are 0 already count: a model sparser than `share` stays as it is. NaN is the largest of all.
    """
    magnitudes = np.concatenate([np.abs(array).ravel() for array in arrays])
    count = round(share * magnitudes.size)
    if count == 0:
        return [array.copy() for array in arrays]
    threshold = np.partition(magnitudes, count - 1)[count - 1]
    gone = magnitudes < threshold
    ties = np.flatnonzero(magnitudes == threshold)
    gone[ties[: count - int(gone.sum())]] = True
    parts = np.split(gone, np.cumsum([array.size for array in arrays])[:-1])
    return [np.where(part.reshape(array.shape), array.dtype.type(0), array) for part, array in zip(parts, arrays, strict=True)]


def _weights(model: Any) -> list[Any]:
    """Each weight once, in the order of their first use; a weight that two layers share is one."""
    return list({id(tensor): tensor for tensor in _used(model.graph, {}) if tensor.data_type in _FLOATS}.values())


def _used(graph: Any, outer: Mapping[str, Any]) -> Iterator[Any]:
    """Branches see the constants around them."""
    known = {**outer, **{tensor.name: tensor for tensor in graph.initializer}}
    for node in graph.node:
        yield from (known[node.input[index]] for index in _WEIGHTS.get(node.op_type, ()) if node.input[index] in known)
        for inner in graphs.inner_graphs(node):
            yield from _used(inner, known)
