"""The nouns of planning: what is wanted, what is seen, what is to be done.

`controller.observe` fills `Desired` and `Observed`, `plan.plan` makes a `Plan` of them,
`controller.execute` carries its actions out in order. Everything is frozen.
"""

from dataclasses import dataclass, field, replace
from datetime import datetime
from enum import StrEnum

from volary.api.v1alpha1 import Autoscaling, DisruptionBudget, Model, ModelDeploymentSpec, ModelDeploymentStatus, Runtime, Update
from volary.bundle.split import Split
from volary.common.outcome import Outcome
from volary.common.reasons import Reason
from volary.planning.holdings import Holding, Written
from volary.planning.outside import NOTHING, Outside, Visit
from volary.planning.weighted import HttpRoute, LeftRoute, NotAsked, Weighted


@dataclass(frozen=True, slots=True, kw_only=True)
class Images:
    """The images a revision runs on. Kept with the revision, so that an upgrade of the operator restarts no pod."""

    agent: str
    server: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Failure:
    """Why a revision is not tried again. Lives on its ControllerRevision, outside the status."""

    reason: Reason
    message: str
    at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Revision:
    """One ControllerRevision: all that is needed to start its pods, at any later time."""

    id: str
    request: str  # id of the preflight request it came from
    ordinal: int  # 1, 2, 3 ... in the order of creation
    digest: str  # sha256:... of the bundle
    version: str
    format: str
    size: int  # bytes of the bundle
    model: Model
    model_name: str
    runtime: Runtime
    images: Images
    created_at: datetime
    update: Update = Update.REPLACE
    promoted: int = 0  # ordinal of its last promotion; 0 = never
    failed: Failure | None = None
    asked: str = ""  # key of the request that made these marks; empty: nobody asked


@dataclass(frozen=True, slots=True, kw_only=True)
class Desired:
    """The ModelDeployment as its user wrote it, and what the operator remembers of it."""

    namespace: str
    name: str
    uid: str
    generation: int
    model_name: str
    spec: ModelDeploymentSpec
    images: Images  # for new revisions: the spec's image or the operator's default
    prometheus: bool = True  # whether this operator has one to ask
    request: str | None = None  # value of the request annotation
    status: ModelDeploymentStatus = field(default_factory=ModelDeploymentStatus)
    found: int = 1  # pods of stable where the spec gives no number: see `scaling.settle`

    @property
    def replicas(self) -> int:
        """Pods the stable revision should have."""
        return self.found if self.spec.replicas is None else self.spec.replicas

    @property
    def floating(self) -> bool:
        """Whether others may change that number at any time."""
        return self.spec.replicas is None


# ---- what is seen -----------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class Problem:
    """Why a pod or a Job does not get on."""

    reason: Reason
    message: str


@dataclass(frozen=True, slots=True)
class NoPreflight:
    """No Job for the spec's request."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PreflightRunning:
    """The Job has not ended; `problem` if its pod cannot start (Secret missing, image...)."""

    problem: Problem | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class PreflightEnded:
    """The Job has ended; the reason's kind tells passed, refused and transient apart."""

    outcome: Outcome
    at: datetime


Preflight = NoPreflight | PreflightRunning | PreflightEnded


@dataclass(frozen=True, slots=True, kw_only=True)
class Pod:
    """One model pod."""

    name: str
    uid: str
    revision: str
    ip: str | None = None
    ready: bool = False
    terminating: bool = False
    problem: Problem | None = None
    nudged: str = ""  # the annotation that made the kubelet mount the split anew
    ready_since: datetime | None = None
    restarts: int = 0  # of its server


@dataclass(frozen=True, slots=True, kw_only=True)
class Workload:
    """One Deployment and its pods."""

    revision: str
    replicas: int  # spec.replicas as it is now
    pods: tuple[Pod, ...] = ()
    problem: Problem | None = None  # of the Deployment itself, such as ReplicaFailure
    owned: bool = True  # spec.replicas is a field of ours: nobody has changed it since we wrote it
    written_at: datetime | None = None  # when we last changed the Deployment

    @property
    def ready(self) -> int:
        """Pods that serve: ready and not on their way out."""
        return sum(pod.ready and not pod.terminating for pod in self.pods)


@dataclass(frozen=True, slots=True)
class NoService:
    """The Service does not exist yet."""


@dataclass(frozen=True, slots=True)
class Only:
    """The Service selects the pods of one revision."""

    revision: str


@dataclass(frozen=True, slots=True)
class Shared:
    """The Service selects every ready pod of the model."""


@dataclass(frozen=True, slots=True)
class Divided:
    """Pods that hold several revisions divide their requests between them."""

    weights: tuple[tuple[str, int], ...]  # revision, percent in effect: the mean over the pods that answer

    def of(self, revision: str) -> int:
        """Percent of a revision."""
        return dict(self.weights).get(revision, 0)


Traffic = NoService | Only | Shared | Divided


@dataclass(frozen=True, slots=True, kw_only=True)
class Count:
    """Counters of one revision in one pod since its server started. What a server does not count is None or empty."""

    uid: str
    revision: str
    requests: int
    errors: int
    durations: tuple[tuple[float, int], ...] = ()  # requests that took at most so many seconds; the last bound is infinite
    outputs: tuple[tuple[str, int], ...] = ()  # answers by OUTPUT:BIN, sorted
    in_flight: int | None = None  # requests not yet answered
    restarts: int = 0  # of the server in the pod


@dataclass(frozen=True, slots=True, kw_only=True)
class Sample:
    """One look at the counters of all pods that answered."""

    at: datetime
    counts: tuple[Count, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Autoscaler:
    """The HorizontalPodAutoscaler of one revision."""

    revision: str
    spec: Autoscaling


@dataclass(frozen=True, slots=True, kw_only=True)
class Observed:
    """The cluster as it is, read once per reconcile."""

    preflight: Preflight = NoPreflight()
    stale_preflights: tuple[str, ...] = ()  # requests of other preflight Jobs that exist
    revisions: tuple[Revision, ...] = ()
    workloads: tuple[Workload, ...] = ()
    strangers: tuple[Pod, ...] = ()  # live pods of the model without a workload (their Deployment was deleted)
    traffic: Traffic = NoService()
    route: HttpRoute = field(default_factory=NotAsked)
    left: LeftRoute | None = None
    preview: str | None = None  # revision that the preview Service selects; None: there is none
    sample: Sample | None = None
    written: tuple[Written, ...] = ()  # splits of pods that hold several revisions
    holdings: tuple[Holding, ...] = ()  # of the pods whose agents answered
    autoscalers: tuple[Autoscaler, ...] = ()
    budget: DisruptionBudget | None = None
    outside: Outside = NOTHING

    def workload(self, revision: str) -> Workload | None:
        """The Deployment of a revision."""
        return next((w for w in self.workloads if w.revision == revision), None)

    def ready(self, revision: str) -> int:
        """Serving pods of a revision."""
        workload = self.workload(revision)
        return workload.ready if workload else 0

    def mark(self, revision: Revision) -> "Observed":
        """The same world with one revision replaced: how a plan sees its own earlier decisions."""
        others = tuple(r for r in self.revisions if r.id != revision.id)
        return replace(self, revisions=(*others, revision))


# ---- what is to be done -----------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class StartPreflight:
    """Create the Job that checks the spec's bundle."""

    request: str
    stable: Revision | None = None  # whose clients the bundle has to get on with


@dataclass(frozen=True, slots=True, kw_only=True)
class DeletePreflight:
    """Delete a Job that is of no more use."""

    request: str


@dataclass(frozen=True, slots=True, kw_only=True)
class RecordRevision:
    """Create the ControllerRevision, or give an existing one another request label."""

    revision: Revision


@dataclass(frozen=True, slots=True, kw_only=True)
class MarkRevision:
    """Write the promoted and failed marks of a ControllerRevision (`failed=None` clears it)."""

    revision: str
    promoted: int
    failed: Failure | None
    asked: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class DeleteRevision:
    """Forget a revision that is beyond the history."""

    revision: str


@dataclass(frozen=True, slots=True, kw_only=True)
class EnsureWorkload:
    """Create or scale the Deployment (and the Service) of one revision."""

    revision: Revision
    replicas: int
    floating: bool = False  # `replicas` is for a new Deployment; after that the field is left to others


@dataclass(frozen=True, slots=True, kw_only=True)
class DeleteWorkload:
    """Delete the Deployment (and the Service) of one revision."""

    revision: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Route:
    """Point the model's Service somewhere."""

    to: Only | Shared


@dataclass(frozen=True, slots=True, kw_only=True)
class WriteSplit:
    """Say in a ConfigMap which revisions the pods of a shape hold, and their weights."""

    shape: str
    split: Split
    at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Nudge:
    """Make the kubelet show a pod its new split at once. Without it that takes the kubelet's sync period."""

    pod: str
    uid: str
    generation: int
    at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Preview:
    """Point the preview Service at a revision that gets no traffic yet; None: delete it."""

    revision: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class EnsureAutoscaler:
    """Create or change the HorizontalPodAutoscaler of one revision."""

    autoscaler: Autoscaler


@dataclass(frozen=True, slots=True, kw_only=True)
class DeleteAutoscaler:
    """Delete the HorizontalPodAutoscaler of one revision."""

    revision: str


@dataclass(frozen=True, slots=True, kw_only=True)
class EnsureBudget:
    """Create or change the PodDisruptionBudget of the model."""

    budget: DisruptionBudget


@dataclass(frozen=True, slots=True)
class DeleteBudget:
    """Delete it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StartCheck:
    """Create a Job that judges the canary."""

    visit: Visit


@dataclass(frozen=True, slots=True, kw_only=True)
class DeleteCheck:
    """Delete such a Job, by the name of the object."""

    name: str


Checking = StartCheck | DeleteCheck


@dataclass(frozen=True, slots=True, kw_only=True)
class Weigh:
    """Write the HTTPRoute of the spec: Volary's own as a whole, in a user's nothing but weights."""

    to: Weighted


@dataclass(frozen=True, slots=True, kw_only=True)
class ReleaseRoute:
    """Delete an HTTPRoute of Volary's own, or take Volary's backendRefs out of a user's."""

    route: LeftRoute


Scaling = EnsureAutoscaler | DeleteAutoscaler | EnsureBudget | DeleteBudget
Directing = Route | Preview | Weigh | ReleaseRoute
Action = (
    StartPreflight
    | DeletePreflight
    | RecordRevision
    | MarkRevision
    | DeleteRevision
    | EnsureWorkload
    | DeleteWorkload
    | Directing
    | WriteSplit
    | Nudge
    | Scaling
    | Checking
)


class Level(StrEnum):
    """Type of a Kubernetes Event."""

    NORMAL = "Normal"
    WARNING = "Warning"


@dataclass(frozen=True, slots=True, kw_only=True)
class Fact:
    """Something that was decided, for people: becomes an Event and a log line."""

    reason: Reason
    message: str
    level: Level = Level.NORMAL


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """All that follows from what was seen. Actions are ordered so that every prefix of them is safe."""

    actions: tuple[Action, ...]
    status: ModelDeploymentStatus
    facts: tuple[Fact, ...] = ()
    wake_at: datetime | None = None  # ask again then, even if nothing happens
