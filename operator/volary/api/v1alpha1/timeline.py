"""How a rollout went: what each metric saw, and its course over time."""

from datetime import datetime

from volary.api.v1alpha1.base import Status


class Finding(Status):
    """What one metric saw of a canary, and how sure it is."""

    metric: str
    verdict: str
    """Pass, Fail or Inconclusive."""
    canary_requests: int
    canary_bad: int
    stable_requests: int
    stable_bad: int
    against: int
    """Evidence that the canary is worse: at 100 it fails. Logarithm of the wealth of the bets, in percent of what the proof takes."""
    in_favour: int
    """Evidence that the canary is no worse: at 100 it passes. In the same unit."""
    requests_needed: int | None = None
    """About how many more canary requests without an error would pass."""
    message: str = ""
    """What was seen, in words, where there is more to say than the counts."""
    dry_run: bool = False
    """It reports only."""


class LastRollout(Status):
    """The rollout that ended last: what `volary explain` tells of it."""

    revision: str
    version: str
    outcome: str
    """Promoted, RolledBack, Failed (nothing else could serve) or Superseded (the spec asked for something else)."""
    reason: str
    message: str = ""
    started_at: datetime
    ended_at: datetime
    findings: tuple[Finding, ...] = ()
    timeline: tuple[str, ...] = ()
    """As in status.rollout."""
