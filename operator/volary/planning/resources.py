"""The Kubernetes objects of a ModelDeployment, as whole bodies for server-side apply, and back.

Applying a whole body is idempotent and removes what an earlier body had and this one has not, so
clearing a mark needs no call of its own. No status and no defaults of the API server are in here.

    ModelDeployment NAME
    +-- Service            NAME                   traffic of the clients
    +-- Job                NAME-preflight-REQUEST
    +-- Job                NAME-REVISION-STEP-CHECK   judges a canary
    +-- ControllerRevision NAME-REVISION          history, marks
    +-- Deployment         NAME-REVISION
    +-- HorizontalPodAutoscaler NAME-REVISION      where spec.autoscaling is set, of stable
    +-- PodDisruptionBudget NAME                  where spec.disruptionBudget is set
    +-- Service            NAME-REVISION          one revision, for people and for gateways
    +-- Service            NAME-preview           a BlueGreen candidate, before it takes all traffic

With `update: InPlace` the revisions of one shape share a Deployment and a Service NAME-SHAPE, and

    +-- ConfigMap          NAME-SHAPE             which revisions its pods hold, and their weights

NAME is at most 40 characters and a DNS-1035 label (a rule of the CRD), so every name below it
fits in a label of 63.
"""

import json
from datetime import UTC, datetime
from typing import Any

from pydantic import BaseModel, ConfigDict, ValidationError
from pydantic.alias_generators import to_camel

from volary.api.v1alpha1 import Model, Runtime, Update
from volary.bundle.split import Split, parse, render
from volary.common.errors import Refused
from volary.common.names import (
    API_VERSION,
    ASKED_ANNOTATION,
    FAILED_ANNOTATION,
    GRPC_PORT,
    KIND,
    MANAGED_BY_LABEL,
    MODEL_LABEL,
    PROMOTED_ANNOTATION,
    REQUEST_LABEL,
    REVISION_LABEL,
    REVISIONS_FILE,
    SERVICE_GRPC_PORT,
    SERVICE_PORT,
    WRITTEN_ANNOTATION,
)
from volary.common.reasons import Reason
from volary.planning import labels, pods
from volary.planning.holdings import Written
from volary.planning.model import Desired, Failure, Images, NoService, Only, Revision, Shared, Traffic
from volary.runtimes.runtime import Body

_PREFLIGHT_SECONDS = 900  # for the image, the Secret and the storage to turn up
_NEVER = datetime.fromtimestamp(0, UTC)
_ROLLOUT_SECONDS = 600  # Kubernetes' default; Volary keeps its own deadline, and a change here would be a change of every Deployment


# ---- names ------------------------------------------------------------------------------------


def preflight_name(name: str, request: str) -> str:
    """Name of the preflight Job of a request."""
    return f"{name}-preflight-{request}"


def revision_name(name: str, revision: str) -> str:
    """Name of the ControllerRevision, the Deployment and the Service of a revision."""
    return f"{name}-{revision}"


def preview_name(name: str) -> str:
    """Name of the Service of a candidate that gets no traffic yet."""
    return f"{name}-preview"


# ---- bodies -----------------------------------------------------------------------------------


def preflight_job(desired: Desired, request: str, stable: Revision | None = None) -> Body:
    """The Job that checks the spec's bundle; one try, its outcome is in the termination message of its pod."""
    return {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": metadata(desired, preflight_name(desired.name, request), {REQUEST_LABEL: request}),
        "spec": {
            "backoffLimit": 0,
            "activeDeadlineSeconds": _PREFLIGHT_SECONDS,
            "template": pods.preflight_template(desired, request, stable),
        },
    }


def controller_revision(desired: Desired, revision: Revision) -> Body:
    """The record of a revision with its marks. `.data` never changes, the marks and the request do."""
    about = metadata(
        desired,
        revision_name(desired.name, revision.id),
        {REVISION_LABEL: revision.id, REQUEST_LABEL: revision.request},
    )
    annotations = _marks(revision)
    return {
        "apiVersion": "apps/v1",
        "kind": "ControllerRevision",
        "metadata": about | ({"annotations": annotations} if annotations else {}),
        "revision": revision.ordinal,
        "data": _Record.of(revision).model_dump(mode="json", by_alias=True, exclude_defaults=True),
    }


def deployment(desired: Desired, revision: Revision, replicas: int | None) -> Body:
    """The pods of a revision, or of a shape under its id. All but `replicas` follows from it; None: the number is others' affair."""
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": metadata(desired, revision_name(desired.name, revision.id), {REVISION_LABEL: revision.id}),
        "spec": {
            **({} if replicas is None else {"replicas": replicas}),
            "selector": {"matchLabels": {MODEL_LABEL: desired.name, REVISION_LABEL: revision.id}},
            "strategy": {"type": "RollingUpdate", "rollingUpdate": {"maxUnavailable": 0, "maxSurge": 1}},
            "revisionHistoryLimit": 0,
            "progressDeadlineSeconds": _ROLLOUT_SECONDS,
            "template": pods.model_template(desired.name, revision),
        },
    }


def revisions_map(desired: Desired, shape: str, split: Split, at: datetime) -> Body:
    """Which revisions the pods of a shape hold. They mount it."""
    named = metadata(desired, revision_name(desired.name, shape), {REVISION_LABEL: shape})
    return {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": named | {"annotations": {WRITTEN_ANNOTATION: at.isoformat()}},
        "data": {REVISIONS_FILE: render(split).decode()},
    }


def replicas_alone(desired: Desired, name: str, replicas: int) -> Body:
    """The number of pods of a Deployment and nothing else."""
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": name, "namespace": desired.namespace},
        "spec": {"replicas": replicas},
    }


def service(desired: Desired, to: Only | Shared) -> Body:
    """Where clients send their requests."""
    return _service(desired, desired.name, {}, _selector(desired.name, to))


def revision_service(desired: Desired, revision: Revision) -> Body:
    """One revision alone, whatever share of the traffic it has."""
    name = revision_name(desired.name, revision.id)
    return _service(desired, name, {REVISION_LABEL: revision.id}, _selector(desired.name, Only(revision.id)))


def preview_service(desired: Desired, revision: str) -> Body:
    """A candidate under a name that stays, for checks of one's own."""
    return _service(desired, preview_name(desired.name), {}, _selector(desired.name, Only(revision)))


def _service(desired: Desired, name: str, more: dict[str, str], selector: dict[str, str]) -> Body:
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": metadata(desired, name, more),
        "spec": {
            "selector": selector,
            "ports": [
                {"name": "http", "port": SERVICE_PORT, "targetPort": "http", "protocol": "TCP"},
                # Proxies must be told that it is HTTP/2 without TLS.
                {"name": "grpc", "port": SERVICE_GRPC_PORT, "targetPort": GRPC_PORT, "protocol": "TCP", "appProtocol": "kubernetes.io/h2c"},
            ],
        },
    }


def _selector(name: str, to: Only | Shared) -> dict[str, str]:
    match to:
        case Only(revision):
            return {MODEL_LABEL: name, REVISION_LABEL: revision}
        case Shared():
            return labels.of_model(name)


def metadata(desired: Desired, name: str, more: dict[str, str]) -> Body:
    """Labels of the ModelDeployment are not copied: Argo CD would take our objects for its own."""
    return {
        "name": name,
        "namespace": desired.namespace,
        "labels": {MODEL_LABEL: desired.name, MANAGED_BY_LABEL: "volary"} | more,
        "ownerReferences": [
            {
                "apiVersion": API_VERSION,
                "kind": KIND,
                "name": desired.name,
                "uid": desired.uid,
                "controller": True,
                "blockOwnerDeletion": False,
            }
        ],
    }


# ---- and back ---------------------------------------------------------------------------------


def traffic_from(body: Body | None) -> Traffic:
    """Whom the Service of the model selects; None: there is none."""
    if body is None:
        return NoService()
    revision = (body.get("spec", {}).get("selector") or {}).get(REVISION_LABEL)
    return Only(revision) if revision else Shared()


def written_from(body: Body) -> Written:
    """What a ConfigMap says. One that somebody made unreadable says nothing, and is written anew."""
    metadata = body.get("metadata", {})
    shape = (metadata.get("labels") or {}).get(REVISION_LABEL, "")
    try:
        at = datetime.fromisoformat((metadata.get("annotations") or {}).get(WRITTEN_ANNOTATION, ""))
        split = parse((body.get("data") or {}).get(REVISIONS_FILE, "").encode())
    except (ValueError, Refused):
        return Written(shape=shape, split=None, at=_NEVER)
    return Written(shape=shape, split=split, at=at)


def preview_from(body: Body | None) -> str | None:
    """The revision that the preview Service selects; empty where somebody changed that, None: there is none."""
    return None if body is None else (body.get("spec", {}).get("selector") or {}).get(REVISION_LABEL, "")


def revision_from(body: Body) -> Revision:
    """The revision a ControllerRevision records. Raises ValueError where it is none of ours."""
    about = body.get("metadata", {})
    marked, annotations = about.get("labels") or {}, about.get("annotations") or {}
    record = _Record.model_validate(body.get("data"))
    if REVISION_LABEL not in marked:
        raise ValueError(f"the ControllerRevision {about.get('name')!r} has no label {REVISION_LABEL}")
    return Revision(
        id=marked[REVISION_LABEL],
        request=marked.get(REQUEST_LABEL, ""),
        ordinal=int(body.get("revision", 0)),
        digest=record.digest,
        version=record.version,
        format=record.format,
        size=record.size,
        model=record.model,
        model_name=record.model_name,
        runtime=record.runtime,
        images=Images(agent=record.images.agent, server=record.images.server),
        created_at=record.created_at,
        update=record.update,
        promoted=int(annotations.get(PROMOTED_ANNOTATION, "0")),
        failed=_failure(annotations.get(FAILED_ANNOTATION), record.created_at),
        asked=annotations.get(ASKED_ANNOTATION, ""),
    )


class _Part(BaseModel):
    """Later operators may record more; what they record is kept by the API server and ignored here."""

    model_config = ConfigDict(frozen=True, extra="ignore", alias_generator=to_camel, validate_by_name=True, validate_by_alias=True)


class _Images(_Part):
    agent: str
    server: str


class _Record(_Part):
    """`.data` of a ControllerRevision."""

    digest: str
    version: str
    format: str
    size: int
    model: Model
    model_name: str
    runtime: Runtime
    images: _Images
    created_at: datetime
    update: Update = Update.REPLACE

    @classmethod
    def of(cls, revision: Revision) -> "_Record":
        return cls(
            digest=revision.digest,
            version=revision.version,
            format=revision.format,
            size=revision.size,
            model=revision.model,
            model_name=revision.model_name,
            runtime=revision.runtime,
            images=_Images(agent=revision.images.agent, server=revision.images.server),
            created_at=revision.created_at,
            update=revision.update,
        )


class _Mark(_Part):
    """The failed annotation."""

    reason: Reason
    message: str
    at: datetime


def _marks(revision: Revision) -> dict[str, str]:
    marks: dict[str, str] = {}
    if revision.promoted:
        marks[PROMOTED_ANNOTATION] = str(revision.promoted)
    if revision.failed:
        mark = _Mark(reason=revision.failed.reason, message=revision.failed.message, at=revision.failed.at)
        marks[FAILED_ANNOTATION] = json.dumps(mark.model_dump(mode="json"), sort_keys=True, ensure_ascii=False)
    if revision.asked:
        marks[ASKED_ANNOTATION] = revision.asked
    return marks


def _failure(text: Any, created_at: datetime) -> Failure | None:
    """A mark that cannot be read, such as one with a newer operator's reason, is a failed mark still."""
    if text is None:
        return None
    try:
        mark = _Mark.model_validate_json(text)
    except ValidationError:
        return Failure(reason=Reason.INTERNAL_ERROR, message=f"unreadable mark: {text}", at=created_at)
    return Failure(reason=mark.reason, message=mark.message, at=mark.at)
