"""A storage in memory for tests: what the contract test says of the real one holds of it too."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

from volary.adapters.storage.protocol import PIECE, Listed, Progress
from volary.bundle import limits
from volary.common.errors import Refused
from volary.common.reasons import Reason


@dataclass(slots=True)
class InMemory:
    """See Storage. `reads` are the keys that were streamed."""

    objects: dict[str, bytes] = field(default_factory=dict)
    place: str = "memory"
    reads: list[str] = field(default_factory=list)
    chunk: int = PIECE
    clock: Callable[[], datetime] = lambda: datetime.now(UTC)
    modified: dict[str, datetime] = field(default_factory=dict)  # what is absent was written at `clock()`

    def read(self, key: str, limit: int) -> bytes:
        """See Storage."""
        data = self._get(key)
        if len(data) > limit:
            raise Refused(Reason.LIMIT_EXCEEDED, f"{key} in {self.place} is larger than {limits.show(limit)}")
        return data

    def size(self, key: str) -> int:
        """See Storage."""
        return len(self._get(key))

    @contextmanager
    def stream(self, key: str, start: int = 0, stop: int | None = None) -> Iterator[Iterator[bytes]]:
        """See Storage."""
        data = self._get(key)[:stop]
        self.reads.append(key)
        yield (data[index : index + self.chunk] for index in range(start, len(data), self.chunk))

    def put_if_absent(self, key: str, data: bytes) -> bool:
        """See Storage."""
        if key in self.objects:
            return False
        self.objects[key] = data
        return True

    def put_file(self, key: str, path: Path, progress: Progress, start: int = 0, size: int | None = None) -> None:
        """See Storage."""
        with path.open("rb") as stream:
            stream.seek(start)
            self.objects[key] = stream.read(-1 if size is None else size)
        progress(len(self.objects[key]))

    def put(self, key: str, data: bytes) -> None:
        """See Storage."""
        self.objects[key] = data
        self.modified[key] = self.clock()

    def list(self, prefix: str) -> Iterator[Listed]:
        """See Storage."""
        for key in sorted(key for key in self.objects if key.startswith(prefix)):
            yield Listed(key, len(self.objects[key]), self.modified.get(key) or self.clock())

    def delete(self, keys: Sequence[str]) -> None:
        """See Storage."""
        for key in keys:
            self.objects.pop(key, None)
            self.modified.pop(key, None)

    def _get(self, key: str) -> bytes:
        try:
            return self.objects[key]
        except KeyError:
            raise Refused(Reason.FILE_NOT_FOUND, f"there is no {key} in {self.place}") from None
