"""How the API server is reached: as kubectl does, or from within a pod.

The token of a ServiceAccount is read from its file again before it can expire; a kubeconfig that
runs a command for its token (`exec`) is honoured as well.
"""

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from kubernetes.aio.client.api_client import ApiClient
from kubernetes.aio.client.configuration import Configuration
from kubernetes.aio.config import incluster_config, kube_config
from kubernetes.aio.config.config_exception import ConfigException

from volary.adapters.cluster import Count, KubernetesCluster
from volary.common.errors import Refused
from volary.common.reasons import Reason

_DEFAULT = "~/.kube/config"


@dataclass(frozen=True, slots=True)
class Connection:
    """Where and as whom. `namespace` is the one used when none is named."""

    configuration: Any  # kubernetes.aio.client.configuration.Configuration
    namespace: str = "default"

    def cluster(self, count: Count | None = None) -> KubernetesCluster:
        """A client of its own; close it."""
        client = ApiClient(self.configuration)
        return KubernetesCluster(client, count) if count else KubernetesCluster(client)

    async def token(self) -> str | None:
        """The bearer token as it is now, without its scheme."""
        key: str | None = await self.configuration.get_api_key_with_prefix("BearerToken", alias="authorization")
        return key.split(" ", 1)[-1].strip() if key else None


async def connect(context: str | None = None) -> Connection:
    """`KUBECONFIG` or ~/.kube/config where there is one, else the pod's ServiceAccount. Raises Refused where there is neither."""
    configuration: Any = Configuration()
    path = os.environ.get("KUBECONFIG", _DEFAULT)
    try:
        if "KUBECONFIG" not in os.environ and context is None and not _exists(path):
            return _in_pod(configuration)
        return await _from_file(configuration, path, context)
    except (ConfigException, OSError) as error:
        message = f"no Kubernetes cluster to talk to ({error}); set KUBECONFIG or run inside a pod"
        raise Refused(Reason.API_UNAVAILABLE, message) from error


def _exists(path: str) -> bool:
    return Path(path).expanduser().exists()


def _in_pod(configuration: Any) -> Connection:
    incluster_config.load_incluster_config(client_configuration=configuration)  # type: ignore[no-untyped-call]
    path = Path(incluster_config.SERVICE_TOKEN_FILENAME).with_name("namespace")
    return Connection(configuration, path.read_text("utf-8").strip() if path.exists() else "default")


async def _from_file(configuration: Any, path: str, context: str | None) -> Connection:
    loader: Any = kube_config
    await loader.load_kube_config(config_file=path, context=context, client_configuration=configuration, persist_config=False)
    contexts, current = loader.list_kube_config_contexts(config_file=path)
    chosen = next((c for c in contexts if c["name"] == context), current)
    return Connection(configuration, chosen.get("context", {}).get("namespace") or "default")
