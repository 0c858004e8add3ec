"""Configuration files of the components; each trap has its reason beside it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml

from tests.cluster import network
from tests.cluster.apt import CNI_BIN
from tests.cluster.settings import (
    CGROUP,
    CNI_NETWORK,
    NODE_IP,
    NODE_NAME,
    PAUSE_IMAGE,
    POD_NETWORK,
)

if TYPE_CHECKING:
    from tests.cluster.settings import Paths


def write(paths: Paths) -> None:
    """Write them all."""
    paths.config.mkdir(parents=True, exist_ok=True)
    (paths.config / "cni").mkdir(exist_ok=True)
    _yaml(paths.config / "audit.yaml", _audit())
    _yaml(paths.config / "kubelet.yaml", _kubelet(paths))
    _yaml(paths.config / "proxy.yaml", _proxy(paths))
    (paths.config / "cni" / "10-volary.conflist").write_text(json.dumps(_cni(paths), indent=1))
    (paths.config / "containerd.toml").write_text(_containerd(paths))


def _audit() -> dict[str, Any]:
    """One line for each finished request: tests count requests by user from it."""
    return {
        "apiVersion": "audit.k8s.io/v1",
        "kind": "Policy",
        "omitStages": ["RequestReceived"],
        "rules": [{"level": "Metadata"}],
    }


def _kubelet(paths: Paths) -> dict[str, Any]:
    pki, state = paths.pki, paths.state
    return {
        "apiVersion": "kubelet.config.k8s.io/v1beta1",
        "kind": "KubeletConfiguration",
        "address": NODE_IP,
        "healthzBindAddress": NODE_IP,
        "readOnlyPort": 0,
        "authentication": {
            "anonymous": {"enabled": False},
            "webhook": {"enabled": True},
            "x509": {"clientCAFile": str(pki / "ca.crt")},
        },
        "authorization": {"mode": "Webhook"},
        "tlsCertFile": str(pki / "kubelet-server.crt"),
        "tlsPrivateKeyFile": str(pki / "kubelet-server.key"),
        "containerRuntimeEndpoint": f"unix://{paths.containerd_socket}",
        "podLogsDir": str(paths.logs / "pods"),
        "volumePluginDir": str(state / "kubelet" / "volume-plugins"),
        "cgroupDriver": "cgroupfs",
        "cgroupRoot": f"/{CGROUP}",
        "failCgroupV1": False,
        "failSwapOn": False,
        # Lowering a score needs CAP_SYS_RESOURCE, which containers and small machines lack.
        "oomScoreAdj": 0,
        "maxOpenFiles": 20000,
        # No DNS server runs: the node's own port refuses at once. Without an address containerd would give pods the
        # machine's resolv.conf, whose server they cannot reach, and each look-up would take ten seconds to fail.
        "clusterDNS": [NODE_IP],
        "clusterDomain": "cluster.local",
        "resolvConf": "/dev/null",
        "imageGCHighThresholdPercent": 100,
        "evictionHard": {"memory.available": "100Mi", "nodefs.available": "1%", "imagefs.available": "1%"},
        "nodeStatusUpdateFrequency": "5s",
        # A ConfigMap that changes without a nudge reaches its mounts at a pod's next turn: 20 to 30 s here, 60 to 90 s by default.
        "syncFrequency": "20s",
        "serializeImagePulls": False,
        "shutdownGracePeriod": "0s",
    }


def _proxy(paths: Paths) -> dict[str, Any]:
    return {
        "apiVersion": "kubeproxy.config.k8s.io/v1alpha1",
        "kind": "KubeProxyConfiguration",
        "clientConnection": {"kubeconfig": str(paths.pki / "proxy.kubeconfig")},
        "hostnameOverride": NODE_NAME,
        "clusterCIDR": str(POD_NETWORK),
        "healthzBindAddress": f"{NODE_IP}:10256",
        "metricsBindAddress": "127.0.0.1:10249",
        "mode": "iptables",
        # Without br_netfilter a reply between two pods would go round the rules; then every connection is masqueraded.
        "iptables": {"masqueradeAll": not network.bridges_pass_iptables()},
        "oomScoreAdj": 0,
        # Zeros: these limits belong to the whole machine, not to our namespace.
        "conntrack": {"maxPerCore": 0, "min": 0, "tcpEstablishedTimeout": "0s", "tcpCloseWaitTimeout": "0s"},
    }


def _cni(paths: Paths) -> dict[str, Any]:
    bridge = {
        "type": "bridge",
        "bridge": "cni0",
        "isGateway": True,
        "hairpinMode": True,
        "ipam": {
            "type": "host-local",
            "dataDir": str(paths.state / "addresses"),
            "ranges": [[{"subnet": str(POD_NETWORK)}]],
            "routes": [{"dst": "0.0.0.0/0"}],
        },
    }
    portmap = {"type": "portmap", "capabilities": {"portMappings": True}}
    return {"cniVersion": "0.4.0", "name": CNI_NETWORK, "plugins": [bridge, portmap]}


def _containerd(paths: Paths) -> str:
    cri = 'plugins."io.containerd.grpc.v1.cri"'
    return f"""\
version = 2
root = "{paths.state}/containerd"
state = "{paths.state}/containerd-state"
disabled_plugins = ["io.containerd.internal.v1.opt"]

[grpc]
address = "{paths.containerd_socket}"

[{cri}]
sandbox_image = "{PAUSE_IMAGE}"
# Without it every sandbox fails ("can't get final child's PID from pipe: EOF") where CAP_SYS_RESOURCE is missing.
restrict_oom_score_adj = true
enable_unprivileged_ports = true
netns_mounts_under_state_dir = true

[{cri}.cni]
bin_dir = "{CNI_BIN}"
conf_dir = "{paths.config}/cni"

[{cri}.containerd]
snapshotter = "{snapshotter(paths.state)}"

[{cri}.containerd.runtimes.runc]
runtime_type = "io.containerd.runc.v2"

[{cri}.containerd.runtimes.runc.options]
SystemdCgroup = false
Root = "{paths.state}/runc"
"""


def snapshotter(state: Path) -> str:
    """Overlay cannot lie on overlay: inside a container fall back to plain copies."""
    kind, longest = "", -1
    for line in Path("/proc/self/mounts").read_text().splitlines():
        _, target, filesystem, *_ = line.split()
        if state.is_relative_to(target) and len(target) > longest:
            kind, longest = filesystem, len(target)
    return "native" if kind == "overlay" else "overlayfs"


def _yaml(path: Path, document: dict[str, Any]) -> None:
    path.write_text(yaml.safe_dump(document, sort_keys=False))
