"""Before and after: both models loaded as they are served, in one process, on the same samples."""

import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from volary.bundle.manifest import Tensor
from volary.common.errors import Refused, first_line
from volary.common.reasons import Reason
from volary.packaging.optimise import deviation, latency
from volary.packaging.optimise.latency import Clock
from volary.packaging.optimise.options import invalid
from volary.packaging.optimise.result import Measured, Side
from volary.packaging.samples import Array, Inputs
from volary.packaging.session import load

_LOADS = 3


def measure(
    models: tuple[tuple[Path, ...], tuple[Path, ...]],
    outputs: tuple[Tensor, ...],
    inputs: Sequence[Inputs],
    labels: Array | None,
    *,
    random: bool,
    runs: int,
    threads: int,
    clock: Clock = time.perf_counter,
) -> Measured:
    """`models` are the files of each, the graph first. Raises Refused (LoadFailed, OptionInvalid)."""
    if runs < 1 or threads < 1:
        invalid(f"--runs and --threads are at least 1; found {runs} and {threads}")
    loads = [tuple(_load_time(files[0], threads, clock) for files in models) for _ in range(_LOADS)]
    before, after = (load(files[0], threads) for files in models)
    names = [tensor.name for tensor in outputs]
    old, new = _answers(before, names, inputs), _answers(after, names, inputs)
    times = latency.alternate(
        lambda run: before.run(names, inputs[run % len(inputs)]),
        lambda run: after.run(names, inputs[run % len(inputs)]),
        runs=runs,
        clock=clock,
    )
    sides = [
        Side(
            size=sum(path.stat().st_size for path in models[which]),
            load=min(each[which] for each in loads),
            p50=latency.percentile(times[which], 0.5),
            p99=latency.percentile(times[which], 0.99),
            seconds=times[which],
            accuracy=None if labels is None else deviation.accuracy(deviation.answers(found[0]), labels),
        )
        for which, found in enumerate((old, new))
    ]
    deviations = tuple(deviation.compare(name, old[index], new[index]) for index, name in enumerate(names))
    return Measured(sides[0], sides[1], deviations, len(inputs), random=random, threads=threads)


def _load_time(path: Path, threads: int, clock: Clock) -> float:
    return latency.timed(lambda _: load(path, threads), 0, clock)


def _answers(session: Any, names: list[str], inputs: Sequence[Inputs]) -> list[list[Array]]:
    """By output, then by sample."""
    found: list[list[Array]] = [[] for _ in names]
    for number, each in enumerate(inputs):
        try:
            answer = session.run(names, each)
        except Exception as error:  # noqa: BLE001 -- as above
            raise Refused(
                Reason.OPTION_INVALID,
                f"ONNX Runtime fails on sample {number}: {first_line(error)}; give samples that the model takes with --samples",
            ) from None
        for column, array in zip(found, answer, strict=True):
            column.append(array)
    return found
