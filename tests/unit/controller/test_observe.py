"""What is seen of a ModelDeployment's objects, and what is not taken for its own."""

from typing import Any

import pytest

from volary.adapters.cluster import CONTROLLER_REVISIONS, DEPLOYMENTS, JOBS, MODEL_DEPLOYMENTS, PODS, Forbidden
from volary.common.outcome import Outcome
from volary.common.reasons import Reason
from volary.controller.observe import Unreadable, read
from volary.planning.model import NoPreflight, NoService, Only, PreflightEnded, PreflightRunning

from .world import KEY, SETTINGS, SPEC, World, play


def body(spec: Any, **more: Any) -> dict[str, Any]:
    metadata = {"name": "fraud", "namespace": "shop", "uid": "u", "generation": 3, "resourceVersion": "1", "managedFields": []}
    return {"apiVersion": "serving.volary.dev/v1alpha1", "kind": "ModelDeployment", "metadata": metadata, "spec": spec, **more}


@pytest.mark.parametrize(
    ("spec", "reason", "words"),
    [
        ({}, Reason.SPEC_INVALID, "spec.model: Field required (and 1 more)"),
        ({**SPEC, "replicas": "many"}, Reason.SPEC_INVALID, "spec.replicas"),
        ({**SPEC, "runtime": {"name": "onnxruntime", "gpu": 1}}, Reason.SPEC_INVALID, "spec.runtime.gpu: Extra inputs are not permitted"),
        (None, Reason.SPEC_INVALID, "spec: "),
        ({**SPEC, "runtime": {"name": "tensorflow-serving"}}, Reason.RUNTIME_UNSUPPORTED, "spec.runtime.image"),
    ],
)
def test_a_spec_that_cannot_be_worked_with(spec: Any, reason: Reason, words: str) -> None:
    found = read(body(spec), SETTINGS)
    assert isinstance(found, Unreadable)
    assert (found.reason, found.generation) == (reason, 3)
    assert words in found.message


@pytest.mark.parametrize("status", [None, {}, {"phase": "Meditating"}, {"conditions": 7}, {"fromTheFuture": True}])
def test_a_status_that_cannot_be_read_is_as_good_as_none(status: Any) -> None:
    found = read(body(SPEC, status=status), SETTINGS)
    assert not isinstance(found, Unreadable)
    assert found.status.phase == "Pending"


def test_an_image_of_the_spec_wins() -> None:
    found = read(body({**SPEC, "runtime": {"name": "tensorflow-serving", "image": "mine:1"}}), SETTINGS)
    assert not isinstance(found, Unreadable)
    assert (found.images.agent, found.images.server) == ("agent:1", "mine:1")


def test_an_empty_world() -> None:
    async def story() -> None:
        look = await World().look()
        assert (look.observed.preflight, look.observed.traffic, look.uids) == (NoPreflight(), NoService(), {})

    play(story())


def test_a_world_that_serves() -> None:
    async def story() -> None:
        world = World()
        await world.serve()
        look = await world.look()
        (revision,), (workload,) = look.observed.revisions, look.observed.workloads
        assert (workload.revision, workload.ready, look.observed.traffic) == (revision.id, 1, Only(revision.id))
        assert look.observed.strangers == ()
        assert sorted(name for _, name in look.uids) == ["fraud", *[f"fraud-{revision.id}"] * 3]

    play(story())


def test_objects_of_others_with_our_label_are_not_ours() -> None:
    async def story() -> None:
        world = World()
        await world.serve()
        for kind in (DEPLOYMENTS, CONTROLLER_REVISIONS):
            (ours,) = await world.all(kind)
            metadata = {**ours["metadata"], "name": f"copy-{kind.plural}", "ownerReferences": []}
            world.cluster.put({**ours, "metadata": metadata})
        look = await world.look()
        assert (len(look.observed.revisions), len(look.observed.workloads)) == (1, 1)
        assert not any(name.startswith("copy") for _, name in look.uids)

    play(story())


def test_pods_without_a_deployment_are_strangers_as_long_as_they_live() -> None:
    async def story() -> None:
        world = World()
        await world.serve()
        (deployment,) = await world.all(DEPLOYMENTS)
        pods = await world.all(PODS)
        await world.cluster.delete(DEPLOYMENTS, "shop", deployment["metadata"]["name"], deployment["metadata"]["uid"])
        for pod in pods:
            world.cluster.put(pod)
        observed = (await world.look()).observed
        assert [pod.revision for pod in observed.strangers] == [observed.revisions[0].id]
        for pod in await world.all(PODS):
            pod["metadata"]["deletionTimestamp"] = "2026-03-01T12:00:00Z"
            world.cluster.put(pod)
        assert (await world.look()).observed.strangers == ()

    play(story())


def test_the_answer_of_an_earlier_job_is_not_that_of_the_next() -> None:
    async def story() -> None:
        world = World()
        await world.turn()
        await world.end_preflight(Outcome(reason=Reason.BUCKET_NOT_FOUND, message="no such bucket"))
        assert isinstance((await world.look()).observed.preflight, PreflightEnded)
        (job,) = await world.all(JOBS)
        (pod,) = await world.all(PODS)
        await world.cluster.delete(JOBS, "shop", job["metadata"]["name"], job["metadata"]["uid"])
        world.cluster.put(pod)  # lingers
        world.cluster.put(job)  # made anew: another uid
        assert isinstance((await world.look()).observed.preflight, PreflightRunning)
        fresh = (await world.all(JOBS))[0]
        fresh["metadata"]["deletionTimestamp"] = "2026-03-01T12:00:00Z"
        world.cluster.put(fresh)
        assert isinstance((await world.look()).observed.preflight, NoPreflight)

    play(story())


def test_a_revision_that_cannot_be_read_is_left_alone() -> None:
    async def story() -> None:
        world = World()
        await world.serve()
        (ours,) = await world.all(CONTROLLER_REVISIONS)
        world.cluster.put({**ours, "metadata": {**ours["metadata"], "name": "broken"}, "data": {"what": "ever"}})
        look = await world.look()
        assert len(look.observed.revisions) == 1

    play(story())


def test_access_that_was_taken_away_is_transient() -> None:
    async def story() -> None:
        world = World()
        world.cluster.fail("list", PODS, Forbidden(Reason.API_UNAVAILABLE, "pods is forbidden"))
        with pytest.raises(Forbidden):
            await world.look()
        assert (await world.look()).desired.name == "fraud"

    play(story())


def test_only_what_is_wanted() -> None:
    async def story() -> None:
        world = World()
        desired = await world.observer.desired(*KEY)
        assert desired is not None
        assert desired.model_name == "fraud"
        uid = (await world.md())["metadata"]["uid"]
        await world.cluster.delete(MODEL_DEPLOYMENTS, *KEY, uid)
        assert await world.observer.desired(*KEY) is None

    play(story())
