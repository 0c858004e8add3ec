"""The course of a rollout in `status.rollout.timeline`, and what stays of it in `status.lastRollout`.

A point is one line of text, so that `kubectl get -o yaml` reads like a log and sixty of them are
less than 3 KiB: `65s 1 25/33 3/120 1/400 12 -4 Inconclusive` is 65 seconds after the beginning,
in step 1, 25 % of the requests wanted and 33 % reached, 3 errors in 120 requests of the canary and
1 in 400 of stable, 12 % of the way to a failure, below nothing on the way to a pass.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

from typing_extensions import override

from volary.api.v1alpha1 import Analysis, LastRollout, RolloutStatus
from volary.common.reasons import Reason
from volary.planning import findings
from volary.planning.model import Revision

POINTS = 60
SIZE = 3 * 1024  # bytes of JSON
MOVED = 10  # percent of the way to a proof that are worth a point
MESSAGE = 512  # characters


@dataclass(frozen=True, slots=True, kw_only=True)
class Point:
    """One moment. `against` and `in_favour` in percent of a proof, weights in percent of the requests."""

    seconds: int  # since the rollout began
    step: int  # 0 while its pods start, then 1, 2 ...; one more than there are steps while promoting
    weight: int
    reached: int
    canary_errors: int
    canary_requests: int
    stable_errors: int
    stable_requests: int
    against: int
    in_favour: int
    verdict: str

    @override
    def __str__(self) -> str:
        sides = f"{self.canary_errors}/{self.canary_requests} {self.stable_errors}/{self.stable_requests}"
        return f"{self.seconds}s {self.step} {self.weight}/{self.reached} {sides} {self.against} {self.in_favour} {self.verdict}"

    def tells_more_than(self, earlier: "Point") -> bool:
        """Something else was decided since, or the evidence moved."""
        moved = max(abs(self.against - earlier.against), abs(self.in_favour - earlier.in_favour))
        return self.decided != earlier.decided or moved >= MOVED

    @property
    def decided(self) -> tuple[int, int, int, str]:
        """What was decided and done by then."""
        return self.step, self.weight, self.reached, self.verdict


def parse(line: str) -> Point | None:
    """None for a line that another version of Volary wrote in another way."""
    try:
        seconds, step, weights, canary, stable, against, in_favour, verdict = line.split(" ")
        (weight, reached), canary_counts, stable_counts = ([int(part) for part in text.split("/")] for text in (weights, canary, stable))
        return Point(
            seconds=int(seconds.removesuffix("s")),
            step=int(step),
            weight=weight,
            reached=reached,
            canary_errors=canary_counts[0],
            canary_requests=canary_counts[1],
            stable_errors=stable_counts[0],
            stable_requests=stable_counts[1],
            against=int(against),
            in_favour=int(in_favour),
            verdict=verdict,
        )
    except (ValueError, IndexError):
        return None


def points(lines: Iterable[str]) -> tuple[Point, ...]:
    """All that can be read, in their order."""
    return tuple(each for each in map(parse, lines) if each is not None)


def record(memory: RolloutStatus, analysis: Analysis, weight: int, reached: int, now: datetime) -> RolloutStatus:
    """The memory with one more point, if there is something to tell. `weight` and `reached` in percent."""
    new = point(memory, analysis, weight, reached, now)
    last = parse(memory.timeline[-1]) if memory.timeline else None
    if last is not None and not new.tells_more_than(last):
        return memory
    return memory.model_copy(update={"timeline": _bounded((*memory.timeline, str(new)))})


def conclude(memory: RolloutStatus, analysis: Analysis, revision: Revision, stable: str | None, now: datetime) -> LastRollout:
    """What stays of a rollout. How it ended is read off the marks of its revision; `stable` is the id of the one that serves now."""
    promoted = revision.failed is None and revision.id == stable
    found = findings.findings(memory, analysis)
    weight = 100 if promoted else 0
    last = point(memory, analysis, weight, weight, now)
    failed = revision.failed
    outcome = "Promoted" if promoted else "Superseded" if failed is None else "RolledBack" if stable else "Failed"
    return LastRollout(
        revision=revision.id,
        version=revision.version,
        outcome=outcome,
        reason=failed.reason if failed else Reason.PROMOTED if promoted else Reason.SUPERSEDED,
        message=failed.message[:MESSAGE] if failed else "",
        started_at=memory.started_at,
        ended_at=now,
        findings=found,
        timeline=_bounded((*memory.timeline, str(last))),
    )


def point(memory: RolloutStatus, analysis: Analysis, weight: int, reached: int, now: datetime) -> Point:
    """The memory as it is now."""
    found = findings.findings(memory, analysis)
    errors = found[0]
    return Point(
        seconds=max(0, round((now - memory.started_at).total_seconds())),
        step=memory.step + 1,
        weight=weight,
        reached=reached,
        canary_errors=errors.canary_bad,
        canary_requests=errors.canary_requests,
        stable_errors=errors.stable_bad,
        stable_requests=errors.stable_requests,
        against=findings.against(found),
        in_favour=findings.in_favour(found),
        verdict=findings.verdict(found),
    )


def _bounded(lines: tuple[str, ...]) -> tuple[str, ...]:
    """Lines that cannot be read are the first to go."""
    while len(lines) > POINTS or _size(lines) > SIZE:
        lines = tuple(str(each) for each in _thinned(points(lines)))
    return lines


def _size(lines: tuple[str, ...]) -> int:
    return sum(len(line) + 3 for line in lines) + 1  # quotes and a comma each, brackets


def _thinned(course: tuple[Point, ...]) -> tuple[Point, ...]:
    """Without the point that is missed least: nothing was decided in it, and it is close to its neighbours for its age.

    The first and the last one stay. Of a canary of an hour the last minutes are told in seconds,
    its beginning in minutes.
    """
    if len(course) < 3:
        return course
    now = course[-1].seconds

    def missed(index: int) -> tuple[bool, float]:
        before, here, after = course[index - 1 : index + 2]
        changes = here.decided != before.decided
        return changes, (after.seconds - before.seconds) / (now - here.seconds + 1)

    least = min(range(1, len(course) - 1), key=missed)
    return course[:least] + course[least + 1 :]
