"""HTTPRoutes: Volary's own as a whole, a user's with nothing but other weights."""

from copy import deepcopy
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from volary.api.v1alpha1 import GatewayTraffic, ModelDeploymentSpec, Rollout, RouteTraffic, Traffic
from volary.common.errors import Refused
from volary.common.reasons import Reason
from volary.planning import httproutes
from volary.planning.model import Desired
from volary.planning.weighted import Shadow, Share, Weighted

from .builders import desired, revision, spec

STABLE = revision(id="1a2b3c4d5e", version="1.0.0")
CANARY = revision(id="0f1e2d3c4b", version="2.0.0")
BOTH = (STABLE, CANARY)


def routed(**traffic: Any) -> Desired:
    gateway = GatewayTraffic.model_validate({"parentRefs": [{"name": "edge", "sectionName": "web"}], "hostnames": ["fraud.example.com"]})
    return asked(Traffic.model_validate({"gateway": gateway.model_dump(by_alias=True), **traffic}))


def asked(traffic: Traffic) -> Desired:
    given: ModelDeploymentSpec = spec(rollout=Rollout(traffic=traffic))
    return desired(spec=given)


def users(rule: str | None = None) -> Desired:
    return asked(Traffic(http_route=RouteTraffic(name="shop", rule=rule)))


def split(canary: int, **extras: Any) -> Weighted:
    shares = (Share(STABLE.id, 100 - canary), Share(CANARY.id, canary))
    return Weighted(shares=tuple(share for share in shares if share.weight), **extras)


def parent(accepted: str = "True", generation: int = 1, name: str = "edge", section: str | None = "web") -> dict[str, Any]:
    conditions = [{"type": kind, "status": accepted, "observedGeneration": generation} for kind in ("Accepted", "ResolvedRefs")]
    return {"parentRef": {"name": name} | ({"sectionName": section} if section else {}), "conditions": conditions}


def stored(body: dict[str, Any], *parents: dict[str, Any]) -> dict[str, Any]:
    """As the API server gives it back: with its own additions."""
    found = deepcopy(body)
    found["metadata"] |= {"generation": 1, "resourceVersion": "7"}
    for rule in found["spec"]["rules"]:
        rule.setdefault("timeouts", {"request": "10s"})
    return found | {"status": {"parents": list(parents)}}


WEIGHTED = st.builds(
    split,
    st.integers(0, 100),
    named=st.none() | st.just(CANARY.id),
    shadow=st.none() | st.builds(Shadow, st.just(CANARY.id), st.integers(1, 100)),
    session=st.none() | st.just("x-session"),
)


@given(WEIGHTED)
def test_what_is_written_is_what_is_read(to: Weighted) -> None:
    wanted = routed(header={}, mirror={"percent": 50})
    found = httproutes.own_from(wanted, stored(httproutes.own(wanted, to, BOTH), parent()), BOTH)
    assert (found.to, found.intact, found.current, found.problem) == (to, True, True, None)


def test_own_route_in_full() -> None:
    body = httproutes.own(routed(header={}), split(10, named=CANARY.id), BOTH)
    header = {"type": "Exact", "name": "x-volary-revision"}
    path = {"path": {"type": "PathPrefix", "value": "/"}}
    assert body["metadata"]["ownerReferences"][0]["controller"]
    assert body["spec"]["hostnames"] == ["fraud.example.com"]
    assert body["spec"]["parentRefs"] == [{"group": "gateway.networking.k8s.io", "kind": "Gateway", "name": "edge", "sectionName": "web"}]
    by_header, shared = body["spec"]["rules"]
    assert by_header["matches"] == [path | {"headers": [header | {"value": value}]} for value in ("canary", CANARY.id, "2.0.0")]
    assert [(ref["name"], ref["weight"]) for ref in by_header["backendRefs"]] == [("fraud-0f1e2d3c4b", 1)]
    assert [(ref["name"], ref["port"], ref["weight"]) for ref in shared["backendRefs"]] == [
        ("fraud-1a2b3c4d5e", 80, 90),
        ("fraud-0f1e2d3c4b", 80, 10),
    ]


@pytest.mark.parametrize(
    "damage",
    [
        lambda route: route["spec"].update(hostnames=["evil.example.com"]),
        lambda route: route["spec"]["rules"].pop(0),
        lambda route: route["spec"]["rules"][-1]["matches"][0]["path"].update(value="/x"),
        lambda route: route["spec"]["rules"][-1]["backendRefs"][0].update(weight=1),
        lambda route: route["spec"]["rules"][-1]["backendRefs"][0].update(name="another"),
        lambda route: route["spec"]["rules"].insert(0, {"matches": [], "backendRefs": []}),
        lambda route: route["spec"].update(parentRefs=[]),
    ],
)
def test_any_change_of_our_route_is_seen(damage: Any) -> None:
    wanted, to = routed(header={}), split(10, named=CANARY.id)
    body = stored(httproutes.own(wanted, to, BOTH), parent())
    damage(body)
    found = httproutes.own_from(wanted, body, BOTH)
    assert not (found.intact and found.to == to)


def test_sticky_is_a_session_by_header() -> None:
    rule = httproutes.own(routed(sticky={}), split(10, session="x-volary-session"), BOTH)["spec"]["rules"][-1]
    assert rule["sessionPersistence"] == {"type": "Header", "sessionName": "x-volary-session"}


@pytest.mark.parametrize(
    ("parents", "current", "says"),
    [
        ([parent()], True, None),
        ([], False, "has not said yet"),
        ([parent(accepted="False")], True, "Accepted is False"),
        ([parent(generation=0)], False, None),
        ([parent(name="another")], False, "has not said yet"),
    ],
)
def test_the_gateways_word(parents: list[dict[str, Any]], current: bool, says: str | None) -> None:
    wanted = routed()
    found = httproutes.own_from(wanted, stored(httproutes.own(wanted, split(10), BOTH), *parents), BOTH)
    assert found.current is current
    assert (found.problem is None) if says is None else (says in str(found.problem))


# ---- a user's ---------------------------------------------------------------------------------


def shop(*refs: dict[str, Any], name: str = "model") -> dict[str, Any]:
    """A route with a rule of somebody else's and one for the model."""
    other = {"name": "other", "matches": [{"path": {"value": "/other"}}], "backendRefs": [{"name": "other", "port": 1, "weight": 3}]}
    own = {"name": name, "timeouts": {"request": "5s"}, "backendRefs": list(refs)}
    spec_ = {"parentRefs": [{"name": "edge", "sectionName": "web"}], "rules": [other, own]}
    metadata = {"name": "shop", "namespace": "shop", "generation": 1}
    return {"metadata": metadata, "spec": spec_, "status": {"parents": [parent()]}}


def ref(name: str, weight: int | None = None) -> dict[str, Any]:
    return {"name": name, "port": 80} | ({} if weight is None else {"weight": weight})


def weights(rules: list[dict[str, Any]]) -> list[tuple[str, int | None]]:
    return [(found["name"], found.get("weight")) for found in rules[1]["backendRefs"]]


def test_only_weights_of_our_refs_change() -> None:
    body = shop(ref("fraud"), ref("legacy", 0))
    before = deepcopy(body)
    with pytest.raises(Refused, match="multiple of 100"):  # 1 of 1 cannot be split beside another's
        httproutes.reweighed(users(), body, split(10), STABLE.id)
    found = httproutes.users_from(users(), body, STABLE.id)
    assert (found.reason, found.intact) == (Reason.ROUTE_UNUSABLE, True)
    assert "multiple of 100" in str(found.problem)
    body = shop(ref("fraud", 300), ref("legacy", 100))
    rules = httproutes.reweighed(users(), body, split(10), STABLE.id)
    assert weights(rules) == [("fraud", 270), ("fraud-0f1e2d3c4b", 30), ("legacy", 100)]
    assert rules[0] == before["spec"]["rules"][0]
    assert {**rules[1], "backendRefs": None} == {**before["spec"]["rules"][1], "backendRefs": None}


def test_back_to_one_gives_the_weight_back() -> None:
    wanted = users()
    body = shop(ref("fraud", 200), ref("legacy", 100))
    body["spec"]["rules"] = httproutes.reweighed(wanted, body, split(25), STABLE.id)
    body["spec"]["rules"] = httproutes.reweighed(wanted, body, split(0), STABLE.id)
    assert weights(body["spec"]["rules"]) == [("fraud", 200), ("legacy", 100)]


def test_weight_goes_back_to_stable_even_where_it_is_not_exact() -> None:
    body = shop(ref("fraud", 50), ref("fraud-0f1e2d3c4b", 25), ref("legacy", 30))
    found = httproutes.users_from(users(), body, STABLE.id)
    assert (found.reason, len(found.to.shares)) == (Reason.ROUTE_UNUSABLE, 2)
    assert weights(httproutes.reweighed(users(), body, split(0), STABLE.id)) == [("fraud", 75), ("legacy", 30)]


def test_a_route_that_is_right_is_left_byte_for_byte() -> None:
    body = shop(ref("fraud"))
    assert httproutes.reweighed(users(), body, split(0), STABLE.id) == body["spec"]["rules"]
    found = httproutes.users_from(users(), body, STABLE.id)
    assert (found.to, found.intact) == (split(0), True)


@given(st.integers(0, 100), st.sampled_from([None, 1, 100, 700]))
def test_a_users_route_says_what_was_written(canary: int, weight: int | None) -> None:
    body = shop(ref("fraud", weight))
    body["spec"]["rules"] = httproutes.reweighed(users(), body, split(canary), STABLE.id)
    found = httproutes.users_from(users(), body, STABLE.id)
    assert {share.revision: share.weight for share in found.to.shares} == {share.revision: share.weight for share in split(canary).shares}
    assert found.intact


def test_after_a_promotion_the_service_stands_for_the_new_revision() -> None:
    body = shop(ref("fraud", 20), ref("fraud-0f1e2d3c4b", 80))
    found = httproutes.users_from(users(), body, CANARY.id)
    assert found.to == Weighted(shares=(Share(CANARY.id, 100),))
    assert not found.intact  # its own backendRef is of no more use
    assert weights(httproutes.reweighed(users(), body, found.to, CANARY.id)) == [("fraud", 100)]


def test_release_takes_ours_out() -> None:
    body = shop(ref("fraud", 20), ref("fraud-0f1e2d3c4b", 80), ref("legacy", 100))
    assert weights(httproutes.released(users(), body)) == [("fraud", 100), ("legacy", 100)]
    untouched = shop(ref("fraud", 20), ref("fraud-preview", 80))
    assert httproutes.released(users(), untouched) == untouched["spec"]["rules"]


@pytest.mark.parametrize(
    ("wanted", "body", "says"),
    [
        (users(), shop(ref("another")), "has no backendRef to the Service fraud"),
        (users(), shop({"name": "fraud", "kind": "ServiceImport", "group": "x"}), "has no backendRef"),
        (users(), shop({"name": "fraud", "namespace": "elsewhere"}), "has no backendRef"),
        (users(rule="missing"), shop(ref("fraud")), "rule missing of HTTPRoute shop has no backendRef"),
    ],
)
def test_routes_that_cannot_be_used(wanted: Desired, body: dict[str, Any], says: str) -> None:
    with pytest.raises(Refused, match=says) as refused:
        httproutes.users_from(wanted, body, STABLE.id)
    assert refused.value.reason is Reason.ROUTE_UNUSABLE


def test_two_rules_need_a_name() -> None:
    body = shop(ref("fraud"))
    body["spec"]["rules"].append({"name": "more", "backendRefs": [ref("fraud")]})
    with pytest.raises(Refused, match="2 rules"):
        httproutes.users_from(users(), body, STABLE.id)
    assert httproutes.users_from(users(rule="more"), body, STABLE.id).intact
