"""Whether requests of a model may be joined: asked of the loaded model itself, with its golden samples.

A free first axis is no proof. A model may normalise over its batch, or look up what rows have in
common. So samples are run alone and joined, in two orders and up to the largest batch, and each must
get what it got alone, within the tolerance of the golden samples. A sample without a partner of its
shape is joined with zeros: a batch of equal rows would hide what rows do to each other.
"""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from itertools import cycle

import numpy as np

from volary.bundle.golden import Sample, Values
from volary.bundle.manifest import Golden, Manifest, Tensor
from volary.serving import joining, tensors
from volary.serving.joining import Kind
from volary.serving.model import Model, RunFailed
from volary.serving.protocol import Call
from volary.serving.tensors import Array

_SAMPLES = 16  # enough; each is run four times

Run = tuple[Call, list[Array]]  # and what it got alone


def obstacle(model: Model, manifest: Manifest, samples: Sequence[Sample], size: int) -> str | None:
    """Why requests may not be joined to `size` rows, or None."""
    if (reason := joining.fixed(manifest.inputs, manifest.outputs)) is not None:
        return reason
    if manifest.golden is None or not samples:
        return "the bundle has no golden samples to prove it by"
    groups: defaultdict[Kind, list[Run]] = defaultdict(list)
    for call in _calls(manifest, samples):
        kind = joining.kind(call)
        alone = _alone(model, call)
        if kind is not None and alone is not None:
            groups[kind].append((call, alone))
    proved = False
    for runs in groups.values():
        if len(runs) < 2:
            continue
        proved = True
        for order in (runs, runs[::-1], _filled(runs, size)):
            if (reason := _difference(model, manifest.golden, order)) is not None:
                return reason
    return None if proved else "no two golden samples can be joined"


def calls(manifest: Manifest, samples: Iterable[Sample]) -> list[Call]:
    """The samples as requests for all outputs."""
    declared = {tensor.name: tensor for tensor in manifest.inputs}
    return [
        Call(None, {values.name: _array(declared[values.name], values) for values in sample.inputs}, list(manifest.outputs))
        for sample in samples
    ]


def _calls(manifest: Manifest, samples: Sequence[Sample]) -> list[Call]:
    """The samples, and zeros of their shapes."""
    own = calls(manifest, samples[:_SAMPLES])
    return [*own, *(Call(None, {name: _blank(array) for name, array in call.inputs.items()}, call.outputs) for call in own)]


def _array(declared: Tensor, values: Values) -> Array:
    return tensors.decode(declared, {"datatype": values.datatype, "shape": list(values.shape), "data": list(values.data)})


def _blank(array: Array) -> Array:
    return np.full_like(array, "") if array.dtype.kind == "O" else np.zeros_like(array)


def _alone(model: Model, call: Call) -> list[Array] | None:
    """None: such as zeros where the model divides by them; no proof either way."""
    try:
        return model.run(call.inputs, call.outputs)
    except RunFailed:
        return None


def _filled(runs: Sequence[Run], size: int) -> list[Run]:
    """In turns, up to the largest batch: kernels choose other ways of computing for other sizes."""
    filled: list[Run] = []
    count = 0
    for run in cycle(runs):
        count += joining.rows(run[0])
        if count > size:
            return filled
        filled.append(run)
    return filled


def _difference(model: Model, tolerance: Golden, runs: Sequence[Run]) -> str | None:
    if len(runs) < 2:
        return None
    together = [call for call, _ in runs]
    counts = [joining.rows(call) for call in together]
    outputs = together[0].outputs
    try:
        parts = joining.part(counts, model.run(joining.join(together), outputs))
    except (RunFailed, joining.Parted) as error:
        return f"{len(runs)} golden samples joined give an error: {error}"
    for (_, alone), joined in zip(runs, parts, strict=True):
        for output, expected, found in zip(outputs, alone, joined, strict=True):
            if not _is_like(expected, found, tolerance, output.name):
                return f"{len(runs)} golden samples joined give another {output.name!r} than alone"
    return None


def _is_like(expected: Array, found: Array, tolerance: Golden, name: str) -> bool:
    if expected.shape != found.shape:
        return False
    if expected.dtype.kind != "f":
        return bool(np.array_equal(expected, found))
    allowed = tolerance.of(name)
    return bool(
        np.allclose(found.astype(np.float64), expected.astype(np.float64), rtol=allowed.relative, atol=allowed.absolute, equal_nan=True)
    )
