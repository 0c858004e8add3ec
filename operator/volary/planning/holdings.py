"""What running pods are to hold, and what they say they hold (`spec.update: InPlace`)."""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from volary.bundle.split import Split
from volary.common.reasons import Reason


class State(StrEnum):
    """How far a pod is with a revision."""

    FETCHING = "fetching"
    LOADING = "loading"
    PROVING = "proving"
    READY = "ready"  # loaded, and its golden samples passed
    FAILED = "failed"


@dataclass(frozen=True, slots=True, kw_only=True)
class Held:
    """One revision in one pod."""

    revision: str
    state: State
    weight: int = 0  # percent of the pod's requests that it gets now
    reason: Reason | None = None  # of a failure
    message: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Holding:
    """What the agent of one pod says."""

    uid: str  # of the pod
    generation: int  # of the split that is in effect: loaded, proved and weighted
    seen: int  # of the split that it read last
    held: tuple[Held, ...] = ()

    def of(self, revision: str) -> Held | None:
        """What it says of one revision."""
        return next((held for held in self.held if held.revision == revision), None)


@dataclass(frozen=True, slots=True, kw_only=True)
class Written:
    """The ConfigMap of one shape of pods."""

    shape: str
    split: Split | None  # None: somebody made it unreadable
    at: datetime  # of the write of this generation
