"""`volary pack`: a verified bundle of a model."""

import argparse
import json
import sys
import traceback
from collections.abc import Callable, Iterator
from contextlib import redirect_stdout
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from volary import packaging
from volary.bundle import golden, limits
from volary.bundle.manifest import Tensor
from volary.cli import describe, source
from volary.common.errors import Refused
from volary.common.reasons import Reason
from volary.packaging import Bundle

if TYPE_CHECKING:
    from volary.packaging.project import Project

NAME = "pack"
HELP = "make a verified bundle of a model"
_FILE = "volary.yaml"


def configure(parser: argparse.ArgumentParser) -> None:
    """Options."""
    parser.add_argument("model", nargs="?", help=f"{source.MODEL_HELP}; without one {_FILE} says what to pack")
    parser.add_argument("-f", "--file", type=Path, metavar="FILE", help=f"read what to pack from here; default without MODEL: {_FILE}")
    parser.add_argument("--name", help="of the model, such as digits")
    parser.add_argument("--version", help="of the model, such as 1.0.0; never used twice")
    parser.add_argument("-o", "--output", metavar="DIR", help="the bundle's directory, which must be new")
    parser.add_argument(
        "--config", nargs="+", action="extend", metavar="FILE", help="for before and after the model: class names, a vocabulary; data only"
    )
    source.configure(parser)
    _configure_golden(parser.add_argument_group("golden samples"))
    _configure_metadata(parser.add_argument_group("what is said of the model"))
    parser.add_argument("--json", action="store_true", help="print the digest and the manifest as JSON")
    parser.add_argument("--debug", action="store_true", help="show where a function of yours failed")


def _configure_golden(group: argparse._ArgumentGroup) -> None:
    group.add_argument(
        "--golden",
        metavar="FILE|auto",
        help="inputs whose answers are recorded and replayed in every pod (.npz, .npy, .csv, .json); auto: made up from the schema",
    )
    group.add_argument(
        "--dim", type=_named(int), action="append", metavar="AXIS=SIZE", help="size of a free axis, for --golden auto; default: 1"
    )
    group.add_argument("--absolute", type=float, help="how far any answer may be off; default: by the type of its numbers")
    group.add_argument("--relative", type=float, help="... as a share of the recorded value")
    group.add_argument("--tolerance", type=_named(_tolerance), action="append", metavar="OUTPUT=ABSOLUTE[,RELATIVE]", help="for one output")
    group.add_argument("--argmax", action="append", metavar="OUTPUT", help="the largest element must be where it was, too")


def _configure_metadata(group: argparse._ArgumentGroup) -> None:
    group.add_argument("--label", type=_named(str), action="append", metavar="KEY=VALUE", help="as Kubernetes has them")
    group.add_argument("--license", metavar="SPDX", help="such as Apache-2.0")
    group.add_argument(
        "--training", type=_named(str), action="append", metavar="KEY=VALUE", help="where it comes from: data set, commit, run"
    )
    group.add_argument(
        "--require",
        type=_named(str),
        action="append",
        metavar="KEY=VALUE",
        help="the least a runtime must offer: opset=18, memory=512Mi, providers=CUDAExecutionProvider,CPUExecutionProvider",
    )
    group.add_argument("--metric", type=_named(float), action="append", metavar="NAME=NUMBER", help="a score known before")
    group.add_argument("--evaluate", metavar="MODULE:FUNCTION", help="measures scores: it gets predict(inputs), and returns numbers")
    group.add_argument("--min-metric", type=_named(float), action="append", metavar="NAME=NUMBER", help="refuse a model that scores lower")


def run(args: argparse.Namespace) -> int:
    """0."""
    from volary.packaging import project

    recipe = project.recipe(*asked(args))
    try:
        # A function of the user's may print; our stdout is for data.
        with redirect_stdout(sys.stderr), source.opened(args, recipe.model, recipe.output) as model:
            bundle = packaging.make(replace(recipe, model=model))
    except Refused as error:
        if args.debug and error.__cause__ is not None:
            traceback.print_exception(error.__cause__)
        raise
    source.tell(bundle.manifest.build)
    if args.json:
        shown = {"path": str(bundle.path), "digest": bundle.digest, "manifest": json.loads(bundle.data)}
        sys.stdout.write(json.dumps(shown, indent=2, ensure_ascii=False) + "\n")
    else:
        sys.stdout.writelines(f"{line}\n" for line in summary(bundle))
    if bundle.manifest.golden is None:
        sys.stderr.write("there are no golden samples: pods cannot prove that they serve this model; add --golden FILE, or --golden auto\n")
    return 0


def asked(args: argparse.Namespace) -> "tuple[Project, Path]":
    """What the file says, if one is to be read, and what the command line says otherwise; where functions are. Raises Refused."""
    from volary.packaging import project

    file: Path | None = args.file
    if file is None and args.model is None and args.factory is None:
        file = Path(_FILE)
        if not file.exists():
            raise Refused(Reason.FILE_NOT_FOUND, f"there is no {_FILE} here that says what to pack; write one, or give MODEL")
    if file is None:
        return wishes(args), Path()
    # A function is beside whatever names it: the file, or the person who typed it.
    home = file.parent if args.evaluate is None else Path()
    return project.override(project.read(file), wishes(args)), home


def wishes(args: argparse.Namespace) -> "Project":
    """What the command line asks for, as `volary.yaml` would. Raises Refused (SpecInvalid)."""
    from volary.packaging import project

    tolerances = dict(args.tolerance or [])
    for output in args.argmax or []:
        tolerances[output] = tolerances.get(output, {}) | {"argmax": True}
    same = ("model", "name", "version", "output", "golden", "absolute", "relative", "config", "license", "evaluate")
    fields = {name: getattr(args, name) for name in same} | {
        "dims": dict(args.dim or []),
        "tolerances": tolerances,
        "labels": dict(args.label or []),
        "training": dict(args.training or []),
        "requirements": {name: _need(name, text) for name, text in args.require or []} or None,
        "metrics": dict(args.metric or []),
        "minimums": dict(args.min_metric or []),
    }
    if args.factory is not None:
        fields["model"] = args.factory  # in place of a file's name
    return project.parse("the command line", {name: value for name, value in fields.items() if value is not None})


def summary(bundle: Bundle) -> Iterator[str]:
    """The bundle in a few lines; the second is its digest."""
    manifest = bundle.manifest
    yield f"{bundle.path}: {manifest.name} {manifest.version}, {len(manifest.files)} files, {limits.show(manifest.size)}"
    yield bundle.digest
    for kind, text in _rows(bundle):
        yield f"  {kind:<8} {text}"


def _rows(bundle: Bundle) -> Iterator[tuple[str, str]]:
    manifest = bundle.manifest
    yield from ((file.role, f"{file.path}, {limits.show(file.size)}") for file in manifest.files)
    yield from (("input", _tensor(tensor)) for tensor in manifest.inputs)
    yield from (("output", _tensor(tensor)) for tensor in manifest.outputs)
    if (tolerance := manifest.golden) is not None:
        samples = golden.parse((bundle.path / tolerance.path).read_bytes(), manifest)
        yield "samples", str(len(samples))
        yield from (("proof", f"{output.name} {describe.proof(tolerance, output)}") for output in manifest.outputs)
    yield from describe.metadata(manifest)


def _tensor(tensor: Tensor) -> str:
    return f"{tensor.name}: {tensor.datatype} {describe.shape(tensor) or 'scalar'}"


def _named(kind: Callable[[str], object]) -> Callable[[str], tuple[str, object]]:
    """An argument like `accuracy=0.95`. The value may hold a '=', the name may not."""

    def parse(text: str) -> tuple[str, object]:
        name, sign, value = text.partition("=")
        if not sign or not name:
            raise argparse.ArgumentTypeError(f"{text!r} is not NAME=VALUE")
        try:
            return name, kind(value)
        except ValueError:
            raise argparse.ArgumentTypeError(f"{text!r}: {value!r} does not fit") from None

    return parse


def _need(name: str, text: str) -> object:
    """As `volary.yaml` would have it; what does not fit is told when all is read."""
    match name:
        case "opset" if text.isdecimal():
            return int(text)
        case "providers":
            return text.split(",")
        case _:
            return text


def _tolerance(text: str) -> dict[str, float]:
    """`1e-4` or `1e-4,1e-3`."""
    return dict(zip(("absolute", "relative"), map(float, text.split(",", 1)), strict=False))
