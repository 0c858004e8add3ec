"""Which blobs of the storage a bundle is made of: the one place that knows."""

from collections.abc import Mapping, Sequence

from volary.bundle.manifest import File, Manifest


def parts(file: File) -> Sequence[tuple[str, int]]:
    """The blobs of one file, in the order of its bytes: sha256 in hex and size in bytes."""
    return ((file.sha256, file.size),)


def blobs(manifest: Manifest) -> Mapping[str, int]:
    """sha256 in hex -> bytes, each content once however many files have it."""
    return dict(part for file in manifest.files for part in parts(file))
