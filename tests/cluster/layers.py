"""Layers of images: deterministic tar files in the cache, each known by what it was made from."""

from __future__ import annotations

import hashlib
import json
import os
import stat
import tarfile
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator


@dataclass(frozen=True)
class Layer:
    """An uncompressed tar: its digest is also its diff id."""

    file: str
    digest: str
    size: int


def cached(cache: Path, key: str) -> Layer | None:
    """The layer made earlier under this key; the note is written last, so it vouches for the tar."""
    try:
        return Layer(**json.loads((cache / "layers" / f"{key}.json").read_text()))
    except (OSError, ValueError, TypeError):
        return None


def pack(cache: Path, key: str, tree: Path, prefix: str = "") -> Layer:
    """Write `tree` as a layer, below `prefix` in the image."""
    folder = cache / "layers"
    folder.mkdir(parents=True, exist_ok=True)
    temporary = folder / f"{key}.tar.new"
    with tarfile.open(temporary, "w", format=tarfile.PAX_FORMAT) as archive:
        for path in [tree, *sorted(tree.rglob("*"))]:
            _add(archive, path, str(Path(prefix) / path.relative_to(tree)))
    with temporary.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    final = folder / f"{key}.tar"
    temporary.replace(final)
    layer = Layer(str(final), f"sha256:{digest}", final.stat().st_size)
    note = folder / f"{key}.json.new"
    note.write_text(json.dumps(asdict(layer)))
    note.replace(folder / f"{key}.json")
    return layer


def fingerprint(tree: Path, *more: str) -> str:
    """Name a tree by its files' paths, modes and contents, compiled ones aside."""
    digest = hashlib.sha256("\0".join(more).encode())
    for path in sources(tree):
        content = path.read_bytes()
        digest.update(f"{path.relative_to(tree)}\0{path.stat().st_mode & 0o111}\0{len(content)}\0".encode())
        digest.update(content)
    return digest.hexdigest()[:16]


def sources(tree: Path) -> Iterator[Path]:
    """The files a person wrote."""
    for path in sorted(tree.rglob("*")):
        if path.is_file() and "__pycache__" not in path.parts:
            yield path


def _add(archive: tarfile.TarFile, path: Path, name: str) -> None:
    """Owner, time and order are the same wherever the layer is made."""
    status = path.lstat()
    entry = tarfile.TarInfo(name)
    entry.mode = stat.S_IMODE(status.st_mode) & 0o1777  # no set-user-id programs
    if stat.S_ISDIR(status.st_mode):
        entry.type = tarfile.DIRTYPE
        archive.addfile(entry)
    elif stat.S_ISLNK(status.st_mode):
        entry.type, entry.linkname = tarfile.SYMTYPE, os.readlink(path)  # noqa: PTH115 - as written, not resolved
        archive.addfile(entry)
    elif stat.S_ISREG(status.st_mode):
        entry.size = status.st_size
        with path.open("rb") as file:
            archive.addfile(entry, file)
