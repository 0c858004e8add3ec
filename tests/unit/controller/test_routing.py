"""HTTPRoutes are read by name and only for whom they matter; whatever is wrong with them is a value."""

from typing import Any

import pytest

from volary.adapters.cluster import GATEWAY_CLASSES, GATEWAYS, HTTP_ROUTES, Body, Forbidden, NotFound
from volary.common.reasons import Reason
from volary.planning.weighted import LeftRoute, NoRoute, NotAsked, Routed, Unroutable

from .world import SPEC, World, play

API = "gateway.networking.k8s.io/v1"
GATEWAY = {"gateway": {"parentRefs": [{"name": "edge"}]}}
USERS = {"httpRoute": {"name": "shop"}}
RULE = {"filters": {"items": {"properties": {"requestMirror": {"properties": {"percent": {"type": "integer"}}}}}}}


def spec(traffic: Body) -> Body:
    return {**SPEC, "rollout": {"traffic": traffic}}


def accepts(world: World, name: str) -> None:
    """The gateway takes the route over."""
    body = next(body for (kind, _, found), body in world.cluster._objects.items() if kind is HTTP_ROUTES and found == name)
    generation = body["metadata"]["generation"]
    conditions = [{"type": kind, "status": "True", "observedGeneration": generation} for kind in ("Accepted", "ResolvedRefs")]
    world.cluster.put({**body, "status": {"parents": [{"parentRef": {"name": "edge"}, "conditions": conditions}]}})


def users_route(world: World, *refs: Body) -> None:
    metadata = {"name": "shop", "namespace": "shop"}
    rules = [{"backendRefs": [{"name": "other", "port": 1}]}, {"backendRefs": list(refs)}]
    route = {"apiVersion": API, "kind": "HTTPRoute", "metadata": metadata, "spec": {"parentRefs": [{"name": "edge"}], "rules": rules}}
    world.cluster.put(route)


async def unroutable(world: World) -> Unroutable:
    found = (await world.look()).observed.route
    assert isinstance(found, Unroutable)
    return found


def test_who_wants_no_gateway_is_not_asked_about_one() -> None:
    async def story() -> None:
        world = World()
        await world.serve()
        world.cluster.requests.clear()
        look = await world.look()
        assert (look.observed.route, look.observed.left) == (NotAsked(), None)
        assert not [request for request in world.cluster.requests if request[1] == HTTP_ROUTES.plural]

    play(story())


def test_own_route_is_made_read_back_and_taken_away() -> None:
    async def story() -> None:
        world = World(spec(GATEWAY))
        await world.turn()
        assert (await world.look()).observed.route == NoRoute()
        await world.end_preflight()
        await world.turn()
        assert await world.names(HTTP_ROUTES) == ["fraud"]
        accepts(world, "fraud")
        await world.serve_on()
        found = (await world.look()).observed.route
        assert isinstance(found, Routed)
        assert (found.intact, found.current, found.problem) == (True, True, None)
        body = await world.md()
        world.cluster.put({**body, "spec": SPEC})
        assert (await world.look()).observed.left == LeftRoute(name="fraud", own=True)
        await world.turn()
        assert await world.names(HTTP_ROUTES) == []
        assert (await world.md())["status"]["phase"] == "Serving"

    play(story())


def test_a_wiped_status_forgets_no_route() -> None:
    async def story() -> None:
        world = World(spec(GATEWAY))
        await world.turn()
        await world.end_preflight()
        await world.turn()
        body = await world.md()
        world.cluster.put({**body, "spec": SPEC, "status": {}})
        await world.turn()
        assert await world.names(HTTP_ROUTES) == []

    play(story())


@pytest.mark.parametrize(
    ("verb", "error", "reason"),
    [
        ("list", NotFound(Reason.API_UNAVAILABLE, "404 page not found"), Reason.GATEWAY_ABSENT),
        ("get", Forbidden(Reason.API_UNAVAILABLE, "no"), Reason.GATEWAY_ABSENT),
    ],
)
def test_a_cluster_without_gateway_api(verb: str, error: Any, reason: Reason) -> None:
    async def story() -> None:
        world = World(spec(GATEWAY))
        world.cluster.fail(verb, HTTP_ROUTES, error)
        assert (await unroutable(world)).reason is reason

    play(story())


def test_a_route_of_somebody_else_is_left_alone() -> None:
    async def story() -> None:
        world = World(spec(GATEWAY))
        world.cluster.put({"apiVersion": API, "kind": "HTTPRoute", "metadata": {"name": "fraud", "namespace": "shop"}, "spec": {}})
        assert (await unroutable(world)).reason is Reason.ROUTE_UNUSABLE

    play(story())


@pytest.mark.parametrize(
    ("features", "says"),
    [
        ([], "HTTPRouteRequestMirror and HTTPRouteRequestPercentageMirror"),
        (["HTTPRouteRequestMirror"], "HTTPRouteRequestPercentageMirror"),
        (["HTTPRouteRequestMirror", "HTTPRouteRequestPercentageMirror"], ""),
    ],
)
def test_only_a_gateway_that_says_it_can_mirror_is_asked_to(features: list[str], says: str) -> None:
    async def story() -> None:
        world = World(spec({**GATEWAY, "mirror": {"percent": 20}}))
        world.cluster.schemas[HTTP_ROUTES] = schema(RULE)
        metadata = {"name": "edge", "namespace": "shop"}
        world.cluster.put({"apiVersion": API, "kind": GATEWAYS.name, "metadata": metadata, "spec": {"gatewayClassName": "c"}})
        status = {"supportedFeatures": [{"name": name} for name in features]}
        world.cluster.put({"apiVersion": API, "kind": GATEWAY_CLASSES.name, "metadata": {"name": "c", "namespace": ""}, "status": status})
        if says:
            found = await unroutable(world)
            assert found.reason is Reason.GATEWAY_UNSUPPORTED
            assert says in found.message
        else:
            assert (await world.look()).observed.route == NoRoute()

    play(story())


def schema(rule: Body) -> Body:
    return {"properties": {"spec": {"properties": {"rules": {"items": {"properties": rule}}}}}}


@pytest.mark.parametrize(
    ("extra", "field"), [({"mirror": {}}, "filters.requestMirror.percent"), ({"sticky": {}}, "sessionPersistence.sessionName")]
)
def test_an_older_gateway_api(extra: Body, field: str) -> None:
    async def story() -> None:
        world = World(spec({**GATEWAY, **extra}))
        world.cluster.schemas[HTTP_ROUTES] = schema({"matches": {}})
        found = await unroutable(world)
        assert found.reason is Reason.GATEWAY_UNSUPPORTED
        assert field in found.message

    play(story())


def test_a_users_route_that_is_missing_or_has_no_ref_of_ours() -> None:
    async def story() -> None:
        world = World(spec(USERS))
        assert "there is no HTTPRoute shop" in (await unroutable(world)).message
        users_route(world, {"name": "another", "port": 80})
        assert "has no backendRef" in (await unroutable(world)).message

    play(story())


def test_a_users_route_is_written_only_where_it_differs_and_given_back() -> None:
    async def story() -> None:
        world = World(spec(USERS))
        users_route(world, {"name": "fraud", "port": 80})
        await world.turn()
        await world.end_preflight()
        accepts(world, "shop")
        await world.turn()
        await world.serve_on()
        assert not [write for write in world.cluster.writes if write[1] == HTTP_ROUTES.plural]
        body = await world.cluster.get(HTTP_ROUTES, "shop", "shop")
        assert body is not None
        body["spec"]["rules"][1]["backendRefs"].append({"name": "fraud-0f1e2d3c4b", "port": 80, "weight": 4})
        world.cluster.put(body)
        md = await world.md()
        world.cluster.put({**md, "spec": SPEC})
        assert (await world.look()).observed.left == LeftRoute(name="shop", own=False)
        await world.turn()
        after = await world.cluster.get(HTTP_ROUTES, "shop", "shop")
        assert after is not None
        assert [ref["name"] for ref in after["spec"]["rules"][1]["backendRefs"]] == ["fraud"]
        assert after["spec"]["rules"][0] == body["spec"]["rules"][0]

    play(story())


def test_a_users_route_that_changed_meanwhile_is_read_again() -> None:
    async def story() -> None:
        world = World(spec(USERS))
        users_route(world, {"name": "fraud", "port": 80, "weight": 0})
        await world.turn()
        await world.end_preflight()
        world.cluster.fail("patch", HTTP_ROUTES, NotFound(Reason.API_UNAVAILABLE, "changed"))
        turn = await world.turn()
        assert turn.failure is not None
        status = (await world.md())["status"]
        assert "route" not in status  # what did not come about is not remembered as written

    play(story())
