"""Convolutional networks made by hand, with seeded random weights: a small one for tests, one of ResNet-18's size for the bench."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

OPSET = 21


@dataclass(slots=True)
class Network:
    """Nodes and weights as they are added; each method gives the name of its output."""

    seed: int = 0
    nodes: list[Any] = field(default_factory=list)
    weights: list[Any] = field(default_factory=list)
    random: np.random.Generator = field(init=False)

    def __post_init__(self) -> None:
        self.random = np.random.default_rng(self.seed)

    def weight(self, name: str, array: Any) -> str:
        self.weights.append(numpy_helper.from_array(np.asarray(array, np.float32), name))
        return name

    def node(self, kind: str, inputs: list[str], **attributes: Any) -> str:
        output = f"{kind.lower()}_{len(self.nodes)}"
        self.nodes.append(helper.make_node(kind, inputs, [output], name=f"{kind}_{len(self.nodes)}", **attributes))
        return output

    def conv(self, x: str, channels: tuple[int, int], size: int, stride: int = 1) -> str:
        """He's initialisation keeps the signal's size from layer to layer, so that deviations mean something."""
        name = f"w{len(self.nodes)}"
        shape = (channels[1], channels[0], size, size)
        weights = self.random.normal(0, np.sqrt(2 / (channels[0] * size * size)), shape)
        return self.node("Conv", [x, self.weight(name, weights)], strides=[stride] * 2, pads=[size // 2] * 4, kernel_shape=[size] * 2)

    def norm(self, x: str, channels: int) -> str:
        stem = f"n{len(self.nodes)}"
        scale, mean = self.random.uniform(0.8, 1.2, channels), self.random.normal(0, 0.1, channels)
        arrays = {"scale": scale, "bias": mean[::-1], "mean": mean, "var": scale[::-1]}
        return self.node("BatchNormalization", [x, *(self.weight(f"{stem}.{key}", value) for key, value in arrays.items())])

    def dense(self, x: str, size: tuple[int, int]) -> str:
        stem = f"d{len(self.nodes)}"
        weights = self.random.normal(0, np.sqrt(1 / size[0]), (size[1], size[0]))
        return self.node("Gemm", [x, self.weight(f"{stem}.w", weights), self.weight(f"{stem}.b", np.zeros(size[1]))], transB=1)

    def model(self, output: str, image: tuple[int, ...], classes: int) -> Any:
        self.nodes.append(helper.make_node("Identity", [output], ["scores"], name="last"))
        value = helper.make_tensor_value_info
        inputs, outputs = [value("image", TensorProto.FLOAT, ["batch", *image])], [value("scores", TensorProto.FLOAT, ["batch", classes])]
        graph = helper.make_graph(self.nodes, "network", inputs, outputs, self.weights)
        return helper.make_model(graph, opset_imports=[helper.make_opsetid("", OPSET)], producer_name="volary-test", ir_version=10)


def small(path: Path) -> Path:
    """8x8 images of one channel -> 10 scores; 2,000 weights."""
    net = Network()
    x = net.node("Relu", [net.norm(net.conv("image", (1, 8), 3), 8)])
    x = net.node("Relu", [net.conv(x, (8, 16), 3, stride=2)])
    x = net.node("Flatten", [net.node("GlobalAveragePool", [x])])
    onnx.save(net.model(net.dense(x, (16, 10)), (1, 8, 8), 10), path)
    return path


def resnet18(path: Path) -> Path:
    """224x224 images -> 1,000 scores; 11.7 million weights, as in He et al. 2015, table 1."""
    net = Network()
    x = net.node("Relu", [net.norm(net.conv("image", (3, 64), 7, stride=2), 64)])
    x = net.node("MaxPool", [x], kernel_shape=[3, 3], strides=[2, 2], pads=[1] * 4)
    before = 64
    for channels in (64, 128, 256, 512):
        for stride in (1 if channels == before else 2, 1):
            x = _block(net, x, (before, channels), stride)
            before = channels
    x = net.node("Flatten", [net.node("GlobalAveragePool", [x])])
    onnx.save(net.model(net.dense(x, (512, 1000)), (3, 224, 224), 1000), path)
    return path


def _block(net: Network, x: str, channels: tuple[int, int], stride: int) -> str:
    before, after = channels
    inner = net.node("Relu", [net.norm(net.conv(x, (before, after), 3, stride), after)])
    inner = net.norm(net.conv(inner, (after, after), 3), after)
    beside = x if before == after else net.norm(net.conv(x, channels, 1, stride), after)
    return net.node("Relu", [net.node("Add", [inner, beside])])


def perceptron(path: Path) -> Path:
    """1,024 numbers -> 1,000 scores through two layers of 2,048: 8.3 million weights in nothing but MatMul."""
    net = Network()
    x = net.node("Relu", [net.dense("image", (1024, 2048))])
    x = net.node("Relu", [net.dense(x, (2048, 2048))])
    onnx.save(net.model(net.dense(x, (2048, 1000)), (1024,), 1000), path)
    return path
