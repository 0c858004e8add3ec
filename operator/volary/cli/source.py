"""Where a model comes from: options that `pack` and `convert` share, and what they mean."""

import argparse
import sys
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from pathlib import Path

from volary.agent.retry import Patience
from volary.bundle import layout, limits
from volary.cli import storage
from volary.common.errors import Refused
from volary.common.reasons import Reason
from volary.packaging import convert
from volary.packaging.convert import MAX_DEVIATION, Source, Target, factory, remote

_BUDGET = 60.0  # seconds of trying without progress: a person waits


MODEL_HELP = "a file or directory (ONNX, SavedModel, Keras, PyTorch, TFLite), or s3://BUCKET/FOLDER"


def configure(parser: argparse.ArgumentParser) -> None:
    """Options; the positional MODEL is the verb's own."""
    parser.add_argument(
        "--from", dest="factory", metavar="MODULE:FUNCTION", help="... or a function of your code that returns the trained model"
    )
    parser.add_argument("--network", default="", metavar="MODULE:CLASS", help="what makes the PyTorch network that a state dict belongs to")
    parser.add_argument("--trust-pickle", action="store_true", help="open a file that can run code: only one that you made yourself")
    parser.add_argument(
        "--max-deviation",
        type=float,
        default=MAX_DEVIATION,
        metavar="SHARE",
        help="how far a converted model may be from its source, of an output's largest value (default: %(default)s)",
    )
    parser.add_argument("--to", type=Target, choices=list(Target), help="default: onnx; a SavedModel stays one")
    storage.configure(parser)


@contextmanager
def opened(args: argparse.Namespace, model: Path | str | Source, output: Path) -> Iterator[Source]:
    """The source that `model`, or else --from, names; one from a bucket is here, beside `output`, for as long as the block runs.

    Raises Refused or Transient.
    """
    if args.factory is not None and args.model is not None:
        raise Refused(Reason.SPEC_INVALID, "give either a file, directory or s3:// URI, or --from MODULE:FUNCTION")
    with ExitStack() as stack:
        if args.factory is not None:
            found = factory.source(args.factory)
        elif isinstance(model, Source):
            found = model
        elif str(model).startswith("s3://"):
            found = convert.find(_downloaded(args, str(model), output, stack))
        else:
            found = convert.find(Path(model))
        yield replace(found, network=args.network, trusted=args.trust_pickle, to=args.to, max_deviation=args.max_deviation)


def tell(facts: Mapping[str, str]) -> None:
    """How a model was converted, for the person who looks on."""
    for key, value in sorted(facts.items()):
        if key.startswith("convert."):
            sys.stderr.write(f"{key.removeprefix('convert.')}: {value}\n")


def _downloaded(args: argparse.Namespace, uri: str, output: Path, stack: ExitStack) -> Path:
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
