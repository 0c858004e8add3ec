"""`volary export`: a bundle as one zip file, the same bytes wherever it is made."""

import argparse
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from volary.adapters import repository
from volary.adapters.storage import Storage
from volary.agent.retry import Patience
from volary.bundle import layout, limits
from volary.bundle.manifest import File
from volary.cli import storage
from volary.cli.progress import bar
from volary.packaging import archive, signing
from volary.packaging import bundle as bundles

NAME = "export"
HELP = "a bundle as one zip file"


def configure(parser: argparse.ArgumentParser) -> None:
    """Options."""
    parser.add_argument("bundle", help=f"a directory, {storage.REFERENCE_HELP}")
    parser.add_argument("-o", "--output", type=Path, required=True, metavar="FILE", help="the zip file")
    storage.configure(parser)


def run(args: argparse.Namespace) -> int:
    """0."""
    if storage.is_remote(args.bundle):
        digest, size = _remote(args)
    else:
        bundle = bundles.load(Path(args.bundle))
        digest = bundle.digest
        with bar("exporting", bundle.manifest.size) as progress:
            size = archive.export(bundle.data, signing.read(bundle.path), archive.local(bundle), args.output, progress)
    sys.stdout.write(f"{digest}\n")
    sys.stderr.write(f"{args.output}: {limits.show(size)}\n")
    return 0


def _remote(args: argparse.Namespace) -> tuple[str, int]:
    wanted = storage.reference(args.bundle)
    place = storage.connect(args, wanted.uri)
    version = storage.find(place, wanted)
    patience = Patience(budget=storage.BUDGET)
    signature = patience.retry(lambda: repository.signature(place, version.manifest.version))

    def export() -> int:
        with bar("exporting", version.manifest.size) as progress:
            return archive.export(version.data, signature, _content(place), args.output, progress)

    return version.digest, patience.retry(export)


def _content(place: Storage) -> archive.Content:
    @contextmanager
    def opened(file: File) -> Iterator[Iterator[bytes]]:
        yield _chunks(place, file)

    return opened


def _chunks(place: Storage, file: File) -> Iterator[bytes]:
    for blob in file.blobs:
        if blob.size:
            with place.stream(layout.blob_key(blob.sha256)) as chunks:
                yield from chunks
