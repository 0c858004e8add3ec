"""Several requests as one run of the model: rows are joined along the first axis and parted again. Pure.

Three requests of shapes [1, 4], [3, 4] and [2, 4] become one of [6, 4]; of each output rows 0, 1 to 3 and 4 to 5 go back.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import accumulate

import numpy as np

from volary.bundle.manifest import Tensor
from volary.serving.protocol import Call
from volary.serving.tensors import Array

Kind = tuple[object, ...]  # calls of one kind can be joined


@dataclass(frozen=True, slots=True)
class Batching:
    """How far requests of one model are joined."""

    size: int  # most rows of one run; 1: never join
    delay: float = 0.0  # seconds that the first may wait for others, where others are to be expected


OFF = Batching(1)


class Parted(Exception):
    """An output does not have the rows that went in: the model is not one whose requests can be joined."""


def fixed(inputs: Iterable[Tensor], outputs: Iterable[Tensor]) -> str | None:
    """The first tensor whose first axis is not free, or None: then rows can be joined, as far as shapes tell."""
    for side, tensors in (("input", inputs), ("output", outputs)):
        for tensor in tensors:
            if not tensor.shape or tensor.shape[0] != -1:
                return f"the first axis of the {side} {tensor.name!r} is not free: its shape is {list(tensor.shape)}"
    return None


def kind(call: Call) -> Kind | None:
    """What must be equal, or None where the call can be joined with no other: no rows, or not as many in each input."""
    count = rows(call)
    key: list[object] = []
    for name, array in call.inputs.items():
        shape = array.shape
        if shape[0] != count:
            return None
        key += (name, shape[1:])
    if not count:
        return None
    key += [tensor.name for tensor in call.outputs]
    return tuple(key)


def rows(call: Call) -> int:
    """The size of the first axis of its first input; 0 where there is none."""
    for array in call.inputs.values():
        size: int = array.shape[0]
        return size
    return 0


def join(calls: Sequence[Call]) -> Mapping[str, Array]:
    """The inputs of one run for calls of one kind."""
    return {name: np.concatenate([call.inputs[name] for call in calls]) for name in calls[0].inputs}


def part(counts: Sequence[int], arrays: Sequence[Array]) -> list[list[Array]]:
    """The outputs for each call, given its rows. Raises Parted."""
    ends = list(accumulate(counts))
    if any(not array.ndim or array.shape[0] != ends[-1] for array in arrays):
        raise Parted(f"outputs of shapes {[array.shape for array in arrays]} for {ends[-1]} rows")
    return [[array[end - count : end] for array in arrays] for count, end in zip(counts, ends, strict=True)]
