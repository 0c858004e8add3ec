"""`volary convert`: a servable graph of a model, without a bundle around it."""

import argparse
import shutil
import sys
import tempfile
from pathlib import Path

from volary.bundle import limits
from volary.cli import source
from volary.cli.source import Wanted
from volary.common.errors import Refused
from volary.common.reasons import Reason
from volary.packaging import convert

NAME = "convert"
HELP = "make a servable graph of a model, without a bundle"


def configure(parser: argparse.ArgumentParser) -> None:
    """Options."""
    source.configure(parser)
    parser.add_argument(
        "--samples",
        type=Path,
        metavar="FILE",
        help="inputs to trace and to compare with (.npz, .npy, .csv, .json); some are made up without",
    )
    parser.add_argument("-o", "--output", type=Path, required=True, metavar="DIR", help="the new directory of the graph")


def run(args: argparse.Namespace) -> int:
    """0."""
    output: Path = args.output
    if output.exists():
        raise Refused(Reason.NAME_CONFLICT, f"{output} exists; choose another --output or remove it")
    output.parent.mkdir(parents=True, exist_ok=True)
    wanted = Wanted(
        model=args.model, factory=args.factory, network=args.network, to=args.to, max_deviation=args.max_deviation, output=output
    )
    with source.opened(wanted, args) as model, tempfile.TemporaryDirectory(prefix=f".{output.name}.", dir=output.parent) as work:
        made, laid = Path(work) / "made", Path(work) / "laid"
        made.mkdir()
        laid.mkdir()
        servable = convert.prepare(model, made, args.samples)
        graph, roles = convert.lay_out(servable, laid)
        shutil.move(laid, output)
    size = sum((output / name).stat().st_size for name in roles)
    source.tell(servable.facts)
    sys.stdout.write(f"{output / graph.name}: {servable.format}, {len(roles)} files, {limits.show(size)}\n")
    return 0
