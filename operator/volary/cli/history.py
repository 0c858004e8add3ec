"""`volary history`: the versions of a model, and what each one changed."""

import argparse
from collections.abc import Sequence
from typing import Any

from rich.table import Table

from volary.bundle import limits
from volary.bundle.difference import Change, Kind
from volary.cli import diff, storage, versions
from volary.cli.versions import Row
from volary.common.errors import Refused

NAME = "history"
HELP = "the versions of a model and what each one changed"
_FACTS = ("metrics", "labels", "build")  # parts of a manifest that tell where a model came from


def configure(parser: argparse.ArgumentParser) -> None:
    """Options."""
    parser.add_argument("uri", help="where the versions are: s3://BUCKET/PREFIX")
    parser.add_argument("-o", "--output", choices=("table", "json"), default="table", help="default: %(default)s")
    storage.configure(parser)


def run(args: argparse.Namespace) -> int:
    """0, or 1 when a version cannot be read; the others are shown."""
    return versions.run(args, _fields, _table)


def _fields(row: Row) -> dict[str, Any]:
    manifest = row.manifest.model_dump(mode="json", by_alias=True, exclude_none=True) if row.manifest else {}
    facts = {name: manifest[name] for name in _FACTS if manifest.get(name)}
    return {**versions.fields(row), **facts, "bytesNew": row.new, "changes": [diff.fields(each) for each in versions.changes(row)]}


def _table(rows: Sequence[Row]) -> Table:
    table = versions.columns("VERSION", "CREATED", "SIGNED", "ALIASES", "NEW")
    table.add_column("CHANGED")
    for row in rows:
        new = limits.show(row.new) if row.manifest else ""
        table.add_row(row.entry.name, versions.created(row), versions.signed(row), ", ".join(row.entry.aliases), new, _news(row))
    return table


def _news(row: Row) -> str:
    if isinstance(row.entry.version, Refused):
        return row.entry.version.reason.value
    told = "; ".join(_told(change) for change in versions.changes(row))
    return told or ("" if row.before is None else "nothing")


def _told(change: Change) -> str:
    """`accuracy` from 0.91 to 0.93 is news with its values; of a file the name will do."""
    name = diff.printable(change.name)
    if change.before is None:
        return f"+{name}"
    if change.after is None:
        return f"-{name}"
    if change.kind is Kind.FILE:
        return name
    return f"{name} {diff.show(change.kind, change.before)} -> {diff.show(change.kind, change.after)}"
