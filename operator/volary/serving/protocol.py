"""Open Inference Protocol v2, REST: bodies of requests and answers. Pure."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, NoReturn

import orjson

from volary import __version__
from volary.bundle.manifest import Manifest, Tensor
from volary.serving import tensors
from volary.serving.tensors import Array, TensorInvalid, show

PLATFORM = "onnx_onnxv1"
READY = "READY"
_NAMES_SHOWN = 10


class Rejected(Exception):
    """The client is told what to change: an HTTP status and a message."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status
        self.message = message


@dataclass(frozen=True, slots=True)
class Schema:
    """What clients can ask for: one version of one model, under the name it is served by."""

    model: str
    version: str
    inputs: Mapping[str, Tensor]
    outputs: Mapping[str, Tensor]


@dataclass(frozen=True, slots=True)
class Call:
    """A checked request: every input is there, has its datatype and a shape the model takes."""

    id: str | None
    inputs: dict[str, Array]
    outputs: list[Tensor]


def schema(model: str, manifest: Manifest) -> Schema:
    """The schema of a bundle served as `model`."""
    return Schema(
        model,
        manifest.version,
        {tensor.name: tensor for tensor in manifest.inputs},
        {tensor.name: tensor for tensor in manifest.outputs},
    )


def read_call(body: bytes, model: Schema) -> Call:
    """The body of an inference request. Raises Rejected (400)."""
    try:
        request = orjson.loads(body)
    except orjson.JSONDecodeError as error:
        _reject(f"the body is not JSON: {error}")
    if type(request) is not dict:
        _reject(f"the body: found {show(request)}, expected an object")
    identity = request.get("id")
    if identity is not None and type(identity) is not str:
        _reject(f"id: found {show(identity)}, expected a string")
    _parameters("parameters", request)
    return Call(identity, _inputs(request.get("inputs"), model), _outputs(request.get("outputs"), model))


def answer(model: Schema, call: Call, arrays: Iterable[Array]) -> bytes:
    """The body for a call that was run; `arrays` in the order of `call.outputs`."""
    body: dict[str, Any] = {"model_name": model.model, "model_version": model.version}
    if call.id is not None:
        body["id"] = call.id
    body["outputs"] = [tensors.encode(tensor, array) for tensor, array in zip(call.outputs, arrays, strict=True)]
    return orjson.dumps(body, option=orjson.OPT_SERIALIZE_NUMPY)


def server_metadata() -> bytes:
    """The body of GET /v2."""
    return orjson.dumps({"name": "volary", "version": __version__, "extensions": []})


def model_metadata(model: Schema, versions: Iterable[str]) -> bytes:
    """The body of GET /v2/models/M, with the versions that are loaded."""
    return orjson.dumps(
        {
            "name": model.model,
            "versions": list(versions),
            "platform": PLATFORM,
            "inputs": [_declaration(tensor) for tensor in model.inputs.values()],
            "outputs": [_declaration(tensor) for tensor in model.outputs.values()],
        }
    )


def repository_index(loaded: Iterable[tuple[Schema, str]]) -> bytes:
    """The body for POST /v2/repository/index, of the protocol's model repository extension: each version and its state."""
    return orjson.dumps([{"name": model.model, "version": model.version, "state": state, "reason": ""} for model, state in loaded])


def model_ready(model: Schema, *, ready: bool) -> bytes:
    """The body of GET /v2/models/M/ready."""
    return orjson.dumps({"name": model.model, "ready": ready})


def error(message: str) -> bytes:
    """The body of every answer that is not 2xx, except of health."""
    return orjson.dumps({"error": message})


def _declaration(tensor: Tensor) -> dict[str, Any]:
    return {"name": tensor.name, "datatype": tensor.datatype, "shape": tensor.shape}


def _inputs(found: object, model: Schema) -> dict[str, Array]:
    if type(found) is not list:
        _reject(f"inputs: found {'nothing' if found is None else show(found)}, expected a list of tensors")
    arrays: dict[str, Array] = {}
    for index, item in enumerate(found):
        name = _name("inputs", index, item, model.inputs)
        if name in arrays:
            _reject(f"inputs[{index}].name: found {show(name)} a second time, expected each input once")
        _parameters(f"inputs[{index}].parameters", item)
        try:
            arrays[name] = tensors.decode(model.inputs[name], item)
        except TensorInvalid as fault:
            _reject(f"inputs[{index}] {show(name)}: {fault}")
    if len(arrays) < len(model.inputs):
        missing = [name for name in model.inputs if name not in arrays]
        _reject(f"inputs: found no {listed(missing)}, expected {listed(model.inputs)}")
    return arrays


def _outputs(found: object, model: Schema) -> list[Tensor]:
    """Those the client wants; all where it does not say."""
    if not found and (found is None or type(found) is list):
        return list(model.outputs.values())
    if type(found) is not list:
        _reject(f"outputs: found {show(found)}, expected a list of objects with a name")
    names = [_name("outputs", index, item, model.outputs) for index, item in enumerate(found)]
    if len(set(names)) < len(names):
        _reject("outputs: found a name twice, expected each output once")
    return [model.outputs[name] for name in names]


def _name(field: str, index: int, item: object, known: Mapping[str, Tensor]) -> str:
    if type(item) is not dict:
        _reject(f"{field}[{index}]: found {show(item)}, expected an object")
    name = item.get("name")
    if type(name) is not str or name not in known:
        _reject(f"{field}[{index}].name: found {'nothing' if name is None else show(name)}, expected {listed(known)}")
    return name


def _parameters(field: str, holder: Mapping[str, Any]) -> None:
    """They are accepted and have no effect: none is defined by the protocol itself."""
    found = holder.get("parameters")
    if found is not None and type(found) is not dict:
        _reject(f"{field}: found {show(found)}, expected an object")


def listed(names: Iterable[str]) -> str:
    """Names for a message: the first ten."""
    shown = [show(name) for name in names]
    more = f" and {len(shown) - _NAMES_SHOWN} more" if len(shown) > _NAMES_SHOWN else ""
    return ", ".join(shown[:_NAMES_SHOWN]) + more or "none"


def _reject(message: str) -> NoReturn:
    raise Rejected(400, message)
