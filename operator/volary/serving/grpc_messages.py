"""Open Inference Protocol v2, gRPC: messages of requests and answers. Pure.

Tensors are typed (`contents`) or raw (`raw_input_contents`: little-endian, row-major, BYTES with a length of
4 bytes before each element). An answer comes as the question came; FP16 and BF16 have no typed form, so an answer
with one of them is raw.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, NoReturn

import numpy as np
from google.protobuf.message import DecodeError  # type: ignore[import-untyped]

from volary.bundle.manifest import Tensor
from volary.bundle.tensors import Datatype
from volary.serving import proto, raw, tensors
from volary.serving.protocol import Call, Rejected, Schema, listed
from volary.serving.tensors import Array, TensorInvalid, show


@dataclass(frozen=True, slots=True)
class _Field:
    """Where the typed elements of a datatype are."""

    name: str
    tag: int = 0  # of the packed field, where its bytes are those of the array


_FIELDS: Mapping[Datatype, _Field] = MappingProxyType(
    {
        Datatype.BOOL: _Field("bool_contents"),
        Datatype.INT8: _Field("int_contents"),
        Datatype.INT16: _Field("int_contents"),
        Datatype.INT32: _Field("int_contents"),
        Datatype.INT64: _Field("int64_contents"),
        Datatype.UINT8: _Field("uint_contents"),
        Datatype.UINT16: _Field("uint_contents"),
        Datatype.UINT32: _Field("uint_contents"),
        Datatype.UINT64: _Field("uint64_contents"),
        Datatype.FP32: _Field("fp32_contents", 6 << 3 | 2),
        Datatype.FP64: _Field("fp64_contents", 7 << 3 | 2),
        Datatype.BYTES: _Field("bytes_contents"),
    }
)


def parse(message: Any, data: bytes) -> Any:
    """The bytes as a message of this class. Raises Rejected (400)."""
    try:
        return message.FromString(data)
    except DecodeError:
        raise Rejected(400, f"the message is no {message.DESCRIPTOR.full_name}, as far as protobuf can read it") from None


def read_call(request: Any, model: Schema) -> Call:
    """A ModelInferRequest. Raises Rejected (400)."""
    blobs = request.raw_input_contents
    if blobs and len(blobs) != len(request.inputs):
        _reject(f"raw_input_contents: found {len(blobs)} of them, expected one for each of the {len(request.inputs)} inputs, or none")
    arrays: dict[str, Array] = {}
    for index, found in enumerate(request.inputs):
        name = found.name
        if name not in model.inputs:
            _reject(f"inputs[{index}].name: found {show(name)}, expected {listed(model.inputs)}")
        if name in arrays:
            _reject(f"inputs[{index}].name: found {show(name)} a second time, expected each input once")
        try:
            arrays[name] = _array(model.inputs[name], found, blobs[index] if blobs else None)
        except TensorInvalid as fault:
            _reject(f"inputs[{index}] {show(name)}: {fault}")
    if len(arrays) < len(model.inputs):
        _reject(f"inputs: found no {listed(name for name in model.inputs if name not in arrays)}, expected {listed(model.inputs)}")
    return Call(request.id or None, arrays, _outputs(request, model))


def answer(model: Schema, request: Any, call: Call, arrays: Sequence[Array]) -> bytes:
    """The ModelInferResponse for a request that was run; `arrays` in the order of `call.outputs`."""
    message = proto.ModelInferResponse(model_name=model.model, model_version=model.version, id=request.id)
    as_raw = bool(request.raw_input_contents) or any(tensor.datatype not in _FIELDS for tensor in call.outputs)
    for tensor, array in zip(call.outputs, arrays, strict=True):
        output = message.outputs.add(name=tensor.name, datatype=tensor.datatype, shape=array.shape)
        if as_raw:
            message.raw_output_contents.append(raw.write(tensor, array))
        else:
            _fill(output.contents, tensor, array)
    return bytes(message.SerializeToString())


def metadata(model: Schema, versions: Sequence[str], platform: str) -> bytes:
    """The ModelMetadataResponse, with the versions that are loaded."""
    message = proto.ModelMetadataResponse(name=model.model, versions=versions, platform=platform)
    for target, tensors_ in ((message.inputs, model.inputs), (message.outputs, model.outputs)):
        for tensor in tensors_.values():
            target.add(name=tensor.name, datatype=tensor.datatype, shape=tensor.shape)
    return bytes(message.SerializeToString())


def _outputs(request: Any, model: Schema) -> list[Tensor]:
    """Those the client wants; all where it does not say."""
    names = [output.name for output in request.outputs]
    for index, name in enumerate(names):
        if name not in model.outputs:
            _reject(f"outputs[{index}].name: found {show(name)}, expected {listed(model.outputs)}")
    if len(set(names)) < len(names):
        _reject("outputs: found a name twice, expected each output once")
    return [model.outputs[name] for name in names] or list(model.outputs.values())


def _array(expected: Tensor, found: Any, blob: bytes | None) -> Array:
    """One input. Raises TensorInvalid."""
    if found.datatype != expected.datatype:
        raise TensorInvalid("datatype", show(found.datatype), expected.datatype)
    shape = tensors.check_shape(expected, list(found.shape))
    if blob is not None:
        if found.HasField("contents") and found.contents.ByteSize():
            raise TensorInvalid("contents", "elements", "none beside raw_input_contents")
        return raw.read(expected, shape, blob)
    field = _FIELDS.get(expected.datatype)
    if field is None:
        raise TensorInvalid("contents", "no raw_input_contents", f"them: {expected.datatype} has no typed form")
    return _typed(expected, field, found.contents, shape)


def _typed(expected: Tensor, field: _Field, contents: Any, shape: list[int]) -> Array:
    elements = getattr(contents, field.name)
    if len(elements) != (count := math.prod(shape)):
        raise TensorInvalid(f"contents.{field.name}", f"{len(elements)} elements", f"{count} for shape {shape}")
    if field.tag and (flat := _packed(contents, field, count, tensors.dtype(expected.datatype))) is not None:
        return flat.reshape(shape)
    if expected.datatype is Datatype.BYTES:
        return raw.texts(f"contents.{field.name}", elements).reshape(shape)
    dtype = tensors.dtype(expected.datatype)
    if dtype.kind in "bf":
        return np.array(elements, dtype).reshape(shape)
    return _narrow(f"contents.{field.name}", np.array(elements, np.uint64 if dtype.kind == "u" else np.int64), dtype).reshape(shape)


def _narrow(field: str, wide: Array, dtype: "np.dtype[Any]") -> Array:
    """8 and 16 bits travel as 32: proved to fit."""
    narrow = wide.astype(dtype)
    if (wrong := np.flatnonzero(narrow != wide)).size:
        info = np.iinfo(dtype)
        raise TensorInvalid(f"{field}[{wrong[0]}]", str(wide[wrong[0]]), f"an integer from {info.min} to {info.max}")
    return narrow


def _packed(contents: Any, field: _Field, count: int, dtype: "np.dtype[Any]") -> Array | None:
    """A packed field holds the bytes of the array: some hundred times as fast as to ask for each element.

    None where the message holds anything else besides, such as fields that the protocol does not know.
    """
    data = contents.SerializeToString()
    size = count * dtype.itemsize
    if not size or data[0] != field.tag or len(data) != 1 + _varint_length(size) + size:
        return None
    return np.frombuffer(data, dtype, count, len(data) - size)


def _varint_length(number: int) -> int:
    """Bytes of it: 7 bits in each."""
    return max(1, -(-number.bit_length() // 7))


def _fill(contents: Any, tensor: Tensor, array: Array) -> None:
    field = _FIELDS[tensor.datatype]
    flat = array.ravel()
    if field.tag and flat.size:
        size = flat.size * flat.itemsize
        contents.MergeFromString(bytes([field.tag]) + _varint(size) + flat.tobytes())
    elif tensor.datatype is Datatype.BYTES:
        contents.bytes_contents.extend(map(raw.encoded, flat.tolist()))
    else:
        getattr(contents, field.name).extend(flat.tolist())


def _varint(number: int) -> bytes:
    parts = bytearray()
    while number >= 128:
        parts.append(number % 128 + 128)
        number //= 128
    parts.append(number)
    return bytes(parts)


def _reject(message: str) -> NoReturn:
    raise Rejected(400, message)
