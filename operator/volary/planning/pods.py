"""What runs in a pod: the preflight's, and the model's with its agent and server.

A model pod is a function of its revision and of nothing else, so no edit of a spec restarts the
pods of a revision that serves.
"""

from volary.api.v1alpha1 import Addressing, Model, Resources, SchemaChange, Storage, Update, Verify
from volary.common.names import (
    ADDRESSING_VARIABLE,
    AGENT_CONTAINER,
    AGENT_PORT,
    AUTHORITY,
    AUTHORITY_VARIABLE,
    COMPONENT_LABEL,
    MANAGED_BY_LABEL,
    MODEL_LABEL,
    MODELS_PATH,
    PREFLIGHT_CONTAINER,
    PUBLIC_KEY,
    PUBLIC_KEY_VARIABLE,
    REQUEST_LABEL,
    REVISION_LABEL,
    REVISIONS_PATH,
    SECRET_KEYS,
    SERVER_CONTAINER,
)
from volary.planning import placement
from volary.planning.labels import PREFLIGHT, SERVER
from volary.planning.model import Desired, Revision
from volary.runtimes import registry
from volary.runtimes.runtime import Body, Served

_NOBODY = 65532
_FETCH_SECONDS = 86_400  # the progress deadline decides how long a bundle may take, not the kubelet
_OPTIONAL_KEYS = {"AWS_SESSION_TOKEN"}
_STYLES = {Addressing.PATH: "path", Addressing.VIRTUAL_HOST: "virtual"}


def model_template(name: str, revision: Revision) -> Body:
    """Pod template of the model pods of `revision` of the ModelDeployment `name`."""
    labels = {MODEL_LABEL: name, REVISION_LABEL: revision.id, MANAGED_BY_LABEL: "volary", COMPONENT_LABEL: SERVER}
    own = revision.runtime.pod_template
    return {
        "metadata": {"labels": dict(own.labels) | labels} | ({"annotations": dict(own.annotations)} if own.annotations else {}),
        "spec": _pod(revision.model.storage)
        | placement.spec(own, {MODEL_LABEL: name, REVISION_LABEL: revision.id})
        | {
            "terminationGracePeriodSeconds": registry.find(revision.runtime.name).grace,
            "initContainers": [_agent(revision)],
            "containers": [_server(revision)],
            "volumes": [{"name": "models", "emptyDir": {}}, _tmp_volume(), *_split_volume(name, revision)],
        },
    }


def preflight_template(desired: Desired, request: str, stable: Revision | None = None) -> Body:
    """Pod template of the preflight of the spec. It has no revision label, so no Service ever selects it."""
    labels = {MODEL_LABEL: desired.name, REQUEST_LABEL: request, MANAGED_BY_LABEL: "volary", COMPONENT_LABEL: PREFLIGHT}
    return {
        "metadata": {"labels": labels},
        "spec": _pod(desired.spec.model.storage)
        | placement.pulling(desired.spec.runtime.pod_template)
        | {"restartPolicy": "Never", "containers": [_preflight(desired, stable)], "volumes": [_tmp_volume()]},
    }


def visitor_template(desired: Desired, labels: dict[str, str], service_account: str | None, container: Body) -> Body:
    """Pod template of a user's own image, as confined as ours."""
    own = {"securityContext": _confined(), "volumeMounts": [_tmp_mount()], "imagePullPolicy": "IfNotPresent"}
    return {
        "metadata": {"labels": labels},
        "spec": _pod(Storage(service_account_name=service_account))
        | placement.pulling(desired.spec.runtime.pod_template)
        | {"restartPolicy": "Never", "containers": [container | own], "volumes": [_tmp_volume()]},
    }


# ---- containers -------------------------------------------------------------------------------


def _preflight(desired: Desired, stable: Revision | None) -> Body:
    model = desired.spec.model
    pin = ("--digest", model.digest) if model.digest else ()
    return {
        "name": PREFLIGHT_CONTAINER,
        "image": desired.images.agent,
        "imagePullPolicy": "IfNotPresent",
        "args": [
            "preflight",
            *("--uri", model.uri, "--version", model.version, *pin),
            *("--model", desired.model_name, "--runtime", desired.spec.runtime.name.value),
            *_clients(model, stable),
        ],
        "env": [*_environment(model.storage), *_public_key(model.verify)],
        "resources": _agent_resources(),
        "terminationMessagePolicy": "File",
        "securityContext": _confined(),
        "volumeMounts": [_tmp_mount()],
    }


def _clients(model: Model, stable: Revision | None) -> list[str]:
    """Whose schema is compared: it can be read only where the same keys open the same storage."""
    if stable is None or model.schema_change is SchemaChange.ALLOW or stable.model.storage != model.storage:
        return []
    return ["--stable-uri", stable.model.uri, "--stable-version", stable.version, "--stable-digest", stable.digest]


def _agent(revision: Revision) -> Body:
    """A native sidecar: the server starts when `/startup` answers, and ends before the agent does."""
    runtime = registry.find(revision.runtime.name)
    return {
        "name": AGENT_CONTAINER,
        "image": revision.images.agent,
        "imagePullPolicy": "IfNotPresent",
        "restartPolicy": "Always",
        "args": [
            "agent",
            *_bundles(revision),
            *("--model", revision.model_name, "--directory", MODELS_PATH, "--runtime", revision.runtime.name.value),
            *("--server", runtime.server_url, "--listen", f"0.0.0.0:{AGENT_PORT}"),
        ],
        "env": _environment(revision.model.storage),
        "ports": [{"name": "agent", "containerPort": AGENT_PORT, "protocol": "TCP"}],
        "startupProbe": _asks_agent("/startup") | {"failureThreshold": _FETCH_SECONDS},
        "readinessProbe": _asks_agent("/ready") | {"failureThreshold": 3},
        "resources": _agent_resources(),
        "terminationMessagePolicy": "File",
        "securityContext": _confined(),
        "volumeMounts": [{"name": "models", "mountPath": MODELS_PATH}, _tmp_mount(), *_split_mount(revision)],
    }


def _bundles(revision: Revision) -> tuple[str, ...]:
    """One bundle for the life of the pod, or those that the mounted file names."""
    if revision.update is Update.IN_PLACE:
        return ("--split",)
    return ("--uri", revision.model.uri, "--version", revision.version, "--digest", revision.digest)


def _split_volume(name: str, revision: Revision) -> list[Body]:
    """A revision that shares its pods goes by the id of their shape here."""
    if revision.update is Update.REPLACE:
        return []
    return [{"name": "revisions", "configMap": {"name": f"{name}-{revision.id}", "optional": False}}]


def _split_mount(revision: Revision) -> list[Body]:
    return [{"name": "revisions", "mountPath": REVISIONS_PATH, "readOnly": True}] if revision.update is Update.IN_PLACE else []


def _asks_agent(path: str) -> Body:
    return {"httpGet": {"path": path, "port": AGENT_PORT}, "periodSeconds": 1, "timeoutSeconds": 5}


def _server(revision: Revision) -> Body:
    """Holds no credential, so the end of its log may become its termination message."""
    runtime = registry.find(revision.runtime.name)
    served = Served(model_name=revision.model_name, version=revision.version, revision=revision.id)
    own = runtime.shared_server(revision.model_name) if revision.update is Update.IN_PLACE else runtime.server(served)
    return own | {
        "name": SERVER_CONTAINER,
        "image": revision.images.server,
        "imagePullPolicy": "IfNotPresent",
        "resources": resources(revision.runtime.resources),
        "terminationMessagePolicy": "FallbackToLogsOnError",
        "securityContext": _confined(),
        "volumeMounts": [{"name": "models", "mountPath": MODELS_PATH, "readOnly": True}, _tmp_mount()],
    }


def resources(given: Resources) -> Body:
    """Of a container, as its user wrote them."""
    return {key: dict(value) for key, value in (("requests", given.requests), ("limits", given.limits)) if value}


def _environment(storage: Storage) -> list[Body]:
    """Credentials under fixed keys of the Secret, so that no other content of any Secret can be had this way."""
    keys = SECRET_KEYS if storage.secret_name else ()
    env: list[Body] = [
        {"name": key, "valueFrom": {"secretKeyRef": {"name": storage.secret_name, "key": key} | _optional(key)}} for key in keys
    ]
    if storage.endpoint:
        env.append({"name": "AWS_ENDPOINT_URL_S3", "value": storage.endpoint})
    region = storage.region or ("us-east-1" if storage.endpoint else None)  # S3-compatible servers want any; AWS' own identity brings one
    if region:
        env.append({"name": "AWS_REGION", "value": region})
    if storage.addressing:
        env.append({"name": ADDRESSING_VARIABLE, "value": _STYLES[storage.addressing]})
    return [*env, *_authority(storage)]


def _authority(storage: Storage) -> list[Body]:
    """By variable, as the public key."""
    if storage.authority_config_map_name is None:
        return []
    chosen = {"name": storage.authority_config_map_name, "key": AUTHORITY}
    return [{"name": AUTHORITY_VARIABLE, "valueFrom": {"configMapKeyRef": chosen}}]


def _public_key(verify: Verify | None) -> list[Body]:
    """By variable and not by volume: a Secret that is missing is then told of by the kubelet at once."""
    if verify is None:
        return []
    chosen = {"name": verify.public_key_secret_name, "key": PUBLIC_KEY}
    return [{"name": PUBLIC_KEY_VARIABLE, "valueFrom": {"secretKeyRef": chosen}}]


def _optional(key: str) -> Body:
    return {"optional": True} if key in _OPTIONAL_KEYS else {}


# ---- what all pods share ----------------------------------------------------------------------


def _pod(storage: Storage) -> Body:
    """Admitted under the `restricted` pod security standard; knows nothing of the Kubernetes API."""
    identity = {"serviceAccountName": storage.service_account_name} if storage.service_account_name else {}
    return identity | {
        "automountServiceAccountToken": False,
        "enableServiceLinks": False,
        "securityContext": {
            "runAsNonRoot": True,
            "runAsUser": _NOBODY,
            "runAsGroup": _NOBODY,
            "fsGroup": _NOBODY,
            "seccompProfile": {"type": "RuntimeDefault"},
        },
    }


def _confined() -> Body:
    return {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
    }


def _agent_resources() -> Body:
    """It streams: what it holds does not grow with the bundle."""
    return {"requests": {"cpu": "10m", "memory": "64Mi"}, "limits": {"memory": "256Mi"}}


def _tmp_volume() -> Body:
    return {"name": "tmp", "emptyDir": {"sizeLimit": "64Mi"}}


def _tmp_mount() -> Body:
    return {"name": "tmp", "mountPath": "/tmp"}  # noqa: S108 -- a volume of the pod's own
