"""Before any pod: is there a bundle, is it in order, and is all of it in the storage?

Small files are read and proved here, so that one flipped byte in a small model is refused before a
pod starts. Of large ones existence, size and first bytes are looked at; the pods prove every byte.
"""

import hashlib
from collections.abc import Iterable
from functools import partial

from volary.adapters.storage import Storage
from volary.agent import pool, source
from volary.agent.fetcher import unique
from volary.agent.retry import Patience
from volary.agent.source import Found, Wanted
from volary.bundle import formats, golden, layout, limits, paths
from volary.bundle.formats import Role
from volary.bundle.manifest import File
from volary.common.errors import Refused
from volary.common.outcome import Outcome, Tensor
from volary.common.reasons import Reason

_WORKERS = 8


def check(storage: Storage, wanted: Wanted, *, patience: Patience) -> Outcome:
    """The bundle as an Outcome, all in order. Raises Refused, Transient or Stopped."""
    found = patience.retry(lambda: source.find(storage, wanted))
    files = unique(found.manifest.files)
    pool.each(files, lambda file: patience.retry(lambda: _check_size(storage, file)), workers=_WORKERS, watch=patience.check)
    small = {file.sha256 for file in _small(files)}
    samples = 0
    for file in files:
        if file.sha256 in small:
            samples = max(samples, _prove(storage, found, file, patience))
        elif file.role is not Role.DATA:
            formats.check_magic(file.role, file.path, patience.retry(partial(_head, storage, file)))
    return outcome(found, samples)


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


def _check_size(storage: Storage, file: File) -> None:
    with source.named(storage, file):
        found = storage.size(layout.blob_key(file.sha256))
    if found != file.size:
        raise Refused(Reason.SIZE_MISMATCH, f"{paths.show(file.path)} has {found} bytes in {storage.place}, the manifest says {file.size}")


def _prove(storage: Storage, found: Found, file: File, patience: Patience) -> int:
    """Read a small file and prove it; for golden samples, how many there are."""
    sha256, head, kept = patience.retry(lambda: _read(storage, file))
    if sha256 != file.sha256:
        raise Refused(
            Reason.DIGEST_MISMATCH, f"{paths.show(file.path)} in {storage.place} has the sha256 {sha256}, the manifest says {file.sha256}"
        )
    formats.check_magic(file.role, file.path, head)
    return len(golden.parse(kept, found.manifest)) if file.role is Role.GOLDEN else 0


def _read(storage: Storage, file: File) -> tuple[str, bytes, bytes]:
    """sha256 and first bytes of a file; its content only where samples are to be read from it."""
    digest, kept = hashlib.sha256(), bytearray()
    keep = file.size if file.role is Role.GOLDEN else formats.MAGIC_BYTES
    with source.named(storage, file), storage.stream(layout.blob_key(file.sha256)) as chunks:
        for chunk in chunks:
            digest.update(chunk)
            kept += chunk[: max(0, keep - len(kept))]
    return digest.hexdigest(), bytes(kept[: formats.MAGIC_BYTES]), bytes(kept)


def _head(storage: Storage, file: File) -> bytes:
    """The first bytes of a large file; the rest is not transferred."""
    head = bytearray()
    with source.named(storage, file), storage.stream(layout.blob_key(file.sha256)) as chunks:
        while len(head) < formats.MAGIC_BYTES and (chunk := next(chunks, b"")):
            head += chunk
    return bytes(head[: formats.MAGIC_BYTES])
