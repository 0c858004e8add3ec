"""Carries out a plan's actions, in their order, and stops at the first that fails.

Every prefix of a plan is safe, so stopping leaves nothing half done; the next look sees how far it
came. An object that is there already is written only if this ModelDeployment controls it.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from typing import assert_never

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
    Conflict,
    Kind,
    NotFound,
    kind_of,
)
from volary.common.errors import Refused, Transient, VolaryError
from volary.common.names import FIELD_MANAGER, MANAGED_BY_LABEL, REVISIONS_ANNOTATION, SCALE_MANAGER
from volary.common.reasons import Reason
from volary.controller.observe import Id, Look, controlled_by
from volary.planning import check_bodies, httproutes, inplace, resources, scaling_bodies, shape
from volary.planning.model import (
    Action,
    Checking,
    DeleteAutoscaler,
    DeleteBudget,
    DeleteCheck,
    DeletePreflight,
    DeleteRevision,
    DeleteWorkload,
    Directing,
    EnsureAutoscaler,
    EnsureBudget,
    EnsureWorkload,
    MarkRevision,
    Nudge,
    Only,
    Preview,
    RecordRevision,
    ReleaseRoute,
    Revision,
    Route,
    Scaling,
    StartCheck,
    StartPreflight,
    Weigh,
    WriteSplit,
)
from volary.planning.weighted import Weighted


@dataclass(frozen=True, slots=True, kw_only=True)
class Executed:
    """How far a plan was carried out."""

    done: tuple[Action, ...]
    failure: VolaryError | None = None


async def carry_out(cluster: Cluster, look: Look, actions: Iterable[Action]) -> Executed:
    """Does the actions. Trouble with the API server is a value here: the status tells of it."""
    hands = _Hands(cluster, look)
    done: list[Action] = []
    for action in actions:
        try:
            await hands.do(action)
        except VolaryError as error:
            return Executed(done=tuple(done), failure=error)
        done.append(action)
    return Executed(done=tuple(done))


def repairs(look: Look, actions: Iterable[Action]) -> tuple[Action, ...]:
    """A revision's own Service that somebody deleted comes back: plans look at Deployments and at the model's Service."""
    planned = {action.revision.id for action in actions if isinstance(action, EnsureWorkload)}
    planned |= {action.revision for action in actions if isinstance(action, DeleteWorkload)}
    name = look.desired.name
    return tuple(
        EnsureWorkload(revision=revision, replicas=workload.replicas)
        for workload in look.observed.workloads
        for revision in shape.carried(look.observed).revisions
        if revision.id == workload.revision
        and revision.id not in planned
        and (SERVICES, resources.revision_name(name, revision.id)) not in look.uids
    )


class _Hands:
    """One plan under way: knows the objects that were seen and what it changed since."""

    def __init__(self, cluster: Cluster, look: Look) -> None:
        self._cluster = cluster
        self._desired = look.desired
        self._uids = dict(look.uids)
        self._revisions = {revision.id: revision for revision in look.observed.revisions}
        self._traffic = look.observed.traffic

    async def do(self, action: Action) -> None:  # noqa: C901 -- one case for each action
        """One action: one or two requests."""
        desired = self._desired
        match action:
            case StartPreflight() | DeletePreflight():
                await self._preflight(action)
            case RecordRevision(revision=revision):
                await self._record(revision)
            case MarkRevision(revision=name, promoted=promoted, failed=failed, asked=asked):
                await self._record(replace(self._known(name), promoted=promoted, failed=failed, asked=asked))
            case DeleteRevision(revision=name):
                await self._delete(CONTROLLER_REVISIONS, resources.revision_name(desired.name, name))
            case EnsureWorkload(revision=revision, replicas=replicas, floating=floating):
                await self._deploy(revision, replicas, floating=floating)
                await self._apply(resources.revision_service(desired, revision))
            case DeleteWorkload(revision=name):  # the Deployment last: while it is there, the next plan deletes all again
                await self._delete(SERVICES, resources.revision_name(desired.name, name))
                await self._delete(CONFIG_MAPS, resources.revision_name(desired.name, name))
                await self._delete(DEPLOYMENTS, resources.revision_name(desired.name, name))
            case Route() | Preview() | Weigh() | ReleaseRoute():
                await self._direct(action)
            case WriteSplit() | Nudge():
                await self._inside_pods(action)
            case EnsureAutoscaler() | DeleteAutoscaler() | EnsureBudget() | DeleteBudget():
                await self._scale(action)
            case StartCheck() | DeleteCheck():
                await self._judge(action)
            case _:
                assert_never(action)

    async def _direct(self, action: Directing) -> None:
        match action:
            case Route(to=to):
                await self._apply(resources.service(self._desired, to))
                self._traffic = to
            case Preview(revision=shown) if shown is not None:
                await self._apply(resources.preview_service(self._desired, shown))
            case Preview():
                await self._delete(SERVICES, resources.preview_name(self._desired.name))
            case Weigh(to=to):
                await self._weigh(to)
            case ReleaseRoute(route=left) if left.own:
                await self._delete(HTTP_ROUTES, left.name)
            case ReleaseRoute(route=left):
                await self._rewrite(left.name, lambda body: httproutes.released(self._desired, body))

    async def _judge(self, action: Checking) -> None:
        match action:
            case StartCheck(visit=visit):
                await self._apply(check_bodies.check_job(self._desired, visit))
            case DeleteCheck(name=name):
                await self._delete(JOBS, name)

    async def _scale(self, action: Scaling) -> None:
        desired = self._desired
        match action:
            case EnsureAutoscaler(autoscaler=wanted):
                await self._apply(scaling_bodies.autoscaler(desired, wanted))
            case DeleteAutoscaler(revision=name):
                await self._delete(AUTOSCALERS, resources.revision_name(desired.name, name))
            case EnsureBudget(budget=wanted):
                await self._apply(scaling_bodies.budget(desired, wanted))
            case DeleteBudget():
                await self._delete(DISRUPTION_BUDGETS, desired.name)

    async def _deploy(self, revision: Revision, replicas: int, *, floating: bool) -> None:
        """A field that is dropped from what we apply falls back to its default, 1 pod, unless it is somebody else's too.

        So its value is applied under another name first, and dropped after that; the first who scales takes it over.
        """
        name, desired = resources.revision_name(self._desired.name, revision.id), self._desired
        if not floating or (DEPLOYMENTS, name) not in self._uids:
            await self._apply(resources.deployment(desired, revision, replicas))
        if floating:
            await self._cluster.apply(resources.replicas_alone(desired, name, replicas), manager=SCALE_MANAGER)
            await self._apply(resources.deployment(desired, revision, None))

    async def _record(self, revision: Revision) -> None:
        await self._apply(resources.controller_revision(self._desired, revision))
        self._revisions[revision.id] = revision

    async def _weigh(self, to: Weighted) -> None:
        desired, traffic = self._desired, self._desired.spec.rollout.traffic
        if traffic is None or traffic.http_route is None:
            await self._apply(httproutes.own(desired, to, self._revisions.values()))
            return
        serving = self._traffic.revision if isinstance(self._traffic, Only) else ""
        await self._rewrite(traffic.http_route.name, lambda body: httproutes.reweighed(desired, body, to, serving))

    async def _rewrite(self, name: str, rules: Callable[[Body], list[Body]]) -> None:
        """Other rules for a user's HTTPRoute, if they are other ones and nobody has changed it meanwhile."""
        namespace = self._desired.namespace
        body = await self._cluster.get(HTTP_ROUTES, namespace, name)
        if body is None:
            return  # the next look says so
        wanted = rules(body)
        if wanted != body["spec"].get("rules"):
            patch = {"metadata": {"resourceVersion": body["metadata"]["resourceVersion"]}, "spec": {"rules": wanted}}
            await self._cluster.patch(HTTP_ROUTES, namespace, name, patch, manager=FIELD_MANAGER)

    def _known(self, name: str) -> Revision:
        revision = self._revisions.get(name)
        if revision is None:
            raise Transient(Reason.INTERNAL_ERROR, f"the plan marks revision {name}, which is not recorded")
        return revision

    async def _apply(self, body: Body) -> None:
        """The uid keeps the write off an object that took the place of the one that was seen."""
        key = _id(body)
        if key not in self._uids:
            await self._claim(body)
        known = self._uids.get(key)
        wanted = {**body, "metadata": {**body["metadata"], "uid": known}} if known else body
        written = await self._cluster.apply(wanted)
        self._uids[key] = written["metadata"]["uid"]

    async def _claim(self, body: Body) -> None:
        """Not seen among ours: free to create, or somebody else's, which stays as it is."""
        kind, metadata = kind_of(body), body["metadata"]
        present = await self._cluster.get(kind, metadata["namespace"], metadata["name"])
        if present is None:
            return
        if controlled_by(present, self._desired.uid):  # lost its label; applying puts it back
            self._uids[_id(body)] = present["metadata"]["uid"]
            return
        labels = present["metadata"].get("labels") or {}
        if labels.get(MANAGED_BY_LABEL) == "volary" and not await self._owner_lives(present):
            raise Transient(Reason.API_UNAVAILABLE, f"{kind.name} {metadata['name']} of a deleted ModelDeployment is being removed")
        text = f"{kind.name} {metadata['name']} exists and is not Volary's; rename it or the ModelDeployment"
        raise Refused(Reason.SPEC_INVALID, text)

    async def _owner_lives(self, present: Body) -> bool:
        """Whether another ModelDeployment controls the object."""
        for owner in present["metadata"].get("ownerReferences") or ():
            body = await self._cluster.get(MODEL_DEPLOYMENTS, self._desired.namespace, owner["name"])
            if body is not None and body["metadata"]["uid"] == owner["uid"]:
                return True
        return False

    async def _preflight(self, action: StartPreflight | DeletePreflight) -> None:
        match action:
            case StartPreflight(request=request, stable=stable):
                await self._apply(resources.preflight_job(self._desired, request, stable))
            case DeletePreflight(request=request):
                await self._delete(JOBS, resources.preflight_name(self._desired.name, request))

    async def _inside_pods(self, action: WriteSplit | Nudge) -> None:
        match action:
            case WriteSplit(shape=name, split=split, at=at):
                await self._apply(resources.revisions_map(self._desired, name, split, at))
            case Nudge():
                await self._nudge(action)

    async def _nudge(self, nudge: Nudge) -> None:
        """A pod that is gone meanwhile needs none."""
        note = {REVISIONS_ANNOTATION: inplace.nudge(nudge.generation, nudge.at)}
        try:
            await self._cluster.patch(PODS, self._desired.namespace, nudge.pod, {"metadata": {"uid": nudge.uid, "annotations": note}})
        except (NotFound, Conflict):
            return

    async def _delete(self, kind: Kind, name: str) -> None:
        uid = self._uids.pop((kind, name), None)
        if uid is not None:  # else it is gone already, or was never ours
            await self._cluster.delete(kind, self._desired.namespace, name, uid)


def _id(body: Body) -> Id:
    return kind_of(body), body["metadata"]["name"]
