"""BF16, which numpy has not. Between the wire and ONNX Runtime its elements are held as FP32: every BF16 is one, exactly.

So metrics, golden samples, joined requests and JSON need to know nothing of it, and the image no package. Only
here are the 16 bits: the upper half of an FP32.
"""

import ctypes
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import onnxruntime as ort  # type: ignore[import-untyped]
from numpy.typing import NDArray

ONNX_TYPE = "tensor(bfloat16)"
MOST = float.fromhex("0x1.fep127")  # the largest finite one

_ONNX_NUMBER = 16  # of BFLOAT16 in ONNX's TensorProto.DataType
_FRACTION = np.uint16(0x7F)
_QUIET = np.uint16(0x40)

Bits = NDArray[np.uint16]
Array = NDArray[Any]


def narrow(array: Array) -> Bits:
    """The bits of each element of an FP32 array, rounded to the nearest, of two as near to the even one. A NaN stays one."""
    flat = np.ravel(array)
    wide = flat.view(np.uint32)
    # 0x7FFF, and 1 more where the last bit that is kept is odd; a carry past the largest gives infinity, as it should.
    rounded = ((wide + (np.uint32(0x7FFF) + ((wide >> 16) & 1))) >> 16).astype(np.uint16)
    # The carry would make a number of some NaNs; cutting makes an infinity of those whose bits are all in the lower half.
    cut = (wide >> 16).astype(np.uint16)
    nan = np.where(cut & _FRACTION, cut, cut | _QUIET)
    return np.where(np.isnan(flat), nan, rounded).reshape(array.shape)


def widen(bits: Bits) -> Array:
    """As FP32."""
    return (bits.astype(np.uint32) << 16).view(np.float32)


def run(session: ort.InferenceSession, inputs: Mapping[str, Array], outputs: Sequence[str], types: Mapping[str, str]) -> list[Array]:
    """One inference of a model that has BF16 among its inputs or outputs; `types`: ONNX Runtime's, by name of either."""
    narrowed = {name: narrow(array) for name, array in inputs.items() if types[name] == ONNX_TYPE}  # must outlive the run
    values = {name: ort.OrtValue.ortvalue_from_numpy_with_onnx_type(bits, _ONNX_NUMBER) for name, bits in narrowed.items()}
    if all(types[name] != ONNX_TYPE for name in outputs):
        found: list[Array] = session.run(outputs, {**inputs, **values})
        return found
    # Only this call gives an output back that has no type in numpy.
    for name, array in inputs.items():
        if name not in values:
            values[name] = ort.OrtValue.ortvalue_from_numpy(np.ascontiguousarray(array))
    return [_array(value) for value in session.run_with_ort_values(outputs, values)]


def _array(value: ort.OrtValue) -> Array:
    if value.data_type() != ONNX_TYPE:
        array: Array = value.numpy()
        return array
    shape = value.shape()
    count = int(np.prod(shape, dtype=np.int64))
    if not count:
        return np.zeros(shape, np.float32)
    # The memory is ONNX Runtime's and goes with `value`; widening copies.
    memory = (ctypes.c_uint16 * count).from_address(value.data_ptr())
    return widen(np.ctypeslib.as_array(memory)).reshape(shape)
