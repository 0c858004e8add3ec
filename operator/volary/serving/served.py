"""One version that requests are answered by, whatever protocol they came in."""

import math
from collections.abc import Callable, Sequence
from concurrent.futures import Executor
from typing import TypeVar

from volary.serving.joining import OFF, Batching
from volary.serving.lane import Gone, Lane
from volary.serving.metrics import Metrics
from volary.serving.model import Model
from volary.serving.protocol import Call, Rejected, Schema
from volary.serving.refusal import reason
from volary.serving.tensors import Array, show
from volary.serving.tuning import Room
from volary.serving.work import Job, Read, Work

Answer = TypeVar("Answer")

ROOM = Room()


class Served:
    """A schema, and its model once that is loaded. All attributes belong to the event loop's thread."""

    def __init__(self, schema: Schema, revision: str, metrics: Metrics, workers: Executor, room: Room = ROOM) -> None:
        self.schema = schema
        self.revision = revision
        self.metrics = metrics
        self.model: Model | None = None
        self.in_flight = 0  # requests not yet answered: whoever takes one adds it, so that the model is not unloaded meanwhile
        self._work = Work(metrics)
        self._lane = Lane(workers, room, self._work)
        metrics.declare_outputs(schema.outputs.values())
        metrics.read_queue(self._lane.__len__)

    def became_ready(self, model: Model, batching: Batching = OFF) -> None:
        """The model is loaded: requests are answered from now on, joined as far as `batching` says."""
        self.model = model
        self._work.batching = batching
        self.metrics.mark_loaded(loaded=True, rows=batching.size)

    def admit(self, deadline: float = math.inf) -> None:
        """Whether a request has a chance, asked before its body is read. Raises Rejected (503), such as Overloaded."""
        if self.model is None:
            raise Rejected(503, f"the model {show(self.schema.model)} is still loading")
        self._lane.check(deadline)

    async def infer(
        self,
        size: int | None,
        read: Read,
        write: Callable[[Call, Sequence[Array]], Answer],
        *,
        counted: bool = True,
        deadline: float = math.inf,
        gone: Gone | None = None,
    ) -> Answer:
        """Read a request, run the model, write the answer: here or in a thread, alone or joined with others.

        `size` in bytes stands for the work there is; None: unknown, never to be done in the event loop. `deadline` on
        the loop's clock. `gone` is only asked of a request that must wait for its turn. Raises Rejected, of which
        `refusal` has the kinds, or what `gone` raises once that has come to pass.
        """
        model = self.model
        if model is None:
            raise Rejected(503, f"the model {show(self.schema.model)} is still loading")
        job = Job(model, size, read, write, counted, _nothing)
        # Where nobody is to be joined, or nobody is there: no future, no hand-over, no other turn of the loop.
        lonely = self._work.batching.size == 1 or not self._lane.is_crowded()
        if not (lonely and self._work.here((job,))):
            await self._lane.pass_(job, deadline, gone)
        if isinstance(job.outcome, Exception):
            raise job.outcome
        answer: Answer = job.outcome
        return answer

    def finished(self, status: int, seconds: float, *, fault: Rejected | None = None, synthetic: bool = False) -> None:
        """Count a request that was answered, whatever with; `seconds` from its first byte."""
        if synthetic:
            self.metrics.count_synthetic(status)
            return
        self.metrics.count(status)
        self.metrics.observe_request(seconds)
        if fault is not None:
            self.metrics.count_error(reason(fault))


def _nothing() -> None:
    return None
