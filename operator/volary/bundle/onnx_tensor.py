"""One constant of an ONNX graph: does it claim only bytes that it has, and files that are in the bundle?

Weights outside of the model file are where most attacks on ONNX were: paths that leave the
directory (CVE-2022-25882, CVE-2024-27318), keys that set attributes of Python objects
(CVE-2026-34445), and a location that ONNX Runtime takes for an address in its own memory.
"""

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import NoReturn

from volary.bundle import limits, paths, protobuf
from volary.bundle.facts import External
from volary.bundle.onnx_schema import ENTRY, SPARSE, TENSOR
from volary.bundle.protobuf import Span, Value, Walker
from volary.common.errors import Refused
from volary.common.reasons import Reason

# TensorProto.DataType -> bits of an element (onnx-ml.proto). 8 is text, which has no size of its own.
BITS: Mapping[int, int] = {
    **dict.fromkeys((2, 3, 9, 17, 18, 19, 20, 24), 8),
    **dict.fromkeys((4, 5, 10, 16), 16),
    **dict.fromkeys((1, 6, 12), 32),
    **dict.fromkeys((7, 11, 13, 14), 64),
    15: 128,
    **dict.fromkeys((27, 28), 6),  # packed: four in three bytes
    **dict.fromkeys((21, 22, 23), 4),
    **dict.fromkeys((25, 26), 2),
}
TEXT = 8
_EXTERNAL = 1  # TensorProto.DataLocation
_KEYS = ("location", "offset", "length", "checksum")
_NUMBER = re.compile(r"[0-9]{1,19}")
_I64 = 2**63 - 1
_MEMORY_MARKER = "_ORT_MEM_ADDR_"
# Elements one byte of each data field can hold at most: a packed float has four bytes, a varint one or more
# (and eight elements of 2 bits, or four of 4, share one value of int32_data).
_PER_BYTE = {4: 1 / 4, 10: 1 / 8, 5: 4.0, 7: 1.0, 11: 1.0}


@dataclass(slots=True)
class _Tensor:
    """What was read of it."""

    name: str = ""
    type: int = 0
    dims: list[int] = field(default_factory=list)
    raw: int | None = None  # bytes
    room: float = 0.0  # elements that the other data fields can hold
    outside: bool = False
    entries: dict[str, str] = field(default_factory=dict)


def check(walker: Walker, span: Span, owner: str, files: Mapping[str, int]) -> tuple[str, External | None]:
    """Its name, and where its bytes are, if in another file. `files` are names and sizes. Raises Refused."""
    tensor = _read(walker, span, owner)
    where = f"{walker.name}: the tensor {paths.show(tensor.name)} {owner}"
    needed = _needed(where, tensor)
    if tensor.outside or tensor.entries:
        return tensor.name, _check_external(where, tensor, needed, files)
    _check_inside(where, tensor, needed)
    return tensor.name, None


def check_sparse(walker: Walker, span: Span, owner: str, files: Mapping[str, int]) -> list[External]:
    """The same for a sparse tensor: its values and its indices are tensors each."""
    found, dims = [], list[int]()
    for number, value in walker.fields(span, SPARSE):
        match number, value:
            case 3, _:
                _read_dims(walker, value, dims, owner)
            case _, Span():
                found.append(check(walker, value, f"of a sparse tensor {owner}", files)[1])
            case _:
                pass
    _elements(f"{walker.name}: a sparse tensor {owner}", dims)
    return [each for each in found if each is not None]


def _read(walker: Walker, span: Span, owner: str) -> _Tensor:
    tensor = _Tensor()
    for number, value in walker.fields(span, TENSOR):
        match number, value:
            case 1, _:
                _read_dims(walker, value, tensor.dims, owner)
            case 2, int():
                tensor.type = protobuf.small(value)
            case 6, _:
                tensor.room += 1
            case 8, _:
                tensor.name = walker.text(value)
            case 9, Span():
                tensor.raw = value.size
            case 13, Span():
                _read_entry(walker, value, tensor, owner)
            case 14, int():
                tensor.outside = protobuf.small(value) == _EXTERNAL
            case ((4 | 5 | 7 | 10 | 11), Span()):
                tensor.room += value.size * _PER_BYTE[number]
            case _:
                pass
    return tensor


def _read_dims(walker: Walker, value: Value, dims: list[int], owner: str) -> None:
    for size in walker.integers(value):
        dims.append(protobuf.signed(size))
        if len(dims) > limits.TENSOR_RANK:
            _invalid(f"{walker.name}: a tensor {owner}", f"has more than {limits.TENSOR_RANK} dimensions")


def _read_entry(walker: Walker, span: Span, tensor: _Tensor, owner: str) -> None:
    found = {number: walker.text(value) for number, value in walker.fields(span, ENTRY)}
    key = found.get(1, "")
    where = f"{walker.name}: the tensor {paths.show(tensor.name)} {owner}"
    if key not in _KEYS:
        _external(where, f"has the key {paths.show(key)} in its external data; known are {', '.join(_KEYS)}")
    if key in tensor.entries:
        _external(where, f"has the key {key} twice in its external data")
    tensor.entries[key] = found.get(2, "")


def _needed(where: str, tensor: _Tensor) -> int:
    """Bytes its elements take; 0 for text. The type must be known: of another nobody can say how much is read."""
    elements = _elements(where, tensor.dims)
    if tensor.type == TEXT:
        return 0
    bits = BITS.get(tensor.type)
    if bits is None:
        _invalid(where, f"has the element type {tensor.type}, which ONNX does not know")
    return (elements * bits + 7) // 8


def _elements(where: str, dims: list[int]) -> int:
    if any(size < 0 for size in dims):
        _invalid(where, f"has a negative dimension: {_short(dims)}")
    # Without zeros, as a runtime may multiply before it meets the zero.
    if math.prod(size for size in dims if size) > _I64:
        _invalid(where, f"has the shape {_short(dims)}, more than 2^63 elements")
    return math.prod(dims)


def _check_inside(where: str, tensor: _Tensor, needed: int) -> None:
    if tensor.raw is not None:
        if tensor.raw != needed:
            _invalid(where, f"has {tensor.raw} bytes, its shape {_short(tensor.dims)} takes {needed}")
    elif math.prod(tensor.dims) > tensor.room:
        _invalid(where, f"claims the shape {_short(tensor.dims)}, its data holds {int(tensor.room)} elements at most")


def _check_external(where: str, tensor: _Tensor, needed: int, files: Mapping[str, int]) -> External:
    if not tensor.outside:
        _external(where, "names external data and says that it has none")
    if tensor.raw is not None or tensor.room or tensor.type == TEXT:
        _external(where, "has its data both inside and outside of the model, or is text, which cannot be outside")
    location = tensor.entries.get("location", "")
    size = _check_location(where, location, files)
    offset = _number(where, tensor, "offset", 0)
    length = _number(where, tensor, "length", max(0, size - offset))
    if offset + length > size:
        _external(where, f"is at {offset} + {length} of {paths.show(location)}, which has {size} bytes")
    if needed > length:
        _external(where, f"takes {needed} bytes by its shape {_short(tensor.dims)} and has {length} in {paths.show(location)}")
    return External(tensor.name, location, offset, length)


def _check_location(where: str, location: str, files: Mapping[str, int]) -> int:
    """Size of the file."""
    if _MEMORY_MARKER in location.upper():
        _external(where, f"has the location {paths.show(location)}, which ONNX Runtime takes for an address in its memory")
    try:
        paths.check(location)
    except Refused as error:
        _external(where, f"has the location {paths.show(location)}: {error.message}")
    if location not in files:
        _external(where, f"is in {paths.show(location)}, which is no data file of the bundle")
    return files[location]


def _number(where: str, tensor: _Tensor, key: str, default: int) -> int:
    text = tensor.entries.get(key)
    if text is None:
        return default
    if not _NUMBER.fullmatch(text) or int(text) > _I64:
        _external(where, f"has the {key} {paths.show(text)}, expected a number from 0 to 2^63 - 1")
    return int(text)


def _short(dims: list[int]) -> str:
    text = " x ".join(map(str, dims)) or "of a number"
    return text if len(text) <= limits.PATH_PART else f"{text[: limits.PATH_PART]}..."


def _invalid(where: str, what: str) -> NoReturn:
    raise Refused(Reason.MODEL_INVALID, f"{where} {what}; export the model again")


def _external(where: str, what: str) -> NoReturn:
    raise Refused(Reason.EXTERNAL_DATA_INVALID, f"{where} {what}; save the model anew with its weights in a file beside it")
