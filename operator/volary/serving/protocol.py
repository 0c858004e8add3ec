"""Open Inference Protocol v2, REST: bodies of requests and answers. Pure."""

from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, NoReturn

import orjson

from volary import __version__
from volary.bundle.manifest import Manifest, Tensor
from volary.serving import bulk, raw, tensors
from volary.serving.tensors import Array, TensorInvalid, show

PLATFORM = "onnx_onnxv1"
READY = "READY"
JSON_LENGTH = "inference-header-content-length"  # a header of requests and answers
_SIZE = "binary_data_size"
_NO_PARAMETERS: Mapping[str, Any] = MappingProxyType({})
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
    binary: frozenset[str] = frozenset()  # names of outputs that are to be answered in bytes


class Blobs:
    """The bytes after the JSON, which inputs take in their order."""

    def __init__(self, data: memoryview) -> None:
        self._rest = data

    def take(self, size: int) -> memoryview:
        """The next so many. Raises TensorInvalid."""
        if size > len(self._rest):
            raise TensorInvalid(_SIZE, str(size), f"at most {len(self._rest)}, the bytes that are left after the JSON")
        taken, self._rest = self._rest[:size], self._rest[size:]
        return taken

    def check_end(self) -> None:
        """Raises Rejected (400) if any are left."""
        if self._rest:
            _reject(f"the body: found {len(self._rest)} bytes after the last input, expected none")


def schema(model: str, manifest: Manifest) -> Schema:
    """The schema of a bundle served as `model`."""
    return Schema(
        model,
        manifest.version,
        {tensor.name: tensor for tensor in manifest.inputs},
        {tensor.name: tensor for tensor in manifest.outputs},
    )


def read_call(body: bytes, model: Schema, json_length: int | None = None) -> Call:
    """The body of an inference request. Raises Rejected (400).

    `json_length`: what the header inference-header-content-length says, of the binary tensor extension: so many bytes
    are JSON, the others are tensors; 0: all of them are the only input.
    """
    if json_length == 0:
        return _read_raw(body, model)
    if json_length is not None:
        if json_length > len(body):
            _reject(f"{JSON_LENGTH}: found {json_length}, expected at most {len(body)}, the bytes of the body")
        return _call(read_object(body[:json_length]), model, Blobs(memoryview(body)[json_length:]))
    if len(body) >= bulk.WORTH and (request := bulk.loads(body)) is not None:
        # Whatever is wrong, the careful way finds it again and says where.
        with suppress(Rejected, OverflowError):
            return _call(request, model, None)
    return _call(read_object(body), model, None)


def answer(model: Schema, call: Call, arrays: Iterable[Array]) -> bytes:
    """The body for a call that was run, all of it JSON; `arrays` in the order of `call.outputs`."""
    return _answer(model, call, [tensors.encode(tensor, array) for tensor, array in zip(call.outputs, arrays, strict=True)])


def binary_answer(model: Schema, call: Call, arrays: Iterable[Array]) -> tuple[int, bytes]:
    """The same for a call that asks for bytes: how much of the body is JSON, and the body."""
    outputs, parts = list[dict[str, Any]](), [b""]
    for tensor, array in zip(call.outputs, arrays, strict=True):
        if tensor.name in call.binary:
            data = raw.write(tensor, array)
            parts.append(data)
            outputs.append({**_declaration(tensor), "shape": array.shape, "parameters": {_SIZE: len(data)}})
        else:
            outputs.append(tensors.encode(tensor, array))
    parts[0] = _answer(model, call, outputs)
    return len(parts[0]), b"".join(parts)


def server_metadata() -> bytes:
    """The body of GET /v2."""
    return orjson.dumps({"name": "volary", "version": __version__, "extensions": ["binary_tensor_data"]})


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


def _answer(model: Schema, call: Call, outputs: list[dict[str, Any]]) -> bytes:
    body: dict[str, Any] = {"model_name": model.model, "model_version": model.version}
    if call.id is not None:
        body["id"] = call.id
    body["outputs"] = outputs
    return orjson.dumps(body, option=orjson.OPT_SERIALIZE_NUMPY)


def read_object(body: bytes) -> dict[str, Any]:
    """The JSON object that a body is. Raises Rejected (400)."""
    try:
        request = orjson.loads(body)
    except orjson.JSONDecodeError as error:
        _reject(f"the body is not JSON: {error}")
    if type(request) is not dict:
        _reject(f"the body: found {show(request)}, expected an object")
    return request


def _call(request: dict[str, Any], model: Schema, blobs: Blobs | None) -> Call:
    identity = request.get("id")
    if identity is not None and type(identity) is not str:
        _reject(f"id: found {show(identity)}, expected a string")
    parameters = _parameters("parameters", request)
    inputs = _inputs(request.get("inputs"), model, blobs)
    outputs = _outputs(request.get("outputs"), model)
    asked = request.get("outputs")
    if not asked and not parameters:
        return Call(identity, inputs, outputs)
    return Call(identity, inputs, outputs, _binary(parameters, asked or [], outputs))


def _read_raw(body: bytes, model: Schema) -> Call:
    """The body is the only input, and all outputs are answered in bytes."""
    if len(model.inputs) != 1:
        _reject(
            f"{JSON_LENGTH}: found 0, which is for models with one input, expected the length of a JSON that names {listed(model.inputs)}"
        )
    (tensor,) = model.inputs.values()
    try:
        array = raw.read_alone(tensor, body)
    except TensorInvalid as fault:
        _reject(f"the body as {show(tensor.name)}: {fault}")
    outputs = list(model.outputs.values())
    return Call(None, {tensor.name: array}, outputs, frozenset(model.outputs))


def _inputs(found: object, model: Schema, blobs: Blobs | None) -> dict[str, Array]:
    if type(found) is not list:
        _reject(f"inputs: found {'nothing' if found is None else show(found)}, expected a list of tensors")
    arrays: dict[str, Array] = {}
    for index, item in enumerate(found):
        name = _name("inputs", index, item, model.inputs)
        if name in arrays:
            _reject(f"inputs[{index}].name: found {show(name)} a second time, expected each input once")
        parameters = _parameters(f"inputs[{index}].parameters", item)
        try:
            if parameters and _SIZE in parameters:
                arrays[name] = _from_bytes(model.inputs[name], item, blobs, parameters[_SIZE])
            else:
                arrays[name] = tensors.decode(model.inputs[name], item)
        except TensorInvalid as fault:
            _reject(f"inputs[{index}] {show(name)}: {fault}")
    if len(arrays) < len(model.inputs):
        missing = [name for name in model.inputs if name not in arrays]
        _reject(f"inputs: found no {listed(missing)}, expected {listed(model.inputs)}")
    if blobs is not None:
        blobs.check_end()
    return arrays


def _from_bytes(expected: Tensor, found: Mapping[str, Any], blobs: Blobs | None, size: object) -> Array:
    if blobs is None:
        raise TensorInvalid(_SIZE, show(size), f"none without the header {JSON_LENGTH}")
    if type(size) is not int or size < 0:
        raise TensorInvalid(_SIZE, show(size), "an integer of 0 or more")
    if found.get("data") is not None:
        raise TensorInvalid("data", show(found["data"]), f"none beside {_SIZE}")
    if found.get("datatype") != expected.datatype:
        raise TensorInvalid("datatype", show(found.get("datatype")), expected.datatype)
    shape = tensors.check_shape(expected, found.get("shape"))
    return raw.read(expected, shape, blobs.take(size))


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


def _binary(parameters: Mapping[str, Any], asked: Iterable[Mapping[str, Any]], outputs: Iterable[Tensor]) -> frozenset[str]:
    """Which outputs are wanted in bytes: what is said of one goes before what is said of all."""
    names = {tensor.name for tensor in outputs} if _flag("parameters", parameters, "binary_data_output") else set[str]()
    for index, item in enumerate(asked):
        field = f"outputs[{index}].parameters"
        own = _parameters(field, item)
        if "classification" in own:
            _reject(f"{field}.classification: this server does not have the classification extension; take the output and rank it")
        if (wanted := _flag(field, own, "binary_data")) is not None:
            (names.add if wanted else names.discard)(item["name"])
    return frozenset(names)


def _flag(field: str, parameters: Mapping[str, Any], name: str) -> bool | None:
    found = parameters.get(name)
    if found is not None and type(found) is not bool:
        _reject(f"{field}.{name}: found {show(found)}, expected true or false")
    return found


def _name(field: str, index: int, item: object, known: Mapping[str, Tensor]) -> str:
    if type(item) is not dict:
        _reject(f"{field}[{index}]: found {show(item)}, expected an object")
    name = item.get("name")
    if type(name) is not str or name not in known:
        _reject(f"{field}[{index}].name: found {'nothing' if name is None else show(name)}, expected {listed(known)}")
    return name


def _parameters(field: str, holder: Mapping[str, Any]) -> Mapping[str, Any]:
    """Those of an object. The ones we do not know have no effect; shared memory would have one we cannot give."""
    found = holder.get("parameters")
    if found is None:
        return _NO_PARAMETERS
    if type(found) is not dict:
        _reject(f"{field}: found {show(found)}, expected an object")
    if "shared_memory_region" in found:
        _reject(f"{field}.shared_memory_region: this server does not have the shared memory extension; send the data")
    return found


def listed(names: Iterable[str]) -> str:
    """Names for a message: the first ten."""
    shown = [show(name) for name in names]
    more = f" and {len(shown) - _NAMES_SHOWN} more" if len(shown) > _NAMES_SHOWN else ""
    return ", ".join(shown[:_NAMES_SHOWN]) + more or "none"


def _reject(message: str) -> NoReturn:
    raise Rejected(400, message)
