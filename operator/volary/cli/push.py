"""`volary push`: a bundle becomes a version that never changes."""

import argparse
import json
import sys
from dataclasses import asdict
from pathlib import Path

from volary import packaging
from volary.agent.retry import Patience
from volary.bundle import limits
from volary.cli import storage
from volary.cli.progress import bar
from volary.packaging import Pushed

NAME = "push"
HELP = "upload a bundle as a version that never changes"
_BUDGET = 20.0  # seconds of trying: a person waits


def configure(parser: argparse.ArgumentParser) -> None:
    """Options."""
    parser.add_argument("bundle", type=Path, help="directory that `volary pack` made")
    parser.add_argument("uri", help="where the versions of the model live: s3://BUCKET/PREFIX")
    parser.add_argument("-o", "--output", choices=("yaml", "json"), default="yaml", help="default: %(default)s, as the spec wants it")
    storage.configure(parser)


def run(args: argparse.Namespace) -> int:
    """0."""
    bundle = packaging.load(args.bundle)

    def push() -> Pushed:
        with bar("uploading", bundle.manifest.size) as progress:
            return packaging.push(args.bundle, args.uri, endpoint=args.endpoint, region=args.region, progress=progress)

    pushed = Patience(budget=_BUDGET).retry(push)  # what was uploaded is not uploaded again
    sys.stderr.write(_summary(pushed) + "\n")
    sys.stdout.write(json.dumps(asdict(pushed), indent=2) + "\n" if args.output == "json" else f"{pushed.digest}\n\n{_yaml(pushed)}")
    return 0


def _summary(pushed: Pushed) -> str:
    if pushed.already:
        return f"version {pushed.version} is already pushed"
    return f"uploaded {limits.show(pushed.uploaded)}; {limits.show(pushed.skipped)} were there"


def _yaml(pushed: Pushed) -> str:
    """What to write into the ModelDeployment. The version in quotes: YAML would read 1.0 as a number."""
    return f'spec:\n  model:\n    uri: {pushed.uri}\n    version: "{pushed.version}"\n    digest: {pushed.digest}\n'
