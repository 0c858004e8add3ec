"""Pods that hold several revisions, seen as if each revision had pods of its own.

Stages before traffic ask "how many pods of this revision are ready, and what is wrong with them?".
With `update: InPlace` the answer is in what the agents say: here it is turned into a workload a
revision, so those stages need not know where a revision lives.
"""

from collections.abc import Iterable
from dataclasses import replace

from volary.api.v1alpha1 import Update
from volary.bundle.split import Share, Split
from volary.common.reasons import Reason
from volary.planning.holdings import Held, Holding, State
from volary.planning.model import Divided, NoService, Observed, Only, Pod, Problem, Revision, Shared, Traffic, Workload
from volary.planning.shape import carrier


def by_revision(seen: Observed) -> Observed:
    """The same world with one workload for each revision. Nothing changes for revisions with pods of their own."""
    shapes = {carrier(r) for r in seen.revisions if r.update is Update.IN_PLACE}
    if not shapes:
        return seen
    workloads = [part for w in seen.workloads for part in (_revisions(seen, w) if w.revision in shapes else (w,))]
    return replace(seen, workloads=tuple(workloads), traffic=divided(seen, seen.traffic))


def split_of(seen: Observed, shape: str) -> Split | None:
    """What is written for the pods of a shape."""
    return next((written.split for written in seen.written if written.shape == shape), None)


def holding_of(seen: Observed, pod: Pod) -> Holding | None:
    """What a pod's agent says; None: it does not answer, so nothing is known."""
    return next((holding for holding in seen.holdings if holding.uid == pod.uid), None)


def divided(seen: Observed, to: Traffic) -> Traffic:
    """Where requests go, by revision. All to one only once every pod that answers has it so."""
    match to:
        case Only(revision=shape) if any(r.update is Update.IN_PLACE and carrier(r) == shape for r in seen.revisions):
            return _divided(seen, shape)
        case Only() | Shared() | Divided() | NoService():
            return to


def _divided(seen: Observed, shape: str) -> Traffic:
    workload, split = seen.workload(shape), split_of(seen, shape)
    live = [pod for pod in (workload.pods if workload else ()) if pod.ready and not pod.terminating]
    said = [holding for pod in live if (holding := holding_of(seen, pod)) is not None]
    names = sorted({held.revision for holding in said for held in holding.held if held.weight > 0})
    if not said and split is not None:
        weights = tuple((share.revision, share.weight) for share in split.shares if share.weight > 0)
    else:
        weights = tuple((name, _mean(said, name)) for name in names)
    wanted = {share.revision for share in split.shares if share.weight > 0} if split else {name for name, _ in weights}
    alone = len(weights) == 1 and {weights[0][0]} == wanted
    return Only(weights[0][0]) if alone else Divided(weights)


def _mean(said: list[Holding], revision: str) -> int:
    weights = [held.weight if (held := holding.of(revision)) else 0 for holding in said]
    return round(sum(weights) / len(weights))


def _revisions(seen: Observed, workload: Workload) -> Iterable[Workload]:
    """One workload for each revision that is written for these pods or that they say they hold."""
    split = split_of(seen, workload.revision)
    shares = {share.revision: share for share in split.shares} if split else {}
    uids = {pod.uid for pod in workload.pods}
    names = shares.keys() | {held.revision for holding in seen.holdings if holding.uid in uids for held in holding.held}
    between_pods = isinstance(seen.traffic, Shared)  # then one that is kept at weight 0 has no part in it
    for revision in seen.revisions:
        share = shares.get(revision.id)
        if revision.id in names and not (between_pods and share is not None and share.weight == 0):
            pods = tuple(_pod(pod, _current(holding_of(seen, pod), split), revision, share) for pod in workload.pods)
            yield replace(workload, revision=revision.id, pods=pods)


def _current(holding: Holding | None, split: Split | None) -> Holding | None:
    """Without failures of an earlier list: what failed is tried again with the next one, as after `volary retry`."""
    if holding is None or split is None or holding.seen == split.generation:
        return holding
    return replace(holding, held=tuple(held for held in holding.held if held.state is not State.FAILED))


def _pod(pod: Pod, holding: Holding | None, revision: Revision, share: Share | None) -> Pod:
    """The pod as far as it concerns one revision."""
    weight = share.weight if share else 0
    if pod.terminating:
        return replace(pod, revision=revision.id, ready=False, problem=None)
    held = holding.of(revision.id) if holding else None
    problem = _problem(pod, holding, held, revision, weight)
    return replace(pod, revision=revision.id, ready=problem is None and (pod.ready or weight == 0), problem=problem)


def _problem(pod: Pod, holding: Holding | None, held: Held | None, revision: Revision, weight: int) -> Problem | None:
    """Why the revision is not ready in the pod. A version without requests is proved by the agent's word alone."""
    if held is not None and held.state is State.FAILED:
        return Problem(reason=held.reason or Reason.LOAD_FAILED, message=held.message or f"version {revision.version} cannot be loaded")
    if pod.problem is not None and (held is None or held.state is not State.READY):
        return pod.problem
    if holding is None and pod.ready and weight > 0:
        return None  # it serves, and once it was written that this one has requests it had been proved
    waits = _what_it_waits_for(pod, holding, held, revision, weight)
    return Problem(reason=Reason.PODS_STARTING, message=waits) if waits else None


def _what_it_waits_for(pod: Pod, holding: Holding | None, held: Held | None, revision: Revision, weight: int) -> str:
    version = f"version {revision.version}"
    if holding is None:
        return f"the agent of pod {pod.name} does not answer"
    if held is None:
        return f"pod {pod.name} has not heard of {version} yet"
    if held.state is not State.READY:
        return f"pod {pod.name} is {held.state.value} {version}{f': {held.message}' if held.message else ''}"
    if held.weight < weight and not revision.promoted:
        return f"pod {pod.name} gives {version} {held.weight} % of its requests so far, {weight} % are wanted"
    return ""
