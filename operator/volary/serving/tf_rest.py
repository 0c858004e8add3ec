"""TensorFlow Serving's REST API, as its clients speak it: bodies of `:predict` and of questions about a model. Pure.

By rows:     {"instances": [ROW, ...]}   -> {"predictions": [ROW, ...]}
By columns:  {"inputs": VALUES}          -> {"outputs": VALUES}
A row, or VALUES, is an object by the names of the tensors; where there is one tensor, its values alone will do.
Bytes are {"b64": "..."}, and come back so from outputs whose name ends with `_bytes`. The shape of an input is what its
nesting shows. As in all of Volary's JSON, NaN is null.
"""

import base64
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NoReturn

import numpy as np
import orjson

from volary.bundle.manifest import Tensor
from volary.bundle.tensors import TENSORFLOW_NAMES, Datatype
from volary.serving import raw, tensors
from volary.serving.protocol import Call, Rejected, Schema, listed, read_object
from volary.serving.tensors import Array, TensorInvalid, show

SIGNATURE = "serving_default"
_METHOD = "tensorflow/serving/predict"
_BYTES_SUFFIX = "_bytes"


@dataclass(frozen=True, slots=True)
class Rows(Call):
    """A request by rows: so many, and so must be each output."""

    count: int = 0


def read_call(body: bytes, model: Schema) -> Call:
    """The body of `:predict`. Raises Rejected (400)."""
    request = read_object(body)
    signature = request.get("signature_name", SIGNATURE)
    if signature not in ("", SIGNATURE):
        _reject(f"signature_name: found {show(signature)}, expected {show(SIGNATURE)}, the only one of this model")
    if ("instances" in request) == ("inputs" in request):
        _reject(f"the body: found {'both' if 'inputs' in request else 'neither'} of instances and inputs, expected one of them")
    outputs = list(model.outputs.values())
    if "inputs" in request:
        return Call(None, _arrays("inputs", _columns(request["inputs"], model), model), outputs)
    rows = request["instances"]
    if type(rows) is not list or not rows:
        _reject(f"instances: found {show(rows)}, expected a list of one row or more")
    return Rows(None, _arrays("instances", _transposed(rows, model), model), outputs, count=len(rows))


def answer(call: Call, arrays: Sequence[Array]) -> bytes:
    """The body for a call that was run; `arrays` in the order of `call.outputs`. Raises Rejected (400)."""
    columns = [_values(tensor, array) for tensor, array in zip(call.outputs, arrays, strict=True)]
    names = [tensor.name for tensor in call.outputs]
    if isinstance(call, Rows):
        _check_rows(call, arrays)
        rows = columns[0] if len(columns) == 1 else [dict(zip(names, row, strict=True)) for row in zip(*columns, strict=True)]
        return orjson.dumps({"predictions": rows}, option=orjson.OPT_SERIALIZE_NUMPY)
    outputs = columns[0] if len(columns) == 1 else dict(zip(names, columns, strict=True))
    return orjson.dumps({"outputs": outputs}, option=orjson.OPT_SERIALIZE_NUMPY)


def status(versions: Iterable[tuple[str, bool]]) -> bytes:
    """The body of GET /v1/models/M: each version, and whether it is loaded."""
    return orjson.dumps(
        {
            "model_version_status": [
                {"version": version, "state": "AVAILABLE" if loaded else "LOADING", "status": {"error_code": "OK", "error_message": ""}}
                for version, loaded in versions
            ]
        }
    )


def metadata(model: Schema) -> bytes:
    """The body of GET /v1/models/M/metadata."""
    signature = {
        "inputs": {tensor.name: _declaration(tensor) for tensor in model.inputs.values()},
        "outputs": {tensor.name: _declaration(tensor) for tensor in model.outputs.values()},
        "method_name": _METHOD,
    }
    return orjson.dumps(
        {
            "model_spec": {"name": model.model, "signature_name": "", "version": model.version},
            "metadata": {"signature_def": {"signature_def": {SIGNATURE: signature}}},
        }
    )


def _declaration(tensor: Tensor) -> dict[str, object]:
    dimensions = [{"size": str(size), "name": ""} for size in tensor.shape]
    return {"dtype": TENSORFLOW_NAMES[tensor.datatype], "tensor_shape": {"dim": dimensions, "unknown_rank": False}, "name": tensor.name}


def _columns(found: Any, model: Schema) -> Mapping[str, Any]:
    """By names of inputs, all of them."""
    if not _is_named(found):
        return {_only("inputs", model): found}
    _check_names("inputs", found, model)
    return {name: found[name] for name in model.inputs}


def _transposed(rows: list[Any], model: Schema) -> Mapping[str, list[Any]]:
    """Rows as columns."""
    if not any(map(_is_named, rows)):
        return {_only("instances", model): rows}
    for index, row in enumerate(rows):
        if not _is_named(row):
            _reject(f"instances[{index}]: found {show(row)}, expected an object as the others")
        _check_names(f"instances[{index}]", row, model)
    return {name: [row[name] for row in rows] for name in model.inputs}


def _is_named(found: object) -> bool:
    """{"b64": ...} is a value, not an object of names."""
    return type(found) is dict and found.keys() != {"b64"}


def _check_names(field: str, found: Any, model: Schema) -> None:
    if found.keys() != model.inputs.keys():
        _reject(f"{field}: found {listed(found)}, expected {listed(model.inputs)}")


def _only(field: str, model: Schema) -> str:
    if len(model.inputs) != 1:
        _reject(f"{field}: found values alone, expected an object with {listed(model.inputs)}")
    return next(iter(model.inputs))


def _arrays(field: str, columns: Mapping[str, Any], model: Schema) -> dict[str, Array]:
    return {name: _array(field, model.inputs[name], values) for name, values in columns.items()}


def _array(field: str, expected: Tensor, values: Any) -> Array:
    if expected.datatype is Datatype.BYTES:
        values = _text(field, values, len(expected.shape))
    data = values if type(values) is list else [values]
    try:
        return tensors.decode(expected, {"datatype": expected.datatype, "shape": _shape(values), "data": data})
    except TensorInvalid as fault:
        _reject(f"{field} {show(expected.name)}: {fault}")


def _shape(values: object) -> list[int]:
    """Along the first of each axis; whether the others are alike is for the codec to prove."""
    shape = []
    while type(values) is list:
        shape.append(len(values))
        values = values[0] if values else None
    return shape


def _text(field: str, values: Any, axes: int) -> Any:
    """With every {"b64": ...} as the text it holds. What nests deeper than it may is left for the codec to refuse."""
    if type(values) is list:
        return [_text(field, value, axes - 1) for value in values] if axes else values
    if type(values) is not dict:
        return values
    coded = values.get("b64")
    if len(values) != 1 or type(coded) is not str:
        _reject(f'{field}: found {show(values)}, expected text or {{"b64": "..."}}')
    try:
        return base64.b64decode(coded, validate=True).decode()
    except ValueError:
        _reject(f"{field}: found {show(coded)} as b64, expected the base64 of UTF-8: the model takes text")


def _check_rows(call: Rows, arrays: Iterable[Array]) -> None:
    for tensor, array in zip(call.outputs, arrays, strict=True):
        if not array.ndim or len(array) != call.count:
            found = f"the output {show(tensor.name)} has shape {list(array.shape)} for {call.count} rows"
            _reject(f"instances: {found}; ask by columns, with inputs instead of instances")


def _values(tensor: Tensor, array: Array) -> Any:
    """Nested as the shape says; orjson writes it."""
    if tensor.datatype is not Datatype.BYTES:
        if array.ndim < 2 and array.dtype.kind in "biu":
            return array.tolist()  # ONNX Runtime's INT64 has scalars of C's long long, which orjson does not know
        return np.ascontiguousarray(array) if array.ndim else array[()]
    return _coded(array.tolist()) if tensor.name.endswith(_BYTES_SUFFIX) else array.tolist()


def _coded(values: Any) -> Any:
    if isinstance(values, list):
        return [_coded(value) for value in values]
    return {"b64": base64.b64encode(raw.encoded(values)).decode()}


def _reject(message: str) -> NoReturn:
    raise Rejected(400, message)
