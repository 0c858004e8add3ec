"""Small ONNX models, made by hand: y = 2 x, and some that cannot be packed."""

from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

OPSET = 21


def write(path: Path, nodes: list[Any], inputs: list[Any], outputs: list[Any], initializers: list[Any] | None = None) -> Path:
    graph = helper.make_graph(nodes, "test", inputs, outputs, initializers or [])
    domains = [helper.make_opsetid("", OPSET)]
    if any(node.domain == "ai.onnx.ml" for node in nodes):
        domains.append(helper.make_opsetid("ai.onnx.ml", 3))
    model = helper.make_model(graph, opset_imports=domains, producer_name="volary-test", ir_version=10)
    path.write_bytes(model.SerializeToString())
    return path


def value(name: str, shape: list[Any] | None, datatype: int = TensorProto.FLOAT) -> Any:
    return helper.make_tensor_value_info(name, datatype, shape)


def double(path: Path, shape: list[Any] | None = None) -> Path:
    """y = 2 x for x of [batch, 3]."""
    shape = ["batch", 3] if shape is None else shape
    two = numpy_helper.from_array(np.array([2.0], np.float32), "two")
    return write(path, [helper.make_node("Mul", ["x", "two"], ["y"])], [value("x", shape)], [value("y", shape)], [two])


def random(path: Path) -> Path:
    """y = x + noise."""
    nodes = [helper.make_node("RandomNormalLike", ["x"], ["noise"]), helper.make_node("Add", ["x", "noise"], ["y"])]
    return write(path, nodes, [value("x", ["batch", 3])], [value("y", ["batch", 3])])


def logarithm(path: Path) -> Path:
    """y = log x: NaN for negative numbers."""
    return write(path, [helper.make_node("Log", ["x"], ["y"])], [value("x", ["batch", 3])], [value("y", ["batch", 3])])


def nothing(path: Path) -> Path:
    """y = log(-1 - x^2): NaN for every number."""
    one = numpy_helper.from_array(np.array([-1.0], np.float32), "one")
    nodes = [
        helper.make_node("Mul", ["x", "x"], ["square"]),
        helper.make_node("Sub", ["one", "square"], ["below"]),
        helper.make_node("Log", ["below"], ["y"]),
    ]
    return write(path, nodes, [value("x", ["batch", 3])], [value("y", ["batch", 3])], [one])


def mixed(path: Path) -> Path:
    """Integers, text and truths in, the same out."""
    names = {"i": TensorProto.INT64, "t": TensorProto.STRING, "b": TensorProto.BOOL}
    nodes = [helper.make_node("Identity", [name], [f"{name}_out"]) for name in names]
    inputs = [value(name, ["batch", 2], datatype) for name, datatype in names.items()]
    return write(path, nodes, inputs, [value(f"{name}_out", ["batch", 2], datatype) for name, datatype in names.items()])


def sequence(path: Path) -> Path:
    """An output that is no tensor, as scikit-learn's ZipMap makes."""
    node = helper.make_node("SequenceConstruct", ["x"], ["y"])
    return write(path, [node], [value("x", ["batch", 3])], [helper.make_tensor_sequence_value_info("y", TensorProto.FLOAT, None)])


def external(path: Path, location: str = "weights.bin") -> Path:
    """y = w x, with w in a file of its own."""
    weights = np.arange(3, dtype=np.float32)
    tensor = numpy_helper.from_array(weights, "w")
    (path.parent / "weights.bin").write_bytes(tensor.raw_data)
    onnx.external_data_helper.set_external_data(tensor, location, offset=0, length=len(tensor.raw_data))
    tensor.ClearField("raw_data")
    shape = ["batch", 3]
    return write(path, [helper.make_node("Mul", ["x", "w"], ["y"])], [value("x", shape)], [value("y", shape)], [tensor])


def classifier(path: Path) -> Path:
    """probabilities = softmax(4 x), label = argmax x, for x of [batch, 3]."""
    nodes = [
        helper.make_node("Mul", ["x", "four"], ["logits"]),
        helper.make_node("Softmax", ["logits"], ["probabilities"], axis=-1),
        helper.make_node("ArgMax", ["x"], ["label"], axis=-1, keepdims=0),
    ]
    outputs = [value("label", ["batch"], TensorProto.INT64), value("probabilities", ["batch", 3])]
    return write(path, nodes, [value("x", ["batch", 3])], outputs, [numpy_helper.from_array(np.array([4.0], np.float32), "four")])


def lookup(path: Path) -> Path:
    """The rows of a table of eight, at ids of [batch, length]: an id of 8 or more fails."""
    table = numpy_helper.from_array(np.arange(16, dtype=np.float32).reshape(8, 2), "table")
    shape = ["batch", "length"]
    return write(
        path,
        [helper.make_node("Gather", ["table", "ids"], ["y"])],
        [value("ids", shape, TensorProto.INT64)],
        [value("y", [*shape, 2])],
        [table],
    )


def dropout(path: Path, *, training: bool) -> Path:
    """y = x, or in training mode half of it."""
    constants = [numpy_helper.from_array(np.array(0.5, np.float32), "ratio"), numpy_helper.from_array(np.array(training), "mode")]
    node = helper.make_node("Dropout", ["x", "ratio", "mode"], ["y"], name="drop")
    return write(path, [node], [value("x", ["batch", 3])], [value("y", ["batch", 3])], constants)


def branching(path: Path) -> Path:
    """Noise in one branch only, where a look at the graph's own nodes does not see it."""
    noise = helper.make_graph(
        [helper.make_node("RandomUniformLike", ["x"], ["then_y"], name="noise")], "then", [], [value("then_y", ["batch", 3])]
    )
    same = helper.make_graph([helper.make_node("Identity", ["x"], ["else_y"])], "else", [], [value("else_y", ["batch", 3])])
    node = helper.make_node("If", ["flag"], ["y"], then_branch=noise, else_branch=same)
    return write(path, [node], [value("x", ["batch", 3]), value("flag", [1], TensorProto.BOOL)], [value("y", ["batch", 3])])


def halves(path: Path, *, out: int = TensorProto.FLOAT) -> Path:
    """y = x, through FP16 on the way."""
    nodes = [helper.make_node("Cast", ["x"], ["h"], to=TensorProto.FLOAT16), helper.make_node("Cast", ["h"], ["y"], to=out)]
    return write(path, nodes, [value("x", ["batch", 3])], [value("y", ["batch", 3], out)])


def doubles(path: Path) -> Path:
    """y = x in FP64."""
    shape = ["batch", 3]
    node = helper.make_node("Identity", ["x"], ["y"])
    return write(path, [node], [value("x", shape, TensorProto.DOUBLE)], [value("y", shape, TensorProto.DOUBLE)])


def regressor(path: Path) -> Path:
    """y = x0 + 2 x1 + 3 x2 in FP64, by an operator that answers in FP32."""
    nodes = [
        helper.make_node("LinearRegressor", ["x"], ["f"], domain="ai.onnx.ml", coefficients=[1.0, 2.0, 3.0], intercepts=[0.0]),
        helper.make_node("Cast", ["f"], ["y"], to=TensorProto.DOUBLE),
    ]
    return write(path, nodes, [value("x", ["batch", 3], TensorProto.DOUBLE)], [value("y", ["batch", 1], TensorProto.DOUBLE)])
