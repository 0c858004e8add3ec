"""What the graph tells: names of axes, precision, randomness."""

from pathlib import Path

import pytest
from onnx import TensorProto, helper

from tests.unit.packaging import models
from volary.bundle.tensors import Datatype
from volary.packaging.traits import Traits, of_onnx


def traits(path: Path) -> Traits:
    return of_onnx(path, (), ())


def test_axes_have_names(tmp_path: Path) -> None:
    assert traits(models.lookup(tmp_path / "m.onnx")).axes == {"ids": ("batch", "length")}
    assert traits(models.double(tmp_path / "m.onnx", [2, 3])).axes == {"x": ("", "")}


def test_the_least_exact_float_on_the_way(tmp_path: Path) -> None:
    assert traits(models.double(tmp_path / "m.onnx")).precision is Datatype.FP32
    assert traits(models.doubles(tmp_path / "m.onnx")).precision is Datatype.FP64
    assert traits(models.halves(tmp_path / "m.onnx")).precision is Datatype.FP16
    assert traits(models.regressor(tmp_path / "m.onnx")).precision is Datatype.FP32
    assert traits(models.mixed(tmp_path / "m.onnx")).precision is None


def test_random_operators_are_named(tmp_path: Path) -> None:
    assert traits(models.double(tmp_path / "m.onnx")).random == ()
    assert traits(models.random(tmp_path / "m.onnx")).random == ("RandomNormalLike (noise)",)
    assert traits(models.branching(tmp_path / "m.onnx")).random == ("RandomUniformLike (noise)",)


@pytest.mark.parametrize("training", [True, False])
def test_dropout_is_random_in_training_mode_only(tmp_path: Path, training: bool) -> None:
    assert traits(models.dropout(tmp_path / "m.onnx", training=training)).random == (("Dropout (drop)",) if training else ())


def test_a_mode_that_the_graph_computes_may_be_training(tmp_path: Path) -> None:
    nodes = [
        helper.make_node("Constant", [], ["half"], value_float=0.5),
        helper.make_node("Dropout", ["x", "half", "mode"], ["y"], name="drop"),
    ]
    inputs = [models.value("x", ["batch", 3]), models.value("mode", [], TensorProto.BOOL)]
    path = models.write(tmp_path / "m.onnx", nodes, inputs, [models.value("y", ["batch", 3])])
    assert traits(path).random == ("Dropout (drop)",)
