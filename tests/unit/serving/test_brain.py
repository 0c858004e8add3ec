"""BF16 beside another implementation of it, and in ONNX Runtime."""

from pathlib import Path

import ml_dtypes
import numpy as np
import onnx
import pytest
from hypothesis import given
from hypothesis.extra import numpy as hnp
from onnx import TensorProto, helper

from tests.unit.serving import bundles
from tests.unit.serving.bundles import tensor
from volary.bundle.tensors import Datatype
from volary.common.errors import Refused
from volary.serving import brain, model
from volary.serving.tensors import Array


def _load(bundle: Path) -> model.Model:
    return model.load(bundle, model.read_manifest(bundle), threads=1)


@given(hnp.arrays(np.uint32, hnp.array_shapes(min_dims=0, max_dims=2, min_side=0)))
def test_rounds_as_others_do(bits: Array) -> None:
    wide = bits.view(np.float32)
    with np.errstate(invalid="ignore"):
        others = wide.astype(ml_dtypes.bfloat16)
    ours = brain.widen(brain.narrow(wide))
    assert ours.shape == wide.shape
    np.testing.assert_array_equal(ours, others.astype(np.float32))


def test_all_65536_survive() -> None:
    bits = np.arange(0x10000, dtype=np.uint16)
    np.testing.assert_array_equal(brain.narrow(brain.widen(bits)), bits)


@pytest.mark.parametrize("rows", [0, 1, 3])
def test_a_model_of_bf16_runs(tmp_path: Path, rows: int) -> None:
    x = np.arange(2 * rows, dtype=np.float32).reshape(rows, 2) + np.float32(0.5)
    (same,) = _load(bundles.identity(tmp_path, Datatype.BF16)).run({"x": x}, [tensor("same", "BF16", -1, 2)])
    np.testing.assert_array_equal(same, x)


def _mixed(directory: Path, others: int, datatype: str) -> Path:
    """BF16 in and out, cast to FP32 besides, and another input that comes back."""
    nodes = [
        helper.make_node("Identity", ["x"], ["same"]),
        helper.make_node("Cast", ["x"], ["wide"], to=onnx.TensorProto.FLOAT),
        helper.make_node("Identity", ["t"], ["u"]),
    ]
    data = bundles.onnx_model(
        nodes,
        [("x", TensorProto.BFLOAT16, ["n"]), ("t", others, ["n"])],
        [("same", TensorProto.BFLOAT16, ["n"]), ("wide", TensorProto.FLOAT, ["n"]), ("u", others, ["n"])],
    )
    outputs = [tensor("same", "BF16", -1), tensor("wide", "FP32", -1), tensor("u", datatype, -1)]
    return bundles.write(directory, data, [tensor("x", "BF16", -1), tensor("t", datatype, -1)], outputs)


@pytest.mark.parametrize("asked", [["same", "wide", "u"], ["wide"], ["u", "same"]])
def test_other_datatypes_beside_it(tmp_path: Path, asked: list[str]) -> None:
    loaded = _load(_mixed(tmp_path, TensorProto.INT64, "INT64"))
    inputs = {"x": np.array([1.5, -2], np.float32), "t": np.array([7, 8])}
    found = loaded.run(inputs, [tensor(name, "FP32", -1) for name in asked])
    wanted = {"same": inputs["x"], "wide": inputs["x"], "u": inputs["t"]}
    for name, array in zip(asked, found, strict=True):
        np.testing.assert_array_equal(array, wanted[name])


def test_text_in_and_bf16_out_are_refused_before_any_request(tmp_path: Path) -> None:
    with pytest.raises(Refused, match="inputs of BYTES and outputs of BF16"):
        _load(_mixed(tmp_path, TensorProto.STRING, "BYTES"))
