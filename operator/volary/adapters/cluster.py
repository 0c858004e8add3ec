"""The Kubernetes API: JSON objects in and out, server-side apply, nothing remembered.

`Cluster` is the port; `KubernetesCluster` speaks to a real API server through the official
client's asyncio part, `volary.adapters.cluster_fake.FakeCluster` is a small one in memory.
Every call is one request (a list: one per page) and has a deadline. Trouble is raised:

    Transient            not answered, 5xx: the same call may succeed later
    +-- Throttled        429; `after` is what the server asked for
    +-- Conflict         409: somebody else was faster; read again
    +-- Forbidden        401, 403: heals when access is restored
    +-- NotFound         404 on a write: the object or its namespace is gone
    Refused              400, 422: the API server will never take this object
"""

import json
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any, Protocol

import aiohttp
from kubernetes.aio.client.api_client import ApiClient

from volary.common import names
from volary.common.errors import Refused, Transient, VolaryError
from volary.common.reasons import Reason

Body = dict[str, Any]  # a Kubernetes object, spelled as in JSON

TIMEOUT = 10.0  # seconds for one request
PAGE = 200  # objects per page of a list
_MESSAGE_LIMIT = 400
# Two answers of the API server to server-side apply that say something else than they mean.
_REFUSALS = ("failed to create typed patch object",)  # 500 for an unknown field of a built-in kind
_OTHER_UID = "metadata.uid: Invalid value"  # 422 for an object that took the place of the one meant
_JSON = "application/json"
_APPLY = "application/apply-patch+yaml"  # JSON is YAML
_MERGE = "application/merge-patch+json"
_METADATA_ONLY = "application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1,application/json"


@dataclass(frozen=True, slots=True)
class Kind:
    """A namespaced kind of object."""

    group: str
    version: str
    name: str
    plural: str

    @property
    def api_version(self) -> str:
        """As in an object: `apps/v1`, `v1`."""
        return f"{self.group}/{self.version}" if self.group else self.version

    def path(self, namespace: str | None, name: str | None = None, subresource: str | None = None) -> str:
        """URL path of one object, of a namespace's objects, or of all."""
        root = f"/apis/{self.api_version}" if self.group else f"/api/{self.version}"
        parts = [root, *(("namespaces", namespace) if namespace else ()), self.plural, name, subresource]
        return "/".join(part for part in parts if part)


MODEL_DEPLOYMENTS = Kind(names.GROUP, names.VERSION, names.KIND, names.PLURAL)
CONFIG_MAPS = Kind("", "v1", "ConfigMap", "configmaps")
CONTROLLER_REVISIONS = Kind("apps", "v1", "ControllerRevision", "controllerrevisions")
DEPLOYMENTS = Kind("apps", "v1", "Deployment", "deployments")
GATEWAYS = Kind("gateway.networking.k8s.io", "v1", "Gateway", "gateways")
GATEWAY_CLASSES = Kind("gateway.networking.k8s.io", "v1", "GatewayClass", "gatewayclasses")  # of the whole cluster
DISRUPTION_BUDGETS = Kind("policy", "v1", "PodDisruptionBudget", "poddisruptionbudgets")
AUTOSCALERS = Kind("autoscaling", "v2", "HorizontalPodAutoscaler", "horizontalpodautoscalers")
EVENTS = Kind("", "v1", "Event", "events")
HTTP_ROUTES = Kind("gateway.networking.k8s.io", "v1", "HTTPRoute", "httproutes")
JOBS = Kind("batch", "v1", "Job", "jobs")
LEASES = Kind("coordination.k8s.io", "v1", "Lease", "leases")
PODS = Kind("", "v1", "Pod", "pods")
SERVICES = Kind("", "v1", "Service", "services")

_KINDS = {
    (kind.api_version, kind.name): kind
    for kind in (
        MODEL_DEPLOYMENTS,
        AUTOSCALERS,
        CONFIG_MAPS,
        CONTROLLER_REVISIONS,
        DEPLOYMENTS,
        EVENTS,
        GATEWAYS,
        GATEWAY_CLASSES,
        HTTP_ROUTES,
        AUTOSCALERS,
        DISRUPTION_BUDGETS,
        JOBS,
        LEASES,
        PODS,
        SERVICES,
    )
}


def kind_of(body: Body) -> Kind:
    """The kind of an object. Raises KeyError for one Volary has no business with."""
    return _KINDS[body["apiVersion"], body["kind"]]


class Throttled(Transient):
    """The API server asks for patience."""

    def __init__(self, message: str, after: float) -> None:
        super().__init__(Reason.API_UNAVAILABLE, message)
        self.after = after  # seconds


class Conflict(Transient):
    """The object is not what the caller thought: another uid, another resourceVersion, or there already."""


class Forbidden(Transient):
    """Volary may not do this (now)."""


class NotFound(Transient):
    """What should be changed is not there."""


class Cluster(Protocol):
    """What Volary asks of a Kubernetes API."""

    async def get(self, kind: Kind, namespace: str, name: str) -> Body | None:
        """One object, None where there is none; one of the whole cluster is in the namespace ""."""

    async def list(
        self, kind: Kind, namespace: str | None = None, labels: Mapping[str, str | None] | None = None, *, metadata_only: bool = False
    ) -> list[Body]:
        """All objects of a namespace (None: of all) that carry the labels (value None: any value)."""

    async def schema(self, kind: Kind) -> Body | None:
        """OpenAPI schema of the kind, None where the cluster does not serve it."""

    async def apply(self, body: Body, *, manager: str = names.FIELD_MANAGER) -> Body:
        """Make the object so: server-side apply, conflicts won. `metadata.uid`, if given, must match.

        A field that two managers applied stays when one of them leaves it out.
        """

    async def apply_status(self, body: Body) -> Body:
        """The same for the status subresource."""

    async def create(self, body: Body) -> Body:
        """A new object; Conflict where there is one."""

    async def replace(self, body: Body) -> Body:
        """Replace by `metadata.resourceVersion`; Conflict where that is not the present one."""

    async def patch(self, kind: Kind, namespace: str, name: str, patch: Body, *, manager: str = names.PERSON) -> Body:
        """JSON merge patch, of objects that are not the controller's; `metadata.resourceVersion`, if given, must match."""

    async def delete(self, kind: Kind, namespace: str, name: str, uid: str) -> None:
        """Delete this very object (Conflict where it is another one by now) and, later, its dependents. Gone is fine."""


Count = Callable[[str, str, str], None]  # verb, kind, HTTP status or "error"


def _uncounted(verb: str, kind: str, code: str) -> None:
    del verb, kind, code


class KubernetesCluster:
    """`Cluster` on a real API server."""

    def __init__(self, client: ApiClient, count: Count = _uncounted) -> None:
        self._client: Any = client
        self._count = count

    async def close(self) -> None:
        """Close the connections."""
        await self._client.close()

    async def get(self, kind: Kind, namespace: str, name: str) -> Body | None:
        """One object, None where there is none."""
        try:
            return await self._call("GET", kind, kind.path(namespace, name))
        except NotFound:
            return None

    async def list(
        self, kind: Kind, namespace: str | None = None, labels: Mapping[str, str | None] | None = None, *, metadata_only: bool = False
    ) -> list[Body]:
        """All pages of a list.

        `kind` and `apiVersion`, which lists leave out, are put back; `managedFields`, half of it, go but for our own of Deployments.
        """
        query = [("limit", str(PAGE)), *([("labelSelector", selector(labels))] if labels else [])]
        accept = _METADATA_ONLY if metadata_only else _JSON
        items: list[Body] = []
        onward = ""
        while True:
            page = [*query, ("continue", onward)] if onward else query
            answer = await self._call("GET", kind, kind.path(namespace), query=page, accept=accept, verb="list")
            items += (_listed(kind, item) for item in answer.get("items") or ())
            onward = answer.get("metadata", {}).get("continue", "")
            if not onward:
                return items

    async def schema(self, kind: Kind) -> Body | None:
        """Out of the OpenAPI document of the kind's group, which every authenticated user may read."""
        root = "apis" if kind.group else "api"
        try:
            document = await self._call("GET", kind, f"/openapi/v3/{root}/{kind.api_version}")
        except NotFound:
            return None
        wanted = {"group": kind.group, "version": kind.version, "kind": kind.name}
        schemas: Iterable[Body] = document.get("components", {}).get("schemas", {}).values()
        return next((schema for schema in schemas if wanted in schema.get("x-kubernetes-group-version-kind", ())), None)

    async def apply(self, body: Body, *, manager: str = names.FIELD_MANAGER) -> Body:
        """Server-side apply of the object without its status."""
        return await self._apply(body, manager=manager)

    async def apply_status(self, body: Body) -> Body:
        """Server-side apply of the status alone."""
        return await self._apply(body, "status")

    async def create(self, body: Body) -> Body:
        """POST."""
        kind = kind_of(body)
        query = [("fieldManager", names.FIELD_MANAGER)]
        return await self._call("POST", kind, kind.path(body["metadata"]["namespace"]), body=body, query=query)

    async def replace(self, body: Body) -> Body:
        """PUT."""
        kind, metadata = kind_of(body), body["metadata"]
        query = [("fieldManager", names.FIELD_MANAGER)]
        return await self._call("PUT", kind, kind.path(metadata["namespace"], metadata["name"]), body=body, query=query)

    async def patch(self, kind: Kind, namespace: str, name: str, patch: Body, *, manager: str = names.PERSON) -> Body:
        """PATCH with a merge patch."""
        query = [("fieldManager", manager)]
        return await self._call("PATCH", kind, kind.path(namespace, name), body=patch, query=query, content=_MERGE)

    async def delete(self, kind: Kind, namespace: str, name: str, uid: str) -> None:
        """DELETE with a precondition."""
        options = {"apiVersion": "v1", "kind": "DeleteOptions", "propagationPolicy": "Background", "preconditions": {"uid": uid}}
        try:
            await self._call("DELETE", kind, kind.path(namespace, name), body=options)
        except NotFound:
            return

    async def _apply(self, body: Body, subresource: str | None = None, manager: str = names.FIELD_MANAGER) -> Body:
        kind, metadata = kind_of(body), body["metadata"]
        path = kind.path(metadata["namespace"], metadata["name"], subresource)
        query = [("fieldManager", manager), ("force", "true"), ("fieldValidation", "Strict")]
        return await self._call("PATCH", kind, path, body=body, query=query, content=_APPLY, verb="apply")

    async def _call(
        self,
        method: str,
        kind: Kind,
        path: str,
        *,
        body: Body | None = None,
        query: Iterable[tuple[str, str]] = (),
        content: str = _JSON,
        accept: str = _JSON,
        verb: str | None = None,
    ) -> Body:
        """One request. The token of a ServiceAccount is read from its file again every minute."""
        headers = {"Accept": accept, "Content-Type": content}
        code = "error"
        try:
            serialized = await self._client.param_serialize(
                method, path, query_params=list(query), header_params=headers, body=body, auth_settings=["BearerToken"]
            )
            answer = await self._client.call_api(*serialized, _request_timeout=aiohttp.ClientTimeout(total=TIMEOUT, connect=TIMEOUT / 2))
            text = await answer.read()
            code = str(answer.status)
        except (TimeoutError, aiohttp.ClientError, OSError) as error:
            what = str(error) or type(error).__name__
            raise Transient(Reason.API_UNAVAILABLE, f"{method} {kind.plural}: {shorten(what)}") from error
        finally:
            self._count(verb or method.lower(), kind.plural, code)
        return _answer(kind, method, answer.status, text, answer.headers)


def _listed(kind: Kind, item: Body) -> Body:
    owners = item["metadata"].pop("managedFields", None) or ()
    if kind == DEPLOYMENTS:  # who holds the number of pods is told by our own entry
        item["metadata"]["managedFields"] = [entry for entry in owners if entry.get("manager") == names.FIELD_MANAGER]
    return {**item, "apiVersion": kind.api_version, "kind": kind.name}


def selector(labels: Mapping[str, str | None]) -> str:
    """`a=1,b` for {"a": "1", "b": None}."""
    return ",".join(key if value is None else f"{key}={value}" for key, value in sorted(labels.items()))


def shorten(message: str) -> str:
    """One line that fits a condition."""
    line = " ".join(message.split())
    return line if len(line) <= _MESSAGE_LIMIT else f"{line[:_MESSAGE_LIMIT]}..."


def _answer(kind: Kind, method: str, status: int, text: bytes, headers: Mapping[str, str]) -> Body:
    try:
        data = json.loads(text) if text else {}
    except ValueError:
        data = None
    if status < HTTPStatus.MULTIPLE_CHOICES and isinstance(data, dict):
        return data
    message = str(data["message"]) if isinstance(data, dict) and data.get("message") else text[:_MESSAGE_LIMIT].decode(errors="replace")
    raise trouble(kind, method, status, shorten(message), headers.get("Retry-After"))


def trouble(kind: Kind, method: str, status: int, message: str, retry_after: str | None = None) -> VolaryError:
    """The error an answer stands for."""
    text = f"{method} {kind.name}: {status} {message}"
    if any(sign in message for sign in _REFUSALS):
        status = HTTPStatus.UNPROCESSABLE_ENTITY
    elif _OTHER_UID in message:
        status = HTTPStatus.CONFLICT
    match status:
        case HTTPStatus.CONFLICT:
            return Conflict(Reason.API_UNAVAILABLE, text)
        case HTTPStatus.NOT_FOUND:
            return NotFound(Reason.API_UNAVAILABLE, text)
        case HTTPStatus.UNAUTHORIZED | HTTPStatus.FORBIDDEN:
            return Forbidden(Reason.API_UNAVAILABLE, text)
        case HTTPStatus.TOO_MANY_REQUESTS:
            return Throttled(text, _seconds(retry_after))
        case HTTPStatus.BAD_REQUEST | HTTPStatus.UNPROCESSABLE_ENTITY:
            return Refused(Reason.POD_REFUSED if kind in {DEPLOYMENTS, JOBS} else Reason.SPEC_INVALID, text)
        case _:
            return Transient(Reason.API_UNAVAILABLE, text)


def _seconds(retry_after: str | None) -> float:
    """A number of seconds; the API server never sends a date."""
    try:
        return min(60.0, max(0.0, float(retry_after or 1)))
    except ValueError:
        return 1.0
