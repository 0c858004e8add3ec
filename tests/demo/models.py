"""Six versions of a classifier of handwritten digits: good ones, and three that are bad in different ways.

Real training on scikit-learn's digits (1,797 images of 8 x 8 pixels, in the package itself), real export to ONNX.
"""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from functools import cache

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper
from skl2onnx import to_onnx  # type: ignore[import-untyped]
from skl2onnx.common.data_types import FloatTensorType  # type: ignore[import-untyped]
from sklearn.datasets import load_digits  # type: ignore[import-untyped]
from sklearn.exceptions import ConvergenceWarning  # type: ignore[import-untyped]
from sklearn.neural_network import MLPClassifier  # type: ignore[import-untyped]
from sklearn.pipeline import make_pipeline  # type: ignore[import-untyped]
from sklearn.preprocessing import MaxAbsScaler  # type: ignore[import-untyped]

Rows = NDArray[np.float32]

TRAINING = 1200  # rows; the others test
GOLDEN = 12  # samples a bundle carries
OPSET = 18
COVERED = 70  # percent of the images that the table of 5.0.0 has an entry for


@dataclass(frozen=True)
class Candidate:
    """What a data scientist has before packing."""

    version: str
    note: str
    graph: bytes
    samples: Rows  # inputs of the golden samples
    recorded_with: bytes  # the graph whose answers are the golden ones: the same, unless somebody made a mistake


def images() -> Rows:
    """All rows, shape (1797, 64), pixels 0 to 16."""
    return _digits()[0]


@cache
def _digits() -> tuple[Rows, NDArray[np.int64]]:
    data = load_digits()
    return data.data.astype(np.float32), data.target.astype(np.int64)


@cache
def graph(seed: int, hidden: int) -> bytes:
    """A trained network as ONNX: `x` FP32 [-1, 64] -> `label` INT64 [-1], `probabilities` FP32 [-1, 10]."""
    rows, labels = _digits()
    network = MLPClassifier((hidden,), random_state=seed, max_iter=120)
    pipeline = make_pipeline(MaxAbsScaler(), network)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)  # good enough, and quick
        pipeline.fit(rows[:TRAINING], labels[:TRAINING])
    types = [("x", FloatTensorType([None, rows.shape[1]]))]
    options = {id(network): {"zipmap": False}}
    model = to_onnx(pipeline, initial_types=types, final_types=None, options=options, target_opset=OPSET)
    return _bytes(_named(model))


def accuracy(model: bytes) -> float:
    """Share of the test images it gets right."""
    rows, labels = _digits()
    return float(np.mean(predict(model, rows[TRAINING:])[0] == labels[TRAINING:]))


def predict(model: bytes, rows: Rows) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
    """Labels and probabilities by ONNX Runtime in this process."""
    import onnxruntime as ort  # type: ignore[import-untyped]

    session = ort.InferenceSession(model, providers=["CPUExecutionProvider"])
    label, probabilities = session.run(["label", "probabilities"], {"x": rows})
    return label, probabilities


def perturbed(model: bytes) -> bytes:
    """The same network with noise on its weights: it loads, it answers, it is wrong."""
    changed = onnx.load_from_string(model)
    noise = np.random.default_rng(4)
    for tensor in changed.graph.initializer:
        values = numpy_helper.to_array(tensor)
        if values.dtype == np.float32 and values.ndim == 2 and values.size > 64:
            shaken = values + noise.normal(0, 0.5 * values.std(), values.shape).astype(np.float32)
            tensor.CopyFrom(numpy_helper.from_array(shaken, tensor.name))
    return _bytes(changed)


def with_short_table(model: bytes) -> bytes:
    """The same network, its confidence scaled by a table of calibration factors, one for each amount of ink.

    The table was made from too few images: it ends where the thinnest 70 % of them end, and looking up a bolder
    image is an error of the graph. Tests on thin digits never see it.
    """
    changed = onnx.load_from_string(model)
    g = changed.graph
    for node in g.node:
        node.output[:] = ["raw_probabilities" if name == "probabilities" else name for name in node.output]
        node.input[:] = ["raw_probabilities" if name == "probabilities" else name for name in node.input]
    table = np.ones((_table_length(), 1), np.float32)
    g.initializer.extend([numpy_helper.from_array(table, "calibration"), numpy_helper.from_array(np.array([1], np.int64), "pixels")])
    g.node.extend(
        [
            helper.make_node("ReduceSum", ["x", "pixels"], ["ink"], keepdims=0),
            helper.make_node("Cast", ["ink"], ["entry"], to=TensorProto.INT64),
            helper.make_node("Gather", ["calibration", "entry"], ["factor"], axis=0),
            helper.make_node("Mul", ["raw_probabilities", "factor"], ["probabilities"]),
        ]
    )
    onnx.checker.check_model(changed)
    return _bytes(changed)


def _table_length() -> int:
    return int(np.percentile(images().sum(axis=1), COVERED)) + 1


def candidates() -> tuple[Candidate, ...]:
    """The six versions, in order."""
    rows = images()[TRAINING:]
    samples = rows[rows.sum(axis=1) < _table_length()][:GOLDEN]
    first, second, third, last = graph(1, 16), graph(2, 32), graph(3, 32), graph(6, 48)
    broken = with_short_table(third)
    return (
        Candidate("1.0.0", "16 hidden units", first, samples, first),
        Candidate("2.0.0", "retrained, 32 hidden units", second, samples, second),
        Candidate("3.0.0", "one byte of it flips in the bucket", third, samples, third),
        Candidate("4.0.0", "weights changed after the golden samples were recorded", perturbed(third), samples, third),
        Candidate("5.0.0", "a lookup table that ends too early", broken, samples, broken),
        Candidate("6.0.0", "retrained, 48 hidden units", last, samples, last),
    )


def _named(model: onnx.ModelProto) -> onnx.ModelProto:
    """The outputs under the names we promise."""
    wanted = dict(zip((output.name for output in model.graph.output), ("label", "probabilities"), strict=True))
    for node in model.graph.node:
        node.input[:] = [wanted.get(name, name) for name in node.input]
        node.output[:] = [wanted.get(name, name) for name in node.output]
    for output in model.graph.output:
        output.name = wanted[output.name]
    return model


def _bytes(model: onnx.ModelProto) -> bytes:
    """The same model is the same bytes."""
    content: bytes = model.SerializeToString(deterministic=True)
    return content
