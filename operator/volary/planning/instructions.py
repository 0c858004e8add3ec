"""Requests that change nothing but the memory of the canary under way: promote, pause, resume, skip, approve.

Each takes the memory and gives the next one with a sentence for people, or says why not and what
to do instead. They only note what is wanted: the next stage follows as it always does, once its
pods are ready.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from types import MappingProxyType

from volary.api.v1alpha1 import RolloutStatus
from volary.common.reasons import Reason
from volary.planning.memory import entered
from volary.planning.model import Desired
from volary.planning.strategy import Strategy, chosen


@dataclass(frozen=True, slots=True, kw_only=True)
class Situation:
    """What a request finds."""

    desired: Desired
    known: RolloutStatus
    version: str  # of the canary
    now: datetime

    @property
    def strategy(self) -> Strategy:
        """What the spec says."""
        return chosen(self.desired.spec.rollout, self.desired.replicas)

    @property
    def stage(self) -> str:
        """`in step 2 of 3`."""
        known, steps = self.known, self.strategy.steps
        if known.step < 0 and steps:
            return "before its first step"
        return f"in step {known.step + 1} of {len(steps)}" if 0 <= known.step < len(steps) else "before it takes over"


@dataclass(frozen=True, slots=True, kw_only=True)
class Noted:
    """The memory with the wish in it."""

    memory: RolloutStatus
    reason: Reason
    text: str


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why not, and what to do."""

    message: str


def promote(situation: Situation) -> Noted | Refusal:
    """No more evidence is asked for; a pause ends."""
    after = situation.known.model_copy(update={"approved": True, "paused": False})
    text = f"version {situation.version} is promoted without further evidence, as asked"
    return Noted(memory=after, reason=Reason.PROMOTE_REQUESTED, text=text)


def pause(situation: Situation) -> Noted | Refusal:
    """It stays where it is; evidence goes on being collected, and proof of harm still ends it."""
    if situation.known.paused:
        return Refusal(f"version {situation.version} is paused already: resume lets it go on, abort ends it")
    text = f"version {situation.version} is paused {situation.stage}, as asked"
    return Noted(memory=situation.known.model_copy(update={"paused": True}), reason=Reason.PAUSE_REQUESTED, text=text)


def resume(situation: Situation) -> Noted | Refusal:
    """Takes a pause by request back."""
    if not situation.known.paused:
        held = situation.desired.spec.rollout.paused
        why = "spec.rollout.paused is true: set it to false" if held else "no pause was asked for: promote, skip or approve move it on"
        return Refusal(f"version {situation.version} cannot be resumed: {why}")
    text = f"version {situation.version} goes on {situation.stage}, as asked"
    return Noted(memory=situation.known.model_copy(update={"paused": False}), reason=Reason.RESUME_REQUESTED, text=text)


def skip(situation: Situation) -> Noted | Refusal:
    """The step under way ends now, whatever was seen in it."""
    known, steps = situation.known, situation.strategy.steps
    if not steps:
        return Refusal(f"version {situation.version} has no steps to skip: promote lets it take all traffic")
    if known.step < 0:
        return Refusal(f"version {situation.version} is in no step yet, its first pods are starting: wait for them, or promote")
    if known.step >= len(steps):
        return Refusal(f"version {situation.version} has passed all {len(steps)} steps: promote or approve lets it take all traffic")
    text = f"version {situation.version} skips step {known.step + 1} of {len(steps)}, as asked"
    return Noted(memory=entered(known, known.step + 1, situation.now), reason=Reason.SKIP_REQUESTED, text=text)


def approve(situation: Situation) -> Noted | Refusal:
    """What waits for it goes on; an approval in advance would be one of evidence nobody has seen."""
    if not situation.known.awaits_approval:
        return Refusal(f"version {situation.version} waits for no approval {situation.stage}: skip or promote moves it on without evidence")
    after = situation.known.model_copy(update={"step_approved": True})
    text = f"version {situation.version} is approved {situation.stage}, as asked"
    return Noted(memory=after, reason=Reason.APPROVE_REQUESTED, text=text)


INSTRUCTIONS: Mapping[str, Callable[[Situation], Noted | Refusal]] = MappingProxyType(
    {"promote": promote, "pause": pause, "resume": resume, "skip": skip, "approve": approve}
)
