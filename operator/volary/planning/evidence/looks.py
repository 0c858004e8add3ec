"""How long until the next look at the counters.

A look is one vote (see `betting`), so the number of looks decides how soon a bad canary is proved bad. Looks are close
where that is worth the reads: while the canary takes its first requests, for most that are bad are bad at once, and while
something speaks against it. When to look follows from what was seen before, never from what the look will show, so the
bets stay fair.

Half of the requests fail, an interval of 5 s: five looks in as many seconds and one or two more, in place of 25 to 30 s.
"""

import math
from datetime import timedelta

from volary.api.v1alpha1 import Analysis, RolloutStatus, duration
from volary.planning.evidence.betting import ALPHA, mean

CLOSER = 5  # times as often; errors that come together for longer than interval / 5 are several votes
SHORTEST = timedelta(seconds=1)
SUSPICION = 0.1 * math.log(1 / ALPHA)  # a tenth of the proof: the first vote against a canary brings a fifth


def pause(memory: RolloutStatus, analysis: Analysis) -> timedelta:
    """From the last look to the next one."""
    interval = duration(analysis.interval)
    if _begins(memory, interval) or _suspected(memory):
        return min(interval, max(SHORTEST, interval / CLOSER))
    return interval


def _begins(memory: RolloutStatus, interval: timedelta) -> bool:
    """Whether the first interval of the first step is not over yet."""
    since, last = memory.step_started_at, memory.last_sample_at
    return memory.step == 0 and since is not None and last is not None and last - since < interval


def _suspected(memory: RolloutStatus) -> bool:
    cases = [memory.evidence.fail, memory.evidence.fail_rate, memory.latency.fail if memory.latency else ()]
    return max(mean(wealth) for wealth in cases) >= SUSPICION
