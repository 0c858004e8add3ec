"""What others said of the canary: `status.rollout.checks`."""

from datetime import datetime

from volary.api.v1alpha1.base import Status


class QueryState(Status):
    """The last value of a query. A bad one counts until a good one comes; no value counts for nothing."""

    name: str
    verdict: str = "Inconclusive"
    """Pass, Fail or Inconclusive."""
    value: float | None = None
    at: datetime | None = None
    """When it was asked."""
    bad: int = 0
    """Bad values in a row."""
    message: str = ""
    """Why there is no verdict, or what is wrong with the value."""
    dry_run: bool = False


class JobState(Status):
    """A Job that judges the canary; read off the Job each time."""

    name: str
    step: int
    verdict: str = "Inconclusive"
    """Pass, Fail or Inconclusive."""
    message: str = ""
    dry_run: bool = False


class GoldenCount(Status):
    """Counters of one agent at the last look; memory."""

    uid: str
    asked: int
    failed: int


class GoldenState(Status):
    """Synthetic requests since the canary began."""

    verdict: str = "Inconclusive"
    """Pass, Fail or Inconclusive."""
    canary_asked: int = 0
    canary_failed: int = 0
    """Wrong answers and none."""
    stable_asked: int = 0
    stable_failed: int = 0
    step_asked: int = 0
    """Of the canary in this step."""
    proof: tuple[float, ...] = ()
    """Log wealth of the bets that the canary fails fewer than errors.tolerance; memory."""
    pods: tuple[GoldenCount, ...] = ()
    message: str = ""
    dry_run: bool = False


class Checks(Status):
    """Verdicts from outside."""

    queries: tuple[QueryState, ...] = ()
    jobs: tuple[JobState, ...] = ()
    golden: GoldenState | None = None
