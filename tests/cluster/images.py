"""Volary's images without a registry and without docker, each tagged by its content."""

from __future__ import annotations

import hashlib
import os
import shutil
import tempfile
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tests.cluster import layers, oci, requirements, rootfs
from tests.cluster import state as journal
from tests.cluster.errors import ClusterError
from tests.cluster.progress import Progress, Silent, step
from tests.cluster.settings import PAUSE_IMAGE, REPOSITORY, Paths

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from tests.cluster.cluster import Cluster
    from tests.cluster.layers import Layer
    from tests.cluster.oci import Image

_NAMES = ("operator", "agent", "server")
_ENVIRONMENT = {
    "PATH": "/usr/bin:/bin",
    "HOME": "/tmp",
    "PYTHONPATH": f"/{rootfs.PACKAGES}:/{rootfs.CODE}",
    "PYTHONSAFEPATH": "1",
    "PYTHONUNBUFFERED": "1",
    "ORT_DISABLE_TELEMETRY": "1",
}


@dataclass(frozen=True)
class Images:
    """Full references of the three images, such as volary.dev/operator:0123456789ab."""

    operator: str
    agent: str
    server: str


@dataclass(frozen=True)
class Recipe:
    """What an image is made of: the base, one layer of packages, one of code."""

    name: str
    requirements: Path | None = None
    folders: tuple[tuple[Path, str], ...] = ()  # directory, and its name below /app
    entrypoint: tuple[str, ...] = ("python3", "-m", "volary")
    path: str = _ENVIRONMENT["PATH"]


def recipes() -> list[Recipe]:
    """Volary's own images: the same code, each with the packages of its part."""
    code = ((REPOSITORY / "operator" / "volary", "volary"),)
    return [Recipe(name, REPOSITORY / "constraints" / f"{name}.txt", code) for name in _NAMES]


def load_images(cluster: Cluster, progress: Progress | None = None) -> Images:
    """Build what changed and give it to the cluster; a brought cluster's references come from the environment."""
    return Images(**load(recipes(), progress)) if cluster.own else _from_environment()


def load(wanted: Sequence[Recipe], progress: Progress | None = None) -> dict[str, str]:
    """Build and import any images, such as a test's stand-in for a server. Returns name -> reference."""
    progress = progress or Silent()
    paths = Paths.from_environment()
    with journal.lock(progress):
        images = build(paths.cache, wanted, progress)
        with step(progress, "import images"):
            oci.load(paths, images.values())
    return {name: image.reference for name, image in images.items()}


def build(cache: Path, wanted: Sequence[Recipe], progress: Progress) -> dict[str, Image]:
    """Make the layers that are not in the cache, and the images."""
    base = rootfs.build(cache, progress)
    packages = {recipe.requirements for recipe in wanted if recipe.requirements}
    # A set of folders is read once, so that the images hold the same code even while somebody edits it.
    folders = {recipe.folders for recipe in wanted if recipe.folders}
    made: dict[object, Layer] = {file: _packages(cache, file, progress) for file in packages}
    made |= {several: _code(cache, several) for several in folders}
    images = {}
    for recipe in wanted:
        own = [made[part] for part in (recipe.requirements, recipe.folders) if part]
        images[recipe.name] = oci.compose(f"volary.dev/{recipe.name}", [base, *own], _settings(recipe.entrypoint, recipe.path))
    return images


def load_pause(paths: Paths, pause: Path) -> None:
    """Import the sandbox image, which the kubelet needs before any pod."""
    with tempfile.TemporaryDirectory(dir=paths.state) as temporary:
        shutil.copy(pause, Path(temporary) / "pause")
        name = f"pause-{hashlib.sha256(pause.read_bytes()).hexdigest()[:16]}"
        layer = layers.cached(paths.cache, name) or layers.pack(paths.cache, name, Path(temporary))
    repository, _, tag = PAUSE_IMAGE.rpartition(":")
    oci.load(paths, [oci.compose(repository, [layer], {"Entrypoint": ["/pause"]}, tag)])


def packages_key(file: Path) -> str:
    """The name of a package layer in the cache."""
    return f"packages-{hashlib.sha256(rootfs.key().encode() + file.read_bytes()).hexdigest()[:16]}"


def _packages(cache: Path, file: Path, progress: Progress) -> Layer:
    name = packages_key(file)
    if layer := layers.cached(cache, name):
        return layer
    with step(progress, f"packages of {file.name}"), _workspace(cache) as temporary:
        target = temporary / rootfs.PACKAGES
        target.mkdir()
        requirements.install(file, target, progress)
        rootfs.compile_python(cache, target, rootfs.PACKAGES, strict=False)
        return layers.pack(cache, name, target, rootfs.PACKAGES)


def _code(cache: Path, folders: tuple[tuple[Path, str], ...]) -> Layer:
    with _workspace(cache) as temporary:
        tree = temporary / rootfs.CODE
        for source, target in folders:
            _copy(source, tree / target)
        # Named by the copy: the folder itself may change between two looks.
        name = f"code-{layers.fingerprint(tree, rootfs.key())}"
        if layer := layers.cached(cache, name):
            return layer
        rootfs.compile_python(cache, tree, rootfs.CODE, strict=True)
        return layers.pack(cache, name, tree, rootfs.CODE)


def _copy(source: Path, target: Path) -> None:
    if not source.is_dir():
        message = f"{source} is no folder: there is no code to put into the image"
        raise ClusterError(message)
    shutil.copytree(source, target, ignore=shutil.ignore_patterns("__pycache__", ".*"))
    for path in target.rglob("*"):  # the umask of who builds it is no content
        path.chmod(0o755 if path.is_dir() or path.stat().st_mode & 0o100 else 0o644)


@contextmanager
def _workspace(cache: Path) -> Iterator[Path]:
    """A folder on the cache's disk, open to the image's user once packed."""
    folder = cache / "work"
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder) as temporary:
        yield Path(temporary)


def _settings(entrypoint: tuple[str, ...], path: str) -> dict[str, Any]:
    return {
        "User": f"{rootfs.USER}:{rootfs.USER}",
        "Env": [f"{name}={value}" for name, value in (_ENVIRONMENT | {"PATH": path}).items()],
        "Entrypoint": list(entrypoint),
        "WorkingDir": "/",
    }


def _from_environment() -> Images:
    names = {name: f"VOLARY_{name.upper()}_IMAGE" for name in _NAMES}
    missing = [variable for variable in names.values() if not os.environ.get(variable)]
    if missing:
        message = (
            f"KUBECONFIG is set, so that cluster is used as it is: also set {', '.join(missing)} to images its nodes "
            "can pull (see the Dockerfile), or unset KUBECONFIG to get a test cluster that builds them"
        )
        raise ClusterError(message)
    return Images(**{name: os.environ[variable] for name, variable in names.items()})
