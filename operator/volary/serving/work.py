"""What is done for requests, in the event loop or in a thread: read, run, write; several at once where they can be joined.

Each request has an outcome of its own: one that cannot be read is left out, and when a joined run
fails each is run alone, so that a neighbour's fault is nobody else's.
"""

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from time import perf_counter, thread_time
from typing import Any

from volary.serving import joining
from volary.serving.joining import OFF, Kind
from volary.serving.metrics import Metrics
from volary.serving.model import Model, RunFailed
from volary.serving.pace import QUICK, Pace
from volary.serving.protocol import Call, Rejected
from volary.serving.refusal import Internal, ModelFailed
from volary.serving.tensors import Array

Read = Callable[[], Call]
Write = Callable[[Call, Sequence[Array]], Any]

_UNMEASURED = 31  # of 32: to ask for a thread's own CPU time costs as much as a small inference

_log = logging.getLogger(__name__)


@dataclass(slots=True, eq=False)
class Job:
    """One request."""

    model: Model
    size: int | None  # bytes of its body
    read: Read
    write: Write
    counted: bool
    done: Callable[[], None]  # called in the event loop once there is an outcome
    outcome: Any = None  # what `write` returned, or an exception such as Rejected
    # While it waits, on the loop's clock:
    since: float = 0.0
    deadline: float = 0.0
    waited: bool = False


class Work:
    """For one version. Belongs to the event loop's thread, but for `beside`, which several threads may be in at once."""

    def __init__(self, metrics: Metrics) -> None:
        self.batching = OFF
        self.waited = metrics.observe_wait
        self._metrics = metrics
        self._pace = Pace()
        self._unmeasured = 0  # how many more are done in the event loop before one is measured

    def here(self, jobs: Sequence[Job]) -> bool:
        """Do them if they are quick together; else say no."""
        size = jobs[0].size if len(jobs) == 1 else _size(jobs)
        if size is None or not self._pace.is_quick(size):
            return False
        if not self._unmeasured:
            self._pace.learn(size, self.beside(jobs))
            self._unmeasured = _UNMEASURED
            return True
        started = perf_counter()
        self._do(jobs)
        # Time that went by may be the node's: the next one's own time is taken.
        self._unmeasured = 0 if perf_counter() - started > QUICK else self._unmeasured - 1
        return True

    def learn(self, jobs: Sequence[Job], seconds: float) -> None:
        """What `beside` returned."""
        if (size := _size(jobs)) is not None:
            self._pace.learn(size, seconds)

    def beside(self, jobs: Sequence[Job]) -> float:
        """Give every job its outcome; returns CPU seconds of this thread: waiting for it says nothing about the requests. Never raises."""
        started = thread_time()
        self._do(jobs)
        return thread_time() - started

    def _do(self, jobs: Sequence[Job]) -> None:
        model = jobs[0].model
        if len(jobs) == 1:
            job = jobs[0]
            call = self._read(job)
            if call is not None:
                self._alone(model, job, call)
            return
        alone, groups = self._grouped(jobs, self.batching.size)
        for job, call in alone:
            self._alone(model, job, call)
        for group in groups:
            self._together(model, group)

    def _grouped(self, jobs: Sequence[Job], most: int) -> tuple[list[tuple[Job, Call]], list[list[tuple[Job, Call]]]]:
        """Those that can be read: to be run alone, and joined with at most so many rows."""
        alone: list[tuple[Job, Call]] = []
        groups: list[list[tuple[Job, Call]]] = []
        open_: dict[Kind, tuple[int, list[tuple[Job, Call]]]] = {}  # the last group of a kind, and its rows
        for job in jobs:
            call = self._read(job)
            if call is None:
                continue
            kind = joining.kind(call)
            if kind is None:
                alone.append((job, call))
                continue
            count, group = open_.get(kind, (most, []))
            if count + joining.rows(call) > most:
                count, group = 0, []
                groups.append(group)
            group.append((job, call))
            open_[kind] = (count + joining.rows(call), group)
        return alone, groups

    def _read(self, job: Job) -> Call | None:
        try:
            return job.read()
        except Rejected as fault:
            job.outcome = fault
        except Exception:  # noqa: BLE001 -- a client must not see a stack trace
            job.outcome = _internal()
        return None

    def _together(self, model: Model, group: list[tuple[Job, Call]]) -> None:
        if len(group) == 1:
            self._alone(model, *group[0])
            return
        calls = [call for _, call in group]
        started = perf_counter()
        try:
            arrays = model.run(joining.join(calls), calls[0].outputs)
            parts = joining.part([joining.rows(call) for call in calls], arrays)
        except Exception as failure:  # noqa: BLE001 -- whatever it is, it may be one neighbour's alone
            _log.info("%d joined requests failed together and are run alone: %s", len(group), failure)
            for job, call in group:
                self._alone(model, job, call)
            return
        if any(job.counted for job, _ in group):
            self._metrics.observe_inference(perf_counter() - started)
        self._metrics.observe_batch(len(group))
        for (job, call), own in zip(group, parts, strict=True):
            self._write(job, call, own)

    def _alone(self, model: Model, job: Job, call: Call) -> None:
        started = perf_counter()
        try:
            arrays = model.run(call.inputs, call.outputs)
        except RunFailed as failure:
            job.outcome = _run_failed(model, call, failure)
            return
        except Exception:  # noqa: BLE001 -- a client must not see a stack trace
            job.outcome = _internal()
            return
        if job.counted:
            self._metrics.observe_inference(perf_counter() - started)
        self._write(job, call, arrays)

    def _write(self, job: Job, call: Call, arrays: Sequence[Array]) -> None:
        try:
            if job.counted:
                self._metrics.observe_outputs(call.outputs, arrays)
            job.outcome = job.write(call, arrays)
        except Rejected as fault:
            job.outcome = fault
        except Exception:  # noqa: BLE001 -- a client must not see a stack trace
            job.outcome = _internal()


def _size(jobs: Sequence[Job]) -> int | None:
    """Bytes of all bodies; None where one is unknown."""
    total = 0
    for job in jobs:
        if job.size is None:
            return None
        total += job.size
    return total


def _run_failed(model: Model, call: Call, failure: RunFailed) -> Rejected:
    if (disagreement := model.disagreement(call.inputs)) is not None:
        return Rejected(400, disagreement)
    _log.warning("inference failed: %s", failure)
    return ModelFailed(str(failure))


def _internal() -> Rejected:
    _log.exception("inference failed in Volary itself")
    return Internal()
