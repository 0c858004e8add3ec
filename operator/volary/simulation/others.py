"""Those outside the cluster's own machinery who have a say: Prometheus, Jobs that judge, agents that replay samples."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from volary.planning import jobs
from volary.planning.model import DeleteCheck, StartCheck
from volary.planning.outside import Ending, Measurement, Question, Reply, SeenJob, Visit

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from volary.simulation.bundles import Bundle
    from volary.simulation.pods import ModelPod

JOB_TIME = timedelta(seconds=10)
WRONG_AFTER = 20  # golden samples that a bundle with `wrong` answers as recorded


@dataclass(slots=True)
class Judge:
    """A Job under way or done."""

    visit: Visit
    ends: datetime
    ending: Ending
    message: str


@dataclass(slots=True)
class Asked:
    """What the agent of one pod counted."""

    asked: float = 0.0
    wrong: int = 0


@dataclass(slots=True)
class Others:
    """Tests set what they say: `values` by the text of a query, `fates` by the name of a Job."""

    prometheus: bool = True
    values: dict[str, float | str] = field(default_factory=dict)
    fates: dict[str, tuple[Ending, str]] = field(default_factory=dict)
    jobs: dict[str, Judge] = field(default_factory=dict)
    agents: dict[str, Asked] = field(default_factory=dict)  # by pod uid
    rate: int = 0
    until: datetime | None = None  # the agents go on until then

    # ---- Jobs -------------------------------------------------------------------------------------

    def do(self, action: StartCheck | DeleteCheck, now: datetime) -> None:
        """Start or delete a Job."""
        match action:
            case StartCheck(visit=visit):
                name = jobs.object_name("fraud", visit.revision, visit.step, visit.job.name)
                ending, message = self.fates.get(visit.job.name, (Ending.SUCCEEDED, "all is well"))
                self.jobs.setdefault(name, Judge(visit=visit, ends=now + JOB_TIME, ending=ending, message=message))
            case DeleteCheck(name=name):
                self.jobs.pop(name, None)

    def seen(self, now: datetime) -> tuple[SeenJob, ...]:
        """The Jobs as the operator sees them."""
        return tuple(self._seen(name, judge, now) for name, judge in sorted(self.jobs.items()))

    def _seen(self, name: str, judge: Judge, now: datetime) -> SeenJob:
        over = judge.ends <= now
        visit = judge.visit
        return SeenJob(
            object_name=name,
            name=visit.job.name,
            revision=visit.revision,
            step=visit.step,
            recipe=jobs.recipe(visit.job),
            ending=judge.ending if over else Ending.RUNNING,
            message=judge.message if over else "",
        )

    def times(self) -> Iterator[datetime]:
        """When a Job ends."""
        return (judge.ends for judge in self.jobs.values())

    # ---- Prometheus -------------------------------------------------------------------------------

    def measure(self, questions: Iterable[Question], now: datetime) -> tuple[Measurement, ...]:
        """What Prometheus answers."""
        return tuple(self._measure(question, now) for question in questions)

    def _measure(self, question: Question, now: datetime) -> Measurement:
        found = self.values.get(question.name, "the query gives no data")
        if isinstance(found, str):
            return Measurement(name=question.name, at=now, why=found)
        return Measurement(name=question.name, at=now, value=found)

    # ---- agents -----------------------------------------------------------------------------------

    def ask_agents(self, rate: int, until: datetime) -> None:
        """Replay golden samples for a while."""
        self.rate, self.until = rate, until

    def replay(self, pods: Iterable[ModelPod], bundle: Callable[[ModelPod], Bundle], span: timedelta) -> None:
        """All ready pods are asked for so long."""
        if self.until is None:  # nobody ever asked
            return
        for pod in pods:
            if pod.ready:
                agent = self.agents.setdefault(pod.uid, Asked())
                agent.asked += self.rate * span.total_seconds()
                agent.wrong = max(0, int(agent.asked) - WRONG_AFTER) if bundle(pod).wrong else 0

    def replies(self, pods: Iterable[ModelPod]) -> tuple[Reply, ...]:
        """What the agents of these pods say."""
        return tuple(self._reply(pod, self.agents.get(pod.uid, Asked())) for pod in pods)

    def _reply(self, pod: ModelPod, agent: Asked) -> Reply:
        message = "golden sample 3: output 'y'[0] is 0.91, packed was 0.34" if agent.wrong else ""
        return Reply(uid=pod.uid, revision=pod.revision, asked=int(agent.asked), wrong=agent.wrong, silent=0, message=message)
