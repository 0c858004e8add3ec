"""The cluster: does what it is told, in its own time.

Deployments start and end pods, pods get ready or meet their bundle's fate, a changed Service
reaches the nodes a second later, garbage collection takes its time, and clients send requests all
the while. `watch` is called after every change, so nothing bad can happen unseen in between.
"""

import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import assert_never

from volary.api.v1alpha1 import DisruptionBudget, Update
from volary.bundle.split import Split
from volary.common.reasons import Reason
from volary.planning import inplace
from volary.planning.holdings import Holding, State, Written
from volary.planning.model import (
    Action,
    Autoscaler,
    Count,
    DeleteAutoscaler,
    DeleteBudget,
    DeleteCheck,
    DeletePreflight,
    DeleteRevision,
    DeleteWorkload,
    Directing,
    EnsureAutoscaler,
    EnsureBudget,
    EnsureWorkload,
    MarkRevision,
    NoService,
    Nudge,
    Only,
    Pod,
    Preview,
    Problem,
    RecordRevision,
    ReleaseRoute,
    Revision,
    Route,
    Scaling,
    Shared,
    StartCheck,
    StartPreflight,
    Traffic,
    Weigh,
    Workload,
    WriteSplit,
)
from volary.planning.shape import carrier
from volary.planning.weighted import HttpRoute, NoRoute, Routed, Unroutable, Weighted
from volary.simulation.bundles import GOOD, Bundle, passed
from volary.simulation.holding import KUBELET, MOUNT, NUDGED, Hold
from volary.simulation.others import Others
from volary.simulation.pods import Job, ModelPod

START = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)
ROUTING_LAG = timedelta(seconds=1)  # until the nodes know a Service's new selector
DRAIN = timedelta(seconds=5)  # a pod that is told to end goes on serving for so long
TAKE_OVER = timedelta(milliseconds=300)  # until the gateway has taken a changed HTTPRoute over
PREFLIGHT_TIME = timedelta(seconds=3)


@dataclass(slots=True)
class Cluster:
    """All that exists."""

    seed: int = 0
    rate: float = 0.0  # requests a second
    stagger: timedelta = timedelta(0)  # each further pod of a Deployment takes so much longer to get ready
    collection: timedelta = timedelta(seconds=0.5)  # until the pods of a deleted Deployment are told to end
    now: datetime = START
    bundles: dict[str, Bundle] = field(default_factory=dict)
    revisions: dict[str, Revision] = field(default_factory=dict)
    jobs: dict[str, Job] = field(default_factory=dict)
    deployments: dict[str, int] = field(default_factory=dict)  # revision -> replicas
    floating: set[str] = field(default_factory=set)  # revisions whose number of pods is others' affair
    autoscalers: dict[str, Autoscaler] = field(default_factory=dict)
    budget: DisruptionBudget | None = None
    pods: list[ModelPod] = field(default_factory=list)
    traffic: Traffic = field(default_factory=NoService)
    weighted: Weighted | None = None  # what the HTTPRoute says; all requests come through the gateway then
    gateway: str | None = None  # why the gateway does not accept the HTTPRoute
    httproutes: bool = True  # whether the cluster has the kind
    preview: str | None = None  # revision that the preview Service selects
    served: bool = False  # clients had an answer once
    lost: float = 0.0  # requests that found no pod after that
    refusals: dict[str, Problem] = field(default_factory=dict)  # revision -> why no pod of it is admitted
    splits: dict[str, Written] = field(default_factory=dict)  # ConfigMaps, by shape
    deaf: bool = False  # nudges get lost
    outside: Others = field(default_factory=Others)
    watch: Callable[[], None] = lambda: None
    _routes: list[tuple[datetime, Traffic]] = field(default_factory=list)
    _weights: list[tuple[datetime, Weighted | None]] = field(default_factory=list)
    _random: random.Random = field(default_factory=random.Random)
    _attempts: dict[str, int] = field(default_factory=dict)
    _uid: int = 0
    _owed: float = 0.0

    def __post_init__(self) -> None:
        self._random.seed(self.seed)

    # ---- what the operator does -----------------------------------------------------------------

    def apply(self, action: Action, version: str) -> None:  # noqa: C901 -- one case for each action
        """One action; `version` is the spec's, which a preflight checks."""
        match action:
            case StartPreflight() | DeletePreflight():
                self._preflight(action, version)
            case RecordRevision(revision=revision):
                self.revisions[revision.id] = revision
            case MarkRevision(revision=name, promoted=promoted, failed=failed, asked=asked):
                self.revisions[name] = replace(self.revisions[name], promoted=promoted, failed=failed, asked=asked)
            case DeleteRevision(revision=name):
                self.revisions.pop(name, None)
            case EnsureWorkload(revision=revision, replicas=replicas, floating=floating):
                self.deployments[revision.id] = replicas
                self.floating = self.floating | {revision.id} if floating else self.floating - {revision.id}
            case EnsureAutoscaler() | DeleteAutoscaler() | EnsureBudget() | DeleteBudget():
                self._scale(action)
            case DeleteWorkload(revision=name):
                self.delete(name)
            case Route() | Preview() | Weigh() | ReleaseRoute():
                self._direct(action)
            case WriteSplit() | Nudge():
                self._inside_pods(action)
            case StartCheck() | DeleteCheck():
                self.outside.do(action, self.now)
            case _:
                assert_never(action)
        self._control()
        self.watch()

    def _preflight(self, action: StartPreflight | DeletePreflight, version: str) -> None:
        if isinstance(action, StartPreflight):
            self.jobs.setdefault(action.request, self._job(action.request, version))
        else:
            self.jobs.pop(action.request, None)

    def _inside_pods(self, action: WriteSplit | Nudge) -> None:
        match action:
            case WriteSplit(shape=name, split=split, at=at):
                self._write(name, split, at)
            case Nudge(pod=name, generation=generation, at=at):
                self._nudge(name, inplace.nudge(generation, at))

    def _write(self, shape: str, split: Split, at: datetime) -> None:
        self.splits[shape] = Written(shape=shape, split=split, at=at)
        for pod in self.pods:
            if pod.hold is not None and pod.revision == shape and pod.hold.seen:
                pod.hold.hears(self.now + KUBELET)

    def _nudge(self, name: str, note: str) -> None:
        for pod in self.pods:
            if pod.hold is not None and f"pod-{pod.uid}" == name:
                pod.hold.nudged = note
                if not self.deaf:
                    pod.hold.hears(self.now + NUDGED)

    def _direct(self, action: Directing) -> None:
        match action:
            case Route(to=to):
                self.route(to)
            case Preview(revision=name):
                self.preview = name
            case Weigh(to=weights):
                self.weigh(weights)
            case ReleaseRoute():
                self.weigh(None)

    def _scale(self, action: Scaling) -> None:
        match action:
            case EnsureAutoscaler(autoscaler=wanted):
                self.autoscalers[wanted.revision] = wanted
            case DeleteAutoscaler(revision=name):
                self.autoscalers.pop(name, None)
            case EnsureBudget(budget=budget):
                self.budget = budget
            case DeleteBudget():
                self.budget = None

    def _job(self, request: str, version: str) -> Job:
        attempt = self._attempts.get(version, 0)
        self._attempts[version] = attempt + 1
        answers = self.bundle(version).answers
        outcome = answers[attempt] if attempt < len(answers) else passed(version)
        return Job(request=request, version=version, ends=self.now + PREFLIGHT_TIME, outcome=outcome)

    # ---- what others do -------------------------------------------------------------------------

    def bundle(self, version: str) -> Bundle:
        """What becomes of a version; good, if nothing is said."""
        return self.bundles.get(version, GOOD)

    def route(self, to: Traffic) -> None:
        """The Service at once, the nodes a little later."""
        self.traffic = to
        self._routes.append((self.now + ROUTING_LAG, to))

    def weigh(self, to: Weighted | None) -> None:
        """The HTTPRoute is written, by whomever, or deleted."""
        self.weighted = to
        self._weights.append((self.now + TAKE_OVER, to))

    def delete(self, revision: str) -> None:
        """The Deployment at once, its pods by garbage collection."""
        self.deployments.pop(revision, None)
        self.splits.pop(revision, None)
        for pod in self._own(revision):
            pod.orphaned = pod.orphaned or self.now + self.collection

    def crash(self, pod: ModelPod, problem: Problem | None = None) -> None:
        """Not ready until it has started again, or never, if that is its bundle's fate."""
        pod.ready, pod.problem, pod.restarts = False, problem, pod.restarts + 1
        pod.requests, pod.errors, pod.slow, pod.odd = 0, 0, 0.0, 0.0
        pod.due = self.now + self._bundle_of(pod).start
        if pod.hold is not None:
            pod.hold.restart(self.now, self._loads)
        self.watch()

    def evict(self, pod: ModelPod) -> None:
        """A node is drained."""
        pod.gone = pod.gone or self.now + DRAIN
        self._control()
        self.watch()

    def spoil(self, version: str, bundle: Bundle) -> None:
        """What was good is good no more: its inputs have changed."""
        self.bundles[version] = bundle

    def heal(self, version: str) -> None:
        """Whatever was wrong with a bundle is mended; pods that met their fate start again."""
        self.bundles[version] = GOOD
        for pod in self.pods:
            revision = self.revisions.get(pod.revision)
            if revision is not None and revision.version == version and not pod.ready:
                pod.due = self.now + GOOD.start
            if pod.hold is not None:
                pod.hold.mend(self.now, self._loads)

    # ---- what is seen ---------------------------------------------------------------------------

    def of(self, revision: str) -> list[ModelPod]:
        """Pods of a revision that are not told to end; its shape's, if it shares them."""
        known = self.revisions.get(revision)
        return self._own(carrier(known) if known else revision)

    def _own(self, carried: str) -> list[ModelPod]:
        return [pod for pod in self.pods if pod.revision == carried and pod.gone is None]

    def ready(self, revision: str) -> int:
        """Ready pods that are not told to end."""
        return sum(pod.ready and self._has(pod, revision) for pod in self.of(revision))

    def _has(self, pod: ModelPod, revision: str) -> bool:
        return pod.hold is None or (revision in pod.hold.loaded and pod.hold.loaded[revision].state is State.READY)

    def lasting(self, revision: str) -> int:
        """Ready pods that no garbage collection is about to end."""
        return sum(pod.ready and pod.orphaned is None and self._has(pod, revision) for pod in self.of(revision))

    def workloads(self) -> tuple[Workload, ...]:
        """The Deployments with their pods."""
        return tuple(
            Workload(
                revision=revision,
                replicas=replicas,
                pods=tuple(pod.seen() for pod in self.pods if pod.revision == revision),
                problem=self.refusals.get(revision),
                owned=revision not in self.floating,
            )
            for revision, replicas in sorted(self.deployments.items())
        )

    def strangers(self) -> tuple[Pod, ...]:
        """Live pods whose Deployment is gone."""
        return tuple(pod.seen() for pod in self.pods if pod.revision not in self.deployments and pod.gone is None)

    def counts(self) -> tuple[Count, ...]:
        """Of the pods that answer a scrape."""
        answering = (pod for pod in self.pods if pod.ready and pod.revision in self.deployments)
        return tuple(count for pod in answering for count in pod.counted())

    def holdings(self) -> tuple[Holding, ...]:
        """Of the agents that answer."""
        said = (pod.hold.says(pod.uid) for pod in self.pods if pod.hold is not None and pod.gone is None)
        return tuple(holding for holding in said if holding is not None)

    def carried(self, carrier: str) -> set[str]:
        """Revisions that get requests where this Deployment gets them."""
        written = self.splits.get(carrier)
        if written is None or written.split is None:  # the pods go on with what they have
            holds = (pod.hold for pod in self._own(carrier) if pod.hold is not None)
            return {name for hold in holds for name, weight in hold.weights.items() if weight > 0} or {carrier}
        return {share.revision for share in written.split.shares if share.weight > 0}

    def http_route(self) -> HttpRoute:
        """As an operator sees it."""
        if not self.httproutes:
            return Unroutable(Reason.GATEWAY_ABSENT, "the cluster has no HTTPRoutes")
        if self.weighted is None:
            return NoRoute()
        taken_over = not self._weights or self._weights[-1][0] <= self.now
        return Routed(to=self.weighted, current=taken_over, problem=self.gateway)

    def targeted(self) -> set[str]:
        """Revisions that the Service selects, whether or not they have a ready pod."""
        match self.traffic:
            case Only(revision=revision):
                return self.carried(revision)
            case Shared():
                every = self.deployments.keys() | {pod.revision for pod in self.pods if pod.gone is None}
                return {name for one in every for name in self.carried(one)}
            case _:
                return set()

    def selected(self) -> set[str]:
        """Revisions with a ready pod that the Service selects, as the API server has it."""
        ready = {pod.revision for pod in self.pods if pod.ready and pod.gone is None and _selects(self.traffic, pod)}
        return {name for one in ready for name in self.carried(one)}

    # ---- time -----------------------------------------------------------------------------------

    def next_event(self) -> datetime | None:
        """When something happens by itself next."""
        return min((time for time in self._times() if time > self.now), default=None)

    def next_news(self) -> datetime | None:
        """When something happens by itself next that a watch tells. What an agent does in a ready pod, none does."""
        return min((time for time in self._times(news=True) if time > self.now), default=None)

    def advance(self, until: datetime) -> None:
        """All that happens until then, in order."""
        self._control()
        while (event := self.next_event()) is not None and event <= until:
            self._serve(event)
            self._happen()
        self._serve(until)

    def _times(self, *, news: bool = False) -> Iterator[datetime]:
        yield from (job.ends for job in self.jobs.values() if job.problem is None)
        yield from (time for time, _ in self._routes)
        yield from self.outside.times()
        yield from (time for time, _ in self._weights)
        for pod in self.pods:
            if pod.hold is not None and not (news and pod.ready):
                yield from pod.hold.times()
            if pod.hold is None and not pod.ready and (pod.problem is None or self._fate(pod) is None):
                yield pod.due
            yield from (time for time in (pod.gone, pod.orphaned) if time is not None)

    def _happen(self) -> None:
        for pod in self.pods:
            if pod.orphaned is not None and pod.gone is None and pod.orphaned <= self.now:
                pod.gone = self.now + DRAIN
            if pod.hold is not None:
                self._hold(pod, pod.hold)
            elif not pod.ready and pod.due <= self.now:
                fate = self._fate(pod)
                pod.ready, pod.problem = fate is None, fate
        self.pods = [pod for pod in self.pods if pod.gone is None or pod.gone > self.now]
        while len(self._routes) > 1 and self._routes[1][0] <= self.now:
            self._routes.pop(0)
        while len(self._weights) > 1 and self._weights[1][0] <= self.now:
            self._weights.pop(0)
        self._control()
        self.watch()

    def _hold(self, pod: ModelPod, hold: Hold) -> None:
        written = self.splits.get(pod.revision)
        hold.happen(self.now, written.split if written else None, self._loads)
        pod.ready = hold.ready
        pod.problem = None if pod.ready else pod.problem

    def _loads(self, revision: str) -> Bundle:
        return self.bundle(self.revisions[revision].version) if revision in self.revisions else GOOD

    def _control(self) -> None:
        """The Deployment controller. Of too many pods those that are not ready go first."""
        for revision, replicas in self.deployments.items():
            own = sorted((pod for pod in self._own(revision) if pod.orphaned is None), key=lambda pod: not pod.ready)
            for pod in own[replicas:]:
                pod.gone = self.now + DRAIN
            if revision in self.refusals:
                continue
            start = self.bundle(self.revisions[revision].version).start if revision in self.revisions else GOOD.start
            for index in range(replicas - len(own)):
                self._uid += 1
                hold = Hold(reads=self.now + MOUNT + index * self.stagger) if revision in self._shapes() else None
                self.pods.append(ModelPod(uid=str(self._uid), revision=revision, due=self.now + start + index * self.stagger, hold=hold))

    def _shapes(self) -> set[str]:
        return {carrier(r) for r in self.revisions.values() if r.update is Update.IN_PLACE}

    def _bundle_of(self, pod: ModelPod) -> Bundle:
        revision = self.revisions.get(pod.revision)
        return self.bundle(revision.version) if revision else GOOD

    def _fate(self, pod: ModelPod) -> Problem | None:
        return self._bundle_of(pod).fate

    # ---- requests -------------------------------------------------------------------------------

    def endpoints(self) -> list[ModelPod]:
        """Pods that the nodes send requests to. A pod that drains still answers."""
        reached = [to for time, to in self._routes if time <= self.now]
        to = reached[-1] if reached else self._routes[0][1] if self._routes else NoService()
        return [pod for pod in self.pods if pod.ready and _selects(to, pod)]

    def _serve(self, until: datetime) -> None:
        requests = self.rate * (until - self.now).total_seconds() + self._owed
        self.outside.replay(self.pods, self._bundle_of, until - self.now)
        self.now = until
        weighted = self._taken_over()
        if weighted is not None:
            self._serve_weighted(requests, weighted)
            return
        endpoints = self.endpoints()
        self.served = self.served or bool(endpoints)
        if not endpoints:
            self.lost += requests if self.served else 0.0
            self._owed = 0.0
            return
        self.answer(endpoints, requests)

    def answer(self, endpoints: list[ModelPod], requests: float) -> None:
        """All pods get the same, errors are as even as whole numbers can be: so stories are the same each time."""
        each = int(requests / len(endpoints))
        self._owed = requests - each * len(endpoints)
        for pod in endpoints:
            self._ask(pod, each)

    def _ask(self, pod: ModelPod, requests: int) -> None:
        if pod.hold is not None:
            pod.hold.serve(requests, self._loads, self._errors)
            return
        bundle = self._bundle_of(pod)
        pod.requests += requests
        pod.slow += requests * bundle.slow
        pod.odd += requests * bundle.odd
        pod.errors += self._errors(pod.revision, requests)

    def _errors(self, revision: str, requests: int) -> int:
        return min(requests, int(requests * self._loads(revision).errors + self._random.random()))

    def _taken_over(self) -> Weighted | None:
        """What the gateway goes by."""
        reached = [to for time, to in self._weights if time <= self.now]
        return reached[-1] if reached else None

    def _serve_weighted(self, requests: float, weighted: Weighted) -> None:
        """Each share goes to the ready pods of its revision; where there are none, it is lost."""
        self._owed = 0.0
        for share in weighted.shares:
            part = requests * share.weight / 100
            pods = [pod for pod in self.pods if pod.ready and pod.revision == share.revision]
            self.served = self.served or bool(pods)
            self.lost += part if self.served and not pods else 0.0
            self._answer(pods, part)
        shadow = weighted.shadow
        if shadow is not None:
            self._answer([pod for pod in self.pods if pod.ready and pod.revision == shadow.revision], requests * shadow.percent / 100)

    def _answer(self, pods: list[ModelPod], requests: float) -> None:
        for pod in pods:
            self._ask(pod, int(requests / len(pods) + self._random.random()))


def _selects(traffic: Traffic, pod: ModelPod) -> bool:
    match traffic:
        case Only(revision=revision):
            return pod.revision == revision
        case Shared():
            return True
        case _:
            return False


CRASH = Problem(reason=Reason.CRASHED, message="container server ended with exit code 1")
