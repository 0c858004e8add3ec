"""From counters to what happened: the increments of each revision in each pod, safe against restarts.

A pod may serve two revisions at once, each with counters of its own, so pod and revision together
are the key. The first look at a key is its zero. A counter that fell was reset and counts from 0.
Who does not answer adds nothing, and what was remembered of it is kept for when it answers again.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

from volary.api.v1alpha1 import PodCount, RolloutStatus
from volary.planning.evidence.betting import Increment
from volary.planning.model import Count, Sample

BINS = 32  # of all outputs together; the server counts two outputs of 16 bins
_PODS = 8  # of each side are looked at for drift: that many say enough, and the memory stays small


@dataclass(frozen=True, slots=True, kw_only=True)
class Growth:
    """What one revision in one pod did since the last look; no bins where it was not looked at for drift."""

    revision: str
    requests: int = 0
    errors: int = 0
    timed: int = 0
    slow: int = 0
    bins: tuple[int, ...] = ()
    restarts: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Scale:
    """What is counted beyond requests and errors."""

    bound: float | None = None  # seconds: a slower request is slow
    bins: tuple[str, ...] = ()  # names of those whose answers are compared


def increment(memory: RolloutStatus, sample: Sample) -> Increment:
    """Requests and errors of both sides."""
    grown = growths(memory.counts, sample, Scale())
    return both(memory.revision, ((one.revision, one.requests, one.errors) for one in grown))


def both(canary: str, parts: Iterable[tuple[str, int, int]]) -> Increment:
    """Adds up (revision, requests, errors)."""
    total = Increment()
    for revision, requests, errors in parts:
        if revision == canary:
            total = replace(total, canary_requests=total.canary_requests + requests, canary_errors=total.canary_errors + errors)
        else:
            total = replace(total, stable_requests=total.stable_requests + requests, stable_errors=total.stable_errors + errors)
    return total


def growths(known: Sequence[PodCount], sample: Sample, scale: Scale) -> list[Growth]:
    """Of all that answered and were known."""
    by_key = {(count.uid, count.revision): count for count in known}
    found = ((count, _before(by_key, count)) for count in sample.counts)
    return [_growth(before, count, scale) for count, before in found if before is not None]


def remembered(known: Sequence[PodCount], sample: Sample, live: frozenset[str], scale: Scale, canary: str) -> tuple[PodCount, ...]:
    """Counters to compare the next sample with; those of a pod that did not answer are kept, those of a gone pod are not."""
    counts = {(count.uid, count.revision): count for count in known}
    watched = _watched(sample, canary)
    for count in sample.counts:
        counts.pop((count.uid, ""), None)
        counts[count.uid, count.revision] = _kept(count, scale, drift=(count.uid, count.revision) in watched)
    return tuple(counts[key] for key in sorted(counts) if key[0] in live)


def _before(known: Mapping[tuple[str, str], PodCount], count: Count) -> PodCount | None:
    """An older operator remembered the pod alone."""
    return known.get((count.uid, count.revision)) or known.get((count.uid, ""))


def _growth(before: PodCount, count: Count, scale: Scale) -> Growth:
    reset = count.requests < before.requests or count.errors < before.errors
    requests = count.requests - (0 if reset else before.requests)
    errors = min(requests, count.errors - (0 if reset else before.errors))
    timed, slow = _slow_growth(before, count, scale.bound, reset=reset)
    bins = _bin_growth(before, count, scale.bins, reset=reset)
    restarts = max(0, count.restarts - before.restarts)
    return Growth(revision=count.revision, requests=requests, errors=errors, timed=timed, slow=slow, bins=bins, restarts=restarts)


def _slow_growth(before: PodCount, count: Count, bound: float | None, *, reset: bool) -> tuple[int, int]:
    now = slower(count, bound)
    if now is None or before.timed is None or before.slow is None:
        return 0, 0
    timed, slow = now
    again = reset or timed < before.timed or slow < before.slow
    timed, slow = timed - (0 if again else before.timed), slow - (0 if again else before.slow)
    return timed, min(timed, slow)


def _bin_growth(before: PodCount, count: Count, names: tuple[str, ...], *, reset: bool) -> tuple[int, ...]:
    """Empty where the pod was not looked at for drift before. A bin that is new to it has been 0."""
    if before.bins is None or not count.outputs:
        return ()
    found = dict(count.outputs)
    now = [found.get(name, 0) for name in names]
    old = [*before.bins, *[0] * len(names)][: len(names)]
    again = reset or any(new < past for new, past in zip(now, old, strict=True))
    return tuple(new - (0 if again else past) for new, past in zip(now, old, strict=True))


def _kept(count: Count, scale: Scale, *, drift: bool) -> PodCount:
    timed, slow = slower(count, scale.bound) or (None, None)
    found = dict(count.outputs)
    return PodCount(
        uid=count.uid,
        requests=count.requests,
        errors=count.errors,
        revision=count.revision,
        timed=timed,
        slow=slow,
        bins=tuple(found.get(name, 0) for name in scale.bins) if drift and found else None,
        restarts=count.restarts,
    )


def slower(count: Count, bound: float | None) -> tuple[int, int] | None:
    """Requests whose duration was counted, and those slower than a bound of the histogram; None if it has no such bound."""
    within = dict(count.durations).get(bound) if bound is not None else None
    if within is None:
        return None
    timed = count.durations[-1][1]
    return timed, max(0, timed - within)


def _watched(sample: Sample, canary: str) -> frozenset[tuple[str, str]]:
    """Chosen by uid, which knows nothing of what the pods answer."""
    keys = sorted((count.uid, count.revision) for count in sample.counts)
    sides = ([key for key in keys if key[1] == canary], [key for key in keys if key[1] != canary])
    return frozenset(key for side in sides for key in side[:_PODS])
