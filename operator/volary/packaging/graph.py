"""What a graph tells beside its inputs and outputs: names of its free axes, how exact it is, what is random in it."""

from collections.abc import Iterator
from typing import Any

from onnx import TensorProto, numpy_helper

from volary.bundle.tensors import Datatype

_RANDOM = frozenset({"RandomNormal", "RandomNormalLike", "RandomUniform", "RandomUniformLike", "Multinomial", "Bernoulli"})
_TRAINING_MODE = 2  # of Dropout's inputs

# Operators of ai.onnx.ml that answer in FP32 whatever they are given: https://onnx.ai/onnx/operators/index.html
_IN_FP32 = frozenset(
    {
        *("FeatureVectorizer", "LinearClassifier", "LinearRegressor", "Normalizer", "Scaler", "SVMClassifier", "SVMRegressor"),
        *("TreeEnsembleClassifier", "TreeEnsembleRegressor"),
    }
)

# The least exact first.
_FLOATS = (
    (TensorProto.BFLOAT16, Datatype.BF16),
    (TensorProto.FLOAT16, Datatype.FP16),
    (TensorProto.FLOAT, Datatype.FP32),
    (TensorProto.DOUBLE, Datatype.FP64),
)


def axes(graph: Any) -> dict[str, tuple[str, ...]]:
    """Names of each input's axes: `x` of [batch, 3] -> ("batch", ""). A fixed or nameless axis has none."""
    return {
        value.name: tuple(axis.dim_param for axis in value.type.tensor_type.shape.dim)
        for value in graph.input
        if value.type.WhichOneof("value") == "tensor_type"
    }


def precision(model: Any) -> Datatype | None:
    """The least exact type of float that numbers pass through on their way, or None without floats.

    A graph that works in FP16 and casts its answers to FP32 answers no better than FP16 does.
    """
    found = set(_element_types(model))
    return next((datatype for number, datatype in _FLOATS if number in found), None)


def random_operators(model: Any) -> tuple[str, ...]:
    """`RandomNormalLike (noise)`: operators that answer differently each time, with the name of the node or its output."""
    constants = {tensor.name: tensor for graph in graphs(model) for tensor in graph.initializer}
    for node in nodes(model):
        if node.op_type == "Constant" and node.attribute and node.attribute[0].HasField("t"):
            constants[node.output[0]] = node.attribute[0].t
    found = {
        f"{node.op_type} ({node.name or node.output[0]})"
        for node in nodes(model)
        if node.domain in ("", "ai.onnx") and (node.op_type in _RANDOM or _trains(node, constants))
    }
    return tuple(sorted(found))


def graphs(model: Any) -> Iterator[Any]:
    """The graph and those in branches and loop bodies."""
    yield from _below(model.graph)


def nodes(model: Any) -> Iterator[Any]:
    """All nodes, those of functions included."""
    for graph in graphs(model):
        yield from graph.node
    for function in model.functions:
        yield from function.node
        for inner in _inner(function.node):
            for graph in _below(inner):
                yield from graph.node


def _below(graph: Any) -> Iterator[Any]:
    yield graph
    for inner in _inner(graph.node):
        yield from _below(inner)


def _inner(found: Any) -> Iterator[Any]:
    for node in found:
        for attribute in node.attribute:
            if attribute.HasField("g"):
                yield attribute.g
            yield from attribute.graphs


def _trains(node: Any, constants: dict[str, Any]) -> bool:
    """Whether a Dropout drops: in an exported graph its `training_mode` is false or absent."""
    if node.op_type != "Dropout" or len(node.input) <= _TRAINING_MODE or not node.input[_TRAINING_MODE]:
        return False
    constant = constants.get(node.input[_TRAINING_MODE])
    return constant is None or bool(numpy_helper.to_array(constant).any())


def _element_types(model: Any) -> Iterator[int]:
    for graph in graphs(model):
        yield from (tensor.data_type for tensor in graph.initializer)
        yield from (value.type.tensor_type.elem_type for value in (*graph.input, *graph.output))
    for node in nodes(model):
        if node.domain == "ai.onnx.ml" and node.op_type in _IN_FP32:
            yield TensorProto.FLOAT
        for attribute in node.attribute:
            if node.op_type == "Cast" and attribute.name == "to":
                yield attribute.i
            elif node.op_type == "Constant" and attribute.HasField("t"):
                yield attribute.t.data_type
