"""`volary diff`: what changed between two bundles, on this machine or in the storage. Exit codes as of diff(1)."""

import argparse
import json
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.text import Text

from volary.bundle import difference, limits
from volary.bundle.difference import Change, Difference, Kind
from volary.bundle.manifest import Manifest
from volary.cli import storage
from volary.common.errors import VolaryError
from volary.packaging import bundle as bundles
from volary.packaging import weights
from volary.packaging.bundle import Bundle

NAME = "diff"
HELP = "what changed between two bundles"
_SAME, _DIFFERENT, _TROUBLE = 0, 1, 2
_IDENTITY = {"version"}  # two versions of one model always have two of them


def configure(parser: argparse.ArgumentParser) -> None:
    """Options."""
    parser.add_argument("before", help=f"a directory, {storage.REFERENCE_HELP}")
    parser.add_argument("after", help="the same")
    parser.add_argument("-o", "--output", choices=("table", "json"), default="table", help="default: %(default)s")
    storage.configure(parser)


def run(args: argparse.Namespace) -> int:
    """0 the same but for the version, 1 different, 2 trouble."""
    try:
        before, after = _find(args, args.before), _find(args, args.after)
    except VolaryError as error:
        sys.stderr.write(f"volary diff: {error.message} ({error.reason})\n")
        return _TROUBLE
    found = compare(before, after)
    if args.output == "json":
        sys.stdout.write(json.dumps(as_json(found), indent=2, ensure_ascii=False) + "\n")
    else:
        console = Console(highlight=False, soft_wrap=True)
        for change in found.changes:
            console.print(_line(change))
        console.print(f"{limits.show(found.move)} to move" if found.move else "nothing to move")
    return _DIFFERENT if any(change.name not in _IDENTITY for change in found.changes) else _SAME


def compare(before: Bundle | Manifest, after: Bundle | Manifest) -> Difference:
    """With the weights where both are on this machine and their model files differ."""
    old, new = (each.manifest if isinstance(each, Bundle) else each for each in (before, after))
    found = difference.compare(old, new)
    if not isinstance(before, Bundle) or not isinstance(after, Bundle) or not any(change.kind is Kind.FILE for change in found.changes):
        return found
    mine, theirs = weights.read(before), weights.read(after)
    if mine is None or theirs is None:
        return found
    return replace(found, changes=(*found.changes, *difference.changed(Kind.TENSOR, mine, theirs)))


def as_json(found: Difference) -> dict[str, Any]:
    """For programs."""
    return {"changes": [fields(each) for each in found.changes], "bytesToMove": found.move}


def fields(change: Change) -> dict[str, Any]:
    """One change, for programs."""
    return {"kind": change.kind, "name": change.name, "before": change.before, "after": change.after}


def show(kind: Kind, value: Any) -> str:
    """A value in one line: `FP32 [any, 3]`, `1.5 MiB 0a1b2c3d4e5f`, or itself."""
    match kind:
        case Kind.INPUT | Kind.OUTPUT:
            return f"{value['datatype']} [{', '.join('any' if size < 0 else str(size) for size in value['shape'])}]"
        case Kind.FILE:
            return f"{value['role']}, {limits.show(value['size'])}, {value['sha256'][:12]}"
        case Kind.TENSOR:
            return f"{value['datatype']} {value['shape']}, {value['sha256']}"
        case Kind.METADATA:
            return printable(str(value))


def printable(text: str) -> str:
    """Names of tensors are a stranger's: what would steer the terminal is shown as its escape."""
    return text if text.isprintable() else ascii(text)[1:-1]


def _line(change: Change) -> Text:
    label = f"{change.kind} {printable(change.name)}: "
    if change.before is None:
        return Text(f"+ {label}{show(change.kind, change.after)}", style="green")
    if change.after is None:
        return Text(f"- {label}{show(change.kind, change.before)}", style="red")
    return Text(f"~ {label}{show(change.kind, change.before)} -> {show(change.kind, change.after)}", style="yellow")


def _find(args: argparse.Namespace, text: str) -> Bundle | Manifest:
    if not storage.is_remote(text):
        return bundles.load(Path(text))
    wanted = storage.reference(text)
    return storage.find(storage.connect(args, wanted.uri), wanted).manifest
