"""What others say of a canary, as it was seen: Prometheus, a Job of the user's, the agents in the pods."""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from volary.api.v1alpha1 import VerdictJob


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """A query that is due, with its places filled."""

    name: str
    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Measurement:
    """What came of a question: a finite number, or None and why there is none."""

    name: str
    at: datetime
    value: float | None = None
    why: str = ""


class Ending(StrEnum):
    """How a Job that judges ended."""

    RUNNING = "running"
    SUCCEEDED = "succeeded"
    FAILED = "failed"  # its program ran and said no
    UNKNOWN = "unknown"  # too late, not started, taken off its node: nothing is known of the canary


@dataclass(frozen=True, slots=True, kw_only=True)
class SeenJob:
    """One Job that judges, and what it said."""

    object_name: str
    name: str  # in the spec
    revision: str
    step: int  # the first is 1
    recipe: str  # digest of what it was made of
    ending: Ending
    message: str = ""
    terminating: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Reply:
    """Counters of one agent since it started."""

    uid: str
    revision: str
    asked: int  # synthetic requests that ended
    wrong: int  # of them answered otherwise than recorded
    silent: int  # of them without an answer, or with "come later"
    message: str = ""  # the first wrong answer


@dataclass(frozen=True, slots=True, kw_only=True)
class Outside:
    """All of it at one look."""

    measurements: tuple[Measurement, ...] = ()
    jobs: tuple[SeenJob, ...] = ()
    replies: tuple[Reply, ...] | None = None  # None: nobody was asked

    def job(self, revision: str, step: int, name: str) -> SeenJob | None:
        """The Job of a step."""
        return next((job for job in self.jobs if (job.revision, job.step, job.name) == (revision, step, name)), None)


NOTHING = Outside()


@dataclass(frozen=True, slots=True, kw_only=True)
class Visit:
    """One Job as it should be: whom it judges, and beside whom."""

    job: VerdictJob
    step: int  # the first is 1
    revision: str
    version: str
    stable: str  # its revision
