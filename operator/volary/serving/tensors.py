"""One tensor of the Open Inference Protocol, from JSON to numpy and back. Pure.

JSON has no NaN and no infinity. NaN is written as `null`, in answers and in requests: models of
trees take it for a missing value. An infinity in an answer becomes `null` too and is never accepted.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import chain
from types import MappingProxyType, NoneType
from typing import Any

import numpy as np
import orjson
from numpy.typing import NDArray

from volary.bundle.manifest import Tensor
from volary.bundle.tensors import Datatype
from volary.serving import brain

Array = NDArray[Any]

_SHOWN = 60  # characters of a found value in a message


class TensorInvalid(ValueError):
    """A tensor of a request is not the one the model takes: which field, what was found, what was expected."""

    def __init__(self, field: str, found: str, expected: str) -> None:
        super().__init__(f"{field}: found {found}, expected {expected}")


@dataclass(frozen=True, slots=True)
class _Codec:
    """How one datatype looks in numpy and in JSON."""

    dtype: np.dtype[Any]
    types: frozenset[type]  # of an element, as orjson reads it; bool is no int here
    expected: str  # an element, for messages
    least: float = -math.inf
    most: float = math.inf


def _integer(dtype: type[np.integer[Any]]) -> _Codec:
    info = np.iinfo(dtype)
    return _Codec(np.dtype(dtype), frozenset({int}), f"an integer from {info.min} to {info.max}", int(info.min), int(info.max))


def _floating(dtype: type[np.floating[Any]], most: float = math.inf) -> _Codec:
    most = min(most, float(np.finfo(dtype).max))
    expected = f"a number from {-most:g} to {most:g}, or null for NaN"
    return _Codec(np.dtype(dtype), frozenset({float, int, NoneType}), expected, -most, most)


_CODECS: Mapping[Datatype, _Codec] = MappingProxyType(
    {
        Datatype.BOOL: _Codec(np.dtype(np.bool_), frozenset({bool}), "true or false"),
        Datatype.UINT8: _integer(np.uint8),
        Datatype.UINT16: _integer(np.uint16),
        Datatype.UINT32: _integer(np.uint32),
        Datatype.UINT64: _integer(np.uint64),
        Datatype.INT8: _integer(np.int8),
        Datatype.INT16: _integer(np.int16),
        Datatype.INT32: _integer(np.int32),
        Datatype.INT64: _integer(np.int64),
        Datatype.FP16: _floating(np.float16),
        Datatype.FP32: _floating(np.float32),
        Datatype.FP64: _floating(np.float64),
        Datatype.BF16: _floating(np.float32, brain.MOST),
        Datatype.BYTES: _Codec(np.dtype(np.object_), frozenset({str}), "a string"),
    }
)


def dtype(datatype: Datatype) -> np.dtype[Any]:
    """How numpy holds it; BF16 as FP32."""
    return _CODECS[datatype].dtype


def decode(expected: Tensor, found: Mapping[str, Any]) -> Array:
    """The JSON tensor `found` as an array of the declared datatype and of its own shape, row-major.

    `data` may be flat or nested. Raises TensorInvalid.
    """
    codec = _CODECS[expected.datatype]
    datatype = found.get("datatype")
    if datatype != expected.datatype:
        raise TensorInvalid("datatype", show(datatype), expected.datatype)
    shape = check_shape(expected, found.get("shape"))
    data = found.get("data")
    if type(data) is not list:
        if isinstance(data, np.ndarray):  # from `bulk`
            _check_count(len(data), shape)
            return _fitted(codec, data, expected.datatype).reshape(shape)
        raise TensorInvalid("data", "nothing" if data is None else show(data), "a list")
    if data and type(data[0]) is list:
        data = _flatten(data, shape)
    _check_count(len(data), shape)
    return _convert(codec, data, expected.datatype).reshape(shape)


def encode(declared: Tensor, array: Array) -> dict[str, Any]:
    """The JSON tensor of an array, data flat. Only orjson with OPT_SERIALIZE_NUMPY can write it."""
    flat = array.ravel()
    data = flat.tolist() if declared.datatype is Datatype.BYTES else flat
    return {"name": declared.name, "datatype": declared.datatype, "shape": array.shape, "data": data}


def show(value: object) -> str:
    """A value of a request for a message: never more than a line, however large it is."""
    if isinstance(value, list):
        return f"a list of {len(value)}"
    if isinstance(value, dict):
        return "an object"
    text = orjson.dumps(value[:_SHOWN] if isinstance(value, str) else value).decode()
    return text if len(text) <= _SHOWN else f"{text[:_SHOWN]}..."


def check_shape(expected: Tensor, shape: object) -> list[int]:
    """The shape of a request, proved to be one the model takes. Raises TensorInvalid."""
    wanted = expected.shape
    if type(shape) is not list:
        raise TensorInvalid("shape", "nothing" if shape is None else show(shape), f"a list like {list(wanted)}")
    if len(shape) != len(wanted):
        raise TensorInvalid("shape", f"{len(shape)} dimensions", f"{len(wanted)}: {list(wanted)}")
    for axis, (size, size_wanted) in enumerate(zip(shape, wanted, strict=True)):
        if type(size) is not int or size < 0:
            raise TensorInvalid(f"shape[{axis}]", show(size), "an integer of 0 or more" if size_wanted < 0 else str(size_wanted))
        if size_wanted not in (-1, size):
            raise TensorInvalid(f"shape[{axis}]", str(size), str(size_wanted))
    return shape


def _flatten(rows: list[Any], shape: list[int]) -> list[Any]:
    """Nested lists as one, after proof that each has the length its axis has."""
    if len(shape) < 2 or len(rows) != shape[0]:  # one axis cannot nest
        raise TensorInvalid("data", f"{len(rows)} nested lists", f"nesting of shape {shape}")
    for axis, size in enumerate(shape[1:], start=1):
        if not set(map(type, rows)) <= {list}:
            raise TensorInvalid("data", f"a value where axis {axis} begins", f"nesting of shape {shape}")
        if not set(map(len, rows)) <= {size}:
            wrong = next(len(row) for row in rows if len(row) != size)
            raise TensorInvalid("data", f"a list of {wrong} on axis {axis}", f"{size} for shape {shape}")
        rows = list(chain.from_iterable(rows))
    return rows


def _check_count(found: int, shape: list[int]) -> None:
    if found != (count := math.prod(shape)):
        raise TensorInvalid("data", f"{found} elements", f"{count} for shape {shape}")


def _fitted(codec: _Codec, numbers: Array, datatype: Datatype) -> Array:
    """Numbers of 64 bits as those of the datatype. The message is for nobody: who reads bulk reads it again with care."""
    if codec.dtype.kind == "f":
        with np.errstate(over="ignore"):
            return _finite(numbers.astype(codec.dtype, copy=False), datatype)
    if numbers.size and (numbers.min() < codec.least or numbers.max() > codec.most):
        raise TensorInvalid("data", "a number out of range", codec.expected)
    return numbers.astype(codec.dtype, copy=False)


def _finite(array: Array, datatype: Datatype) -> Array:
    """Raises OverflowError: JSON holds no infinity, so one can only come from a number too large for FP16, BF16 or FP32."""
    if datatype is Datatype.BF16:
        array = brain.widen(brain.narrow(array))
    if np.isinf(array).any():
        raise OverflowError
    return array


def _convert(codec: _Codec, flat: list[Any], datatype: Datatype) -> Array:
    # numpy would take "1.5" and true for numbers, so types are proved first: 11 ns an element, parsing takes 40.
    if not set(map(type, flat)) <= codec.types:
        raise _first_wrong(codec, flat)
    try:
        with np.errstate(over="ignore"):
            array: Array = np.array(flat, dtype=codec.dtype)
        return _finite(array, datatype) if codec.dtype.kind == "f" else array
    except OverflowError:
        raise _first_wrong(codec, flat) from None


def _first_wrong(codec: _Codec, flat: list[Any]) -> TensorInvalid:
    index = next(index for index, value in enumerate(flat) if not _fits(codec, value))
    return TensorInvalid(f"data[{index}]", show(flat[index]), codec.expected)


def _fits(codec: _Codec, value: object) -> bool:
    if type(value) not in codec.types:
        return False
    return not isinstance(value, (int, float)) or codec.least <= value <= codec.most
