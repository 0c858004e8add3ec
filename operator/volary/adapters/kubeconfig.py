"""How the API server is reached: as kubectl does, or from within a pod.

The token of a ServiceAccount is read from its file again before it can expire; a kubeconfig that
runs a command for its token (`exec`) is honoured as well. `KUBECONFIG` may list several files:
they are merged, and the first one that names a current context decides, as in kubectl.
"""

import logging
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml
from kubernetes.aio.client.api_client import ApiClient
from kubernetes.aio.client.configuration import Configuration
from kubernetes.aio.config import incluster_config, kube_config
from kubernetes.aio.config.config_exception import ConfigException

from volary.adapters.cluster import Count, KubernetesCluster
from volary.common.errors import Refused
from volary.common.reasons import Reason

_DEFAULT = "~/.kube/config"
logging.getLogger("kubernetes.aio.config").setLevel(logging.ERROR)  # a file that is missing is told of by the error, once


@dataclass(frozen=True, slots=True)
class Connection:
    """Where and as whom. `namespace` is the one used when none is named."""

    configuration: Any  # kubernetes.aio.client.configuration.Configuration
    namespace: str = "default"
    context: str = ""  # of the kubeconfig; empty in a pod

    def cluster(self, count: Count | None = None) -> KubernetesCluster:
        """A client of its own; close it."""
        client = ApiClient(self.configuration)
        return KubernetesCluster(client, count) if count else KubernetesCluster(client)

    async def token(self) -> str | None:
        """The bearer token as it is now, without its scheme."""
        key: str | None = await self.configuration.get_api_key_with_prefix("BearerToken", alias="authorization")
        return key.split(" ", 1)[-1].strip() if key else None


async def connect(context: str | None = None, file: str | None = None) -> Connection:
    """`file`, `KUBECONFIG` or ~/.kube/config where there is one, else the pod's ServiceAccount. Raises Refused where there is neither."""
    configuration: Any = Configuration()
    named = file or os.environ.get("KUBECONFIG")
    try:
        if not named and context is None and not _exists(_DEFAULT):
            return _in_pod(configuration)
        return await _from_files(configuration, named or _DEFAULT, context)
    except (ConfigException, OSError, yaml.YAMLError) as error:
        message = f"no Kubernetes cluster to talk to ({error}); set KUBECONFIG or run inside a pod"
        raise Refused(Reason.API_UNAVAILABLE, message) from error


def contexts(file: str | None = None) -> tuple[str, ...]:
    """Names of all contexts, for completion; none where no kubeconfig can be read."""
    try:
        found = _documents(file or os.environ.get("KUBECONFIG") or _DEFAULT)
    except (OSError, yaml.YAMLError):
        return ()
    return tuple(dict.fromkeys(str(each.get("name")) for document in found for each in document.get("contexts") or ()))


def _exists(path: str) -> bool:
    return Path(path).expanduser().exists()


def _in_pod(configuration: Any) -> Connection:
    incluster_config.load_incluster_config(client_configuration=configuration)  # type: ignore[no-untyped-call]
    path = Path(incluster_config.SERVICE_TOKEN_FILENAME).with_name("namespace")
    return Connection(configuration, path.read_text("utf-8").strip() if path.exists() else "default")


async def _from_files(configuration: Any, paths: str, context: str | None) -> Connection:
    loader: Any = kube_config
    documents = _documents(paths)
    if not documents:
        raise ConfigException(f"there is no file {paths}")
    # The library lets the last file decide; kubectl, and so everyone's habit, the first.
    name = context or next((str(each["current-context"]) for each in documents if each.get("current-context")), None)
    await loader.load_kube_config(config_file=paths, context=name, client_configuration=configuration, persist_config=False)
    found, current = loader.list_kube_config_contexts(config_file=paths)
    chosen = next((c for c in found if c["name"] == name), current)
    return Connection(configuration, chosen.get("context", {}).get("namespace") or "default", str(chosen["name"]))


def _documents(paths: str) -> list[Mapping[str, Any]]:
    """Every file of the list that exists. One that is missing is skipped, as kubectl does."""
    files = [Path(part).expanduser() for part in paths.split(os.pathsep) if part]
    loaded = [yaml.safe_load(file.read_text("utf-8")) for file in files if file.exists()]
    return [document for document in loaded if isinstance(document, dict)]
