"""Keras models and SavedModels become bundles of every format, and answer alike in each."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from volary import packaging
from volary.bundle import saved_model_signature, tflite
from volary.bundle.formats import Format
from volary.bundle.tensors import Datatype
from volary.cli.main import main
from volary.common.errors import Refused
from volary.common.reasons import Reason
from volary.packaging import bundle as bundles
from volary.packaging import convert
from volary.packaging.convert import Source, Target
from volary.packaging.convert import savedmodel as runner

pytestmark = [pytest.mark.convert, pytest.mark.timeout(600)]
SIZES = {Target.ONNX: 50_000, Target.SAVEDMODEL: 150_000, Target.TFLITE: 50_000}  # bytes, at least: 12,000 weights


@pytest.fixture(scope="module")
def keras() -> Any:
    runner.tensorflow()
    import keras as found  # type: ignore[import-not-found] # only in the environment of these tests

    return found


@pytest.fixture(scope="module")
def digits() -> tuple[Any, Any]:
    from sklearn.datasets import load_digits  # type: ignore[import-untyped] # as above

    found = load_digits()
    return (found.images[..., None] / 16).astype(np.float32), found.target


@pytest.fixture(scope="module")
def network(keras: Any, digits: tuple[Any, Any]) -> Any:
    keras.utils.set_random_seed(0)
    layers = keras.layers
    model = keras.Sequential(
        [
            layers.Input((8, 8, 1), name="image"),
            layers.Conv2D(32, 3, activation="relu"),
            layers.BatchNormalization(),
            layers.Flatten(),
            layers.Dropout(0.2),
            layers.Dense(10, activation="softmax"),
        ]
    )
    model.compile("adam", "sparse_categorical_crossentropy")
    model.fit(digits[0][:500], digits[1][:500], epochs=1, verbose=0)
    return model


@pytest.mark.parametrize("suffix", [".keras", ".h5"])
@pytest.mark.parametrize("to", Target)
def test_a_keras_file_becomes_a_bundle(
    to: Target, suffix: str, network: Any, digits: tuple[Any, Any], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    network.save(tmp_path / f"digits{suffix}")
    np.savez(tmp_path / "images.npz", image=digits[0][:20])
    words = ["--name", "digits", "--version", "1", "--golden", str(tmp_path / "images.npz"), "-o", str(tmp_path / "bundle")]
    assert main(["pack", str(tmp_path / f"digits{suffix}"), "--to", to, *words]) == 0
    assert "parity: max abs" in capsys.readouterr().err
    bundle = packaging.load(tmp_path / "bundle")
    bundles.verify(bundle)
    assert bundle.manifest.size > SIZES[to]
    assert [(each.name, each.datatype, each.shape) for each in bundle.manifest.inputs] == [("image", Datatype.FP32, (-1, 8, 8, 1))]
    golden = json.loads((bundle.path / "golden.json").read_bytes())["samples"]
    expected = network(digits[0][:20], training=False).numpy()
    np.testing.assert_allclose([each["outputs"][0]["data"] for each in golden], expected, rtol=1e-3, atol=1e-5)


def test_what_tensorflow_wrote_is_read_without_it(network: Any, tmp_path: Path) -> None:
    network.export(str(tmp_path / "saved"), verbose=False)
    graph = tmp_path / "saved" / "saved_model.pb"
    found = saved_model_signature.read(bundles.reader(graph), graph.stat().st_size, graph.name)
    function = runner.load(tmp_path / "saved")
    assert {each.name for each in found.inputs} == set(function.structured_input_signature[1])
    assert {each.name: list(each.shape) for each in found.outputs} == {
        name: [-1 if size is None else size for size in each.shape] for name, each in function.structured_outputs.items()
    }
    assert found.tensorflow.startswith("2.")


def test_a_saved_model_passes_as_it_is_and_becomes_the_others(network: Any, tmp_path: Path) -> None:
    network.export(str(tmp_path / "models" / "3"), verbose=False)
    source = convert.find(tmp_path / "models")
    bundle = packaging.pack(source, name="digits", version="1", output=tmp_path / "bundle")
    assert bundle.manifest.format is Format.TENSORFLOW_SAVEDMODEL
    assert "convert.source" not in bundle.manifest.build
    for to in (Target.ONNX, Target.TFLITE):
        (tmp_path / to).mkdir()
        made = convert.prepare(Source(kind=source.kind, path=source.path, to=to), tmp_path / to)
        assert made.facts["convert.parity"].endswith("8 generated samples")
        assert [each.shape for each in made.inputs] == [(-1, 8, 8, 1)]


def test_several_inputs_and_outputs_keep_their_names(keras: Any, tmp_path: Path) -> None:
    layers = keras.layers
    b, a = layers.Input((2,), name="b"), layers.Input((3,), name="a")
    together = layers.Concatenate()([b, a])
    model = keras.Model([b, a], {"sum": layers.Dense(1)(together), "all": layers.Dense(4)(together)})
    for to in Target:
        (tmp_path / to).mkdir()
        made = convert.prepare(replace(convert.live(model), to=to), tmp_path / to)
        assert {each.name: each.shape for each in made.inputs} == {"a": (-1, 3), "b": (-1, 2)}
        assert {each.name: each.shape for each in made.outputs} == {"sum": (-1, 1), "all": (-1, 4)}


def test_a_layer_with_python_code_in_it_is_not_opened(keras: Any, tmp_path: Path) -> None:
    path = str(tmp_path / "ran")
    code = keras.layers.Lambda(lambda x: (__import__("pathlib").Path(path).mkdir(exist_ok=True), x)[1])
    model = keras.Sequential([keras.layers.Input((3,)), code])
    (tmp_path / "ran").rmdir()  # building the model ran it
    for name in ("evil.keras", "evil.h5"):
        model.save(tmp_path / name)
        with pytest.raises(Refused, match="cannot load") as caught:
            convert.prepare(convert.find(tmp_path / name), tmp_path)
        assert caught.value.reason is Reason.LOAD_FAILED
    assert not (tmp_path / "ran").exists()


def test_a_graph_without_a_serving_signature(tmp_path: Path) -> None:
    tf = runner.tensorflow()
    tf.saved_model.save(tf.Module(), str(tmp_path / "saved"))
    with pytest.raises(Refused, match="not 'serving_default'"):
        convert.prepare(convert.find(tmp_path / "saved"), tmp_path)


def test_the_reader_of_tflite_agrees_with_the_interpreter(network: Any, tmp_path: Path) -> None:
    made = convert.prepare(Source(kind=convert.Kind.KERAS, model=network, to=Target.TFLITE), tmp_path)
    tf = runner.tensorflow()
    with pytest.warns(UserWarning, match="deprecated"):
        interpreter = tf.lite.Interpreter(str(made.graph))
    found = tflite.signature(bundles.reader(made.graph), made.graph.stat().st_size)
    assert [list(each.shape) for each in found.inputs] == [list(each["shape_signature"]) for each in interpreter.get_input_details()]
    assert {each.name for each in found.outputs} == set(interpreter.get_signature_list()["serving_default"]["outputs"])
