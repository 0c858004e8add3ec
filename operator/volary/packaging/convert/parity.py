"""Does the converted model answer as its source does?

For numbers with a fraction: the largest |source - converted| over all samples, and that as a share of
the output's scale, the largest |source|. An output with answers up to 8.0 that is off by 4e-6 deviates
by 5e-7. For all others (labels, truths, text): the share of elements that differ.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NoReturn

import numpy as np
from typing_extensions import override

from volary.bundle.manifest import Tensor
from volary.common.errors import Refused
from volary.common.reasons import Reason
from volary.packaging.convert.source import Predict
from volary.packaging.samples import DTYPES, Array, Inputs

_SEED = 20_240_229
_BATCHES = 4
_FREE = 8  # what a free dimension that is not the first becomes in generated inputs


@dataclass(frozen=True, slots=True)
class Compared:
    """One output of the model."""

    name: str
    absolute: float  # the largest difference; for labels, how many differ
    relative: float  # as a share of the output's scale; for labels, of all elements


@dataclass(frozen=True, slots=True)
class Parity:
    """How far a converted model is from its source."""

    outputs: tuple[Compared, ...]
    samples: int
    generated: bool  # whether the inputs were made up here
    of: int  # outputs of the converted model; some of them may have no counterpart

    @property
    def worst(self) -> Compared:
        """The output that deviates the most."""
        return max(self.outputs, key=lambda each: math.inf if math.isnan(each.relative) else each.relative)

    @override
    def __str__(self) -> str:
        """For people and for the manifest; two digits, as the others are chance."""
        kind = "generated" if self.generated else "given"
        part = "" if len(self.outputs) == self.of else f", {len(self.outputs)} of {self.of} outputs"
        return f"max abs {self.worst.absolute:.1e}, relative {self.worst.relative:.1e}, {self.samples} {kind} samples{part}"


def generate(schema: tuple[Tensor, ...]) -> list[Inputs]:
    """Inputs from a fixed seed: normal numbers, small integers. None can be made up for text: the list is empty then."""
    if any(tensor.datatype not in DTYPES or DTYPES[tensor.datatype] is np.object_ for tensor in schema):
        return []
    random = np.random.default_rng(_SEED)
    return [{tensor.name: _generated(random, tensor) for tensor in schema} for _ in range(_BATCHES)]


def measure(
    predict: Predict, run: Predict, outputs: tuple[Tensor, ...], inputs: Sequence[Inputs], *, generated: bool, allowed: float
) -> Parity:
    """Compare on each input. Raises Refused (DeviationTooHigh)."""
    names = [tensor.name for tensor in outputs]
    expected = [_named(predict(each), names) for each in inputs]
    found = [_named(run(each), names) for each in inputs]
    parity = Parity(
        tuple(_compare(name, [each[name] for each in expected], [each[name] for each in found]) for name in expected[0]),
        sum(len(next(iter(each.values()))) if _batched(each) else 1 for each in inputs),
        generated,
        len(names),
    )
    worst = parity.worst
    if not worst.relative <= allowed:  # a NaN is no agreement either
        raise Refused(
            Reason.DEVIATION_TOO_HIGH,
            f"the converted model answers differently than its source: output {worst.name!r} by {worst.absolute:.3g}, {worst.relative:.3g} "
            f"of its scale; {allowed:g} is allowed (--max-deviation). Compared on {parity.samples} samples",
        )
    return parity


def _batched(inputs: Inputs) -> bool:
    return bool(inputs) and next(iter(inputs.values())).ndim > 0


def _named(answers: Mapping[str, Any] | Sequence[Any], names: Sequence[str]) -> dict[str, Array]:
    """The outputs by name. A list has all of them; a mapping may have those that have a counterpart."""
    if isinstance(answers, Mapping):
        if not set(answers) <= set(names):
            _other_outputs(sorted(answers), names)
        return {name: _column(np.asarray(array)) for name, array in answers.items()}
    if len(answers) != len(names):
        _other_outputs(len(answers), names)
    return {name: _column(np.asarray(array)) for name, array in zip(names, answers, strict=True)}


def _other_outputs(found: object, names: Sequence[str]) -> NoReturn:
    raise Refused(Reason.DEVIATION_TOO_HIGH, f"the source answers with the outputs {found}, the converted model with {list(names)}")


def _column(array: Array) -> Array:
    """A list of numbers and a matrix of one column are the same answer; scikit-learn has the one, ONNX the other."""
    return array[:, np.newaxis] if array.ndim == 1 else array


def _compare(name: str, expected: list[Array], found: list[Array]) -> Compared:
    if [each.shape for each in expected] != [each.shape for each in found]:
        shapes = next((a.shape, b.shape) for a, b in zip(expected, found, strict=True) if a.shape != b.shape)
        raise Refused(
            Reason.DEVIATION_TOO_HIGH, f"output {name!r} has the shape {list(shapes[1])} after conversion, {list(shapes[0])} before"
        )
    before, after = (np.concatenate([each.ravel() for each in side]) for side in (expected, found))
    if not np.issubdtype(after.dtype, np.floating):
        # An integer may have become another integer type, a text bytes: the same in words is the same.
        differ = int(np.count_nonzero(_words(before) != _words(after)))
        return Compared(name, float(differ), differ / max(1, after.size))
    both = ~(np.isnan(before) & np.isnan(after)) & (before != after)  # infinities that agree have no difference
    absolute = float(np.max(np.abs(before[both].astype(np.float64) - after[both].astype(np.float64)), initial=0.0))
    scale = float(np.max(np.abs(before[np.isfinite(before)]), initial=0.0))
    return Compared(name, absolute, absolute / scale if scale else absolute)


def _words(array: Array) -> Array:
    return array if array.dtype.kind in "biuf" else np.array([x.decode() if isinstance(x, bytes) else str(x) for x in array], dtype=object)


def _generated(random: np.random.Generator, tensor: Tensor) -> Array:
    shape = tuple(size if size >= 0 else (2 if at == 0 else _FREE) for at, size in enumerate(tensor.shape))
    dtype = np.dtype(DTYPES[tensor.datatype])
    if dtype.kind == "f":
        return random.standard_normal(shape).astype(dtype)
    return random.integers(0, 2, shape).astype(dtype)
