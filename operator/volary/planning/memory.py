"""The memory of a rollout and how it changes from stage to stage.

`step`: -1 while the first pods start, 0 .. n-1 in the steps of the spec, n while the candidate
grows to full capacity before it takes over.
"""

from datetime import datetime

from volary.api.v1alpha1 import RolloutStatus
from volary.planning import evidence
from volary.planning.model import Desired, Revision


def recalled(desired: Desired, candidate: Revision, now: datetime) -> RolloutStatus:
    """What is remembered of this candidate; memory of another revision is void."""
    memory = desired.status.rollout
    if memory is None or memory.revision != candidate.id:
        return RolloutStatus(revision=candidate.id, generation=desired.generation, started_at=now, waiting_since=now)
    return memory.model_copy(update={"generation": desired.generation})


def entered(memory: RolloutStatus, step: int, now: datetime) -> RolloutStatus:
    """At the beginning of a step: the weight is new, and so is the proof it needs and the approval."""
    return memory.model_copy(
        update={
            "step": step,
            "step_started_at": now if step == 0 else None,  # the first step's pods are ready; those of later ones start now
            "step_requests": 0,
            "waiting_since": None,
            "awaits_approval": False,
            "step_approved": False,
            "evidence": evidence.next_step(memory.evidence),
        }
    )
