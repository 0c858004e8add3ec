"""ModelDeployment, `serving.volary.dev/v1alpha1`.

Docstrings under the fields become the descriptions of the CRD and of the reference page; a
`rules.Rule` in an annotation is checked by these models and, as CEL, by the API server (printer
columns live in `crdgen`). Defaults live here and in the schema generated from here, nowhere else.
The spec models refuse unknown fields, the status models ignore them (an older operator reads a
newer status). A document is accepted here if and only if the API server accepts it (tests/api).
"""

from datetime import datetime, timedelta
from enum import StrEnum
from itertools import pairwise
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, model_validator
from pydantic.alias_generators import to_camel

from volary.api import fields, rules
from volary.api.fields import Duration, Flag, Integer, Percent, Quantities
from volary.common import durations, names


def rule(expression: str, message: str) -> dict[str, str]:
    """One CEL rule of the API server; the message says what to do."""
    return {"rule": expression, "message": message}


def cel(*entries: dict[str, str]) -> dict[str, Any]:
    """Rules for `json_schema_extra`."""
    return {rules.VALIDATIONS: list(entries)}


class Spec(BaseModel):
    """Base of all that users write."""

    model_config = ConfigDict(
        frozen=True, extra="forbid", alias_generator=to_camel, validate_by_name=True, validate_by_alias=True, use_attribute_docstrings=True
    )

    @model_validator(mode="before")
    @classmethod
    def _null_is_absent(cls, data: Any) -> Any:
        """As the API server does: it drops nulls and then fills in defaults."""
        return rules.without_nulls(data)


class Status(BaseModel):
    """Base of all that the operator writes."""

    model_config = ConfigDict(
        frozen=True, extra="ignore", alias_generator=to_camel, validate_by_name=True, validate_by_alias=True, use_attribute_docstrings=True
    )


class Storage(Spec):
    """How the S3-compatible storage is reached. Without it: the pod's own cloud identity."""

    secret_name: fields.LocalName | None = None
    """Secret in the same namespace with the keys AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY and, if temporary, AWS_SESSION_TOKEN."""
    endpoint: fields.Endpoint | None = None
    """URL of an S3-compatible server, such as https://minio.storage:9000. Absent: AWS."""
    region: fields.Region | None = None
    """Region of the bucket; us-east-1 where the server does not care."""
    service_account_name: fields.LocalName | None = None
    """ServiceAccount of the model pods, for workload identity instead of keys."""


class Verify(Spec):
    """Who must have signed a version before a pod starts for it."""

    public_key_secret_name: fields.LocalName
    """Secret in the same namespace; its key public.pem is the public key that belongs to `volary sign --private-key`."""


class Model(Spec):
    """Which bundle to serve."""

    uri: fields.Uri
    """Where the versions of this model live: s3://BUCKET/PREFIX, as given to `volary push`."""
    version: fields.Version
    """A pushed version; versions never change once pushed."""
    digest: fields.Digest | None = None
    """Pins the version to one manifest; anything else under that version is refused."""
    name: fields.ModelName | None = None
    """Name clients use in request paths. Absent: the name of the ModelDeployment."""
    storage: Storage = Storage()
    """How the storage is reached."""
    verify: Verify | None = None
    """A signature is required. Absent: unsigned versions are accepted."""


class RuntimeName(StrEnum):
    """The servers Volary knows."""

    ONNXRUNTIME = "onnxruntime"
    TENSORFLOW_SERVING = "tensorflow-serving"


class Resources(Spec):
    """Requests and limits of the server's container."""

    requests: Quantities = Field(default_factory=dict)
    """Such as cpu: 500m, memory: 256Mi."""
    limits: Quantities = Field(default_factory=dict)
    """Such as memory: 1Gi, nvidia.com/gpu: "1"."""


class Runtime(Spec):
    """What serves the model."""

    name: RuntimeName
    """onnxruntime or tensorflow-serving."""
    image: fields.Image | None = None
    """Another image of the same runtime. Absent: the operator's."""
    resources: Resources = Resources()
    """Requests and limits of the server's container."""


class Step(Spec):
    """One stage of a canary."""

    weight: Annotated[
        Integer,
        rules.between(
            1, 100, "spec.rollout.steps[].weight must be between 1 and 100 percent; without a canary write spec.rollout.steps: []"
        ),
    ]
    """Share of the requests in percent."""
    duration: Duration = "1m"
    """How long the canary stays at this weight at least."""


class OnInconclusive(StrEnum):
    """What happens at the end of a step when the evidence proves nothing."""

    EXTEND = "Extend"
    PAUSE = "Pause"
    PROMOTE = "Promote"
    ROLLBACK = "Rollback"


class ErrorAnalysis(Spec):
    """Failed requests of the canary against those of stable."""

    tolerance: Percent = "1%"
    """An error rate proved to be below this passes, whatever stable's is."""
    max_rate: Percent | None = None
    """An error rate proved to be above this fails, whatever stable's is."""


_MALFORMED = " || ".join(f"!self.{name}.matches({rules.literal(fields.PERCENT_PATTERN)})" for name in ("maxRate", "tolerance"))
_RATES_IN_ORDER = rules.Rule(
    expression=f"!has(self.maxRate) || {_MALFORMED} || double(self.maxRate.replace('%', '')) >= double(self.tolerance.replace('%', ''))",
    message="maxRate must not be below tolerance: raise maxRate or lower tolerance, or one error rate would both pass and fail",
    holds=lambda errors: errors.max_rate is None or percent(errors.max_rate) >= percent(errors.tolerance),
)


class Analysis(Spec):
    """How the canary is judged: false rollback of an equal canary in at most 1 % of rollouts."""

    errors: Annotated[ErrorAnalysis, _RATES_IN_ORDER] = ErrorAnalysis()
    """Failed requests."""
    min_requests: Annotated[Integer, rules.between(0, 1_000_000_000, "minRequests must be between 0 and 1000000000 requests")] = 0
    """Requests the canary must have answered in a step before it may pass."""
    interval: Annotated[Duration, rules.at_least("1s", "interval must be 1s or longer, such as 5s")] = "5s"
    """How often the pods' counters are read."""
    on_inconclusive: OnInconclusive = OnInconclusive.EXTEND
    """At the end of a step without proof. Extend: keep the weight for up to three times the step's duration, then pause."""


DEFAULT_STEPS = (Step(weight=10, duration="2m"), Step(weight=50, duration="3m"))
_WEIGHTS_INCREASE = rules.Rule(
    expression="self.map(s, s.weight).isSorted() && self.all(s, self.exists_one(t, t.weight == s.weight))",
    message="the weights of spec.rollout.steps must increase from step to step, such as 5, 25, 50; reorder or remove steps",
    holds=lambda steps: all(earlier.weight < later.weight for earlier, later in pairwise(steps)),
)


class Rollout(Spec):
    """How a new revision takes over."""

    steps: Annotated[tuple[Step, ...], Field(max_length=20), _WEIGHTS_INCREASE] = DEFAULT_STEPS
    """Weights that increase; after the last one the canary is promoted. Empty: promoted as soon as its pods are ready."""
    analysis: Analysis = Analysis()
    """How the canary is judged."""
    progress_deadline: Annotated[Duration, rules.at_least("5s", "progressDeadline must be 5s or longer, such as 10m")] = "10m"
    """How long a new revision may take to get ready before it is given up."""
    paused: Flag = False
    """Holds the rollout where it is; what serves goes on serving."""


class ModelDeploymentSpec(Spec):
    """What should serve, and how a change gets there."""

    model: Model
    """Which bundle to serve."""
    runtime: Runtime
    """What serves it."""
    replicas: Annotated[
        Integer,
        rules.between(1, 1000, "spec.replicas must be between 1 and 1000; to stop serving, delete the ModelDeployment"),
    ] = 1
    """Pods of the stable revision."""
    rollout: Rollout = Rollout()
    """How a new revision takes over."""
    history: Annotated[Integer, rules.between(1, 50, "spec.history must be between 1 and 50 revisions")] = 5
    """Revisions kept for rollback besides those in use."""


# ---- status -----------------------------------------------------------------------------------


class Phase(StrEnum):
    """One word for people and for Argo CD; derived, never read back."""

    PENDING = "Pending"  # nothing serves yet
    CHECKING = "Checking"  # preflight of a new revision
    STARTING = "Starting"  # its pods start
    CANARY = "Canary"  # it takes a share of the traffic
    PROMOTING = "Promoting"
    PAUSED = "Paused"
    SERVING = "Serving"  # what the spec asks for serves everything
    ROLLING_BACK = "RollingBack"
    ROLLED_BACK = "RolledBack"  # the spec's revision failed, an earlier one serves
    REFUSED = "Refused"  # the spec's revision was refused before any pod
    FAILED = "Failed"  # the spec's revision failed and nothing else can serve


class Condition(Status):
    """As in metav1.Condition."""

    type: str
    status: str
    reason: str
    message: str = ""
    last_transition_time: datetime
    observed_generation: int = 0


class Evidence(Status):
    """What was seen of one metric since the canary began. The logarithms are the e-processes' wealth."""

    verdict: str = "Inconclusive"
    """Pass, Fail or Inconclusive."""
    canary_requests: int = 0
    canary_errors: int = 0
    stable_requests: int = 0
    stable_errors: int = 0
    fail: tuple[float, ...] = ()
    """Log wealth of the bets that the canary is worse than stable; memory."""
    pass_ratio: tuple[float, ...] = ()
    """Log wealth of the bets that the canary is no worse; memory."""
    pass_rate: tuple[float, ...] = ()
    """Log wealth of the bets that the canary's error rate is below the tolerance; memory."""
    fail_rate: tuple[float, ...] = ()
    """Log wealth of the bets that the canary's error rate is above maxRate; memory."""
    requests_needed: int | None = None
    """About how many more canary requests without an error would pass."""


class PodCount(Status):
    """Counters of one pod at the last look; memory."""

    uid: str
    requests: int
    errors: int


class RolloutStatus(Status):
    """Memory of the rollout under way: what cannot be read off the cluster."""

    revision: str
    """The canary this belongs to; memory of another revision is void."""
    generation: int
    started_at: datetime
    step: int = -1
    """Index into spec.rollout.steps; -1 while the pods start; the number of steps while promoting."""
    step_started_at: datetime | None = None
    evidence: Evidence = Evidence()
    waiting_since: datetime | None = None
    """Since when its pods are fewer than wanted; the progress deadline counts from here."""
    counts: tuple[PodCount, ...] = ()
    last_sample_at: datetime | None = None
    step_requests: int = 0
    """Canary requests in this step."""
    approved: bool = False
    """A person promoted it: no more evidence is asked for."""


class RevisionStatus(Status):
    """A revision in use."""

    revision: str
    version: str
    digest: str
    replicas: int = 0
    """Wanted pods."""
    ready: int = 0
    """Pods that loaded the exact version and passed their golden samples."""
    weight: int = 0
    """Share of the requests in percent that is wanted."""
    weight_reached: int = 0
    """Share of the ready pods in percent: what plain Services can do with this number of pods."""


class HistoryEntry(Status):
    """A kept revision, newest first."""

    revision: str
    version: str
    digest: str
    created_at: datetime
    promoted: bool = False
    failed: str | None = None
    """Reason of its failure."""
    message: str | None = None


class RequestStatus(Status):
    """The last request of a person, as recorded when it was acted on."""

    value: str
    outcome: str
    """Done or Refused."""
    message: str = ""
    at: datetime


class ModelDeploymentStatus(Status):
    """What is."""

    observed_generation: int = 0
    phase: Phase = Phase.PENDING
    message: str = ""
    stable: RevisionStatus | None = None
    canary: RevisionStatus | None = None
    rollout: RolloutStatus | None = None
    history: tuple[HistoryEntry, ...] = ()
    request: RequestStatus | None = None
    ready: str = "0/0"
    """Ready pods of stable / wanted, for the printer column."""
    conditions: tuple[Condition, ...] = Field(
        default=(), json_schema_extra={"x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["type"]}
    )


class Metadata(BaseModel):
    """The part of ObjectMeta Volary reads."""

    model_config = ConfigDict(frozen=True, extra="ignore", alias_generator=to_camel, validate_by_name=True, validate_by_alias=True)

    name: fields.ObjectName
    namespace: str = "default"
    uid: str = ""
    generation: int = 0
    resource_version: str = ""
    annotations: dict[str, str] = Field(default_factory=dict)
    deletion_timestamp: datetime | None = None


class ModelDeployment(BaseModel):
    """A model that is delivered."""

    model_config = ConfigDict(
        frozen=True,
        extra="forbid",
        alias_generator=to_camel,
        validate_by_name=True,
        validate_by_alias=True,
        json_schema_extra=cel(rule(f"self.metadata.name.matches({rules.literal(fields.OBJECT_NAME_PATTERN)})", fields.OBJECT_NAME_HINT)),
    )

    api_version: str = names.API_VERSION
    kind: str = names.KIND
    metadata: Metadata
    spec: ModelDeploymentSpec
    status: ModelDeploymentStatus = ModelDeploymentStatus()

    @property
    def model_name(self) -> str:
        """The name in request paths."""
        return self.spec.model.name or self.metadata.name


def percent(text: str) -> float:
    """`1%` -> 0.01."""
    return float(text.removesuffix("%")) / 100


def duration(text: str) -> timedelta:
    """`2m` -> 120 s."""
    return durations.parse(text)
