"""Loading: a bundle that is not what its manifest says is refused with words; failures of runs too."""

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pytest

from tests.unit.serving import bundles
from tests.unit.serving.bundles import DOUBLING_INPUTS, DOUBLING_OUTPUTS, tensor
from volary.bundle.formats import Format
from volary.bundle.manifest import Tensor
from volary.common.errors import Refused
from volary.common.reasons import Reason
from volary.serving import model
from volary.serving.model import RunFailed


def load(bundle: Path) -> model.Model:
    return model.load(bundle, model.read_manifest(bundle), threads=1)


def test_outputs_come_in_the_order_asked_for(tmp_path: Path) -> None:
    loaded = load(bundles.doubling(tmp_path))
    top, y = loaded.run({"x": np.array([[1, 2, 4, 3]], np.float32)}, DOUBLING_OUTPUTS[::-1])
    assert top.tolist() == [2]
    assert y.tolist() == [[2, 4, 8, 6]]


def test_a_manifest_may_fix_what_the_model_leaves_free(tmp_path: Path) -> None:
    load(bundles.write(tmp_path, bundles.doubling_model(), [tensor("x", "FP32", 1, 4)], DOUBLING_OUTPUTS))


def test_outputs_that_are_not_declared_are_not_served(tmp_path: Path) -> None:
    load(bundles.write(tmp_path, bundles.doubling_model(), DOUBLING_INPUTS, DOUBLING_OUTPUTS[:1]))


@pytest.mark.parametrize(
    ("inputs", "outputs", "message"),
    [
        ([], DOUBLING_OUTPUTS, "the model needs the inputs ['x'], which the manifest does not declare"),
        ([*DOUBLING_INPUTS, tensor("z", "FP32", 1)], DOUBLING_OUTPUTS, "the manifest declares the input 'z', the model has ['x']"),
        (DOUBLING_INPUTS, [tensor("z", "FP32", 1)], "the manifest declares the output 'z', the model has ['top', 'y']"),
        ([tensor("x", "FP64", -1, 4)], DOUBLING_OUTPUTS, "the manifest declares the input 'x' as FP64, in the model it is FP32"),
        (DOUBLING_INPUTS, [tensor("top", "INT32", -1)], "the manifest declares the output 'top' as INT32, in the model it is INT64"),
        (
            [tensor("x", "FP32", -1, 5)],
            DOUBLING_OUTPUTS,
            "the manifest declares the input 'x' with shape [-1, 5], in the model it is ['batch', 4]",
        ),
        (
            [tensor("x", "FP32", -1)],
            DOUBLING_OUTPUTS,
            "the manifest declares the input 'x' with shape [-1], in the model it is ['batch', 4]",
        ),
        ([tensor("x", "FP32", -1, -1)], DOUBLING_OUTPUTS, "the manifest leaves axis 1 of the input 'x' free, in the model it is 4"),
    ],
)
def test_the_model_must_be_what_the_manifest_says(
    tmp_path: Path, inputs: Sequence[Tensor], outputs: Sequence[Tensor], message: str
) -> None:
    bundle = bundles.write(tmp_path, bundles.doubling_model(), inputs, outputs)
    with pytest.raises(Refused) as refusal:
        load(bundle)
    assert (refusal.value.reason, refusal.value.message) == (Reason.LOAD_FAILED, message)


def _nothing(directory: Path) -> None:
    (directory / "manifest.json").unlink()


def _no_manifest(directory: Path) -> None:
    (directory / "manifest.json").write_text("{}")


def _no_model(directory: Path) -> None:
    (directory / "model.onnx").unlink()


def _garbage(directory: Path) -> None:
    (directory / "model.onnx").write_bytes(b"\x00garbage")


def _other_format(directory: Path) -> None:
    bundles.write(directory, b"", DOUBLING_INPUTS, DOUBLING_OUTPUTS, Format.TENSORFLOW_SAVEDMODEL)


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (_nothing, "cannot read manifest.json in "),
        (_no_manifest, "the manifest is not valid"),
        (_no_model, "cannot load model.onnx: NO_SUCHFILE"),
        (_garbage, "cannot load model.onnx: INVALID_PROTOBUF"),
        (_other_format, "the bundle's format is tensorflow-savedmodel, this server serves onnx"),
    ],
)
def test_a_damaged_bundle_is_refused(tmp_path: Path, damage: Callable[[Path], None], message: str) -> None:
    damage(bundles.doubling(tmp_path))
    with pytest.raises(Refused) as refusal:
        load(tmp_path)
    assert refusal.value.reason is Reason.LOAD_FAILED
    assert message in refusal.value.message
    assert "\n" not in refusal.value.message


def test_a_run_that_fails_says_so_in_a_line(tmp_path: Path) -> None:
    loaded = load(bundles.lookup(tmp_path))
    inputs = {"row": np.array([4])}
    with pytest.raises(RunFailed, match=r"^INVALID_ARGUMENT : .*indices element out of data bounds, idx=4 .*$"):
        loaded.run(inputs, [tensor("y", "FP32", -1, 2)])
    assert loaded.disagreement(inputs) is None


def test_axes_of_one_name_that_differ_are_named(tmp_path: Path) -> None:
    loaded = load(bundles.adding(tmp_path))
    assert loaded.disagreement({"a": np.zeros(2), "b": np.zeros(2)}) is None
    assert loaded.disagreement({"a": np.zeros(2), "b": np.zeros(3)}) == (
        "shape: found a[0] = 2, b[0] = 3, expected equal sizes on the axes named 'n'"
    )
