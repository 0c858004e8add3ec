"""What the tests of optimising work on."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from onnx import TensorProto, helper, numpy_helper

from tests.unit.packaging import models


@dataclass(frozen=True, slots=True)
class Given:
    """A model with samples and, where it was trained, their labels."""

    path: Path
    samples: Any
    labels: Any = None


def weight(name: str, *shape: int) -> Any:
    return numpy_helper.from_array(np.random.default_rng(len(name)).standard_normal(shape).astype(np.float32), name)


def branches(path: Path) -> Path:
    """y = x times one matrix or another, by the sign of x's sum."""
    inner = [
        helper.make_graph(
            [helper.make_node("MatMul", ["x", f"w{name}"], [name])],
            name,
            [],
            [helper.make_tensor_value_info(name, TensorProto.FLOAT, None)],
            [weight(f"w{name}", 4, 4)],
        )
        for name in ("positive", "negative")
    ]
    nodes = [
        helper.make_node("ReduceSum", ["x"], ["sum"], keepdims=0),
        helper.make_node("Greater", ["sum", "zero"], ["which"]),
        helper.make_node("If", ["which"], ["y"], then_branch=inner[0], else_branch=inner[1]),
    ]
    zero = numpy_helper.from_array(np.float32(0), "zero")
    return models.write(path, nodes, [models.value("x", ["batch", 4])], [models.value("y", ["batch", 4])], [zero])


def recurrent(path: Path) -> Path:
    """An LSTM over five steps; its last state."""
    nodes = [
        helper.make_node("LSTM", ["x", "w", "r"], ["", "last"], hidden_size=16),
        helper.make_node("Squeeze", ["last", "first"], ["y"]),
    ]
    weights = [weight("w", 1, 64, 4), weight("r", 1, 64, 16), numpy_helper.from_array(np.array([0]), "first")]
    return models.write(path, nodes, [models.value("x", [5, 1, 4])], [models.value("y", [1, 16])], weights)
