"""A bundle as a directory on this machine: `manifest.json` and the files it names."""

import hashlib
from dataclasses import dataclass
from pathlib import Path

from volary.bundle import formats, graph, limits, manifest, paths
from volary.bundle.facts import Facts
from volary.bundle.manifest import File, Manifest
from volary.bundle.protobuf import Reader
from volary.common.errors import Refused
from volary.common.reasons import Reason


@dataclass(frozen=True, slots=True)
class Bundle:
    """A bundle whose manifest is in order."""

    path: Path
    manifest: Manifest
    data: bytes  # the manifest's bytes

    @property
    def digest(self) -> str:
        """`sha256:<hex>`: the bundle's identity."""
        return manifest.digest(self.data)


def load(path: Path) -> Bundle:
    """Read and check the manifest of a bundle. Raises Refused."""
    try:
        with (path / paths.MANIFEST).open("rb") as stream:
            data = stream.read(limits.MANIFEST_BYTES + 1)
    except OSError as error:
        raise Refused(Reason.MANIFEST_INVALID, f"{path} is not a bundle: {paths.MANIFEST}: {error.strerror}") from None
    return Bundle(path, manifest.parse(data), data)


def verify(bundle: Bundle) -> None:
    """Prove every file, then look into the graph. Raises Refused (FileNotFound, SizeMismatch, DigestMismatch, and those of `inspect`)."""
    for file in bundle.manifest.files:
        _verify(bundle.path, file)
    inspect(bundle)


def inspect(bundle: Bundle) -> Facts:
    """What the graph is made of. Raises Refused (ModelInvalid, OperatorNotAllowed, ExternalDataInvalid, LimitExceeded)."""
    return graph.check(bundle.manifest, lambda file: reader(bundle.path / file.path))


def reader(path: Path) -> Reader:
    """Bytes of a file by position. Opened for each read: there are few, and nothing is left open."""

    def read(offset: int, size: int) -> bytes:
        with path.open("rb") as stream:
            stream.seek(offset)
            return stream.read(size)

    return read


def sha256(path: Path) -> str:
    """Of a file's content."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def _verify(directory: Path, file: File) -> None:
    path = directory / file.path
    if not path.is_file() or path.is_symlink():
        raise Refused(Reason.FILE_NOT_FOUND, f"{path} is not there, the manifest names it")
    if (size := path.stat().st_size) != file.size:
        raise Refused(Reason.SIZE_MISMATCH, f"{path} has {size} bytes, the manifest says {file.size}; pack the bundle again")
    if (found := sha256(path)) != file.sha256:
        raise Refused(Reason.DIGEST_MISMATCH, f"{path} has the sha256 {found}, the manifest says {file.sha256}; pack the bundle again")
    with path.open("rb") as stream:
        formats.check_magic(file.role, file.path, stream.read(formats.MAGIC_BYTES))
