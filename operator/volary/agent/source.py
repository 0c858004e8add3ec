"""A bundle as it lies in the storage: its manifest, checked against what was asked for."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from volary.adapters import repository
from volary.adapters.storage import Storage
from volary.bundle import formats, layout, limits, manifest, paths
from volary.bundle.manifest import Blob, File, Manifest
from volary.common.errors import Refused
from volary.common.reasons import Reason

_PROVABLE = frozenset({"onnxruntime", "tensorflow-serving"})  # runtimes whose protocol the agent speaks
_WINDOW = 64 * limits.KIB  # of a reader: a request costs as much as 100 KiB or so


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which bundle, and for which runtime. Without a digest the version is trusted as it is; without a runtime any format will do."""

    version: str
    digest: str | None = None
    runtime: str | None = None


@dataclass(frozen=True, slots=True)
class Found:
    """A manifest that may be acted on, and the bytes its digest is of."""

    manifest: Manifest
    data: bytes

    @property
    def digest(self) -> str:
        """`sha256:<hex>`."""
        return manifest.digest(self.data)


def find(storage: Storage, wanted: Wanted) -> Found:
    """Read and check the manifest. Raises Refused or Transient."""
    key = layout.version_key(wanted.version)
    try:
        data = storage.read(key, limits.MANIFEST_BYTES)
    except Refused as error:
        if error.reason is not Reason.FILE_NOT_FOUND:
            raise
        remedy = repository.hint(storage, wanted.version) or "; `volary push` it or correct the version"
        raise Refused(Reason.VERSION_NOT_FOUND, f"there is no version {wanted.version} in {storage.place}{remedy}") from None
    return check(data, wanted)


@contextmanager
def named(storage: Storage, file: File, blob: Blob) -> Iterator[None]:
    """A blob that is not there is told by the file's name, which its author knows."""
    try:
        yield
    except Refused as error:
        if error.reason is not Reason.FILE_NOT_FOUND:
            raise
        message = f"{show(file, blob)} is not in {storage.place} (no {layout.blob_key(blob.sha256)})"
        raise Refused(Reason.FILE_NOT_FOUND, message) from None


def show(file: File, blob: Blob) -> str:
    """A file, or the part of it that a chunk is, for messages."""
    if not file.chunks:
        return paths.show(file.path)
    return f"the chunk of {paths.show(file.path)} from byte {blob.start} to {blob.start + blob.size}"


def reader(storage: Storage, file: File) -> Callable[[int, int], bytes]:
    """`read(offset, size)`: bytes of a file in the storage, over the borders of its chunks; fewer at its end.

    Nothing is proved: it is for looking into what pods prove later. Small reads that follow each
    other cost one request a window. Raises Refused or Transient. For one thread.
    """
    window = (0, b"")

    def read(offset: int, size: int) -> bytes:
        nonlocal window
        start, data = window
        if not start <= offset <= offset + size <= start + len(data):
            data = b"".join(_ranges(storage, file, offset, offset + max(size, _WINDOW)))
            start = offset
            window = (start, data)
        return data[offset - start : offset - start + size]

    return read


def _ranges(storage: Storage, file: File, start: int, stop: int) -> Iterator[bytes]:
    for blob in file.blobs:
        first, last = max(start, blob.start), min(stop, blob.start + blob.size)
        if first < last:
            with (
                named(storage, file, blob),
                storage.stream(layout.blob_key(blob.sha256), first - blob.start, last - blob.start) as pieces,
            ):
                yield b"".join(pieces)


def check(data: bytes, wanted: Wanted) -> Found:
    """The digest first, so that nothing is parsed that nobody pinned. Raises Refused."""
    digest = manifest.digest(data)
    if wanted.digest is not None and digest != wanted.digest:
        raise Refused(Reason.MANIFEST_DIGEST_MISMATCH, f"version {wanted.version} has the digest {digest}, pinned is {wanted.digest}")
    found = manifest.parse(data)
    if found.version != wanted.version:
        raise Refused(Reason.MANIFEST_INVALID, f"version {wanted.version} holds the manifest of version {found.version}")
    if wanted.runtime is not None:
        _check_runtime(found, wanted.runtime)
    return Found(found, data)


def _check_runtime(found: Manifest, runtime: str) -> None:
    formats.check_runtime(found.format, runtime)
    if runtime not in _PROVABLE:
        known = ", ".join(sorted(_PROVABLE))
        raise Refused(Reason.FORMAT_UNSUPPORTED, f"this version of Volary cannot prove models on {runtime} yet; it can on {known}")
