"""The versions of a model in the storage, as `list` and `history` show them."""

import argparse
import json
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
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
from volary.common.errors import Refused


@dataclass(frozen=True, slots=True)
class Row:
    """A version among the others."""

    entry: Entry
    manifest: Manifest | None  # None where it cannot be read
    before: Manifest | None  # the one that was pushed before it
    new: int  # bytes that no earlier one has


def run(args: argparse.Namespace, fields: Callable[[Row], dict[str, Any]], show: Callable[[Sequence[Row]], Table]) -> int:
    """0, or 1 when a version cannot be read; the others are shown."""
    place = storage.connect(args, args.uri)
    rows = list(_rows(Patience(budget=storage.BUDGET).retry(lambda: repository.entries(place))))
    if args.output == "json":
        sys.stdout.write(json.dumps([fields(row) for row in rows], indent=2, ensure_ascii=False) + "\n")
    else:
        Console(highlight=False, markup=False, emoji=False, soft_wrap=True).print(show(rows))
    troubles = [row.entry.version for row in rows if isinstance(row.entry.version, Refused)]
    for trouble in troubles:
        sys.stderr.write(f"{trouble.message} ({trouble.reason})\n")
    return 1 if troubles else 0


def fields(row: Row) -> dict[str, Any]:
    """What `list -o json` says of a version."""
    version = row.entry.version
    if isinstance(version, Refused):
        known: dict[str, Any] = {"reason": version.reason}
    else:
        known = {"digest": version.digest, "size": version.manifest.size, "format": version.manifest.format}
    common = {"created": row.entry.created.isoformat(), "signed": row.entry.signed, "aliases": list(row.entry.aliases)}
    return {"version": row.entry.name, **known, **common}


def table(rows: Sequence[Row]) -> Table:
    """What `list` prints."""
    found = columns("VERSION", "DIGEST", "SIZE", "FORMAT", "CREATED", "SIGNED", "ALIASES")
    for row in rows:
        version = row.entry.version
        if isinstance(version, Refused):
            cells = ("", "", version.reason.value)
        else:
            cells = (version.digest.removeprefix("sha256:")[:12], limits.show(version.manifest.size), version.manifest.format.value)
        found.add_row(row.entry.name, *cells, created(row), signed(row), ", ".join(row.entry.aliases))
    return found


def columns(*names: str) -> Table:
    """A plain table."""
    found = Table(box=None, pad_edge=False, header_style="dim")
    for name in names:
        found.add_column(name, no_wrap=True)
    return found


def created(row: Row) -> str:
    """When it was pushed, in the time zone of who looks."""
    return row.entry.created.astimezone().strftime("%Y-%m-%d %H:%M:%S")


def signed(row: Row) -> str:
    """Whether there is a signature; whose, only `verify` tells."""
    return "yes" if row.entry.signed else "no"


def changes(row: Row) -> tuple[Change, ...]:
    """From the version before; that the version is another is no news."""
    if row.manifest is None or row.before is None:
        return ()
    found = difference.compare(row.before, row.manifest).changes
    return tuple(change for change in found if (change.kind, change.name) != (Kind.METADATA, "version"))


def _rows(entries: Sequence[Entry]) -> Iterator[Row]:
    seen: set[str] = set()
    before: Manifest | None = None
    for entry in entries:
        if isinstance(entry.version, Refused):
            yield Row(entry, None, before, 0)
            continue
        manifest = entry.version.manifest
        yield Row(entry, manifest, before, difference.new_bytes(manifest, seen))
        seen |= blobs(manifest).keys()
        before = manifest
