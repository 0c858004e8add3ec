"""The file of revisions as the operator left it: the last one that was good, and what is wrong with a newer one.

It is read again and again, because that is cheap (1 KB, 30 microseconds) and nothing can be missed: a
ConfigMap's mount changes by a symbolic link to another directory, and watches on files do not see that.
"""

from pathlib import Path

from volary.bundle import limits, split
from volary.bundle.split import Split
from volary.common.errors import Refused
from volary.common.reasons import Reason


class Notice:
    """What `path` says. Only `refresh` changes it, and a value is replaced as a whole: any thread may read."""

    def __init__(self, path: Path) -> None:
        self.split: Split | None = None  # the newest that could be read
        self.problem: Refused | None = None  # with what is there now
        self._path = path
        self._data: bytes | None = None

    def refresh(self) -> bool:
        """Look again; whether there is a split that was not there before."""
        try:
            with self._path.open("rb") as stream:
                data = stream.read(limits.REVISIONS_BYTES + 1)
        except OSError as error:
            self._data, self.problem = None, Refused(Reason.SPEC_INVALID, f"cannot read {self._path.name}: {error.strerror}")
            return False
        if data == self._data:
            return False
        self._data = data
        return self._read(data)

    def _read(self, data: bytes) -> bool:
        try:
            found = split.parse(data)
        except Refused as error:
            self.problem = error
            return False
        before, self.split, self.problem = self.split, found, None
        return found != before
