"""The figures as rows of words: the same in the terminal and in the report."""

import math
from collections.abc import Iterator
from dataclasses import dataclass

from volary.bundle import limits
from volary.packaging.optimise.result import Deviation, Measured, Optimised, Side, total


@dataclass(frozen=True, slots=True)
class Row:
    """One figure before and after. `ratio` is after / before; below 1 is better for all that have one."""

    name: str
    before: str
    after: str
    ratio: float | None = None

    @property
    def shown(self) -> str:
        """`0.25 x`."""
        return "" if self.ratio is None else f"{self.ratio:.2f} x"


def rows(found: Optimised) -> Iterator[Row]:
    """Sizes, times, accuracy, deviations, sparsity, in this order."""
    before, after = found.measured.before, found.measured.after
    yield Row("size", limits.show(before.size), limits.show(after.size), _ratio(before.size, after.size))
    for name, one, other in _times(before, after):
        yield Row(name, duration(one), duration(other), _ratio(one, other))
    if before.accuracy is not None and after.accuracy is not None:
        yield Row("accuracy", f"{before.accuracy:.4f}", f"{after.accuracy:.4f} ({after.accuracy - before.accuracy:+.4f})")
    for each in found.measured.deviations:
        yield from _deviation(each)
    if found.layers:
        yield Row("zero weights", "", f"{total(found.layers).sparsity:.2%} of {total(found.layers).weights:,}")


def notes(measured: Measured) -> Iterator[str]:
    """What to know about how it was measured."""
    origin = "random samples by the model's schema: give your own with --samples" if measured.random else "samples"
    yield f"measured on {measured.samples} {origin}"
    threads = "1 thread" if measured.threads == 1 else f"{measured.threads} threads"
    yield f"latency of {len(measured.before.seconds)} calls each, by turns, {threads}, one sample a call"


def duration(seconds: float) -> str:
    """`12.3 ms`, and `7.5 µs` below a tenth of one."""
    return f"{1000 * seconds:.3g} ms" if seconds >= 1e-4 else f"{1e6 * seconds:.3g} µs"


def _times(before: Side, after: Side) -> Iterator[tuple[str, float, float]]:
    yield "load", before.load, after.load
    yield "latency p50", before.p50, after.p50
    yield "latency p99", before.p99, after.p99


def _deviation(each: Deviation) -> Iterator[Row]:
    if each.absolute is not None and each.relative is not None:
        share = f" ({each.relative:.2%} of largest)" if math.isfinite(each.relative) else ""
        yield Row(f"deviation of {each.output}", "", f"{each.absolute:.3g}{share}")
    yield Row(f"other answers in {each.output}", "", f"{each.changed:.2%}")


def _ratio(before: float, after: float) -> float | None:
    return after / before if before else None
