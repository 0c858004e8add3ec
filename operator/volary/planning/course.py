"""Where a candidate stands after one look at it: what all the stages of a rollout hand on."""

from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from volary.api.v1alpha1 import RolloutStatus
from volary.planning.model import Desired, Fact, Failure, Observed, Problem, Revision
from volary.planning.strategy import Strategy


@dataclass(frozen=True, slots=True, kw_only=True)
class Stage:
    """What a look at a candidate is based on."""

    desired: Desired
    observed: Observed
    strategy: Strategy
    candidate: Revision
    stable: Revision | None
    now: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Course:
    """Where the candidate stands after this plan."""

    memory: RolloutStatus
    replicas: int
    hold: Problem  # what it waits for
    joins: bool = False  # takes traffic as its pods get ready, since stable's make room for them
    paused: bool = False  # waits for a person
    promote: bool = False
    failed: Failure | None = None
    facts: tuple[Fact, ...] = ()
    wake_at: datetime | None = None

    @property
    def shares(self) -> bool:
        """Whether the candidate should take traffic beside stable."""
        return self.memory.step >= 0 or self.joins

    def remembers(self, **changes: Any) -> "Course":
        """The same with another memory."""
        return replace(self, memory=self.memory.model_copy(update=changes))

    def given_up(self, problem: Problem, now: datetime) -> "Course":
        """The same, over."""
        return replace(self, hold=problem, failed=Failure(reason=problem.reason, message=problem.message, at=now))


def earliest(*times: datetime | None) -> datetime | None:
    """The first of those that are set."""
    return min((time for time in times if time is not None), default=None)
