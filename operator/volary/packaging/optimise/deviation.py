"""How far answers are apart. Arrays in, numbers out."""

from collections.abc import Sequence

import numpy as np

from volary.packaging.optimise.options import invalid
from volary.packaging.optimise.result import Deviation
from volary.packaging.samples import Array


def compare(output: str, before: Sequence[Array], after: Sequence[Array]) -> Deviation:
    """One output over all samples; one array a sample.

    Relative is the largest difference as a share of the largest magnitude before (the relative error in the maximum
    norm): a share of each element would be huge wherever an answer is nearly 0. What is not finite on one side only,
    or has another shape, is infinitely far.
    """
    changed = float(np.mean([not _same_answer(*pair) for pair in zip(before, after, strict=True)]))
    if not np.issubdtype(before[0].dtype, np.floating):
        return Deviation(output, None, None, changed)
    absolute = max(_distance(*pair) for pair in zip(before, after, strict=True))
    magnitude = max((float(np.max(np.abs(each[np.isfinite(each)]), initial=0)) for each in before), default=0.0)
    return Deviation(output, absolute, _share(absolute, magnitude), changed)


def answers(output: Sequence[Array]) -> Array:
    """The answer to each sample: the largest of its scores, or the integer or word itself. Raises Refused (OptionInvalid)."""
    if np.issubdtype(output[0].dtype, np.floating):
        if any(each.size < 2 for each in output):
            invalid("--labels needs a model whose first output is a class or has one score a class; this one's is a single number")
        return np.array([int(np.argmax(each)) for each in output])
    if any(each.size != 1 for each in output):
        invalid("--labels needs a model whose first output is a class or has one score a class; this one's is several integers or words")
    return np.array([each.ravel()[0] for each in output])


def accuracy(found: Array, labels: Array) -> float:
    """Share of answers that are the label. Words are compared with words, all else as numbers."""
    if found.dtype.kind in "OSU" or labels.dtype.kind in "OSU":
        return float(np.mean(found.astype(str) == labels.astype(str)))
    return float(np.mean(found == labels))


def _same_answer(before: Array, after: Array) -> bool:
    if before.shape != after.shape:
        return False
    if np.issubdtype(before.dtype, np.floating):
        # Along the last axis, as scores of classes lie; a single number has no other class to change to.
        return before.ndim == 0 or before.shape[-1] < 2 or bool(np.array_equal(np.argmax(before, -1), np.argmax(after, -1)))
    return bool(np.array_equal(before, after))


def _distance(before: Array, after: Array) -> float:
    if before.shape != after.shape:
        return float("inf")
    a, b = before.astype(np.float64), after.astype(np.float64)
    if not np.array_equal(np.where(np.isfinite(a), 0, a), np.where(np.isfinite(b), 0, b), equal_nan=True):
        return float("inf")
    both = np.isfinite(a)
    return float(np.max(np.abs(a[both] - b[both]), initial=0))


def _share(absolute: float, magnitude: float) -> float:
    if magnitude:
        return absolute / magnitude
    return 0.0 if absolute == 0 else float("inf")
