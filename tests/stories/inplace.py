"""Stories of `update: InPlace`: new versions come to the pods that run."""

from collections.abc import Callable
from datetime import timedelta
from typing import Any

from tests.stories.telling import Story
from volary.api.v1alpha1 import ModelDeploymentSpec, Phase
from volary.simulation import bundles
from volary.simulation.bundles import Bundle
from volary.simulation.holding import FULL

Play = Callable[[], Story]
STORIES: dict[str, tuple[Play, Phase]] = {}
NO_ROOM = Bundle(fate=FULL)


def ends(phase: Phase) -> Callable[[Play], Play]:
    def note(play: Play) -> Play:
        STORIES[play.__name__] = (play, phase)
        return play

    return note


def serving(title: str, versions: dict[str, Bundle] | None = None, **fields: Any) -> Story:
    """1.0.0 serves since a minute, in pods that take further versions."""
    told = Story.of(title, bundles=versions, **{"update": "InPlace", "replicas": 2} | fields)
    told.goes_on(minutes=1)
    told.begins_here(f"version 1.0.0 serves with {told.world.spec.replicas} pods")
    return told


def resources(spec: ModelDeploymentSpec, memory: str) -> dict[str, Any]:
    return spec.runtime.model_dump(by_alias=True) | {"resources": {"limits": {"memory": memory}}}


@ends(Phase.SERVING)
def in_place_first_deploy() -> Story:
    told = Story.of("The first version in pods that will take others: what they hold is written before they start", update="InPlace")
    told.goes_on(minutes=1)
    return told


@ends(Phase.SERVING)
def in_place_good() -> Story:
    told = serving("A good version is loaded beside the old one, gets its share step by step and takes over; no pod starts or ends")
    told.deploys("2.0.0")
    told.goes_on(minutes=5)
    return told


@ends(Phase.ROLLED_BACK)
def in_place_golden_mismatch() -> Story:
    told = serving("A version fails its golden samples beside the old one: no request ever reaches it", {"2.0.0": bundles.MISMATCH})
    told.deploys("2.0.0")
    told.goes_on(minutes=5)
    return told


@ends(Phase.ROLLED_BACK)
def in_place_memory_too_small() -> Story:
    told = serving("Two versions do not fit: the pods refuse the new one with numbers and go on", {"2.0.0": NO_ROOM})
    told.deploys("2.0.0")
    told.goes_on(minutes=5)
    return told


@ends(Phase.ROLLED_BACK)
def in_place_errors_roll_back() -> Story:
    told = serving("One in five requests of the new version fails: its weight is taken away by one write", {"2.0.0": bundles.FAILING})
    told.deploys("2.0.0")
    told.goes_on(minutes=5)
    return told


@ends(Phase.SERVING)
def in_place_operator_dies_in_the_middle() -> Story:
    told = serving("The operator is killed between the write and the nudges: the kubelet's own period brings the split to the pods")
    told.deploys("2.0.0")
    told.goes_on(seconds=4)
    told.operator_dies_in_its_next_plan(after=1)
    told.says("the operator is away for two minutes")
    told.world.cluster.advance(told.world.cluster.now + timedelta(minutes=2))
    told.goes_on(minutes=1)
    told.operator_dies_in_its_next_plan(after=1)
    told.goes_on(minutes=5)
    return told


@ends(Phase.SERVING)
def in_place_new_pods_while_the_operator_is_away() -> Story:
    told = serving("Pods start in the middle of a canary while nobody looks: they mount the split and come up on it")
    told.deploys("2.0.0")
    told.goes_on(seconds=20)
    told.says("the operator is away for half a minute; the Deployment is scaled to 4")
    (shape,) = told.world.cluster.deployments
    told.world.cluster.deployments[shape] = 4
    told.world.cluster.advance(told.world.cluster.now + timedelta(seconds=30))
    told.edits("spec.replicas: 4", replicas=4)
    told.goes_on(minutes=5)
    return told


@ends(Phase.ROLLED_BACK)
def in_place_back_to_a_kept_revision() -> Story:
    told = serving("The version before is still in the pods: a rollback is one write, nothing is fetched or loaded")
    told.deploys("2.0.0")
    told.goes_on(minutes=5)
    told.asks("rollback@1")
    told.goes_on(minutes=1)
    return told


@ends(Phase.ROLLED_BACK)
def in_place_back_to_an_older_revision_in_a_canary() -> Story:
    told = serving("In the middle of a canary a person returns to a version that is loaded no more: stable serves until it is proved anew")
    told.deploys("2.0.0")
    told.goes_on(minutes=5)
    told.deploys("3.0.0")
    told.goes_on(seconds=40)
    told.asks("rollback:1.0.0@1")
    told.goes_on(minutes=1)
    return told


@ends(Phase.SERVING)
def in_place_nudges_get_lost() -> Story:
    told = serving("No nudge reaches the pods: all takes the kubelet's period longer, and is told again now and then", replicas=1)
    told.world.cluster.deaf = True
    told.deploys("2.0.0")
    told.goes_on(minutes=8)
    return told


@ends(Phase.SERVING)
def in_place_other_resources() -> Story:
    told = serving("Another memory limit cannot come to pods that run: a canary between Deployments, then in place again")
    told.edits("spec.runtime.resources.limits.memory: 2Gi", runtime=resources(told.world.spec, "2Gi"))
    told.goes_on(minutes=5)
    told.deploys("2.0.0")
    told.goes_on(minutes=5)
    return told


@ends(Phase.SERVING)
def in_place_and_back_to_replace() -> Story:
    told = serving("From Replace to InPlace and back: another shape, so each is a canary between Deployments", update="Replace")
    told.edits("spec.update: InPlace", update="InPlace")
    told.goes_on(minutes=5)
    told.edits("spec.update: Replace", update="Replace")
    told.goes_on(minutes=5)
    return told


@ends(Phase.SERVING)
def in_place_somebody_deletes_the_config_map() -> Story:
    told = serving("Somebody deletes the ConfigMap in the middle of a canary: it is written again, above the last generation pods know")
    told.deploys("2.0.0")
    told.goes_on(seconds=30)
    told.says("the ConfigMap is deleted")
    told.world.cluster.splits.clear()
    told.goes_on(minutes=5)
    return told
