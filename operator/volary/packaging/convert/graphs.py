"""A servable graph of any format: what it takes and gives, which files belong to it, and how to run it here."""

import warnings
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

from volary.bundle import formats, paths, saved_model_signature, tflite
from volary.bundle.formats import Format, Role
from volary.bundle.manifest import Tensor
from volary.common.errors import Refused
from volary.common.reasons import Reason
from volary.packaging.bundle import reader
from volary.packaging.convert import savedmodel
from volary.packaging.convert.packages import named, need
from volary.packaging.session import Runner

# What TensorFlow's exporters write besides, and no server reads.
_LEFT_OUT = ("keras_metadata.pb", "debug/")


@dataclass(frozen=True, slots=True)
class Inspected:
    """What a bundle says of its model."""

    inputs: tuple[Tensor, ...]
    outputs: tuple[Tensor, ...]
    data: tuple[str, ...]  # names of the files the graph refers to, relative to its directory
    facts: Mapping[str, str]  # for the manifest's `build`
    opset: int = 0  # ONNX only


def inspect(graph: Path, format_: Format) -> Inspected:
    """Read the graph, not the weights. Raises Refused (FormatUnsupported, FileNotFound, NameInvalid, and those of `graph.check`)."""
    match format_:
        case Format.ONNX:
            from volary.packaging import onnx

            found = onnx.inspect(graph)
            facts = {"onnx.opset": str(found.opset), "onnx.producer": found.producer, **dict(found.lineage)}
            return Inspected(found.inputs, found.outputs, found.data, facts, found.opset)
        case Format.TENSORFLOW_SAVEDMODEL:
            savedmodel.check(graph)
            signature = saved_model_signature.read(reader(graph), graph.stat().st_size, graph.name)
            return Inspected(signature.inputs, signature.outputs, tuple(_beside(graph)), {"tensorflow": signature.tensorflow})
        case Format.TFLITE:
            tflite.check(reader(graph), graph.stat().st_size)
            lite = tflite.signature(reader(graph), graph.stat().st_size)
            return Inspected(lite.inputs, lite.outputs, (), {})


def load(graph: Path, format_: Format) -> Runner:
    """The model, ready to answer. Raises Refused (LoadFailed, PackageMissing)."""
    match format_:
        case Format.ONNX:
            from volary.packaging import session

            return session.load(graph)
        case Format.TENSORFLOW_SAVEDMODEL:
            return _SavedModel(savedmodel.load(graph.parent))
        case Format.TFLITE:
            return _Lite(_interpreter(graph))


def engine(format_: Format) -> dict[str, str]:
    """What `load` answers with, as entries of the manifest's `build`."""
    match format_:
        case Format.ONNX:
            return {"onnxruntime": version("onnxruntime"), "numpy": version("numpy")}
        case Format.TENSORFLOW_SAVEDMODEL:
            return {"golden.runtime": named("tensorflow-cpu", "tensorflow"), "numpy": version("numpy")}
        case Format.TFLITE:
            return {"golden.runtime": named("ai-edge-litert", "tensorflow-cpu", "tensorflow"), "numpy": version("numpy")}


@dataclass(frozen=True, slots=True)
class _SavedModel:
    function: Any

    def run(self, names: Sequence[str], inputs: Mapping[str, Any]) -> list[Any]:
        """See Runner."""
        answers = savedmodel.call(self.function, inputs)
        return [answers[name] for name in names]


@dataclass(frozen=True, slots=True)
class _Lite:
    interpreter: Any

    def run(self, names: Sequence[str], inputs: Mapping[str, Any]) -> list[Any]:
        """See Runner. Signatures have the names people gave; a model without one has those of its tensors."""
        signatures = self.interpreter.get_signature_list()
        if signatures:
            answers = self.interpreter.get_signature_runner(next(iter(signatures)))(**inputs)
            return [answers[name] for name in names]
        for tensor in self.interpreter.get_input_details():
            self.interpreter.resize_tensor_input(tensor["index"], inputs[tensor["name"]].shape)
        self.interpreter.allocate_tensors()
        for tensor in self.interpreter.get_input_details():
            self.interpreter.set_tensor(tensor["index"], inputs[tensor["name"]])
        self.interpreter.invoke()
        found = {tensor["name"]: self.interpreter.get_tensor(tensor["index"]) for tensor in self.interpreter.get_output_details()}
        return [found[name] for name in names]


def _interpreter(graph: Path) -> Any:
    """LiteRT's, or the older one that comes with TensorFlow."""
    try:
        return need("ai_edge_litert.interpreter", "tensorflow", "TFLite").Interpreter(str(graph))
    except Refused:
        tf = savedmodel.tensorflow()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # it announces its successor, each time
        return tf.lite.Interpreter(str(graph))


def _beside(graph: Path) -> Iterator[str]:
    """Files of a SavedModel. One that the bundle's format has no place for is refused: the graph may need it."""
    for path in sorted(graph.parent.rglob("*")):
        name = path.relative_to(graph.parent).as_posix()
        if path.is_dir() and not path.is_symlink():
            continue
        if name == graph.name or name.startswith(_LEFT_OUT):
            continue
        if path.is_symlink():
            raise Refused(Reason.NAME_INVALID, f"{path} is a symbolic link; put the file itself there")
        try:
            paths.check(name)
            formats.check_file(Format.TENSORFLOW_SAVEDMODEL, Role.DATA, name)
        except Refused as error:
            raise Refused(error.reason, f"{graph.parent}: {error.message}; take it out of the SavedModel if it is no part of it") from None
        yield name
