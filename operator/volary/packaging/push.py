"""Upload a bundle: the blobs that are not there yet, then the version, which from then on never changes.

A push that broke off is simply begun again: what arrived is there and is not sent twice.
"""

import threading
from dataclasses import dataclass
from pathlib import Path

from volary.adapters import storage as storages
from volary.adapters.storage import Progress, Storage
from volary.bundle import layout, limits, manifest
from volary.bundle.manifest import Blob
from volary.common import pool
from volary.common.errors import Refused
from volary.common.reasons import Reason
from volary.packaging import bundle as bundles
from volary.packaging import signing
from volary.packaging.bundle import Bundle

_WORKERS = 4  # each holds a blob of at most 16 MiB


@dataclass(frozen=True, slots=True)
class Pushed:
    """What there is now, and what it took."""

    uri: str
    version: str
    digest: str
    uploaded: int  # bytes
    skipped: int  # bytes that were there
    already: bool  # the very same version was there


def push(
    path: Path,
    uri: str,
    *,
    endpoint: str | None = None,
    region: str | None = None,
    storage: Storage | None = None,
    progress: Progress = lambda _: None,
) -> Pushed:
    """Push the bundle at `path` to `uri`. Raises Refused or Transient.

    Credentials, and what is not given, come from the environment as for every AWS tool. The
    version is written last and only if there is none: who sees it finds all its files.
    """
    location = layout.parse(uri)
    bundle = bundles.load(path)
    bundles.verify(bundle)
    signature = signing.read(path)
    if signature is not None:
        signing.check_belongs(signature, bundle.data)
    storage = storage or storages.connect(location, endpoint=endpoint, region=region)
    already = _is_there(storage, bundle)
    moved = _Moved(progress)
    parts = {blob.sha256: _Part(bundle.path / file.path, blob) for file in bundle.manifest.files for blob in file.blobs}
    pool.each(list(parts.values()), lambda part: _bring(storage, part, moved), workers=_WORKERS)
    if not storage.put_if_absent(layout.version_key(bundle.manifest.version), bundle.data):
        already = _is_there(storage, bundle)  # raises when somebody else was faster with another one
    _again(storage, moved)
    if signature is not None:  # it may be renewed, unlike the version; after it, or it would be put over that of another's version
        storage.put(layout.signature_key(bundle.manifest.version), signature)
    skipped = sum(part.blob.size for part in moved.there)
    return Pushed(str(location), bundle.manifest.version, bundle.digest, moved.uploaded, skipped, already)


@dataclass(frozen=True, slots=True)
class _Part:
    """Where the bytes of a blob are on this machine."""

    path: Path
    blob: Blob


class _Moved:
    """What all threads have done so far."""

    def __init__(self, progress: Progress) -> None:
        self._lock = threading.Lock()
        self.progress = progress
        self.uploaded = 0  # bytes
        self.there: list[_Part] = []  # before

    def upload(self, storage: Storage, part: _Part) -> None:
        """What somebody else could fetch under this name is proved before it goes."""
        blob = part.blob
        bundles.verify_part(part.path, blob)
        storage.put_file(layout.blob_key(blob.sha256), part.path, self.progress, blob.start, blob.size)
        with self._lock:
            self.uploaded += blob.size

    def skip(self, part: _Part) -> None:
        """It was there."""
        with self._lock:
            self.there.append(part)
        self.progress(part.blob.size)


def _bring(storage: Storage, part: _Part, moved: _Moved) -> None:
    """One blob."""
    if _exists(storage, part):
        moved.skip(part)
    else:
        moved.upload(storage, part)


def _again(storage: Storage, moved: _Moved) -> None:
    """What was there and went before the version needed it, because `volary gc` took it, is brought again."""

    def look(part: _Part) -> None:
        if not _exists(storage, part):
            moved.upload(storage, part)

    pool.each(list(moved.there), look, workers=_WORKERS)


def _exists(storage: Storage, part: _Part) -> bool:
    return storages.exists(storage, layout.blob_key(part.blob.sha256), part.blob.size)


def _is_there(storage: Storage, bundle: Bundle) -> bool:
    """Whether this very version was pushed before. Raises Refused when another one has its name."""
    version = bundle.manifest.version
    try:
        found = manifest.digest(storage.read(layout.version_key(version), limits.MANIFEST_BYTES))
    except Refused as error:
        if error.reason is Reason.FILE_NOT_FOUND:
            return False
        raise
    if found != bundle.digest:
        raise Refused(
            Reason.NAME_CONFLICT,
            f"version {version} is in {storage.place} already, with the digest {found} and not {bundle.digest}; "
            "a version never changes: pack this one under another",
        )
    return True
