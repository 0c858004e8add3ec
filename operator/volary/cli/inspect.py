"""`volary inspect`: what a bundle holds, on this machine or in the storage."""

import argparse
import json
import sys
from pathlib import Path

from rich.console import Console
from rich.table import Table

from volary.agent import source
from volary.agent.retry import Patience
from volary.agent.source import Wanted
from volary.bundle import limits
from volary.bundle import manifest as manifests
from volary.bundle.manifest import Manifest
from volary.cli import describe, storage
from volary.common.errors import Refused
from volary.common.reasons import Reason
from volary.packaging import bundle as bundles

NAME = "inspect"
HELP = "show what a bundle holds"
_BUDGET = 5.0  # seconds of trying: a person waits


def configure(parser: argparse.ArgumentParser) -> None:
    """Options."""
    parser.add_argument("bundle", help="a directory, or s3://BUCKET/PREFIX/VERSION")
    parser.add_argument("-o", "--output", choices=("table", "json"), default="table", help="default: %(default)s")
    storage.configure(parser)


def run(args: argparse.Namespace) -> int:
    """0."""
    data = _remote(args) if args.bundle.startswith("s3://") else bundles.load(Path(args.bundle)).data
    manifest = manifests.parse(data)
    if args.output == "json":
        sys.stdout.write(json.dumps({"digest": manifests.digest(data), "manifest": json.loads(data)}, indent=2, ensure_ascii=False) + "\n")
    else:
        _show(manifest, manifests.digest(data))
    return 0


def _remote(args: argparse.Namespace) -> bytes:
    uri, _, version = args.bundle.rstrip("/").rpartition("/")
    if uri in ("s3:/", "s3:"):
        raise Refused(Reason.SPEC_INVALID, f"{args.bundle!r} names no version; write it like s3://BUCKET/PREFIX/VERSION")
    place = storage.connect(args, uri)
    return Patience(budget=_BUDGET).retry(lambda: source.find(place, Wanted(version))).data


def _show(manifest: Manifest, digest: str) -> None:
    console = Console(highlight=False, soft_wrap=True)
    console.print(f"[bold]{manifest.name} {manifest.version}[/bold]  {manifest.format}  {limits.show(manifest.size)}", digest, sep="\n")
    files = _table("file", "role", "size", "sha256")
    for file in manifest.files:
        files.add_row(file.path, file.role, limits.show(file.size), file.sha256[:12])
    tensors = _table("tensor", "", "datatype", "shape")
    for kind, group in (("input", manifest.inputs), ("output", manifest.outputs)):
        for tensor in group:
            tensors.add_row(tensor.name, kind, tensor.datatype, describe.shape(tensor))
    console.print(files, tensors)
    if manifest.golden is not None:
        for output in manifest.outputs:
            console.print(f"golden samples: {output.name} {describe.proof(manifest.golden, output)}", markup=False)
    for kind, text in describe.metadata(manifest):
        console.print(f"{kind} {text}", markup=False)
    for key, value in sorted(manifest.build.items()):
        console.print(f"{key}: {value}", markup=False)


def _table(*columns: str) -> Table:
    table = Table(box=None, header_style="bold", padding=(0, 2, 0, 0))
    for column in columns:
        table.add_column(column, overflow="fold")
    return table
