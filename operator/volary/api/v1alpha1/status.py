"""What is: `status`."""

from datetime import datetime
from enum import StrEnum

from pydantic import Field

from volary.api.v1alpha1.base import Status
from volary.api.v1alpha1.memory import RolloutStatus, RouteStatus, WatchStatus
from volary.api.v1alpha1.timeline import LastRollout


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


class RevisionStatus(Status):
    """A revision in use."""

    revision: str
    version: str
    digest: str
    deployment: str | None = None
    """With spec.update: InPlace, the Deployment whose pods hold it: the same name for both is an update in place."""
    replicas: int = 0
    """Wanted pods."""
    ready: int = 0
    """Pods that loaded the exact version and passed their golden samples."""
    weight: int = 0
    """Share of the requests in percent that is wanted."""
    weight_reached: int = 0
    """Share in percent that is reached: of the ready pods on plain Services, of the weights in the HTTPRoute with a gateway."""


class RetiringStatus(Status):
    """The revision that served before, and whose pods stay for a while without traffic."""

    revision: str
    version: str
    until: datetime
    """Until then `volary rollback` has its pods at hand."""


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
    watch: WatchStatus | None = None
    """While a new stable is watched after its promotion."""
    route: RouteStatus | None = None
    last_rollout: LastRollout | None = None
    retiring: RetiringStatus | None = None
    history: tuple[HistoryEntry, ...] = ()
    request: RequestStatus | None = None
    replicas: int = 0
    """Wanted pods of the revisions in use, for the scale subresource."""
    selector: str = ""
    """Selects them, for the scale subresource."""
    ready: str = "0/0"
    """Ready pods of stable / wanted, for the printer column."""
    conditions: tuple[Condition, ...] = Field(
        default=(), json_schema_extra={"x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["type"]}
    )
