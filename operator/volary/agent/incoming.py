"""A file on its way to the disk: its blobs may come in any order, its sha256 is of the bytes in theirs.

The whole file is proved, not each blob: a bundle that contradicts itself cannot put a wrong file
into the store, and each byte is hashed once. Which blob was wrong is looked for only when something was.
"""

import hashlib
import os
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from volary.agent import source
from volary.agent.store import full_disk_named
from volary.bundle import limits, paths
from volary.bundle.manifest import Blob, File
from volary.common import digests
from volary.common.errors import Refused
from volary.common.reasons import Reason

_OPEN = os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC

_SECTOR = 512  # bytes: the unit of st_blocks
_STEP = 16 * limits.MIB  # read back between two signs of life


class Incoming:
    """What has arrived of one file, at `path`. Blobs may be added from several threads, each blob from one."""

    def __init__(self, file: File, path: Path, alive: Callable[[], None] = lambda: None) -> None:
        """`alive` is called now and then while bytes are read back; what it raises ends the work."""
        self.file = file
        self.path = path
        self._alive = alive
        self._blobs = file.blobs
        self._reached = {blob.start: blob.start for blob in self._blobs}  # start of a blob -> where its bytes end so far
        self._left = len(self._blobs)
        before = path.lstat() if path.is_file() else None
        self._before = 0 if before is None else before.st_size  # where the bytes of an earlier life end; there may be holes
        self.occupied = 0 if before is None else before.st_blocks * _SECTOR  # bytes of the disk
        self._counting = threading.Lock()
        self._hashing = threading.Lock()
        self._digest = hashlib.sha256()
        self._hashed = 0  # bytes from the start of the file
        self._front = 0  # index of the blob that is hashed next

    @contextmanager
    def opened(self) -> Iterator[int]:
        """A descriptor of its own for each thread: none can close what another one writes to."""
        with full_disk_named(paths.show(self.file.path)):
            descriptor = os.open(self.path, _OPEN, 0o600)
            try:
                yield descriptor
            finally:
                os.close(descriptor)

    def resume(self, descriptor: int, blob: Blob) -> int:
        """How much of a blob an earlier life left, in bytes. Of chunks only whole ones count, which are proved here."""
        end = blob.start + blob.size
        if self.file.chunks:
            whole = end <= self._before and digests.of_part(descriptor, blob.start, blob.size) == blob.sha256
            self._reached[blob.start] = end if whole else blob.start
        else:
            self._reached[blob.start] = self._before if self._before <= end else 0  # the sha256 of the file decides
        return self._reached[blob.start] - blob.start

    def arrived(self, blob: Blob) -> int:
        """Bytes of a blob that are there."""
        return self._reached[blob.start] - blob.start

    def add(self, descriptor: int, blob: Blob, piece: bytes) -> None:
        """The next bytes of a blob. Raises Refused (SizeMismatch) before a byte beyond its size is written."""
        position = self._reached[blob.start]
        if position + len(piece) > blob.start + blob.size:
            raise Refused(
                Reason.SIZE_MISMATCH, f"{source.show(self.file, blob)} goes on after the {blob.size} bytes the manifest says it has"
            )
        rest, at = memoryview(piece), position
        while rest:
            count = os.pwrite(descriptor, rest, at)
            rest, at = rest[count:], at + count
        self._reached[blob.start] = at
        self._hash(descriptor, position, piece)

    def complete(self, blob: Blob) -> bool:
        """A blob is there; whether it was the last one. Raises Refused (SizeMismatch)."""
        if (size := self.arrived(blob)) != blob.size:
            raise Refused(Reason.SIZE_MISMATCH, f"{source.show(self.file, blob)} has {size} bytes, the manifest says {blob.size}")
        with self._counting:
            self._left -= 1
            return self._left == 0

    def prove(self, descriptor: int) -> None:
        """Raise Refused (DigestMismatch) unless the file is what the manifest says. All blobs must be there."""
        os.ftruncate(descriptor, self.file.size)
        with self._hashing:
            self._catch_up(descriptor)
        found = self._digest.hexdigest()
        if found == self.file.sha256:
            return
        for blob in self._blobs if self.file.chunks else ():
            if (part := digests.of_part(descriptor, blob.start, blob.size)) != blob.sha256:
                raise Refused(
                    Reason.DIGEST_MISMATCH, f"{source.show(self.file, blob)} has the sha256 {part}, the manifest says {blob.sha256}"
                )
        raise Refused(Reason.DIGEST_MISMATCH, f"{paths.show(self.file.path)} has the sha256 {found}, the manifest says {self.file.sha256}")

    def _hash(self, descriptor: int, position: int, piece: bytes) -> None:
        """Go on with the hash if nobody else does: from memory where `piece` comes next, else from the disk's cache."""
        if not self._hashing.acquire(blocking=False):
            return  # who hashes now, or `prove`, finds these bytes
        try:
            if position == self._hashed:
                self._digest.update(piece)
                self._hashed += len(piece)
            self._catch_up(descriptor)
        finally:
            self._hashing.release()

    def _catch_up(self, descriptor: int) -> None:
        while self._front < len(self._blobs):
            blob = self._blobs[self._front]
            reached = self._reached[blob.start]
            while reached > self._hashed:
                self._hashed += digests.update(self._digest, descriptor, self._hashed, min(reached - self._hashed, _STEP))
                self._alive()
            if self._hashed < blob.start + blob.size:
                return
            self._front += 1
