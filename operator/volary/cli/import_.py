"""`volary import`: a bundle out of a zip file that `volary export` made, proved as if a stranger had."""

import argparse
import sys
from pathlib import Path

from volary.bundle import limits
from volary.cli import storage
from volary.cli.progress import bar
from volary.packaging import archive
from volary.packaging.signing import Trust

NAME = "import"
HELP = "a bundle out of such a zip file, proved"


def configure(parser: argparse.ArgumentParser) -> None:
    """Options."""
    parser.add_argument("archive", type=Path, help="that `volary export` made")
    parser.add_argument("-o", "--output", type=Path, required=True, metavar="DIR", help="the bundle's directory, which must be new")
    parser.add_argument("--digest", help="sha256:... that the bundle must have")
    parser.add_argument("--public-key", type=Path, metavar="FILE", help=storage.PUBLIC_KEY_HELP)
    parser.add_argument(
        "--certificate-chain", type=Path, nargs="+", default=[], metavar="FILE", help="roots one of which must vouch, as PEM"
    )


def run(args: argparse.Namespace) -> int:
    """0."""
    trust = Trust(args.public_key, tuple(args.certificate_chain))
    with bar("importing", args.archive.stat().st_size) as progress:
        bundle = archive.import_(args.archive, args.output, digest=args.digest, trust=trust, progress=progress)
    sys.stdout.write(f"{bundle.path}\n{bundle.digest}\n")
    sys.stderr.write(f"{bundle.manifest.name} {bundle.manifest.version}: {limits.show(bundle.manifest.size)} proved\n")
    return 0
