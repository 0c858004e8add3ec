"""Actions become requests, in order, up to the first failure; objects of others are left alone."""

from dataclasses import replace

import pytest

from tests.unit.planning import builders
from volary.adapters.cluster import CONTROLLER_REVISIONS, DEPLOYMENTS, JOBS, SERVICES, Body, Conflict
from volary.adapters.cluster_fake import FakeCluster
from volary.common.errors import Refused, Transient
from volary.common.reasons import Reason
from volary.controller.execute import Executed, carry_out
from volary.controller.observe import Look
from volary.planning import resources
from volary.planning.model import (
    Action,
    DeletePreflight,
    DeleteRevision,
    DeleteWorkload,
    EnsureWorkload,
    MarkRevision,
    Observed,
    Only,
    Preview,
    RecordRevision,
    Route,
    Shared,
    StartPreflight,
)

from .world import World, play

REVISION = builders.revision()
NAME = f"fraud-{REVISION.id}"
FAILURE = builders.failed(REVISION).failed


async def empty() -> tuple[FakeCluster, Look]:
    """A ModelDeployment without children."""
    world = World()
    look = await world.look()
    world.cluster.requests.clear()
    return world.cluster, look


def names(cluster: FakeCluster) -> list[tuple[str, str, str]]:
    return list(cluster.writes)


@pytest.mark.parametrize(
    ("action", "writes"),
    [
        (StartPreflight(request="r"), [("apply", "jobs", "fraud-preflight-r")]),
        (RecordRevision(revision=REVISION), [("apply", "controllerrevisions", NAME)]),
        (EnsureWorkload(revision=REVISION, replicas=2), [("apply", "deployments", NAME), ("apply", "services", NAME)]),
        (Route(to=Only(REVISION.id)), [("apply", "services", "fraud")]),
        (Route(to=Shared()), [("apply", "services", "fraud")]),
        (Preview(revision=REVISION.id), [("apply", "services", "fraud-preview")]),
        (Preview(revision=None), []),  # there is none
    ],
)
def test_what_is_applied(action: Action, writes: list[tuple[str, str, str]]) -> None:
    async def story() -> None:
        cluster, look = await empty()
        assert await carry_out(cluster, look, [action]) == Executed(done=(action,))
        assert names(cluster) == writes

    play(story())


@pytest.mark.parametrize(
    ("make", "action", "writes"),
    [
        (StartPreflight(request="r"), DeletePreflight(request="r"), [("delete", "jobs", "fraud-preflight-r")]),
        (RecordRevision(revision=REVISION), DeleteRevision(revision=REVISION.id), [("delete", "controllerrevisions", NAME)]),
        (
            EnsureWorkload(revision=REVISION, replicas=1),
            DeleteWorkload(revision=REVISION.id),
            [("delete", "services", NAME), ("delete", "deployments", NAME)],
        ),
    ],
)
def test_what_is_deleted_was_seen_or_made(make: Action, action: Action, writes: list[tuple[str, str, str]]) -> None:
    async def story() -> None:
        cluster, look = await empty()
        assert (await carry_out(cluster, look, [make, action])).failure is None
        assert names(cluster)[-len(writes) :] == writes
        cluster.requests.clear()
        assert (await carry_out(cluster, look, [action])).failure is None
        assert names(cluster) == []

    play(story())


def test_the_first_failure_stops_the_rest() -> None:
    async def story() -> None:
        cluster, look = await empty()
        away = Transient(Reason.API_UNAVAILABLE, "away")
        cluster.fail("apply", SERVICES, away)
        actions = [RecordRevision(revision=REVISION), EnsureWorkload(revision=REVISION, replicas=1), Route(to=Only(REVISION.id))]
        assert await carry_out(cluster, look, actions) == Executed(done=(actions[0],), failure=away)
        assert names(cluster)[-1] == ("apply", "services", NAME)
        assert await cluster.get(SERVICES, "shop", "fraud") is None

    play(story())


def test_marks_are_written_on_the_whole_revision() -> None:
    async def story() -> None:
        cluster, look = await empty()
        look = replace(look, observed=Observed(revisions=(REVISION,)))
        for mark in (
            MarkRevision(revision=REVISION.id, promoted=4, failed=None),
            MarkRevision(revision=REVISION.id, promoted=4, failed=FAILURE),
            MarkRevision(revision=REVISION.id, promoted=4, failed=None),
        ):
            assert (await carry_out(cluster, look, [mark])).failure is None
            body = await cluster.get(CONTROLLER_REVISIONS, "shop", NAME)
            assert body is not None
            assert resources.revision_from(body) == replace(REVISION, promoted=mark.promoted, failed=mark.failed)

    play(story())


def test_a_mark_follows_what_the_same_plan_recorded() -> None:
    async def story() -> None:
        cluster, look = await empty()
        actions = [
            RecordRevision(revision=replace(REVISION, request="new")),
            MarkRevision(revision=REVISION.id, promoted=1, failed=None),
        ]
        assert (await carry_out(cluster, look, actions)).failure is None
        body = await cluster.get(CONTROLLER_REVISIONS, "shop", NAME)
        assert body is not None
        assert resources.revision_from(body) == replace(REVISION, request="new", promoted=1)

    play(story())


def test_a_mark_of_nothing_is_a_fault() -> None:
    async def story() -> None:
        cluster, look = await empty()
        executed = await carry_out(cluster, look, [MarkRevision(revision="nobody", promoted=1, failed=None)])
        assert executed.failure is not None
        assert executed.failure.reason is Reason.INTERNAL_ERROR

    play(story())


def foreign(kind: str, name: str, **metadata: object) -> Body:
    return {
        "apiVersion": "v1",
        "kind": kind,
        "metadata": {"name": name, "namespace": "shop", **metadata},
        "spec": {"selector": {"app": "x"}},
    }


def test_somebody_elses_service_is_not_taken_over() -> None:
    async def story() -> None:
        cluster, look = await empty()
        cluster.put(foreign("Service", "fraud"))
        executed = await carry_out(cluster, look, [Route(to=Shared())])
        assert isinstance(executed.failure, Refused)
        assert executed.failure.message == "Service fraud exists and is not Volary's; rename it or the ModelDeployment"
        assert names(cluster) == []

    play(story())


def test_what_is_left_of_an_earlier_modeldeployment_is_waited_for() -> None:
    async def story() -> None:
        cluster, look = await empty()
        owner = {"uid": "gone", "name": "fraud", "controller": True}
        cluster.put(foreign("Service", "fraud", labels={"app.kubernetes.io/managed-by": "volary"}, ownerReferences=[owner]))
        executed = await carry_out(cluster, look, [Route(to=Shared())])
        assert isinstance(executed.failure, Transient)
        assert names(cluster) == []

    play(story())


def test_our_own_that_lost_its_label_gets_it_back() -> None:
    async def story() -> None:
        cluster, look = await empty()
        owner = {"uid": look.desired.uid, "name": "fraud", "controller": True}
        cluster.put(foreign("Service", "fraud", ownerReferences=[owner]))
        assert (await carry_out(cluster, look, [Route(to=Shared())])).failure is None
        body = await cluster.get(SERVICES, "shop", "fraud")
        assert body is not None
        assert body["metadata"]["labels"]["serving.volary.dev/model"] == "fraud"

    play(story())


@pytest.mark.parametrize("kind", [JOBS, DEPLOYMENTS])
def test_an_object_that_took_the_place_of_the_one_seen_is_not_written(kind: object) -> None:
    async def story() -> None:
        cluster, look = await empty()
        action = StartPreflight(request="r") if kind is JOBS else EnsureWorkload(revision=REVISION, replicas=1)
        name = "fraud-preflight-r" if kind is JOBS else NAME
        look = replace(look, uids={(JOBS if kind is JOBS else DEPLOYMENTS, name): "of-the-one-seen"})
        executed = await carry_out(cluster, look, [action])
        assert isinstance(executed.failure, Conflict)

    play(story())
