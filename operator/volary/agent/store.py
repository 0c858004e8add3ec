"""Files by content on the pod's disk: what is in the store is complete and was proved byte for byte.

A file is written under a temporary name, synced, and renamed only after its sha256 was right. So a
crash at any point leaves nothing under a final name that is not whole.
"""

import errno
import hashlib
import os
import secrets
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from io import BufferedReader, FileIO
from pathlib import Path

from volary.bundle import limits, paths
from volary.bundle.formats import Role
from volary.bundle.manifest import File
from volary.bundle.protobuf import Reader
from volary.common.errors import Refused
from volary.common.reasons import Reason

_READ_ONLY = 0o444
_DIRECTORY = 0o755
_NEW_FILE = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
_FULL = (errno.ENOSPC, errno.EDQUOT)


@dataclass(frozen=True, slots=True)
class Store:
    """`<root>/.store`: blobs under `sha256/<hex>`, work in progress under `tmp`."""

    root: Path

    @property
    def blobs(self) -> Path:
        """Where complete files are."""
        return self.root / ".store" / "sha256"

    @property
    def temporary(self) -> Path:
        """Where incomplete ones are; on the same disk, so that a rename is atomic."""
        return self.root / ".store" / "tmp"

    def prepare(self) -> None:
        """Make the directories, and remove what an earlier life of this container left half done."""
        with full_disk_named("the store"):
            self.blobs.mkdir(parents=True, exist_ok=True, mode=_DIRECTORY)
            shutil.rmtree(self.temporary, ignore_errors=True)
            self.temporary.mkdir(mode=_DIRECTORY)

    def path(self, sha256: str) -> Path:
        """Where the file with this content is, or will be."""
        return self.blobs / sha256

    def holds(self, file: File) -> bool:
        """Whether the file is there and still what it was; one that has changed is removed."""
        path = self.path(file.sha256)
        try:
            with open_regular(path) as stream:
                if os.fstat(stream.fileno()).st_size == file.size and hashlib.file_digest(stream, "sha256").hexdigest() == file.sha256:
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
        with self.incoming(File(path=sha256, role=Role.DATA, sha256=sha256, size=len(data))) as incoming:
            incoming.add(data)
        return sha256

    @contextmanager
    def incoming(self, file: File) -> "Iterator[Incoming]":
        """A file that comes in: proved and put in its place at the end of the block, or gone without a trace."""
        temporary = self.temporary / f"{file.sha256}.{secrets.token_hex(4)}"
        try:
            with full_disk_named(paths.show(file.path)), os.fdopen(os.open(temporary, _NEW_FILE, 0o600), "wb", buffering=0) as stream:
                incoming = Incoming(file, stream, hashlib.sha256())
                yield incoming
                incoming.prove()
                os.fchmod(stream.fileno(), _READ_ONLY)
                os.fsync(stream.fileno())
            temporary.rename(self.path(file.sha256))
        finally:
            with suppress(FileNotFoundError):
                temporary.unlink()

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

    def _swap(self, work: Path, target: Path) -> None:
        old = self.temporary / f"old.{secrets.token_hex(4)}"
        with suppress(FileNotFoundError):
            target.rename(old)
        work.rename(target)
        shutil.rmtree(old, ignore_errors=True)


class Incoming:
    """Bytes on their way to the disk: counted and hashed while they are written."""

    def __init__(self, file: File, stream: FileIO, digest: "hashlib._Hash") -> None:
        self._file = file
        self._stream = stream
        self._digest = digest
        self.size = 0

    def add(self, chunk: bytes) -> None:
        """Write more. Raises Refused (SizeMismatch) before a byte beyond the size is written."""
        if self.size + len(chunk) > self._file.size:
            raise Refused(
                Reason.SIZE_MISMATCH, f"{paths.show(self._file.path)} goes on after the {self._file.size} bytes the manifest says it has"
            )
        self._digest.update(chunk)
        rest = memoryview(chunk)
        while rest:
            rest = rest[self._stream.write(rest) :]
        self.size += len(chunk)

    def prove(self) -> None:
        """Raise Refused (SizeMismatch, DigestMismatch) unless the file is what the manifest says."""
        if self.size != self._file.size:
            raise Refused(Reason.SIZE_MISMATCH, f"{paths.show(self._file.path)} has {self.size} bytes, the manifest says {self._file.size}")
        found = self._digest.hexdigest()
        if found != self._file.sha256:
            raise Refused(
                Reason.DIGEST_MISMATCH, f"{paths.show(self._file.path)} has the sha256 {found}, the manifest says {self._file.sha256}"
            )


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
