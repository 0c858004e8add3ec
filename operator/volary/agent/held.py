"""Which file on the disk holds which chunk: what is there need not be moved again."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from volary.agent.store import Store
from volary.bundle import limits, paths
from volary.bundle import manifest as manifests
from volary.bundle.manifest import Manifest
from volary.common.errors import Refused


@dataclass(frozen=True, slots=True)
class Held:
    """Where bytes should be. They are proved before they are used: a manifest claims, it does not prove."""

    path: Path
    start: int


def index(local: Store) -> dict[str, Held]:
    """sha256 of a blob -> where it is, by the manifests of what is published in the store's directory."""
    found: dict[str, Held] = {}
    for manifest in _published(local.root):
        for file in manifest.files:
            path = local.path(file.sha256)
            if path.is_file():
                found.update({blob.sha256: Held(path, blob.start) for blob in file.blobs})
    return found


def _published(root: Path) -> Iterator[Manifest]:
    for path in sorted(root.glob(f"*/*/{paths.MANIFEST}")):
        try:
            with path.open("rb") as stream:
                yield manifests.parse(stream.read(limits.MANIFEST_BYTES + 1))
        except (OSError, Refused):
            continue  # another program's file of that name
