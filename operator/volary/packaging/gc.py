"""Delete blobs that no version needs. On any doubt nothing is deleted: one manifest that cannot be read ends the run."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from volary.adapters import repository
from volary.adapters.storage import DELETE_MOST, Storage
from volary.bundle import garbage, layout
from volary.bundle.blobs import blobs
from volary.bundle.garbage import Blob, Sorted


@dataclass(slots=True)
class Collector:
    """One run over one place. What versions need is remembered: a version never changes, so each is read once."""

    storage: Storage
    now: datetime
    grace: timedelta
    versions: dict[str, frozenset[str]] = field(default_factory=dict)  # name -> sha256 of what it needs

    def look(self) -> Sorted:
        """Every blob, sorted. Raises Refused (ManifestInvalid and others) when a version cannot be read.

        The blobs are listed before the versions: a push that ends between the two has its blobs
        in the list and its version among those read, never the other way round.
        """
        found = [
            Blob(sha256, each.size, each.modified)
            for each in self.storage.list(layout.BLOBS)
            if (sha256 := layout.sha256_in(each.key)) is not None  # what we did not write is not ours to delete
        ]
        return garbage.sort(found, self._needed(), self.now, self.grace)

    def delete(self, batch: Sequence[Blob]) -> Sequence[Blob]:
        """Delete those of a batch that are still not needed, and return them. Raises Refused or Transient; calling again is safe.

        The versions are read anew just before: a push that used an old blob while we looked is noticed.
        """
        needed = self._needed()
        gone = [blob for blob in batch if blob.sha256 not in needed]
        self.storage.delete([layout.blob_key(blob.sha256) for blob in gone])
        return gone

    def _needed(self) -> frozenset[str]:
        unknown = [name for name in repository.names(self.storage) if name not in self.versions]
        for name, version in repository.versions(self.storage, unknown).items():
            self.versions[name] = frozenset(blobs(version.manifest))
        return frozenset().union(*self.versions.values())


def batches(found: Sequence[Blob]) -> Iterator[Sequence[Blob]]:
    """As many as one request deletes."""
    for start in range(0, len(found), DELETE_MOST):
        yield found[start : start + DELETE_MOST]
