"""Where a model comes from: options that `pack` and `convert` share, and what they mean."""

import argparse
import sys
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager, redirect_stdout
from dataclasses import dataclass, replace
from pathlib import Path

from volary.agent.retry import Patience
from volary.bundle import layout, limits
from volary.cli import storage
from volary.common.errors import Refused
from volary.common.reasons import Reason
from volary.packaging import convert
from volary.packaging.convert import MAX_DEVIATION, Source, Target, factory, remote
from volary.packaging.importing import importable

_BUDGET = 60.0  # seconds of trying without progress: a person waits


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """Where a model comes from and what it is to become, in the words of a person."""

    model: str | None  # a file, a directory or s3://BUCKET/FOLDER
    factory: str | None  # MODULE:FUNCTION that returns the model, instead
    network: str | None
    to: str | None
    max_deviation: float | None
    output: Path  # what is downloaded lies beside it for a while
    home: Path = Path()  # where MODULE is


def configure(parser: argparse.ArgumentParser) -> None:
    """Options."""
    parser.add_argument("model", nargs="?", help="a file or directory (ONNX, SavedModel, Keras, PyTorch, TFLite), or s3://BUCKET/FOLDER")
    group = parser.add_argument_group("where the model comes from")
    group.add_argument("--from", dest="factory", metavar="MODULE:FUNCTION", help="a function of your code that returns the trained model")
    group.add_argument("--network", metavar="MODULE:CLASS", help="what makes the PyTorch network that a state dict belongs to")
    group.add_argument("--trust-pickle", action="store_true", help="open a file that can run code: only one that you made yourself")
    group.add_argument("--to", choices=list(map(str, Target)), help="what to convert it to; default: onnx; a SavedModel stays one")
    group.add_argument(
        "--max-deviation",
        type=float,
        metavar="SHARE",
        help=f"how far a converted model may be from its source, of an output's largest value; default: {MAX_DEVIATION:g}",
    )
    storage.configure(group)


@contextmanager
def opened(wanted: Wanted, args: argparse.Namespace) -> Iterator[Source]:
    """The source; one from a bucket is here for as long as the block runs, and so is the person's code. Raises Refused or Transient."""
    if (wanted.model is None) == (wanted.factory is None):
        raise Refused(Reason.SPEC_INVALID, "give either a file, directory or s3:// URI, or --from MODULE:FUNCTION")
    with importable(wanted.home), ExitStack() as stack:
        if wanted.factory is not None:
            with redirect_stdout(sys.stderr):  # what training prints is no data
                found = factory.source(wanted.factory)
        elif wanted.model is not None and storage.is_remote(wanted.model):
            found = convert.find(_downloaded(wanted.model, wanted.output, args, stack))
        else:
            found = convert.find(Path(wanted.model or ""))
        yield replace(
            found,
            network=wanted.network or "",
            trusted=args.trust_pickle,
            to=None if wanted.to is None else Target(wanted.to),
            max_deviation=MAX_DEVIATION if wanted.max_deviation is None else wanted.max_deviation,
        )


def tell(facts: Mapping[str, str]) -> None:
    """How a model was converted, for the person who looks on."""
    for key, value in sorted(facts.items()):
        if key.startswith("convert."):
            sys.stderr.write(f"{key.removeprefix('convert.')}: {value}\n")


def _downloaded(uri: str, output: Path, args: argparse.Namespace, stack: ExitStack) -> Path:
    """Beside the output, as the system's temporary directory may be memory."""
    output.parent.mkdir(parents=True, exist_ok=True)
    directory = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix=f".{output.name}.", dir=output.parent)))
    folder, name = remote.split(layout.parse(uri))
    place = storage.connect(args, str(folder))
    moved = 0

    def count(size: int) -> None:
        nonlocal moved
        moved += size

    path = Patience(budget=_BUDGET).retry(lambda: remote.download(place, directory, name, count), lambda: moved)
    sys.stderr.write(f"downloaded {limits.show(moved)} from {place.place}\n")
    return path
