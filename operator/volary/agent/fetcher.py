"""Bring a bundle from the storage to the disk: verified, atomic, and only what is not there yet."""

import re
import threading
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from volary.adapters.storage import Storage
from volary.agent import pool, source, store
from volary.agent.retry import Patience
from volary.agent.source import Found, Wanted
from volary.agent.store import Store
from volary.bundle import formats, graph, layout, limits
from volary.bundle.manifest import NAME_PATTERN, File, Manifest
from volary.common.errors import Refused, Transient
from volary.common.reasons import Reason

WORKERS = 4  # one stream of an S3 storage seldom fills a line
_STALL_FACTOR = 1.5  # longer than the back-off of a storage that is away, which has its own error


@dataclass(frozen=True, slots=True)
class Fetched:
    """A published bundle."""

    found: Found
    path: Path
    downloaded: int  # bytes; 0 when all was there

    @property
    def manifest(self) -> Manifest:
        """What it holds."""
        return self.found.manifest


class _Counter:
    """Bytes that came in so far, from all threads."""

    def __init__(self, progress: Callable[[int], None]) -> None:
        self._lock = threading.Lock()
        self._progress = progress
        self.total = 0

    def add(self, count: int) -> None:
        with self._lock:
            self.total += count
        self._progress(count)


class _Stall:
    """A storage that sends one byte a second breaks no timeout of any read; this notices."""

    def __init__(self, storage: Storage, counter: _Counter, patience: Patience) -> None:
        self._place = storage.place
        self._counter = counter
        self._patience = patience
        self._seen = 0
        self._since = patience.clock()

    def look(self) -> None:
        self._patience.check()
        now = self._patience.clock()
        if self._counter.total > self._seen:
            self._seen, self._since = self._counter.total, now
        if now - self._since > (allowed := _STALL_FACTOR * self._patience.budget):
            raise Transient(Reason.STORAGE_UNREACHABLE, f"{self._place} sent next to nothing for {allowed:.0f} s")


def fetch(
    storage: Storage, wanted: Wanted, directory: Path, model: str, *, patience: Patience, progress: Callable[[int], None] = lambda _: None
) -> Fetched:
    """Publish `directory/<model>/<version>` and say where. Idempotent. Raises Refused, Transient or Stopped.

    `progress` is called with bytes that came in, from several threads.
    """
    if not re.fullmatch(NAME_PATTERN, model):
        raise Refused(Reason.SPEC_INVALID, f"{model[:63]!r} cannot be the name of a model")
    local = Store(directory)
    local.prepare()
    found = _manifest(local, storage, wanted, patience)
    missing = [file for file in unique(found.manifest.files) if not local.holds(file)]
    store.check_free(directory, sum(file.size for file in missing))
    counter = _Counter(progress)

    # Large files first: the last thread to finish should have a small one.
    ordered = sorted(missing, key=lambda file: -file.size)
    pool.each(
        ordered,
        lambda file: _bring(local, storage, file, patience, counter),
        workers=WORKERS,
        watch=_Stall(storage, counter, patience).look,
    )
    for file in found.manifest.files:
        _check_magic(local, file)
    graph.check(found.manifest, lambda file: local.reader(file.sha256))
    target = directory / model / formats.folder(found.manifest.format, wanted.version)
    if not local.is_published(found.manifest.files, found.data, target):
        local.publish(found.manifest.files, found.data, target)
    return Fetched(found, target, counter.total)


def unique(files: tuple[File, ...]) -> list[File]:
    """One file of each content."""
    return list({file.sha256: file for file in files}.values())


def _manifest(local: Store, storage: Storage, wanted: Wanted, patience: Patience) -> Found:
    """From the disk if it is pinned and there: a restarted container needs no storage."""
    if wanted.digest is not None:
        data = local.read(wanted.digest.removeprefix("sha256:"), limits.MANIFEST_BYTES)
        if data is not None:
            return source.check(data, wanted)
    return patience.retry(lambda: source.find(storage, wanted))


def _bring(local: Store, storage: Storage, file: File, patience: Patience, counter: _Counter) -> None:
    """One file. A broken transfer goes on where it broke; whatever came, the sha256 of the whole decides."""
    with local.incoming(file) as incoming:

        def transfer() -> None:
            with source.named(storage, file), storage.stream(layout.blob_key(file.sha256), incoming.size) as chunks:
                for chunk in chunks:
                    patience.check()
                    incoming.add(chunk)
                    counter.add(len(chunk))

        if file.size:
            patience.retry(transfer, lambda: incoming.size)


def _check_magic(local: Store, file: File) -> None:
    with store.open_regular(local.path(file.sha256)) as stream:
        head = stream.read(formats.MAGIC_BYTES)
    formats.check_magic(file.role, file.path, head)
