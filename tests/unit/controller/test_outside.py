"""Whom the operator asks besides the API server, and the Jobs it makes for others to speak."""

from typing import Any

from tests.unit.controller.world import KEY, NOW, SETTINGS, SPEC, World, play
from volary.adapters.cluster import JOBS, MODEL_DEPLOYMENTS
from volary.adapters.golden import FakeAgents
from volary.adapters.prometheus import FakePrometheus
from volary.common.names import CHECK_LABEL
from volary.controller.observe import Observer, Outsiders
from volary.controller.reconcile import Reconciler

QUERY = {"name": "p99", "query": "x{r='{{revision}}'}", "max": 1}
JOB = {"name": "smoke", "template": {"image": "team/smoke:1"}}


async def canary(analysis: dict[str, Any], prometheus: FakePrometheus, agents: FakeAgents, url: str) -> World:
    """2.0.0 takes traffic beside 1.0.0."""
    rollout = {"steps": [{"weight": 50, "duration": "1h"}], "analysis": {"interval": "5s", **analysis}}
    world = World({**SPEC, "rollout": rollout})
    settings = SETTINGS.__class__(agent_image="agent:1", server_images=SETTINGS.server_images, prometheus=url)
    world.observer = Observer(world.cluster, world.scraper, settings, world.agents, Outsiders(prometheus, agents))
    world.reconciler = Reconciler(world.cluster, world.observer, world.events, lambda: world.now)
    await world.serve()
    await world.edit("2.0.0")
    await world.turn()
    await world.end_preflight()
    for _ in range(4):
        await world.turn()
        await world.start_pods()
    assert (await world.md())["status"]["phase"] == "Canary"
    return world


def test_a_query_is_asked_of_prometheus_with_the_canarys_revision() -> None:
    async def story() -> None:
        prometheus, agents = FakePrometheus(), FakeAgents()
        world = await canary({"queries": [QUERY]}, prometheus, agents, "http://p:9090")
        rollout = (await world.md())["status"]["rollout"]
        assert set(prometheus.asked) == {f"x{{r='{rollout['revision']}'}}"}
        assert rollout["checks"]["queries"][0]["message"] == "the query gives no data"
        assert agents.asked == []

    play(story())


def test_without_a_url_nobody_is_asked_and_a_condition_says_so() -> None:
    async def story() -> None:
        prometheus = FakePrometheus()
        world = await canary({"queries": [QUERY]}, prometheus, FakeAgents(), "")
        conditions = {one["type"]: one for one in (await world.md())["status"]["conditions"]}
        assert (conditions["QueriesAvailable"]["status"], conditions["QueriesAvailable"]["reason"]) == ("False", "QueriesUnavailable")
        assert prometheus.asked == []

    play(story())


def test_agents_of_ready_pods_are_asked_to_go_on() -> None:
    async def story() -> None:
        agents = FakeAgents()
        world = await canary({"synthetic": {"enabled": True, "rate": 3}}, FakePrometheus(), agents, "")
        observed = (await world.look()).observed
        uids = {pod.uid for workload in observed.workloads for pod in workload.pods}
        assert len(uids) == 2
        assert {uid for uid, _, _ in agents.asked} == uids
        assert {(rate, seconds) for _, rate, seconds in agents.asked} == {(3, 20)}

    play(story())


def test_a_job_is_made_once_and_its_word_survives_the_operator() -> None:
    async def story() -> None:
        world = await canary({"jobs": [JOB]}, FakePrometheus(), FakeAgents(), "")
        (job,) = [body for body in await world.all(JOBS) if CHECK_LABEL in body["metadata"]["labels"]]
        uid = job["metadata"]["uid"]
        conditions = [{"type": "Failed", "status": "True", "reason": "BackoffLimitExceeded"}]
        world.cluster.put(job | {"status": {"conditions": conditions}})
        terminated = {"exitCode": 1, "message": "expected 3, found 8", "finishedAt": NOW.isoformat()}
        status = {"phase": "Failed", "containerStatuses": [{"name": "check", "state": {"terminated": terminated}}]}
        world._pod("smoke-x", job, {CHECK_LABEL: "smoke"}, status)
        assert (await world.cluster.get(JOBS, "shop", job["metadata"]["name"]) or {})["metadata"]["uid"] == uid
        another = Reconciler(world.cluster, world.observer, world.events, lambda: world.now)  # a new process remembers nothing
        await another.turn(KEY)
        body = await world.cluster.get(MODEL_DEPLOYMENTS, *KEY)
        assert body is not None
        assert body["status"]["phase"] in {"RollingBack", "RolledBack"}
        assert "JobFailed" in {condition["reason"] for condition in body["status"]["conditions"]}
        assert "expected 3, found 8" in body["status"]["message"]
        assert not [one for one in await world.all(JOBS) if CHECK_LABEL in one["metadata"]["labels"]]

    play(story())
