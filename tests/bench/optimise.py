"""`python -m tests.bench.optimise`: what each option of `volary optimise` is worth, on convolutions and on dense layers.

Every row compares with the untouched model in the same run, call by call in turns; the ratios are what counts.
"""

import argparse
import os
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console
from rich.table import Table

from tests.support import networks
from volary.bundle import limits
from volary.packaging.optimise import Options, Quantise, Trial, figures, optimise
from volary.packaging.optimise.result import Optimised

OPTIONS = {
    "simplify": Options(simplify=True),
    "prune 0.5": Options(prune=0.5),
    "fp16": Options(fp16=True),
    "int8 dynamic": Options(quantise=Quantise.DYNAMIC),
    "int8 static": Options(quantise=Quantise.STATIC),
    "prune + int8 static": Options(simplify=True, prune=0.5, quantise=Quantise.STATIC),
}
NETWORKS: dict[str, tuple[Callable[[Path], Path], tuple[int, ...]]] = {
    "ResNet-18": (networks.resnet18, (3, 224, 224)),
    "perceptron": (networks.perceptron, (1024,)),
}
SAMPLES = 8


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.bench.optimise", description=__doc__)
    parser.add_argument("--runs", type=int, default=60, help="calls of each model (default: %(default)s)")
    parser.add_argument("--threads", type=int, default=1, help="of one call (default: %(default)s)")
    args = parser.parse_args()
    console = Console(width=110)
    console.print(
        f"{len(os.sched_getaffinity(0))} cores, {args.threads} threads a call, {args.runs} calls each, random weights and samples"
    )
    with tempfile.TemporaryDirectory() as directory:
        for name, (make, shape) in NETWORKS.items():
            model = make(Path(directory) / f"{name}.onnx")
            samples = np.random.default_rng(1).standard_normal((SAMPLES, *shape)).astype(np.float32)
            console.print(_table(name, model, Trial(samples, runs=args.runs, threads=args.threads)))


def _table(name: str, model: Path, trial: Trial) -> Table:
    table = Table(box=None, pad_edge=False, header_style="dim")
    for index, column in enumerate((name, "size", "ratio", "p50 before", "after", "ratio", "p99 ratio", "load ratio", "off by")):
        table.add_column(column, justify="right" if index else "left", no_wrap=True)
    for number, (option, options) in enumerate(OPTIONS.items()):
        found = optimise(model, options, output=model.with_name(f"{name}-{number}.onnx"), trial=trial)
        table.add_row(option, *_cells(found))
    return table


def _cells(found: Optimised) -> tuple[Any, ...]:
    before, after = found.measured.before, found.measured.after
    return (
        limits.show(after.size),
        f"{after.size / before.size:.2f} x",
        figures.duration(before.p50),
        figures.duration(after.p50),
        f"{after.p50 / before.p50:.2f} x",
        f"{after.p99 / before.p99:.2f} x",
        f"{after.load / before.load:.2f} x",
        f"{found.measured.deviations[0].relative:.2%}",
    )


if __name__ == "__main__":
    main()
