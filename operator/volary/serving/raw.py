"""One tensor as bytes: little-endian, row-major, nothing between elements; before each element of BYTES its length in 4 bytes. Pure."""

import math
import struct
from collections.abc import Iterable, Sequence

import numpy as np

from volary.bundle.manifest import Tensor
from volary.bundle.tensors import Datatype
from volary.serving import tensors
from volary.serving.tensors import Array, TensorInvalid

_LENGTH = 4


def read(expected: Tensor, shape: Sequence[int], data: bytes) -> Array:
    """The array of this shape. Raises TensorInvalid."""
    if expected.datatype is Datatype.BYTES:
        return _strings(shape, data)
    dtype = tensors.dtype(expected.datatype)
    if len(data) != (size := math.prod(shape) * dtype.itemsize):
        raise TensorInvalid("raw contents", f"{len(data)} bytes", f"{size} for shape {list(shape)} of {expected.datatype}")
    if expected.datatype is Datatype.BOOL and max(data, default=0) > 1:
        raise TensorInvalid("raw contents", f"a byte of {max(data)}", "0 or 1")
    return np.frombuffer(data, dtype).reshape(shape)


def write(declared: Tensor, array: Array) -> bytes:
    """Its bytes."""
    if declared.datatype is not Datatype.BYTES:
        return array.tobytes()
    return b"".join(len(each).to_bytes(_LENGTH, "little") + each for each in map(encoded, array.ravel().tolist()))


def texts(field: str, elements: Iterable[bytes]) -> Array:
    """Elements of BYTES as ONNX Runtime takes them. Raises TensorInvalid."""
    found: list[str] = []
    for index, each in enumerate(elements):
        try:
            found.append(each.decode())
        except UnicodeDecodeError:
            raise TensorInvalid(f"{field}[{index}]", "bytes that are not UTF-8", "text: the model takes strings") from None
    return np.array(found, dtype=np.object_)


def encoded(element: str | bytes) -> bytes:
    """An element of BYTES as ONNX Runtime gives it."""
    return element.encode() if isinstance(element, str) else element


def _strings(shape: Sequence[int], data: bytes) -> Array:
    count, at = math.prod(shape), 0
    elements: list[bytes] = []
    while at < len(data):
        if at + _LENGTH > len(data) or at + _LENGTH + (size := struct.unpack_from("<I", data, at)[0]) > len(data):
            raise TensorInvalid("raw contents", f"an element that ends after the {len(data)} bytes there are", "whole elements")
        elements.append(data[at + _LENGTH : at + _LENGTH + size])
        at += _LENGTH + size
    if len(elements) != count:
        raise TensorInvalid("raw contents", f"{len(elements)} elements", f"{count} for shape {list(shape)}")
    return texts("raw contents", elements).reshape(shape)
