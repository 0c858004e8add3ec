"""Look into the model of a bundle, whatever its format, before anything loads it."""

from collections.abc import Callable

from volary.bundle import limits, onnx_graph, saved_model, tflite
from volary.bundle.facts import Facts
from volary.bundle.formats import Format, Role
from volary.bundle.manifest import File, Manifest
from volary.bundle.protobuf import Reader


def check(manifest: Manifest, reader_of: Callable[[File], Reader], *, budget: int = limits.GRAPH_BYTES) -> Facts:
    """Facts of a graph that may be served.

    `reader_of` opens a file of the manifest; only the model's is asked for, and at most `budget` bytes of it are read.
    What the reader raises comes through. Raises Refused: ModelInvalid, FormatUnsupported, OperatorNotAllowed, ExternalDataInvalid,
    LimitExceeded.
    """
    model = manifest.model_file
    reader = reader_of(model)
    match manifest.format:
        case Format.ONNX:
            files = {file.path: file.size for file in manifest.files if file.role is Role.DATA}
            return onnx_graph.check(reader, model.size, model.path, files, budget=budget)
        case Format.TENSORFLOW_SAVEDMODEL:
            return saved_model.check(reader, model.size, model.path, {file.path for file in manifest.files}, budget=budget)
        case Format.TFLITE:
            return tflite.check(reader, model.size, budget=budget)
