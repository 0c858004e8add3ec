"""Upload a bundle: the files that are not there yet, then the version, which from then on never changes."""

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from volary.adapters import storage as storages
from volary.adapters.storage import Progress, Storage
from volary.bundle import layout, limits, manifest
from volary.bundle.manifest import File
from volary.common.errors import Refused
from volary.common.reasons import Reason
from volary.packaging import bundle as bundles
from volary.packaging import signing
from volary.packaging.bundle import Bundle


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
    uploaded, there = 0, list[File]()
    for file in {each.sha256: each for each in bundle.manifest.files}.values():
        key = layout.blob_key(file.sha256)
        if storages.exists(storage, key, file.size):
            there.append(file)
            progress(file.size)
            continue
        storage.put_file(key, bundle.path / file.path, progress)
        uploaded += file.size
    if not storage.put_if_absent(layout.version_key(bundle.manifest.version), bundle.data):
        already = _is_there(storage, bundle)  # raises when somebody else was faster with another one
    skipped = sum(file.size for file in there)
    uploaded += _again(storage, bundle, there)
    if signature is not None:  # it may be renewed, unlike the version; after it, or it would be put over that of another's version
        storage.put(layout.signature_key(bundle.manifest.version), signature)
    return Pushed(str(location), bundle.manifest.version, bundle.digest, uploaded, skipped, already)


def _again(storage: Storage, bundle: Bundle, files: Iterable[File]) -> int:
    """Bytes of what was there and went before the version needed it: `volary gc` may have taken it. It is brought again."""
    gone = [file for file in files if not storages.exists(storage, layout.blob_key(file.sha256), file.size)]
    for file in gone:
        storage.put_file(layout.blob_key(file.sha256), bundle.path / file.path, lambda _: None)
    return sum(file.size for file in gone)


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
