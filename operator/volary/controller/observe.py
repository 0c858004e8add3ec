"""Looks at one ModelDeployment and all that belongs to it: six requests, nothing remembered.

Reads are live, so a plan always sees what the last one wrote. Children are found by label and
taken for ours only if this very ModelDeployment controls them.
"""

import asyncio
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any

from pydantic import ValidationError

from volary.adapters.cluster import (
    AUTOSCALERS,
    CONTROLLER_REVISIONS,
    DEPLOYMENTS,
    DISRUPTION_BUDGETS,
    JOBS,
    MODEL_DEPLOYMENTS,
    PODS,
    SERVICES,
    Body,
    Cluster,
    Kind,
    kind_of,
)
from volary.adapters.scrape import Scraper, Target
from volary.api.v1alpha1 import ModelDeployment, ModelDeploymentStatus
from volary.common.names import COMPONENT_LABEL, MODEL_LABEL, REQUEST_ANNOTATION, REQUEST_LABEL, SERVER_PORT
from volary.common.reasons import Reason
from volary.common.settings import Settings
from volary.planning import diagnosis, evidence, identity, labels, resources, scaling_bodies
from volary.planning.model import Desired, Images, Observed, Pod, Preflight, Revision, Sample, Workload
from volary.runtimes import registry

Id = tuple[Kind, str]  # kind and name of a child
Bare = tuple[Kind, str, str]  # kind, and namespace and name of a ModelDeployment
_CHILDREN = (JOBS, PODS, DEPLOYMENTS, SERVICES, CONTROLLER_REVISIONS)
# Kinds that few specs ask for.
_EXTRAS: dict[Kind, Callable[[Desired], bool]] = {
    AUTOSCALERS: lambda desired: desired.spec.autoscaling is not None,
    DISRUPTION_BUDGETS: lambda desired: desired.spec.disruption_budget is not None,
}


@dataclass(frozen=True, slots=True)
class Gone:
    """There is no such ModelDeployment, or it is on its way out: owner references do the rest."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Unreadable:
    """Its spec cannot be worked with: the API server's schema was circumvented, or this operator lacks something."""

    namespace: str
    name: str
    uid: str
    generation: int
    reason: Reason
    message: str
    status: ModelDeploymentStatus


@dataclass(frozen=True, slots=True, kw_only=True)
class Look:
    """What is wanted, what is there, and which objects exactly."""

    desired: Desired
    observed: Observed
    uids: Mapping[Id, str] = field(default_factory=dict)  # of the children


class Observer:
    """Fills `Look`s."""

    def __init__(self, cluster: Cluster, scraper: Scraper, settings: Settings) -> None:
        self._cluster = cluster
        self._scraper = scraper
        self._settings = settings
        self._bare: dict[Bare, tuple[str, int]] = {}  # uid and generation at which there was none, and none was asked for

    async def desired(self, namespace: str, name: str) -> Desired | None:
        """Only what is wanted; None where there is nothing to read."""
        body = await self._cluster.get(MODEL_DEPLOYMENTS, namespace, name)
        found = None if body is None else read(body, self._settings)
        return found if isinstance(found, Desired) else None

    async def look(self, namespace: str, name: str, now: datetime) -> Look | Unreadable | Gone:
        """One look. Raises Transient where the API server does not answer."""
        marked = {MODEL_LABEL: name}
        body, lists = await asyncio.gather(
            self._cluster.get(MODEL_DEPLOYMENTS, namespace, name),
            asyncio.gather(*(self._cluster.list(kind, namespace, marked) for kind in _CHILDREN)),
        )
        if body is None or "deletionTimestamp" in body["metadata"]:
            for kind in _EXTRAS:
                self._bare.pop((kind, namespace, name), None)
            return Gone()
        desired = read(body, self._settings)
        if isinstance(desired, Unreadable):
            return desired
        own = {
            kind: found if kind is PODS else [one for one in found if controlled_by(one, desired.uid)]
            for kind, found in zip(_CHILDREN, lists, strict=True)
        }
        own |= await self._extras(desired, marked)
        observed = _observed(desired, own)
        uids = {(kind_of(one), one["metadata"]["name"]): one["metadata"]["uid"] for kind in own for one in own[kind] if kind is not PODS}
        return Look(desired=desired, observed=await self._sampled(desired, observed, now), uids=uids)

    async def _extras(self, desired: Desired, marked: Mapping[str, str]) -> dict[Kind, list[Body]]:
        """What a spec does not ask for is looked for once a generation: an earlier one may have asked."""
        now = desired.uid, desired.generation
        place = desired.namespace, desired.name
        wanted = [kind for kind, asks in _EXTRAS.items() if asks(desired) or self._bare.get((kind, *place)) != now]
        lists = await asyncio.gather(*(self._cluster.list(kind, desired.namespace, marked) for kind in wanted))
        own = {kind: [one for one in found if controlled_by(one, desired.uid)] for kind, found in zip(wanted, lists, strict=True)}
        self._bare |= {(kind, *place): now for kind, found in own.items() if not found and not _EXTRAS[kind](desired)}
        return {kind: own.get(kind, []) for kind in _EXTRAS}

    async def _sampled(self, desired: Desired, observed: Observed, now: datetime) -> Observed:
        """The same with the pods' counters, if it is time to read them."""
        if not evidence.sample_due(desired, now):
            return observed
        targets = [
            target
            for workload in observed.workloads
            for revision in observed.revisions
            if revision.id == workload.revision
            for target in _targets(revision, workload.pods)
        ]
        counts = await self._scraper.scrape(targets)
        return replace(observed, sample=Sample(at=now, counts=counts))


def read(body: Body, settings: Settings) -> Desired | Unreadable:
    """A ModelDeployment as its user wrote it. A status that cannot be read is as good as none."""
    try:
        wanted = ModelDeployment.model_validate({**body, "status": {}})
    except ValidationError as error:
        return _unreadable(body, Reason.SPEC_INVALID, _first(error))
    runtime = wanted.spec.runtime
    image = runtime.image or settings.server_images.get(runtime.name)
    if image is None:
        known = ", ".join(sorted(settings.server_images)) or "none"
        text = f"this operator has no image for {runtime.name.value} (it has: {known}); set spec.runtime.image"
        return _unreadable(body, Reason.RUNTIME_UNSUPPORTED, text)
    metadata = body["metadata"]
    return Desired(
        namespace=metadata["namespace"],
        name=metadata["name"],
        uid=metadata["uid"],
        generation=metadata.get("generation", 0),
        model_name=wanted.model_name,
        spec=wanted.spec,
        images=Images(agent=settings.agent_image, server=image),
        request=wanted.metadata.annotations.get(REQUEST_ANNOTATION),
        status=_status(body.get("status")),
    )


def _unreadable(body: Body, reason: Reason, message: str) -> Unreadable:
    metadata = body["metadata"]
    return Unreadable(
        namespace=metadata["namespace"],
        name=metadata["name"],
        uid=metadata["uid"],
        generation=metadata.get("generation", 0),
        reason=reason,
        message=message,
        status=_status(body.get("status")),
    )


def _status(part: Any) -> ModelDeploymentStatus:
    try:
        return ModelDeploymentStatus.model_validate(part or {})
    except ValidationError:
        return ModelDeploymentStatus()


def _first(error: ValidationError) -> str:
    """`spec.runtime.name: Field required (and 2 more)`."""
    details = error.errors(include_url=False, include_input=False, include_context=False)
    where = ".".join(str(part) for part in details[0]["loc"])
    more = f" (and {len(details) - 1} more)" if len(details) > 1 else ""
    return f"{where}: {details[0]['msg']}{more}"


def controlled_by(body: Body, uid: str) -> bool:
    """Whether the object with this uid is its controller."""
    return any(owner.get("uid") == uid and owner.get("controller") for owner in body["metadata"].get("ownerReferences") or ())


def _observed(desired: Desired, own: Mapping[Kind, Sequence[Body]]) -> Observed:
    request = identity.request_id(desired.spec.model, desired.model_name, desired.spec.runtime)
    model_pods = [pod for pod in own[PODS] if _label(pod, COMPONENT_LABEL) == labels.SERVER]
    workloads = tuple(diagnosis.deployment(one, model_pods) for one in own[DEPLOYMENTS])
    services = {one["metadata"]["name"]: one for one in own[SERVICES]}
    return Observed(
        preflight=_preflight(own[JOBS], own[PODS], request),
        stale_preflights=tuple(sorted({_label(job, REQUEST_LABEL) for job in own[JOBS]} - {request, ""})),
        revisions=_revisions(own[CONTROLLER_REVISIONS]),
        workloads=workloads,
        strangers=_strangers(model_pods, workloads),
        traffic=resources.traffic_from(services.get(desired.name)),
        preview=resources.preview_from(services.get(resources.preview_name(desired.name))),
        autoscalers=tuple(scaling_bodies.autoscaler_from(one) for one in own[AUTOSCALERS]),
        budget=next((scaling_bodies.budget_from(one) for one in own[DISRUPTION_BUDGETS]), None),
    )


def _preflight(jobs: Iterable[Body], candidates: Iterable[Body], request: str) -> Preflight:
    """Only pods of this very Job: after a retry the old Job's pod may still be there, with its answer."""
    job = next((one for one in jobs if _label(one, REQUEST_LABEL) == request), None)
    if job is None or "deletionTimestamp" in job["metadata"]:
        return diagnosis.preflight(None, ())
    return diagnosis.preflight(job, [pod for pod in candidates if controlled_by(pod, job["metadata"]["uid"])])


def _revisions(bodies: Iterable[Body]) -> tuple[Revision, ...]:
    """In the order they were made. One that cannot be read is left alone."""
    revisions: list[Revision] = []
    for body in bodies:
        try:
            revisions.append(resources.revision_from(body))
        except ValueError:
            continue
    return tuple(sorted(revisions, key=lambda revision: revision.ordinal))


def _strangers(bodies: Iterable[Body], workloads: Sequence[Workload]) -> tuple[Pod, ...]:
    """Pods that a shared Service would select and that no Deployment accounts for."""
    known = {workload.revision for workload in workloads}
    found = (diagnosis.pod(body) for body in bodies if not diagnosis.ended(body))
    return tuple(pod for pod in found if pod.revision not in known and not pod.terminating)


def _targets(revision: Revision, candidates: Iterable[Pod]) -> list[Target]:
    metrics = registry.find(revision.runtime.name).metrics
    return [
        Target(uid=pod.uid, revision=revision.id, url=f"http://{_host(pod.ip)}:{SERVER_PORT}", metrics=metrics)
        for pod in candidates
        if pod.ip
    ]


def _host(ip: str) -> str:
    return f"[{ip}]" if ":" in ip else ip


def _label(body: Body, name: str) -> str:
    labels: Mapping[str, str] = body["metadata"].get("labels") or {}
    return labels.get(name, "")
