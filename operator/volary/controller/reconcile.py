"""observe -> plan -> execute -> status -> events: one turn of one ModelDeployment.

The status is written whatever became of the actions, and Events come after it.
"""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime

from volary.adapters.cluster import Cluster, NotFound
from volary.api.v1alpha1 import ModelDeploymentStatus
from volary.common.errors import VolaryError
from volary.common.reasons import REASONS, Kind, Reason
from volary.controller import execute, status
from volary.controller.events import Events
from volary.controller.notices import Notices
from volary.controller.observe import Gone, Look, Observer, Unreadable
from volary.controller.queue import Key
from volary.planning.model import DeletePreflight, Desired, Fact, Level, Plan, PreflightEnded
from volary.planning.plan import plan


@dataclass(frozen=True, slots=True, kw_only=True)
class Turn:
    """What came of one turn."""

    gone: bool = False
    facts: tuple[Fact, ...] = ()
    failure: VolaryError | None = None  # come back after a back-off
    wake_at: datetime | None = None
    generation: int | None = None
    status: ModelDeploymentStatus | None = None  # as it is now, where that is known
    preflight: Reason | None = None  # of one that ended, told once


class Reconciler:
    """Takes turns."""

    def __init__(
        self, cluster: Cluster, observer: Observer, events: Events, clock: Callable[[], datetime], notices: Notices | None = None
    ) -> None:
        self._cluster = cluster
        self._observer = observer
        self._events = events
        self._clock = clock
        self._notices = notices

    async def turn(self, key: Key) -> Turn:
        """One turn. Raises Transient where not even the status can be read or written."""
        now = self._clock()
        glanced = self._observer.glance(*key, now)
        if glanced is not None and (resting := _resting(glanced, plan(glanced.desired, glanced.observed, now))):
            self._tell(glanced.desired, glanced.desired.status)
            return resting
        match await self._observer.look(*key, now):
            case Gone():
                if self._notices is not None:
                    self._notices.forget(key)
                return Turn(gone=True)
            case Unreadable() as found:
                after = status.refusal(found, now)
                written = await status.refuse(self._cluster, found, after)
                facts = (Fact(reason=found.reason, message=found.message, level=Level.WARNING),) if written else ()
                await self._events.post(found, facts)
                self._tell(found, found.status)  # what was written just now, the next turn sees
                return Turn(facts=facts, generation=found.generation, status=after)
            case Look() as look:
                return await self._advance(look, plan(look.desired, look.observed, now), now)

    async def fault(self, key: Key, error: Exception) -> Turn:
        """A turn broke on a fault of ours: the status says so, as far as it can be written. Never raises."""
        failure = VolaryError(Reason.INTERNAL_ERROR, f"{type(error).__name__}: {error}")
        try:
            desired = await self._observer.desired(*key)
            if desired is not None:
                await status.write(self._cluster, desired, status.with_trouble(desired, desired.status, failure, self._clock()))
        except VolaryError as trouble:
            return Turn(failure=trouble)
        return Turn(failure=failure)

    async def _advance(self, look: Look, wanted: Plan, now: datetime) -> Turn:
        desired = look.desired
        actions = (*wanted.actions, *execute.repairs(look, wanted.actions))
        executed = await execute.carry_out(self._cluster, look, actions)
        facts, after = wanted.facts, wanted.status
        if executed.failure is not None:
            facts = (*facts, *_trouble(desired, executed.failure))
            after = status.with_trouble(desired, after, executed.failure, now)
        try:
            await status.write(self._cluster, desired, after)
        except NotFound:
            return Turn(gone=True)  # deleted while we were at it
        self._tell(desired, after)
        await self._events.post(desired, facts)
        return Turn(
            facts=facts,
            failure=executed.failure,
            wake_at=wanted.wake_at,
            generation=desired.generation,
            status=after,
            preflight=None if executed.failure else _preflight(look, wanted),
        )

    def _tell(self, of: Desired | Unreadable, stored: ModelDeploymentStatus) -> None:
        if self._notices is not None:
            self._notices.see(of, stored)


def _resting(look: Look, wanted: Plan) -> Turn | None:
    """The turn that does nothing, if that is what follows; anything else is decided on a live look."""
    busy = wanted.actions or wanted.facts or wanted.status != look.desired.status or execute.repairs(look, ())
    return None if busy else Turn(wake_at=wanted.wake_at, generation=look.desired.generation, status=wanted.status)


def _trouble(desired: Desired, failure: VolaryError) -> tuple[Fact, ...]:
    """News only while the status does not tell of it."""
    return () if status.told(desired, failure) else (Fact(reason=failure.reason, message=failure.message, level=Level.WARNING),)


def _preflight(look: Look, wanted: Plan) -> Reason | None:
    """Why a preflight ended: in the turn that tells of it, or that clears it away to try again."""
    preflight = look.observed.preflight
    if not isinstance(preflight, PreflightEnded):
        return None
    reason = preflight.outcome.reason
    told = any(fact.reason is reason for fact in wanted.facts)
    stale = look.observed.stale_preflights
    cleared = any(isinstance(action, DeletePreflight) and action.request not in stale for action in wanted.actions)
    return reason if told or (cleared and REASONS[reason].kind not in {Kind.USER, Kind.VERDICT}) else None
