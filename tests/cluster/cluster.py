"""Bring the cluster up and down as a whole."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from tests.cluster import apt, binaries, certs, cgroups, cleanup, configs, gateway, network, node, processes, s3
from tests.cluster import state as journal
from tests.cluster.commands import run
from tests.cluster.errors import ClusterError
from tests.cluster.progress import Progress, Silent, step
from tests.cluster.settings import Paths

if TYPE_CHECKING:
    from tests.cluster.s3 import S3


@dataclass(frozen=True)
class Cluster:
    """A running cluster."""

    kubeconfig: Path
    s3: S3
    logs: Path
    own: bool = True  # False: the user's, named by KUBECONFIG


def brought() -> Path | None:
    """The kubeconfig of a cluster the user brought, or None when the cluster is (or will be) ours."""
    given = os.environ.get("KUBECONFIG")
    if not given:
        return None
    path = Path(given).resolve()
    return None if path == Paths.from_environment().kubeconfig else path


def up(progress: Progress | None = None) -> Cluster:
    """Return the running cluster; start it when there is none. Whatever breaks it off, nothing is left."""
    progress = progress or Silent()
    paths = Paths.from_environment()
    if external := brought():
        return _adopt(external, paths)
    _require_root()
    with journal.lock(progress):
        if running(paths):
            with step(progress, "already up"):
                return _load(paths)
        cleanup.refuse_foreign(paths)
        if _repair(paths, progress):
            return _load(paths)
        if cleanup.leftovers(paths):
            with step(progress, "remove what an earlier cluster left"):
                cleanup.remove(paths)
        found = prepare(paths, progress)
        try:
            _start(paths, found, progress)
        except BaseException as error:
            kept = _keep_logs(paths)
            cleanup.remove(paths)
            if isinstance(error, ClusterError):
                message = f"{error}\nAll logs: {kept}"
                raise ClusterError(message) from error
            raise
        return _load(paths)


def stop(name: str) -> None:
    """Kill one component of ours, such as kube-apiserver or s3, as a crash would: for tests of faults."""
    process = journal.load(Paths.from_environment().state).process(name)
    if process is None:
        raise ClusterError(f"there is no component {name}: `python -m tests.cluster status` lists them")
    processes.kill([process])


def start(name: str) -> None:
    """Start a component that `stop` ended, and wait until it is up; its data are as they were."""
    paths = Paths.from_environment()
    node.start_one(paths, binaries.locate(paths.cache), name)


def add_gateway(progress: Progress | None = None) -> gateway.Gateway:
    """Gateway API and Traefik in our running cluster, until `down`; nothing is done twice."""
    progress = progress or Silent()
    if brought():
        raise ClusterError("the gateway of the tests belongs to the test cluster: unset KUBECONFIG")
    paths = Paths.from_environment()
    found = binaries.locate(paths.cache)
    with journal.lock(progress), step(progress, "start the gateway"):
        kubectl = [found["kubectl"], f"--kubeconfig={paths.kubeconfig}"]
        files = [f"--filename={file}" for file in gateway.definitions(paths.cache, progress)]
        run([*kubectl, "apply", "--server-side", *files])
        run([*kubectl, "wait", "--for=condition=Established", "crd/httproutes.gateway.networking.k8s.io", "--timeout=30s"])
        run([*kubectl, "apply", "--server-side", "--filename=-"], stdin=json.dumps(gateway.classes()))
        node.start_one(paths, found, node.GATEWAY)
    return gateway.Gateway()


def down(progress: Progress | None = None) -> None:
    """End our cluster and remove all of it but the cache. Never touches a cluster the user brought."""
    progress = progress or Silent()
    _require_root()
    paths = Paths.from_environment()
    with journal.lock(progress):
        cleanup.refuse_foreign(paths)
        with step(progress, "remove the cluster"):
            cleanup.remove(paths)


def leftovers() -> list[str]:
    """What of our cluster this machine still has; empty after `down`."""
    return cleanup.leftovers(Paths.from_environment())


def prepare(paths: Paths, progress: Progress) -> dict[str, Path]:
    """Install packages and build programs; changes nothing but the cache."""
    paths.cache.mkdir(parents=True, exist_ok=True)
    if packages := apt.missing():
        with step(progress, f"install {', '.join(packages)}"):
            apt.install(packages)
    found = binaries.locate(paths.cache)
    if not binaries.complete(found):
        with step(progress, "build Kubernetes and etcd"):
            found = binaries.build(paths.cache, progress)
    return found


def running(paths: Paths) -> bool:
    """It has been up, every component still lives, and the node is Ready."""
    memory = journal.load(paths.state)
    return memory.ready and all(process.alive for process in memory.processes) and node.ready(paths)


def _repair(paths: Paths, progress: Progress) -> bool:
    """Start again what a test stopped or the system killed; its data are kept. False: there is nothing to repair."""
    memory = journal.load(paths.state)
    found = binaries.locate(paths.cache)
    if not (memory.ready and network.exists() and binaries.complete(found)):
        return False
    if not any(process.alive for process in memory.processes):
        return False  # such as after a restart of the machine: begin anew
    with contextlib.suppress(ClusterError):
        node.start(paths, found, progress)
        return True
    return False


def _start(paths: Paths, found: dict[str, Path], progress: Progress) -> None:
    with step(progress, "certificates, network, configuration"):
        cleanup.remember(paths)
        paths.logs.mkdir()
        certs.issue(paths.pki)
        shutil.copy(paths.pki / "admin.kubeconfig", paths.kubeconfig)
        network.create()
        cgroups.create()
        configs.write(paths)
        s3.create(paths)
    node.start(paths, found, progress)
    journal.save(paths.state, journal.load(paths.state).marked_ready())


def _load(paths: Paths) -> Cluster:
    return Cluster(kubeconfig=paths.kubeconfig, s3=s3.load(paths), logs=paths.logs)


def _adopt(kubeconfig: Path, paths: Paths) -> Cluster:
    if not kubeconfig.is_file():
        message = f"KUBECONFIG names {kubeconfig}, which is no file: correct it, or unset it to get a test cluster"
        raise ClusterError(message)
    return Cluster(kubeconfig=kubeconfig, s3=s3.from_environment(), logs=paths.logs, own=False)


def _keep_logs(paths: Paths) -> Path:
    """The state directory goes; its logs are what explains the failure."""
    kept = paths.cache / "failed-logs"
    shutil.rmtree(kept, ignore_errors=True)
    if paths.logs.exists():
        shutil.copytree(paths.logs, kept, symlinks=True)
    return kept


def _require_root() -> None:
    if os.geteuid() != 0:
        message = "a node needs root: run it as root, or set KUBECONFIG to a cluster you have"
        raise ClusterError(message)
