"""How long calls take: two models by turns, and what the times say. The clock comes from outside."""

import math
from collections.abc import Callable, Sequence

Call = Callable[[int], object]  # with the number of the run
Clock = Callable[[], float]  # seconds
WARM_UP = 5  # calls: first ones allocate memory and pick kernels


def percentile(seconds: Sequence[float], share: float) -> float:
    """The nearest rank: the smallest value that at least `share` of the values do not exceed. No interpolation: it was measured.

    Of 100 values the 0.99 is the 99th, of 50 the 50th.
    """
    ordered = sorted(seconds)
    return ordered[max(0, math.ceil(share * len(ordered) - 1e-9) - 1)]


def alternate(before: Call, after: Call, *, runs: int, clock: Clock) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Seconds of each call. Every run times both, and who goes first takes turns: a machine that slows down slows both alike."""
    for run in range(WARM_UP):
        before(run)
        after(run)
    times: tuple[list[float], list[float]] = ([], [])
    for run in range(runs):
        for which in (0, 1) if run % 2 == 0 else (1, 0):
            times[which].append(timed((before, after)[which], run, clock))
    return tuple(times[0]), tuple(times[1])


def timed(call: Call, run: int, clock: Clock) -> float:
    """Seconds of one call."""
    started = clock()
    call(run)
    return clock() - started
