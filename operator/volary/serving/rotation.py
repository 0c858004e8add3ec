"""Which version gets the next request: in turns, so that the shares are exact and not a matter of chance. Pure.

Smooth weighted round robin (the algorithm of nginx's upstreams): before each pick every candidate
gains its weight, the richest is picked and pays the sum of all weights. The picks repeat after that
sum, so any window of that length holds each candidate exactly as often as its weight says, and the
rare ones are spread evenly. 90 and 10: one of any 10 requests, so 10 of any 100.
"""

from collections.abc import Sequence
from math import gcd


def order(weights: Sequence[int]) -> tuple[int, ...]:
    """One whole turn, as indices of `weights`: index i occurs weights[i] times, all divided by their common divisor.

    Weights are integers of 0 or more; nothing comes of an empty list or of zeros.
    """
    divisor = gcd(*weights) or 1
    shares = [weight // divisor for weight in weights]
    total = sum(shares)
    wealth = [0] * len(shares)
    picked: list[int] = []
    for _ in range(total):
        wealth = [have + share for have, share in zip(wealth, shares, strict=True)]
        richest = max(range(len(wealth)), key=wealth.__getitem__)
        wealth[richest] -= total
        picked.append(richest)
    return tuple(picked)
