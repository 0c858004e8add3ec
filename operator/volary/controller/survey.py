"""Everything at one moment, listed at once: what an operator that starts needs to see that most is as it should be.

A look at one ModelDeployment is six requests; at five hundred of them, three thousand. A survey is one
list a kind. It is good for one glance at each: one that finds nothing to do. Whatever is to be done is decided
on a live look, and an object of which anything was heard since is not glanced at.
"""

import json
from collections.abc import Callable, Mapping

from volary.adapters.cluster import MODEL_DEPLOYMENTS, Body, Cluster, Kind
from volary.common.names import MODEL_LABEL
from volary.controller.queue import Key

AGE = 30.0  # seconds for which it is worth a glance

Found = Mapping[Kind, list[Body]]


class Survey:
    """The last one. Objects are kept as JSON text, a fifth of the size that they have as dictionaries."""

    def __init__(self, cluster: Cluster, kinds: tuple[Kind, ...], namespaces: tuple[str, ...], clock: Callable[[], float]) -> None:
        self._cluster = cluster
        self._kinds = kinds
        self._namespaces = namespaces
        self._clock = clock
        self._texts: dict[Key, list[tuple[Kind, str]]] = {}
        self._versions: dict[tuple[Kind, str, str], str] = {}
        self._at = float("-inf")

    async def take(self) -> list[Key]:
        """Lists everything; the keys of all ModelDeployments. Raises Transient, and knows nothing then."""
        self._texts, self._versions, self._at = {}, {}, self._clock()
        keys: list[Key] = []
        for kind in self._kinds:
            labels = None if kind is MODEL_DEPLOYMENTS else {MODEL_LABEL: None}
            for namespace in self._namespaces or (None,):
                for body in await self._cluster.list(kind, namespace, labels):
                    self._keep(kind, body)
                    if kind is MODEL_DEPLOYMENTS:
                        keys.append((body["metadata"]["namespace"], body["metadata"]["name"]))
        return keys

    def claim(self, key: Key) -> Found | None:
        """What was seen of one, once; None where it is not known (any more)."""
        texts = self._texts.pop(key, None)
        if texts is None or self._clock() - self._at > AGE:
            return None
        found: dict[Kind, list[Body]] = {kind: [] for kind in self._kinds}
        for kind, text in texts:
            found[kind].append(json.loads(text))
        return found

    def news(self, kind: Kind, namespace: str, name: str, version: str, key: Key | None) -> bool:
        """Whether an event tells what the survey did not show; if so, its ModelDeployment is not glanced at."""
        known = self._versions.pop((kind, namespace, name), None)
        if known == version:
            return False
        if key is not None:
            self._texts.pop(key, None)
        return True

    def _keep(self, kind: Kind, body: Body) -> None:
        metadata = body["metadata"]
        namespace, name = metadata["namespace"], metadata["name"]
        owner = name if kind is MODEL_DEPLOYMENTS else metadata["labels"][MODEL_LABEL]
        self._texts.setdefault((namespace, owner), []).append((kind, json.dumps(body, separators=(",", ":"))))
        self._versions[kind, namespace, name] = str(metadata["resourceVersion"])
