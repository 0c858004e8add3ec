"""What the rooms need of a storage, whichever it is."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Protocol

from volary.bundle import limits
from volary.common.errors import Refused
from volary.common.reasons import Reason

PIECE = 512 * limits.KIB  # of a stream: Python's share is small, and it is still in the processor's cache when it is hashed

DELETE_MOST = 1000  # keys in one request: the S3 API takes no more

Progress = Callable[[int], None]  # called with the bytes moved since the last call, from any thread


@dataclass(frozen=True, slots=True)
class Listed:
    """An object as a listing tells of it."""

    key: str
    size: int  # bytes
    modified: datetime  # by the storage's clock, in UTC


class Storage(Protocol):
    """Keys are relative to the place of the model. Safe to use from several threads."""

    @property
    def place(self) -> str:
        """For messages: `s3://models/fraud at minio.storage:9000`."""

    def read(self, key: str, limit: int) -> bytes:
        """A small object; LimitExceeded when it is larger than `limit`, FileNotFound when there is none."""

    def size(self, key: str) -> int:
        """Bytes of an object; FileNotFound when there is none."""

    def stream(self, key: str, start: int = 0, stop: int | None = None) -> AbstractContextManager[Iterator[bytes]]:
        """The object's bytes from `start` to before `stop`, in pieces. Leaving the block ends the transfer."""

    def put_if_absent(self, key: str, data: bytes) -> bool:
        """Write a small object unless there is one; False when there was."""

    def put_file(self, key: str, path: Path, progress: Progress, start: int = 0, size: int | None = None) -> None:
        """Write an object from a file, or from `size` bytes of it, over whatever was there."""

    def put(self, key: str, data: bytes) -> None:
        """Write a small object, over whatever was there."""

    def list(self, prefix: str) -> Iterator[Listed]:
        """All objects whose key begins with `prefix`, in the order of their keys."""

    def delete(self, keys: Sequence[str]) -> None:
        """Delete at most `DELETE_MOST` objects; one that is not there is no error."""


def exists(storage: Storage, key: str, size: int) -> bool:
    """Whether there is an object of exactly this size."""
    try:
        return storage.size(key) == size
    except Refused as error:
        if error.reason is Reason.FILE_NOT_FOUND:
            return False
        raise
