"""How many pods there are where nobody wrote a number, and what is asked of Kubernetes' autoscaler."""

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.unit.planning.builders import desired, revision, spec
from volary.api.v1alpha1 import Autoscaling, DisruptionBudget, PodTemplate, Toleration, TopologySpread
from volary.planning import placement, pods, readiness, resources, scaling, scaling_bodies, traffic
from volary.planning.model import (
    Autoscaler,
    DeleteAutoscaler,
    DeleteBudget,
    EnsureAutoscaler,
    EnsureBudget,
    EnsureWorkload,
    Observed,
    Only,
    Pod,
    Workload,
)
from volary.planning.roles import Roles
from volary.simulation.cluster import START

STABLE = revision()
ROLES = Roles(wanted=STABLE, stable=STABLE, candidate=None)
BOUNDS = {"minReplicas": 2, "maxReplicas": 8, "requestsPerSecond": 50}


def wants(**fields: Any) -> Any:
    return replace(desired(), spec=spec(**({"replicas": None} | fields)))


def there(replicas: int, **fields: Any) -> Observed:
    return Observed(revisions=(STABLE,), workloads=(Workload(revision=STABLE.id, replicas=replicas),), **fields)


@pytest.mark.parametrize(
    ("fields", "live", "pods"),
    [
        ({"replicas": 4}, 7, 4),  # the spec's number, whatever somebody made of it
        ({}, 7, 7),  # nobody's number: as it is
        ({"autoscaling": BOUNDS}, 5, 5),
        ({"autoscaling": BOUNDS}, 1, 2),
        ({"autoscaling": BOUNDS}, 50, 8),
        ({}, 0, 1),  # scaled to nothing by somebody: a model that is deployed serves
    ],
)
def test_pods_of_stable(fields: dict[str, Any], live: int, pods: int) -> None:
    assert scaling.settle(wants(**fields), there(live), STABLE).replicas == pods


def test_the_first_revision_starts_with_one_pod_or_the_least_the_autoscaler_may_have() -> None:
    assert scaling.settle(wants(), Observed(), None).replicas == 1
    assert scaling.settle(wants(autoscaling=BOUNDS), Observed(), None).replicas == 2


def test_the_number_is_handed_over_once() -> None:
    one = wants(autoscaling=BOUNDS)
    owned = there(5)
    assert [(a.replicas, a.floating) for a in scaling.release(one, owned, ROLES)] == [(5, True)]  # type: ignore[union-attr]
    released = replace(owned, workloads=(replace(owned.workloads[0], owned=False),))
    assert scaling.release(one, released, ROLES) == ()
    assert scaling.release(wants(replicas=5), owned, ROLES) == ()


def test_in_a_fight_over_the_number_at_most_two_writes_a_minute() -> None:
    one, now = wants(replicas=3), START
    theirs = Workload(revision=STABLE.id, replicas=5, owned=False, written_at=now - timedelta(seconds=10))
    fought = Observed(revisions=(STABLE,), workloads=(theirs,), traffic=Only(STABLE.id))
    held = scaling.contested(one, fought, now)
    assert held == {STABLE.id: now + timedelta(seconds=20)}
    assert traffic.steer(one, fought, ROLES, None, now, held).actions == ()
    later = scaling.contested(one, fought, now + timedelta(seconds=20))
    assert traffic.steer(one, fought, ROLES, None, now, later).actions == (EnsureWorkload(revision=STABLE, replicas=3),)
    assert scaling.contested(wants(), fought, now) == {}, "where others may scale there is no fight"


def test_stable_alone_has_an_autoscaler() -> None:
    one = wants(autoscaling=BOUNDS, disruptionBudget={"maxUnavailable": "25%"})
    old = Autoscaler(revision="0ld0ld0ld0", spec=Autoscaling.model_validate(BOUNDS))
    wanted = replace(old, revision=STABLE.id)
    budget = DisruptionBudget(max_unavailable="25%")
    assert scaling.tend(one, there(3, autoscalers=(old,)), ROLES) == (
        DeleteAutoscaler(revision=old.revision),
        EnsureAutoscaler(autoscaler=wanted),
        EnsureBudget(budget=budget),
    )
    assert scaling.tend(one, there(3, autoscalers=(wanted,), budget=budget), ROLES) == ()
    gone = scaling.tend(wants(), there(3, autoscalers=(wanted,), budget=budget), ROLES)
    assert gone == (DeleteAutoscaler(revision=STABLE.id), DeleteBudget())


@given(least=st.integers(1, 900), more=st.integers(0, 100), cpu=st.none() | st.integers(1, 1000), rate=st.integers(1, 1000))
def test_an_autoscaler_is_read_back_as_it_was_written(least: int, more: int, cpu: int | None, rate: int) -> None:
    wanted = Autoscaler(
        revision=STABLE.id, spec=Autoscaling(min_replicas=least, max_replicas=least + more, cpu=cpu, requests_per_second=rate)
    )
    assert scaling_bodies.autoscaler_from(scaling_bodies.autoscaler(desired(), wanted)) == wanted


def test_an_autoscaler_that_somebody_changed_is_not_the_wanted_one() -> None:
    wanted = Autoscaler(revision=STABLE.id, spec=Autoscaling.model_validate(BOUNDS))
    body = scaling_bodies.autoscaler(desired(), wanted)
    for change in ({"minReplicas": 1}, {"metrics": []}, {"metrics": [{"type": "Resource", "resource": {}}]}, {"maxReplicas": 5000}):
        assert scaling_bodies.autoscaler_from({**body, "spec": body["spec"] | change}) != wanted


@pytest.mark.parametrize("bounds", [{"minAvailable": "2"}, {"maxUnavailable": "25%"}])
def test_a_budget_is_read_back_as_it_was_written(bounds: dict[str, str]) -> None:
    wanted = DisruptionBudget.model_validate(bounds)
    body = scaling_bodies.budget(desired(), wanted)
    assert scaling_bodies.budget_from(body) == wanted
    assert body["spec"]["selector"] == {"matchLabels": resources.service(desired(), resources.Shared())["spec"]["selector"]}
    assert scaling_bodies.budget_from({"spec": {"minAvailable": "33.3%"}}) != wanted


def test_a_deployment_without_a_number_is_the_same_otherwise() -> None:
    counted, floating = resources.deployment(desired(), STABLE, 3), resources.deployment(desired(), STABLE, None)
    assert counted["spec"].pop("replicas") == 3
    assert counted == floating


def test_a_pod_template_adds_and_takes_nothing_away() -> None:
    template = PodTemplate(
        labels={"team": "risk"},
        annotations={"example.com/cost": "42"},
        node_selector={"accelerator": "l4"},
        tolerations=(Toleration(key="gpu", value="yes"),),
        topology_spread=(TopologySpread(topology_key="kubernetes.io/hostname"),),
        priority_class_name="high",
        runtime_class_name="nvidia",
        image_pull_secrets=("registry",),
    )
    plain = pods.model_template("fraud", STABLE)
    own = pods.model_template("fraud", replace(STABLE, runtime=STABLE.runtime.model_copy(update={"pod_template": template})))
    labels = plain["metadata"]["labels"]
    assert own["metadata"] == {"labels": {"team": "risk"} | labels, "annotations": {"example.com/cost": "42"}}
    added = {key: value for key, value in own["spec"].items() if key not in plain["spec"]}
    assert {key: value for key, value in own["spec"].items() if key in plain["spec"]} == plain["spec"]
    assert added["tolerations"] == [{"key": "gpu", "operator": "Equal", "value": "yes"}]
    assert added["topologySpreadConstraints"][0]["labelSelector"]["matchLabels"].items() <= labels.items()
    assert (added["priorityClassName"], added["runtimeClassName"], added["nodeSelector"]) == ("high", "nvidia", {"accelerator": "l4"})
    assert added["imagePullSecrets"] == [{"name": "registry"}]
    assert placement.spec(PodTemplate(), {}) == {}


def test_a_pod_counts_once_it_has_been_ready_for_long_enough() -> None:
    def pod(uid: str, since: float | None) -> Pod:
        ready = None if since is None else START + timedelta(seconds=since)
        return Pod(name=uid, uid=uid, revision=STABLE.id, ready=ready is not None, ready_since=ready)

    seen = Observed(workloads=(Workload(revision=STABLE.id, replicas=3, pods=(pod("a", 0), pod("b", 7), pod("c", None))),))
    now = START + timedelta(seconds=10)
    after, wake = readiness.seasoned(seen, STABLE.id, timedelta(seconds=10), now)
    assert after.ready(STABLE.id) == 1
    assert wake == START + timedelta(seconds=17)
    assert readiness.seasoned(seen, STABLE.id, timedelta(0), now) == (seen, None)
    assert readiness.seasoned(after, "another", timedelta(seconds=10), now) == (after, None)
