"""Which revisions the pods of a shape are to hold, and their weights: worked out anew at every look.

A revision that gets requests was proved in every pod first. Until the one that should have them
all can take them, what carries them now goes on.
"""

from collections.abc import Iterable
from dataclasses import dataclass

from volary.api.v1alpha1 import RolloutStatus, Step
from volary.bundle.split import SHARES, WHOLE, Share, Split
from volary.planning.holdings import State
from volary.planning.model import Observed, Revision
from volary.planning.perspective import holding_of, split_of
from volary.planning.shape import carrier


@dataclass(frozen=True, slots=True, kw_only=True)
class Cast:
    """Who plays a part in the pods of one shape."""

    shape: str
    stable: Revision | None = None
    candidate: Revision | None = None
    weight: int = 0  # percent that the candidate should have beside stable


def candidate_weight(memory: RolloutStatus, steps: tuple[Step, ...]) -> int:
    """Percent of the step; that of the last one until the candidate is stable."""
    if memory.step < 0 or not steps:
        return 0
    return steps[min(memory.step, len(steps) - 1)].weight


def aim(seen: Observed, cast: Cast) -> Split | None:
    """The split that should be written; None where there is nothing to say."""
    now = split_of(seen, cast.shape)
    before = {share.revision: share for share in now.shares} if now else {}
    weights = _weights(seen, cast, before)
    if not weights:
        return now
    names = [*weights, *_kept(seen, cast, before, weights)]
    shares = tuple(_fitting(_share(seen, before, name, weights.get(name, 0)) for name in names))
    if now is not None and shares == now.shares:
        return now
    return Split(generation=_newest(seen, cast.shape, now) + 1, shares=shares)


def _weights(seen: Observed, cast: Cast, before: dict[str, Share]) -> dict[str, int]:
    """Percent of each revision that plays a part, in the order in which they are written."""
    target = cast.stable or cast.candidate
    carrying = {name: share.weight for name, share in before.items() if share.weight > 0}
    if target is None:
        return _without_failed(seen, carrying)
    trial = cast.candidate if cast.stable is not None else None
    if carrying and target.id not in carrying and not proved(seen, cast.shape, target.id):
        weights = {_best(seen, carrying): WHOLE, target.id: 0}
        return weights if trial is None else {**weights, trial.id: weights.get(trial.id, 0)}
    if trial is None:
        return {target.id: WHOLE}
    able = trial.id in carrying or proved(seen, cast.shape, trial.id)
    weight = cast.weight if able else 0
    return {target.id: WHOLE - weight, trial.id: weight}


def _without_failed(seen: Observed, carrying: dict[str, int]) -> dict[str, int]:
    """Nobody plays a part here any more; a failed revision loses its requests all the same, if another can have them."""
    good = {r.id for r in seen.revisions if r.failed is None}
    if not carrying or carrying.keys() <= good or not carrying.keys() & good:
        return {}
    return {_best(seen, carrying): WHOLE}


def _best(seen: Observed, carrying: dict[str, int]) -> str:
    """Who takes all of it meanwhile. A revision that is not good is better than nobody."""
    known = {r.id: r for r in seen.revisions}

    def worth(name: str) -> tuple[bool, int, int]:
        revision = known.get(name)
        return (revision is not None and revision.failed is None, revision.promoted if revision else 0, carrying[name])

    return max(sorted(carrying), key=worth)


def proved(seen: Observed, shape: str, revision: str) -> bool:
    """Whether every pod that serves has it loaded and proved. Where none serves, every pod that answers."""
    workload = seen.workload(shape)
    live = [pod for pod in (workload.pods if workload else ()) if not pod.terminating]
    serving = [pod for pod in live if pod.ready] or [pod for pod in live if holding_of(seen, pod) is not None]
    said = [holding.of(revision) if (holding := holding_of(seen, pod)) is not None else None for pod in serving]
    return bool(said) and all(held is not None and held.state is State.READY for held in said)


def _kept(seen: Observed, cast: Cast, before: dict[str, Share], weights: dict[str, int]) -> list[str]:
    """The revision that was stable before stays, without requests, until the next candidate needs its room."""
    if cast.stable is None or cast.candidate is not None:
        return []
    good = [r for r in seen.revisions if r.id in before and r.id not in weights and r.promoted > 0 and r.failed is None]
    good = [r for r in good if carrier(r) == cast.shape and not _failed_in_a_pod(seen, r.id)]
    return [max(good, key=lambda r: r.promoted).id] if good else []


def _failed_in_a_pod(seen: Observed, revision: str) -> bool:
    return any(held is not None and held.state is State.FAILED for held in (h.of(revision) for h in seen.holdings))


def _share(seen: Observed, before: dict[str, Share], name: str, weight: int) -> Share:
    revision = next((r for r in seen.revisions if r.id == name), None)
    if revision is None:  # carries requests and is forgotten: as it was written
        old = before[name]
        return Share(old.revision, old.version, old.digest, old.uri, weight)
    return Share(revision.id, revision.version, revision.digest, revision.model.uri, weight)


def _fitting(shares: Iterable[Share]) -> list[Share]:
    """A version that was pushed anew under its old name cannot be beside the old one: it waits, and is given up in time."""
    chosen: list[Share] = []
    for share in shares:
        clash = any(other.version == share.version and other.digest != share.digest for other in chosen)
        if len(chosen) < SHARES and not (clash and share.weight == 0):
            chosen.append(share)
    return chosen


def _newest(seen: Observed, shape: str, now: Split | None) -> int:
    """The highest generation anybody knows of: the ConfigMap may have been deleted."""
    workload = seen.workload(shape)
    uids = {pod.uid for pod in workload.pods} if workload else set()
    return max([now.generation if now else 0, *(max(h.generation, h.seen) for h in seen.holdings if h.uid in uids)])
