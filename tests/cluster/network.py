"""One network namespace for the whole cluster, a veth pair to it, and the host's routes to pods and services."""

from __future__ import annotations

import contextlib
import ipaddress
import json
import shutil
from pathlib import Path
from typing import Any

from tests.cluster.commands import run
from tests.cluster.errors import ClusterError
from tests.cluster.settings import (
    HOST_IP,
    HOST_LINK,
    NAMESPACE,
    NODE_IP,
    NODE_LINK,
    NODE_NETWORK,
    POD_NETWORK,
    SERVICE_NETWORK,
)

# `nsenter --net`, not `ip netns exec`: the latter mounts another /sys, which hides the cgroups from the kubelet.
_NAMESPACE_FILE = Path("/run/netns") / NAMESPACE
ENTER = ("nsenter", f"--net={_NAMESPACE_FILE}")


def create() -> None:
    """Build the namespace; forwarding and the default route are its own, the host only gains two routes."""
    _refuse_collisions()
    run(["ip", "netns", "add", NAMESPACE])
    run(["ip", "link", "add", HOST_LINK, "type", "veth", "peer", "name", NODE_LINK, "netns", NAMESPACE])
    length = NODE_NETWORK.prefixlen
    run(["ip", "address", "add", f"{HOST_IP}/{length}", "dev", HOST_LINK])
    run(["ip", "link", "set", HOST_LINK, "up"])
    inside = ("ip", "-n", NAMESPACE)
    run([*inside, "link", "set", "lo", "up"])
    run([*inside, "address", "add", f"{NODE_IP}/{length}", "dev", NODE_LINK])
    run([*inside, "link", "set", NODE_LINK, "up"])
    run([*inside, "route", "add", "default", "via", HOST_IP])
    for network in (POD_NETWORK, SERVICE_NETWORK):
        run(["ip", "route", "add", str(network), "via", NODE_IP, "dev", HOST_LINK])
    run([*ENTER, "tee", "/proc/sys/net/ipv4/ip_forward"], stdin="1")
    # A Service that kube-proxy does not know yet refuses at once. Forwarded, the first packet would leave an entry in
    # the connection tracker that swallows every connection from the same port for two minutes, long after the rules are there.
    run([*ENTER, "iptables", "--wait", "--append", "FORWARD", "--destination", str(SERVICE_NETWORK), "--jump", "REJECT"])


def bridges_pass_iptables() -> bool:
    """Whether traffic between two pods of the bridge meets kube-proxy's rules on its way back."""
    with contextlib.suppress(ClusterError):
        run(["modprobe", "br_netfilter"])
    with contextlib.suppress(ClusterError):
        return run([*ENTER, "cat", "/proc/sys/net/bridge/bridge-nf-call-iptables"]).strip() == "1"
    return False


def exists() -> bool:
    """The namespace is there and joined to the host."""
    return _NAMESPACE_FILE.exists() and HOST_LINK in _links()


def remove() -> None:
    """Take the namespace away; the veth pair and the routes over it go with it."""
    if HOST_LINK in _links():
        run(["ip", "link", "delete", HOST_LINK])
    if _NAMESPACE_FILE.exists():
        run(["ip", "netns", "delete", NAMESPACE])


def leftovers() -> list[str]:
    """What of ours the machine's network still has."""
    found = [f"network namespace {NAMESPACE}"] if _NAMESPACE_FILE.exists() else []
    if HOST_LINK in _links():
        found.append(f"network link {HOST_LINK}")
    return found + [f"route {row['dst']} over {HOST_LINK}" for row in _routes() if row.get("dev") == HOST_LINK]


def _refuse_collisions() -> None:
    for row in _routes():
        if row["dst"] == "default" or row.get("dev") == HOST_LINK:
            continue
        taken = ipaddress.ip_network(row["dst"], strict=False)
        for wanted in (NODE_NETWORK, POD_NETWORK, SERVICE_NETWORK):
            if taken.version == wanted.version and taken.overlaps(wanted):
                message = (
                    f"this machine already routes {taken} over {row.get('dev')}, the test cluster needs {wanted}: "
                    "end what uses it (another cluster?), or change tests/cluster/settings.py"
                )
                raise ClusterError(message)


def _routes() -> list[dict[str, Any]]:
    if not shutil.which("ip"):  # then nothing of ours was ever made
        return []
    return list(json.loads(run(["ip", "-json", "-4", "route"]) or "[]"))


def _links() -> set[str]:
    return {path.name for path in Path("/sys/class/net").iterdir()}
