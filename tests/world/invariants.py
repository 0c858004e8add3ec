"""What must hold of every plan, after every action and after every turn, whatever happens in the world."""

from collections import Counter
from dataclasses import dataclass, field, replace
from datetime import timedelta

from volary.api.v1alpha1 import ModelDeploymentStatus, Phase, RolloutStatus
from volary.common.reasons import Reason
from volary.planning import checks, evidence, exact, identity, jobs, perspective, scaling, shape
from volary.planning.holdings import State, Written
from volary.planning.model import (
    Action,
    DeleteCheck,
    DeletePreflight,
    DeleteRevision,
    DeleteWorkload,
    Directing,
    EnsureWorkload,
    Level,
    MarkRevision,
    NoService,
    Nudge,
    Observed,
    Only,
    PreflightEnded,
    Preview,
    RecordRevision,
    ReleaseRoute,
    Revision,
    Route,
    Shared,
    StartCheck,
    Weigh,
    Workload,
    WriteSplit,
)
from volary.planning.plan import plan
from volary.planning.roles import Roles, assign
from volary.planning.weighted import Routed, Weighted
from volary.simulation.world import Turn, World

TERMINAL = {Phase.SERVING, Phase.ROLLED_BACK, Phase.REFUSED, Phase.FAILED, Phase.PAUSED}


@dataclass(slots=True)
class Guard:
    """Watches one world. Every method raises AssertionError with what was wrong."""

    world: World
    excluded: set[str] = field(default_factory=set)  # failed revisions that traffic has left

    def __post_init__(self) -> None:
        self.world.cluster.watch = self.world_is_safe

    # ---- the world, after every change --------------------------------------------------------------

    def world_is_safe(self) -> None:
        cluster = self.world.cluster
        targeted, selected = cluster.targeted(), cluster.selected()
        failed = {name for name, revision in cluster.revisions.items() if revision.failed}
        self.excluded &= failed  # a retry or a rollback clears the mark
        assert not targeted & self.excluded, f"a failed revision has traffic again: {targeted & self.excluded}"
        self.excluded |= failed - targeted
        assert len(selected) <= 2, f"three revisions have traffic: {selected}"
        promotions = [revision.promoted for revision in cluster.revisions.values() if revision.promoted]
        assert len(promotions) == len(set(promotions)), "two revisions were promoted at once"
        ordinals = [revision.ordinal for revision in cluster.revisions.values()]
        assert len(ordinals) == len(set(ordinals)), "two revisions have one ordinal"

    # ---- a plan -----------------------------------------------------------------------------------

    def plan_is_sound(self, turn: Turn) -> None:
        now = self.world.cluster.now
        assert plan(turn.desired, turn.observed, now) == turn.plan, "two plans of the same input differ"
        again = ModelDeploymentStatus.model_validate_json(turn.plan.status.model_dump_json(by_alias=True))
        assert again == turn.plan.status, "the status does not survive being stored"
        assert all(count == 1 for count in Counter(map(repr, turn.plan.actions)).values()), "an action is there twice"
        _verdicts_come_first(turn)
        _canaries_do_not_vanish(turn)
        _status_is_truthful(turn)
        _walk(turn, self.world.request_id())

    # ---- after a whole turn, nothing else having happened --------------------------------------------

    def traffic_is_where_it_can_be_served(self, turn: Turn) -> None:
        cluster, roles, memory = self.world.cluster, self.world.roles(), self.world.status.rollout
        selected = cluster.selected()
        if isinstance(cluster.traffic, NoService):
            return
        able = {roles.stable.id} if roles.stable else set()
        plain = not exact.wanted(turn.desired)  # with a gateway the plain Service never sees a canary
        if plain and roles.candidate is not None and memory is not None and memory.revision == roles.candidate.id and memory.step >= 0:
            able |= {roles.candidate.id} if not turn.observed.strangers else set()  # they would get traffic too
        able = {name for name in able if cluster.lasting(name) > 0}
        assert selected or not able, f"{able} could serve, but traffic goes to {cluster.traffic}"
        failed = {name for name in selected if name in cluster.revisions and cluster.revisions[name].failed}
        if failed and roles.stable is not None:
            enough = min(_pods(turn), *(cluster.ready(name) for name in failed))
            assert cluster.lasting(roles.stable.id) < enough, f"a failed revision keeps its traffic though stable could take it: {failed}"

    def nothing_follows_before_the_wake_up(self, turn: Turn) -> None:
        """The plan is idle: until `wake_at` it must stay so, and no sample may become due."""
        desired = replace(turn.desired, status=turn.plan.status)
        now, wake = self.world.cluster.now, turn.plan.wake_at
        span = (wake - now) if wake is not None else timedelta(days=30)
        for moment in (now, now + span / 2, now + span - timedelta(milliseconds=1)):
            if moment < now:
                continue
            assert wake is None or moment >= wake or not evidence.sample_due(desired, moment), "a sample is due before the wake-up"
            asleep = wake is None or moment >= wake
            assert asleep or not checks.due(desired, self.world.roles(), moment), "a query is due before the wake-up"
            later = plan(desired, replace(turn.observed, sample=None), moment)
            assert not later.actions, f"asleep until {wake}, but at {moment}: {later.actions}"
            assert not later.facts, f"asleep until {wake}, but at {moment}: {later.facts}"
            assert later.status == turn.plan.status, f"asleep until {wake}, but at {moment} the status is another"

    # ---- the end ------------------------------------------------------------------------------------

    def world_is_settled(self, turn: Turn) -> None:
        """A terminal state: everything is where the status says, and nothing is left over."""
        cluster, status, roles = self.world.cluster, turn.plan.status, self.world.roles()
        assert status.phase in TERMINAL, f"stuck in {status.phase}: {status.message}"
        if status.phase is Phase.PAUSED:
            return
        assert self.world.idle(self.world.think()), "a settled world is not left alone"
        assert cluster.jobs.keys() <= ({self.world.request_id()} if status.phase is Phase.REFUSED else set()), "a preflight is left over"
        assert cluster.preview is None, "the preview is left over"
        in_use = {roles.stable.id} if roles.stable else cluster.targeted()  # without a stable one, what serves by chance stays
        carriers = {shape.carrier(cluster.revisions[name]) if name in cluster.revisions else name for name in in_use}
        assert set(cluster.deployments) <= carriers, f"Deployments left over: {set(cluster.deployments) - carriers}"
        assert set(cluster.splits) <= carriers, f"ConfigMaps left over: {set(cluster.splits) - carriers}"
        assert roles.stable is None or cluster.selected() == in_use, "traffic is not where it belongs"
        assert not cluster.outside.jobs, "a Job that judges is left over"
        idle = cluster.revisions.keys() - {r.id for r in (roles.wanted, roles.stable) if r is not None} - self._in_pods()
        assert len(idle) <= self.world.spec.history, "the history grows"
        if status.phase is Phase.SERVING:
            assert roles.stable is not None
            assert roles.stable == roles.wanted
            assert cluster.ready(roles.stable.id) == _pods(turn)

    def _in_pods(self) -> set[str]:
        """Revisions that pods serve or are told to hold: the one before stable stays in shared pods without requests."""
        cluster = self.world.cluster
        told = (written.split for written in cluster.splits.values() if written.split is not None)
        return cluster.targeted() | {share.revision for split in told for share in split.shares}


def _pods(turn: Turn) -> int:
    """How many the stable revision should have, in the eyes of this turn."""
    spec, seen = turn.desired.spec, perspective.by_revision(turn.observed)
    stable = assign(seen, identity.request_id(spec.model, turn.desired.model_name, spec.runtime, spec.update)).stable
    return scaling.settle(turn.desired, seen, stable).replicas


# ---- parts of a sound plan ------------------------------------------------------------------------


def _verdicts_come_first(turn: Turn) -> None:
    """What a crash must not forget is written before anything follows from it, and people are told."""
    actions = turn.plan.actions
    marks = [index for index, action in enumerate(actions) if isinstance(action, MarkRevision)]
    moves = [
        index
        for index, action in enumerate(actions)
        if isinstance(action, Route | DeleteWorkload | EnsureWorkload | DeleteRevision | WriteSplit)
    ]
    assert not marks or not moves or max(marks) < min(moves), f"a mark comes after what follows from it: {actions}"
    known = {revision.id: revision for revision in turn.observed.revisions}
    for action in actions:
        if isinstance(action, MarkRevision) and action.failed is not None and known[action.revision].failed is None:
            told = {fact.reason for fact in turn.plan.facts}
            assert action.failed.reason in told, f"{action.failed.reason} is not told"
            by_person = action.failed.reason.endswith("Requested")
            loud = any(fact.reason is action.failed.reason and fact.level is Level.WARNING for fact in turn.plan.facts)
            assert by_person or loud, f"{action.failed.reason} is no warning"


def _status_is_truthful(turn: Turn) -> None:
    status, before = turn.plan.status, turn.desired.status
    conditions = {condition.type: condition for condition in status.conditions}
    assert status.observed_generation == turn.desired.generation
    unasked = {"QueriesAvailable"} if checks.unavailable(turn.desired) else set()
    assert set(conditions) == {"Ready", "Reconciling", "Stalled", "Available"} | unasked
    for condition in status.conditions:
        old = next((c for c in before.conditions if c.type == condition.type), None)
        same = old is not None and old.status == condition.status
        assert not same or old is None or old.last_transition_time == condition.last_transition_time, (
            "a condition that stays has a new time"
        )
        assert condition.observed_generation == turn.desired.generation
    if status.stable is not None and status.canary is not None:
        assert status.stable.weight + status.canary.weight == 100
    _requests_have_effect(turn)
    ready = conditions["Ready"].status == "True"
    assert ready == (status.phase is Phase.SERVING)
    if ready:
        _ready_is_true(turn)
    assert (conditions["Stalled"].status, conditions["Reconciling"].status, ready) != (
        "False",
        "False",
        False,
    ) or status.phase is Phase.PAUSED


def _requests_have_effect(turn: Turn) -> None:
    """What is recorded as done was done."""
    request, rollout = turn.plan.status.request, turn.plan.status.rollout
    if request is None or request == turn.desired.status.request or request.outcome != "Done":
        return
    marks = [action for action in turn.plan.actions if isinstance(action, MarkRevision)]
    checked_again = any(isinstance(action, DeletePreflight) for action in turn.plan.actions)
    before = turn.desired.status.rollout
    noted = rollout is not None and _is_noted(request.value, rollout, before.step if before else -1)
    begun = any(r.asked.split(" after ")[0] == request.value for r in turn.observed.revisions)  # by an operator that died over it
    unresolved = request.value.startswith("retry") and not isinstance(turn.observed.preflight, PreflightEnded)
    assert marks or checked_again or begun or unresolved or noted, f"{request.value} is done and had no effect"


def _is_noted(request: str, memory: RolloutStatus, before: int) -> bool:
    """A wish that changes only the memory of the canary."""
    verb = request.partition("@")[0].partition(":")[0]
    return {
        "promote": memory.approved,
        "pause": memory.paused,
        "resume": not memory.paused,
        "skip": memory.step > before,
        "approve": memory.step_approved or memory.step > before,
    }.get(verb, False)


def _canaries_do_not_vanish(turn: Turn) -> None:
    """Whoever reads the Events learns what became of every canary."""
    before, after = turn.desired.status.rollout, turn.plan.status.rollout
    if (
        before is None
        or (after is not None and after.revision == before.revision)
        or not any(r.id == before.revision for r in turn.observed.revisions)
    ):
        return
    told = {fact.reason for fact in turn.plan.facts}
    marked_now = any(isinstance(action, MarkRevision) for action in turn.plan.actions)
    marked_before = any(r.id == before.revision and (r.failed or r.promoted) for r in turn.observed.revisions)
    assert marked_now or marked_before or Reason.SUPERSEDED in told, f"canary {before.revision} is gone without a word"


def _ready_is_true(turn: Turn) -> None:
    """What the spec asks for has all traffic and all pods."""
    status, observed = turn.plan.status, perspective.by_revision(turn.observed)
    assert status.stable is not None
    revision = next(r for r in observed.revisions if r.id == status.stable.revision)
    assert revision.version == turn.desired.spec.model.version
    assert observed.ready(revision.id) >= _pods(turn)
    after = turn.observed
    for action in turn.plan.actions:
        after = _after(action, after)
        assert not isinstance(action, WriteSplit) or action.split.shares[0].weight == 100
    assert perspective.by_revision(after).traffic == Only(revision.id)


def _walk(turn: Turn, request: str) -> None:
    """Each action on what the actions before it have made of the world: a crash after any of them is safe."""
    seen = turn.observed
    for action in turn.plan.actions:
        _is_allowed(action, seen, turn, request)
        seen = _after(action, seen)


def _after(action: Action, seen: Observed) -> Observed:  # noqa: PLR0911 -- one return a kind of action
    """Marks, records and routes at once; pods only in time."""
    match action:
        case RecordRevision() | MarkRevision():
            return _marked(action, seen)
        case Route(to=to):
            return replace(seen, traffic=to)
        case Weigh(to=to):
            return replace(seen, route=Routed(to=to, current=False))
        case EnsureWorkload(revision=revision, replicas=replicas):
            workload = seen.workload(revision.id) or Workload(revision=revision.id, replicas=replicas)
            others = tuple(w for w in seen.workloads if w.revision != revision.id)
            return replace(seen, workloads=(*others, replace(workload, replicas=replicas)))
        case DeleteWorkload(revision=name):
            return replace(seen, workloads=tuple(w for w in seen.workloads if w.revision != name))
        case WriteSplit(shape=name, split=split, at=at):
            return replace(seen, written=(*(w for w in seen.written if w.shape != name), Written(shape=name, split=split, at=at)))
        case _:
            return seen


def _marked(action: RecordRevision | MarkRevision, seen: Observed) -> Observed:
    match action:
        case RecordRevision(revision=revision):
            return seen.mark(revision)
        case MarkRevision(revision=name, promoted=promoted, failed=failed, asked=asked):
            return seen.mark(replace(_find(seen, name), promoted=promoted, failed=failed, asked=asked))


def _find(seen: Observed, name: str) -> Revision:
    return next(revision for revision in seen.revisions if revision.id == name)


def _is_allowed(action: Action, seen: Observed, turn: Turn, request: str) -> None:
    roles = assign(seen, request)
    in_use = {r.id for r in (roles.stable, roles.candidate, roles.wanted) if r is not None}
    match action:
        case EnsureWorkload() | DeleteWorkload() | Route() | Preview() | Weigh() | ReleaseRoute():
            _is_allowed_outside(action, shape.carried(seen), turn, shape.carried_roles(roles))
        case StartCheck() | DeleteCheck():
            _judges_the_candidate(action, seen, roles.candidate)
        case WriteSplit():
            _is_allowed_inside(action, seen, roles)
        case Nudge(pod=name, generation=generation):
            pod = next(pod for workload in seen.workloads for pod in workload.pods if pod.name == name)
            split = perspective.split_of(seen, pod.revision)
            assert split is not None
            assert split.generation == generation, "a nudge for what is not written"
        case RecordRevision(revision=revision):
            known = next((r for r in seen.revisions if r.id == revision.id), None)
            assert known is None or replace(known, request=revision.request) == revision, "what is recorded was changed"
        case MarkRevision(revision=name, promoted=promoted):
            assert promoted >= _find(seen, name).promoted, "a promotion is taken back"
        case DeleteRevision(revision=name):
            assert name not in in_use, "a revision in use is forgotten"
            assert seen.workload(name) is None, "a revision with pods is forgotten"
            listed = {share.revision for written in seen.written if written.split for share in written.split.shares if share.weight}
            assert name not in listed, "a revision with requests is forgotten"
        case _:
            pass


def _is_allowed_inside(action: WriteSplit, seen: Observed, roles: Roles) -> None:
    """A split: requests go to what was proved, or to what had them before."""
    before = perspective.split_of(seen, action.shape)
    weights = {share.revision: share.weight for share in action.split.shares}
    old = {share.revision: share.weight for share in before.shares} if before else {}
    assert action.split.generation > (before.generation if before else 0), "the generation does not grow"
    here = {r.id for r in seen.revisions if shape.carrier(r) == action.shape}
    if roles.stable is not None and roles.stable.id in here:
        assert roles.stable.id in weights, "stable leaves its pods"
    workload = seen.workload(action.shape)
    serving = [pod for pod in (workload.pods if workload else ()) if pod.ready and not pod.terminating]
    for name, weight in weights.items():
        if weight == 0 or old.get(name, 0) > 0 or not any(old.values()):
            continue
        assert _find(seen, name).failed is None, f"{name} failed and gets requests"
        for pod in serving:
            holding = perspective.holding_of(seen, pod)
            held = holding.of(name) if holding else None
            assert held is not None, f"{name} gets requests and is not in pod {pod.name}"
            assert held.state is State.READY, f"{name} gets requests and is not proved in pod {pod.name}"


def _is_allowed_outside(action: EnsureWorkload | DeleteWorkload | Directing, seen: Observed, turn: Turn, roles: Roles) -> None:
    """Deployments and the Service; revisions that share pods go by their shape."""
    stable = roles.stable
    match action:
        case EnsureWorkload(revision=revision, replicas=replicas):
            _pods_are_right(revision, replicas, seen, turn, stable)
        case DeleteWorkload(revision=name):
            assert stable is None or name != stable.id, "stable's pods are deleted"
            before = turn.observed.route
            assert not isinstance(before, Routed) or before.current, f"{name} goes before the gateway has taken the last route over"
            reached = {found for route in (before, seen.route) if isinstance(route, Routed) for found in route.to.revisions}
            assert name not in reached, f"{name} goes, and the gateway reaches it"
            alone = seen.traffic == Only(name) or (
                isinstance(seen.traffic, Shared) and not any(w.ready for w in seen.workloads if w.revision != name)
            )
            assert not alone or seen.ready(name) == 0, f"{name} serves alone and is deleted"
        case Weigh(to=to):
            _weights_are_able(to, seen, turn)
        case Route(to=Only(revision=name)):
            _is_able(name, seen, _pods(turn))
        case Route(to=Shared()):
            assert roles.candidate is not None
            assert seen.ready(roles.candidate.id) > 0, "a canary without a ready pod gets traffic"
            live = {pod.revision for w in seen.workloads for pod in w.pods if not pod.terminating}
            live |= {pod.revision for pod in seen.strangers}
            third = live - {r.id for r in (stable, roles.candidate) if r is not None}
            assert not third, f"a third revision would get traffic: {third}"
        case Preview(revision=str() as name):
            assert roles.candidate is not None, "a preview without a candidate"
            assert name == roles.candidate.id, "the preview is not the candidate"
        case Route() | Preview() | ReleaseRoute():
            pass


def _weights_are_able(to: Weighted, seen: Observed, turn: Turn) -> None:
    """No share goes to a revision without a ready pod, and more than before only to one with the pods for it."""
    assert sum(share.weight for share in to.shares) == 100
    before = seen.route.to if isinstance(seen.route, Routed) else None
    if before is None or not any(share.weight for share in before.shares):
        return  # a new route follows the Service
    able = any(workload.ready for workload in seen.workloads)
    for share in to.shares:
        assert seen.ready(share.revision) > 0 or not able, f"{share.weight} % go to {share.revision}, which has no ready pod"
        grows = share.weight > before.percent(share.revision)
        alone = share.weight == 100
        enough = exact.pods(replace(turn.desired, found=_pods(turn)), share.weight)
        assert alone or not grows or seen.ready(share.revision) >= enough, "weight without pods"
    for extra in (to.named, to.shadow.revision if to.shadow else None):
        assert extra is None or seen.ready(extra) > 0, f"{extra} is reached and has no ready pod"


def _pods_are_right(revision: Revision, replicas: int, seen: Observed, turn: Turn, stable: Revision | None) -> None:
    """Stable keeps all its pods; where a surge limits them, no pod comes without room for it."""
    spec = turn.desired.spec
    whole = spec.rollout.surge is None
    is_stable = stable is not None and revision.id == stable.id
    assert not (whole and is_stable) or replicas == _pods(turn), "stable has not the pods it should have"
    assert replicas >= (1 if whole else 0)
    workload = seen.workload(revision.id)
    if spec.rollout.surge is None or replicas <= (workload.replicas if workload else 0):
        return
    now = workload or Workload(revision=revision.id, replicas=0)
    elsewhere = len(seen.strangers) + sum(_room_of(w) for w in seen.workloads if w.revision != revision.id)
    taken, room = _room_of(replace(now, replicas=replicas)), _pods(turn) + spec.rollout.surge
    assert taken == _room_of(now) or elsewhere + taken <= room, f"{elsewhere} + {taken} pods, and room for {room}"


def _room_of(workload: Workload) -> int:
    ending = sum(pod.terminating for pod in workload.pods)
    return max(workload.replicas, len(workload.pods) - ending) + ending


def _judges_the_candidate(action: StartCheck | DeleteCheck, seen: Observed, candidate: Revision | None) -> None:
    there = {job.object_name for job in seen.outside.jobs}
    match action:
        case StartCheck(visit=visit):
            assert candidate is not None, "a Job judges nobody"
            assert visit.revision == candidate.id, "a Job judges a revision that is no candidate"
            assert jobs.object_name("fraud", visit.revision, visit.step, visit.job.name) not in there, "a Job is started twice"
        case DeleteCheck(name=name):
            assert name in there, "a Job that is not there is deleted"


def _is_able(name: str, seen: Observed, replicas: int) -> None:
    """All traffic goes to a revision that can take it, and from one that serves only if it can take all."""
    if isinstance(seen.traffic, NoService):
        return
    able = [w.revision for w in seen.workloads if w.ready and _find(seen, w.revision).failed is None]
    assert _find(seen, name).failed is None or not able, f"a failed revision gets all traffic, not one of {able}"
    assert seen.ready(name) > 0 or not any(w.ready for w in seen.workloads), "a revision without a ready pod gets all traffic"
    if isinstance(seen.traffic, Only) and seen.ready(seen.traffic.revision) > 0:
        assert seen.ready(name) >= min(replicas, seen.ready(seen.traffic.revision)), "all traffic goes to fewer pods than served it"
