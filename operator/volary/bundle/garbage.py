"""Which blobs may go: those no version needs and that have lain there long enough. Pure: `now` is an argument."""

from collections.abc import Iterable
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from datetime import datetime, timedelta


@dataclass(frozen=True, slots=True)
class Blob:
    """An object by its content."""

    sha256: str  # in hex
    size: int  # bytes
    modified: datetime  # when it was last written, by the storage's clock


@dataclass(frozen=True, slots=True)
class Sorted:
    """All blobs of a place, each in one of three heaps."""

    needed: tuple[Blob, ...]
    young: tuple[Blob, ...]  # of no version yet: perhaps of a push that is under way
    garbage: tuple[Blob, ...]


def sort(blobs: Iterable[Blob], needed: AbstractSet[str], now: datetime, grace: timedelta) -> Sorted:
    """A push uploads its blobs first and its version last, so a blob without a version is young until `grace` is over."""
    heaps: tuple[list[Blob], list[Blob], list[Blob]] = ([], [], [])
    for blob in blobs:
        heap = 0 if blob.sha256 in needed else 1 if blob.modified > now - grace else 2
        heaps[heap].append(blob)
    return Sorted(*(tuple(heap) for heap in heaps))
