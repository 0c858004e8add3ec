"""A random world against every plan: people change their minds, pods die, the operator dies and forgets.

`HYPOTHESIS_PROFILE=thorough` looks longer (minutes instead of seconds).
"""

import os
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import Phase as Stage
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule
from typing_extensions import override

from tests.world.invariants import TERMINAL, Guard
from tests.world.specs import spec
from volary.api.v1alpha1 import Phase, Update
from volary.common.reasons import Reason
from volary.planning.model import NoService, Problem
from volary.planning.outside import Ending
from volary.planning.weighted import Share, Weighted
from volary.simulation import bundles
from volary.simulation.cluster import CRASH, Cluster
from volary.simulation.world import SOON, World

VERSIONS = ("1", "2", "3", "4")
FATES = {
    "good": bundles.GOOD,
    "flawed": bundles.FLAWED,
    "failing": bundles.FAILING,
    "slow": bundles.SLOW,
    "drifted": bundles.DRIFTED,
    "mismatch": bundles.MISMATCH,
    "hungry": bundles.HUNGRY,
    "silent": bundles.SILENT,
    "no image": bundles.NO_IMAGE,
    "refused": bundles.REFUSED,
    "flaky": bundles.FLAKY,
}
STEPS: tuple[list[dict[str, object]], ...] = (
    [],
    [{"weight": 25, "duration": "1m"}, {"weight": 50, "duration": "1m"}],
    [{"weight": 10, "duration": "30s"}, {"weight": 20, "duration": "0s"}, {"weight": 100, "duration": "1m"}],
    [{"weight": 40, "duration": "20s", "approval": True}, {"weight": 60, "analysis": {"interval": "10s", "onInconclusive": "Promote"}}],
)
METRICS: tuple[dict[str, object], ...] = (
    {},
    {"latency": {}, "drift": {}, "restarts": {}},
    {"errors": {"tolerance": "5%"}, "drift": {"dryRun": True}, "latency": {"maxDuration": "10ms"}},
)
TURNED = (bundles.GOOD, bundles.FLAWED, bundles.FAILING, bundles.SLOW, bundles.DRIFTED)  # that start and serve
GATEWAY: dict[str, object] = {"parentRefs": [{"name": "edge"}]}
TRAFFIC: tuple[dict[str, object] | None, ...] = (
    None,
    {"gateway": GATEWAY},
    {"gateway": GATEWAY, "header": {}, "mirror": {"percent": 20, "duration": "30s"}},
)
SHAPES: dict[str, dict[str, object]] = {
    "canary": {},
    "approved canary": {"approval": True},
    "canary that lingers": {"scaleDownDelay": "20s"},
    "surge 0": {"surge": 0},
    "surge 1": {"surge": 1},
    "blue-green": {"strategy": "BlueGreen", "steps": []},
    "approved blue-green": {"strategy": "BlueGreen", "steps": [], "approval": True, "scaleDownDelay": "2m"},
}
VERBS = ("promote", "pause", "resume", "skip", "approve", "abort", "retry", "rollback")
# Who else judges the canary: spec.rollout.analysis.
OTHERS: dict[str, dict[str, object]] = {
    "query": {"queries": [{"name": "p99", "query": "x", "max": 1, "interval": "15s"}]},
    "job": {"jobs": [{"name": "smoke", "template": {"image": "i"}}]},
    "late job": {"jobs": [{"name": "late", "template": {"image": "i"}, "atStep": 2, "dryRun": True}]},
    "golden": {"synthetic": {"enabled": True}},
}
MANY_TURNS = 900


class Delivery(RuleBasedStateMachine):
    """One ModelDeployment and all that can happen to it."""

    def __init__(self) -> None:
        super().__init__()
        self.world = World(spec=spec("1"))
        self.guard = Guard(self.world)
        self.calm = True  # nothing but people and the operator did anything: then no request may be lost

    # ---- beginnings -------------------------------------------------------------------------------

    @initialize(
        start=st.sampled_from(["nothing", "rollout", "history"]),
        fates=st.lists(st.sampled_from(sorted(FATES)), min_size=4, max_size=4),
        replicas=st.integers(1, 4),
        seed=st.integers(0, 9),
        seconds=st.integers(0, 150),
        stagger=st.sampled_from([0, 3]),
        collection=st.sampled_from([0.5, 20]),
        shape=st.sampled_from(["canary", *sorted(SHAPES)]),
        update=st.sampled_from(["Replace", "InPlace"]),
    )
    def begins(
        self,
        *,
        start: str,
        fates: list[str],
        replicas: int,
        seed: int,
        seconds: int,
        stagger: float,
        collection: float,
        shape: str,
        update: str,
    ) -> None:
        """With nothing, in the middle of a rollout, or in the middle of one after earlier ones."""
        good = {"nothing": 0, "rollout": 1, "history": 2}[start]
        its = [bundles.GOOD] * good + [FATES[name] for name in fates[good:]]
        cluster = Cluster(
            seed=seed,
            rate=50,
            bundles=dict(zip(VERSIONS, its, strict=True)),
            stagger=timedelta(seconds=stagger),
            collection=timedelta(seconds=collection),
        )
        rollout = spec("1").rollout.model_dump(by_alias=True)
        self.world = World(spec=spec("1", replicas=replicas, rollout=rollout | {"steps": []}, history=1, update=update), cluster=cluster)
        self.guard = Guard(self.world)
        for version in VERSIONS[:good]:
            self.world.deploy(version)
            self._turns(timedelta(seconds=20))
        self._edit(rollout=rollout | SHAPES[shape])
        if good:
            self.world.deploy(VERSIONS[good])
            self._turns(timedelta(seconds=seconds))

    # ---- people -------------------------------------------------------------------------------------

    @rule(version=st.sampled_from(VERSIONS))
    def deploys(self, version: str) -> None:
        self.world.deploy(version)

    @rule(replicas=st.integers(1, 5))
    def scales(self, replicas: int) -> None:
        self._edit(replicas=replicas)

    @rule(
        shape=st.sampled_from(sorted(SHAPES)),
        steps=st.sampled_from(STEPS),
        inconclusive=st.sampled_from(["Extend", "Pause", "Promote", "Rollback"]),
        interval=st.sampled_from(["20s", "45s"]),
        paused=st.booleans(),
        metrics=st.sampled_from(METRICS),
        watch=st.sampled_from([None, "2m"]),
        traffic=st.sampled_from(TRAFFIC),
    )
    def edits_the_rollout(
        self,
        shape: str,
        steps: list[dict[str, object]],
        inconclusive: str,
        interval: str,
        paused: bool,
        metrics: dict[str, object],
        watch: str | None,
        traffic: dict[str, object] | None,
    ) -> None:
        analysis = {"interval": interval, "onInconclusive": inconclusive} | metrics
        rollout = {"steps": steps, "paused": paused, "watchAfterPromotion": watch, "analysis": analysis}
        inside = self.world.spec.update is Update.IN_PLACE
        through = {} if inside or "surge" in shape or ("blue" in shape and traffic and "mirror" in traffic) else {"traffic": traffic}
        self._edit(rollout=rollout | SHAPES[shape] | through)

    @rule(version=st.sampled_from(VERSIONS), how=st.sampled_from(["failing", "slow", "drifted"]))
    def a_version_turns_bad(self, version: str, how: str) -> None:
        """Its inputs have changed, whether it is a canary or stable."""
        if self.world.cluster.bundle(version) in TURNED:
            self.world.cluster.spoil(version, FATES[how])

    def _edit(self, **fields: Any) -> None:
        """With one pod and no surge it goes before the other one comes: then requests are lost."""
        self.world.edit(**fields)
        if self.world.spec.replicas == 1 and self.world.spec.rollout.surge == 0:
            self.calm = False

    @rule(others=st.lists(st.sampled_from(sorted(OTHERS)), min_size=1, max_size=2, unique=True))
    def lets_others_judge(self, others: list[str]) -> None:
        analysis: dict[str, object] = {"interval": "20s"}
        for kind in others:
            analysis |= OTHERS[kind]
        self.world.edit(rollout={"steps": STEPS[1], "analysis": analysis})

    @rule(value=st.sampled_from([0.5, 2.0, "the query gives no data"]), ending=st.sampled_from(Ending), prometheus=st.booleans())
    def others_change_their_minds(self, value: float | str, ending: Ending, prometheus: bool) -> None:
        others = self.world.cluster.outside
        others.values["p99"], others.prometheus = value, prometheus
        others.fates = dict.fromkeys(("smoke", "late"), (ending, "said so"))

    @rule()
    def somebody_deletes_the_judges(self) -> None:
        self.world.cluster.outside.jobs.clear()

    @rule(pinned=st.booleans())
    def pins_the_digest(self, pinned: bool) -> None:
        model = self.world.spec.model.model_dump(by_alias=True)
        self.world.edit(model=model | {"digest": bundles.digest(model["version"]) if pinned else None})

    @rule(update=st.sampled_from(["Replace", "InPlace"]))
    def edits_the_update(self, update: str) -> None:
        rollout = self.world.spec.rollout.model_dump(by_alias=True, exclude_none=True)
        free = {key: value for key, value in rollout.items() if key != "traffic"} if update == "InPlace" else rollout
        self.world.edit(update=update, rollout=free)

    @rule(memory=st.sampled_from(["1Gi", "2Gi"]))
    def edits_the_resources(self, memory: str) -> None:
        self.world.edit(runtime={"name": "onnxruntime", "resources": {"limits": {"memory": memory}}})

    @rule(history=st.integers(1, 3))
    def edits_the_history(self, history: int) -> None:
        self.world.edit(history=history)

    @rule(verb=st.sampled_from(VERBS), of=st.sampled_from(["", ":1", ":2", ":3"]), nonce=st.integers(1, 3))
    def asks_for(self, verb: str, of: str, nonce: int) -> None:
        self.world.request = f"{verb}{of}@{nonce}"

    @rule(rate=st.sampled_from([0.0, 0.5, 50.0]))
    def clients_come_and_go(self, rate: float) -> None:
        self.world.cluster.rate = rate

    # ---- the operator -------------------------------------------------------------------------------

    @rule()
    def turns_once(self) -> None:
        self._turn()

    @rule(seconds=st.sampled_from([1, 3, 5, 20, 60, 70, 300, 700]))
    def time_passes(self, seconds: int) -> None:
        self._turns(timedelta(seconds=seconds))

    @rule(seconds=st.sampled_from([1, 5, 60, 700]))
    def the_operator_is_away(self, seconds: int) -> None:
        self.world.cluster.advance(self.world.cluster.now + timedelta(seconds=seconds))

    @rule(actions=st.integers(0, 3))
    def the_operator_dies(self, actions: int) -> None:
        """In its next plan that has more actions than it gets to."""
        for _ in range(30):
            turn = self.world.think()
            self.guard.plan_is_sound(turn)
            if len(turn.plan.actions) > actions:
                self.world.act(turn, dies_after=actions)
                return
            self._turn()
            wake = self.world.wake(self.world.think())
            if wake is None:
                return
            self.world.cluster.advance(wake)

    @rule()
    def the_status_is_wiped(self) -> None:
        self.world.stored = {}

    @rule(milliseconds=st.integers(1, 1500))
    def the_world_moves_while_the_operator_thinks(self, milliseconds: int) -> None:
        turn = self.world.think()
        self.guard.plan_is_sound(turn)
        self.world.cluster.advance(self.world.cluster.now + timedelta(milliseconds=milliseconds))
        self.world.act(turn)

    # ---- faults -------------------------------------------------------------------------------------

    @rule(which=st.integers(0, 9), loud=st.booleans())
    @precondition(lambda self: self.world.cluster.pods)
    def a_pod_crashes(self, which: int, loud: bool) -> None:
        self.calm = False
        pods = self.world.cluster.pods
        self.world.cluster.crash(pods[which % len(pods)], CRASH if loud else None)

    @rule()
    def all_pods_crash(self) -> None:
        self.calm = False
        for pod in self.world.cluster.pods:
            self.world.cluster.crash(pod)

    @rule(which=st.integers(0, 9))
    @precondition(lambda self: self.world.cluster.pods)
    def a_pod_is_evicted(self, which: int) -> None:
        self.calm = False
        pods = self.world.cluster.pods
        self.world.cluster.evict(pods[which % len(pods)])

    @rule(which=st.integers(0, 3), replicas=st.integers(0, 6))
    @precondition(lambda self: self.world.cluster.deployments)
    def somebody_scales_a_deployment(self, which: int, replicas: int) -> None:
        self.calm = False
        names = sorted(self.world.cluster.deployments)
        self.world.cluster.deployments[names[which % len(names)]] = replicas
        self.world.cluster.advance(self.world.cluster.now + SOON)

    @rule(which=st.integers(0, 3))
    @precondition(lambda self: self.world.cluster.deployments)
    def somebody_deletes_a_deployment(self, which: int) -> None:
        self.calm = False
        names = sorted(self.world.cluster.deployments)
        self.world.cluster.delete(names[which % len(names)])

    @rule()
    def somebody_deletes_the_service(self) -> None:
        self.calm = False
        self.world.cluster.route(NoService())

    @rule(which=st.integers(0, 3))
    @precondition(lambda self: self.world.cluster.splits)
    def somebody_deletes_a_config_map(self, which: int) -> None:
        self.calm = False
        names = sorted(self.world.cluster.splits)
        del self.world.cluster.splits[names[which % len(names)]]

    @rule(deaf=st.booleans())
    def nudges_get_lost(self, deaf: bool) -> None:
        self.world.cluster.deaf = deaf

    @rule(which=st.integers(0, 9), answers=st.booleans())
    @precondition(lambda self: any(pod.hold for pod in self.world.cluster.pods))
    def an_agent_is_silent(self, which: int, answers: bool) -> None:
        holds = [pod.hold for pod in self.world.cluster.pods if pod.hold is not None]
        holds[which % len(holds)].answers = answers

    @rule(by=st.integers(0, 100))
    @precondition(lambda self: self.world.cluster.weighted)
    def somebody_writes_the_route(self, by: int) -> None:
        self.calm = False
        shares = self.world.cluster.weighted.shares if self.world.cluster.weighted else ()
        self.world.cluster.weigh(Weighted(shares=tuple(Share(share.revision, by) for share in shares)))

    @rule()
    @precondition(lambda self: self.world.cluster.weighted)
    def somebody_deletes_the_route(self) -> None:
        self.calm = False
        self.world.cluster.weigh(None)

    @rule(trouble=st.sampled_from([None, "Gateway edge: Accepted is False: NotAllowedByListeners"]), served=st.booleans())
    def the_gateway_changes_its_mind(self, trouble: str | None, served: bool) -> None:
        self.world.cluster.gateway, self.world.cluster.httproutes = trouble, served

    @rule()
    def somebody_deletes_the_jobs(self) -> None:
        self.world.cluster.jobs.clear()

    @rule()
    def the_secret_is_missing(self) -> None:
        for job in self.world.cluster.jobs.values():
            job.problem = Problem(reason=Reason.SECRET_NOT_FOUND, message='secret "models-s3" not found')

    @rule(version=st.sampled_from(VERSIONS), fate=st.sampled_from(sorted(FATES)))
    def a_bundle_changes_its_ways(self, version: str, fate: str) -> None:
        self.calm = False
        self.world.cluster.bundles[version] = FATES[fate]

    # ---- what must hold -----------------------------------------------------------------------------

    @invariant()
    def no_request_is_lost_while_all_is_calm(self) -> None:
        assert not self.calm or self.world.cluster.lost == 0, f"{self.world.cluster.lost} requests were lost"

    def _turn(self) -> None:
        thought = self.world.think()
        self.guard.plan_is_sound(thought)
        self.world.act(thought)
        self.guard.traffic_is_where_it_can_be_served(thought)
        if self.world.idle(thought):
            self.guard.nothing_follows_before_the_wake_up(thought)

    def _turns(self, span: timedelta) -> None:
        """Turns as an operator takes them until the time is over."""
        end = self.world.cluster.now + span
        for _ in range(MANY_TURNS):
            self._turn()
            wake = self.world.wake(self.world.think())
            if wake is None or wake > end:
                self.world.cluster.advance(end)
                return
            self.world.cluster.advance(wake)
        raise AssertionError(f"more than {MANY_TURNS} turns in {span}")

    @override
    def teardown(self) -> None:
        """Faults end, clients come: in the end everything is settled."""
        cluster = self.world.cluster
        cluster.rate, cluster.refusals = 50.0, {}
        cluster.gateway, cluster.httproutes = None, True
        for job in cluster.jobs.values():
            job.problem = None
        for revision in cluster.revisions.values():
            if revision.promoted:
                cluster.heal(revision.version)
        self._turns(timedelta(minutes=30))
        for _ in range(10):
            turn = self.world.turn()
            if turn.plan.status.phase in TERMINAL and (turn.plan.status.phase is Phase.PAUSED or self.world.idle(turn)):
                break
            cluster.advance(cluster.now + timedelta(minutes=1))
        self.guard.world_is_settled(self.world.turn())


settings.register_profile("quick", max_examples=120, stateful_step_count=25)
settings.register_profile("thorough", max_examples=3000, stateful_step_count=60)
_NO_LIMITS = settings(
    settings.get_profile(os.environ.get("HYPOTHESIS_PROFILE", "quick")),
    deadline=None,
    derandomize=os.environ.get("HYPOTHESIS_PROFILE", "quick") == "quick",
    suppress_health_check=list(HealthCheck),
    phases=[Stage.generate, Stage.shrink],  # explaining a failure traces every line, for minutes
)
TestDelivery = pytest.mark.timeout(3600)(Delivery.TestCase)  # a failure takes minutes to be made small
TestDelivery.settings = _NO_LIMITS
