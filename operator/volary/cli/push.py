"""`volary push`: a bundle becomes a version that never changes."""

import argparse
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from rich.console import Console
from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TransferSpeedColumn

from volary import packaging
from volary.agent.retry import Patience
from volary.bundle import limits
from volary.cli import storage
from volary.packaging import Pushed

NAME = "push"
HELP = "upload a bundle as a version that never changes"
_BUDGET = 20.0  # seconds of trying: a person waits


def configure(parser: argparse.ArgumentParser) -> None:
    """Options."""
    parser.add_argument("bundle", type=Path, help="directory that `volary pack` made")
    parser.add_argument("uri", help="where the versions of the model live: s3://BUCKET/PREFIX")
    storage.configure(parser)


def run(args: argparse.Namespace) -> int:
    """0."""
    bundle = packaging.load(args.bundle)

    def push() -> Pushed:
        with _bar(bundle.manifest.size) as progress:
            return packaging.push(args.bundle, args.uri, endpoint=args.endpoint, region=args.region, progress=progress)

    pushed = Patience(budget=_BUDGET).retry(push)  # what was uploaded is not uploaded again
    sys.stderr.write(_summary(pushed) + "\n")
    sys.stdout.write(f"{pushed.digest}\n\n{_yaml(pushed)}")
    return 0


def _summary(pushed: Pushed) -> str:
    if pushed.already:
        return f"version {pushed.version} is already pushed"
    return f"uploaded {limits.show(pushed.uploaded)}; {limits.show(pushed.skipped)} were there"


def _yaml(pushed: Pushed) -> str:
    """What to write into the ModelDeployment. The version in quotes: YAML would read 1.0 as a number."""
    return f'spec:\n  model:\n    uri: {pushed.uri}\n    version: "{pushed.version}"\n    digest: {pushed.digest}\n'


@contextmanager
def _bar(total: int) -> Iterator[Callable[[int], None]]:
    columns = (TextColumn("uploading"), BarColumn(), DownloadColumn(binary_units=True), TransferSpeedColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task("", total=total)
        yield lambda count: bar.advance(task, count)
