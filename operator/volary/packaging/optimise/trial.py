"""What the models are measured with: the samples and labels that are given, or samples by schema."""

import json
from pathlib import Path
from typing import NoReturn

import numpy as np

from volary.bundle.manifest import Tensor
from volary.bundle.tensors import Datatype
from volary.common.errors import Refused
from volary.common.reasons import Reason
from volary.packaging import samples
from volary.packaging.optimise.options import invalid
from volary.packaging.samples import Array, Inputs

COUNT = 32  # random samples
_SEED = 0
_FREE = 16  # size of a free dimension that is not the first


def inputs(given: "samples.Given | None", schema: tuple[Tensor, ...]) -> list[Inputs]:
    """One set of arrays a sample; without samples random ones, the same every time. Raises Refused."""
    return random(schema) if given is None else samples.read(given, schema)


def random(schema: tuple[Tensor, ...]) -> list[Inputs]:
    """Floats from the standard normal distribution, integers and truths of 0 and 1, which are indices of nearly anything.

    A free first dimension is 1, other free ones are 16. Raises Refused (OptionInvalid) for text, of which none is likely.
    """
    source = np.random.default_rng(_SEED)
    return [{tensor.name: _random(tensor, source) for tensor in schema} for _ in range(COUNT)]


def labels(given: "Array | Path", count: int) -> Array:
    """One label a sample, from an array or a file (.npy, .npz with one array, .csv, .json). Raises Refused (OptionInvalid)."""
    try:
        found = (_read(given) if isinstance(given, Path) else np.asarray(given)).ravel()
    except (OSError, ValueError) as error:
        _unusable(f"{given}: {error}")
    if found.dtype.kind not in "iubfOSU":
        _unusable(f"they are {found.dtype}; give integers or words")
    if len(found) != count:
        _unusable(f"there are {len(found)} of them for {count} samples")
    return found


def _random(tensor: Tensor, source: np.random.Generator) -> Array:
    shape = tuple(size if size >= 0 else _FREE if position else 1 for position, size in enumerate(tensor.shape))
    dtype = samples.DTYPES.get(tensor.datatype)
    if dtype is None or tensor.datatype is Datatype.BYTES:
        invalid(f"input {tensor.name!r} is {tensor.datatype}, of which there are no random samples; give some with --samples")
    if tensor.datatype.is_float:
        return source.standard_normal(shape).astype(dtype)
    return source.integers(0, 2, shape).astype(dtype)


def _read(path: Path) -> Array:
    match path.suffix.lower():
        case ".npy":
            found: Array = np.load(path, allow_pickle=False)
            return found
        case ".npz":
            with np.load(path, allow_pickle=False) as arrays:
                if len(arrays) != 1:
                    _unusable(f"{path} has the arrays {sorted(arrays)}; one is expected")
                return np.asarray(next(iter(arrays.values())))
        case ".csv":
            return _numbers([line.strip() for line in path.read_text("utf-8").splitlines() if line.strip()])
        case ".json":
            return np.array(json.loads(path.read_text("utf-8")))
        case _:
            return _unusable(f"{path}: write them as .npy, .npz, .csv or .json")


def _numbers(lines: list[str]) -> Array:
    """One label a line; a first line that is no number above numbers is a heading."""
    for rows in (lines, lines[1:]):
        try:
            return np.array(rows, dtype=np.float64)
        except ValueError:
            continue
    return np.array(lines)


def _unusable(message: str) -> NoReturn:
    raise Refused(Reason.OPTION_INVALID, f"the labels cannot be used: {message}") from None
