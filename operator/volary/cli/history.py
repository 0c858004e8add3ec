"""`volary history`: the versions of a model, and what each one changed."""

import argparse
from collections.abc import Sequence
from typing import Any

from rich.table import Table

from volary.bundle import limits
from volary.bundle.difference import Change, Kind
from volary.cli import diff, storage, versions
from volary.cli.versions import Row

NAME = "history"
HELP = "the versions of a model and what each one changed"
_FACTS = ("metrics", "labels", "build")  # parts of a manifest that tell where a model came from


def configure(parser: argparse.ArgumentParser) -> None:
    """Options."""
    parser.add_argument("uri", help="where the versions are: s3://BUCKET/PREFIX")
    parser.add_argument("-o", "--output", choices=("table", "json"), default="table", help="default: %(default)s")
    storage.configure(parser)


def run(args: argparse.Namespace) -> int:
    """0."""
    return versions.run(args, _fields, _table)


def _fields(row: Row) -> dict[str, Any]:
    entry, _, new = row
    manifest = entry.version.manifest.model_dump(mode="json", by_alias=True, exclude_none=True)
    changes = [{"kind": each.kind, "name": each.name, "before": each.before, "after": each.after} for each in versions.changes(row)]
    facts = {name: manifest[name] for name in _FACTS if manifest.get(name)}
    return {**versions.fields(row), **facts, "bytesNew": new, "changes": changes}


def _table(rows: Sequence[Row]) -> Table:
    table = versions.columns("VERSION", "CREATED", "SIGNED", "ALIASES", "NEW")
    table.add_column("CHANGED")
    for row in rows:
        entry, before, new = row
        told = "; ".join(_told(change) for change in versions.changes(row)) or ("" if before is None else "nothing")
        table.add_row(
            entry.name, versions.created(entry), "yes" if entry.signed else "no", ", ".join(entry.aliases), limits.show(new), told
        )
    return table


def _told(change: Change) -> str:
    """`accuracy` from 0.91 to 0.93 is news with its values; of a file the name will do."""
    if change.before is None:
        return f"+{change.name}"
    if change.after is None:
        return f"-{change.name}"
    if change.kind is Kind.FILE:
        return change.name
    return f"{change.name} {diff.show(change.kind, change.before)} -> {diff.show(change.kind, change.after)}"
