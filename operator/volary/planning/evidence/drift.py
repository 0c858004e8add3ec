"""What the canary answers against what stable answers: one vote test for each class or range of values.

The server counts the first item of each answer, so that one large batch is one event. Of each bin
it is asked whether the canary meets it more often than stable does; a share that shrinks makes
others grow. The bins' wealths are averaged over all the bins there can be, those never met with
wealth 1: that is one bet again, as careful as Bonferroni and never worse.
"""

import math
from collections.abc import Sequence

from volary.api.v1alpha1 import BinEvidence, DriftAnalysis, DriftEvidence, percent
from volary.planning.evidence.betting import BETA, LOWER, WORSE_RATIO, Increment, mean, rate, shares, stored, vote
from volary.planning.evidence.comparison import Verdict, side
from volary.planning.evidence.counting import BINS, Growth
from volary.planning.model import Sample


def known(evidence: DriftEvidence, sample: Sample) -> DriftEvidence:
    """With the bins that were met for the first time."""
    names = {one.name for one in evidence.bins}
    met = {name for count in sample.counts for name, number in count.outputs if number > 0}
    new = tuple(BinEvidence(name=name) for name in sorted(met - names))
    return evidence.model_copy(update={"bins": (*evidence.bins, *new)[:BINS]})


def fold(evidence: DriftEvidence, canary: str, grown: Sequence[Growth], analysis: DriftAnalysis) -> DriftEvidence:
    """The evidence after one sample. The increments' bins are those of `evidence`, in its order."""
    canaries = [one.bins for one in grown if one.bins and one.revision == canary]
    stables = [one.bins for one in grown if one.bins and one.revision != canary]
    if not canaries or not stables:
        return evidence
    here, there = ([sum(column) for column in zip(*rows, strict=True)] for rows in (canaries, stables))
    outputs = [output_of(one.name) for one in evidence.bins]
    after = tuple(
        _weigh(one, Increment(_total(here, outputs, output), mine, _total(there, outputs, output), theirs), percent(analysis.tolerance))
        for one, output, mine, theirs in zip(evidence.bins, outputs, here, there, strict=True)
    )
    return evidence.model_copy(update={"bins": after})


def output_of(name: str) -> str:
    """`probabilities:3` -> `probabilities`."""
    return name.rpartition(":")[0]


def _total(numbers: Sequence[int], outputs: Sequence[str], output: str) -> int:
    return sum(number for number, one in zip(numbers, outputs, strict=True) if one == output)


def _weigh(one: BinEvidence, grown: Increment, tolerance: float) -> BinEvidence:
    return one.model_copy(
        update={
            "canary": one.canary + grown.canary_errors,
            "stable": one.stable + grown.stable_errors,
            "grew": stored(vote(one.grew, grown, WORSE_RATIO, worse=True)),
            "equal": stored(shares(one.equal, grown)),
            "small": stored(rate(one.small, grown.canary_requests, grown.canary_errors, tolerance, LOWER)),
        }
    )


def enter(evidence: DriftEvidence) -> DriftEvidence:
    """A new step: a new proof."""
    fresh = tuple(one.model_copy(update={"equal": (), "small": ()}) for one in evidence.bins)
    return evidence.model_copy(update={"bins": fresh})


def verdict(evidence: DriftEvidence, alpha: float) -> Verdict:
    """Fail by all bins together; Pass where each of them does."""
    if wealth(evidence) >= math.log(1 / alpha):
        return Verdict.FAIL
    if evidence.bins and all(max(mean(one.equal), mean(one.small)) >= math.log(1 / BETA) for one in evidence.bins):
        return Verdict.PASS
    return Verdict.INCONCLUSIVE


def wealth(evidence: DriftEvidence) -> float:
    """Log of the mean wealth of all bins there can be."""
    return mean((*(mean(one.grew) for one in evidence.bins), *(0.0,) * (BINS - len(evidence.bins))))


def tell(evidence: DriftEvidence) -> str:
    """`probabilities:3 in 80 of 100 (80 %) answers of the canary, in 40 of 400 (10 %) of stable`, of the bin that stands out most."""
    if not evidence.bins:
        return "no answers were counted yet"
    worst = max(evidence.bins, key=lambda one: (mean(one.grew), one.canary))
    mates = [one for one in evidence.bins if output_of(one.name) == output_of(worst.name)]
    canary = side(worst.canary, sum(one.canary for one in mates))
    return f"{worst.name} in {canary} answers of the canary, in {side(worst.stable, sum(one.stable for one in mates))} of stable"
