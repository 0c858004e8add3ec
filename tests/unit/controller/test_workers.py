"""What comes of a turn goes back to the queue, to the log and to the meters."""

import asyncio
import json
import logging
from collections.abc import Callable
from datetime import timedelta
from io import StringIO

import pytest

from volary.adapters.cluster import Throttled
from volary.common import logs
from volary.common.errors import Transient, VolaryError
from volary.common.reasons import Reason
from volary.controller.census import Census
from volary.controller.meters import Meters
from volary.controller.queue import Key, Queue
from volary.controller.reconcile import Turn
from volary.controller.workers import Worker
from volary.planning.model import Fact, Level

from .world import KEY, NOW, play

AWAY = Transient(Reason.API_UNAVAILABLE, "away")


class Clock:
    now = 100.0

    def __call__(self) -> float:
        return self.now


class Turns:
    """Answers with what it was given, or raises it."""

    def __init__(self, *answers: Turn | Exception) -> None:
        self.answers = list(answers)
        self.faults: list[Exception] = []

    async def turn(self, key: Key) -> Turn:
        answer = self.answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer

    async def fault(self, key: Key, error: Exception) -> Turn:
        self.faults.append(error)
        return Turn(failure=VolaryError(Reason.INTERNAL_ERROR, str(error)))


class Stage:
    def __init__(self, turns: Turns) -> None:
        self.clock, self.turns, self.meters, self.census = Clock(), turns, Meters(), Census(lambda: True)
        self.queue = Queue(self.clock, lambda: 0.5)
        self.worker = Worker(self.queue, turns, self.meters, self.census, lambda: NOW, None)

    async def work(self) -> None:
        self.queue.add(KEY)
        key = await self.queue.take()
        assert key == KEY
        await self.worker.work(key)

    def due(self, seconds: float) -> bool:
        self.clock.now += seconds
        return self.queue.depth > 0

    def metric(self, line: str) -> bool:
        return line in self.meters.render().decode()


@pytest.fixture
def log() -> Callable[[], list[dict[str, object]]]:
    stream = StringIO()
    logs.configure("info", stream)
    return lambda: [json.loads(line) for line in stream.getvalue().splitlines()]


@pytest.fixture(autouse=True)
def _restore_logging() -> object:
    handlers, level = list(logging.root.handlers), logging.root.level
    yield
    logging.root.handlers[:] = handlers
    logging.root.setLevel(level)
    logging.captureWarnings(capture=False)


def test_a_good_turn_without_news_says_nothing_and_does_not_come_back(log: Callable[[], list[dict[str, object]]]) -> None:
    async def story() -> None:
        stage = Stage(Turns(Turn()))
        await stage.work()
        assert not stage.due(100_000)
        assert stage.metric('volary_operator_reconciles_total{result="ok"} 1.0')

    play(story())
    assert log() == []


def test_one_line_a_decision(log: Callable[[], list[dict[str, object]]]) -> None:
    async def story() -> None:
        facts = (Fact(reason=Reason.PROMOTED, message="done"), Fact(reason=Reason.CRASHED, message="oops", level=Level.WARNING))
        stage = Stage(Turns(Turn(facts=facts, generation=3)))
        await stage.work()
        assert stage.metric('volary_operator_decisions_total{reason="Promoted"} 1.0')

    play(story())
    assert [(line["level"], line["message"], line["reason"], line["namespace"], line["name"], line["generation"]) for line in log()] == [
        ("info", "done", "Promoted", *KEY, 3),
        ("warning", "oops", "Crashed", *KEY, 3),
    ]


def test_woken_when_the_plan_asks_for_it() -> None:
    async def story() -> None:
        stage = Stage(Turns(Turn(wake_at=NOW + timedelta(seconds=60))))
        await stage.work()
        assert not stage.due(59)
        assert stage.due(1)

    play(story())


@pytest.mark.parametrize("answer", [Turn(failure=AWAY), AWAY])
def test_a_failure_comes_back_after_a_back_off(answer: Turn | Exception, log: Callable[[], list[dict[str, object]]]) -> None:
    async def story() -> None:
        stage = Stage(Turns(answer))
        await stage.work()
        assert not stage.due(0.9)
        assert stage.due(0.1)
        assert stage.metric('volary_operator_reconciles_total{result="failed"} 1.0')

    play(story())
    assert [line["message"] for line in log()] == ["turn failed: away"]


def test_patience_that_the_server_asked_for() -> None:
    async def story() -> None:
        stage = Stage(Turns(Throttled("slow down", 20.0)))
        await stage.work()
        assert not stage.due(19)
        assert stage.due(1)

    play(story())


def test_a_fault_of_ours_is_one_keys_trouble(log: Callable[[], list[dict[str, object]]]) -> None:
    async def story() -> None:
        stage = Stage(Turns(KeyError("oops"), Turn()))
        await stage.work()
        assert [str(error) for error in stage.turns.faults] == ["'oops'"]
        assert stage.due(1)

    play(story())
    assert "KeyError" in str(log()[0]["error"])


def test_gone_is_forgotten() -> None:
    async def story() -> None:
        stage = Stage(Turns(Turn(gone=True)))
        await stage.work()
        assert not stage.due(100_000)

    play(story())


def test_a_worker_ends_with_the_queue_and_waits_for_its_election() -> None:
    async def story() -> None:
        elected = asyncio.Event()

        class Leader:
            async def elected(self) -> None:
                await elected.wait()

        turns, queue = Turns(Turn(), Turn()), Queue(Clock(), lambda: 0.5)
        worker = asyncio.create_task(Worker(queue, turns, Meters(), Census(lambda: True), lambda: NOW, Leader()).run())
        queue.add(KEY)
        for _ in range(5):
            await asyncio.sleep(0)
        assert len(turns.answers) == 2
        elected.set()
        while len(turns.answers) == 2:  # noqa: ASYNC110 -- the condition is elsewhere
            await asyncio.sleep(0)
        queue.close()
        await worker

    play(story())
