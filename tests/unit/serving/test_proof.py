"""Which models take joined requests: the model itself is asked."""

import logging
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from onnx import NodeProto, TensorProto, helper

from tests.unit.serving import bundles
from volary.bundle.golden import Sample
from volary.serving import loading, model, proof
from volary.serving.joining import OFF, Batching
from volary.serving.tuning import Tuning

_BATCHING = Tuning(batching=Batching(8))


def _rowwise(directory: Path) -> Path:
    return bundles.doubling(directory)


def _bundle(directory: Path, *nodes: NodeProto, **weights: object) -> Path:
    floats = ("x", TensorProto.FLOAT, ["batch", 4]), ("y", TensorProto.FLOAT, ["batch", 4])
    made = bundles.onnx_model(nodes, floats[:1], floats[1:], **weights)
    return bundles.write(directory, made, bundles.DOUBLING_INPUTS, (bundles.tensor("y", "FP32", -1, 4),))


def _centring(directory: Path) -> Path:
    """Less the mean over the batch: a batch of equal rows would not tell."""
    mean = helper.make_node("ReduceMean", ["x"], ["mean"], axes=[0], keepdims=1)
    return _bundle(directory, mean, helper.make_node("Sub", ["x", "mean"], ["y"]))


def _reversing(directory: Path) -> Path:
    """The last row first: right for one row, wrong for all others."""
    slices = {"start": np.array([-1]), "end": np.array([-(2**31)]), "axis": np.array([0]), "step": np.array([-1])}
    return _bundle(directory, helper.make_node("Slice", ["x", *slices], ["y"]), **slices)


def _first_only(directory: Path) -> Path:
    """One row, whatever comes in."""
    slices = {"start": np.array([0]), "end": np.array([1]), "axis": np.array([0])}
    return _bundle(directory, helper.make_node("Slice", ["x", *slices], ["y"]), **slices)


_ONE = [bundles.doubled([1, 2, 4, 3])]
_TWO = [bundles.doubled([1, 2, 4, 3]), bundles.doubled([3, 3, 3, 3], [0, 1, 0, 1])]


@pytest.mark.parametrize("samples", [_ONE, _TWO], ids=["one", "two"])
@pytest.mark.parametrize(
    ("make", "reason"),
    [
        (_rowwise, None),
        (_centring, "golden samples joined give another 'y' than alone"),
        (_reversing, "golden samples joined give another 'y' than alone"),
        (_first_only, "golden samples joined give an error"),
    ],
)
def test_joined_and_alone_must_be_alike(tmp_path: Path, make: Any, samples: list[Sample], reason: str | None) -> None:
    bundle = make(tmp_path)
    manifest = bundles.with_golden(bundle, samples)
    found = proof.obstacle(model.load(bundle, manifest, threads=1), manifest, samples, size=8)
    assert (found is None) if reason is None else (found is not None and reason in found)


def test_without_golden_samples_nothing_is_proved(tmp_path: Path) -> None:
    bundle = bundles.doubling(tmp_path)
    manifest = model.read_manifest(bundle)
    reason = proof.obstacle(model.load(bundle, manifest, threads=1), manifest, [], size=8)
    assert reason == "the bundle has no golden samples to prove it by"


def test_axes_that_are_not_free_are_not_joined(tmp_path: Path) -> None:
    bundle = bundles.squaring(tmp_path)
    manifest = model.read_manifest(bundle)
    reason = proof.obstacle(model.load(bundle, manifest, threads=1), manifest, [], size=8)
    assert reason == "the first axis of the input 'size' is not free: its shape is [1]"


@pytest.mark.parametrize(("make", "batching"), [(_rowwise, Batching(8)), (_centring, OFF)])
def test_a_model_is_loaded_either_way_and_the_log_says_why(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, make: Any, batching: Batching
) -> None:
    caplog.set_level(logging.INFO)
    bundle = make(tmp_path)
    _, found = loading.load(bundle, bundles.with_golden(bundle, _TWO), 1, _BATCHING)
    assert found == batching
    assert ("rows of packed-as 1.4.0 are joined" in caplog.text) is (batching is not OFF)
    assert ("are not joined: " in caplog.text) is (batching is OFF)


def test_damaged_golden_samples_are_left_to_the_agent(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    bundle = bundles.doubling(tmp_path)
    manifest = bundles.with_golden(bundle, _ONE)
    (bundle / "golden.json").write_bytes(b"{}")
    _, found = loading.load(bundle, manifest, 1, _BATCHING)
    assert found == OFF
    assert "no warm-up with golden samples" in caplog.text
