"""Record what a model answers, so that every pod can prove that it serves that model."""

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NoReturn

import numpy as np

from volary.bundle import golden
from volary.bundle.golden import Sample, Values
from volary.bundle.manifest import Golden, Tensor
from volary.bundle.tensors import Datatype
from volary.common.errors import Refused
from volary.common.reasons import Reason
from volary.packaging.samples import Array, Inputs


def load(path: Path) -> Any:
    """An ONNX model in ONNX Runtime. Raises Refused (LoadFailed)."""
    os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")
    import onnxruntime  # type: ignore[import-untyped] # takes 0.3 s, and only to record

    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4
    try:
        return onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    except Exception as error:  # noqa: BLE001 -- ONNX Runtime's errors have no common base
        raise Refused(Reason.LOAD_FAILED, f"ONNX Runtime cannot load {path}: {_first_line(error)}") from None


def record(
    session: Any, inputs: Sequence[Inputs], schema: tuple[tuple[Tensor, ...], tuple[Tensor, ...]], tolerance: Golden
) -> list[Sample]:
    """Run a loaded model on each input, twice. Raises Refused (GoldenInvalid).

    `session` is ONNX Runtime's, or what `convert.graphs.load` gives for other formats. `schema` is the
    model's inputs and outputs. Two runs that differ by more than the tolerance
    mean that the model is not a function of its inputs; its samples would prove nothing.
    """
    first = [_sample(session, number, each, schema) for number, each in enumerate(inputs)]
    # After all the others, so that a model that counts its calls is found out too.
    for number, (each, sample) in enumerate(zip(inputs, first, strict=True)):
        again = _sample(session, number, each, schema)
        difference = golden.compare(sample.outputs, [tensor.model_dump(mode="json") for tensor in again.outputs], tolerance)
        if difference is not None:
            _invalid(f"sample {number} is answered differently the second time: {difference}; is there randomness in the model?")
    return first


def _sample(session: Any, number: int, inputs: Inputs, schema: tuple[tuple[Tensor, ...], tuple[Tensor, ...]]) -> Sample:
    wanted, given = schema[1], schema[0]
    try:
        answers = session.run([tensor.name for tensor in wanted], inputs)
    except Exception as error:  # noqa: BLE001 -- as above
        _invalid(f"sample {number}: the model fails: {_first_line(error)}")
    return Sample(
        inputs=tuple(_values(f"sample {number}", tensor, inputs[tensor.name]) for tensor in given),
        outputs=tuple(_values(f"sample {number}", tensor, answer) for tensor, answer in zip(wanted, answers, strict=True)),
    )


def _values(where: str, tensor: Tensor, array: Array) -> Values:
    if tensor.datatype.is_float and not np.isfinite(array).all():
        _invalid(f"{where}: {tensor.name!r} is not finite everywhere, and JSON cannot say NaN")
    data: list[Any] = array.ravel().tolist()
    match tensor.datatype:
        case Datatype.FP32 | Datatype.FP16:
            # The shortest decimal that is this number in its own precision: 0.1, not 0.10000000149011612.
            data = [float(str(element)) for element in array.ravel()]
        case Datatype.BYTES:
            data = [element.decode() if isinstance(element, bytes) else str(element) for element in data]
        case _:
            pass
    return Values(name=tensor.name, datatype=tensor.datatype, shape=array.shape, data=tuple(data))


def _invalid(message: str) -> NoReturn:
    raise Refused(Reason.GOLDEN_INVALID, f"the golden samples cannot be used: {message}") from None


def _first_line(error: Exception) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0][:300]
