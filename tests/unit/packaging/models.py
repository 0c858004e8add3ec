"""Small ONNX models, made by hand: y = 2 x, and some that cannot be packed."""

from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

OPSET = 21


def write(path: Path, nodes: list[Any], inputs: list[Any], outputs: list[Any], initializers: list[Any] | None = None) -> Path:
    graph = helper.make_graph(nodes, "test", inputs, outputs, initializers or [])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", OPSET)], producer_name="volary-test", ir_version=10)
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


HEAD_BYTES = 300 * 1024


def with_head(path: Path, seed: int) -> Path:
    """A backbone of twelve layers that never changes, and a head that does: y = ((x B1) ... B12) H."""
    layers = [np.random.default_rng(number).standard_normal((300, 256), np.float32)[:256] for number in range(12)]
    head = np.random.default_rng(1000 + seed).standard_normal((256, 300), np.float32)
    constants = [numpy_helper.from_array(each, f"w{at}") for at, each in enumerate([*layers, head])]
    nodes = [helper.make_node("MatMul", [f"h{at}", f"w{at}"], [f"h{at + 1}"]) for at in range(13)]
    return write(path, nodes, [value("h0", ["batch", 256])], [value("h13", ["batch", 300])], constants)
