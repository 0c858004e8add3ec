"""A bundle out into one zip file, and in again from one that a stranger may have made.

What is read is compared with what the manifest makes of it (`volary.bundle.archive`); names of the
archive never become paths, those of the checked manifest do. Nothing is written outside a new
directory, which gets its name when all is proved.
"""

import errno
import hashlib
import os
import secrets
import shutil
import zlib
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import BinaryIO

from volary.bundle import archive, formats, limits, manifest, paths
from volary.bundle.archive import Entry
from volary.bundle.manifest import File
from volary.common.errors import Refused
from volary.common.reasons import Reason
from volary.packaging import bundle as bundles
from volary.packaging import signing
from volary.packaging.bundle import Bundle
from volary.packaging.signing import Trust

Progress = Callable[[int], None]
Content = Callable[[File], AbstractContextManager[Iterator[bytes]]]  # a file's bytes, from wherever they are
_CHUNK = limits.MIB
_NEW_FILE = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC


def export(data: bytes, signature: bytes | None, content: Content, output: Path, progress: Progress = lambda _: None) -> int:
    """Write the archive of a manifest; its bytes. Raises Refused when a content is not the manifest's; then nothing is left."""
    found = manifest.parse(data)
    if signature is not None:
        signing.check_belongs(signature, data)
    files = {file.path: file for file in found.files}
    entries = archive.entries(found, len(data), None if signature is None else len(signature))
    given = {paths.MANIFEST: data, paths.SIGNATURE: signature or b""}
    work = output.parent / f".{output.name}.{secrets.token_hex(4)}"
    try:
        with work.open("xb") as stream:
            crcs = [
                _put(stream, entry, _whole(given[entry.name]))
                if entry.name in given
                else _put_file(stream, entry, files, content, progress)
                for entry in entries
            ]
            stream.write(archive.directory(entries, crcs))
            size = stream.tell()
        work.replace(output)
    finally:
        work.unlink(missing_ok=True)
    return size


def local(bundle: Bundle) -> Content:
    """The contents of a bundle on this machine."""

    @contextmanager
    def opened(file: File) -> Iterator[Iterator[bytes]]:
        with (bundle.path / file.path).open("rb") as stream:
            yield iter(lambda: stream.read(_CHUNK), b"")

    return opened


def import_(
    path: Path, output: Path, *, digest: str | None = None, trust: Trust | None = None, progress: Progress = lambda _: None
) -> Bundle:
    """Make the directory `output`, which must not exist or be empty, of an archive. Raises Refused.

    Digest and signature are proved before any file is looked at.
    """
    with path.open("rb") as stream:
        data, signature = _front(stream)
        found = manifest.parse(data)
        signing.check_digest(manifest.digest(data), digest)
        signing.verify(data, signature, trust or Trust())
        with _new(output, found.size) as work:
            (work / paths.MANIFEST).write_bytes(data)
            if signature is not None:
                (work / paths.SIGNATURE).write_bytes(signature)
            entries = archive.entries(found, len(data), None if signature is None else len(signature))
            first = 1 if signature is None else 2
            crcs = [zlib.crc32(each) for each in (data, signature) if each is not None]
            files = {file.path: file for file in found.files}
            for number, entry in enumerate(entries[first:], first):
                stream.seek(entry.offset)
                raw = _header(stream)
                archive.check_header(raw, entry, [each.name for each in entries[:number]])
                crcs.append(_take(stream, files[entry.name], work, progress))
                _check_crc(raw, entry.name, crcs[-1])
            tail = stream.read(len(archive.directory(entries, crcs)) + 1)
            archive.check_directory(tail, entries, crcs)
    return bundles.load(output)


def _front(stream: BinaryIO) -> tuple[bytes, bytes | None]:
    """The manifest, and the signature where there is one: the two whose sizes nothing else tells."""
    data = _small(stream, paths.MANIFEST, limits.MANIFEST_BYTES, ())
    position = stream.tell()
    if archive.name_in(_header(stream)) != paths.SIGNATURE:
        return data, None
    stream.seek(position)
    return data, _small(stream, paths.SIGNATURE, limits.SIGNATURE_BYTES, (paths.MANIFEST,))


def _small(stream: BinaryIO, name: str, most: int, seen: tuple[str, ...]) -> bytes:
    offset, raw = stream.tell(), _header(stream)
    claimed = archive.size_in(raw) if archive.name_in(raw) == name else 0
    if claimed > most:
        raise Refused(Reason.LIMIT_EXCEEDED, f"{name} in the archive has {claimed} bytes; the limit is {limits.show(most)}")
    archive.check_header(raw, Entry(name, claimed, offset), seen)
    data = stream.read(claimed)
    if len(data) < claimed:
        raise Refused(Reason.SIZE_MISMATCH, f"the archive ends within {name}")
    _check_crc(raw, name, zlib.crc32(data))
    return data


def _header(stream: BinaryIO) -> bytes:
    fixed = stream.read(archive.FIXED)
    return fixed + stream.read(archive.rest_of_header(fixed))


def _take(stream: BinaryIO, file: File, work: Path, progress: Progress) -> int:
    """One file out of the archive, proved; its CRC."""
    target = work / file.path
    target.parent.mkdir(parents=True, exist_ok=True)
    digest, crc, left, head = hashlib.sha256(), 0, file.size, b""
    with os.fdopen(os.open(target, _NEW_FILE, 0o644), "wb") as output:
        while left and (chunk := stream.read(min(left, _CHUNK))):
            digest.update(chunk)
            crc, left = zlib.crc32(chunk, crc), left - len(chunk)
            head = head or chunk[: formats.MAGIC_BYTES]
            output.write(chunk)
            progress(len(chunk))
    if left:
        raise Refused(Reason.SIZE_MISMATCH, f"the archive ends within {paths.show(file.path)}")
    _check_sha256(file, digest.hexdigest())
    formats.check_magic(file.role, file.path, head)
    return crc


def _put_file(stream: BinaryIO, entry: Entry, files: dict[str, File], content: Content, progress: Progress) -> int:
    file, digest = files[entry.name], hashlib.sha256()

    def counted(chunks: Iterator[bytes]) -> Iterator[bytes]:
        for chunk in chunks:
            digest.update(chunk)
            progress(len(chunk))
            yield chunk

    with content(file) as chunks:
        crc = _put(stream, entry, counted(chunks))
    _check_sha256(file, digest.hexdigest())
    return crc


def _put(stream: BinaryIO, entry: Entry, chunks: Iterator[bytes]) -> int:
    """One entry. The CRC stands before the content, so it is written last."""
    crc, count = 0, 0
    stream.write(archive.header(entry, 0))
    for chunk in chunks:
        crc, count = zlib.crc32(chunk, crc), count + len(chunk)
        if count > entry.size:
            break
        stream.write(chunk)
    if count != entry.size:
        raise Refused(Reason.SIZE_MISMATCH, f"{paths.show(entry.name)} has not the {entry.size} bytes the manifest says")
    stream.seek(entry.offset)
    stream.write(archive.header(entry, crc))
    stream.seek(entry.end)
    return crc


def _whole(data: bytes) -> Iterator[bytes]:
    return iter((data,))


def _check_sha256(file: File, found: str) -> None:
    if found != file.sha256:
        raise Refused(Reason.DIGEST_MISMATCH, f"{paths.show(file.path)} has the sha256 {found}, the manifest says {file.sha256}")


def _check_crc(raw: bytes, name: str, found: int) -> None:
    if archive.crc_in(raw) != found:
        message = f"{paths.show(name)} has the CRC {found:08x}, its header says {archive.crc_in(raw):08x}"
        raise Refused(Reason.ARCHIVE_INVALID, f"the archive is damaged: {message}")


@contextmanager
def _new(output: Path, size: int) -> Iterator[Path]:
    """A directory that becomes `output` at the end of the block, or goes without a trace."""
    if output.is_symlink() or (output.exists() and (not output.is_dir() or any(output.iterdir()))):
        raise Refused(Reason.NAME_CONFLICT, f"{output} exists and is not an empty directory; choose another --output or remove it")
    output.parent.mkdir(parents=True, exist_ok=True)
    if size > (free := shutil.disk_usage(output.parent).free):
        raise Refused(Reason.DISK_FULL, f"the bundle needs {limits.show(size)}, the disk has {limits.show(free)} left")
    work = output.parent / f".{output.name}.{secrets.token_hex(4)}"
    work.mkdir()
    try:
        yield work
        if output.exists():
            output.rmdir()
        work.rename(output)
    except OSError as error:
        if error.errno not in (errno.ENOSPC, errno.EDQUOT):
            raise
        raise Refused(Reason.DISK_FULL, f"no space left on the disk for {output}") from None
    finally:
        shutil.rmtree(work, ignore_errors=True)
