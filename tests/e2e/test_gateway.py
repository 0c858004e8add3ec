"""Weights by a real gateway, Traefik, under load."""

from __future__ import annotations

import secrets
import time
from typing import TYPE_CHECKING, Any

import pytest

from tests.e2e.serving import Model, Serving
from tests.support import gateways, wait
from tests.support.gateways import Edge
from tests.support.kubectl import condition
from tests.support.load import Load

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.demo.stage import Stage
    from tests.support.kubectl import Body

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(300)]

GATED = f"gated-{secrets.token_hex(2)}"  # a route of another session must not answer for it
SOON = 0.02  # seconds between two looks at something that should be quick


@pytest.fixture(scope="module")
def edge(stage: Stage) -> Edge:
    """Traefik, and an operator that may write HTTPRoutes."""
    return Edge.of(stage.kubectl)


@pytest.fixture(scope="module")
def gated(stage: Stage, edge: Edge, session: str) -> Iterator[Serving]:
    """A model behind the gateway, with load through the gateway and a second load on its plain Service: neither loses a request."""
    name = stage.namespace(f"e2e-gateway-{session}")
    edge.open(name)
    with Serving.begin(stage, name, GATED, replicas=2, rollout=rollout(10), rate=40) as inside:
        edge.until_open(GATED)
        with Load(edge.url(GATED), 60) as load:
            load.running()
            yield Serving(stage, inside.watch, load)
            outside = load.stop()
            assert outside.failed == 0, outside.failures
        assert inside.load.totals.failed == 0, inside.load.totals.failures
    stage.leave(name)


def rollout(*weights: int, duration: str = "1h", **traffic: Any) -> Body:
    """Steps of these weights, through the gateway."""
    steps = [{"weight": weight, "duration": duration} for weight in weights]
    return {"steps": steps, "traffic": gateways.traffic(GATED, header={}, **traffic)}


def httproute(model: Model, name: str = GATED) -> Body:
    """As it is."""
    found = model.stage.kubectl.get("HTTPRoute", model.watch.namespace, name)
    assert found is not None
    return found


def until_weight(model: Model, weight: int) -> None:
    """Status says that the canary has this weight."""
    reached = ("canary", "weightReached")
    model.watch.until(f"{weight} % are reached", lambda: (model.watch.status.get(reached[0]) or {}).get(reached[1]) == weight, 60)


def test_weights_are_exact_and_follow_the_spec_at_once(gated: Serving, edge: Edge) -> None:
    gated.apply("2.0.0", replicas=2, rollout=rollout(10))
    gated.until_canary("2.0.0")
    until_weight(gated, 10)
    canary = gated.watch.status["canary"]
    assert (canary["replicas"], canary["weight"], canary["weightReached"]) == (1, 10, 10)
    found = edge.ask(GATED, 1000)
    assert found["1.0.0"] + found["2.0.0"] == 1000
    assert abs(found["2.0.0"] - 100) <= 10, found  # the load is counted by the same wheel
    began = time.monotonic()
    generation = httproute(gated)["metadata"]["generation"]
    gated.apply("2.0.0", replicas=2, rollout=rollout(50))
    wait.until("the operator wrote", lambda: httproute(gated)["metadata"]["generation"] > generation, 10, poll=SOON)
    written = time.monotonic()
    wait.until("half of the requests go to the canary", lambda: edge.ask(GATED, 10)["2.0.0"] >= 4, 10, poll=SOON)
    effective = time.monotonic()
    figures = f"{dict(found)}; kubectl apply to HTTPRoute {written - began:.2f} s, HTTPRoute to effect {effective - written:.2f} s"
    print(figures)
    assert effective - written < 1, figures


def test_header_reaches_the_canary_and_nothing_else_does(gated: Serving, edge: Edge) -> None:
    revision = gated.watch.status["canary"]["revision"]
    for value in ("canary", revision, "2.0.0"):
        assert edge.ask(GATED, 10, x_volary_revision=value) == {"2.0.0": 10}
    assert edge.ask(GATED, 20, x_volary_revision="nothing")["1.0.0"] > 0


def test_abort_takes_the_weight_away_before_the_pods(gated: Serving, edge: Edge) -> None:
    kubectl = gated.stage.kubectl
    kubectl.run("annotate", "md", GATED, f"--namespace={gated.watch.namespace}", "serving.volary.dev/request=abort@1", "--overwrite")
    gated.until_said("AbortRequested", "RolledBack")
    wait.until("stable answers everything", lambda: edge.ask(GATED, 50) == {"1.0.0": 50}, 10)
    wait.until("the canary's pods are gone", lambda: len(gated.pods()) == 2, 60)


def test_canary_is_promoted(gated: Serving, edge: Edge) -> None:
    gated.apply("6.0.0", replicas=2, rollout=rollout(30, 80, duration="5s"))
    gated.until_serving("6.0.0")
    assert edge.ask(GATED, 50) == {"6.0.0": 50}
    wait.until("the old pods are gone", lambda: len(gated.pods()) == 2, 60)


def test_errors_return_all_weight_to_stable(gated: Serving, edge: Edge) -> None:
    gated.apply("5.0.0", replicas=2, rollout=rollout(50))
    gated.until_said("ErrorRateTooHigh", "RolledBack", within=90)
    wait.until("stable answers everything", lambda: edge.ask(GATED, 50) == {"6.0.0": 50}, 10)


def test_a_gateway_that_cannot_mirror_is_not_asked_to(gated: Serving, edge: Edge) -> None:
    """Traefik accepts the filter and then fails every request: its GatewayClass does not claim the feature."""
    gated.apply("6.0.0", replicas=2, rollout=rollout(50, mirror={"percent": 100}))
    assert "HTTPRouteRequestMirror" in gated.until_said("GatewayUnsupported", "Starting")
    gated.apply("6.0.0", replicas=2, rollout=rollout(50, sticky={}))
    assert "sessionPersistence" in gated.until_said("GatewayUnsupported", "Starting")
    assert edge.ask(GATED, 20) == {"6.0.0": 20}
    gated.apply("6.0.0", replicas=2, rollout=rollout(50))
    gated.until_serving("6.0.0")


def test_what_others_do_to_the_route_is_undone(gated: Serving) -> None:
    namespace, kubectl = gated.watch.namespace, gated.stage.kubectl
    change = '[{"op": "replace", "path": "/spec/rules/0/backendRefs/0/weight", "value": 7}]'  # the only one: nothing is lost
    kubectl.run("patch", "httproute", GATED, f"--namespace={namespace}", "--type=json", f"--patch={change}")

    def undone() -> bool:
        return bool(httproute(gated)["spec"]["rules"][0]["backendRefs"][0]["weight"] == 100)

    wait.until("it is put back", undone, 60)


def test_from_the_plain_service_to_the_gateway_and_back(stage: Stage, edge: Edge, namespace: str) -> None:
    edge.open(namespace)
    plain = {"steps": [{"weight": 50, "duration": "1h"}]}
    with Serving.begin(stage, namespace, "moving", replicas=1, rollout=plain, rate=40) as moving:
        moving.apply("2.0.0", replicas=1, rollout=plain)
        moving.until_canary("2.0.0")
        moving.apply("2.0.0", replicas=1, rollout={**plain, "traffic": gateways.traffic("moving")})
        edge.until_open("moving")
        wait.until("both versions answer", lambda: len(edge.ask("moving", 10)) == 2, 30)
        moving.apply("2.0.0", replicas=1, rollout=plain)
        wait.until("the HTTPRoute is gone", lambda: stage.kubectl.get("HTTPRoute", namespace, "moving") is None, 30)
        moving.until_canary("2.0.0")
        totals = moving.load.stop()
    assert totals.failed == 0, totals.failures


def test_only_weights_change_in_a_users_route(stage: Stage, edge: Edge, namespace: str) -> None:
    edge.open(namespace)
    path = {"path": {"type": "PathPrefix", "value": "/v2/models/mine"}}
    other = {"name": "other", "matches": [{"path": {"type": "Exact", "value": "/other"}}], "backendRefs": [{"name": "other", "port": 8080}]}
    own = {"name": "model", "matches": [path], "backendRefs": [{"name": "mine", "port": 80}], "timeouts": {"request": "30s"}}
    named = {"steps": [{"weight": 20, "duration": "1h"}], "traffic": {"httpRoute": {"name": "shop"}}}
    with Model.watched(stage, namespace, "mine") as model:
        model.apply("1.0.0", replicas=1, rollout=named)
        assert "there is no HTTPRoute shop" in model.until_said("RouteUnusable", "Starting")
        stage.kubectl.apply(gateways.route(namespace, "shop", other, own))
        before = httproute(model, "shop")["spec"]
        edge.until_open("mine")
        with Load(edge.url("mine"), 40) as load:
            load.running()
            model.apply("2.0.0", replicas=1, rollout=named)
            model.until_canary("2.0.0")
            found = edge.ask("mine", 200)
            assert abs(found["2.0.0"] - 40) <= 8, found
            during = httproute(model, "shop")["spec"]
            assert during["rules"][0] == before["rules"][0]
            assert {**during["rules"][1], "backendRefs": []} == {**before["rules"][1], "backendRefs": []}
            assert [ref["weight"] for ref in during["rules"][1]["backendRefs"]] == [80, 20]
            request = "serving.volary.dev/request=promote@1"
            stage.kubectl.run("annotate", "md", "mine", f"--namespace={namespace}", request, "--overwrite")
            model.until_serving("2.0.0")
            wait.until("the old pod is gone", lambda: len(model.pods()) == 1, 60)
            after = httproute(model, "shop")["spec"]
            assert [(ref["name"], ref["weight"]) for ref in after["rules"][1]["backendRefs"]] == [("mine", 100)]
            totals = load.stop()
    assert totals.failed == 0, totals.failures


def test_a_gateway_that_is_not_there_disturbs_nothing(stage: Stage, edge: Edge, namespace: str) -> None:
    """Another Gateway than the one there is: nobody accepts the route."""
    lost = {"gateway": {"parentRefs": [{"name": "nowhere"}]}}
    with Serving.begin(stage, namespace, "lost", replicas=1, rate=20) as lonely:
        lonely.apply("1.0.0", replicas=1, rollout={"traffic": lost})
        lonely.until_said("GatewayNotReady", "Starting")
        lonely.watch.until("the Gateway is named", lambda: "nowhere" in lonely.watch.status.get("message", ""), 30)
        assert condition(lonely.watch.body, "Available")["status"] == "True"
        totals = lonely.load.stop()
    assert totals.failed == 0, totals.failures
    assert edge.gateway.port
