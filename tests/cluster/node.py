"""The components of the node: their command lines, their order, and how each shows that it is up."""

from __future__ import annotations

import json
import socket
import ssl
import urllib.request
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from tests.cluster import gateway, images, network, processes, s3
from tests.cluster import state as journal
from tests.cluster.progress import Silent, step
from tests.cluster.settings import (
    API_URL,
    ETCD_HEALTH,
    ETCD_URL,
    GATEWAY_PORT,
    KUBELET_HEALTH,
    MANAGER_HEALTH,
    NODE_IP,
    NODE_NAME,
    PROXY_HEALTH,
    S3_URL,
    SCHEDULER_HEALTH,
    SERVICE_NETWORK,
)

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.cluster.progress import Progress
    from tests.cluster.settings import Paths

_DEADLINE = 90.0  # seconds; a component needs 1-5, a busy machine more
_TIMEOUT = 2.0
GATEWAY = "gateway"  # only where somebody asked for it


@dataclass(frozen=True)
class Component:
    """A program of the node."""

    name: str
    command: list[str | Path]
    up: Callable[[], bool]
    environment: dict[str, str]


def start(paths: Paths, binaries: dict[str, Path], progress: Progress) -> None:
    """Start what does not run, in waves: each wave needs only what the waves before it offer."""
    storage = _storage(paths)
    begun = _start(paths, storage)  # it takes longest and nothing of the node needs it
    for wave in _waves(paths, binaries):
        with step(progress, f"start {', '.join(component.name for component in wave)}"):
            for component, process in [(component, _start(paths, component)) for component in wave]:
                _wait(paths, component, process, progress)
    images.load_pause(paths, binaries["pause"])
    with step(progress, "start s3"):
        _wait(paths, storage, begun, progress)
    if journal.load(paths.state).process(GATEWAY):
        start_one(paths, binaries, GATEWAY)
    with step(progress, "node Ready"):
        processes.wait_until(lambda: ready(paths), what="the node is Ready", deadline=_DEADLINE, note=progress.note)


def start_one(paths: Paths, binaries: dict[str, Path], name: str) -> None:
    """Start one component that was stopped."""
    components = [_storage(paths), _gateway(paths), *(component for wave in _waves(paths, binaries) for component in wave)]
    component = next(component for component in components if component.name == name)
    _wait(paths, component, _start(paths, component), Silent())


def ready(paths: Paths) -> bool:
    """The node is Ready, and a pod may be created (that needs the default service account)."""
    try:
        node = get(paths, f"/api/v1/nodes/{NODE_NAME}")
        get(paths, "/api/v1/namespaces/default/serviceaccounts/default")
    except OSError:
        return False
    conditions = node.get("status", {}).get("conditions", [])
    return any(c["type"] == "Ready" and c["status"] == "True" for c in conditions)


def get(paths: Paths, path: str) -> dict[str, Any]:
    """Read from the API as the administrator; raises OSError."""
    content = _fetch(API_URL + path, _context(paths))
    return dict(json.loads(content))


def _start(paths: Paths, component: Component) -> processes.Process:
    if (recorded := journal.load(paths.state).process(component.name)) and recorded.alive:
        return recorded
    process = processes.start(
        component.name,
        [*network.ENTER, *component.command],
        log=_log(paths, component.name),
        environment=component.environment,
        owner=paths.state,
    )
    journal.save(paths.state, journal.load(paths.state).with_process(process))
    return process


def _wait(paths: Paths, component: Component, process: processes.Process, progress: Progress) -> None:
    processes.wait_until(
        component.up,
        what=f"{component.name} is up",
        deadline=_DEADLINE,
        process=process,
        log=_log(paths, component.name),
        note=progress.note,
    )


def _log(paths: Paths, name: str) -> Path:
    return paths.logs / f"{name}.log"


def _waves(paths: Paths, binaries: dict[str, Path]) -> list[list[Component]]:
    return [
        [_etcd(paths, binaries), _containerd(paths)],
        [_apiserver(paths, binaries)],
        [
            _controller_manager(paths, binaries),
            _scheduler(paths, binaries),
            _kubelet(paths, binaries),
            _proxy(paths, binaries),
        ],
    ]


def _etcd(paths: Paths, binaries: dict[str, Path]) -> Component:
    pki = paths.pki
    command: list[str | Path] = [
        binaries["etcd"],
        f"--data-dir={paths.state}/etcd",
        "--unsafe-no-fsync",  # a test cluster's data need not outlive a power cut
        f"--listen-client-urls={ETCD_URL}",
        f"--advertise-client-urls={ETCD_URL}",
        "--listen-peer-urls=http://127.0.0.1:2380",
        f"--listen-metrics-urls={ETCD_HEALTH.removesuffix('/health')}",
        f"--cert-file={pki}/etcd-server.crt",
        f"--key-file={pki}/etcd-server.key",
        f"--trusted-ca-file={pki}/etcd-ca.crt",
        "--client-cert-auth",
    ]
    return Component("etcd", command, lambda: _answers(ETCD_HEALTH), {})


def _containerd(paths: Paths) -> Component:
    def up() -> bool:
        return paths.containerd_socket.exists() and _connects(paths.containerd_socket)

    command: list[str | Path] = ["containerd", "--config", paths.config / "containerd.toml"]
    return Component("containerd", command, up, {})


def _storage(paths: Paths) -> Component:
    return Component("s3", s3.command(paths), lambda: _answers(f"{S3_URL}/status"), s3.environment(paths))


def _gateway(paths: Paths) -> Component:
    def up() -> bool:
        with socket.socket() as connection:
            return connection.connect_ex((NODE_IP, GATEWAY_PORT)) == 0

    return Component(GATEWAY, gateway.command(), up, gateway.environment(paths))


def _apiserver(paths: Paths, binaries: dict[str, Path]) -> Component:
    pki = paths.pki
    command: list[str | Path] = [
        binaries["kube-apiserver"],
        f"--advertise-address={NODE_IP}",  # loopback would make a Service nobody reaches
        f"--service-cluster-ip-range={SERVICE_NETWORK}",
        "--allow-privileged=true",
        "--authorization-mode=Node,RBAC",
        "--enable-admission-plugins=NodeRestriction",
        "--profiling=false",
        f"--client-ca-file={pki}/ca.crt",
        f"--tls-cert-file={pki}/apiserver.crt",
        f"--tls-private-key-file={pki}/apiserver.key",
        f"--etcd-servers={ETCD_URL}",
        f"--etcd-cafile={pki}/etcd-ca.crt",
        f"--etcd-certfile={pki}/apiserver-etcd-client.crt",
        f"--etcd-keyfile={pki}/apiserver-etcd-client.key",
        f"--kubelet-certificate-authority={pki}/ca.crt",
        f"--kubelet-client-certificate={pki}/apiserver-kubelet-client.crt",
        f"--kubelet-client-key={pki}/apiserver-kubelet-client.key",
        "--kubelet-preferred-address-types=InternalIP",
        "--service-account-issuer=https://kubernetes.default.svc.cluster.local",
        f"--service-account-key-file={pki}/sa.pub",
        f"--service-account-signing-key-file={pki}/sa.key",
        f"--requestheader-client-ca-file={pki}/front-proxy-ca.crt",
        "--requestheader-allowed-names=front-proxy-client",
        "--requestheader-extra-headers-prefix=X-Remote-Extra-",
        "--requestheader-group-headers=X-Remote-Group",
        "--requestheader-username-headers=X-Remote-User",
        f"--proxy-client-cert-file={pki}/front-proxy-client.crt",
        f"--proxy-client-key-file={pki}/front-proxy-client.key",
        f"--audit-policy-file={paths.config}/audit.yaml",
        f"--audit-log-path={paths.logs}/audit.log",
        "--audit-log-maxsize=1000",
    ]
    context = _context(paths)
    return Component("kube-apiserver", command, lambda: _answers(f"{API_URL}/readyz", context), {})


def _controller_manager(paths: Paths, binaries: dict[str, Path]) -> Component:
    pki = paths.pki
    command: list[str | Path] = [
        binaries["kube-controller-manager"],
        *_credentials(pki / "controller-manager.kubeconfig"),
        "--use-service-account-credentials",
        f"--service-account-private-key-file={pki}/sa.key",
        f"--root-ca-file={pki}/ca.crt",
        f"--cluster-signing-cert-file={pki}/ca.crt",
        f"--cluster-signing-key-file={pki}/ca.key",
        f"--bind-address={NODE_IP}",
        # Each of the forty controllers first asks for a token of its own: twenty requests a second would take five.
        "--kube-api-qps=200",
        "--kube-api-burst=400",
        "--leader-elect=false",
        "--profiling=false",
    ]
    return Component("kube-controller-manager", command, lambda: _answers(MANAGER_HEALTH, _unverified()), {})


def _scheduler(paths: Paths, binaries: dict[str, Path]) -> Component:
    command: list[str | Path] = [
        binaries["kube-scheduler"],
        *_credentials(paths.pki / "scheduler.kubeconfig"),
        f"--bind-address={NODE_IP}",
        "--leader-elect=false",
        "--profiling=false",
    ]
    return Component("kube-scheduler", command, lambda: _answers(SCHEDULER_HEALTH, _unverified()), {})


def _kubelet(paths: Paths, binaries: dict[str, Path]) -> Component:
    command: list[str | Path] = [
        binaries["kubelet"],
        f"--kubeconfig={paths.pki}/kubelet.kubeconfig",
        f"--config={paths.config}/kubelet.yaml",
        f"--root-dir={paths.state}/kubelet",
        f"--cert-dir={paths.state}/kubelet/pki",
        f"--hostname-override={NODE_NAME}",
        f"--node-ip={NODE_IP}",
    ]
    return Component("kubelet", command, lambda: _answers(KUBELET_HEALTH), {})


def _proxy(paths: Paths, binaries: dict[str, Path]) -> Component:
    command: list[str | Path] = [binaries["kube-proxy"], f"--config={paths.config}/proxy.yaml"]
    return Component("kube-proxy", command, lambda: _answers(PROXY_HEALTH), {})


def _credentials(kubeconfig: Path) -> list[str | Path]:
    names = ("kubeconfig", "authentication-kubeconfig", "authorization-kubeconfig")
    return [f"--{name}={kubeconfig}" for name in names]


def _connects(path: Path) -> bool:
    with socket.socket(socket.AF_UNIX) as connection:
        try:
            connection.connect(str(path))
        except OSError:
            return False
    return True


def _answers(url: str, context: ssl.SSLContext | None = None) -> bool:
    try:
        _fetch(url, context)
    except OSError:
        return False
    return True


def _fetch(url: str, context: ssl.SSLContext | None) -> bytes:
    """Ask directly: a proxy of the environment cannot reach the namespace."""
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}), urllib.request.HTTPSHandler(context=context))
    with opener.open(url, timeout=_TIMEOUT) as answer:
        return bytes(answer.read())


def _context(paths: Paths) -> ssl.SSLContext:
    context = ssl.create_default_context(cafile=str(paths.pki / "ca.crt"))
    context.load_cert_chain(paths.pki / "admin.crt", paths.pki / "admin.key")
    return context


def _unverified() -> ssl.SSLContext:
    """For health ports whose self-made certificate nobody can know."""
    context = ssl.create_default_context()
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context
