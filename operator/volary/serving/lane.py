"""Where the requests of one version wait for their turn: bounded, in order, joined as they leave.

Nobody waits while there is room. Those that come while all threads are at work queue up, and leave
together where the model's requests can be joined: under load batches grow by themselves, without
load there are none. A request leaves the queue unanswered when its deadline passes, and unheard
when its client goes; what was begun is finished.
"""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from concurrent.futures import Executor
from typing import Protocol

from volary.serving.joining import Batching
from volary.serving.refusal import Overloaded, TooLate
from volary.serving.tuning import Room
from volary.serving.work import Job

Gone = Callable[[], Awaitable[None]]  # raises once nobody waits for the answer any more

_LOOK = 0.02  # seconds between two looks at those that wait
_KEPT = 0.9  # of the old average, with each new value: the last ten count for two thirds


class Worker(Protocol):
    """Who does the work."""

    batching: Batching

    def here(self, jobs: Sequence[Job]) -> bool:
        """Do them in the event loop, or say no at once."""

    def beside(self, jobs: Sequence[Job]) -> float:
        """Do them in a thread; returns what `learn` is told in the event loop afterwards."""

    def learn(self, jobs: Sequence[Job], seconds: float) -> None:
        """How long they took."""

    def waited(self, seconds: float) -> None:
        """A request had to wait so long for its turn."""


class Lane:
    """Belongs to the event loop's thread."""

    def __init__(self, threads: Executor, room: Room, worker: Worker) -> None:
        self._threads = threads
        self._room = room
        self._worker = worker
        self._line: deque[Job] = deque()
        self._gone: dict[Job, Gone] = {}  # of those in the line that are not watched yet
        self._watches: dict[Job, asyncio.Task[None]] = {}
        self._busy = 0
        self._next: asyncio.Handle | None = None  # the next flush, if one is on its way
        self._looking = False
        self._came, self._crowd = 0, 1  # requests in this turn of the loop, in the last one that had any
        self._last = 1  # requests in the last batch
        self._seconds = 0.0  # of a slot for one request, on average

    def __len__(self) -> int:
        """How many wait."""
        return len(self._line)

    def is_crowded(self) -> bool:
        """Whether others are to be expected in this turn of the loop, as in the last one that a request came in; asked once a request."""
        if not self._came:
            asyncio.get_running_loop().call_soon(self._turn_over)
        self._came += 1
        return self._crowd > 1

    def _turn_over(self) -> None:
        self._crowd, self._came = self._came, 0

    def check(self, deadline: float) -> None:
        """Raise Overloaded where one more could not wait, or not long enough."""
        if self._busy < self._room.slots:
            return
        wait = (len(self._line) + 1) * self._seconds / self._room.slots
        if len(self._line) >= self._room.waiting:
            raise Overloaded(f"{len(self._line)} requests wait already, the most this server lets wait", wait)
        left = deadline - asyncio.get_running_loop().time()
        if wait > left:
            raise Overloaded(f"the wait is about {wait:.1f} s, more than this request has left", wait - max(left, 0))

    def put(self, job: Job, deadline: float, gone: Gone | None = None) -> None:
        """Have it done; `job.done` is called in the event loop once it has its outcome, at once perhaps. Raises Overloaded."""
        self.check(deadline)
        loop = asyncio.get_running_loop()
        job.since, job.deadline = loop.time(), deadline
        self._line.append(job)
        if gone is not None:
            self._gone[job] = gone
        size = self._worker.batching.size
        if size == 1 or self._busy >= self._room.slots or len(self._line) >= size:
            self._flush()
        elif self._next is None:
            self._next = loop.call_soon(self._flush)  # after those that came in the same turn of the loop

    async def pass_(self, job: Job, deadline: float, gone: Gone | None) -> None:
        """Return when the job has its outcome: what was written, Rejected, or what `gone` raised. Raises Overloaded."""
        future = asyncio.get_running_loop().create_future()
        job.done = lambda: None if future.done() else future.set_result(None)
        self.put(job, deadline, gone)
        try:
            await future
        except asyncio.CancelledError:
            self._leave(job)
            raise

    def _flush(self) -> None:
        if self._next is not None:
            self._next.cancel()
            self._next = None
        loop = asyncio.get_running_loop()
        while self._line and self._busy < self._room.slots:
            if (pause := self._pause(loop.time())) > 0:
                self._next = loop.call_later(pause, self._flush)
                break
            if jobs := self._take(loop.time()):
                self._begin(loop, jobs)
        for job in reversed(self._line):
            if job.waited:
                break
            job.waited = True
        if self._line and not self._looking:
            self._looking = True
            loop.call_later(_LOOK, self._look)

    def _pause(self, now: float) -> float:
        """Seconds to wait for others: only where the last ones did not come alone, else a lone client would wait for nobody."""
        if not self._worker.batching.delay or self._last < 2 or len(self._line) >= self._worker.batching.size:
            return 0.0
        return self._line[0].since + self._worker.batching.delay - now

    def _take(self, now: float) -> list[Job]:
        jobs: list[Job] = []
        while self._line and len(jobs) < self._worker.batching.size:
            job = self._line.popleft()
            self._forget(job)
            if job.deadline <= now:
                _fail(job, TooLate())
            else:
                jobs.append(job)
                if job.waited:
                    self._worker.waited(now - job.since)
        return jobs

    def _begin(self, loop: asyncio.AbstractEventLoop, jobs: list[Job]) -> None:
        self._last = len(jobs)
        if self._worker.here(jobs):
            _finish(jobs)
            return
        self._busy += 1
        begun = loop.time()

        def ended(done: "asyncio.Future[float]") -> None:
            self._worker.learn(jobs, done.result())
            self._busy -= 1
            self._seconds = _average(self._seconds, (loop.time() - begun) / len(jobs))
            _finish(jobs)
            self._flush()

        loop.run_in_executor(self._threads, self._worker.beside, jobs).add_done_callback(ended)

    def _look(self) -> None:
        """At those that wait: whose time is over, whose client may go."""
        self._looking = False
        loop = asyncio.get_running_loop()
        now = loop.time()
        for job in [job for job in self._line if job.deadline <= now]:
            self._leave(job)
            _fail(job, TooLate())
        for job, gone in self._gone.items():
            self._watches[job] = loop.create_task(self._watch(job, gone))
        self._gone.clear()
        if self._line:
            self._looking = True
            loop.call_later(_LOOK, self._look)

    async def _watch(self, job: Job, gone: Gone) -> None:
        try:
            await gone()
        except Exception as error:  # noqa: BLE001 -- it is for the one that waits
            self._watches.pop(job, None)
            self._leave(job)
            _fail(job, error)

    def _leave(self, job: Job) -> None:
        """Out of the line, if it is still there."""
        if job in self._line:
            self._line.remove(job)
        self._forget(job)

    def _forget(self, job: Job) -> None:
        self._gone.pop(job, None)
        if (watch := self._watches.pop(job, None)) is not None:
            watch.cancel()


def _average(old: float, new: float) -> float:
    return new if not old else _KEPT * old + (1 - _KEPT) * new


def _finish(jobs: Sequence[Job]) -> None:
    for job in jobs:
        job.done()


def _fail(job: Job, error: Exception) -> None:
    job.outcome = error
    job.done()
