"""Every name, address and path of the test cluster, in one place."""

from __future__ import annotations

import ipaddress
import os
from dataclasses import dataclass
from pathlib import Path

KUBERNETES = "v1.35.4"

# The whole cluster lives in one network namespace, joined to the host by a veth pair.
NAMESPACE = "volary-cluster"
HOST_LINK = "volary0"
NODE_LINK = "eth0"
NODE_NETWORK = ipaddress.ip_network("10.213.0.0/30")
HOST_IP = "10.213.0.1"
NODE_IP = "10.213.0.2"
POD_NETWORK = ipaddress.ip_network("10.214.0.0/20")
SERVICE_NETWORK = ipaddress.ip_network("10.96.0.0/16")
API_CLUSTER_IP = "10.96.0.1"

NODE_NAME = "node"
API_URL = f"https://{NODE_IP}:6443"
ETCD_URL = "https://127.0.0.1:2379"
ETCD_HEALTH = f"http://{NODE_IP}:2381/health"
MANAGER_HEALTH = f"https://{NODE_IP}:10257/healthz"
SCHEDULER_HEALTH = f"https://{NODE_IP}:10259/healthz"
KUBELET_HEALTH = f"http://{NODE_IP}:10248/healthz"
PROXY_HEALTH = f"http://{NODE_IP}:10256/healthz"
S3_PORT = 8333
GATEWAY_PORT = 8000
S3_URL = f"http://{NODE_IP}:{S3_PORT}"

# Pods get a cgroup tree of their own, so that another kubelet on this machine is never touched.
CGROUP = "volary-cluster"
CNI_NETWORK = "volary"
PAUSE_IMAGE = "volary.dev/pause:1"

# Inherited by every component and by containerd's shims: how `down` finds what a broken-off `up` forgot to record.
MARKER = "VOLARY_CLUSTER_MEMBER"

# Places that are fixed in the kubelet, containerd and CNI; `down` removes those that `up` made.
FIXED_PLACES = tuple(
    Path(path)
    for path in (
        "/var/lib/kubelet",
        "/var/log/containers",
        "/var/log/pods",
        "/var/lib/cni",
        "/run/containerd",
        "/run/netns",
        "/run/xtables.lock",
    )
)
# Machine-wide settings the kubelet changes at its start; `down` puts them back.
KERNEL_SETTINGS = (
    "vm/overcommit_memory",
    "vm/panic_on_oom",
    "kernel/panic",
    "kernel/panic_on_oops",
    "kernel/keys/root_maxkeys",
    "kernel/keys/root_maxbytes",
)

REPOSITORY = Path(__file__).resolve().parents[2]
HERE = Path(__file__).resolve().parent
LOCK = Path("/run/lock/volary-cluster.lock")


@dataclass(frozen=True)
class Paths:
    """Where the cluster keeps things: `cache` outlives it, `state` goes with `down`."""

    cache: Path
    state: Path

    @classmethod
    def from_environment(cls) -> Paths:
        """Read VOLARY_CACHE and VOLARY_STATE, or take the usual places."""
        cache = os.environ.get("VOLARY_CACHE") or Path.home() / ".cache" / "volary"
        # /run is often a tmpfs: containerd's layers would fill the memory, so state lives under /var/lib.
        state = os.environ.get("VOLARY_STATE") or "/var/lib/volary-cluster"
        return cls(cache=Path(cache).resolve(), state=Path(state).resolve())

    @property
    def logs(self) -> Path:
        """One file a component, and the audit log."""
        return self.state / "logs"

    @property
    def kubeconfig(self) -> Path:
        """The administrator's kubeconfig."""
        return self.state / "kubeconfig"

    @property
    def pki(self) -> Path:
        """Certificates, keys and the components' kubeconfigs."""
        return self.state / "pki"

    @property
    def config(self) -> Path:
        """Configuration files of the components."""
        return self.state / "config"

    @property
    def containerd_socket(self) -> Path:
        """The socket of our containerd, never of another one."""
        return self.state / "containerd.sock"
