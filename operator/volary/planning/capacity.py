"""How many pods each revision should have now.

Without `spec.rollout.surge` stable keeps all its pods until it is stable no more, and the others
come beside them. With it there are never more than `room = replicas + surge` pods, those that are
on their way out counted: where there is no room a pod goes before another one comes, one at a
time, and only once the pods that came before are ready. With one replica and a surge of 0 that
one pod goes first, and nothing serves until the other one is ready.

The last pod of the revision that serves stays until another one has traffic (except where there
is room for one pod only), so traffic always has somewhere to go.
"""

from dataclasses import dataclass

from volary.common.reasons import Reason
from volary.planning.course import Course, Stage
from volary.planning.model import Desired, Observed, Only, Problem, Revision, Shared, Traffic
from volary.planning.roles import Roles
from volary.planning.strategy import Strategy, chosen

Shares = tuple[tuple[Revision, int], ...]  # pods of each revision, stable's first


def wanted(desired: Desired, observed: Observed, roles: Roles, course: Course | None, traffic: Traffic) -> Shares:
    """Pods of stable, the candidate, and (where they must make room) of revisions on their way out, once traffic is there."""
    strategy = chosen(desired.spec.rollout, desired.replicas)
    target = course.replicas if course is not None and roles.candidate is not None else 0
    if strategy.room is None:
        return _beside(strategy, roles, target)
    floor = _Floor(observed=observed, strategy=strategy, room=strategy.room, traffic=traffic)
    lead = roles.stable or roles.candidate
    if lead is None:
        return ()
    others = {r.id for r in (roles.stable, roles.candidate) if r is not None}
    displaced = isinstance(traffic, Only) and traffic.revision not in others
    if roles.stable is None or roles.candidate is None or displaced:
        return floor.comes_back(lead, strategy.replicas if roles.stable else target)
    return floor.makes_way(roles.stable, roles.candidate, target)


def _beside(strategy: Strategy, roles: Roles, target: int) -> Shares:
    stable = ((roles.stable, strategy.replicas),) if roles.stable is not None else ()
    return (*stable, (roles.candidate, target)) if roles.candidate is not None and target else stable


@dataclass(frozen=True, slots=True, kw_only=True)
class _Floor:
    """A place with room for so many pods."""

    observed: Observed
    strategy: Strategy
    room: int
    traffic: Traffic

    def makes_way(self, stable: Revision, candidate: Revision, target: int) -> Shares:
        """Stable gives pods up for the candidate, which wants `target` of them."""
        free = self.room - self._taken(stable.id) - self._elsewhere(stable, candidate) - self._ending(candidate.id)
        has, comes = self._replicas(stable.id), self._replicas(candidate.id)
        least = min(self.strategy.replicas, self.room - target)
        if self.traffic not in (Shared(), Only(candidate.id)):
            least = max(least, min(1, self.room - 1))
        grown = min(target, max(comes, free))
        if has <= least:
            others = max(grown + self._ending(candidate.id), self._taken(candidate.id)) + self._elsewhere(stable, candidate)
            kept = max(has, min(least, self.room - others - self._ending(stable.id)))
        elif comes >= target:
            kept = least
        else:
            kept = max(least, has - 1) if grown == comes and self._settled(stable.id, candidate.id) else has
        return self._real(((stable, min(kept, self.strategy.replicas)), (candidate, grown), *self._leaving(stable, candidate)))

    def comes_back(self, lead: Revision, target: int) -> Shares:
        """All others give pods up for `lead`; those without traffic at once."""
        has = self._replicas(lead.id)
        grown = min(target, max(has, self.room - self._elsewhere(lead) - self._ending(lead.id)))
        leaving = ((r, self._left(lead, r.id, waits=grown == has < target)) for r, _ in self._leaving(lead))
        return self._real(((lead, grown), *leaving))

    def _leaving(self, *staying: Revision) -> Shares:
        """Revisions with a Deployment that should have none."""
        here = {r.id for r in staying}
        return tuple((r, 0) for r in self.observed.revisions if r.id not in here and self.observed.workload(r.id) is not None)

    def _left(self, lead: Revision, leaving: str, *, waits: bool) -> int:
        """Pods of a revision on its way out: with traffic it gives up one at a time, while `lead` waits for room."""
        if self.traffic != Only(leaving):
            return 0
        has = self._replicas(leaving)
        return max(min(1, self.room - 1), has - 1) if waits and self._settled(leaving, lead.id) else has

    def _settled(self, leaving: str, coming: str) -> bool:
        """All pods that should have come are ready, and none is on its way out."""
        return self.observed.ready(coming) >= self._replicas(coming) and self._taken(leaving) <= self._replicas(leaving)

    def _replicas(self, revision: str) -> int:
        workload = self.observed.workload(revision)
        return workload.replicas if workload else 0

    def _ending(self, revision: str) -> int:
        """Pods on their way out."""
        workload = self.observed.workload(revision)
        return sum(pod.terminating for pod in workload.pods) if workload else 0

    def _taken(self, revision: str) -> int:
        """Room that a revision takes: its pods that are, those that will be, and those on their way out."""
        workload = self.observed.workload(revision)
        ending = self._ending(revision)
        return max(workload.replicas, len(workload.pods) - ending) + ending if workload else 0

    def _elsewhere(self, *revisions: Revision) -> int:
        here = {r.id for r in revisions}
        return sum(self._taken(w.revision) for w in self.observed.workloads if w.revision not in here) + len(self.observed.strangers)

    def _real(self, shares: Shares) -> Shares:
        """A Deployment of no pods is not made, only kept until its pods are gone."""
        return tuple((r, n) for r, n in shares if n > 0 or self.observed.workload(r.id) is not None)


def told(stage: Stage, course: Course, hold: Problem) -> Problem:
    """What a candidate waits for, with what that means for those who send requests."""
    strategy, stable = stage.strategy, stage.stable
    if strategy.room is None or stable is None:
        return hold
    workload = stage.observed.workload(stage.candidate.id)
    waits = (workload.replicas if workload else 0) < course.replicas and hold.reason is Reason.PODS_STARTING
    serving = stage.observed.ready(stable.id) + (stage.observed.ready(stage.candidate.id) if course.shares else 0)
    meanwhile = (
        f"{serving} of {strategy.replicas} pods serve" if serving else f"nothing serves until version {stage.candidate.version} is ready"
    )
    reason = Reason.MAKING_ROOM if waits else hold.reason
    return Problem(reason=reason, message=f"{hold.message}; surge is {strategy.surge}: {meanwhile}")
