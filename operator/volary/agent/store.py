"""Files by content on the pod's disk: what is in the store is complete and was proved byte for byte.

A file is written below `partial` and renamed only after its sha256 was right. So a crash of the
process at any point leaves nothing under a final name that is not whole.

What was proved is not read again: a proved file gets a time of change that is a mark of this start
of the machine, and any write after that moves it. With the next start all marks are void, because
only then can bytes be lost that were written; so nothing has to be synced, which at 260 MB/s would
take longer than the transfer. This is safe for a store that one service writes, as a pod's is: the
mark tells accidents, not somebody who may write here and wants to deceive.
"""

import errno
import fcntl
import hashlib
import os
import secrets
import shutil
from collections.abc import Collection, Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import cache
from io import BufferedReader
from pathlib import Path

from volary.agent.retry import Patience
from volary.bundle import limits, paths
from volary.bundle.manifest import File
from volary.bundle.protobuf import Reader
from volary.common import digests
from volary.common.errors import Refused
from volary.common.reasons import Reason

_READ_ONLY = 0o444
_DIRECTORY = 0o755
_BOOT = Path("/proc/sys/kernel/random/boot_id")
_LOOK = 0.2  # seconds between two tries to be alone
_FULL = (errno.ENOSPC, errno.EDQUOT)


@dataclass(frozen=True, slots=True)
class Store:
    """`<root>/.store`: files under `sha256/<hex>`, files that are arriving under `partial`, directories to publish under `tmp`."""

    root: Path

    @property
    def blobs(self) -> Path:
        """Where complete files are."""
        return self.root / ".store" / "sha256"

    @property
    def temporary(self) -> Path:
        """Where what is put together is; on the same disk, so that a rename is atomic."""
        return self.root / ".store" / "tmp"

    @property
    def partial(self) -> Path:
        """Where files are of which something has arrived since the machine started; a later life of this container goes on with them."""
        return self.root / ".store" / "partial" / str(_mark())

    @contextmanager
    def locked(self, patience: Patience) -> Iterator[None]:
        """Alone in this store: a second process waits until the first has ended, however it ends."""
        with full_disk_named("the store"):
            self.blobs.mkdir(parents=True, exist_ok=True, mode=_DIRECTORY)
        descriptor = os.open(self.root / ".store", os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            while not _lock(descriptor):
                patience.check()
                patience.stop.wait(_LOOK)
            yield
        finally:
            os.close(descriptor)

    def prepare(self) -> None:
        """Make the directories, and remove what was half published or arrived before the machine started."""
        with full_disk_named("the store"):
            self.blobs.mkdir(parents=True, exist_ok=True, mode=_DIRECTORY)
            shutil.rmtree(self.temporary, ignore_errors=True)
            self.temporary.mkdir(mode=_DIRECTORY)
            self.partial.mkdir(parents=True, exist_ok=True, mode=_DIRECTORY)
            for earlier in self.partial.parent.iterdir():
                if earlier != self.partial:
                    shutil.rmtree(earlier, ignore_errors=True)

    def keep_partial(self, files: Iterable[File]) -> None:
        """Remove what arrived of other files: the disk is for this bundle."""
        wanted = {file.sha256 for file in files}
        for path in self.partial.iterdir():
            if path.name not in wanted:
                path.unlink()

    def path(self, sha256: str) -> Path:
        """Where the file with this content is, or will be."""
        return self.blobs / sha256

    def holds(self, file: File) -> bool:
        """Whether the file is there and still what it was; one that has changed is removed. Reads it only if it is not marked."""
        path = self.path(file.sha256)
        try:
            with open_regular(path) as stream:
                found = os.fstat(stream.fileno())
                if found.st_size == file.size and found.st_mtime == _mark():
                    return True
                if digests.of_part(stream.fileno(), 0, found.st_size) == file.sha256:
                    os.utime(stream.fileno(), (_mark(), _mark()))
                    return True
        except FileNotFoundError:
            return False
        path.unlink()
        return False

    def read(self, sha256: str, limit: int) -> bytes | None:
        """The content of a small file, or None when it is not there or not what it should be."""
        try:
            with open_regular(self.path(sha256)) as stream:
                data = stream.read(limit + 1)
        except FileNotFoundError:
            return None
        return data if hashlib.sha256(data).hexdigest() == sha256 else None

    def reader(self, sha256: str) -> Reader:
        """Bytes of a file in the store by position."""

        def read(offset: int, size: int) -> bytes:
            with open_regular(self.path(sha256)) as stream:
                stream.seek(offset)
                return stream.read(size)

        return read

    def write(self, data: bytes) -> str:
        """Put small content in; its sha256."""
        sha256 = hashlib.sha256(data).hexdigest()
        path = self.temporary / f"{sha256}.{secrets.token_hex(4)}"
        path.write_bytes(data)
        self.place(sha256, path)
        return sha256

    def place(self, sha256: str, path: Path) -> None:
        """Put a proved file in, by a rename."""
        with open_regular(path) as stream:
            os.fchmod(stream.fileno(), _READ_ONLY)
            os.utime(stream.fileno(), (_mark(), _mark()))
        path.rename(self.path(sha256))

    def publish(self, files: tuple[File, ...], manifest: bytes, target: Path) -> None:
        """Make `target` the directory of these files, at once: hard links into the store, one rename."""
        work = self.temporary / f"bundle.{secrets.token_hex(4)}"
        with full_disk_named("the bundle's directory"):
            work.mkdir(mode=_DIRECTORY)
            for file in files:
                path = work / file.path
                path.parent.mkdir(parents=True, exist_ok=True, mode=_DIRECTORY)
                os.link(self.path(file.sha256), path, follow_symlinks=False)
            # The manifest last: a directory with a manifest is whole, wherever it is copied to.
            os.link(self.path(self.write(manifest)), work / paths.MANIFEST, follow_symlinks=False)
            for directory in [work, *(path for path in work.rglob("*") if path.is_dir())]:
                _sync(directory)
            target.parent.mkdir(parents=True, exist_ok=True, mode=_DIRECTORY)
            self._swap(work, target)
            _sync(target.parent)

    def is_published(self, files: tuple[File, ...], manifest: bytes, target: Path) -> bool:
        """Whether `target` is just that already: the same manifest, and each file the one in the store."""
        try:
            with open_regular(target / paths.MANIFEST) as stream:
                if stream.read(len(manifest) + 1) != manifest:
                    return False
            return all(os.path.samestat((target / file.path).lstat(), self.path(file.sha256).lstat()) for file in files)
        except (FileNotFoundError, NotADirectoryError):
            return False

    def sweep(self, model: str, keep: Collection[str], patience: Patience) -> None:
        """Remove the versions of a model that are not in `keep`, and the files that no version has any more."""
        with self.locked(patience):
            self.prepare()
            for path in self._versions(model):
                if path.name not in keep:
                    # Moved first: a directory with a manifest is whole at any moment.
                    path.rename(gone := self.temporary / f"gone.{secrets.token_hex(4)}")
                    shutil.rmtree(gone, ignore_errors=True)
            self.keep_partial([])
            for path in self.blobs.iterdir():
                if path.lstat().st_nlink == 1:  # each version that has the file is one more link
                    path.unlink()

    def _versions(self, model: str) -> list[Path]:
        try:
            return [path for path in (self.root / model).iterdir() if path.is_dir()]
        except FileNotFoundError:
            return []

    def _swap(self, work: Path, target: Path) -> None:
        old = self.temporary / f"old.{secrets.token_hex(4)}"
        with suppress(FileNotFoundError):
            target.rename(old)
        work.rename(target)
        shutil.rmtree(old, ignore_errors=True)


def _lock(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


@cache
def _mark() -> int:
    """Seconds since the epoch, in the years 1970 to 2004: another number for each start of the machine."""
    try:
        word = _BOOT.read_bytes()
    except OSError:
        word = secrets.token_bytes(16)  # nothing tells: proofs hold for this process only
    return int.from_bytes(hashlib.sha256(word).digest()[:4]) % 2**30


def free(path: Path) -> int:
    """Bytes an ordinary user may still write."""
    found = os.statvfs(path)
    return found.f_bavail * found.f_frsize


def check_free(path: Path, needed: int) -> None:
    """Raise Refused (DiskFull) before the first byte rather than after the last that fits."""
    if needed > (there := free(path)):
        raise Refused(Reason.DISK_FULL, f"the bundle needs {limits.show(needed)}, the disk has {limits.show(there)} left")


def open_regular(path: Path) -> BufferedReader:
    """Open for reading, never through a symbolic link."""
    return os.fdopen(os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC), "rb")


@contextmanager
def full_disk_named(what: str) -> Iterator[None]:
    """ENOSPC inside the block becomes Refused (DiskFull)."""
    try:
        yield
    except OSError as error:
        if error.errno not in _FULL:
            raise
        raise Refused(Reason.DISK_FULL, f"no space left on the disk for {what}") from None


def _sync(directory: Path) -> None:
    descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
