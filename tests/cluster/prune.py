"""Remove from the cache, and from containerd, what nothing uses any more."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING

from tests.cluster import binaries, images, oci, rootfs
from tests.cluster import state as journal
from tests.cluster.progress import step

if TYPE_CHECKING:
    from pathlib import Path

    from tests.cluster.progress import Progress
    from tests.cluster.settings import Paths


def prune(paths: Paths, progress: Progress) -> list[str]:
    """Keep the programs and layers of today's sources; code layers are remade in a second. Returns what went."""
    with journal.lock(progress), step(progress, "prune"):
        return [*_images(paths), *_cache(paths.cache)]


def _images(paths: Paths) -> list[str]:
    """Images of ours that no container was made from; the newest of each are imported again when wanted."""
    if not paths.containerd_socket.exists():
        return []
    used = oci.control(paths, "containers", "ls")
    references = oci.control(paths, "images", "ls", "-q").split()
    idle = [name for name in references if name.startswith("volary.dev/") and "/pause:" not in name and name not in used]
    if idle:
        # --sync: an import right after must not count on layers that are about to go.
        oci.control(paths, "images", "rm", "--sync", *idle)
    return idle


def _cache(cache: Path) -> list[str]:
    kept = {binaries.key(), rootfs.key(), f"base-{rootfs.key()}"}
    kept |= {images.packages_key(recipe.requirements) for recipe in images.recipes() if recipe.requirements}
    removed = []
    for folder in ("bin", "rootfs", "layers", "work"):
        for path in sorted((cache / folder).glob("*")):
            if path.name.split(".")[0] in kept or path.name.startswith("pause-"):
                continue
            if path.is_dir():
                shutil.rmtree(path)
            else:
                path.unlink()
            removed.append(str(path))
    return removed
