"""`volary inspect`: what a bundle holds, on this machine or in the storage."""

import argparse
import json
import sys
from pathlib import Path

from rich.console import Console
from rich.table import Table

from volary.bundle import limits
from volary.bundle import manifest as manifests
from volary.bundle.manifest import Manifest
from volary.cli import storage
from volary.packaging import bundle as bundles

NAME = "inspect"
HELP = "show what a bundle holds"


def configure(parser: argparse.ArgumentParser) -> None:
    """Options."""
    parser.add_argument("bundle", help=f"a directory, {storage.REFERENCE_HELP}")
    parser.add_argument("-o", "--output", choices=("table", "json"), default="table", help="default: %(default)s")
    storage.configure(parser)


def run(args: argparse.Namespace) -> int:
    """0."""
    data = _remote(args) if storage.is_remote(args.bundle) else bundles.load(Path(args.bundle)).data
    manifest = manifests.parse(data)
    if args.output == "json":
        sys.stdout.write(json.dumps({"digest": manifests.digest(data), "manifest": json.loads(data)}, indent=2, ensure_ascii=False) + "\n")
    else:
        _show(manifest, manifests.digest(data))
    return 0


def _remote(args: argparse.Namespace) -> bytes:
    wanted = storage.reference(args.bundle)
    return storage.find(storage.connect(args, wanted.uri), wanted).data


def _show(manifest: Manifest, digest: str) -> None:
    console = Console(highlight=False, soft_wrap=True)
    console.print(f"[bold]{manifest.name} {manifest.version}[/bold]  {manifest.format}  {limits.show(manifest.size)}", digest, sep="\n")
    files = _table("file", "role", "size", "sha256")
    for file in manifest.files:
        files.add_row(file.path, file.role, limits.show(file.size), file.sha256[:12])
    tensors = _table("tensor", "", "datatype", "shape")
    for kind, group in (("input", manifest.inputs), ("output", manifest.outputs)):
        for tensor in group:
            tensors.add_row(tensor.name, kind, tensor.datatype, " x ".join("any" if size < 0 else str(size) for size in tensor.shape))
    console.print(files, tensors)
    if manifest.golden is not None:
        console.print(f"golden samples within {manifest.golden.absolute:g} + {manifest.golden.relative:g} of the recorded value")
    for key, value in sorted(manifest.build.items()):
        console.print(f"{key}: {value}", markup=False)


def _table(*columns: str) -> Table:
    table = Table(box=None, header_style="bold", padding=(0, 2, 0, 0))
    for column in columns:
        table.add_column(column, overflow="fold")
    return table
