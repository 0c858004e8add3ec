"""Two metrics with a limit that a person gave: no chance, no budget, the same for stable and canary."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from volary.api.v1alpha1 import RestartAnalysis
from volary.planning.evidence.comparison import Verdict
from volary.planning.evidence.counting import Growth
from volary.planning.model import Count

PATIENCE = 3  # looks in a row above the limit; one alone may be the scrape's own bad moment


def restarts(before: int, canary: str, grown: Sequence[Growth]) -> int:
    """Of the canary's servers, all pods together."""
    return before + sum(one.restarts for one in grown if one.revision == canary)


def restarts_verdict(seen: int, answered: bool, analysis: RestartAnalysis) -> Verdict:  # noqa: FBT001 -- whether there is data
    """No answer of any canary pod is no pass."""
    if seen > analysis.max:
        return Verdict.FAIL
    return Verdict.PASS if answered else Verdict.INCONCLUSIVE


@dataclass(frozen=True, slots=True)
class Saturated:
    """Looks in a row with a canary pod above the limit, and when the last of them was counted."""

    looks: int = 0
    counted_at: datetime | None = None


def saturated(before: Saturated, canary: Sequence[Count], most: int, at: datetime, interval: timedelta) -> Saturated:
    """A look without an answer changes nothing.

    Close looks are more votes for the bets; here three in a row are a time. So one is counted an interval: at 5 s, of looks each
    second the first, the sixth and the eleventh, and a pod that is above the limit all the while fails after ten seconds.
    """
    busy = [count.in_flight for count in canary if count.in_flight is not None]
    if not busy:
        return before
    if max(busy) <= most:
        return Saturated()
    if before.counted_at is not None and at - before.counted_at < interval:
        return before
    return Saturated(before.looks + 1, at)


def saturation_verdict(seen: int, canary: Sequence[Count]) -> Verdict:
    """Three in a row fail; below the limit passes."""
    if seen >= PATIENCE:
        return Verdict.FAIL
    answered = any(count.in_flight is not None for count in canary)
    return Verdict.PASS if answered and seen == 0 else Verdict.INCONCLUSIVE
