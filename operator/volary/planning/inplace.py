"""Traffic where a new version comes to the pods that run: a split inside of them, Deployments around them.

    what is written   ConfigMap, the truth; every pod of the shape mounts it
    the nudge         annotation on each pod; only makes the kubelet faster
    what is in effect the agents' word; looked at again and again until it is what was written

All writes are idempotent and follow from what is seen, so a crash after any of them is made good
by the next look. Between Deployments (another shape, or `update: Replace`) `routes.steer` decides.
"""

from collections.abc import Collection, Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta

from volary.api.v1alpha1 import Update
from volary.bundle.split import Split
from volary.planning import routes, shape
from volary.planning.course import Course
from volary.planning.holdings import Holding, State, Written
from volary.planning.model import Action, DeleteWorkload, Desired, Nudge, Observed, Pod, WriteSplit
from volary.planning.perspective import divided, holding_of
from volary.planning.roles import Roles
from volary.planning.splits import Cast, aim, candidate_weight
from volary.planning.strategy import chosen
from volary.planning.traffic import Steering

FIRST_LOOK = timedelta(seconds=0.5)  # after a write; an agent needs 0.1 s to see it
LAST_LOOK = timedelta(seconds=15)
_PATIENCE = 20  # a load that takes a minute is looked at every 3 s: late by 5 %
NUDGE_AGAIN = timedelta(seconds=3)  # a nudge that came before the kubelet knew of the write was in vain; then after 6, 12, 24 s

_NEVER = datetime.fromtimestamp(0, UTC)


def used(desired: Desired, seen: Observed) -> bool:
    """Whether any revision lives in pods with others, so that ConfigMaps and agents have to be asked."""
    return desired.spec.update is Update.IN_PLACE or any(r.update is Update.IN_PLACE for r in seen.revisions)


def steer(desired: Desired, seen: Observed, roles: Roles, course: Course | None, contested: Collection[str], now: datetime) -> Steering:
    """Splits first, so that a pod that starts finds its own; they never send requests where they cannot be answered."""
    around = routes.steer(desired, shape.carried(seen), shape.carried_roles(roles), course, now, contested)
    if not used(desired, seen):
        return around
    gone = {action.revision for action in around.actions if isinstance(action, DeleteWorkload)}
    writes: list[Action] = []
    nudges: list[Action] = []
    wakes: list[datetime] = []
    for cast in _casts(desired, seen, roles, course):
        split = aim(seen, cast) if cast.shape not in gone else None
        if split is None:
            continue
        written = _written(seen, cast.shape)
        if written is None or written.split != split:
            written = Written(shape=cast.shape, split=split, at=now)
            writes.append(WriteSplit(shape=cast.shape, split=split, at=now))
        seen = replace(seen, written=(*(w for w in seen.written if w.shape != cast.shape), written))
        late = [pod for pod in _pods(seen, cast.shape) if not _in_effect(seen, pod, split)]
        nudges += _nudges(seen, late, written, split, now)
        wakes += _wakes(seen, late, written, split, now)
    return Steering(
        actions=(*writes, *nudges, *around.actions, *_orphans(seen, roles, gone)),
        traffic=divided(seen, around.traffic),
        replicas={r.id: around.replicas[name] for r in seen.revisions if (name := shape.carrier(r)) in around.replicas},
        retiring=around.retiring,
        route=around.route,
        wake_at=min((*wakes, *((around.wake_at,) if around.wake_at else ())), default=None),
    )


def _casts(desired: Desired, seen: Observed, roles: Roles, course: Course | None) -> Iterator[Cast]:
    """One for each shape that has pods or should have."""
    stable, candidate = (r if r is not None and r.update is Update.IN_PLACE else None for r in (roles.stable, roles.candidate))
    steps = chosen(desired.spec.rollout, desired.replicas).steps
    weight = candidate_weight(course.memory, steps) if course is not None else 0
    known = {shape.carrier(r) for r in seen.revisions if r.update is Update.IN_PLACE}
    for name in sorted(known):
        here = Cast(
            shape=name,
            stable=stable if stable is not None and shape.carrier(stable) == name else None,
            candidate=candidate if candidate is not None and course is not None and shape.carrier(candidate) == name else None,
            weight=weight,
        )
        if here.stable or here.candidate or seen.workload(name) is not None:
            yield here


def _written(seen: Observed, name: str) -> Written | None:
    return next((written for written in seen.written if written.shape == name), None)


def _pods(seen: Observed, name: str) -> Iterator[Pod]:
    """Pods that should know: those that serve, and those whose agent answers. One that starts mounts what is written."""
    workload = seen.workload(name)
    for pod in workload.pods if workload else ():
        if not pod.terminating and (pod.ready or holding_of(seen, pod) is not None):
            yield pod


def _in_effect(seen: Observed, pod: Pod, split: Split) -> bool:
    holding = holding_of(seen, pod)
    if holding is None or holding.generation != split.generation:
        return False
    held = {held.revision: held.weight for held in holding.held}
    return all(held.get(share.revision, 0) == share.weight for share in split.shares)


def _gave_up(holding: Holding | None, split: Split) -> bool:
    """The pod has seen the split and will never take it over: what follows is for a new split to say."""
    return holding is not None and holding.seen == split.generation and any(held.state is State.FAILED for held in holding.held)


def _nudges(seen: Observed, late: list[Pod], written: Written, split: Split, now: datetime) -> Iterator[Nudge]:
    for pod in late:
        due = _nudge_due(pod, holding_of(seen, pod), written, split, now)
        if due is not None and due <= now:
            yield Nudge(pod=pod.name, uid=pod.uid, generation=split.generation, at=now)


def _wakes(seen: Observed, late: list[Pod], written: Written, split: Split, now: datetime) -> Iterator[datetime]:
    """Soon after a write, rarer as it takes longer. Nobody tells the operator when an agent is done."""
    if any(not _gave_up(holding_of(seen, pod), split) for pod in late):
        yield now + max(FIRST_LOOK, min(LAST_LOOK, (now - written.at) / _PATIENCE))
    for pod in late:
        due = _nudge_due(pod, holding_of(seen, pod), written, split, now)
        if due is not None and due > now:
            yield due


def _nudge_due(pod: Pod, holding: Holding | None, written: Written, split: Split, now: datetime) -> datetime | None:
    """When a pod is told; None for one that has seen the split, or was told and does not answer."""
    if holding is not None and holding.seen == split.generation:
        return None
    told, at = nudge_from(pod.nudged)
    if told != split.generation:
        return now
    return None if holding is None else at + max(NUDGE_AGAIN, at - written.at)


def _orphans(seen: Observed, roles: Roles, gone: set[str]) -> Iterator[Action]:
    """ConfigMaps whose Deployment is gone: the operator died between the two."""
    used = {shape.carrier(r) for r in (roles.stable, roles.candidate) if r is not None} | gone
    for written in seen.written:
        if written.shape not in used and seen.workload(written.shape) is None:
            yield DeleteWorkload(revision=written.shape)


# ---- the annotation -----------------------------------------------------------------------------


def nudge(generation: int, at: datetime) -> str:
    """`7@2026-03-01T12:00:00+00:00`: any change will do; the time makes a second nudge differ from the first."""
    return f"{generation}@{at.isoformat()}"


def nudge_from(text: str) -> tuple[int, datetime]:
    """Generation and time of the last nudge; -1 where there was none."""
    generation, _, at = text.partition("@")
    try:
        return int(generation), datetime.fromisoformat(at)
    except ValueError:
        return -1, _NEVER
