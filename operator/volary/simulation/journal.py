"""The story of one run, line by line, for people."""

from dataclasses import dataclass, field
from datetime import datetime

from volary.common.durations import show
from volary.planning import timeline
from volary.planning.model import Level
from volary.planning.timeline import Point
from volary.simulation.world import Turn


@dataclass(slots=True)
class Journal:
    """Listens to the turns of a world; `lines` grow."""

    lines: list[str] = field(default_factory=list)
    _began: datetime | None = None
    _told: str = ""
    _phase: str = ""

    def listen(self, turn: Turn) -> None:
        """What was decided, and what was seen when it moved the evidence."""
        status = turn.plan.status
        began = self._began = self._began or turn.now
        clock = f"t+{show(turn.now - began)}"
        for fact in turn.plan.facts:
            self._say(clock, status.phase, f"{'!' if fact.level is Level.WARNING else '*'} {fact.reason}: {fact.message}")
        line = status.rollout.timeline[-1] if status.rollout and status.rollout.timeline else ""
        point = timeline.parse(line)
        if point is not None and line != self._told and point.step > 0:
            self._told = line
            self._say(clock, status.phase, saw(point))
        if status.phase != self._phase and not turn.plan.facts:
            self._say(clock, status.phase, status.message)
        self._phase = status.phase

    def _say(self, clock: str, phase: str, text: str) -> None:
        self.lines.append(f"{clock:<10}{phase:<12}{text}")


def saw(point: Point) -> str:
    """`weight 10 % (25 % reached)  canary 3/120 failed, stable 1/400  against 12 %, for 40 %: Inconclusive`."""
    weight = f"weight {point.weight} %" + (f" ({point.reached} % reached)" if point.reached != point.weight else "")
    canary, stable = f"{point.canary_errors}/{point.canary_requests}", f"{point.stable_errors}/{point.stable_requests}"
    return f"{weight:<28}canary {canary} failed, stable {stable}; against {point.against} %, for {point.in_favour} %: {point.verdict}"
