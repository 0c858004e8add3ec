"""A control plane of its own: etcd, kube-apiserver and kube-controller-manager as plain processes on loopback.

No node, no root, two seconds. Pods are never run, so whatever moves here is the operator's doing
or that of Kubernetes' own controllers; and no other operator is installed here.
"""

from __future__ import annotations

import atexit
import ctypes
import secrets
import shutil
import signal
import socket
import ssl
import subprocess
import tempfile
import urllib.request
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import yaml
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec

from tests.support.wait import until

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

# Those that make or delete what the tests look at; the others only cost time.
_CONTROLLERS = (
    "deployment-controller",
    "garbage-collector-controller",
    "job-controller",
    "namespace-controller",
    "replicaset-controller",
    "resourcequota-controller",
    "serviceaccount-controller",
)
_START = 60.0  # seconds
_PR_SET_PDEATHSIG = 1


@dataclass(frozen=True)
class Plane:
    """A control plane that runs until this process ends."""

    kubeconfig: Path


def start(binaries: Mapping[str, Path]) -> Plane:
    """Starts it and waits until it answers."""
    state = Path(tempfile.mkdtemp(prefix="volary-plane-"))
    processes: list[subprocess.Popen[bytes]] = []
    atexit.register(_end, processes, state)
    etcd, peer, api = (_port() for _ in range(3))
    token = secrets.token_hex(16)
    (state / "tokens.csv").write_text(f"{token},admin,admin,system:masters\n")
    _write_key(state / "sa.key")
    processes.append(_run(state, _etcd(binaries["etcd"], state, etcd, peer)))
    processes.append(_run(state, _apiserver(binaries["kube-apiserver"], state, etcd, api)))
    kubeconfig = _write_kubeconfig(state / "kubeconfig", f"https://127.0.0.1:{api}", state / "pki" / "apiserver.crt", token)
    until("the API server answers", lambda: _answers(f"https://127.0.0.1:{api}/readyz", token), within=_START, seen=lambda: _tail(state))
    processes.append(_run(state, _manager(binaries["kube-controller-manager"], kubeconfig, state)))
    return Plane(kubeconfig)


def _etcd(program: Path, state: Path, port: int, peer: int) -> list[str | Path]:
    own, other = f"http://127.0.0.1:{port}", f"http://127.0.0.1:{peer}"
    return [
        program,
        f"--data-dir={state}/etcd",
        "--unsafe-no-fsync",
        *(f"--listen-client-urls={own}", f"--advertise-client-urls={own}"),
        *(f"--listen-peer-urls={other}", f"--initial-advertise-peer-urls={other}", f"--initial-cluster=default={other}"),
    ]


def _apiserver(program: Path, state: Path, etcd: int, port: int) -> list[str | Path]:
    return [
        program,
        f"--etcd-servers=http://127.0.0.1:{etcd}",
        "--bind-address=127.0.0.1",
        "--advertise-address=192.0.2.1",  # of documentation: nobody is sent there, and loopback is not accepted
        "--endpoint-reconciler-type=none",
        f"--secure-port={port}",
        f"--cert-dir={state}/pki",
        "--service-cluster-ip-range=10.0.0.0/20",  # of a /24, 254 Services are all there is
        "--authorization-mode=RBAC",
        f"--token-auth-file={state}/tokens.csv",
        "--service-account-issuer=https://kubernetes.default.svc",
        f"--service-account-key-file={state}/sa.key",
        f"--service-account-signing-key-file={state}/sa.key",
        "--profiling=false",
    ]


def _manager(program: Path, kubeconfig: Path, state: Path) -> list[str | Path]:
    return [
        program,
        *(f"--{name}={kubeconfig}" for name in ("kubeconfig", "authentication-kubeconfig", "authorization-kubeconfig")),
        f"--controllers={','.join(_CONTROLLERS)}",
        f"--service-account-private-key-file={state}/sa.key",
        "--bind-address=127.0.0.1",
        f"--secure-port={_port()}",
        "--kube-api-qps=200",
        "--kube-api-burst=400",
        "--leader-elect=false",
        "--profiling=false",
    ]


def _port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port: int = free.getsockname()[1]
    return port


def _run(state: Path, command: Sequence[str | Path]) -> subprocess.Popen[bytes]:
    with (state / f"{Path(command[0]).name}.log").open("ab") as log:
        return subprocess.Popen(
            [str(word) for word in command],
            stdout=log,
            stderr=log,
            stdin=subprocess.DEVNULL,
            cwd=state,
            preexec_fn=_die_with_parent,  # noqa: PLW1509 -- no other thread runs yet
        )


def _die_with_parent() -> None:
    """A test run that is killed leaves nothing running."""
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)


def _write_key(path: Path) -> None:
    key = ec.generate_private_key(ec.SECP256R1())
    none = serialization.NoEncryption()
    path.write_bytes(key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.TraditionalOpenSSL, none))


def _write_kubeconfig(path: Path, server: str, authority: Path, token: str) -> Path:
    body = {
        "apiVersion": "v1",
        "kind": "Config",
        "current-context": "plane",
        "contexts": [{"name": "plane", "context": {"cluster": "plane", "user": "admin"}}],
        "clusters": [{"name": "plane", "cluster": {"server": server, "certificate-authority": str(authority)}}],
        "users": [{"name": "admin", "user": {"token": token}}],
    }
    path.write_text(yaml.safe_dump(body))
    return path


def _answers(url: str, token: str) -> bool:
    """Its certificate is its own and new: nothing to verify it by yet."""
    trusting = ssl.create_default_context()
    trusting.check_hostname, trusting.verify_mode = False, ssl.CERT_NONE
    request = urllib.request.Request(url, headers={"Authorization": f"Bearer {token}"})
    try:
        with urllib.request.urlopen(request, context=trusting, timeout=5) as answer:
            found: bool = answer.status == 200
            return found
    except OSError:
        return False


def _tail(state: Path) -> str:
    return "\n".join(f"{log.name}: {log.read_text()[-800:]}" for log in sorted(state.glob("*.log")))


def _end(processes: list[subprocess.Popen[bytes]], state: Path) -> None:
    """What it would save goes with the directory."""
    for process in reversed(processes):
        process.kill()
        process.wait()
    shutil.rmtree(state, ignore_errors=True)
