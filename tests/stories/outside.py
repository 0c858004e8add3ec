"""Stories of verdicts from outside: Prometheus, Jobs that judge, golden samples as traffic."""

from typing import Any

from tests.stories.telling import Story, serving
from volary.api.v1alpha1 import Phase
from volary.planning.outside import Ending
from volary.simulation.bundles import Bundle

P99 = {"name": "p99", "query": 'job:latency:p99{revision="{{revision}}"}', "max": 0.25, "interval": "20s"}


def checked(**analysis: Any) -> dict[str, Any]:
    """spec.rollout with one step and these checks."""
    return {"steps": [{"weight": 25, "duration": "1m"}], "analysis": {"interval": "20s", **analysis}}


def a_query_is_out_of_range() -> Story:
    told = serving("Prometheus says three times in a row that the canary is too slow; no request failed", rollout=checked(queries=[P99]))
    told.world.cluster.outside.values["p99"] = 0.12
    told.deploys("2.0.0")
    told.goes_on(seconds=20)
    told.says("p99 of the canary is 0.31 s now")
    told.world.cluster.outside.values["p99"] = 0.31
    told.goes_on(minutes=5)
    return told


def prometheus_is_away() -> Story:
    told = serving(
        "Prometheus is away: no value is no pass, so the step is extended, then waits for a person", rollout=checked(queries=[P99])
    )
    told.world.cluster.outside.values["p99"] = "Prometheus does not answer in time"
    told.deploys("2.0.0")
    told.goes_on(minutes=8)
    return told


def no_prometheus_and_a_dry_run() -> Story:
    told = serving(
        "The operator has no Prometheus: the condition says so; marked dryRun, the query holds nothing up", rollout=checked(queries=[P99])
    )
    told.world.cluster.outside.prometheus = False
    told.deploys("2.0.0")
    told.goes_on(minutes=2)
    told.edits("spec.rollout.analysis.queries[0].dryRun: true", rollout=checked(queries=[{**P99, "dryRun": True}]))
    told.goes_on(minutes=5)
    return told


def a_job_says_no() -> Story:
    smoke = {"name": "smoke", "template": {"image": "team/smoke:1"}}
    told = serving("A Job of the user's asks the canary what it should not know, and says no", rollout=checked(jobs=[smoke]))
    told.world.cluster.outside.fates["smoke"] = (Ending.FAILED, "expected class 3 for img-17, found 8")
    told.deploys("2.0.0")
    told.goes_on(minutes=5)
    return told


def a_job_in_one_step_says_yes() -> Story:
    late = {"name": "late", "template": {"image": "team/smoke:1"}, "atStep": 2}
    rollout = {"steps": [{"weight": 25, "duration": "20s"}, {"weight": 50, "duration": "20s"}]}
    told = serving("A Job judges in the second step; its object goes with the rollout", rollout=rollout | {"analysis": {"jobs": [late]}})
    told.deploys("2.0.0")
    told.goes_on(minutes=5)
    return told


def no_traffic_but_golden_samples() -> Story:
    told = serving("Nobody sends requests; golden samples stand in for clients", rate=0, rollout=checked(synthetic={"enabled": True}))
    told.deploys("2.0.0")
    told.goes_on(minutes=8)
    return told


def a_golden_sample_goes_wrong_in_the_canary() -> Story:
    told = serving(
        "The canary proved itself when it started; under traffic it answers a golden sample otherwise",
        {"2.0.0": Bundle(wrong=True)},
        rollout=checked(synthetic={"enabled": True, "rate": 1}),
    )
    told.deploys("2.0.0")
    told.goes_on(minutes=5)
    return told


STORIES = (
    (a_query_is_out_of_range, Phase.ROLLED_BACK),
    (prometheus_is_away, Phase.PAUSED),
    (no_prometheus_and_a_dry_run, Phase.SERVING),
    (a_job_says_no, Phase.ROLLED_BACK),
    (a_job_in_one_step_says_yes, Phase.SERVING),
    (no_traffic_but_golden_samples, Phase.SERVING),
    (a_golden_sample_goes_wrong_in_the_canary, Phase.ROLLED_BACK),
)
