"""Versions that come to running pods: whole turns against a Kubernetes API in memory."""

import json
from typing import Any

from tests.unit.planning import builders
from volary.adapters.cluster import CONFIG_MAPS, DEPLOYMENTS, PODS, Body, Conflict
from volary.common.names import REVISIONS_ANNOTATION, REVISIONS_FILE
from volary.common.outcome import Outcome
from volary.common.reasons import Reason
from volary.planning import resources
from volary.planning.holdings import Held, Holding, State

from .world import SPEC, World, play

IN_PLACE: Body = {**SPEC, "update": "InPlace", "rollout": {"steps": [{"weight": 10, "duration": "1m"}]}}
SECOND = Outcome(reason=Reason.PREFLIGHT_PASSED, digest="sha256:" + "a" * 64, version="2.0.0", format="onnx", size=10)


async def written(world: World) -> dict[str, Any]:
    """The file that the pods mount."""
    (found,) = await world.all(CONFIG_MAPS)
    parsed: dict[str, Any] = json.loads(found["data"][REVISIONS_FILE])
    return parsed


async def weights(world: World) -> dict[str, int]:
    return {one["version"]: one["weight"] for one in (await written(world))["revisions"]}


async def take_over(world: World) -> None:
    """Every agent has loaded and proved what is written, and put it into effect."""
    file = await written(world)
    held = tuple(Held(revision=one["revision"], state=State.READY, weight=one["weight"]) for one in file["revisions"])
    for pod in await world.all(PODS):
        uid = pod["metadata"]["uid"]
        world.agents.holdings[uid] = Holding(uid=uid, generation=file["generation"], seen=file["generation"], held=held)


async def serve(world: World) -> None:
    """1.0.0 serves."""
    await world.turn()
    await world.end_preflight()
    await world.turn()
    await world.start_pods()
    await take_over(world)
    await world.turn()
    await world.turn()
    assert (await world.md())["status"]["phase"] == "Serving"


async def second(world: World) -> None:
    """2.0.0 is resolved."""
    await world.edit("2.0.0")
    await world.turn()
    await world.end_preflight(SECOND)
    await world.turn()


def test_pods_find_what_they_are_to_hold_when_they_start() -> None:
    async def story() -> None:
        world = World(IN_PLACE)
        await world.turn()
        await world.end_preflight()
        await world.turn()
        made = [(kind, name) for verb, kind, name in world.cluster.writes if verb == "apply" and kind in {"configmaps", "deployments"}]
        (deployment,) = await world.all(DEPLOYMENTS)
        name = deployment["metadata"]["name"]
        assert made == [("configmaps", name), ("deployments", name)]
        assert await weights(world) == {"1.0.0": 100}
        pod = deployment["spec"]["template"]["spec"]
        (volume,) = (one for one in pod["volumes"] if "configMap" in one)
        assert volume["configMap"] == {"name": name, "optional": False}
        assert "--split" in pod["containers"][0]["args"]
        assert "--split" in pod["initContainers"][0]["args"]
        assert not {"1.0.0", builders.DIGEST} & {*pod["containers"][0]["args"], *pod["initContainers"][0]["args"]}

    play(story())


def test_another_version_changes_no_template_and_pods_are_told() -> None:
    async def story() -> None:
        world = World(IN_PLACE)
        await serve(world)
        before = await world.all(DEPLOYMENTS)
        await second(world)
        assert await world.all(DEPLOYMENTS) == before
        assert await weights(world) == {"1.0.0": 100, "2.0.0": 0}
        (pod,) = await world.all(PODS)
        assert pod["metadata"]["annotations"][REVISIONS_ANNOTATION].startswith("2@")
        await take_over(world)
        await world.turn()
        assert await weights(world) == {"1.0.0": 90, "2.0.0": 10}
        await take_over(world)
        turn = await world.turn()
        status = (await world.md())["status"]
        assert (status["phase"], status["canary"]["weight"], status["canary"]["weightReached"]) == ("Canary", 10, 10)
        assert status["canary"]["deployment"] == status["stable"]["deployment"] == before[0]["metadata"]["name"]
        assert turn.wake_at is not None

    play(story())


def test_a_pod_that_goes_away_before_it_is_told_stops_nothing() -> None:
    async def story() -> None:
        world = World(IN_PLACE)
        await serve(world)
        world.cluster.fail("patch", PODS, Conflict(Reason.API_UNAVAILABLE, "another pod by now"))
        await second(world)
        assert (await world.turn()).failure is None

    play(story())


def test_both_revisions_of_a_pod_are_scraped() -> None:
    async def story() -> None:
        world = World(IN_PLACE)
        await serve(world)
        await second(world)
        await take_over(world)
        await world.turn()
        await take_over(world)
        (pod,) = await world.all(PODS)
        world.scraper.counters[pod["metadata"]["uid"]] = (5, 0)
        await world.turn()
        counts = (await world.md())["status"]["rollout"]["counts"]
        assert len({count["revision"] for count in counts}) == 2

    play(story())


def test_agents_are_asked_only_where_pods_hold_several_revisions() -> None:
    async def story() -> None:
        world = World()
        await world.serve()
        await world.look()
        assert not [kind for _, kind, _ in world.cluster.requests if kind == "configmaps"]

    play(story())


def test_the_config_map_goes_with_the_deployment() -> None:
    async def story() -> None:
        world = World(IN_PLACE)
        await serve(world)
        body = await world.md()
        body["spec"] |= {"update": "Replace", "rollout": {"steps": []}}
        world.cluster.put(body)
        await world.turn()
        await world.end_preflight()
        for _ in range(4):
            await world.turn()
            await world.start_pods()
        assert await world.all(CONFIG_MAPS) == []
        assert len(await world.all(DEPLOYMENTS)) == 1

    play(story())


def test_what_somebody_made_unreadable_says_nothing() -> None:
    for body in ({}, {"metadata": {"annotations": {}}, "data": {}}, {"data": {REVISIONS_FILE: "{}"}}):
        assert resources.written_from(body).split is None
