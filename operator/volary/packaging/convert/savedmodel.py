"""A SavedModel as it is, or to ONNX by tf2onnx, or to TFLite by TensorFlow's converter."""

import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NoReturn

from volary.bundle import saved_model
from volary.bundle.saved_model_signature import SERVING
from volary.common.errors import Refused, first_line
from volary.common.reasons import Reason
from volary.packaging.bundle import reader
from volary.packaging.convert.detect import SAVED_MODEL
from volary.packaging.convert.packages import named, need
from volary.packaging.convert.source import FORMATS, Converted, Predict, Source, Target

_OPSET = 18  # the highest that tf2onnx 1.17 writes


def convert(source: Source, to: Target, workdir: Path) -> Converted:
    """Raises Refused (PackageMissing, ConversionFailed, and those of `saved_model.check`)."""
    if source.path is None:
        raise Refused(Reason.FORMAT_UNSUPPORTED, "a SavedModel is given as a directory")
    directory = source.path if source.path.is_dir() else source.path.parent
    if to is Target.SAVEDMODEL:
        return Converted(graph=directory / SAVED_MODEL, format=FORMATS[to])
    check(directory / SAVED_MODEL)  # TensorFlow would load it: a model from a stranger is looked at first
    graph, tool = onward(source, directory, to, workdir)
    return Converted(
        graph=graph, format=FORMATS[to], framework=named("tensorflow-cpu", "tensorflow"), tool=tool, predict=_predict(load(directory))
    )


def check(graph: Path) -> None:
    """Look into the graph, with all files of its directory. Raises Refused (FileNotFound, and those of `saved_model.check`)."""
    if not graph.is_file():
        raise Refused(Reason.FILE_NOT_FOUND, f"there is no file {graph}")
    files = {path.relative_to(graph.parent).as_posix() for path in graph.parent.rglob("*") if path.is_file()}
    saved_model.check(reader(graph), graph.stat().st_size, graph.name, files)


def onward(source: Source, directory: Path, to: Target, workdir: Path) -> tuple[Path, str]:
    """The graph of a SavedModel in the wanted format, and the tool that made it, if any was needed."""
    match to:
        case Target.SAVEDMODEL:
            return directory / SAVED_MODEL, ""
        case Target.ONNX:
            return _to_onnx(source, directory, workdir / "model.onnx"), named("tf2onnx")
        case Target.TFLITE:
            return _to_tflite(source, directory, workdir / "model.tflite"), named("tensorflow-cpu", "tensorflow")


def tensorflow() -> Any:
    """TensorFlow on the CPU, with less to say. Raises Refused (PackageMissing)."""
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    os.environ.setdefault("CUDA_VISIBLE_DEVICES", "-1")
    os.environ.setdefault("KERAS_BACKEND", "tensorflow")
    return need("tensorflow", "tensorflow", "a TensorFlow or Keras model")


def load(directory: Path) -> Any:
    """The function behind the serving signature. Raises Refused (PackageMissing, LoadFailed)."""
    tf = tensorflow()
    try:
        return tf.saved_model.load(str(directory)).signatures[SERVING]
    except Exception as error:  # noqa: BLE001 -- TensorFlow's errors have no common base
        raise Refused(Reason.LOAD_FAILED, f"TensorFlow cannot load {directory}: {first_line(error)}") from None


def call(function: Any, inputs: Mapping[str, Any]) -> dict[str, Any]:
    """The answers of a signature, by name."""
    tf = tensorflow()
    return {name: tensor.numpy() for name, tensor in function(**{name: tf.constant(array) for name, array in inputs.items()}).items()}


def failed(source: Source, to: Target, error: Exception | str) -> NoReturn:
    """The converter gave up."""
    said = error if isinstance(error, str) else first_line(error)
    raise Refused(Reason.CONVERSION_FAILED, f"{source.name} cannot become {to}: {said}") from None


def _predict(function: Any) -> Predict:
    return lambda inputs: call(function, inputs)


def _to_onnx(source: Source, directory: Path, graph: Path) -> Path:
    """In a process of its own: tf2onnx has no public call for this, and it changes TensorFlow's global state."""
    tensorflow()
    need("tf2onnx", "tensorflow", f"{source.name} to ONNX")
    words = ["--saved-model", str(directory), "--signature_def", SERVING, "--opset", str(_OPSET), "--output", str(graph)]
    done = subprocess.run([sys.executable, "-m", "tf2onnx.convert", *words], capture_output=True, text=True, check=False)  # noqa: S603 -- our interpreter, no shell
    if done.returncode or not graph.is_file():
        failed(source, Target.ONNX, f"tf2onnx says: {(done.stderr.strip().splitlines() or ['nothing'])[-1][:300]}")
    return graph


def _to_tflite(source: Source, directory: Path, graph: Path) -> Path:
    tf = tensorflow()
    try:
        graph.write_bytes(tf.lite.TFLiteConverter.from_saved_model(str(directory), signature_keys=[SERVING]).convert())
    except Exception as error:  # noqa: BLE001 -- as above
        failed(source, Target.TFLITE, error)
    return graph
