"""Sample inputs as people have them (an array, .npy, .npz, .csv, .json) -> one set of named arrays a sample."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NoReturn

import numpy as np
import numpy.typing as npt

from volary.bundle import limits
from volary.bundle.manifest import Tensor
from volary.bundle.tensors import Datatype
from volary.common.errors import Refused
from volary.common.reasons import Reason

Array = npt.NDArray[Any]
Inputs = dict[str, Array]  # name of an input -> array of its full shape
Given = Array | Mapping[str, Array] | Path

DTYPES: Mapping[Datatype, npt.DTypeLike] = {
    Datatype.BOOL: np.bool_,
    Datatype.UINT8: np.uint8,
    Datatype.UINT16: np.uint16,
    Datatype.UINT32: np.uint32,
    Datatype.UINT64: np.uint64,
    Datatype.INT8: np.int8,
    Datatype.INT16: np.int16,
    Datatype.INT32: np.int32,
    Datatype.INT64: np.int64,
    Datatype.FP16: np.float16,
    Datatype.FP32: np.float32,
    Datatype.FP64: np.float64,
    Datatype.BYTES: np.object_,
}


def read(given: Given, schema: tuple[Tensor, ...]) -> list[Inputs]:
    """The samples. The first dimension of each array counts them.

    For an input whose first dimension is free, sample i is row i as a batch of one; for one whose
    first dimension is fixed, sample i is array[i] as it is; where it is fixed to one, both will do.
    Raises Refused (GoldenInvalid).
    """
    arrays = _arrays(load(given, schema) if isinstance(given, Path) else given, schema)
    counts = {name: len(array) for name, array in arrays.items() if array.ndim}
    if len(counts) < len(arrays) or len(set(counts.values())) != 1:
        _invalid(f"every input needs the same number of samples in its first dimension, found {counts}")
    count = next(iter(counts.values()))
    if not 1 <= count <= limits.GOLDEN_SAMPLES:
        _invalid(f"found {count} of them; give 1 to {limits.GOLDEN_SAMPLES}")
    return [{tensor.name: _one(tensor, arrays[tensor.name][index]) for tensor in schema} for index in range(count)]


def load(path: Path, schema: tuple[Tensor, ...] = ()) -> Array | Mapping[str, Array]:
    """A file of samples as it is; the schema tells the types JSON does not. Raises Refused (GoldenInvalid)."""
    try:
        match path.suffix.lower():
            case ".npy":
                array: Array = np.load(path, allow_pickle=False)
                return array
            case ".npz":
                with np.load(path, allow_pickle=False) as found:
                    return dict(found)
            case ".csv":
                return _csv(path)
            case ".json":
                return _json(path, schema)
            case _:
                pass
    except (OSError, ValueError) as error:
        _invalid(f"{path}: {error}")
    return _invalid(f"{path}: write them as .npz, .npy, .csv or .json")


def _csv(path: Path) -> Array:
    """One sample a row; a first row that is no numbers is a heading."""
    lines = [line for line in path.read_text("utf-8").splitlines() if line.strip()]
    return np.array([row for number, row in enumerate(map(_row, lines)) if number or row is not None], dtype=np.float64)


def _row(line: str) -> list[float] | None:
    try:
        return [float(cell) for cell in line.split(",")]
    except ValueError:
        return None


def _json(path: Path, schema: tuple[Tensor, ...]) -> Array | Mapping[str, Array]:
    """`[[1, 2], [3, 4]]` for the only input, or `{"x": [[1, 2], [3, 4]], "y": [0, 1]}`."""
    found = json.loads(path.read_text("utf-8"))
    known = {tensor.name: tensor for tensor in schema}
    if isinstance(found, dict):
        return {name: np.array(rows, dtype=_dtype(known.get(name))) for name, rows in found.items()}
    return np.array(found, dtype=_dtype(schema[0] if schema else None))


def _dtype(tensor: Tensor | None) -> npt.DTypeLike | None:
    return None if tensor is None else DTYPES.get(tensor.datatype)


def _arrays(given: Array | Mapping[str, Array], schema: tuple[Tensor, ...]) -> dict[str, Array]:
    names = [tensor.name for tensor in schema]
    if not isinstance(given, Mapping):
        if len(names) != 1:
            _invalid(f"the model has the inputs {names}; give a .npz or a mapping with an array for each")
        return {names[0]: np.asarray(given)}
    found = {name: np.asarray(array) for name, array in given.items()}
    if len(names) == 1 and len(found) == 1:
        return {names[0]: next(iter(found.values()))}  # np.savez without names calls it arr_0
    if set(found) != set(names):
        _invalid(f"they are for {sorted(found)}, the model has the inputs {sorted(names)}")
    return found


def _one(tensor: Tensor, row: Array) -> Array:
    dtype = DTYPES.get(tensor.datatype)
    if dtype is None:
        _invalid(f"input {tensor.name!r} has the datatype {tensor.datatype}, for which samples cannot be recorded")
    if not np.can_cast(row.dtype, dtype, casting="same_kind") and not _is_whole(row, dtype):
        _invalid(f"input {tensor.name!r} is {tensor.datatype}, the samples are {row.dtype}")
    value = np.asarray(row, dtype=dtype)
    if tensor.shape and (tensor.shape[0] == -1 or (tensor.shape[0] == 1 and value.ndim == len(tensor.shape) - 1)):
        value = value[np.newaxis]
    if len(value.shape) != len(tensor.shape) or any(want not in (-1, size) for size, want in zip(value.shape, tensor.shape, strict=True)):
        _invalid(f"input {tensor.name!r} has the shape {list(tensor.shape)}, a sample has {list(value.shape)}")
    return value


def _is_whole(row: Array, dtype: npt.DTypeLike) -> bool:
    """A CSV knows only floats: 3.0 may be an integer."""
    return bool(np.issubdtype(dtype, np.integer) and np.issubdtype(row.dtype, np.number) and np.array_equal(row, np.rint(row)))


def _invalid(message: str) -> NoReturn:
    raise Refused(Reason.GOLDEN_INVALID, f"the samples cannot be used: {message}") from None
