"""Samples made up from a model's inputs alone, for who has none at hand. The same graph gives the same samples.

They prove that a pod serves this graph with these weights; they do not prove that it is good at anything.
Numbers are drawn from SHAKE-256 of the graph's digest: the same for ever, on every machine and with
every version of numpy.
"""

import hashlib
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import IntEnum
from types import MappingProxyType
from typing import NoReturn

import numpy as np

from volary.bundle import limits
from volary.bundle.manifest import Tensor
from volary.bundle.tensors import Datatype
from volary.common.errors import Refused
from volary.common.reasons import Reason
from volary.packaging.samples import DTYPES, Array, Inputs

ROUNDS = 4  # of each kind; the choice among them is made by what the model answers
ELEMENTS = limits.MIB  # of all inputs together; a number takes about four characters
_QUICK = ELEMENTS // 16  # up to this many, every candidate is worth its time


class Kind(IntEnum):
    """How large the numbers of a sample are. A model may refuse some: an index that no table has, the logarithm of 0."""

    UNIT = 0
    SIGNED = 1
    WIDE = 2
    ZERO = 3


@dataclass(frozen=True, slots=True)
class Candidate:
    """A sample that may be chosen."""

    kind: Kind
    inputs: Inputs


# Floats in steps of 1/100 are short as decimals. Integers stay small: most of them are indices.
_FLOATS: Mapping[Kind, tuple[int, int]] = MappingProxyType(
    {Kind.UNIT: (0, 100), Kind.SIGNED: (-100, 100), Kind.WIDE: (-1000, 1000), Kind.ZERO: (0, 0)}
)
_INTEGERS: Mapping[Kind, tuple[int, int]] = MappingProxyType(
    {Kind.UNIT: (0, 1), Kind.SIGNED: (0, 9), Kind.WIDE: (0, 99), Kind.ZERO: (0, 0)}
)
# Pixels, and what is quantised.
_BYTES: Mapping[Datatype, tuple[int, int]] = MappingProxyType({Datatype.UINT8: (0, 255), Datatype.INT8: (-128, 127)})
_WORDS = ("yes", "no", "unknown", "A", "b", "10", "-1", "2024-01-31", "Zürich", "two words")


def candidates(inputs: tuple[Tensor, ...], axes: Mapping[str, Sequence[str]], dims: Mapping[str, int], seed: bytes) -> Iterator[Candidate]:
    """Inputs of each kind, some more random than others. Raises Refused (SpecInvalid, GoldenInvalid).

    `axes` are the names of each input's axes. A free axis has the size that `dims` gives to its name or to
    `INPUT:AXIS`, else 1: `{"batch": 4, "ids:1": 16}`.
    """
    shapes = {tensor.name: _shape(tensor, axes.get(tensor.name, ()), dims) for tensor in inputs}
    _check(inputs, axes, dims, shapes)
    elements = sum(math.prod(shape) for shape in shapes.values())
    for turn in range(ROUNDS if 0 < elements <= _QUICK else 1):
        for kind in Kind if turn == 0 else (Kind.UNIT, Kind.SIGNED, Kind.WIDE):
            yield Candidate(kind, {tensor.name: _array(tensor, shapes[tensor.name], kind, seed, turn) for tensor in inputs})


def _array(tensor: Tensor, shape: tuple[int, ...], kind: Kind, seed: bytes, turn: int) -> Array:
    count = math.prod(shape)
    raw = hashlib.shake_256(b"\0".join((seed, tensor.name.encode(), bytes((kind, turn))))).digest(8 * count)
    draws = np.frombuffer(raw, dtype="<u8")
    dtype = DTYPES[tensor.datatype]
    match tensor.datatype:
        case Datatype.BYTES:
            words = _WORDS if kind is not Kind.ZERO else ("",)
            values: Array = np.array([words[int(draw) % len(words)] for draw in draws], dtype=object)
        case Datatype.BOOL:
            values = draws % 2 == 1 if kind is not Kind.ZERO else np.zeros(count, bool)
        case Datatype.FP16 | Datatype.FP32 | Datatype.FP64 | Datatype.BF16:
            values = (_within(draws, _FLOATS[kind]) / 100).astype(dtype)
        case Datatype.UINT8 | Datatype.INT8:
            values = _within(draws, _BYTES[tensor.datatype] if kind is Kind.WIDE else _INTEGERS[kind]).astype(dtype)
        case _:
            values = _within(draws, _INTEGERS[kind]).astype(dtype)
    return values.reshape(shape)


def _within(draws: Array, bounds: tuple[int, int]) -> Array:
    low, high = bounds
    found: Array = (draws % np.uint64(high - low + 1)).astype(np.int64) + low
    return found


def _shape(tensor: Tensor, names: Sequence[str], dims: Mapping[str, int]) -> tuple[int, ...]:
    return tuple(
        size if size >= 0 else dims.get(f"{tensor.name}:{axis}", dims.get(names[axis] if axis < len(names) else "", 1))
        for axis, size in enumerate(tensor.shape)
    )


def _check(
    inputs: tuple[Tensor, ...], axes: Mapping[str, Sequence[str]], dims: Mapping[str, int], shapes: Mapping[str, tuple[int, ...]]
) -> None:
    free = {f"{tensor.name}:{axis}" for tensor in inputs for axis, size in enumerate(tensor.shape) if size < 0}
    named = {axes[name][int(axis)] for name, _, axis in (each.rpartition(":") for each in free) if name in axes} - {""}
    for name, size in dims.items():
        if name not in free | named:
            _refuse(Reason.SPEC_INVALID, f"the model has no free axis {name!r}; it has {sorted(named) + sorted(free)}")
        if not 1 <= size <= limits.DIMENSION:
            _refuse(Reason.SPEC_INVALID, f"the size of the axis {name!r} is {size}; give a whole number of 1 or more")
    for tensor in inputs:
        if tensor.datatype not in DTYPES:
            _refuse(
                Reason.GOLDEN_INVALID, f"input {tensor.name!r} is {tensor.datatype}, for which samples cannot be made up; use --golden FILE"
            )
    if (count := sum(math.prod(shape) for shape in shapes.values())) > ELEMENTS:
        _refuse(Reason.GOLDEN_INVALID, f"the inputs have {count} elements; samples are made up to {ELEMENTS}: use --golden FILE")


def _refuse(reason: Reason, message: str) -> NoReturn:
    raise Refused(reason, message)
