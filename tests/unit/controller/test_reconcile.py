"""Whole turns on a FakeCluster, with the real plan."""

from datetime import timedelta

import pytest

from volary.adapters.cluster import CONTROLLER_REVISIONS, DEPLOYMENTS, EVENTS, JOBS, MODEL_DEPLOYMENTS, SERVICES, NotFound
from volary.common.errors import Transient
from volary.common.outcome import Outcome
from volary.common.reasons import Reason
from volary.controller.status import RECONCILED
from volary.planning.model import Shared
from volary.planning.resources import traffic_from

from .world import KEY, OWNED, World, play

AWAY = Transient(Reason.API_UNAVAILABLE, "etcd leader changed")


def test_from_nothing_to_serving() -> None:
    async def story() -> None:
        world = World()
        turn = await world.turn()
        assert [fact.reason for fact in turn.facts] == [Reason.PREFLIGHT_RUNNING]
        assert len(await world.names(JOBS)) == 1
        assert (await world.md())["status"]["phase"] == "Checking"
        await world.end_preflight()
        turn = await world.turn()
        assert Reason.PREFLIGHT_PASSED in [fact.reason for fact in turn.facts]
        (revision,) = await world.names(CONTROLLER_REVISIONS)
        assert await world.names(DEPLOYMENTS) == [revision]
        await world.start_pods()
        await world.turn()
        await world.turn()
        assert (await world.md())["status"]["phase"] == "Serving"
        assert await world.names(SERVICES) == ["fraud", revision]
        events = sorted(await world.all(EVENTS), key=lambda event: int(event["metadata"]["resourceVersion"]))
        reasons = [event["reason"] for event in events]
        assert reasons == ["PreflightRunning", "PreflightPassed", "PodsStarting", "Promoted"]

    play(story())


def test_an_idle_world_costs_six_reads_and_no_write() -> None:
    async def story() -> None:
        world = World()
        await world.serve()
        turn = await world.turn()
        assert (turn.facts, turn.failure) == ((), None)
        assert world.cluster.writes == ()
        assert len(world.cluster.requests) == 6

    play(story())


def test_a_revisions_own_service_comes_back() -> None:
    async def story() -> None:
        world = World()
        await world.serve()
        service = next(body for body in await world.all(SERVICES) if body["metadata"]["name"] != "fraud")
        await world.cluster.delete(SERVICES, "shop", service["metadata"]["name"], service["metadata"]["uid"])
        await world.turn()
        assert len(await world.names(SERVICES)) == 2
        await world.turn()
        assert world.cluster.writes == ()

    play(story())


def test_a_new_version_shares_the_traffic_and_the_counters_are_read() -> None:
    async def story() -> None:
        world = World()
        await world.serve()
        await world.edit("2.0.0")
        await world.turn()
        await world.end_preflight(
            Outcome(reason=Reason.PREFLIGHT_PASSED, digest="sha256:" + "f" * 64, version="2.0.0", format="onnx", size=1)
        )
        for _ in range(3):
            await world.turn()
            await world.start_pods()
        service = await world.cluster.get(SERVICES, *KEY)
        assert isinstance(traffic_from(service), Shared)
        pods = (await world.look()).observed.workloads
        world.now += timedelta(seconds=5)
        world.scraper.counters = {pod.uid: (100, 0) for workload in pods for pod in workload.pods}
        await world.turn()
        rollout = (await world.md())["status"]["rollout"]
        assert [count["requests"] for count in rollout["counts"]] == [100, 100]

    play(story())


def test_a_failed_action_stops_the_plan_is_told_once_and_heals() -> None:
    async def story() -> None:
        world = World()
        world.cluster.fail("apply", JOBS, AWAY, times=2)
        first = await world.turn()
        assert first.failure is AWAY
        told = await world.condition(RECONCILED)
        assert told is not None
        assert (told["status"], told["reason"], told["message"]) == ("False", "ApiUnavailable", "etcd leader changed")
        assert (await world.md())["status"]["message"] == "etcd leader changed"
        second = await world.turn()
        assert second.failure is AWAY
        assert Reason.API_UNAVAILABLE not in [fact.reason for fact in second.facts]
        assert not [write for write in world.cluster.writes if write[1] == "modeldeployments"]
        third = await world.turn()
        assert third.failure is None
        assert await world.condition(RECONCILED) is None
        assert [event["reason"] for event in await world.all(EVENTS)].count("ApiUnavailable") == 1

    play(story())


def test_a_persons_request_is_recorded_only_when_it_is_done() -> None:
    async def story() -> None:
        world = World()
        await world.serve()
        await world.edit("2.0.0")
        await world.turn()
        await world.end_preflight(
            Outcome(reason=Reason.PREFLIGHT_PASSED, digest="sha256:" + "f" * 64, version="2.0.0", format="onnx", size=1)
        )
        await world.turn()
        annotation = {"metadata": {"annotations": {"serving.volary.dev/request": "abort@1"}}}
        await world.cluster.patch(MODEL_DEPLOYMENTS, *KEY, annotation)
        world.cluster.fail("apply", CONTROLLER_REVISIONS, AWAY)
        await world.turn()
        assert "request" not in (await world.md())["status"]
        await world.turn()
        assert (await world.md())["status"]["request"]["outcome"] == "Done"
        assert (await world.md())["status"]["phase"] in {"RollingBack", "RolledBack"}

    play(story())


def test_a_status_that_cannot_be_written_fails_the_turn() -> None:
    async def story() -> None:
        world = World()
        world.cluster.fail("apply", MODEL_DEPLOYMENTS, AWAY)
        with pytest.raises(Transient, match="etcd leader changed"):
            await world.turn()
        assert len(await world.names(JOBS)) == 1
        assert (await world.turn()).failure is None

    play(story())


def test_a_spec_that_is_none_is_said_and_what_serves_goes_on() -> None:
    async def story() -> None:
        world = World()
        await world.serve()
        body = await world.md()
        body["spec"]["runtime"] = {"name": "abacus"}
        body["spec"]["bogus"] = 1
        world.cluster.put(body)
        turn = await world.turn()
        assert [fact.reason for fact in turn.facts] == [Reason.SPEC_INVALID]
        status = (await world.md())["status"]
        stalled = await world.condition("Stalled")
        assert stalled is not None
        assert (status["phase"], stalled["status"], stalled["reason"]) == ("Refused", "True", "SpecInvalid")
        assert "runtime.name" in status["message"]
        assert status["stable"]["version"] == "1.0.0"
        assert (await world.condition("Available") or {})["status"] == "True"
        assert await world.names(DEPLOYMENTS) != []
        await world.turn()
        assert world.cluster.writes == ()

    play(story())


def test_a_runtime_without_an_image_is_refused_in_words() -> None:
    async def story() -> None:
        world = World({"model": {"uri": "s3://models/fraud", "version": "1"}, "runtime": {"name": "tensorflow-serving"}})
        await world.turn()
        status = (await world.md())["status"]
        assert "no image for tensorflow-serving (it has: onnxruntime)" in status["message"]
        assert (await world.condition("Stalled") or {})["reason"] == "RuntimeUnsupported"

    play(story())


def test_gone_or_going() -> None:
    async def story() -> None:
        world = World()
        body = await world.md()
        body["metadata"]["deletionTimestamp"] = "2026-03-01T12:00:00Z"
        world.cluster.put(body)
        assert (await world.turn()).gone
        await world.cluster.delete(MODEL_DEPLOYMENTS, *KEY, body["metadata"]["uid"])
        assert (await world.turn()).gone
        assert world.cluster.writes == ()

    play(story())


def test_deleted_in_the_middle_of_a_turn() -> None:
    async def story() -> None:
        world = World()
        world.cluster.fail("apply", MODEL_DEPLOYMENTS, NotFound(Reason.API_UNAVAILABLE, "not found"))
        assert (await world.turn()).gone
        assert await world.all(EVENTS) == []

    play(story())


def test_deleted_with_all_that_belongs_to_it_and_made_anew() -> None:
    async def story() -> None:
        world = World()
        await world.serve()
        body = await world.md()
        await world.cluster.delete(MODEL_DEPLOYMENTS, *KEY, body["metadata"]["uid"])
        assert [await world.names(kind) for kind in OWNED] == [[], [], [], []]
        world.cluster.put({**body, "status": {}})
        await world.turn()
        assert len(await world.names(JOBS)) == 1

    play(story())


def test_a_fault_of_ours_is_told_in_the_status() -> None:
    async def story() -> None:
        world = World()
        turn = await world.reconciler.fault(KEY, KeyError("oops"))
        assert turn.failure is not None
        told = await world.condition(RECONCILED)
        assert told is not None
        assert (told["reason"], told["message"]) == ("InternalError", "KeyError: 'oops'")
        world.cluster.fail("get", MODEL_DEPLOYMENTS, AWAY)
        assert (await world.reconciler.fault(KEY, KeyError("oops"))).failure is AWAY

    play(story())
