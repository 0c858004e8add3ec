"""Bets against a claim about the canary: the arithmetic of all evidence.

Each sample gives the increments of requests and bad events (errors, slow requests, answers of a
class) of both sides. Given that a bad event happened it was the canary's with probability at most
`pi0` if the canary is no worse than `ratio` times stable; so a gambler who bets on "canary" at
those odds cannot expect to win. When his wealth exceeds 1/alpha the claim is dropped: by Ville's
inequality that happens to a good canary with probability at most alpha, however often one looks,
over all steps together. A whole sample is one vote, whatever the number of bad events in it, so a
burst of failing retries counts once.

Sources: Ville 1939; Ramdas et al., "Game-theoretic statistics and safe anytime-valid inference",
2023. Logarithms are natural, wealth starts at 1 (log 0).
"""

import math
from dataclasses import dataclass

ALPHA = 0.01  # false rollbacks of equal canaries, over a whole rollout and all metrics
BETA = 0.05  # canaries outside the bounds that pass a step
WORSE_RATIO = 1.25  # a canary with up to 1.25 times stable's rate of bad events is never failed by the comparison
EQUAL_RATIO = 2.0  # a canary proved below twice stable's rate of bad events passes
BETS = (0.1, 0.3, 0.6, 0.9)  # shares of the wealth at stake; their mean is a bet too
LOWER = (0.02, 0.1, 0.25, 0.5)  # alternatives to "rate >= tolerance", as factors of it
EQUALS = (1.0, 1.4)  # alternatives to "at least EQUAL_RATIO times stable's"
ENDS = 50.0  # e^-50 is nothing, e^50 proves anything
CAP = 5.0  # of one sample after a promotion no more than so many times the bound is believed


@dataclass(frozen=True, slots=True)
class Increment:
    """What happened between two samples, both sides. The errors are whatever events the metric calls bad."""

    canary_requests: int = 0
    canary_errors: int = 0
    stable_requests: int = 0
    stable_errors: int = 0


def vote(wealth: tuple[float, ...], grown: Increment, ratio: float, *, worse: bool) -> tuple[float, ...]:
    """Log wealth after one vote against "canary <= ratio x stable" (`worse`) or against "canary >= ratio x stable".

    25 % of the requests and `ratio` 1.25: pi0 = 0.294. All errors on the canary: a bet of 0.9
    wins 1 + 0.9 x 0.706 / 0.294 = 3.16 times its stake; six such samples in a row exceed 1/alpha = 100.
    """
    start = wealth or (0.0,) * len(BETS)
    errors = grown.canary_errors + grown.stable_errors
    if errors == 0 or min(grown.canary_requests, grown.stable_requests) <= 0:
        return start
    share = grown.canary_requests / (grown.canary_requests + grown.stable_requests)
    odds = _odds(share, ratio)
    seen = grown.canary_errors / errors
    gain = (seen - odds) / odds if worse else (odds - seen) / (1 - odds)
    return tuple(log + math.log1p(bet * gain) for log, bet in zip(start, BETS, strict=True))


def rate(wealth: tuple[float, ...], n: int, k: int, bound: float, factors: tuple[float, ...]) -> tuple[float, ...]:
    """Log likelihood ratios of k errors in n requests: rate `bound x factor` against rate `bound`.

    Without an error 300 to 450 requests prove a rate below 1 % (the rule of three, paid for looking often).
    """
    start = wealth or (0.0,) * len(factors)
    if not 0 < bound < 1:
        return start
    others = [min(bound * factor, (1 + bound) / 2) for factor in factors]
    grown = [k * math.log(p / bound) + (n - k) * math.log((1 - p) / (1 - bound)) for p in others]
    return tuple(log + step for log, step in zip(start, grown, strict=True))


def higher(wealth: tuple[float, ...], n: int, k: int, bound: float) -> tuple[float, ...]:
    """Log wealth after one vote of the canary alone against "rate <= bound".

    The vote is the sample's own rate k/n. Its expectation is at most the bound as long as each request fails no more
    often than that, given what was seen before, and whatever the requests of a sample have in common: bursts and bad
    moments make the vote coarse, never unfair. Memory of another length is an older operator's: it starts anew.

    Half of the requests failing, bound 10 %: a bet of 0.9 wins 1 + 0.9 x 4 = 4.6 times its stake; five such samples
    in a row exceed 200. All of them failing: 9.1 times, three samples.

    Source: Waudby-Smith and Ramdas, "Estimating means of bounded random variables by betting", 2024.
    """
    start = wealth if len(wealth) == len(BETS) else (0.0,) * len(BETS)
    if n <= 0 or not 0 < bound < 1:
        return start
    gain = k / n / bound - 1
    return tuple(log + math.log1p(bet * gain) for log, bet in zip(start, BETS, strict=True))


def shares(wealth: tuple[float, ...], grown: Increment) -> tuple[float, ...]:
    """Log likelihood ratios of whose the bad events were: against "canary >= 2 x stable", every event counted.

    Quicker than votes where requests are many, and less robust when they come in bursts; for passing that will do.
    25 % of the requests, twice the rate: 40 % of the events would be the canary's. At 25 %, 80 events prove less.
    """
    start = wealth or (0.0,) * len(EQUALS)
    k, others = grown.canary_errors, grown.stable_errors
    if k + others == 0 or min(grown.canary_requests, grown.stable_requests) <= 0:
        return start
    share = grown.canary_requests / (grown.canary_requests + grown.stable_requests)
    bound = _odds(share, EQUAL_RATIO)
    chances = [_odds(share, ratio) for ratio in EQUALS]
    grew = [k * math.log(p / bound) + others * math.log((1 - p) / (1 - bound)) for p in chances]
    return tuple(log + step for log, step in zip(start, grew, strict=True))


def _odds(share: float, ratio: float) -> float:
    """Chance that a bad event is the canary's, if it has this share of the requests and `ratio` times stable's rate."""
    return share * ratio / (share * ratio + 1 - share)


def above(wealth: tuple[float, ...], n: int, k: int, bound: float, stake: float) -> tuple[float, ...]:
    """Log wealth after one vote against "rate <= bound", for one side alone that may turn bad at any time.

    The vote is the sample's own rate k/n, cut off at CAP times the bound: what is cut off can only
    lower the expectation, so the bet stays fair, and no single sample convinces anybody. Before each
    sample `stake` is added: a part of the first coin for each time at which it may turn bad, together
    no more than 1. So a long good time beforehand does not have to be made up for.

    A bet of 0.9 wins at most 1 + 0.9 x 4 = 4.6 times its stake; with stakes of 1/180 it takes eight
    bad samples in a row until 1000.
    """
    if n <= 0 or not 0 < bound < 1:
        return wealth
    gain = min(k / n / bound, CAP) - 1
    before = wealth or (-math.inf,) * len(BETS)
    return tuple(_plus(log, math.log(stake)) + math.log1p(bet * gain) for log, bet in zip(before, BETS, strict=True))


def _plus(one: float, other: float) -> float:
    """Log of the sum."""
    top = max(one, other)
    return top + math.log(math.exp(one - top) + math.exp(other - top))


def mean(wealth: tuple[float, ...]) -> float:
    """Log of the mean of the bets' wealth: betting a part on each is a bet as well."""
    if not wealth:
        return 0.0
    top = max(wealth)
    return top + math.log(sum(math.exp(log - top) for log in wealth) / len(wealth))


def upper(n: int, k: int, z: float) -> float:
    """Upper end of Wilson's interval for a rate of which k in n were seen; 1 where nothing was.

    Source: Wilson 1927. z = 3.09 leaves 0.1 % above it: 10 in 4000 are 0.25 %, and 0.62 % at most.
    """
    if n <= 0:
        return 1.0
    share = k / n
    spread = z * math.sqrt(share * (1 - share) / n + z * z / (4 * n * n))
    return min(1.0, (share + z * z / (2 * n) + spread) / (1 + z * z / n))


def stored(wealth: tuple[float, ...]) -> tuple[float, ...]:
    """As kept in the status: short. Three decimals are 0.1 % of the wealth; what is beyond the ends is lost, or won, for good."""
    return tuple(round(min(max(log, -ENDS), ENDS), 3) for log in wealth)
