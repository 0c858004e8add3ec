"""Each story is played in the simulated world and compared with `golden/NAME.txt`, which is there to be read."""

from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from tests.stories import inplace, outside
from tests.stories.telling import Story, serving
from volary.api.v1alpha1 import Phase
from volary.common.reasons import Reason
from volary.planning.model import Problem
from volary.planning.weighted import Share, Weighted
from volary.simulation import bundles

GOLDEN = Path(__file__).parent / "golden"
Play = Callable[[], Story]
STORIES: dict[str, tuple[Play, Phase]] = {play.__name__: (play, phase) for play, phase in outside.STORIES}


def ends(phase: Phase) -> Callable[[Play], Play]:
    def note(play: Play) -> Play:
        STORIES[play.__name__] = (play, phase)
        return play

    return note


def rollout(**fields: Any) -> dict[str, Any]:
    """The usual one with other fields."""
    return {"steps": [{"weight": 25, "duration": "1m"}, {"weight": 50, "duration": "1m"}], "analysis": {"interval": "20s"}} | fields


BLUE_GREEN = rollout(strategy="BlueGreen", steps=[])
NOTHING_SERVES = {"no_surge_and_one_pod", "no_surge_and_one_bad_pod"}  # for a while, as the spec wants it


# ---- all goes well ------------------------------------------------------------------------------


@ends(Phase.SERVING)
def first_deploy() -> Story:
    told = Story.of("The first version: there is nothing to compare it with, so it serves as soon as its pods are ready")
    told.goes_on(minutes=1)
    return told


@ends(Phase.SERVING)
def canary_in_steps() -> Story:
    told = serving("A good version takes over in steps; its pods come one by one", stagger=2)
    told.deploys("2.0.0")
    told.goes_on(minutes=5)
    return told


@ends(Phase.SERVING)
def a_return_to_what_served_before_needs_no_steps() -> Story:
    told = serving("The spec goes back to a version that was promoted once: it has proved itself")
    told.deploys("2.0.0")
    told.goes_on(minutes=5)
    told.deploys("1.0.0")
    told.goes_on(minutes=1)
    return told


# ---- refused before any pod -----------------------------------------------------------------------


@ends(Phase.SERVING)
def refused_by_preflight() -> Story:
    told = serving("A bundle with a flipped byte starts no pod; a corrected version follows", {"2.0.0": bundles.REFUSED})
    told.deploys("2.0.0")
    told.goes_on(minutes=10)
    told.deploys("2.0.1")
    told.goes_on(minutes=5)
    return told


@ends(Phase.SERVING)
def preflight_cannot_reach_the_storage() -> Story:
    told = Story.of("The storage is away for two preflights", bundles={"1.0.0": bundles.FLAKY})
    told.goes_on(minutes=2)
    return told


@ends(Phase.SERVING)
def the_secret_comes_late() -> Story:
    told = Story.of("The Secret is created after the ModelDeployment")
    told.world.turn()
    lacking = Problem(reason=Reason.SECRET_NOT_FOUND, message='container preflight: secret "models-s3" not found')
    for job in told.world.cluster.jobs.values():
        job.problem = lacking
    told.goes_on(seconds=30)
    told.says("the Secret is created")
    for job in told.world.cluster.jobs.values():
        job.problem, job.ends = None, told.world.cluster.now + timedelta(seconds=2)
    told.goes_on(minutes=1)
    return told


# ---- pods that do not get ready -------------------------------------------------------------------


@ends(Phase.ROLLED_BACK)
def golden_mismatch() -> Story:
    told = serving("The served model answers its golden samples differently than when it was packed", {"2.0.0": bundles.MISMATCH})
    told.deploys("2.0.0")
    told.goes_on(minutes=5)
    return told


@ends(Phase.ROLLED_BACK)
def out_of_memory_on_load() -> Story:
    told = serving("The model needs more memory than its limit", {"2.0.0": bundles.HUNGRY})
    told.deploys("2.0.0")
    told.goes_on(minutes=5)
    return told


@ends(Phase.ROLLED_BACK)
def an_image_that_cannot_be_pulled() -> Story:
    title = "An image cannot be pulled: that may mend itself, so it is given up at the progress deadline"
    told = serving(title, {"2.0.0": bundles.NO_IMAGE})
    told.deploys("2.0.0")
    told.goes_on(minutes=15)
    return told


@ends(Phase.SERVING)
def the_first_version_fails() -> Story:
    told = Story.of("The first version fails; nothing else can serve until the next one comes", bundles={"1.0.0": bundles.MISMATCH})
    told.goes_on(minutes=2)
    told.deploys("1.0.1")
    told.goes_on(minutes=1)
    return told


# ---- evidence -------------------------------------------------------------------------------------


@ends(Phase.ROLLED_BACK)
def errors_roll_back() -> Story:
    told = serving("One in five requests of the canary fails", {"2.0.0": bundles.FAILING})
    told.deploys("2.0.0")
    told.goes_on(minutes=5)
    return told


@ends(Phase.SERVING)
def no_traffic() -> Story:
    told = serving("Nobody sends requests: the step is extended, then it waits for a person", rate=0)
    told.deploys("2.0.0")
    told.goes_on(minutes=10)
    told.asks("promote@1")
    told.goes_on(minutes=1)
    return told


JUDGED_BY_ALL = {"interval": "5s", "latency": {}, "drift": {}, "restarts": {}}
STEPS = [{"weight": 25, "duration": "1m"}, {"weight": 50, "duration": "1m"}]


@ends(Phase.ROLLED_BACK)
def latency_rolls_back() -> Story:
    told = serving(
        "No request of the canary fails, most are slow", {"2.0.0": bundles.SLOW}, rollout={"steps": STEPS, "analysis": JUDGED_BY_ALL}
    )
    told.deploys("2.0.0")
    told.goes_on(minutes=5)
    return told


@ends(Phase.ROLLED_BACK)
def drift_rolls_back() -> Story:
    told = serving(
        "The canary is quick and never fails, and says yes four times as often",
        {"2.0.0": bundles.DRIFTED},
        rollout={"steps": STEPS, "analysis": JUDGED_BY_ALL},
    )
    told.deploys("2.0.0")
    told.goes_on(minutes=5)
    return told


@ends(Phase.SERVING)
def every_metric_passes() -> Story:
    told = serving("An equal canary, judged by all there is", rollout={"steps": STEPS, "analysis": JUDGED_BY_ALL})
    told.deploys("2.0.0")
    told.goes_on(minutes=5)
    return told


@ends(Phase.SERVING)
def drift_that_only_reports() -> Story:
    analysis = {"interval": "5s", "drift": {"dryRun": True}}
    told = serving(
        "The canary answers differently, which is what it was trained for",
        {"2.0.0": bundles.DRIFTED},
        rollout={"steps": STEPS, "analysis": analysis},
    )
    told.deploys("2.0.0")
    told.goes_on(minutes=5)
    return told


# ---- after the promotion ------------------------------------------------------------------------------

WATCHED = {"steps": STEPS, "analysis": {"interval": "5s"}, "watchAfterPromotion": "15m"}


@ends(Phase.ROLLED_BACK)
def bad_after_promotion() -> Story:
    told = serving("A version that was promoted turns bad, and the one before it returns", rollout=WATCHED, stagger=2)
    told.deploys("2.0.0")
    told.goes_on(minutes=5)
    told.says("clients begin to send what version 2.0.0 cannot answer")
    told.world.cluster.spoil("2.0.0", bundles.FAILING)
    told.goes_on(minutes=5)
    return told


@ends(Phase.SERVING)
def good_after_promotion() -> Story:
    told = serving("A version that was promoted stays good: the watch ends", rollout=WATCHED)
    told.deploys("2.0.0")
    told.goes_on(minutes=20)
    return told


# ---- people change their minds ----------------------------------------------------------------------


@ends(Phase.SERVING)
def edited_twice_in_the_middle() -> Story:
    told = serving("Two newer versions while a canary is under way: the last one counts")
    told.deploys("2.0.0")
    told.goes_on(seconds=40)
    told.deploys("3.0.0")
    told.goes_on(seconds=2)
    told.deploys("4.0.0")
    told.goes_on(minutes=5)
    return told


@ends(Phase.SERVING)
def back_to_stable() -> Story:
    told = serving("The spec goes back to the version that serves: the canary is over")
    told.deploys("2.0.0")
    told.goes_on(seconds=40)
    told.deploys("1.0.0")
    told.goes_on(minutes=1)
    return told


@ends(Phase.SERVING)
def aborted_then_tried_again() -> Story:
    told = serving("A person aborts a canary, and later tries it again")
    told.deploys("2.0.0")
    told.goes_on(seconds=40)
    told.asks("abort@1")
    told.goes_on(minutes=1)
    told.asks("retry@2")
    told.goes_on(minutes=5)
    return told


@ends(Phase.ROLLED_BACK)
def rollback_to_an_earlier_version() -> Story:
    told = serving("A person returns to the version before; its pods come one by one, and until all are there the other serves", stagger=2)
    told.deploys("2.0.0")
    told.goes_on(minutes=5)
    told.asks("rollback:1.0.0@1")
    told.goes_on(minutes=1)
    return told


@ends(Phase.ROLLED_BACK)
def rollback_in_the_middle_of_a_canary() -> Story:
    told = serving("In the middle of a canary a person returns to the version before stable: its pods start first, stable serves meanwhile")
    told.deploys("2.0.0")
    told.goes_on(minutes=5)
    told.deploys("3.0.0")
    told.goes_on(seconds=40)
    told.asks("rollback:1.0.0@1")
    told.goes_on(minutes=1)
    return told


@ends(Phase.SERVING)
def paused_and_scaled() -> Story:
    told = serving("Held in the middle, scaled while it waits, then released")
    rollout = told.world.spec.rollout.model_dump(by_alias=True)
    told.deploys("2.0.0")
    told.goes_on(seconds=40)
    told.edits("spec.rollout.paused: true", rollout=rollout | {"paused": True})
    told.goes_on(minutes=5)
    told.edits("spec.replicas: 5", replicas=5)
    told.goes_on(minutes=1)
    told.edits("spec.rollout.paused: false", rollout=rollout)
    told.goes_on(minutes=5)
    return told


@ends(Phase.SERVING)
def approved_by_a_person() -> Story:
    steps = [{"weight": 25, "duration": "1m", "approval": True}, {"weight": 50, "duration": "1m"}]
    title = "A step waits for a person after its time and its evidence, and so does the end"
    told = serving(title, rollout=rollout(steps=steps, approval=True))
    told.deploys("2.0.0")
    told.goes_on(seconds=40)
    told.asks("approve@1")
    told.goes_on(minutes=3)
    told.asks("approve@2")
    told.goes_on(minutes=3)
    told.asks("approve@3")
    told.goes_on(minutes=1)
    return told


@ends(Phase.ROLLED_BACK)
def harm_ends_the_wait_for_approval() -> Story:
    steps = [{"weight": 50, "duration": "20s", "approval": True}]
    told = serving("While a step waits for a person its canary goes bad: it is given up without one", rollout=rollout(steps=steps))
    told.deploys("2.0.0")
    told.goes_on(minutes=1)
    told.says("now one in five requests of 2.0.0 fails")
    told.world.cluster.bundles["2.0.0"] = bundles.FAILING
    told.goes_on(minutes=5)
    return told


@ends(Phase.SERVING)
def a_step_is_skipped() -> Story:
    told = serving("A person skips a step: the next one begins anew, with the proof it needs")
    told.deploys("2.0.0")
    told.asks("skip@1")
    told.goes_on(seconds=20)
    told.asks("skip@2")
    told.goes_on(minutes=3)
    return told


@ends(Phase.SERVING)
def paused_by_request() -> Story:
    told = serving("Paused by request, asked twice, then resumed; a step that was over meanwhile ends at once")
    told.deploys("2.0.0")
    told.goes_on(seconds=20)
    told.asks("pause@1")
    told.goes_on(minutes=5)
    told.asks("pause@2")
    told.goes_on(seconds=10)
    told.asks("resume@3")
    told.goes_on(minutes=3)
    return told


@ends(Phase.SERVING)
def a_new_version_clears_a_pause() -> Story:
    told = serving("A pause by request is of one canary: a newer version is not held by it")
    told.deploys("2.0.0")
    told.goes_on(seconds=20)
    told.asks("pause@1")
    told.goes_on(minutes=1)
    told.deploys("3.0.0")
    told.goes_on(minutes=4)
    return told


@ends(Phase.ROLLED_BACK)
def a_step_with_rules_of_its_own() -> Story:
    steps = [
        {"weight": 25, "duration": "30s", "analysis": {"onInconclusive": "Promote", "minRequests": 100000}},
        {"weight": 50, "duration": "30s", "analysis": {"onInconclusive": "Rollback", "minRequests": 100000}},
    ]
    told = serving("The first step goes on without proof, the second one does not", rollout=rollout(steps=steps))
    told.deploys("2.0.0")
    told.goes_on(minutes=3)
    return told


# ---- blue-green -----------------------------------------------------------------------------------


@ends(Phase.SERVING)
def blue_green() -> Story:
    told = serving("BlueGreen: all pods start without traffic, one switch, the old pods stay for a while", rollout=BLUE_GREEN, stagger=2)
    told.deploys("2.0.0")
    told.goes_on(minutes=2)
    return told


@ends(Phase.SERVING)
def blue_green_with_approval() -> Story:
    told = serving("BlueGreen waits for a person, who looks at the preview", rollout=BLUE_GREEN | {"approval": True})
    told.deploys("2.0.0")
    told.goes_on(minutes=5)
    told.asks("approve@1")
    told.goes_on(minutes=2)
    return told


@ends(Phase.ROLLED_BACK)
def blue_green_that_does_not_get_ready() -> Story:
    title = "BlueGreen: the golden samples differ, so traffic never leaves the old version"
    told = serving(title, {"2.0.0": bundles.MISMATCH}, rollout=BLUE_GREEN)
    told.deploys("2.0.0")
    told.goes_on(minutes=2)
    return told


@ends(Phase.ROLLED_BACK)
def blue_green_rolled_back_at_once() -> Story:
    told = serving("A person returns within the delay: the old pods are there, so one write does it", rollout=BLUE_GREEN)
    told.deploys("2.0.0")
    told.goes_on(seconds=15)
    told.asks("rollback@1")
    told.goes_on(minutes=2)
    return told


# ---- no room for more pods --------------------------------------------------------------------------


@ends(Phase.SERVING)
def no_surge() -> Story:
    told = serving("surge 0 with three replicas: one pod goes before one comes", rollout=rollout(surge=0))
    told.deploys("2.0.0")
    told.goes_on(minutes=6)
    return told


@ends(Phase.ROLLED_BACK)
def no_surge_and_a_bad_version() -> Story:
    told = serving("surge 0: the bad canary goes, and then stable's pod comes back", {"2.0.0": bundles.FAILING}, rollout=rollout(surge=0))
    told.deploys("2.0.0")
    told.goes_on(minutes=4)
    return told


@ends(Phase.SERVING)
def no_surge_and_no_steps() -> Story:
    told = serving("surge 0 without steps: pod by pod, and each takes traffic as it gets ready", rollout=rollout(surge=0, steps=[]))
    told.deploys("2.0.0")
    told.goes_on(minutes=3)
    return told


@ends(Phase.ROLLED_BACK)
def no_surge_and_back_by_request() -> Story:
    title = "surge 0: a return to the version before goes pod by pod, and traffic moves once half is there"
    told = serving(title, rollout=rollout(surge=0))
    told.deploys("2.0.0")
    told.goes_on(minutes=6)
    told.asks("rollback@1")
    told.goes_on(minutes=2)
    return told


@ends(Phase.SERVING)
def no_surge_and_one_pod() -> Story:
    title = "surge 0 with one replica: nothing serves for a while, and the status says so"
    told = serving(title, replicas=1, rollout=rollout(surge=0, steps=[]))
    told.deploys("2.0.0")
    told.goes_on(minutes=1)
    return told


@ends(Phase.ROLLED_BACK)
def no_surge_and_one_bad_pod() -> Story:
    title = "surge 0 with one replica and a bad version: stable comes back"
    told = serving(title, {"2.0.0": bundles.MISMATCH}, replicas=1, rollout=rollout(surge=0))
    told.deploys("2.0.0")
    told.goes_on(minutes=2)
    return told


@ends(Phase.SERVING)
def a_surge_of_one() -> Story:
    steps = [{"weight": 50, "duration": "1m"}]
    told = serving(
        "surge 1: one pod more than replicas at any time, so a weight of 50 % is reached by two of four",
        rollout=rollout(surge=1, steps=steps),
    )
    told.deploys("2.0.0")
    told.goes_on(minutes=4)
    return told


# ---- changes that are no new version ------------------------------------------------------------------


@ends(Phase.SERVING)
def another_runtime() -> Story:
    told = serving("Model and runtime change in one edit: a canary as any other, of two kinds of server")
    model = told.world.spec.model.model_dump(by_alias=True) | {"version": "2.0.0"}
    told.edits("spec.model.version: 2.0.0, spec.runtime.name: tensorflow-serving", model=model, runtime={"name": "tensorflow-serving"})
    told.goes_on(minutes=5)
    return told


@ends(Phase.SERVING)
def another_image() -> Story:
    told = serving("Only the server's image changes: the same bundle is a canary too")
    told.edits("spec.runtime.image: mine:2", runtime={"name": "onnxruntime", "image": "mine:2"})
    told.goes_on(minutes=5)
    return told


@ends(Phase.SERVING)
def other_resources() -> Story:
    told = serving("Only the resources change: new pods, so a canary")
    told.edits("limits.memory: 2Gi", runtime={"name": "onnxruntime", "resources": {"limits": {"memory": "2Gi"}}})
    told.goes_on(minutes=5)
    return told


@ends(Phase.SERVING)
def deleted_in_the_middle_and_created_again() -> Story:
    told = serving("Deleted in the middle of a canary and created again: nothing is remembered, the old pods end by themselves", rate=0)
    told.deploys("2.0.0")
    told.goes_on(seconds=20)
    told.deleted()
    told.says("it is created again")
    told.goes_on(minutes=1)
    return told


@ends(Phase.SERVING)
def an_autoscaler_in_a_canary() -> Story:
    told = serving("An autoscaler scales stable in the middle of a canary: the canary keeps its share, and takes over with as many pods")
    told.edits("spec.autoscaling: 2 to 8 pods", replicas=None, autoscaling={"minReplicas": 2, "maxReplicas": 8, "requestsPerSecond": 20})
    told.goes_on(seconds=30)
    told.deploys("2.0.0")
    told.goes_on(seconds=40)
    told.scales("the autoscaler makes 6 pods of stable", 6)
    told.goes_on(minutes=5)
    told.scales("the autoscaler makes 2 pods of stable", 2)
    told.goes_on(minutes=1)
    told.edits("spec.replicas: 3, no autoscaling", replicas=3, autoscaling=None)
    told.goes_on(minutes=1)
    return told


@ends(Phase.SERVING)
def somebody_scales_where_no_number_is_given() -> Story:
    told = serving("spec.replicas is absent: as many pods as somebody makes of the Deployment, through a canary too")
    told.edits("spec.replicas is removed", replicas=None)
    told.goes_on(seconds=30)
    told.scales("somebody scales the Deployment to 5", 5)
    told.goes_on(seconds=30)
    told.deploys("2.0.0")
    told.goes_on(minutes=5)
    return told


# ---- through a gateway ------------------------------------------------------------------------------


def gated(*weights: int, **traffic: Any) -> dict[str, Any]:
    """`spec.rollout` with exact weights."""
    steps = [{"weight": weight, "duration": "1m"} for weight in weights]
    through = {"gateway": {"parentRefs": [{"name": "edge"}]}} | traffic
    return {"steps": steps, "traffic": through, "analysis": {"interval": "20s"}}


@ends(Phase.SERVING)
def exact_weights_by_a_gateway() -> Story:
    told = serving("A gateway gives exact weights: 5 % with one pod of three, 80 % before promotion", rollout=gated(5, 80, header={}))
    told.deploys("2.0.0")
    told.goes_on(minutes=5)
    return told


@ends(Phase.ROLLED_BACK)
def errors_roll_back_through_a_gateway() -> Story:
    told = serving("A fifth of the requests fails: the weight goes first, then the pods", {"2.0.0": bundles.FAILING}, rollout=gated(25, 50))
    told.deploys("2.0.0")
    told.goes_on(minutes=10)
    return told


@ends(Phase.ROLLED_BACK)
def a_shadow_fails() -> Story:
    mirror = {"percent": 50, "duration": "2m"}
    told = serving("Copies of requests show errors that no client sees", {"2.0.0": bundles.FAILING}, rollout=gated(50, mirror=mirror))
    told.deploys("2.0.0")
    told.goes_on(minutes=10)
    return told


@ends(Phase.SERVING)
def a_shadow_becomes_a_canary() -> Story:
    told = serving("A shadow that answers well takes traffic", rollout=gated(50, mirror={"percent": 100}))
    told.deploys("2.0.0")
    told.goes_on(minutes=5)
    return told


@ends(Phase.SERVING)
def no_gateway_api_at_first() -> Story:
    told = serving("The spec asks for a gateway on a cluster without Gateway API: stable serves on, the canary waits")
    told.world.cluster.httproutes = False
    told.edits("spec.rollout.traffic.gateway", rollout=gated(25))
    told.deploys("2.0.0")
    told.goes_on(minutes=2)
    told.says("Gateway API is installed")
    told.world.cluster.httproutes = True
    told.goes_on(minutes=5)
    return told


@ends(Phase.SERVING)
def the_gateway_refuses_the_route() -> Story:
    told = serving("The gateway does not accept the HTTPRoute: no weight moves", rollout=gated(25))
    told.says("the listener takes no more routes")
    told.world.cluster.gateway = "Gateway edge: Accepted is False: NotAllowedByListeners"
    told.deploys("2.0.0")
    told.goes_on(minutes=2)
    told.says("the listener takes them again")
    told.world.cluster.gateway = None
    told.goes_on(minutes=5)
    return told


@ends(Phase.SERVING)
def from_a_plain_service_to_a_gateway_and_back() -> Story:
    told = serving("In the middle of a canary, from a plain Service to a gateway and back")
    plain = told.world.spec.rollout.model_dump(by_alias=True)
    told.deploys("2.0.0")
    told.goes_on(seconds=40)
    told.edits("spec.rollout.traffic.gateway", rollout=plain | {"traffic": gated()["traffic"]})
    told.goes_on(seconds=30)
    told.edits("no spec.rollout.traffic", rollout=plain)
    told.goes_on(minutes=5)
    return told


@ends(Phase.SERVING)
def somebody_else_sets_weights() -> Story:
    told = serving("Somebody else sets weights, again and again: they are put back at most twice a minute", rollout=gated(25))
    theirs = Weighted(shares=(Share("0000000000", 100),))
    for _ in range(12):
        told.says("somebody writes the HTTPRoute")
        told.world.cluster.weigh(replace(theirs, shares=(*(told.world.cluster.weighted or theirs).shares[:1], Share("0000000000", 0))))
        told.goes_on(seconds=5)
    told.goes_on(minutes=2)
    return told


# ---- the operator dies --------------------------------------------------------------------------------


@ends(Phase.SERVING)
def operator_killed_in_the_middle() -> Story:
    told = serving("The operator is killed between two actions, and again, and is away for a while: nothing is lost, nothing is done twice")
    told.deploys("2.0.0")
    told.operator_dies_in_its_next_plan(after=0)
    told.goes_on(seconds=2)
    told.operator_dies_in_its_next_plan(after=1)
    told.goes_on(seconds=30)
    told.says("the operator is away for a minute")
    told.world.cluster.advance(told.world.cluster.now + timedelta(minutes=1))
    told.goes_on(minutes=1)
    told.operator_dies_in_its_next_plan(after=1)
    told.goes_on(minutes=5)
    return told


@ends(Phase.ROLLED_BACK)
def status_wiped_after_a_rollback() -> Story:
    told = serving("The status is wiped after a rollback: the failed version is not tried again", {"2.0.0": bundles.MISMATCH})
    told.deploys("2.0.0")
    told.goes_on(minutes=1)
    told.says("somebody wipes the status")
    told.world.stored = {}
    told.goes_on(minutes=10)
    return told


@ends(Phase.SERVING)
def stable_dies_during_a_canary() -> Story:
    told = serving("All pods of stable crash during a canary: the canary answers until they are back", replicas=1)
    told.deploys("2.0.0")
    told.goes_on(seconds=30)
    told.says("stable's pod crashes")
    told.world.cluster.crash(told.world.cluster.of(told.world.revision("1.0.0").id)[0])
    told.goes_on(minutes=5)
    return told


STORIES |= inplace.STORIES

# ---- played -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", STORIES)
def test_stories_are_told_as_before(name: str, update_golden: bool) -> None:
    play, phase = STORIES[name]
    told = play()
    path = GOLDEN / f"{name}.txt"
    if update_golden:
        path.parent.mkdir(exist_ok=True)
        path.write_text(told.text(), encoding="utf-8")
    assert told.world.status.phase is phase
    assert (told.world.cluster.lost > 0) == (name in NOTHING_SERVES)
    assert told.text() == path.read_text(encoding="utf-8"), "if this change is wanted: pytest tests/stories --update-golden"


def test_every_golden_file_is_a_story() -> None:
    assert {path.stem for path in GOLDEN.glob("*")} == set(STORIES)
