"""What runs: a preflight, and a model pod with what its metrics page says."""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime

from volary.common.outcome import Outcome
from volary.planning.model import Count, Pod, Problem
from volary.simulation.holding import Hold, Loaded


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
    slow: float = 0.0
    odd: float = 0.0
    restarts: int = 0
    hold: Hold | None = None  # of a pod that several revisions share; `revision` is their shape then

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
            restarts=self.restarts,
            nudged=self.hold.nudged if self.hold else "",
        )

    def counted(self) -> Iterator[Count]:
        """Its page of metrics, by revision."""
        if self.hold is None:
            yield self._count(self.revision, self)
            return
        for name, one in sorted(self.hold.loaded.items()):
            yield self._count(name, one)

    def _count(self, revision: str, of: "ModelPod | Loaded") -> Count:
        slow, odd = int(of.slow), int(of.odd)
        return Count(
            uid=self.uid,
            revision=revision,
            requests=of.requests,
            errors=of.errors,
            durations=((0.05, of.requests - slow), (1.0, of.requests), (math.inf, of.requests)),
            outputs=(("label:0", of.requests - odd), ("label:1", odd)),
            restarts=self.restarts,
        )
