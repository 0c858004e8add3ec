"""`volary pack`: a verified bundle of a model."""

import argparse
import sys
from pathlib import Path

from volary import packaging
from volary.bundle import limits
from volary.cli import source
from volary.packaging.pack import ABSOLUTE, RELATIVE

NAME = "pack"
HELP = "make a verified bundle of a model"


def configure(parser: argparse.ArgumentParser) -> None:
    """Options."""
    source.configure(parser)
    parser.add_argument("--name", required=True, help="of the model, such as digits")
    parser.add_argument("--version", required=True, help="of the model, such as 1.0.0; never used twice")
    parser.add_argument(
        "--golden", type=Path, metavar="FILE", help="inputs whose answers are recorded and replayed in every pod (.npz, .npy, .csv, .json)"
    )
    parser.add_argument("--absolute", type=float, default=ABSOLUTE, help="how far an answer may be off (default: %(default)s)")
    parser.add_argument("--relative", type=float, default=RELATIVE, help="... as a share of the recorded value (default: %(default)s)")
    parser.add_argument("-o", "--output", type=Path, required=True, metavar="DIR", help="the bundle's directory, which must be new")


def run(args: argparse.Namespace) -> int:
    """0."""
    with source.opened(args) as model:
        bundle = packaging.pack(
            model,
            name=args.name,
            version=args.version,
            samples=args.golden,
            absolute=args.absolute,
            relative=args.relative,
            output=args.output,
        )
    source.tell(bundle.manifest.build)
    manifest = bundle.manifest
    sys.stdout.write(f"{bundle.path}: {manifest.name} {manifest.version}, {len(manifest.files)} files, {limits.show(manifest.size)}\n")
    sys.stdout.write(f"{bundle.digest}\n")
    if manifest.golden is None:
        sys.stderr.write("there are no golden samples: pods cannot prove that they serve this model; add --golden FILE\n")
    return 0
