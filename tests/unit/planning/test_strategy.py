"""The strategy of a spec as a value, and the analysis of a step."""

from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from volary.api.v1alpha1 import Analysis, Rollout, StepAnalysis, analysis_of, overridden
from volary.planning.strategy import chosen

STEPS = [{"weight": 25}, {"weight": 50}, {"weight": 100}]


def rollout(**fields: Any) -> Rollout:
    return Rollout.model_validate({"steps": STEPS} | fields)


@pytest.mark.parametrize(
    ("fields", "replicas", "pods"),
    [
        # pods of the candidate: at its start, in each step, in its last stage
        pytest.param({}, 4, [1, 1, 4, 4, 4], id="beside stable"),
        pytest.param({"surge": 0}, 4, [1, 1, 2, 4, 4], id="in place of stable's"),
        pytest.param({"surge": 2}, 4, [2, 2, 3, 4, 4], id="two more"),
        pytest.param({"surge": 0, "steps": [{"weight": 100}]}, 4, [3, 4, 4], id="before it has traffic one pod of stable stays"),
        pytest.param({"surge": 0}, 1, [1, 1, 1, 1, 1], id="one pod"),
        pytest.param({"strategy": "BlueGreen", "steps": []}, 4, [4], id="all at once"),
    ],
)
def test_pods_of_each_stage(fields: dict[str, Any], replicas: int, pods: list[int]) -> None:
    strategy = chosen(rollout(**fields), replicas)
    first = 0 if not strategy.steps else -1
    assert [strategy.pods(step) for step in range(first, len(strategy.steps) + 1)] == pods


@pytest.mark.parametrize(
    ("fields", "linger"),
    [
        ({}, 0),
        ({"scaleDownDelay": "1m"}, 60),
        ({"strategy": "BlueGreen", "steps": []}, 30),
        ({"strategy": "BlueGreen", "steps": [], "scaleDownDelay": "0s"}, 0),
    ],
)
def test_how_long_the_old_pods_stay(fields: dict[str, Any], linger: int) -> None:
    assert chosen(rollout(**fields), 1).linger == timedelta(seconds=linger)


def test_default_steps_are_none_with_blue_green() -> None:
    assert chosen(Rollout.model_validate({"strategy": "BlueGreen"}), 3).steps == ()


def test_a_step_sets_what_it_names_and_nothing_else() -> None:
    common = {"errors": {"tolerance": "1%", "maxRate": "9%"}, "minRequests": 50, "interval": "7s"}
    own = {"errors": {"tolerance": "2%"}, "onInconclusive": "Pause"}
    wanted = rollout(analysis=common, steps=[{"weight": 10}, {"weight": 20, "analysis": own}])
    assert analysis_of(wanted, 0) == wanted.analysis
    assert analysis_of(wanted, 1) == Analysis.model_validate(
        {"errors": {"tolerance": "2%", "maxRate": "9%"}, "minRequests": 50, "interval": "7s", "onInconclusive": "Pause"}
    )


def test_a_step_changes_limits_of_each_metric_that_is_on() -> None:
    common = {"latency": {"dryRun": True}, "drift": {}, "restarts": {"max": 1}, "saturation": {"maxInFlight": 20}}
    own = {
        "latency": {"maxDuration": "1s"},
        "drift": {"tolerance": "9%"},
        "restarts": {"max": 0},
        "saturation": {"maxInFlight": 5},
    }
    found = analysis_of(rollout(analysis=common, steps=[{"weight": 10, "analysis": own}]), 0)
    expected = {"latency": {"dryRun": True, "maxDuration": "1s"}, "drift": own["drift"], "restarts": own["restarts"]}
    assert found == Analysis.model_validate({**expected, "saturation": own["saturation"]})


@pytest.mark.parametrize("step", [-1, 3])
def test_outside_of_the_steps_the_common_rules_hold(step: int) -> None:
    wanted = rollout(steps=[{"weight": 10, "analysis": {"minRequests": 9}}, *STEPS[1:]])
    assert analysis_of(wanted, step) == wanted.analysis


@given(st.integers(0, 1000), st.integers(0, 1000) | st.none())
def test_zero_is_set_and_none_is_not(common: int, own: int | None) -> None:
    found = overridden(Analysis(min_requests=common), StepAnalysis(min_requests=own))
    assert found.min_requests == (common if own is None else own)
