"""Before any pod: is there a bundle, is it in order, and is all of it in the storage?

Small files are read and proved here, so that one flipped byte in a small model is refused before a
pod starts. Of large ones existence, size and first bytes are looked at; the pods prove every byte.
The graph is looked into wherever it is, over its weights; the pods look again at the bytes they proved.
"""

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass
from functools import partial

from volary.adapters.storage import Storage
from volary.agent import source
from volary.agent.fetcher import unique
from volary.agent.retry import Patience
from volary.agent.source import Found, Wanted
from volary.bundle import compatibility, formats, golden, graph, layout, limits, paths
from volary.bundle.formats import Role
from volary.bundle.manifest import Blob, File
from volary.common import pool
from volary.common.errors import Refused
from volary.common.outcome import Outcome, Tensor
from volary.common.reasons import Reason

_WORKERS = 8
_TOLD = 4  # changes of the schema: a condition is read by people


def check(storage: Storage, wanted: Wanted, *, patience: Patience) -> Outcome:
    """The bundle as an Outcome, all in order. Raises Refused, Transient or Stopped."""
    found = patience.retry(lambda: source.find(storage, wanted))
    files = unique(found.manifest.files)
    blobs = {blob.sha256: (file, blob) for file in found.manifest.files for blob in file.blobs}.values()
    pool.each(blobs, lambda part: patience.retry(lambda: _check_size(storage, *part)), workers=_WORKERS, watch=patience.check)
    small = {file.sha256 for file in _small(files)}
    samples = 0
    for file in files:
        if file.sha256 in small:
            samples = max(samples, _prove(storage, found, file, patience))
        elif file.role is not Role.DATA:
            formats.check_magic(file.role, file.path, patience.retry(partial(_head, storage, file)))
    patience.retry(lambda: graph.check(found.manifest, lambda file: source.reader(storage, file)))
    return outcome(found, samples)


def check_clients(place: Storage, before: Wanted, found: Found, *, patience: Patience) -> None:
    """Clients of the version `before`, which lies in `place`, must get on with `found`.

    Raises Refused (SchemaChanged), Transient or Stopped. A version that is not to be had
    any more says nothing: it serves, wherever it came from.
    """
    try:
        old = patience.retry(lambda: source.find(place, before))
    except Refused:
        return
    if broken := compatibility.breaks(old.manifest, found.manifest):
        text = f"clients of version {before.version} would not get on with version {found.manifest.version}: {'; '.join(broken[:_TOLD])}"
        more = f" (and {len(broken) - _TOLD} more)" if len(broken) > _TOLD else ""
        raise Refused(Reason.SCHEMA_CHANGED, f"{text}{more}; if they are ready for it, set spec.model.schemaChange: Allow")


def outcome(found: Found, samples: int) -> Outcome:
    """What the operator wants to know of a good bundle."""
    manifest = found.manifest
    return Outcome(
        reason=Reason.PREFLIGHT_PASSED,
        message=f"{manifest.name} {manifest.version}: {len(manifest.files)} files, {limits.show(manifest.size)}, {samples} golden samples",
        digest=found.digest,
        version=manifest.version,
        format=manifest.format,
        size=manifest.size,
        golden=samples,
        inputs=tuple(Tensor(name=each.name, datatype=each.datatype, shape=each.shape) for each in manifest.inputs),
        outputs=tuple(Tensor(name=each.name, datatype=each.datatype, shape=each.shape) for each in manifest.outputs),
    )


def _small(files: Iterable[File]) -> list[File]:
    """As many files as fit into the preflight's budget: the golden samples first, then the smallest."""
    chosen, left = [], limits.PREFLIGHT_BYTES
    for file in sorted(files, key=lambda file: (file.role is not Role.GOLDEN, file.size)):
        if file.size <= left:
            chosen.append(file)
            left -= file.size
    return chosen


def _check_size(storage: Storage, file: File, blob: Blob) -> None:
    with source.named(storage, file, blob):
        found = storage.size(layout.blob_key(blob.sha256))
    if found != blob.size:
        raise Refused(
            Reason.SIZE_MISMATCH, f"{source.show(file, blob)} has {found} bytes in {storage.place}, the manifest says {blob.size}"
        )


def _prove(storage: Storage, found: Found, file: File, patience: Patience) -> int:
    """Read a small file and prove it; for golden samples, how many there are."""
    read = _Read(hashlib.sha256(), b"", file.size if file.role is Role.GOLDEN else formats.MAGIC_BYTES)
    for blob in file.blobs:
        read = patience.retry(partial(_read, storage, file, blob, read))
    if (sha256 := read.digest.hexdigest()) != file.sha256:
        raise Refused(
            Reason.DIGEST_MISMATCH, f"{paths.show(file.path)} in {storage.place} has the sha256 {sha256}, the manifest says {file.sha256}"
        )
    formats.check_magic(file.role, file.path, read.kept[: formats.MAGIC_BYTES])
    return len(golden.parse(read.kept, found.manifest)) if file.role is Role.GOLDEN else 0


@dataclass(frozen=True, slots=True)
class _Read:
    """A file as far as it was read: hashed, and of its content what is needed."""

    digest: "hashlib._Hash"
    kept: bytes
    keep: int  # bytes


def _read(storage: Storage, file: File, blob: Blob, before: _Read) -> _Read:
    """One more blob, proved if it is a chunk. What was read before it stays as it was: this may have to be done again."""
    whole, part, kept, size = before.digest.copy(), hashlib.sha256(), bytearray(before.kept), 0
    with source.named(storage, file, blob), storage.stream(layout.blob_key(blob.sha256)) as pieces:
        for piece in pieces:
            whole.update(piece)
            if file.chunks:
                part.update(piece)
            kept += piece[: max(0, before.keep - len(kept))]
            if (size := size + len(piece)) > blob.size:
                raise Refused(
                    Reason.SIZE_MISMATCH, f"{source.show(file, blob)} goes on after the {blob.size} bytes the manifest says it has"
                )
    if file.chunks and (sha256 := part.hexdigest()) != blob.sha256:
        raise Refused(
            Reason.DIGEST_MISMATCH, f"{source.show(file, blob)} in {storage.place} has the sha256 {sha256}, the manifest says {blob.sha256}"
        )
    return _Read(whole, bytes(kept), before.keep)


def _head(storage: Storage, file: File) -> bytes:
    """The first bytes of a large file; the rest is not transferred."""
    return source.reader(storage, file)(0, formats.MAGIC_BYTES)
