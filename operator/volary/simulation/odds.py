"""How sure a share of simulated runs is, and which values lie in the middle of them."""

import math
from collections.abc import Callable, Sequence

_HALVINGS = 60


def interval(hits: int, runs: int, level: float = 0.95) -> tuple[float, float]:
    """Clopper-Pearson: the shares that are not excluded by `hits` in `runs`, at least `level` of the time.

    0 of 200: 0 .. 1.8 %; 0 of 10,000: 0 .. 0.037 %. Source: Clopper and Pearson, 1934.
    """
    return lowest(hits, runs, (1 - level) / 2), highest(hits, runs, (1 - level) / 2)


def highest(hits: int, runs: int, alpha: float = 0.05) -> float:
    """The upper bound alone: a larger share gives so few hits with probability below `alpha`."""
    return 1.0 if hits >= runs else _where(lambda share: _at_most(hits, runs, share) >= alpha)


def lowest(hits: int, runs: int, alpha: float = 0.05) -> float:
    """The lower bound alone."""
    return 1 - highest(runs - hits, runs, alpha) if hits else 0.0


def quantile(values: Sequence[float], share: float) -> float | None:
    """The smallest value that `share` of the values do not exceed; None where there is none."""
    return sorted(values)[max(0, math.ceil(share * len(values)) - 1)] if values else None


def _where(holds: Callable[[float], bool]) -> float:
    """The largest share for which it holds."""
    low, high = 0.0, 1.0
    for _ in range(_HALVINGS):
        middle = (low + high) / 2
        low, high = (middle, high) if holds(middle) else (low, middle)
    return high


def _at_most(hits: int, runs: int, share: float) -> float:
    """Probability of at most `hits` in `runs`: the binomial sum, from its largest term down.

    1 where `share` is not above what was seen: the true value is 1/2 at least, more than any level asks for.
    """
    if share <= hits / runs:
        return 1.0
    if share >= 1:
        return 0.0
    whole = math.lgamma(runs + 1) - math.lgamma(hits + 1) - math.lgamma(runs - hits + 1)
    term = total = math.exp(whole + hits * math.log(share) + (runs - hits) * math.log1p(-share))
    for k in range(hits, 0, -1):
        term *= k * (1 - share) / ((runs - k + 1) * share)
        total += term
        if term < 1e-16 * total:
            break
    return total
