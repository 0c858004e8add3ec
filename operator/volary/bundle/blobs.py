"""Which blobs of the storage a bundle is made of."""

from collections.abc import Mapping

from volary.bundle.manifest import Manifest


def blobs(manifest: Manifest) -> Mapping[str, int]:
    """sha256 in hex -> bytes, each content once however many files have it."""
    return {blob.sha256: blob.size for file in manifest.files for blob in file.blobs}
