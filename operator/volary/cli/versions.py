"""The versions of a model in the storage, as `list` and `history` show them."""

import argparse
import json
import sys
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from rich.console import Console
from rich.table import Table

from volary.adapters import repository
from volary.adapters.repository import Entry
from volary.agent.retry import Patience
from volary.bundle import difference, limits
from volary.bundle.blobs import blobs
from volary.bundle.difference import Change, Kind
from volary.bundle.manifest import Manifest
from volary.cli import storage

Row = tuple[Entry, Manifest | None, int]  # a version, the one before it, bytes that no earlier one has


def run(args: argparse.Namespace, fields: Callable[[Row], dict[str, Any]], show: Callable[[Sequence[Row]], Table]) -> int:
    """0."""
    place = storage.connect(args, args.uri)
    rows = list(_rows(Patience(budget=storage.BUDGET).retry(lambda: repository.entries(place))))
    if args.output == "json":
        sys.stdout.write(json.dumps([fields(row) for row in rows], indent=2, ensure_ascii=False) + "\n")
    else:
        Console(highlight=False, soft_wrap=True).print(show(rows))
    return 0


def fields(row: Row) -> dict[str, Any]:
    """What `list -o json` says of a version."""
    entry, _, _ = row
    return {
        "version": entry.name,
        "digest": entry.version.digest,
        "size": entry.version.manifest.size,
        "format": entry.version.manifest.format,
        "created": entry.created.isoformat(),
        "signed": entry.signed,
        "aliases": list(entry.aliases),
    }


def table(rows: Sequence[Row]) -> Table:
    """What `list` prints."""
    found = columns("VERSION", "DIGEST", "SIZE", "FORMAT", "CREATED", "SIGNED", "ALIASES")
    for entry, _, _ in rows:
        manifest = entry.version.manifest
        found.add_row(
            entry.name,
            entry.version.digest.removeprefix("sha256:")[:12],
            limits.show(manifest.size),
            manifest.format,
            created(entry),
            "yes" if entry.signed else "no",
            ", ".join(entry.aliases),
        )
    return found


def columns(*names: str) -> Table:
    """A plain table."""
    found = Table(box=None, pad_edge=False, header_style="dim")
    for name in names:
        found.add_column(name, no_wrap=True)
    return found


def created(entry: Entry) -> str:
    """When it was pushed, in the time zone of who looks."""
    return entry.created.astimezone().strftime("%Y-%m-%d %H:%M:%S")


def changes(row: Row) -> tuple[Change, ...]:
    """From the version before; that the version is another is no news."""
    entry, before, _ = row
    found = difference.compare(before, entry.version.manifest).changes if before is not None else ()
    return tuple(change for change in found if (change.kind, change.name) != (Kind.METADATA, "version"))


def _rows(entries: Sequence[Entry]) -> Iterator[Row]:
    seen: set[str] = set()
    before: Manifest | None = None
    for entry in entries:
        manifest = entry.version.manifest
        yield entry, before, difference.new_bytes(manifest, seen)
        seen |= blobs(manifest).keys()
        before = manifest
