"""Many runs of one scenario in a few figures, each with how sure it is."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from volary.common.reasons import Reason
from volary.simulation.odds import interval, quantile
from volary.simulation.trial import Ended, Outcome


@dataclass(frozen=True, slots=True, kw_only=True)
class Odds:
    """A share of the runs, with its 95 % confidence interval (Clopper-Pearson)."""

    hits: int
    runs: int

    @property
    def share(self) -> float:
        """From 0 to 1."""
        return self.hits / self.runs if self.runs else 0.0

    def document(self) -> dict[str, Any]:
        """For machines."""
        low, high = interval(self.hits, self.runs)
        return {"runs": self.hits, "share": self.share, "low": low, "high": high}


@dataclass(frozen=True, slots=True, kw_only=True)
class Spread:
    """The middle and the far end of the runs it happened in; None where it never did."""

    p50: float | None
    p95: float | None

    @classmethod
    def of(cls, values: Sequence[float]) -> "Spread":
        """Of a figure of each run."""
        return cls(p50=quantile(values, 0.5), p95=quantile(values, 0.95))

    def document(self) -> dict[str, Any]:
        """For machines."""
        return {"p50": self.p50, "p95": self.p95}


@dataclass(frozen=True, slots=True, kw_only=True)
class Summary:
    """What came of the runs. Times in seconds."""

    runs: int
    promoted: Odds
    failed: Odds  # given up because it was proved worse
    unproved: Odds  # given up because nothing was proved (onInconclusive: Rollback), or for another reason
    waiting: Odds  # paused: a person decides
    promotion: Spread  # from the change of the spec until the new version serves alone
    detection: Spread  # from the canary's first request to its last, where it was given up
    requests: Spread  # that the canary answered in a run
    errors: Spread
    lost: float  # requests that found no pod, over all runs


def summary(ended: Sequence[Ended]) -> Summary:
    """Of any number of runs."""
    back = [run for run in ended if run.outcome is Outcome.ROLLED_BACK]
    proved = [run for run in back if run.reason != Reason.EVIDENCE_INCONCLUSIVE]
    promoted = [run for run in ended if run.outcome is Outcome.PROMOTED]

    def odds(hits: int) -> Odds:
        return Odds(hits=hits, runs=len(ended))

    return Summary(
        runs=len(ended),
        promoted=odds(len(promoted)),
        failed=odds(len(proved)),
        unproved=odds(len(back) - len(proved)),
        waiting=odds(len(ended) - len(promoted) - len(back)),
        promotion=Spread.of([run.took.total_seconds() for run in promoted]),
        detection=Spread.of([run.exposed.total_seconds() for run in proved]),
        requests=Spread.of([run.requests for run in ended]),
        errors=Spread.of([run.errors for run in ended]),
        lost=sum(run.lost for run in ended),
    )


def document(found: Summary) -> dict[str, Any]:
    """For machines."""
    return {
        "runs": found.runs,
        "promoted": found.promoted.document(),
        "rolledBack": found.failed.document(),
        "rolledBackUnproved": found.unproved.document(),
        "waiting": found.waiting.document(),
        "promotionSeconds": found.promotion.document(),
        "detectionSeconds": found.detection.document(),
        "canaryRequests": found.requests.document(),
        "canaryErrors": found.errors.document(),
        "lostRequests": found.lost,
    }


def advice(equal: Summary, canary: Summary, bad: bool) -> tuple[str, ...]:  # noqa: FBT001 -- whether the canary is worse than its predecessor
    """What to change in the spec, where the odds are poor."""
    found = []
    if equal.waiting.share > 0.1:
        found.append(
            f"an equal canary waits for a person in {equal.waiting.share:.0%} of the runs: give the steps more time or weight, "
            "raise analysis.errors.tolerance above the error rate that is normal, or set onInconclusive"
        )
    if bad and canary.promoted.share > 0.05:
        found.append(
            f"this canary is promoted in {canary.promoted.share:.0%} of the runs: lower analysis.errors.tolerance below its error rate"
        )
    if bad and canary.failed.share < 0.9 and canary.waiting.share > 0.05:
        found.append(
            f"this canary is proved worse in {canary.failed.share:.0%} of the runs before a person is asked: "
            "more weight, more time or analysis.errors.maxRate prove more"
        )
    return tuple(found)
