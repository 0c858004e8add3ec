"""One tensor as bytes: little-endian, row-major, nothing between elements; before each element of BYTES its length in 4 bytes. Pure."""

import math
import struct
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np

from volary.bundle.manifest import Tensor
from volary.bundle.tensors import Datatype
from volary.serving import brain, tensors
from volary.serving.tensors import Array, TensorInvalid

_LENGTH = 4


def read(expected: Tensor, shape: Sequence[int], data: bytes | memoryview) -> Array:
    """The array of this shape; it may be a view of `data`. Raises TensorInvalid."""
    if expected.datatype is Datatype.BYTES:
        return _strings(shape, bytes(data))
    dtype = _dtype(expected.datatype)
    if len(data) != (size := math.prod(shape) * dtype.itemsize):
        raise TensorInvalid("raw contents", f"{len(data)} bytes", f"{size} for shape {list(shape)} of {expected.datatype}")
    if expected.datatype is Datatype.BOOL and (most := np.frombuffer(data, np.uint8).max(initial=0)) > 1:
        raise TensorInvalid("raw contents", f"a byte of {most}", "0 or 1")
    array = np.frombuffer(data, dtype).reshape(shape)
    if expected.datatype is Datatype.BF16:
        return brain.widen(array)
    # A part of a body begins anywhere; ONNX Runtime may load several elements at once from where it is told to.
    return array if array.flags.aligned else array.copy()


def read_alone(expected: Tensor, data: bytes) -> Array:
    """The array of a body that is one tensor and says no more: its shape follows from its size. Raises TensorInvalid.

    One free axis gets what there is; of two, the first is a batch of 1. Text is one element, without its length.
    """
    free = [axis for axis, size in enumerate(expected.shape) if size < 0]
    shape = [1 if size < 0 else size for size in expected.shape]
    if expected.datatype is Datatype.BYTES:
        if math.prod(shape) != 1:
            raise TensorInvalid("shape", f"{list(expected.shape)}", "one element, for text that is sent without a shape")
        return texts("raw contents", [data]).reshape(shape)
    if len(free) > 2 or (len(free) == 2 and free[0] != 0):
        raise TensorInvalid(
            "shape", f"{list(expected.shape)}", "at most one free axis beside the batch, for data that is sent without a shape"
        )
    if free:
        row = math.prod(shape) * _dtype(expected.datatype).itemsize
        if not row or len(data) % row:
            raise TensorInvalid("raw contents", f"{len(data)} bytes", f"a multiple of {row} for shape {list(expected.shape)}")
        shape[free[-1]] = len(data) // row
    return read(expected, shape, data)


def write(declared: Tensor, array: Array) -> bytes:
    """Its bytes."""
    if declared.datatype is Datatype.BF16:
        return brain.narrow(array).tobytes()
    if declared.datatype is not Datatype.BYTES:
        return array.tobytes()
    return b"".join(len(each).to_bytes(_LENGTH, "little") + each for each in map(encoded, array.ravel().tolist()))


def _dtype(datatype: Datatype) -> np.dtype[Any]:
    return np.dtype(np.uint16) if datatype is Datatype.BF16 else tensors.dtype(datatype)


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
    while at < len(data) and len(elements) <= count:
        if at + _LENGTH > len(data) or at + _LENGTH + (size := struct.unpack_from("<I", data, at)[0]) > len(data):
            raise TensorInvalid("raw contents", f"an element that ends after the {len(data)} bytes there are", "whole elements")
        elements.append(data[at + _LENGTH : at + _LENGTH + size])
        at += _LENGTH + size
    if len(elements) != count:
        found = "more" if len(elements) > count else len(elements)
        raise TensorInvalid("raw contents", f"{found} elements", f"{count} for shape {list(shape)}")
    return texts("raw contents", elements).reshape(shape)
