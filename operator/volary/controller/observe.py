"""Looks at one ModelDeployment and all that belongs to it: six requests, more for what a spec asks for; nothing remembered.

Reads are live, so a plan always sees what the last one wrote. Children are found by label and
taken for ours only if this very ModelDeployment controls them.
"""

import asyncio
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any

from pydantic import ValidationError

from volary.adapters import agents, golden
from volary.adapters.cluster import (
    AUTOSCALERS,
    CONFIG_MAPS,
    CONTROLLER_REVISIONS,
    DEPLOYMENTS,
    DISRUPTION_BUDGETS,
    HTTP_ROUTES,
    JOBS,
    MODEL_DEPLOYMENTS,
    PODS,
    SERVICES,
    Body,
    Cluster,
    Kind,
    kind_of,
)
from volary.adapters.prometheus import Prometheus
from volary.adapters.scrape import Scraper, Target
from volary.api.v1alpha1 import ModelDeployment, ModelDeploymentStatus
from volary.common.names import COMPONENT_LABEL, MODEL_LABEL, REQUEST_ANNOTATION, REQUEST_LABEL
from volary.common.reasons import Reason
from volary.common.settings import Settings
from volary.controller.routing import Routes
from volary.controller.survey import Survey
from volary.planning import checks, diagnosis, evidence, identity, inplace, jobs, labels, perspective, resources, scaling_bodies
from volary.planning.model import Desired, Images, Observed, Pod, Preflight, Revision, Sample, Workload
from volary.planning.outside import Outside, SeenJob
from volary.planning.roles import assign
from volary.runtimes import registry

Id = tuple[Kind, str]  # kind and name of a child
Bare = tuple[Kind, str, str]  # kind, and namespace and name of a ModelDeployment
_CHILDREN = (JOBS, PODS, DEPLOYMENTS, SERVICES, CONTROLLER_REVISIONS)
# Kinds that few specs ask for.
_EXTRAS: dict[Kind, Callable[[Desired], bool]] = {
    AUTOSCALERS: lambda desired: desired.spec.autoscaling is not None,
    DISRUPTION_BUDGETS: lambda desired: desired.spec.disruption_budget is not None,
}


SURVEYED = (MODEL_DEPLOYMENTS, *_CHILDREN, *_EXTRAS)  # all that a look needs


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


@dataclass(frozen=True, slots=True)
class Outsiders:
    """Whom to ask besides the API server and the pods' counters."""

    prometheus: Prometheus
    agents: golden.Agents


class Observer:
    """Fills `Look`s."""

    def __init__(
        self,
        cluster: Cluster,
        scraper: Scraper,
        settings: Settings,
        agents: agents.Agents,
        outside: Outsiders | None = None,
        survey: Survey | None = None,
    ) -> None:
        self._cluster = cluster
        self._scraper = scraper
        self._outside = outside
        self._settings = settings
        self._agents = agents
        self._routes = Routes(cluster)
        self._survey = survey
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
        lists_by_kind = dict(zip(_CHILDREN, lists, strict=True)) | await self._extras(desired, marked)
        return await self._complete(_look(desired, lists_by_kind), marked, now)

    async def _complete(self, found: Look, marked: Mapping[str, str], now: datetime) -> Look:
        """The same with what only some specs ask for: splits inside pods, a gateway's route, counters, verdicts from outside."""
        desired, observed, uids = found.desired, found.observed, dict(found.uids)
        if inplace.used(desired, observed):
            maps = await self._cluster.list(CONFIG_MAPS, desired.namespace, marked)
            own = [one for one in maps if controlled_by(one, desired.uid)]
            uids |= {(CONFIG_MAPS, one["metadata"]["name"]): one["metadata"]["uid"] for one in own}
            observed = await self._held(observed, own)
        seen = await self._routes.look(desired, observed, now)
        observed = replace(observed, route=seen.route, left=seen.left)
        uids |= {(HTTP_ROUTES, desired.name): seen.uid} if seen.uid else {}
        sampled, outside = await asyncio.gather(self._sampled(desired, observed, now), self._asked(desired, observed, now))
        return Look(desired=desired, observed=replace(sampled, outside=outside), uids=uids)

    def glance(self, namespace: str, name: str, now: datetime) -> Look | None:
        """The same out of the last survey, without a request. None where a live look has to tell."""
        lists = self._survey.claim((namespace, name)) if self._survey is not None else None
        body = next(iter(lists[MODEL_DEPLOYMENTS]), None) if lists is not None else None
        if lists is None or body is None or "deletionTimestamp" in body["metadata"]:
            return None
        desired = read(body, self._settings)
        if isinstance(desired, Unreadable) or evidence.sample_due(desired, now) or _is_more(desired):
            return None
        found = _look(desired, lists)
        return None if inplace.used(desired, found.observed) else found

    async def _held(self, observed: Observed, maps: Sequence[Body]) -> Observed:
        """The same with what is written for pods that hold several revisions, and what they say."""
        written = tuple(resources.written_from(body) for body in maps)
        shapes = {one.shape for one in written}
        asked = [
            pod for workload in observed.workloads if workload.revision in shapes for pod in workload.pods if pod.ip and not pod.terminating
        ]
        holdings = await self._agents.ask([agents.Agent(uid=pod.uid, url=agents.url(pod.ip or "")) for pod in asked])
        return replace(observed, written=written, holdings=holdings)

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
            for workload in perspective.by_revision(observed).workloads
            for revision in observed.revisions
            if revision.id == workload.revision
            for target in _targets(revision, workload.pods)
        ]
        counts = await self._scraper.scrape(targets)
        return replace(observed, sample=Sample(at=now, counts=counts))

    async def _asked(self, desired: Desired, observed: Observed, now: datetime) -> Outside:
        """What others say, of those whose time it is to be asked."""
        if self._outside is None:
            return observed.outside
        request = identity.request_id(desired.spec.model, desired.model_name, desired.spec.runtime, desired.spec.update)
        questions = checks.due(desired, assign(observed, request), now)
        rate = checks.golden_rate(desired, now)
        measurements, replies = await asyncio.gather(
            self._outside.prometheus.ask(questions, now),
            self._outside.agents.ask(_agents(observed), rate, checks.golden_span(desired)) if rate else _nobody(),
        )
        return replace(observed.outside, measurements=measurements, replies=replies)


async def _nobody() -> None:
    """Nobody is asked."""


def _is_more(desired: Desired) -> bool:
    """Whether a survey does not show all that a look at it needs."""
    return desired.status.rollout is not None or desired.spec.rollout.traffic is not None or desired.status.route is not None


def _look(desired: Desired, lists: Mapping[Kind, Sequence[Body]]) -> Look:
    """What the objects say. Children are those that this very ModelDeployment controls."""
    kinds = (*_CHILDREN, *_EXTRAS)
    own = {kind: lists[kind] if kind is PODS else [one for one in lists[kind] if controlled_by(one, desired.uid)] for kind in kinds}
    uids = {(kind_of(one), one["metadata"]["name"]): one["metadata"]["uid"] for kind in own for one in own[kind] if kind is not PODS}
    return Look(desired=desired, observed=_observed(desired, own), uids=uids)


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
        prometheus=bool(settings.prometheus),
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
    request = identity.request_id(desired.spec.model, desired.model_name, desired.spec.runtime, desired.spec.update)
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
        outside=Outside(jobs=_judges(own[JOBS], own[PODS])),
        autoscalers=tuple(scaling_bodies.autoscaler_from(one) for one in own[AUTOSCALERS]),
        budget=next((scaling_bodies.budget_from(one) for one in own[DISRUPTION_BUDGETS]), None),
    )


def _judges(found: Iterable[Body], candidates: Sequence[Body]) -> tuple[SeenJob, ...]:
    """Jobs of the user's, each with its own pods only."""
    seen = (jobs.seen(job, [pod for pod in candidates if controlled_by(pod, job["metadata"]["uid"])]) for job in found)
    return tuple(sorted((one for one in seen if one is not None), key=lambda one: one.object_name))


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
    runtime = registry.find(revision.runtime.name)
    return [
        Target(uid=pod.uid, revision=revision.id, url=agents.url(pod.ip, runtime.port), metrics=runtime.metrics, restarts=pod.restarts)
        for pod in candidates
        if pod.ip
    ]


def _agents(observed: Observed) -> list[golden.Agent]:
    """Those whose pods take traffic or may."""
    return [
        golden.Agent(uid=pod.uid, revision=workload.revision, url=agents.url(pod.ip))
        for workload in observed.workloads
        for pod in workload.pods
        if pod.ip and pod.ready and not pod.terminating
    ]


def _label(body: Body, name: str) -> str:
    labels: Mapping[str, str] = body["metadata"].get("labels") or {}
    return labels.get(name, "")
