"""Is the canary worse than stable? Evidence from counters, weighed as bets; see `betting`.

* `betting`     the arithmetic of one bet
* `counting`    from counters to increments
* `comparison`  one kind of bad event, canary against stable: errors
* `latency`, `drift`, `limits`  the other metrics
* `looks`       when to look again
* `case`        all of them together: what is proved, what is not
"""

from volary.planning.evidence.betting import (
    ALPHA,
    BETA,
    BETS,
    EQUAL_RATIO,
    LOWER,
    WORSE_RATIO,
    Increment,
    above,
    higher,
    mean,
    rate,
    shares,
    upper,
    vote,
)
from volary.planning.evidence.case import against, fold, needed, next_step, proved, sample_due, share, tell, unproved
from volary.planning.evidence.comparison import Verdict, requests_needed, show, verdict, weigh
from volary.planning.evidence.counting import increment
from volary.planning.evidence.looks import pause

__all__ = [
    "ALPHA",
    "BETA",
    "BETS",
    "EQUAL_RATIO",
    "LOWER",
    "WORSE_RATIO",
    "Increment",
    "Verdict",
    "above",
    "against",
    "fold",
    "higher",
    "increment",
    "mean",
    "needed",
    "next_step",
    "pause",
    "proved",
    "rate",
    "requests_needed",
    "sample_due",
    "share",
    "shares",
    "show",
    "tell",
    "unproved",
    "upper",
    "verdict",
    "vote",
    "weigh",
]
