"""`volary gc`: blobs that no version needs, shown, and deleted when asked."""

import argparse
import json
import sys
from datetime import UTC, datetime, timedelta

from rich.console import Console
from rich.table import Table

from volary.agent.retry import Patience
from volary.bundle import limits
from volary.bundle.garbage import Blob, Sorted
from volary.cli import storage
from volary.common import durations
from volary.packaging import gc
from volary.packaging.gc import Collector

NAME = "gc"
HELP = "delete blobs that no version needs"
_ROWS = 20  # of the table; -o json has all


def configure(parser: argparse.ArgumentParser) -> None:
    """Options."""
    parser.add_argument("uri", help="where the versions are: s3://BUCKET/PREFIX")
    parser.add_argument(
        "--grace", type=_grace, default=timedelta(days=7), help="leave what is younger; longer than any push takes (default: 7d)"
    )
    parser.add_argument("--delete", action="store_true", help="delete them; without it they are only shown")
    parser.add_argument("-o", "--output", choices=("table", "json"), default="table", help="default: %(default)s")
    storage.configure(parser)


def run(args: argparse.Namespace) -> int:
    """0 done or nothing to do, 1 a version cannot be read: then nothing is deleted."""
    now = datetime.now(UTC)
    collector = Collector(storage.connect(args, args.uri), now, args.grace)
    patience = Patience(budget=storage.BUDGET)
    found = patience.retry(collector.look)
    deleted = _delete(collector, found, patience) if args.delete else []
    if args.output == "json":
        _dump(found, collector, deleted)
    else:
        _show(found, now)
    _tell(found, collector, deleted, asked=args.delete)
    return 0


def _delete(collector: Collector, found: Sorted, patience: Patience) -> list[Blob]:
    deleted: list[Blob] = []
    for batch in gc.batches(found.garbage):
        deleted += patience.retry(lambda batch=batch: collector.delete(batch))  # type: ignore[misc] # bound now, not at the end
        sys.stderr.write(f"deleted {len(deleted)} of {len(found.garbage)}\n")
    return deleted


def _show(found: Sorted, now: datetime) -> None:
    if not found.garbage:
        return
    table = Table(box=None, pad_edge=False, header_style="dim")
    table.add_column("BLOB", no_wrap=True)
    table.add_column("SIZE", justify="right", no_wrap=True)
    table.add_column("AGE", justify="right", no_wrap=True)
    for blob in sorted(found.garbage, key=lambda blob: -blob.size)[:_ROWS]:
        table.add_row(blob.sha256, limits.show(blob.size), durations.show(now - blob.modified))
    console = Console(highlight=False, markup=False, emoji=False)
    console.print(table)
    if len(found.garbage) > _ROWS:
        console.print(f"and {len(found.garbage) - _ROWS} smaller ones")


def _dump(found: Sorted, collector: Collector, deleted: list[Blob]) -> None:
    gone = {blob.sha256 for blob in deleted}
    shown = {
        "versions": len(collector.versions),
        "needed": _total(found.needed),
        "young": _total(found.young),
        "garbage": _total(found.garbage),
        "deleted": _total(deleted),
        "blobs": [
            {"sha256": blob.sha256, "size": blob.size, "modified": blob.modified.isoformat(), "deleted": blob.sha256 in gone}
            for blob in found.garbage
        ],
    }
    sys.stdout.write(json.dumps(shown, indent=2) + "\n")


def _total(blobs: tuple[Blob, ...] | list[Blob]) -> dict[str, int]:
    return {"blobs": len(blobs), "bytes": sum(blob.size for blob in blobs)}


def _tell(found: Sorted, collector: Collector, deleted: list[Blob], *, asked: bool) -> None:
    def of(blobs: tuple[Blob, ...] | list[Blob]) -> str:
        return f"{len(blobs)} blobs, {limits.show(sum(blob.size for blob in blobs))}"

    sys.stderr.write(f"{len(collector.versions)} versions need {of(found.needed)}; {of(found.young)} are too young to judge\n")
    sys.stderr.write(f"deleted {of(deleted)}\n" if asked else f"{of(found.garbage)} could go; --delete deletes them\n")


def _grace(text: str) -> timedelta:
    """`7d`, or a duration as elsewhere: `36h`, `90m`."""
    days = text.removesuffix("d")
    if text.endswith("d") and days.isascii() and days.isdigit() and len(days) <= 4:
        return timedelta(days=int(days))
    try:
        return durations.parse(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} is not a duration; write it like 7d, 36h or 90m") from None
