"""Bring a bundle from the storage to the disk: verified, atomic, and only what is not there yet.

A file is put together from blobs, several at a time: from what an earlier fetch left, from files of
other versions on the same disk that have the same chunk, else from the storage.
"""

import re
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from volary.adapters.storage import PIECE, Storage
from volary.agent import held, source, store
from volary.agent.held import Held
from volary.agent.incoming import Incoming
from volary.agent.retry import Patience
from volary.agent.source import Found, Wanted
from volary.agent.store import Store
from volary.bundle import formats, graph, layout, limits
from volary.bundle.manifest import NAME_PATTERN, Blob, File, Manifest
from volary.common import digests, pool
from volary.common.errors import Refused, Transient
from volary.common.reasons import Reason

WORKERS = 6  # a stream seldom fills a line, and a small file is mostly waiting; more only wait for each other in Python
_WRONG = frozenset({Reason.SIZE_MISMATCH, Reason.DIGEST_MISMATCH})  # bytes that will not get better; all others are kept
_STALL_FACTOR = 1.5  # longer than the back-off of a storage that is away, which has its own error


@dataclass(frozen=True, slots=True)
class Fetched:
    """A published bundle."""

    found: Found
    path: Path
    downloaded: int  # bytes; 0 when all was there
    reused: int = 0  # bytes taken from other files on the disk, or from a fetch that did not end

    @property
    def manifest(self) -> Manifest:
        """What it holds."""
        return self.found.manifest


class _Counter:
    """Bytes that are there so far, from all threads."""

    def __init__(self, progress: Callable[[int], None]) -> None:
        self._lock = threading.Lock()
        self._progress = progress
        self.downloaded = 0
        self.reused = 0
        self.signs = 0  # of life: whatever else takes time

    @property
    def total(self) -> int:
        return self.downloaded + self.reused + self.signs

    def alive(self) -> None:
        with self._lock:
            self.signs += 1

    def download(self, count: int) -> None:
        with self._lock:
            self.downloaded += count
        self._progress(count)

    def reuse(self, count: int) -> None:
        with self._lock:
            self.reused += count
        self._progress(count)


class _Stall:
    """A storage that sends one byte a second breaks no timeout of any read; this notices."""

    def __init__(self, storage: Storage, counter: _Counter, patience: Patience) -> None:
        self._storage = storage
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
            raise Transient(Reason.STORAGE_UNREACHABLE, f"{self._storage.place} sent next to nothing for {allowed:.0f} s")


def fetch(
    storage: Storage, wanted: Wanted, directory: Path, model: str, *, patience: Patience, progress: Callable[[int], None] = lambda _: None
) -> Fetched:
    """Publish `directory/<model>/<version>` and say where. Idempotent. Raises Refused, Transient or Stopped.

    `progress` is called with bytes that are there now, from several threads. Whatever ends a fetch
    before it is done, the next one takes from the disk what had arrived.
    """
    if not re.fullmatch(NAME_PATTERN, model):
        raise Refused(Reason.SPEC_INVALID, f"{model[:63]!r} cannot be the name of a model")
    local = Store(directory)
    with local.locked(patience):
        local.prepare()
        found = known(directory, wanted) or patience.retry(lambda: source.find(storage, wanted))
        files = found.manifest.files
        missing = [file for file in unique(files) if not local.holds(file)]
        counter = _Counter(progress)
        _complete(_Fetch(local, storage, held.index(local) if missing else {}, patience, counter), missing)
        for file in files:
            _check_magic(local, file)
        graph.check(found.manifest, lambda file: local.reader(file.sha256))
        target = directory / model / formats.folder(found.manifest.format, wanted.version)
        if not local.is_published(files, found.data, target):
            local.publish(files, found.data, target)
    return Fetched(found, target, counter.downloaded, counter.reused)


def unique(files: tuple[File, ...]) -> list[File]:
    """One file of each content."""
    return list({file.sha256: file for file in files}.values())


@dataclass(frozen=True, slots=True)
class _Fetch:
    """What every part of a fetch needs."""

    local: Store
    storage: Storage
    held: Mapping[str, Held]
    patience: Patience
    counter: _Counter


def _complete(fetch_: _Fetch, missing: list[File]) -> None:
    """Bring what is missing."""
    local = fetch_.local
    local.keep_partial(missing)

    def alive() -> None:
        fetch_.patience.check()
        fetch_.counter.alive()

    arriving = [Incoming(file, local.partial / file.sha256, alive) for file in missing]
    store.check_free(local.root, sum(max(0, each.file.size - each.occupied) for each in arriving))
    watch = _Stall(fetch_.storage, fetch_.counter, fetch_.patience).look
    try:
        pool.each(_order(arriving), lambda part: _bring(fetch_, *part), workers=WORKERS, watch=watch)
    except Refused as error:
        if error.reason is Reason.DISK_FULL:
            local.keep_partial([])  # others need the room
        raise


def _order(arriving: list[Incoming]) -> list[tuple[Incoming, Blob]]:
    """All files side by side, the small ones in between.

    Then most bytes are the next of their file, and are hashed while they are in the processor's
    cache; and the many requests for small files overlap with the few long ones.
    """
    parts: list[tuple[float, Incoming, Blob]] = []
    for number, each in enumerate(arriving):
        offset = number / len(arriving)
        blobs = each.file.blobs
        parts.extend(((at + offset) / len(blobs), each, blob) for at, blob in enumerate(blobs))
    return [(each, blob) for _, each, blob in sorted(parts, key=lambda part: part[0])]


def known(directory: Path, wanted: Wanted) -> Found | None:
    """The manifest from the disk, if it is pinned and there: a restarted container needs no storage. Raises Refused."""
    if wanted.digest is None:
        return None
    data = Store(directory).read(wanted.digest.removeprefix("sha256:"), limits.MANIFEST_BYTES)
    return None if data is None else source.check(data, wanted)


def _bring(fetch_: _Fetch, incoming: Incoming, blob: Blob) -> None:
    """One blob: from what arrived earlier, from another file on the disk, or from the storage."""
    try:
        with incoming.opened() as descriptor:
            fetch_.counter.reuse(incoming.resume(descriptor, blob))
            if incoming.arrived(blob) < blob.size and not _copy(fetch_, incoming, descriptor, blob):
                _download(fetch_, incoming, descriptor, blob)
            if incoming.complete(blob):
                incoming.prove(descriptor)
                fetch_.local.place(incoming.file.sha256, incoming.path)
    except Refused as error:
        if error.reason in _WRONG:
            incoming.path.unlink(missing_ok=True)
        raise


def _copy(fetch_: _Fetch, incoming: Incoming, descriptor: int, blob: Blob) -> bool:
    """From a file that has the same bytes somewhere, if it still has them."""
    found = fetch_.held.get(blob.sha256)
    if found is None or incoming.arrived(blob):
        return False
    try:
        with store.open_regular(found.path) as stream:
            if digests.of_part(stream.fileno(), found.start, blob.size) != blob.sha256:
                return False
            stream.seek(found.start)
            while left := blob.size - incoming.arrived(blob):
                fetch_.patience.check()
                incoming.add(descriptor, blob, piece := stream.read(min(left, PIECE)))
                fetch_.counter.reuse(len(piece))
    except FileNotFoundError:
        return False
    return True


def _download(fetch_: _Fetch, incoming: Incoming, descriptor: int, blob: Blob) -> None:
    """A broken transfer goes on where it broke."""
    storage, key = fetch_.storage, layout.blob_key(blob.sha256)

    def transfer() -> None:
        with source.named(storage, incoming.file, blob), storage.stream(key, incoming.arrived(blob)) as pieces:
            for piece in pieces:
                fetch_.patience.check()
                incoming.add(descriptor, blob, piece)
                fetch_.counter.download(len(piece))

    fetch_.patience.retry(transfer, lambda: incoming.arrived(blob))


def _check_magic(local: Store, file: File) -> None:
    with store.open_regular(local.path(file.sha256)) as stream:
        head = stream.read(formats.MAGIC_BYTES)
    formats.check_magic(file.role, file.path, head)
