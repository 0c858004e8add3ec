"""OCI images written by the standard library, and handed to our containerd."""

from __future__ import annotations

import hashlib
import io
import json
import tarfile
import tempfile
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tests.cluster import configs
from tests.cluster.commands import run

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from tests.cluster.layers import Layer
    from tests.cluster.settings import Paths

_MANIFEST = "application/vnd.oci.image.manifest.v1+json"
_CONFIG = "application/vnd.oci.image.config.v1+json"
_LAYER = "application/vnd.oci.image.layer.v1.tar"


@dataclass(frozen=True)
class Image:
    """Everything of an image but the bytes of its layers."""

    reference: str
    layers: tuple[Layer, ...]
    config: bytes
    manifest: bytes

    @property
    def digest(self) -> str:
        """The manifest's digest, which is the content of all."""
        return _digest(self.manifest)


def compose(name: str, layers: Sequence[Layer], settings: dict[str, Any], tag: str | None = None) -> Image:
    """Put layers and run settings together; without a tag the content gives it."""
    config = _json(
        {
            "architecture": "amd64",
            "os": "linux",
            "config": settings,
            "rootfs": {"type": "layers", "diff_ids": [layer.digest for layer in layers]},
        }
    )
    manifest = _json(
        {
            "schemaVersion": 2,
            "mediaType": _MANIFEST,
            "config": _descriptor(_CONFIG, _digest(config), len(config)),
            "layers": [_descriptor(_LAYER, layer.digest, layer.size) for layer in layers],
        }
    )
    image = Image("", tuple(layers), config, manifest)
    return replace(image, reference=f"{name}:{tag or image.digest.removeprefix('sha256:')[:12]}")


def load(paths: Paths, images: Iterable[Image]) -> list[str]:
    """Import what containerd lacks; layers it has are left out of the archive. Returns the new references."""
    present = set(control(paths, "images", "ls", "-q").split())
    wanted = [image for image in images if image.reference not in present]
    if not wanted:
        return []
    stored = set(control(paths, "content", "ls", "-q").split())
    with tempfile.NamedTemporaryFile(dir=paths.state, prefix="import-", suffix=".tar") as archive:
        _write(Path(archive.name), wanted, stored)
        snapshotter = configs.snapshotter(paths.state)
        control(paths, "images", "import", "--snapshotter", snapshotter, archive.name)
    return [image.reference for image in wanted]


def control(paths: Paths, *arguments: str) -> str:
    """Ask our containerd, in the namespace the kubelet uses."""
    return run(["ctr", "--address", paths.containerd_socket, "--namespace", "k8s.io", *arguments])


def _write(path: Path, images: list[Image], stored: set[str]) -> None:
    with tarfile.open(path, "w", format=tarfile.PAX_FORMAT) as archive:
        _add(archive, "oci-layout", _json({"imageLayoutVersion": "1.0.0"}))
        written = set(stored)
        for image in images:
            for content in (image.config, image.manifest):
                _add(archive, _blob(_digest(content)), content)
            for layer in image.layers:
                if layer.digest not in written:
                    written.add(layer.digest)
                    archive.add(layer.file, _blob(layer.digest))
        manifests = [
            _descriptor(_MANIFEST, image.digest, len(image.manifest)) | {"annotations": {"io.containerd.image.name": image.reference}}
            for image in images
        ]
        _add(archive, "index.json", _json({"schemaVersion": 2, "manifests": manifests}))


def _add(archive: tarfile.TarFile, name: str, content: bytes) -> None:
    entry = tarfile.TarInfo(name)
    entry.size = len(content)
    archive.addfile(entry, io.BytesIO(content))


def _descriptor(media_type: str, digest: str, size: int) -> dict[str, Any]:
    return {"mediaType": media_type, "digest": digest, "size": size}


def _blob(digest: str) -> str:
    return f"blobs/sha256/{digest.removeprefix('sha256:')}"


def _digest(content: bytes) -> str:
    return f"sha256:{hashlib.sha256(content).hexdigest()}"


def _json(document: dict[str, Any]) -> bytes:
    return json.dumps(document, sort_keys=True, separators=(",", ":")).encode()
