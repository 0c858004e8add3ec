"""`volary optimise`: a smaller or faster model, with what it costs."""

import argparse
import json
import sys
from pathlib import Path

from volary.packaging.optimise import Limits, Options, Quantise, Trial, optimise
from volary.packaging.optimise.options import RUNS
from volary.packaging.optimise.result import Optimised

NAME = "optimise"
HELP = "make a model smaller or faster, and measure what it costs"


def configure(parser: argparse.ArgumentParser) -> None:
    """Options."""
    parser.add_argument("model", type=Path, help="an ONNX file")
    parser.add_argument("-o", "--output", type=Path, required=True, metavar="FILE", help="the new model, which must not exist")
    steps = parser.add_argument_group("steps, done in this order")
    steps.add_argument("--simplify", action="store_true", help="fold constants, fuse and remove nodes; the answers stay")
    steps.add_argument(
        "--prune", type=float, metavar="SHARE", help="make this share of the weights 0, the smallest first (0.5: half of them)"
    )
    steps.add_argument("--per-layer", action="store_true", help="... of each layer, not of all weights together")
    steps.add_argument("--fp16", action="store_true", help="16-bit floats inside; inputs and outputs stay")
    steps.add_argument("--quantise", choices=tuple(Quantise), help="8-bit integers: static for convolutions, needs --samples")
    steps.add_argument("--reduce-range", action="store_true", help="... of 7 bits, for CPUs without VNNI")
    trial = parser.add_argument_group("measuring")
    trial.add_argument("--samples", type=Path, metavar="FILE", help="inputs (.npz, .npy, .csv, .json); without them they are random")
    trial.add_argument("--labels", type=Path, metavar="FILE", help="the right answer of each sample (.npy, .npz, .csv, .json)")
    trial.add_argument("--runs", type=int, default=RUNS, help="calls of each model (default: %(default)s)")
    trial.add_argument("--threads", type=int, default=1, help="of one call (default: %(default)s)")
    guards = parser.add_argument_group("guards: where one does not hold, no file is written")
    guards.add_argument("--max-accuracy-drop", type=float, metavar="SHARE", help="0.01: one percentage point; needs --labels")
    guards.add_argument(
        "--max-deviation", type=float, metavar="FIGURE", help="of a float output; of other outputs the share of other answers"
    )
    parser.add_argument("--report", type=Path, metavar="FILE", help="write an HTML page with charts")
    parser.add_argument("--json", action="store_true", help="the figures as JSON instead of a table")


def run(args: argparse.Namespace) -> int:
    """0."""
    optimise(
        args.model,
        _options(args),
        output=args.output,
        trial=Trial(samples=args.samples, labels=args.labels, runs=args.runs, threads=args.threads),
        limits=Limits(accuracy_drop=args.max_accuracy_drop, deviation=args.max_deviation),
        show=lambda found: _show(found, args),
        tell=lambda step: sys.stderr.write(f"{step} ...\n"),
    )
    return 0


def _options(args: argparse.Namespace) -> Options:
    return Options(
        simplify=args.simplify,
        prune=args.prune,
        per_layer=args.per_layer,
        fp16=args.fp16,
        quantise=None if args.quantise is None else Quantise(args.quantise),
        reduce_range=args.reduce_range,
    )


def _show(found: Optimised, args: argparse.Namespace) -> None:
    if args.report is not None:
        from volary.packaging.optimise import report

        args.report.write_text(report.render(found), "utf-8")
    if args.json:
        sys.stdout.write(json.dumps(found.document(), indent=2, ensure_ascii=False) + "\n")
        return
    from rich.console import Console

    from volary.packaging.optimise import table

    Console(highlight=False, soft_wrap=True).print(table.render(found))
