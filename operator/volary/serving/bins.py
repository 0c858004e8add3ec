"""What a model answers, as one of sixteen bins an output: how answers of two versions are compared without keeping any.

Only the first item of an answer is looked at, so that a large batch is one event like any other
request, and the cost does not grow with it.

* vectors of floats (probabilities, logits): the index of the largest, modulo 16
* single floats (a score, a price): ranges, finest between 0 and 1
* integers: the value modulo 16; booleans: the value; strings: a checksum modulo 16
"""

import math
from bisect import bisect_left
from collections.abc import Callable
from zlib import crc32

from volary.bundle.manifest import Tensor
from volary.bundle.tensors import Datatype
from volary.serving.tensors import Array

COUNT = 16
EDGES = (-100.0, -1.0, 0.0, 0.1, 0.25, 0.5, 0.75, 0.9, 1.0, 10.0, 100.0, 1e3, 1e4, 1e5)  # upper ends, each included
_RANGES = (*(f"<={edge:g}" for edge in EDGES), f">{EDGES[-1]:g}", "NaN")
_NUMBERS = tuple(str(number) for number in range(COUNT))

Bin = Callable[[Array], int]


def names(tensor: Tensor) -> tuple[str, ...]:
    """The sixteen bins of an output, for people."""
    return _RANGES if _is_single(tensor) else _NUMBERS


def binning(tensor: Tensor) -> Bin:
    """From a not empty array of this output to the index of its bin."""
    match tensor.datatype:
        case Datatype.BYTES:
            return _text
        case datatype if not datatype.is_float:
            return _integer
        case _:
            return _single if _is_single(tensor) else _largest


def _is_single(tensor: Tensor) -> bool:
    """A float an item, not a vector of them."""
    return tensor.datatype.is_float and (len(tensor.shape) < 2 or tensor.shape[-1] == 1)


def _largest(array: Array) -> int:
    return int(array.reshape(-1, array.shape[-1])[0].argmax()) % COUNT


def _single(array: Array) -> int:
    value = float(array.flat[0])
    return COUNT - 1 if math.isnan(value) else bisect_left(EDGES, value)


def _integer(array: Array) -> int:
    return int(array.flat[0]) % COUNT


def _text(array: Array) -> int:
    return crc32(str(array.flat[0]).encode()) % COUNT
