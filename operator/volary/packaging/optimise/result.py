"""What came of it: the figures that the table, the report and `--json` show."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any


@dataclass(frozen=True, slots=True)
class Layer:
    """A pruned weight."""

    name: str
    weights: int
    zeros: int

    @property
    def sparsity(self) -> float:
        """Share of weights that are 0."""
        return self.zeros / self.weights if self.weights else 0.0


@dataclass(frozen=True, slots=True)
class Side:
    """One of the two models."""

    size: int  # bytes, with the weights beside the file
    load: float  # seconds until a session is ready, the best of a few
    p50: float  # seconds a call takes
    p99: float
    seconds: tuple[float, ...]  # of each call
    accuracy: float | None  # where labels are given


@dataclass(frozen=True, slots=True)
class Deviation:
    """How far an output of the new model is from the old one's, over all samples."""

    output: str
    absolute: float | None  # largest |after - before|; None where the output is not of floats
    relative: float | None  # ... as a share of the largest |before|
    changed: float  # share of samples with another answer: another largest element, or any other integer or word


@dataclass(frozen=True, slots=True)
class Measured:
    """Both models on the same samples."""

    before: Side
    after: Side
    deviations: tuple[Deviation, ...]
    samples: int
    random: bool  # no samples were given
    threads: int


@dataclass(frozen=True, slots=True)
class Optimised:
    """A model and what became of it."""

    model: Path
    output: Path
    steps: tuple[str, ...]
    layers: tuple[Layer, ...]  # empty unless pruned
    measured: Measured
    refusal: str | None  # which guard does not hold; the output is not kept then

    def document(self) -> Mapping[str, Any]:
        """For `--json`: sizes in bytes, times in milliseconds, shares between 0 and 1."""
        return {
            "model": str(self.model),
            "output": str(self.output) if self.refusal is None else None,
            "refused": self.refusal,
            "steps": list(self.steps),
            "before": _side(self.measured.before),
            "after": _side(self.measured.after),
            "outputs": [_output(each) for each in self.measured.deviations],
            "samples": {"count": self.measured.samples, "random": self.measured.random},
            "threads": self.measured.threads,
            "layers": [{"name": layer.name, "weights": layer.weights, "sparsity": round(layer.sparsity, 6)} for layer in self.layers],
        }


def total(layers: tuple[Layer, ...]) -> Layer:
    """All layers as one."""
    return Layer("all", sum(layer.weights for layer in layers), sum(layer.zeros for layer in layers))


def _output(each: Deviation) -> dict[str, Any]:
    """JSON has no infinity: `comparable` is false where the answers are infinitely far from each other."""
    figures = {"maxAbsolute": each.absolute, "maxRelative": each.relative}
    shown = {key: value if value is None or math.isfinite(value) else None for key, value in figures.items()}
    return {"name": each.output, **shown, "changed": each.changed, "comparable": each.absolute is None or math.isfinite(each.absolute)}


def _side(side: Side) -> dict[str, Any]:
    times = {"loadMs": side.load, "p50Ms": side.p50, "p99Ms": side.p99}
    return {"bytes": side.size, **{key: round(1000 * value, 4) for key, value in times.items()}, "accuracy": side.accuracy}
