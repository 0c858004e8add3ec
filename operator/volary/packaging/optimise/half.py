"""16-bit floats inside, the same inputs and outputs outside, by the converter that comes with ONNX Runtime.

It is the one of onnxconverter-common with later repairs (Resize, weights that only 32-bit operators read), and
needs no package more. Operators without a 16-bit form keep 32 bits between casts.
"""

from pathlib import Path
from typing import Any

from onnx import TensorProto

from volary.packaging.optimise import files, graph
from volary.packaging.optimise.options import invalid


def half(model: Any) -> Any:
    """The model in 16 bits. Raises Refused (OptionInvalid, FormatUnsupported)."""
    if not any(tensor.data_type == TensorProto.FLOAT for tensor in graph.tensors(model.graph)):
        invalid("--fp16 finds no weights of 32-bit floats in the model")
    return files.through(model, _convert, step="--fp16")


def _convert(given: Path, made: Path, *, beside: bool) -> None:
    from onnxruntime.transformers import float16  # type: ignore[import-untyped] # takes 0.3 s

    model = float16.convert_float_to_float16(str(given), keep_io_types=True)
    graph.save(model, made, beside=beside)
