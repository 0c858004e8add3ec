"""`volary inspect`: what a bundle holds, on this machine or in the storage."""

import argparse
import json
import sys
from dataclasses import asdict
from pathlib import Path

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from volary.agent import source
from volary.agent.retry import Patience
from volary.bundle import graph, limits
from volary.bundle import manifest as manifests
from volary.bundle.facts import Facts
from volary.bundle.manifest import Manifest
from volary.cli import describe, storage
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
    data, facts = _remote(args) if storage.is_remote(args.bundle) else _local(Path(args.bundle))
    manifest = manifests.parse(data)
    if args.output == "json":
        found = {"digest": manifests.digest(data), "manifest": json.loads(data), "graph": asdict(facts)}
        sys.stdout.write(json.dumps(found, indent=2, ensure_ascii=False) + "\n")
        return 0
    _show(manifest, manifests.digest(data))
    _show_graph(facts)
    return 0


def _local(path: Path) -> tuple[bytes, Facts]:
    bundle = bundles.load(path)
    return bundle.data, bundles.inspect(bundle)


def _remote(args: argparse.Namespace) -> tuple[bytes, Facts]:
    """The weights stay where they are: of the model only what stands around them is read."""
    wanted = storage.reference(args.bundle)
    place = storage.connect(args, wanted.uri)
    data = storage.find(place, wanted).data
    facts = Patience(budget=storage.BUDGET).retry(lambda: graph.check(manifests.parse(data), lambda file: source.reader(place, file)))
    return data, facts


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


def _show_graph(facts: Facts) -> None:
    console = Console(highlight=False, soft_wrap=True)
    opsets = ", ".join(f"{domain or 'ai.onnx'} {version}" for domain, version in facts.opsets)
    of = [facts.producer, f"opset {opsets}" if opsets else "", f"{facts.functions} functions" if facts.functions else ""]
    console.print(_harmless("; ".join(["graph", *(part for part in of if part)])))
    operators = _table("operator", "domain", "nodes")
    for each in facts.operators:
        operators.add_row(_harmless(each.name), _harmless(each.domain or "-"), str(each.count))
    if facts.operators:  # those of TFLite are not counted
        console.print(operators)
    if facts.external:
        files = len({each.location for each in facts.external})
        console.print(f"{len(facts.external)} tensors of {limits.show(sum(each.length for each in facts.external))} in {files} data files")


def _harmless(text: str) -> str:
    """Names in a graph may be of any characters, those that steer a terminal too."""
    return escape(ascii(text)[1:-1])


def _table(*columns: str) -> Table:
    table = Table(box=None, header_style="bold", padding=(0, 2, 0, 0))
    for column in columns:
        table.add_column(column, overflow="fold")
    return table
