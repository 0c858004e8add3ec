"""The contract of `Cluster`: the same tests on the fake and on a real API server."""

import asyncio
from collections.abc import Awaitable, Callable, Iterator

import pytest

from volary.adapters.cluster import (
    CONTROLLER_REVISIONS,
    DEPLOYMENTS,
    JOBS,
    LEASES,
    PODS,
    SERVICES,
    Body,
    Cluster,
    Conflict,
    Forbidden,
    Kind,
    NotFound,
    Throttled,
    selector,
    shorten,
    trouble,
)
from volary.adapters.cluster_fake import FakeCluster
from volary.common.errors import Refused, Transient
from volary.common.names import MODEL_LABEL
from volary.common.reasons import Reason

Story = Callable[[Cluster, str], Awaitable[None]]


@pytest.fixture(params=["fake", pytest.param("real", marks=pytest.mark.cluster)])
def run(request: pytest.FixtureRequest) -> Iterator[Callable[[Story], None]]:
    """Runs a story on one of the two."""
    if request.param == "fake":
        yield lambda story: asyncio.run(story(FakeCluster(), "shop"))
        return
    from tests.controller import api

    async def real(story: Story, namespace: str) -> None:
        async with api.cluster() as cluster:
            await story(cluster, namespace)

    with api.namespace() as namespace:
        yield lambda story: asyncio.run(real(story, namespace))


def service(namespace: str, name: str = "fraud", port: int = 80, **metadata: object) -> Body:
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": name, "namespace": namespace, **metadata},
        "spec": {"ports": [{"name": "http", "port": port, "targetPort": 8080, "protocol": "TCP"}]},
    }


def deployment(namespace: str, container: str) -> Body:
    pod = {"metadata": {"labels": {"a": "1"}}, "spec": {"containers": [{"name": container, "image": "x"}]}}
    metadata = {"name": "d", "namespace": namespace}
    spec = {"selector": {"matchLabels": {"a": "1"}}, "template": pod}
    return {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": metadata, "spec": spec}


def revision(namespace: str, name: str, **metadata: object) -> Body:
    metadata = {"name": name, "namespace": namespace, **metadata}
    return {"apiVersion": "apps/v1", "kind": "ControllerRevision", "metadata": metadata, "revision": 1, "data": {"version": "1"}}


def test_applying_creates_then_merges_then_changes_nothing(run: Callable[[Story], None]) -> None:
    async def story(cluster: Cluster, namespace: str) -> None:
        first = await cluster.apply(service(namespace, labels={"a": "1"}))
        again = await cluster.apply(service(namespace, labels={"a": "1"}))
        assert again["metadata"]["resourceVersion"] == first["metadata"]["resourceVersion"]
        changed = await cluster.apply(service(namespace, port=81, labels={"a": "1"}))
        assert changed["metadata"]["uid"] == first["metadata"]["uid"]
        assert changed["metadata"]["resourceVersion"] != first["metadata"]["resourceVersion"]
        found = await cluster.get(SERVICES, namespace, "fraud")
        assert found is not None
        assert found["spec"]["ports"][0]["port"] == 81

    run(story)


def test_what_is_not_applied_any_more_is_taken_away_and_what_others_wrote_stays(run: Callable[[Story], None]) -> None:
    async def story(cluster: Cluster, namespace: str) -> None:
        await cluster.apply(revision(namespace, "fraud-1", annotations={"volary/promoted": "1", "volary/failed": "x"}))
        await cluster.patch(CONTROLLER_REVISIONS, namespace, "fraud-1", {"metadata": {"annotations": {"theirs": "1"}}})
        after = await cluster.apply(revision(namespace, "fraud-1", annotations={"volary/promoted": "1"}))
        assert after["metadata"]["annotations"] == {"volary/promoted": "1", "theirs": "1"}

    run(story)


def test_a_field_that_is_handed_over_keeps_its_value_and_belongs_to_others(run: Callable[[Story], None]) -> None:
    async def story(cluster: Cluster, namespace: str) -> None:
        body = deployment(namespace, "server")
        await cluster.apply({**body, "spec": {**body["spec"], "replicas": 3}})
        alone = {key: body[key] for key in ("apiVersion", "kind", "metadata")}
        await cluster.apply({**alone, "spec": {"replicas": 3}}, manager="another")
        assert (await cluster.apply(body))["spec"]["replicas"] == 3
        await cluster.patch(DEPLOYMENTS, namespace, "d", {"spec": {"replicas": 5}})
        assert (await cluster.apply(body))["spec"]["replicas"] == 5

    run(story)


def test_an_applied_uid_keeps_the_write_off_another_object(run: Callable[[Story], None]) -> None:
    async def story(cluster: Cluster, namespace: str) -> None:
        with pytest.raises(Conflict):
            await cluster.apply(service(namespace, uid="0b8e9f3a-7f1c-4f57-9a39-6f0f6b0f8a11"))
        made = await cluster.apply(service(namespace))
        await cluster.apply(service(namespace, port=81, uid=made["metadata"]["uid"]))
        with pytest.raises(Conflict):
            await cluster.apply(service(namespace, uid="0b8e9f3a-7f1c-4f57-9a39-6f0f6b0f8a11"))

    run(story)


def test_what_is_not_there(run: Callable[[Story], None]) -> None:
    async def story(cluster: Cluster, namespace: str) -> None:
        assert await cluster.get(PODS, namespace, "nobody") is None
        assert await cluster.list(PODS, namespace) == []
        with pytest.raises(NotFound):
            await cluster.patch(SERVICES, namespace, "nobody", {"metadata": {"labels": {"a": "1"}}})
        await cluster.delete(SERVICES, namespace, "nobody", "0b8e9f3a-7f1c-4f57-9a39-6f0f6b0f8a11")

    run(story)


def test_a_patch_of_a_version_that_is_gone_is_a_conflict(run: Callable[[Story], None]) -> None:
    async def story(cluster: Cluster, namespace: str) -> None:
        first = await cluster.apply(service(namespace))
        version = {"resourceVersion": first["metadata"]["resourceVersion"]}
        await cluster.patch(SERVICES, namespace, "fraud", {"metadata": {**version, "labels": {"a": "1"}}}, manager="volary")
        with pytest.raises(Conflict):
            await cluster.patch(SERVICES, namespace, "fraud", {"metadata": {**version, "labels": {"a": "2"}}}, manager="volary")

    run(story)


def test_lists_select_by_label(run: Callable[[Story], None]) -> None:
    async def story(cluster: Cluster, namespace: str) -> None:
        for name in ("a", "b"):
            await cluster.apply(revision(namespace, name, labels={MODEL_LABEL: name}))
        await cluster.apply(revision(namespace, "c"))
        one = await cluster.list(CONTROLLER_REVISIONS, namespace, {MODEL_LABEL: "a"})
        assert [(body["kind"], body["apiVersion"], body["metadata"]["name"]) for body in one] == [("ControllerRevision", "apps/v1", "a")]
        assert one[0]["data"] == {"version": "1"}
        some = await cluster.list(CONTROLLER_REVISIONS, None, {MODEL_LABEL: None}, metadata_only=True)
        assert [body["metadata"]["name"] for body in some if body["metadata"]["namespace"] == namespace] == ["a", "b"]
        assert all("data" not in body for body in some)

    run(story)


def test_deleting_names_the_very_object(run: Callable[[Story], None]) -> None:
    async def story(cluster: Cluster, namespace: str) -> None:
        made = await cluster.apply(service(namespace))
        with pytest.raises(Conflict):
            await cluster.delete(SERVICES, namespace, "fraud", "0b8e9f3a-7f1c-4f57-9a39-6f0f6b0f8a11")
        await cluster.delete(SERVICES, namespace, "fraud", made["metadata"]["uid"])
        assert await cluster.get(SERVICES, namespace, "fraud") is None

    run(story)


def test_dependents_go_with_their_owner(run: Callable[[Story], None]) -> None:
    async def story(cluster: Cluster, namespace: str) -> None:
        owner = await cluster.apply(service(namespace))
        reference = {"apiVersion": "v1", "kind": "Service", "name": "fraud", "uid": owner["metadata"]["uid"], "controller": True}
        await cluster.apply(revision(namespace, "fraud-1", ownerReferences=[reference]))
        await cluster.delete(SERVICES, namespace, "fraud", owner["metadata"]["uid"])

        async with asyncio.timeout(30):
            while await cluster.get(CONTROLLER_REVISIONS, namespace, "fraud-1") is not None:  # noqa: ASYNC110 -- the condition is elsewhere
                await asyncio.sleep(0.05)

    run(story)


def test_creating_and_replacing_are_decided_on_a_version(run: Callable[[Story], None]) -> None:
    def lease(namespace: str, holder: str, version: str | None = None) -> Body:
        metadata = {"name": "volary", "namespace": namespace, **({"resourceVersion": version} if version else {})}
        return {"apiVersion": LEASES.api_version, "kind": "Lease", "metadata": metadata, "spec": {"holderIdentity": holder}}

    async def story(cluster: Cluster, namespace: str) -> None:
        first = await cluster.create(lease(namespace, "a"))
        with pytest.raises(Conflict):
            await cluster.create(lease(namespace, "b"))
        await cluster.replace(lease(namespace, "b", first["metadata"]["resourceVersion"]))
        with pytest.raises(Conflict):
            await cluster.replace(lease(namespace, "c", first["metadata"]["resourceVersion"]))

    run(story)


@pytest.mark.cluster
def test_a_real_api_server_tells_the_schema_of_a_kind() -> None:
    from tests.controller import api

    async def story() -> None:
        async with api.cluster() as cluster:
            schema = await cluster.schema(DEPLOYMENTS)
            assert schema is not None
            assert "spec" in schema["properties"]
            assert await cluster.schema(Kind("nowhere.example", "v1", "Nothing", "nothings")) is None

    asyncio.run(story())


@pytest.mark.cluster
def test_a_real_api_server_refuses_what_it_does_not_know() -> None:
    """The fake validates nothing."""

    async def story(namespace: str) -> None:
        async with api.cluster() as cluster:
            unknown = service(namespace)
            unknown["spec"]["bogus"] = 1
            with pytest.raises(Refused, match="bogus"):
                await cluster.apply(unknown)
            with pytest.raises(Refused, match="RFC 1123") as refused:
                await cluster.apply(deployment(namespace, "Not A Name"))
            assert refused.value.reason is Reason.POD_REFUSED
            with pytest.raises(NotFound, match="no-such-namespace"):
                await cluster.apply(service("no-such-namespace"))

    from tests.controller import api

    with api.namespace() as namespace:
        asyncio.run(story(namespace))


@pytest.mark.parametrize(
    ("kind", "status", "message", "expected", "reason"),
    [
        (SERVICES, 409, "x", Conflict, Reason.API_UNAVAILABLE),
        (SERVICES, 404, "x", NotFound, Reason.API_UNAVAILABLE),
        (SERVICES, 401, "x", Forbidden, Reason.API_UNAVAILABLE),
        (SERVICES, 403, "x", Forbidden, Reason.API_UNAVAILABLE),
        (SERVICES, 429, "x", Throttled, Reason.API_UNAVAILABLE),
        (SERVICES, 400, "x", Refused, Reason.SPEC_INVALID),
        (DEPLOYMENTS, 422, "x", Refused, Reason.POD_REFUSED),
        (JOBS, 422, "x", Refused, Reason.POD_REFUSED),
        (SERVICES, 500, "x", Transient, Reason.API_UNAVAILABLE),
        (SERVICES, 504, "x", Transient, Reason.API_UNAVAILABLE),
        (JOBS, 500, "failed to create typed patch object (a/b; batch/v1, Kind=Job): .spec.x", Refused, Reason.POD_REFUSED),
        (JOBS, 422, 'Job "x" is invalid: metadata.uid: Invalid value: "u": field is immutable', Conflict, Reason.API_UNAVAILABLE),
    ],
)
def test_what_an_answer_stands_for(kind: Kind, status: int, message: str, expected: type, reason: Reason) -> None:
    error = trouble(kind, "PATCH", status, message)
    assert (type(error), error.reason) == (expected, reason)


@pytest.mark.parametrize(("header", "seconds"), [("3", 3.0), (None, 1.0), ("soon", 1.0), ("-5", 0.0), ("86400", 60.0)])
def test_patience_that_is_asked_for(header: str | None, seconds: float) -> None:
    error = trouble(SERVICES, "GET", 429, "slow down", header)
    assert isinstance(error, Throttled)
    assert error.after == seconds


def test_selectors_and_messages() -> None:
    assert selector({"b": None, "a": "1"}) == "a=1,b"
    assert shorten("a\n  b") == "a b"
    assert len(shorten("x" * 1000)) == 403
