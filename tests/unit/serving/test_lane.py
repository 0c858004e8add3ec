"""Turns: who waits, who is joined, who leaves unanswered."""

import asyncio
import functools
import threading
from collections.abc import AsyncIterator, Callable, Coroutine, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from math import inf
from typing import Any, ParamSpec, cast

import pytest

from volary.serving.joining import OFF, Batching
from volary.serving.lane import Lane
from volary.serving.model import Model
from volary.serving.refusal import Overloaded, TooLate
from volary.serving.reply import ClientGone
from volary.serving.tuning import Room
from volary.serving.work import Job

_NARROW = Room(1, 3)
_DEADLINE = 10  # seconds for anything to happen


class Gate:
    """A worker whose threads stand still until they are let go; sizes of batches in the order they were begun."""

    def __init__(self, batching: Batching, quick: bool) -> None:
        self.batching = batching
        self.begun: list[int] = []
        self.waits: list[float] = []
        self.open = threading.Event()
        self._quick = quick

    def here(self, jobs: Sequence[Job]) -> bool:
        if self._quick:
            self._do(jobs)
        return self._quick

    def beside(self, jobs: Sequence[Job]) -> float:
        assert self.open.wait(_DEADLINE)
        self._do(jobs)
        return 0.0

    def learn(self, jobs: Sequence[Job], seconds: float) -> None:
        pass

    def waited(self, seconds: float) -> None:
        self.waits.append(seconds)

    def _do(self, jobs: Sequence[Job]) -> None:
        self.begun.append(len(jobs))
        for job in jobs:
            job.outcome = "done"


class Scene:
    def __init__(self, lane: Lane, gate: Gate) -> None:
        self.lane = lane
        self.gate = gate
        self.tasks: list[asyncio.Task[Any]] = []

    async def come(self, count: int = 1, deadline: float = inf, gone: Any = None) -> list[asyncio.Task[Any]]:
        """So many requests, and as much of the loop as they need to find their place."""
        new = [asyncio.create_task(self._one(deadline, gone)) for _ in range(count)]
        self.tasks += new
        for _ in range(3):
            await asyncio.sleep(0)
        return new

    async def _one(self, deadline: float, gone: Any) -> Any:
        job = Job(cast("Model", None), 1, cast("Any", None), cast("Any", None), True, lambda: None)
        await self.lane.pass_(job, deadline, gone)
        if isinstance(job.outcome, Exception):
            raise job.outcome
        return job.outcome

    async def all(self) -> list[Any]:
        self.gate.open.set()
        return await asyncio.wait_for(asyncio.gather(*self.tasks, return_exceptions=True), _DEADLINE)


@asynccontextmanager
async def _scene(batching: Batching = OFF, room: Room = _NARROW, *, quick: bool = False) -> AsyncIterator[Scene]:
    with ThreadPoolExecutor(2) as threads:
        gate = Gate(batching, quick)
        try:
            yield Scene(Lane(threads, room, gate), gate)
        finally:
            gate.open.set()


_P = ParamSpec("_P")


def _in_a_loop(test: Callable[_P, Coroutine[Any, Any, None]]) -> Callable[_P, None]:
    @functools.wraps(test)
    def run(*args: _P.args, **kwargs: _P.kwargs) -> None:
        asyncio.run(test(*args, **kwargs))

    return run


async def _until(condition: Any) -> None:
    async with asyncio.timeout(_DEADLINE):
        while not condition():  # noqa: ASYNC110 -- there is nothing to be told by
            await asyncio.sleep(0.002)


@_in_a_loop
async def test_one_after_the_other_where_nothing_is_joined() -> None:
    async with _scene() as scene:
        await scene.come(3)
        assert len(scene.lane) == 2
        assert await scene.all() == ["done"] * 3
        assert scene.gate.begun == [1, 1, 1]
        assert len(scene.gate.waits) == 2


@_in_a_loop
async def test_what_queued_while_the_session_was_busy_is_joined() -> None:
    async with _scene(Batching(4), Room(1, 100)) as scene:
        await scene.come()
        await scene.come(6)
        assert await scene.all() == ["done"] * 7
        assert scene.gate.begun == [1, 4, 2]


@_in_a_loop
async def test_what_comes_in_one_turn_of_the_loop_is_joined() -> None:
    async with _scene(Batching(4), quick=True) as scene:
        await scene.come(6)
        assert await scene.all() == ["done"] * 6
        assert scene.gate.begun == [4, 2]


@_in_a_loop
async def test_one_more_than_may_wait_is_told_when_to_come_again() -> None:
    async with _scene() as scene:
        await scene.come(4)
        (fifth,) = await scene.come()
        with pytest.raises(Overloaded, match="3 requests wait already") as caught:
            await fifth
        assert (caught.value.status, caught.value.retry_after) == (503, 1)
        assert (await scene.all())[:4] == ["done"] * 4


@_in_a_loop
async def test_one_whose_deadline_is_nearer_than_its_turn_is_told_at_once() -> None:
    async with _scene(room=Room(1, 100)) as scene:
        scene.lane._seconds = 2.0
        await scene.come()
        now = asyncio.get_running_loop().time()
        late, early = [(await scene.come(deadline=now + seconds))[0] for seconds in (1, 100)]
        with pytest.raises(Overloaded, match=r"the wait is about 2\.0 s"):
            await late
        assert not early.done()


@_in_a_loop
async def test_after_its_deadline_nothing_is_begun() -> None:
    async with _scene() as scene:
        await scene.come()
        (late,) = await scene.come(deadline=asyncio.get_running_loop().time() + 0.01)
        with pytest.raises(TooLate):
            await asyncio.wait_for(late, _DEADLINE)
        assert len(scene.lane) == 0
        await scene.all()
        assert scene.gate.begun == [1]


@pytest.mark.parametrize("how", ["gone", "cancelled"])
@_in_a_loop
async def test_a_client_that_goes_leaves_the_queue(how: str) -> None:
    left = asyncio.Event()

    async def gone() -> None:
        await left.wait()
        raise ClientGone

    async with _scene() as scene:
        await scene.come()
        (leaving,) = await scene.come(gone=gone)
        (staying,) = await scene.come(gone=gone if how == "cancelled" else None)
        assert len(scene.lane) == 2
        if how == "cancelled":
            leaving.cancel()
        else:
            left.set()
        await _until(leaving.done)
        assert len(scene.lane) == 1
        await scene.all()
        assert scene.gate.begun == [1, 1]
        assert staying.result() == "done"
        assert not scene.lane._watches


@_in_a_loop
async def test_what_was_begun_is_not_dropped() -> None:
    async def gone() -> None:
        raise ClientGone

    async with _scene() as scene:
        (only,) = await scene.come(deadline=asyncio.get_running_loop().time() + 0.03, gone=gone)
        await asyncio.sleep(0.06)  # past the deadline, and past a look at who is gone
        assert not only.done()
        assert await scene.all() == ["done"]


@_in_a_loop
async def test_a_lone_client_does_not_wait_for_others() -> None:
    async with _scene(Batching(4, delay=1000), quick=True) as scene:
        for _ in range(3):
            (one,) = await scene.come()
            assert await asyncio.wait_for(one, _DEADLINE) == "done"


@_in_a_loop
async def test_where_others_are_to_be_expected_they_are_waited_for() -> None:
    async with _scene(Batching(4, delay=1000), Room(1, 100), quick=True) as scene:
        scene.lane._last = 4
        await scene.come(3)
        assert scene.gate.begun == []
        await scene.come(1)
        assert await scene.all() == ["done"] * 4
        assert scene.gate.begun == [4]


@_in_a_loop
async def test_nobody_waits_for_others_longer_than_the_delay() -> None:
    async with _scene(Batching(4, delay=0.01), quick=True) as scene:
        scene.lane._last = 4
        await scene.come(2)
        assert scene.gate.begun == []
        assert await scene.all() == ["done"] * 2
        assert scene.gate.begun == [2]
