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

from volary.api.v1alpha1 import DisruptionBudget
from volary.common.outcome import Outcome
from volary.common.reasons import Reason
from volary.planning.model import (
    Action,
    Autoscaler,
    Count,
    DeleteAutoscaler,
    DeleteBudget,
    DeletePreflight,
    DeleteRevision,
    DeleteWorkload,
    Directing,
    EnsureAutoscaler,
    EnsureBudget,
    EnsureWorkload,
    MarkRevision,
    NoService,
    Only,
    Pod,
    Preview,
    Problem,
    RecordRevision,
    Revision,
    Route,
    Scaling,
    Shared,
    StartPreflight,
    Traffic,
    Workload,
)
from volary.simulation.bundles import GOOD, Bundle, passed

START = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)
ROUTING_LAG = timedelta(seconds=1)  # until the nodes know a Service's new selector
DRAIN = timedelta(seconds=5)  # a pod that is told to end goes on serving for so long
PREFLIGHT_TIME = timedelta(seconds=3)


@dataclass(slots=True)
class Job:
    """A preflight under way or done."""

    request: str
    version: str
    ends: datetime
    outcome: Outcome
    problem: Problem | None = None  # its pod cannot start; it waits


@dataclass(slots=True)
class ModelPod:
    """One pod."""

    uid: str
    revision: str
    due: datetime  # when it is ready, or meets its fate
    ready: bool = False
    problem: Problem | None = None
    orphaned: datetime | None = None  # its Deployment is gone; told to end then
    gone: datetime | None = None  # told to end; gone then
    requests: int = 0
    errors: int = 0

    def seen(self) -> Pod:
        """As the API server shows it."""
        shown = None if self.ready or self.gone else self.problem
        return Pod(
            name=f"pod-{self.uid}",
            uid=self.uid,
            revision=self.revision,
            ip=f"10.0.0.{self.uid}",
            ready=self.ready,
            terminating=self.gone is not None,
            problem=shown,
        )


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
    preview: str | None = None  # revision that the preview Service selects
    served: bool = False  # clients had an answer once
    lost: float = 0.0  # requests that found no pod after that
    refusals: dict[str, Problem] = field(default_factory=dict)  # revision -> why no pod of it is admitted
    watch: Callable[[], None] = lambda: None
    _routes: list[tuple[datetime, Traffic]] = field(default_factory=list)
    _random: random.Random = field(default_factory=random.Random)
    _attempts: dict[str, int] = field(default_factory=dict)
    _uid: int = 0
    _owed: float = 0.0

    def __post_init__(self) -> None:
        self._random.seed(self.seed)

    # ---- what the operator does -----------------------------------------------------------------

    def apply(self, action: Action, version: str) -> None:
        """One action; `version` is the spec's, which a preflight checks."""
        match action:
            case StartPreflight(request=request):
                self.jobs.setdefault(request, self._job(request, version))
            case DeletePreflight(request=request):
                self.jobs.pop(request, None)
            case RecordRevision(revision=revision):
                self.revisions[revision.id] = revision
            case MarkRevision(revision=name, promoted=promoted, failed=failed):
                self.revisions[name] = replace(self.revisions[name], promoted=promoted, failed=failed)
            case DeleteRevision(revision=name):
                self.revisions.pop(name, None)
            case EnsureWorkload(revision=revision, replicas=replicas, floating=floating):
                self.deployments[revision.id] = replicas
                self.floating = self.floating | {revision.id} if floating else self.floating - {revision.id}
            case EnsureAutoscaler() | DeleteAutoscaler() | EnsureBudget() | DeleteBudget():
                self._scale(action)
            case DeleteWorkload(revision=name):
                self.delete(name)
            case Route() | Preview():
                self._direct(action)
            case _:
                assert_never(action)
        self._control()
        self.watch()

    def _direct(self, action: Directing) -> None:
        match action:
            case Route(to=to):
                self.route(to)
            case Preview(revision=name):
                self.preview = name

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

    def delete(self, revision: str) -> None:
        """The Deployment at once, its pods by garbage collection."""
        self.deployments.pop(revision, None)
        for pod in self.of(revision):
            pod.orphaned = pod.orphaned or self.now + self.collection

    def crash(self, pod: ModelPod, problem: Problem | None = None) -> None:
        """Not ready until it has started again, or never, if that is its bundle's fate."""
        pod.ready, pod.problem = False, problem
        pod.due = self.now + self._bundle_of(pod).start
        self.watch()

    def evict(self, pod: ModelPod) -> None:
        """A node is drained."""
        pod.gone = pod.gone or self.now + DRAIN
        self._control()
        self.watch()

    def heal(self, version: str) -> None:
        """Whatever was wrong with a bundle is mended; pods that met their fate start again."""
        self.bundles[version] = GOOD
        for pod in self.pods:
            revision = self.revisions.get(pod.revision)
            if revision is not None and revision.version == version and not pod.ready:
                pod.due = self.now + GOOD.start

    # ---- what is seen ---------------------------------------------------------------------------

    def of(self, revision: str) -> list[ModelPod]:
        """Pods of a revision that are not told to end."""
        return [pod for pod in self.pods if pod.revision == revision and pod.gone is None]

    def ready(self, revision: str) -> int:
        """Ready pods that are not told to end."""
        return sum(pod.ready for pod in self.of(revision))

    def lasting(self, revision: str) -> int:
        """Ready pods that no garbage collection is about to end."""
        return sum(pod.ready and pod.orphaned is None for pod in self.of(revision))

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
        return tuple(
            Count(uid=pod.uid, revision=pod.revision, requests=pod.requests, errors=pod.errors)
            for pod in self.pods
            if pod.ready and pod.revision in self.deployments
        )

    def targeted(self) -> set[str]:
        """Revisions that the Service selects, whether or not they have a ready pod."""
        match self.traffic:
            case Only(revision=revision):
                return {revision}
            case Shared():
                return self.deployments.keys() | {pod.revision for pod in self.pods if pod.gone is None}
            case _:
                return set()

    def selected(self) -> set[str]:
        """Revisions with a ready pod that the Service selects, as the API server has it."""
        return {pod.revision for pod in self.pods if pod.ready and pod.gone is None and _selects(self.traffic, pod)}

    # ---- time -----------------------------------------------------------------------------------

    def next_event(self) -> datetime | None:
        """When something happens by itself next."""
        return min((time for time in self._times() if time > self.now), default=None)

    def advance(self, until: datetime) -> None:
        """All that happens until then, in order."""
        self._control()
        while (event := self.next_event()) is not None and event <= until:
            self._serve(event)
            self._happen()
        self._serve(until)

    def _times(self) -> Iterator[datetime]:
        yield from (job.ends for job in self.jobs.values() if job.problem is None)
        yield from (time for time, _ in self._routes)
        for pod in self.pods:
            if not pod.ready and (pod.problem is None or self._fate(pod) is None):
                yield pod.due
            yield from (time for time in (pod.gone, pod.orphaned) if time is not None)

    def _happen(self) -> None:
        for pod in self.pods:
            if pod.orphaned is not None and pod.gone is None and pod.orphaned <= self.now:
                pod.gone = self.now + DRAIN
            if not pod.ready and pod.due <= self.now:
                fate = self._fate(pod)
                pod.ready, pod.problem = fate is None, fate
        self.pods = [pod for pod in self.pods if pod.gone is None or pod.gone > self.now]
        while len(self._routes) > 1 and self._routes[1][0] <= self.now:
            self._routes.pop(0)
        self._control()
        self.watch()

    def _control(self) -> None:
        """The Deployment controller. Of too many pods those that are not ready go first."""
        for revision, replicas in self.deployments.items():
            own = sorted((pod for pod in self.of(revision) if pod.orphaned is None), key=lambda pod: not pod.ready)
            for pod in own[replicas:]:
                pod.gone = self.now + DRAIN
            if revision in self.refusals:
                continue
            start = self.bundle(self.revisions[revision].version).start if revision in self.revisions else GOOD.start
            for index in range(replicas - len(own)):
                self._uid += 1
                self.pods.append(ModelPod(uid=str(self._uid), revision=revision, due=self.now + start + index * self.stagger))

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
        self.now = until
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
            pod.requests += each
            pod.errors += min(each, int(each * self._bundle_of(pod).errors + self._random.random()))


def _selects(traffic: Traffic, pod: ModelPod) -> bool:
    match traffic:
        case Only(revision=revision):
            return pod.revision == revision
        case Shared():
            return True
        case _:
            return False


CRASH = Problem(reason=Reason.CRASHED, message="container server ended with exit code 1")
